//! What a run did: to flash, to the root, and what nobody answered.

use anyhow::Result;
use serde::Serialize;

use super::flash::Flash;
use super::{Ended, REBOOT_STATUS};
use crate::bytes;
use crate::commands::Context;
use crate::compare::{self, AreaDiff};
use crate::output::shell_path;
use crate::proposals::{self, Proposal};
use crate::runs::Run;
use crate::sandbox::changes::{Change, How};
use crate::store::Store;
use crate::trace;

const SHOWN_MAX: usize = 12;

#[derive(Serialize)]
struct Summary<'a> {
    run: u32,
    status: i32,
    power: Option<&'a str>,
    flash: Vec<AreaDiff>,
    root: Option<&'a [Change]>,
    unanswered_ioctls: Vec<(String, usize)>,
    calls_answered_by_rules: usize,
    proposed_rules: Vec<Proposal>,
}

/// To stderr: standard output is the program's.
pub fn show(context: &Context, flash: &Flash, run: &Run, ended: &Ended) -> Result<()> {
    let after = Store::open(&flash.board)?;
    let areas = compare::boards(&Store::open(&run.before())?, &after)?;
    let events = if run.trace().exists() {
        trace::read(&run.trace())?.0
    } else {
        Vec::new()
    };
    let unanswered = trace::unanswered(&events);
    let proposed = proposals::of(&events, Some(after.board.rules()));
    let is_answer =
        |event: &&trace::Event| event.op == "answered" && event.number("line").is_some();
    let answered = events.iter().filter(is_answer).count();
    if context.json {
        let summary = Summary {
            run: run.number,
            status: ended.status,
            power: ended.power.as_deref(),
            flash: areas,
            root: ended.changes.as_deref(),
            unanswered_ioctls: unanswered,
            calls_answered_by_rules: answered,
            proposed_rules: proposed,
        };
        eprintln!("{}", serde_json::to_string(&summary)?);
        return Ok(());
    }
    let mut lines = Vec::new();
    if ended.status == REBOOT_STATUS {
        let what = ended.power.as_deref().unwrap_or("reboot or power-off");
        lines.push(format!(
            "the program asked for a {what}; only the sandbox ended"
        ));
    }
    lines.extend(flash_lines(&areas));
    if let Some(changes) = &ended.changes {
        lines.extend(root_lines(changes));
    }
    for (what, count) in unanswered.iter().take(SHOWN_MAX) {
        lines.push(format!(
            "unanswered ioctl: {what}, {}",
            bytes::count(*count as u64, "time")
        ));
    }
    if answered > 0 {
        let calls = bytes::count(answered as u64, "call");
        lines.push(format!("rules answered {calls} on other devices"));
    }
    for proposal in proposed.iter().filter(|one| one.command.is_none()) {
        let times = bytes::count(proposal.asked as u64, "time");
        lines.push(format!(
            "missing device: {}, looked for {times}",
            proposal.path
        ));
    }
    let place = if flash.is_kept() && run.is_kept() {
        format!(
            "mtdshim -b {} diff --since {}",
            shell_path(&flash.named),
            run.number
        )
    } else if run.is_kept() {
        "the flash was a copy and is gone".to_owned()
    } else {
        "the state before is not kept".to_owned()
    };
    let name = if run.is_kept() {
        format!("run {}", run.number)
    } else {
        "run".to_owned()
    };
    eprintln!("--- {name}: exit status {}; {place}", ended.status);
    for line in lines {
        eprintln!("    {line}");
    }
    if !proposed.is_empty() {
        let add = if flash.is_kept() && run.is_kept() {
            format!(", or: mtdshim -b {} answer --add", shell_path(&flash.named))
        } else {
            String::new()
        };
        eprintln!("--- rules that would answer (for mtdshim.conf{add})");
        for proposal in &proposed {
            eprint!("{}", proposal.rule);
        }
    }
    Ok(())
}

pub fn flash_lines(areas: &[AreaDiff]) -> Vec<String> {
    if areas.is_empty() {
        return vec!["flash: unchanged".to_owned()];
    }
    areas
        .iter()
        .map(|area| {
            let device = area
                .mtd
                .map_or_else(|| area.chip.clone(), |index| format!("mtd{index}"));
            let mut parts = Vec::new();
            if area.blocks_erased > 0 {
                let times = if area.erases > area.blocks_erased as u64 {
                    format!(" ({} erases)", area.erases)
                } else {
                    String::new()
                };
                parts.push(format!(
                    "{} erased{times}",
                    bytes::count(area.blocks_erased as u64, "block")
                ));
            }
            if area.blocks_written > 0 {
                parts.push(format!(
                    "{} written",
                    bytes::count(area.blocks_written as u64, "block")
                ));
            }
            parts.push(format!("{} changed", bytes::count(area.bytes, "byte")));
            let spare: u64 = area.blocks.iter().map(|block| block.oob_bytes).sum();
            if area.bytes == 0 && spare > 0 {
                parts.push(format!("{} changed", bytes::count(spare, "spare byte")));
            }
            for (is_it, word) in [
                (
                    area.blocks.iter().filter(|block| block.became_bad).count(),
                    "became bad",
                ),
                (
                    area.blocks
                        .iter()
                        .filter(|block| block.became_locked)
                        .count(),
                    "locked",
                ),
                (
                    area.blocks
                        .iter()
                        .filter(|block| block.became_unlocked)
                        .count(),
                    "unlocked",
                ),
            ] {
                if is_it > 0 {
                    parts.push(format!("{} {word}", bytes::count(is_it as u64, "block")));
                }
            }
            format!("{device} \"{}\": {}", area.name, parts.join(", "))
        })
        .collect()
}

fn root_lines(changes: &[Change]) -> Vec<String> {
    if changes.is_empty() {
        return vec!["root: unchanged".to_owned()];
    }
    let mut lines: Vec<String> = changes
        .iter()
        .take(SHOWN_MAX)
        .map(|change| match change.how {
            How::Added => format!("root: {} added", change.path),
            How::Changed => format!("root: {} changed", change.path),
            How::Removed => format!("root: {} removed", change.path),
        })
        .collect();
    if changes.len() > SHOWN_MAX {
        lines.push(format!(
            "root: and {} more; keep them all with --changes DIR",
            changes.len() - SHOWN_MAX
        ));
    }
    lines
}
