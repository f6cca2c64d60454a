//! What differs between two states of a board, block by block.
//!
//! Must not know: how it is shown.

use anyhow::{Result, bail};
use flash::{Block, BlockFlags};
use serde::Serialize;

use crate::interrupt;
use crate::store::{Access, OpenChip, Store};

#[derive(Serialize, Clone, Debug)]
pub struct BlockDiff {
    pub block: u32,
    /// In the chip.
    pub offset: u64,
    pub length: u32,
    pub bytes: u64,
    pub oob_bytes: u64,
    /// Where the first differing byte is, in the chip.
    pub first: Option<u64>,
    /// Erased this often in between.
    pub erases: u32,
    /// Now nothing but 0xFF.
    pub is_erased: bool,
    pub became_bad: bool,
    pub became_locked: bool,
    pub became_unlocked: bool,
}

impl BlockDiff {
    fn is_anything(&self) -> bool {
        self.bytes + self.oob_bytes + u64::from(self.erases) > 0
            || self.became_bad
            || self.became_locked
            || self.became_unlocked
    }
}

#[derive(Serialize, Clone, Debug)]
pub struct AreaDiff {
    pub chip: String,
    /// None for what lies in no partition.
    pub mtd: Option<u32>,
    pub name: String,
    pub blocks_written: usize,
    pub blocks_erased: usize,
    pub erases: u64,
    pub bytes: u64,
    pub blocks: Vec<BlockDiff>,
}

/// Areas with a difference, in the order of the devices of `after`.
pub fn boards(before: &Store, after: &Store) -> Result<Vec<AreaDiff>> {
    let mut areas = Vec::new();
    for (index, config) in after.chips() {
        let Some((old_index, old)) = before
            .chips()
            .into_iter()
            .find(|(_, old)| old.name.as_str() == config.name.as_str())
        else {
            bail!(
                "{}: there is no chip {} on it; compare boards of one description",
                before.directory.display(),
                config.name
            );
        };
        if old.geometry != config.geometry {
            bail!(
                "chip {} has another geometry on {}; compare boards of one description",
                config.name,
                before.directory.display()
            );
        }
        // A chip that was never used has no files; so it has not changed either.
        let Some(mut after_chip) = used(after, index)? else {
            continue;
        };
        let mut before_chip = used(before, old_index)?;
        let blocks = chips(before_chip.as_mut(), &mut after_chip)?;
        areas.extend(by_device(after, index, config.name.as_str(), blocks));
    }
    Ok(areas)
}

/// None for a chip without files.
fn used(store: &Store, index: usize) -> Result<Option<OpenChip>> {
    match store.open_chip(index, Access::Look) {
        Ok(chip) => Ok(Some(chip)),
        Err(_) if !store.has_files(index)? => Ok(None),
        Err(error) => Err(error),
    }
}

/// Without a chip before: compared with an erased one.
fn chips(mut before: Option<&mut OpenChip>, after: &mut OpenChip) -> Result<Vec<BlockDiff>> {
    let geometry = *after.geometry();
    let (page, oobsize) = (geometry.writesize.max(1), geometry.oobsize);
    let mut changed = Vec::new();
    for block in after.blocks(0, geometry.size) {
        interrupt::check()?;
        let oob_length = (block.length / page * oobsize) as usize;
        let read = |chip: &mut OpenChip| -> Result<(Vec<u8>, Vec<u8>)> {
            let (mut data, mut oob) = (vec![0; block.length as usize], vec![0; oob_length]);
            chip.read_raw(
                block.start,
                &mut data,
                (oob_length > 0).then_some(&mut oob[..]),
            )?;
            Ok((data, oob))
        };
        let new = read(after)?;
        let old = match &mut before {
            Some(chip) => read(chip)?,
            None => (vec![0xff; new.0.len()], vec![0xff; new.1.len()]),
        };
        let wear = before.as_ref().map_or(0, |chip| chip.wear(block.index));
        let flags = before
            .as_ref()
            .map_or(BlockFlags::default(), |chip| chip.flags(block.index));
        let diff = block_diff(
            &block,
            &old,
            &new,
            after.wear(block.index).saturating_sub(wear),
            flags,
            after.flags(block.index),
        );
        if diff.is_anything() {
            changed.push(diff);
        }
    }
    Ok(changed)
}

fn block_diff(
    block: &Block,
    old: &(Vec<u8>, Vec<u8>),
    new: &(Vec<u8>, Vec<u8>),
    erases: u32,
    was: BlockFlags,
    is: BlockFlags,
) -> BlockDiff {
    let count = |old: &[u8], new: &[u8]| {
        if old == new {
            0
        } else {
            old.iter().zip(new).filter(|(old, new)| old != new).count() as u64
        }
    };
    let first = old.0.iter().zip(&new.0).position(|(old, new)| old != new);
    BlockDiff {
        block: block.index,
        offset: block.start,
        length: block.length,
        bytes: count(&old.0, &new.0),
        oob_bytes: count(&old.1, &new.1),
        first: first.map(|at| block.start + at as u64),
        erases,
        is_erased: new.0.iter().all(|&byte| byte == 0xff),
        became_bad: is.bad && !was.bad,
        became_locked: is.locked && !was.locked,
        became_unlocked: !is.locked && was.locked,
    }
}

/// A block belongs to the first partition that covers its start.
fn by_device(store: &Store, chip: usize, chip_name: &str, blocks: Vec<BlockDiff>) -> Vec<AreaDiff> {
    let mut areas: Vec<AreaDiff> = Vec::new();
    let devices: Vec<_> = store
        .devices()
        .into_iter()
        .filter(|device| device.chip == chip)
        .collect();
    for block in blocks {
        let covers = |device: &&image::DeviceView| {
            (device.offset..device.offset + device.size).contains(&block.offset)
        };
        let device = devices
            .iter()
            .filter(|device| device.is_partition)
            .find(covers)
            .or_else(|| devices.iter().find(covers));
        let mtd = device.map(|device| device.index);
        let name = device.map_or_else(
            || "outside of all partitions".to_owned(),
            |device| device.name.as_str().to_owned(),
        );
        let position = areas
            .iter()
            .position(|area| area.mtd == mtd)
            .unwrap_or_else(|| {
                areas.push(AreaDiff {
                    chip: chip_name.to_owned(),
                    mtd,
                    name,
                    blocks_written: 0,
                    blocks_erased: 0,
                    erases: 0,
                    bytes: 0,
                    blocks: Vec::new(),
                });
                areas.len() - 1
            });
        let area = &mut areas[position];
        area.blocks_written += usize::from(block.bytes > 0 && !block.is_erased);
        area.blocks_erased += usize::from(block.erases > 0);
        area.erases += u64::from(block.erases);
        area.bytes += block.bytes;
        area.blocks.push(block);
    }
    areas.sort_by_key(|area| area.mtd.unwrap_or(u32::MAX));
    areas
}
