//! `mtdshim map`: a chip as a picture, in the terminal or as a file.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde::Serialize;

use super::Context;
use super::export::write_file;
use crate::args::MapArgs;
use crate::bytes;
use crate::compare;
use crate::output;
use crate::picture::{Cell, Chart, Touch, png, svg, terminal};
use crate::runs;
use crate::store::{Access, OpenChip, Store};

const CELLS_MAX: u32 = 2048;
/// Letters of a command that a picture has room for.
const COMMAND_SHOWN: usize = 70;

#[derive(Serialize)]
struct ChipMap {
    chip: String,
    blocks: Vec<BlockState>,
}

#[derive(Serialize)]
struct BlockState {
    block: u32,
    offset: u64,
    programmed: f32,
    wear: u32,
    touched: bool,
    erased_by_run: bool,
    bad: bool,
    locked: bool,
}

pub fn run(context: &Context, args: &MapArgs) -> Result<ExitCode> {
    let store = context.open(None)?;
    let mut charts = Vec::new();
    for (index, config) in store.chips() {
        if args
            .chip
            .as_ref()
            .is_some_and(|name| name != config.name.as_str())
        {
            continue;
        }
        charts.push((config.name.as_str().to_owned(), chart(&store, index, args)?));
    }
    if charts.is_empty() {
        let names: Vec<String> = store
            .chips()
            .iter()
            .map(|(_, chip)| chip.name.as_str().to_owned())
            .collect();
        bail!(
            "{}: there is no chip '{}'; there are {}",
            store.directory.display(),
            args.chip.as_deref().unwrap_or(""),
            names.join(", ")
        );
    }
    if context.json {
        output::json(
            &charts
                .iter()
                .map(|(name, chart)| states(name, chart))
                .collect::<Vec<_>>(),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let charts: Vec<Chart> = charts.into_iter().map(|(_, chart)| chart).collect();
    match &args.output {
        Some(path) => draw_file(path, &charts)?,
        None => {
            for chart in &charts {
                output::print(&terminal::draw(chart, std::io::stdout().is_terminal()))?;
            }
            output::line(terminal::legend(&charts))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn states(name: &str, chart: &Chart) -> ChipMap {
    let state = |cell: &Cell| BlockState {
        block: cell.first_block,
        offset: cell.offset,
        programmed: cell.programmed,
        wear: cell.wear,
        touched: cell.touch != Touch::None,
        erased_by_run: cell.touch == Touch::Erased,
        bad: cell.bad,
        locked: cell.locked,
    };
    ChipMap {
        chip: name.to_owned(),
        blocks: chart.cells.iter().map(state).collect(),
    }
}

fn draw_file(path: &Path, charts: &[Chart]) -> Result<()> {
    match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("svg") => write_file(path, |file| {
            Ok(file.write_all(svg::draw(charts).as_bytes())?)
        }),
        Some("png") => write_file(path, |file| png::draw(charts, file)),
        _ => bail!("{}: pictures are .svg or .png", path.display()),
    }
}

fn chart(store: &Store, index: usize, args: &MapArgs) -> Result<Chart> {
    let config = store.chip(index)?;
    let mut chip = store.open_chip(index, Access::Look)?;
    let geometry = *chip.geometry();
    let (touched, subtitle) = touched_blocks(store, config.name.as_str(), args)?;
    let group = geometry.block_count().div_ceil(CELLS_MAX).max(1);
    let blocks = chip.blocks(0, geometry.size);
    let mut cells = Vec::new();
    for part in blocks.chunks(group as usize) {
        let mut cell = Cell {
            first_block: part[0].index,
            blocks: part.len() as u32,
            offset: part[0].start,
            ..Cell::default()
        };
        for block in part {
            let flags = chip.flags(block.index);
            cell.programmed +=
                programmed(&mut chip, block.start, block.length)? / part.len() as f32;
            cell.wear = cell.wear.max(chip.wear(block.index));
            cell.bad |= chip.is_bad(block.index);
            cell.locked |= flags.locked;
            let touch = touched
                .iter()
                .find(|(number, _)| *number == block.index)
                .map_or(Touch::None, |(_, touch)| *touch);
            cell.touch = cell.touch.max(touch);
        }
        cell.area = area(store, index, cell.offset);
        cells.push(cell);
    }
    let of = if group > 1 {
        format!(", {group} in a cell")
    } else {
        String::new()
    };
    let title = format!(
        "{}: {} {}, {} eraseblocks{of}",
        config.name,
        bytes::exact(geometry.size),
        super::info::kind_words(geometry.kind),
        geometry.block_count()
    );
    Ok(Chart {
        title,
        subtitle,
        size: geometry.size,
        cells,
        by_wear: args.wear,
    })
}

fn programmed(chip: &mut OpenChip, start: u64, length: u32) -> Result<f32> {
    let mut bytes = vec![0; length as usize];
    chip.read_raw(start, &mut bytes, None)?;
    let count = bytes.iter().filter(|&&byte| byte != 0xff).count();
    Ok(count as f32 / length as f32)
}

/// The partition that covers an offset, else the device of the whole chip.
fn area(store: &Store, chip: usize, offset: u64) -> String {
    let covers = |device: &&image::DeviceView| {
        device.chip == chip && (device.offset..device.offset + device.size).contains(&offset)
    };
    let devices = store.devices();
    let mut covering = devices.iter().filter(covers);
    let found = covering
        .clone()
        .find(|device| device.is_partition)
        .or(covering.next());
    found.map_or_else(
        || "no partition".to_owned(),
        |device| format!("mtd{} {}", device.index, device.name),
    )
}

type Touched = Vec<(u32, Touch)>;

/// What a run did to the blocks of a chip, and that in words.
fn touched_blocks(store: &Store, chip: &str, args: &MapArgs) -> Result<(Touched, String)> {
    let Some(name) = &args.since else {
        return Ok((Vec::new(), String::new()));
    };
    let run = runs::find(store, name)?;
    let areas = compare::boards(&Store::open(&run.before())?, store)?;
    let touch = |block: &compare::BlockDiff| {
        if block.is_erased {
            Touch::Erased
        } else {
            Touch::Written
        }
    };
    let touched: Touched = areas
        .iter()
        .filter(|area| area.chip == chip)
        .flat_map(|area| area.blocks.iter().map(|block| (block.block, touch(block))))
        .collect();
    let count = |wanted: Touch| {
        let blocks = touched.iter().filter(|(_, touch)| *touch == wanted).count();
        bytes::count(blocks as u64, "block")
    };
    let is_last = runs::all(store)
        .last()
        .is_some_and(|last| last.number == run.number);
    let head = if is_last && !run.command().is_empty() {
        let mut command: String = run.command().chars().take(COMMAND_SHOWN).collect();
        if command.len() < run.command().len() {
            command += " ...";
        }
        format!("run {}, {command}", run.number)
    } else {
        format!("since run {}", run.number)
    };
    let words = format!(
        "{head}: {} written, {} left erased",
        count(Touch::Written),
        count(Touch::Erased)
    );
    Ok((touched, words))
}
