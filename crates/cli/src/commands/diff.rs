//! `mtdshim diff`: two boards, or a board and what it was before a run: by partition, by eraseblock, by byte.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::Context;
use super::run::flash_lines;
use crate::args::DiffArgs;
use crate::compare::{self, AreaDiff, BlockDiff};
use crate::output;
use crate::runs;
use crate::store::{Access, Store, find_board};

const LINE_BYTES: usize = 16;

pub fn run(context: &Context, args: &DiffArgs) -> Result<ExitCode> {
    let (before, after) = match (&args.since, &args.before, &args.after) {
        (Some(_), _, Some(_)) => bail!("--since compares one board with its past; give one board"),
        (Some(name), place, None) => {
            let after = context.open(place.as_deref())?;
            (Store::open(&runs::find(&after, name)?.before())?, after)
        }
        (None, Some(before), Some(after)) => (
            Store::open(&find_board(Some(before))?)?,
            Store::open(&find_board(Some(after))?)?,
        ),
        (None, Some(before), None) if context.board.is_some() => (
            Store::open(&find_board(Some(before))?)?,
            context.open(None)?,
        ),
        (None, Some(before), None) => bail!(
            "{}: compare it with what? name a second board, or its past: mtdshim diff {} --since last",
            before.display(),
            output::shell_path(before)
        ),
        (None, None, _) => bail!("name two boards, or use --since RUN (or --since last)"),
    };
    let areas = compare::boards(&before, &after)?;
    if context.json {
        output::json(&areas)?;
    } else {
        show(args, &before, &after, &areas)?;
    }
    Ok(if areas.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(super::FOUND)
    })
}

fn show(args: &DiffArgs, before: &Store, after: &Store, areas: &[AreaDiff]) -> Result<()> {
    for (area, line) in areas.iter().zip(flash_lines(areas)) {
        output::line(line)?;
        for block in area.blocks.iter().filter(|_| args.blocks || args.hex) {
            output::line(format!("  {}", block_words(block)))?;
            if args.hex {
                hex(args, before, after, area, block)?;
            }
        }
    }
    if areas.is_empty() {
        output::line("no difference")?;
    }
    Ok(())
}

fn block_words(block: &BlockDiff) -> String {
    let mut words = vec![format!("block {} at {:#x}:", block.block, block.offset)];
    if block.erases > 0 {
        words.push(format!("erased {}x,", block.erases));
    }
    words.push(format!("{} of {} bytes differ", block.bytes, block.length));
    if block.oob_bytes > 0 {
        words.push(format!("and {} spare bytes", block.oob_bytes));
    }
    if block.is_erased {
        words.push("(now erased)".to_owned());
    }
    if block.became_bad {
        words.push("(now bad)".to_owned());
    }
    words.join(" ")
}

/// Lines of 16 bytes that differ, the old one and the new one.
fn hex(
    args: &DiffArgs,
    before: &Store,
    after: &Store,
    area: &AreaDiff,
    block: &BlockDiff,
) -> Result<()> {
    let bytes = |store: &Store| -> Result<Vec<u8>> {
        let erased = vec![0xff; block.length as usize];
        let Some((index, _)) = store
            .chips()
            .into_iter()
            .find(|(_, chip)| chip.name.as_str() == area.chip)
        else {
            return Ok(erased);
        };
        let Ok(mut chip) = store.open_chip(index, Access::Look) else {
            return Ok(erased);
        };
        let mut bytes = erased;
        chip.read_raw(block.offset, &mut bytes, None)?;
        Ok(bytes)
    };
    let (old, new) = (bytes(before)?, bytes(after)?);
    let differing = old
        .chunks(LINE_BYTES)
        .zip(new.chunks(LINE_BYTES))
        .enumerate()
        .filter(|(_, (old, new))| old != new);
    let total = differing.clone().count();
    for (line, (old, new)) in differing.take(args.lines) {
        let at = block.offset + (line * LINE_BYTES) as u64;
        output::line(format!("    {at:08x} -{}", hex_words(old)))?;
        output::line(format!("             +{}", hex_words(new)))?;
    }
    if total > args.lines {
        output::line(format!(
            "    ... {} more lines; see them with --lines {total}",
            total - args.lines
        ))?;
    }
    Ok(())
}

fn hex_words(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
    let letters: String = bytes
        .iter()
        .map(|&byte| {
            if (0x20..0x7f).contains(&byte) {
                byte as char
            } else {
                '.'
            }
        })
        .collect();
    format!("{digits}  |{letters}|")
}
