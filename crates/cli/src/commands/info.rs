//! `mtdshim info`: the chips of a board, and how worn, bad and locked their blocks are.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use flash::{Ecc, Geometry, Kind};
use serde::Serialize;

use super::Context;
use crate::bytes;
use crate::output;
use crate::store::{Access, OpenChip, Store};

#[derive(Serialize)]
struct ChipInfo {
    chip: String,
    name: String,
    r#type: &'static str,
    size: u64,
    erasesize: u32,
    writesize: u32,
    oobsize: u32,
    subpagesize: u32,
    ecc: String,
    lock: &'static str,
    eraseblocks: u32,
    image: String,
    partitions: usize,
    #[serde(flatten)]
    state: Option<State>,
    /// Why there is no state.
    problem: Option<String>,
}

#[derive(Serialize)]
struct State {
    bad_blocks: Vec<u32>,
    reserved_blocks: Vec<u32>,
    locked_blocks: usize,
    block_protect: u8,
    erases: u64,
    wear_max: u32,
    wear_max_block: Option<u32>,
    otp_user_bytes: u64,
    has_side_file: bool,
}

pub fn run(context: &Context, place: Option<&Path>) -> Result<ExitCode> {
    let store = context.open(place)?;
    let chips: Vec<ChipInfo> = store
        .chips()
        .iter()
        .map(|(index, _)| look(&store, *index))
        .collect::<Result<_>>()?;
    if context.json {
        output::json(&chips)?;
    } else {
        output::line(store.board.conf_path().as_str())?;
        for chip in &chips {
            output::line(format!("\n{}", describe(chip)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn look(store: &Store, index: usize) -> Result<ChipInfo> {
    let config = store.chip(index)?;
    let geometry = config.geometry;
    let paths = image::chip_files::ChipPaths::of(store.board.directory(), &config);
    let opened = store.open_chip(index, Access::Look);
    let (state, problem) = match opened {
        Ok(chip) => (Some(state(&chip)), None),
        Err(_) if !store.has_files(index)? => (
            None,
            Some("not made yet: the first program that opens it makes an erased chip".to_owned()),
        ),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    Ok(ChipInfo {
        chip: config.name.as_str().to_owned(),
        name: config.mtd_name.as_str().to_owned(),
        r#type: kind_words(geometry.kind),
        size: geometry.size,
        erasesize: geometry.erasesize,
        writesize: geometry.writesize,
        oobsize: geometry.oobsize,
        subpagesize: geometry.subpage_size(),
        ecc: ecc_words(&geometry),
        lock: image::conf::lock_name(geometry.lock),
        eraseblocks: geometry.block_count(),
        image: paths.image.as_str().to_owned(),
        partitions: store
            .devices()
            .iter()
            .filter(|device| device.chip == index && device.is_partition)
            .count(),
        state,
        problem,
    })
}

fn state(chip: &OpenChip) -> State {
    let blocks = 0..chip.geometry().block_count();
    let is_nand = chip.geometry().is_nand();
    let most = blocks
        .clone()
        .max_by_key(|&block| (chip.wear(block), std::cmp::Reverse(block)));
    let wear_max = most.map_or(0, |block| chip.wear(block));
    State {
        bad_blocks: blocks
            .clone()
            .filter(|&block| is_nand && chip.flags(block).bad)
            .collect(),
        reserved_blocks: blocks
            .clone()
            .filter(|&block| is_nand && chip.flags(block).reserved)
            .collect(),
        locked_blocks: blocks
            .clone()
            .filter(|&block| chip.flags(block).locked)
            .count(),
        block_protect: chip.ledger().block_protect().unwrap_or(0),
        erases: blocks.map(|block| u64::from(chip.wear(block))).sum(),
        wear_max,
        wear_max_block: most.filter(|_| wear_max > 0),
        otp_user_bytes: chip.geometry().otp_user.length(),
        has_side_file: chip.has_side_file(),
    }
}

fn describe(chip: &ChipInfo) -> String {
    let mut lines = vec![format!(
        "{} ({}): {} {}, {} eraseblocks of {}",
        chip.chip,
        chip.name,
        bytes::exact(chip.size),
        chip.r#type,
        chip.eraseblocks,
        bytes::exact(chip.erasesize.into())
    )];
    let mut item = |name: &str, text: String| lines.push(format!("  {name:<11}{text}"));
    item("image", chip.image.clone());
    item("partitions", chip.partitions.to_string());
    if chip.oobsize > 0 {
        item(
            "pages",
            format!(
                "{} + {} spare bytes, subpage {}, ECC {}",
                chip.writesize, chip.oobsize, chip.subpagesize, chip.ecc
            ),
        );
    }
    if let Some(problem) = &chip.problem {
        item("state", problem.clone());
    }
    if let Some(state) = &chip.state {
        let wear = match state.wear_max_block {
            Some(block) => format!(
                "{}; most worn: block {block}, {}",
                bytes::count(state.erases, "erase"),
                bytes::count(state.wear_max.into(), "time")
            ),
            None => "none".to_owned(),
        };
        item("wear", wear);
        if chip.oobsize > 0 {
            item("bad blocks", list(&state.bad_blocks));
        }
        let locks = match (chip.lock, state.locked_blocks, state.block_protect) {
            ("none", ..) => "the chip has none".to_owned(),
            (scheme, 0, 0) => format!("open ({scheme})"),
            (scheme, blocks, 0) => {
                format!("{} locked ({scheme})", bytes::count(blocks as u64, "block"))
            }
            (scheme, _, bits) => format!("{scheme} bits {bits}: the top of the chip"),
        };
        item("locks", locks);
        if state.otp_user_bytes > 0 {
            item("OTP", format!("{} bytes", state.otp_user_bytes));
        }
        if !state.has_side_file {
            item(
                "side file",
                "none yet: wear and locks start at the first run".to_owned(),
            );
        }
    }
    lines.join("\n")
}

fn list(blocks: &[u32]) -> String {
    if blocks.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<String> = blocks.iter().take(16).map(u32::to_string).collect();
    let rest = blocks.len().saturating_sub(shown.len());
    let more = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    format!("{} ({}{more})", blocks.len(), shown.join(" "))
}

pub fn kind_words(kind: Kind) -> &'static str {
    match kind {
        Kind::Ram => "RAM",
        Kind::Rom => "ROM",
        Kind::Nor => "NOR",
        Kind::Nand => "NAND",
        Kind::MlcNand => "MLC NAND",
        Kind::Dataflash => "dataflash",
    }
}

fn ecc_words(geometry: &Geometry) -> String {
    match geometry.ecc {
        Ecc::None => "none".to_owned(),
        Ecc::OnDie => "on-die".to_owned(),
        Ecc::Hamming => "hamming".to_owned(),
        Ecc::Bch { strength } => format!("bch{strength}"),
    }
}
