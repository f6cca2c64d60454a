//! The live device table: which mtdN exist. Shared by all processes, changed under the board's lock.
//!
//! Numbers and rules are the kernel's (`mtdcore.c`, `mtdpart.c`): the lowest free index, nothing refused for
//! alignment or overlap, WRITEABLE dropped instead.

use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};

use flash::Geometry;
use mtd_abi::flag;

use super::chip::{ChipConfig, FILE_NAME_BYTES, MTD_NAME_BYTES};
use super::hardware::Place;
use super::words::{get, get_text, get_u64, load_text, put, put_text, put_u64};
use crate::text::Text;

pub const DEVICES_MAX: usize = 64;
pub const DEVICE_WORDS: usize = 104;

const IN_USE: usize = 0;
const CHIP: usize = 1;
const OFFSET: usize = 2;
const SIZE: usize = 4;
const PARENT_OFFSET: usize = 6;
const FLAGS: usize = 8;
const IS_PARTITION: usize = 9;
const ERASESIZE: usize = 10;
const GENERATION: usize = 11;
const CORRECTED: usize = 12;
const FAILED: usize = 13;
const BAD_BLOCKS: usize = 14;
const BBT_BLOCKS: usize = 15;
pub const THRESHOLD: usize = 16;
const COUNTED: usize = 17;
const BLOCK_SETTINGS: usize = 18;
const KEPT_START: usize = 19;
const KEPT_LENGTH: usize = 21;
const NAME: usize = 24;
const UEVENT: usize = NAME + MTD_NAME_BYTES / 4;
const _: () = assert!(UEVENT + FILE_NAME_BYTES / 4 <= DEVICE_WORDS);

/// One mtd device as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceView {
    /// The N of mtdN.
    pub index: u32,
    pub name: Text<MTD_NAME_BYTES>,
    /// Number of the chip on the board.
    pub chip: usize,
    /// Where it starts in the chip's image.
    pub offset: u64,
    /// What sysfs calls `offset`: relative to the parent, which a partition with its own image does not share.
    pub parent_offset: u64,
    pub size: u64,
    /// The largest of the eraseblocks it covers.
    pub erasesize: u32,
    /// Effective: WRITEABLE is missing where it is read-only or not on eraseblock boundaries.
    pub flags: u32,
    pub is_partition: bool,
    /// Changes whenever the index is given to another device.
    pub generation: u32,
}

/// Counters of a device since it was registered; live, so any process may add.
#[derive(Clone, Copy, Debug)]
pub struct DeviceStats<'a> {
    pub corrected: &'a AtomicU32,
    pub failed: &'a AtomicU32,
    pub bad_blocks: &'a AtomicU32,
    pub bbt_blocks: &'a AtomicU32,
    pub bitflip_threshold: &'a AtomicU32,
    /// 0 until somebody has counted the bad blocks of the device.
    pub counted: &'a AtomicU32,
    /// What was set by ioctl on the block device; `chardev` knows the bits.
    pub block_settings: &'a AtomicU32,
}

/// What is asked for when a device is registered.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub name: &'a str,
    pub chip: usize,
    pub offset: u64,
    pub parent_offset: u64,
    pub size: u64,
    pub erasesize: u32,
    pub flags: u32,
    pub is_partition: bool,
    pub bitflip_threshold: u32,
    /// See `Hardware`.
    pub uevent: &'a str,
}

/// A partition as the kernel places it on its parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    pub offset: u64,
    pub size: u64,
    pub erasesize: u32,
    pub flags: u32,
}

/// Nothing is refused: out of reach becomes empty, too long is cut, unaligned loses WRITEABLE.
pub fn place(geometry: &Geometry, parent_flags: u32, offset: u64, size: u64) -> Placed {
    if offset >= geometry.size {
        return Placed {
            offset: 0,
            size: 0,
            erasesize: geometry.erasesize,
            flags: parent_flags,
        };
    }
    let size = size.min(geometry.size - offset);
    let end = offset + size;
    let covers = |region: &&flash::EraseRegion| {
        let region_end = region
            .offset
            .saturating_add(u64::from(region.erasesize) * u64::from(region.block_count));
        region.offset < end && region_end > offset
    };
    let largest = geometry
        .erase_regions()
        .iter()
        .filter(covers)
        .map(|region| region.erasesize)
        .max();
    let erasesize = largest.unwrap_or(geometry.erasesize);
    let alignment = if parent_flags & flag::NO_ERASE != 0 {
        geometry.writesize
    } else {
        erasesize
    };
    let alignment = u64::from(alignment.max(1));
    let aligned = offset.is_multiple_of(alignment) && end.is_multiple_of(alignment);
    let flags = if aligned {
        parent_flags
    } else {
        parent_flags & !flag::WRITEABLE
    };
    Placed {
        offset,
        size,
        erasesize,
        flags,
    }
}

