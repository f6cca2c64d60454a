//! `mtdshim ls`: the mtd devices as a guest sees them, with what their first good block holds.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use image::DeviceView;
use mtd_abi::flag;
use serde::Serialize;

use super::Context;
use crate::bytes;
use crate::content::{self, Content};
use crate::output;
use crate::store::{Access, OpenChip, Store};
use crate::ubi::{self, Volume};

/// A range up to this size is looked at whole.
const WHOLE_BYTES_MAX: u64 = 64 << 20;

#[derive(Serialize)]
struct Row {
    mtd: u32,
    name: String,
    chip: String,
    offset: u64,
    size: u64,
    erasesize: u32,
    writable: bool,
    bad_blocks: u32,
    used_blocks: u32,
    wear_max: u32,
    content: String,
    /// Where it is UBI.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<Volume>,
}

pub fn run(context: &Context, place: Option<&Path>) -> Result<ExitCode> {
    let store = context.open(place)?;
    let rows: Vec<Row> = store
        .devices()
        .iter()
        .map(|device| row(&store, device))
        .collect::<Result<_>>()?;
    if context.json {
        output::json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cells = |row: &Row| {
        vec![
            format!("mtd{}", row.mtd),
            row.name.clone(),
            row.chip.clone(),
            format!("{:#x}", row.offset),
            bytes::human(row.size),
            bytes::exact(row.erasesize.into()),
            if row.writable { "rw" } else { "ro" }.to_owned(),
            row.bad_blocks.to_string(),
            row.wear_max.to_string(),
            row.content.clone(),
        ]
    };
    let columns = [
        "DEVICE", "NAME", "CHIP", ">OFFSET", ">SIZE", ">BLOCK", "MODE", ">BAD", ">WEAR", "CONTENT",
    ];
    output::table(&columns, rows.iter().map(cells).collect())?;
    for row in rows.iter().filter(|row| !row.volumes.is_empty()) {
        output::line(format!("\nUBI volumes of mtd{} \"{}\":", row.mtd, row.name))?;
        volumes(&row.volumes)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn volumes(volumes: &[Volume]) -> Result<()> {
    let cells = |volume: &Volume| {
        let notes = [
            (volume.autoresize, "grows at its first attach"),
            (volume.update_broken_off, "an update was broken off"),
        ];
        let notes = notes.iter().filter(|(is_so, _)| *is_so);
        let mut content = vec![volume.content.as_str()];
        content.extend(notes.map(|(_, words)| *words));
        vec![
            volume.id.to_string(),
            volume.name.clone(),
            volume.r#type.to_owned(),
            bytes::human(volume.size),
            volume.reserved_blocks.to_string(),
            volume.used_blocks.to_string(),
            content.join(", "),
        ]
    };
    let columns = [
        ">VOLUME", "NAME", "TYPE", ">SIZE", ">BLOCKS", ">USED", "CONTENT",
    ];
    output::table(&columns, volumes.iter().map(cells).collect())
}

fn row(store: &Store, device: &DeviceView) -> Result<Row> {
    let config = store.chip(device.chip)?;
    let mut row = Row {
        mtd: device.index,
        name: device.name.as_str().to_owned(),
        chip: config.name.as_str().to_owned(),
        offset: device.offset,
        size: device.size,
        erasesize: device.erasesize,
        writable: device.flags & flag::WRITEABLE != 0,
        bad_blocks: 0,
        used_blocks: 0,
        wear_max: 0,
        content: "not made yet".to_owned(),
        volumes: Vec::new(),
    };
    let mut chip = match store.open_chip(device.chip, Access::Look) {
        Ok(chip) => chip,
        Err(_) if !store.has_files(device.chip)? => return Ok(row),
        Err(_) => {
            row.content = "cannot be read; see: mtdshim check".to_owned();
            return Ok(row);
        }
    };
    let blocks = chip.blocks(device.offset, device.size);
    let bad = blocks.iter().filter(|block| chip.is_bad(block.index));
    row.bad_blocks = bad.count() as u32;
    let wear = blocks.iter().map(|block| chip.wear(block.index));
    row.wear_max = wear.max().unwrap_or(0);
    let mut scan = ubi::Scan::default();
    let (found, used) = look(&mut chip, device.offset, device.size, &mut scan)?;
    row.content = found.words().to_owned();
    if found == Content::Known("UBI".to_owned()) && !scan.is_empty() {
        row.content = scan.words();
        row.volumes = scan.volumes().unwrap_or_default();
    }
    row.used_blocks = used;
    Ok(row)
}

/// What a range holds, bad blocks left out as every reader of NAND does, and how many blocks are not erased.
fn look(
    chip: &mut OpenChip,
    offset: u64,
    size: u64,
    scan: &mut ubi::Scan,
) -> Result<(Content, u32)> {
    let mut whole = Vec::new();
    let (mut used, mut seen) = (0, 0u64);
    for block in chip.blocks(offset, size) {
        if chip.is_bad(block.index) {
            continue;
        }
        let from = block.start.max(offset);
        let length = (block.end().min(offset + size) - from) as usize;
        let mut buffer = vec![0; length];
        chip.read_raw(from, &mut buffer, None)?;
        used += u32::from(buffer.iter().any(|&byte| byte != 0xff));
        seen += length as u64;
        scan.block(&buffer);
        if seen <= WHOLE_BYTES_MAX || whole.len() < content::HEAD_BYTES {
            whole.extend_from_slice(&buffer);
        }
    }
    let head = &whole[..whole.len().min(content::HEAD_BYTES)];
    let is_whole = whole.len() as u64 == seen;
    let found = content::classify(head, is_whole.then_some(&whole[..]));
    Ok((if used == 0 { Content::Erased } else { found }, used))
}
