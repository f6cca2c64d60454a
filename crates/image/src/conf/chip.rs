//! `[chip.NAME]`: the keys of a chip, and the chip they make.

mod resolve;

use flash::{Kind, LockScheme};

use super::keys::{self, Draft, Keys, Takes};
use super::lex::Value;
use super::{At, scan};
use crate::board::ChipConfig;
use crate::geometry_words;
use crate::presets;
use crate::text::PathText;

pub use resolve::resolve;

/// Whose rules the chip follows: alignment of erase, flags, the default name of the master.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    SpiNor,
    /// CFI with the Intel command set.
    Cfi,
    /// CFI with the AMD command set.
    CfiAmd,
    /// Map drivers for ROM, dataflash, and NOR drivers of one's own.
    Other,
    Mtdram,
    Nandsim,
    SpiNand,
    /// Has no word in the configuration: what a NAND has without one.
    Nand,
}

/// In the order of the words in `keys::DRIVERS`.
const DRIVERS: [(Driver, Kind); 7] = [
    (Driver::SpiNor, Kind::Nor),
    (Driver::Cfi, Kind::Nor),
    (Driver::CfiAmd, Kind::Nor),
    (Driver::Other, Kind::Nor),
    (Driver::Mtdram, Kind::Ram),
    (Driver::Nandsim, Kind::Nand),
    (Driver::SpiNand, Kind::Nand),
];

/// In the order of the words in `keys::KINDS`.
const KINDS: [Kind; 6] = [
    Kind::Nor,
    Kind::Nand,
    Kind::MlcNand,
    Kind::Ram,
    Kind::Rom,
    Kind::Dataflash,
];

pub const PRESET: usize = 0;
pub const TYPE: usize = 1;
pub const DRIVER: usize = 2;
pub const SIZE: usize = 3;
pub const ERASESIZE: usize = 4;
pub const WRITESIZE: usize = 5;
pub const OOBSIZE: usize = 6;
pub const SUBPAGES: usize = 7;
pub const ECC: usize = 8;
pub const LOCK: usize = 9;
pub const POWER_UP_LOCK: usize = 10;
pub const OTP_USER: usize = 11;
pub const OTP_FACTORY: usize = 12;
pub const OTP_ERASE: usize = 13;
pub const ERASE_REGIONS: usize = 14;
pub const BAD_BLOCKS: usize = 15;
pub const NAME: usize = 16;
pub const IMAGE: usize = 17;
pub const OOB: usize = 18;
pub const MTDPARTS: usize = 19;
pub const PROC_MTD: usize = 20;
pub const KEEP_MASTER: usize = 21;
pub const OTP_FACTORY_DATA: usize = 22;
pub const PARENT: usize = 23;
pub const PARENT_UEVENT: usize = 24;
pub const UEVENT: usize = 25;
pub const BAD_BLOCK_MARKS: usize = 26;

pub static KEYS: Keys = Keys {
    names: "preset type driver size erasesize writesize oobsize subpages ecc lock power_up_lock otp_user otp_factory \
            otp_erase erase_regions bad_blocks name image oob mtdparts proc_mtd keep_master otp_factory_data parent parent_uevent uevent \
            bad_block_marks",
    takes: &[
        Takes::Preset,
        Takes::Kind,
        Takes::Driver,
        Takes::Size,
        Takes::Size,
        Takes::Size,
        Takes::Size,
        Takes::Size,
        Takes::Ecc,
        Takes::Lock,
        Takes::Flag,
        Takes::Times,
        Takes::Times,
        Takes::Flag,
        Takes::Text,
        Takes::Numbers,
        Takes::Name,
        Takes::File,
        Takes::File,
        Takes::Text,
        Takes::File,
        Takes::Flag,
        Takes::Name,
        Takes::Device,
        Takes::File,
        Takes::File,
        Takes::Marks,
    ],
};

const _: () = assert!(KEYS.takes.len() <= keys::KEYS_MAX);

/// What the columns of a preset are, behind its name and its driver (see presets.rs).
const PRESET_COLUMNS: [usize; 9] = [
    SIZE,
    ERASESIZE,
    LOCK,
    WRITESIZE,
    OOBSIZE,
    BAD_BLOCK_MARKS,
    ECC,
    OTP_USER,
    ERASE_REGIONS,
];

/// Fills in what a preset knows and the text does not say; the preset's driver and its type.
fn apply_preset(draft: &mut Draft<'_>) -> Option<(Driver, Kind)> {
    let name = draft.text(PRESET)?;
    let mut columns = presets::find(name)?.split_ascii_whitespace().skip(1);
    let driver = columns.next()?;
    for (key, column) in PRESET_COLUMNS.into_iter().zip(columns) {
        // A dash is what the chip's type has anyway.
        if column != "-" {
            draft.set_default(key, column);
            // The SPI NOR chips whose OTP area Linux drives are those whose area can be erased.
            if key == OTP_USER {
                draft.set_default(OTP_ERASE, "true");
            }
        }
    }
    match scan::index_of(keys::DRIVERS, driver) {
        Some(index) => DRIVERS.get(index).copied(),
        None => Some((Driver::Nand, Kind::Nand)),
    }
}

pub fn is_simulator(draft: &Draft<'_>) -> bool {
    draft.number(DRIVER) == scan::index_of(keys::DRIVERS, "nandsim").map(|index| index as u64)
}

/// The chip that a preset is without further words.
pub fn of_preset(name: &str) -> Option<ChipConfig> {
    let file = PathText::empty();
    let at = At {
        file: &file,
        line: 0,
    };
    let mut draft = Draft::new(&KEYS, name, at);
    draft.set("preset", Value::Text(name), at).ok()?;
    let mut chip = ChipConfig::empty();
    resolve(&mut draft, 0, None, &mut chip).ok()?;
    Some(chip)
}

/// The word for a lock scheme in the configuration.
pub fn lock_name(lock: LockScheme) -> &'static str {
    geometry_words::LOCKS
        .iter()
        .filter(|&&known| known != LockScheme::NandUnsupported)
        .zip(keys::LOCKS.split_ascii_whitespace())
        .find(|(known, _)| **known == lock)
        .map_or("none", |(_, name)| name)
}