/// The request for a whole chip.
pub fn master_request(chip_index: usize, chip: &ChipConfig) -> Request<'_> {
    Request {
        name: chip.mtd_name.as_str(),
        chip: chip_index,
        offset: 0,
        parent_offset: 0,
        size: chip.geometry.size,
        erasesize: chip.geometry.erasesize,
        flags: chip.mtd_flags,
        is_partition: false,
        bitflip_threshold: chip.geometry.bitflip_threshold_default(),
        uevent: "",
    }
}

/// The words of all devices.
#[derive(Clone, Copy, Debug)]
pub struct DeviceTable<'a> {
    pub words: &'a [AtomicU32],
}

impl<'a> DeviceTable<'a> {
    fn device_words(&self, index: usize) -> Option<&'a [AtomicU32]> {
        let start = index.checked_mul(DEVICE_WORDS)?;
        (index < DEVICES_MAX).then(|| self.words.get(start..start + DEVICE_WORDS))?
    }

    pub fn is_in_use(&self, index: usize) -> bool {
        self.device_words(index)
            .is_some_and(|words| get(words, IN_USE) != 0)
    }

    pub fn view(&self, index: usize) -> Option<DeviceView> {
        let words = self
            .device_words(index)
            .filter(|words| get(words, IN_USE) != 0)?;
        Some(DeviceView {
            index: index as u32,
            name: get_text(words, NAME),
            chip: get(words, CHIP) as usize,
            offset: get_u64(words, OFFSET),
            parent_offset: get_u64(words, PARENT_OFFSET),
            size: get_u64(words, SIZE),
            erasesize: get(words, ERASESIZE),
            flags: get(words, FLAGS),
            is_partition: get(words, IS_PARTITION) != 0,
            generation: get(words, GENERATION),
        })
    }

    pub fn stats(&self, index: usize) -> Option<DeviceStats<'a>> {
        let words = self.device_words(index)?;
        Some(DeviceStats {
            corrected: words.get(CORRECTED)?,
            failed: words.get(FAILED)?,
            bad_blocks: words.get(BAD_BLOCKS)?,
            bbt_blocks: words.get(BBT_BLOCKS)?,
            bitflip_threshold: words.get(THRESHOLD)?,
            counted: words.get(COUNTED)?,
            block_settings: words.get(BLOCK_SETTINGS)?,
        })
    }

    /// What of a chip waits in the write-back cache of a device's block device; empty if nothing does.
    pub fn kept(&self, index: usize, chip: usize) -> Range<u64> {
        let words = self.device_words(index).unwrap_or(&[]);
        let start = get_u64(words, KEPT_START);
        match get(words, KEPT_LENGTH) {
            length if get(words, CHIP) as usize == chip => start..start + u64::from(length),
            _ => 0..0,
        }
    }

    /// The length last: what it stands for is whole then.
    pub fn set_kept(&self, index: usize, range: &Range<u64>) {
        let words = self.device_words(index).unwrap_or(&[]);
        put(words, KEPT_LENGTH, 0);
        put_u64(words, KEPT_START, range.start);
        if let Some(length) = words.get(KEPT_LENGTH) {
            length.store((range.end - range.start) as u32, Ordering::Release);
        }
    }

    pub fn load_uevent(&self, index: usize, uevent: &mut Place) {
        load_text(self.device_words(index).unwrap_or(&[]), UEVENT, uevent);
    }

    /// Registers under the lowest free index; none when the table is full.
    pub fn register(&self, request: &Request<'_>) -> Option<u32> {
        let index = (0..DEVICES_MAX).find(|&index| !self.is_in_use(index))?;
        let words = self.device_words(index)?;
        let generation = get(words, GENERATION).wrapping_add(1);
        put(words, CHIP, request.chip as u32);
        put_u64(words, OFFSET, request.offset);
        put_u64(words, PARENT_OFFSET, request.parent_offset);
        put_u64(words, SIZE, request.size);
        put(words, FLAGS, request.flags);
        put(words, IS_PARTITION, u32::from(request.is_partition));
        put(words, ERASESIZE, request.erasesize);
        put(words, GENERATION, generation);
        for counter in [
            CORRECTED,
            FAILED,
            BAD_BLOCKS,
            BBT_BLOCKS,
            COUNTED,
            BLOCK_SETTINGS,
            KEPT_LENGTH,
        ] {
            put(words, counter, 0);
        }
        put(words, THRESHOLD, request.bitflip_threshold);
        put_text(words, NAME, MTD_NAME_BYTES, request.name);
        put_text(words, UEVENT, FILE_NAME_BYTES, request.uevent);
        // Last, so that a process that dies here leaves no half device.
        words.get(IN_USE)?.store(1, Ordering::Release);
        Some(index as u32)
    }

    pub fn remove(&self, index: usize) {
        if let Some(words) = self.device_words(index) {
            put(words, IN_USE, 0);
        }
    }
}
