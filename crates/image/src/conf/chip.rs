//! `[chip.NAME]`: the keys of a chip, and the chip they make.

mod resolve;

use core::cmp::Reverse;

use flash::{BlockProtect, Ecc, Kind, LockScheme, OtpArea};

use super::lex::{Value, numbers};
use super::{At, units};
use crate::board::{FILE_NAME_BYTES, MTD_NAME_BYTES};
use crate::presets::{PRESETS, Preset, preset};
use crate::problem::Problem;

/// Whose rules the chip follows: alignment of erase, flags, the default name of the master.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    SpiNor,
    /// CFI with the Intel command set.
    Cfi,
    /// CFI with the AMD command set.
    CfiAmd,
    Mtdram,
    Nandsim,
    Nand,
    SpiNand,
    /// Map drivers for ROM, dataflash, and NOR drivers of one's own.
    Other,
}

const DRIVERS: &[(&str, Driver, Kind)] = &[
    ("spi-nor", Driver::SpiNor, Kind::Nor),
    ("cfi", Driver::Cfi, Kind::Nor),
    ("cfi-amd", Driver::CfiAmd, Kind::Nor),
    ("other", Driver::Other, Kind::Nor),
    ("mtdram", Driver::Mtdram, Kind::Ram),
    ("nandsim", Driver::Nandsim, Kind::Nand),
    ("spi-nand", Driver::SpiNand, Kind::Nand),
];

const KINDS: &[(&str, Kind)] = &[
    ("nor", Kind::Nor),
    ("nand", Kind::Nand),
    ("mlc-nand", Kind::MlcNand),
    ("ram", Kind::Ram),
    ("rom", Kind::Rom),
    ("dataflash", Kind::Dataflash),
];

pub const KEYS: &[&str] = &[
    "preset",
    "type",
    "driver",
    "size",
    "erasesize",
    "writesize",
    "oobsize",
    "subpages",
    "ecc",
    "lock",
    "power_up_lock",
    "otp_user",
    "otp_factory",
    "otp_erase",
    "erase_regions",
    "bad_blocks",
    "name",
    "image",
    "oob",
    "mtdparts",
    "proc_mtd",
    "keep_master",
];

/// What the text says about a chip; what it does not say is None.
#[derive(Clone, Copy)]
pub struct ChipDraft<'a> {
    pub name: &'a str,
    /// The line of `[chip.NAME]`.
    pub at: At<'a>,
    /// The line of each key, 0 when it is not there; in the order of `KEYS`.
    lines: [u32; KEYS.len()],
    preset: Option<&'static Preset>,
    kind: Option<Kind>,
    driver: Option<(Driver, Kind)>,
    pub size: Option<u64>,
    pub erasesize: Option<u64>,
    writesize: Option<u64>,
    oobsize: Option<u64>,
    subpages: Option<u64>,
    ecc: Option<Ecc>,
    lock: Option<LockScheme>,
    power_up_lock: bool,
    otp_user: Option<OtpArea>,
    otp_factory: Option<OtpArea>,
    otp_erase: bool,
    erase_regions: Option<&'a str>,
    bad_blocks: Option<&'a str>,
    pub mtd_name: Option<&'a str>,
    pub image: Option<&'a str>,
    oob: Option<&'a str>,
    pub mtdparts: Option<&'a str>,
    pub proc_mtd: Option<&'a str>,
    pub keep_master: bool,
}

impl<'a> ChipDraft<'a> {
    pub fn new(name: &'a str, at: At<'a>) -> Self {
        ChipDraft {
            name,
            at,
            lines: [0; KEYS.len()],
            preset: None,
            kind: None,
            driver: None,
            size: None,
            erasesize: None,
            writesize: None,
            oobsize: None,
            subpages: None,
            ecc: None,
            lock: None,
            power_up_lock: false,
            otp_user: None,
            otp_factory: None,
            otp_erase: false,
            erase_regions: None,
            bad_blocks: None,
            mtd_name: None,
            image: None,
            oob: None,
            mtdparts: None,
            proc_mtd: None,
            keep_master: false,
        }
    }

    /// Where a key stands, or the table when it is not there.
    pub fn at_key(&self, key: &str) -> At<'a> {
        let line = KEYS
            .iter()
            .position(|known| *known == key)
            .and_then(|index| self.lines.get(index));
        At {
            line: line
                .copied()
                .filter(|&line| line != 0)
                .unwrap_or(self.at.line),
            ..self.at
        }
    }

    pub fn set(&mut self, key: &'a str, value: Value<'a>, at: At<'a>) -> Result<(), Problem> {
        let index = at.index_of_key(KEYS, key)?;
        if let Some(line) = self.lines.get_mut(index) {
            at.check_first(key, *line)?;
            *line = at.line;
        }
        match key {
            "preset" => self.preset = Some(find_preset(at.text(key, value)?, at)?),
            "type" => {
                self.kind =
                    Some(at.choice(key, value, KINDS.iter().map(|&(name, kind)| (name, kind)))?)
            }
            "driver" => {
                let choices = DRIVERS
                    .iter()
                    .map(|&(name, driver, kind)| (name, (driver, kind)));
                self.driver = Some(at.choice(key, value, choices)?);
            }
            "size" => self.size = Some(at.size(key, value)?),
            "erasesize" => self.erasesize = Some(at.size(key, value)?),
            "writesize" => self.writesize = Some(at.size(key, value)?),
            "oobsize" => self.oobsize = Some(at.size(key, value)?),
            "subpages" => self.subpages = Some(at.size(key, value)?),
            "ecc" => self.ecc = Some(at.choice(key, value, ECC_NAMES.iter().copied())?),
            "lock" => self.lock = Some(at.choice(key, value, LOCK_NAMES.iter().copied())?),
            "power_up_lock" => self.power_up_lock = at.flag(key, value)?,
            "otp_user" => self.otp_user = Some(otp(at, key, value)?),
            "otp_factory" => self.otp_factory = Some(otp(at, key, value)?),
            "otp_erase" => self.otp_erase = at.flag(key, value)?,
            "erase_regions" => self.erase_regions = Some(at.text(key, value)?),
            "bad_blocks" => self.bad_blocks = Some(at.list(key, value)?),
            "name" => self.mtd_name = Some(at.short_text::<MTD_NAME_BYTES>(key, value)?),
            "image" => self.image = Some(at.short_text::<FILE_NAME_BYTES>(key, value)?),
            "oob" => self.oob = Some(at.short_text::<FILE_NAME_BYTES>(key, value)?),
            "mtdparts" => self.mtdparts = Some(at.text(key, value)?),
            "proc_mtd" => self.proc_mtd = Some(at.short_text::<FILE_NAME_BYTES>(key, value)?),
            _ => self.keep_master = at.flag(key, value)?,
        }
        Ok(())
    }

    /// The simulator makes one partition of the whole chip when nobody asks for others.
    pub fn is_one_partition(&self) -> bool {
        self.driver
            .is_some_and(|(driver, _)| driver == Driver::Nandsim)
    }
}

const ECC_NAMES: &[(&str, Ecc)] = &[
    ("none", Ecc::None),
    ("on-die", Ecc::OnDie),
    ("hamming", Ecc::Hamming),
    ("bch1", Ecc::Bch { strength: 1 }),
    ("bch2", Ecc::Bch { strength: 2 }),
    ("bch3", Ecc::Bch { strength: 3 }),
    ("bch4", Ecc::Bch { strength: 4 }),
    ("bch5", Ecc::Bch { strength: 5 }),
    ("bch6", Ecc::Bch { strength: 6 }),
    ("bch7", Ecc::Bch { strength: 7 }),
    ("bch8", Ecc::Bch { strength: 8 }),
];

const LOCK_NAMES: &[(&str, LockScheme)] = &[
    ("none", LockScheme::None),
    ("per-block", LockScheme::PerBlock),
    ("block-protect", LockScheme::BlockProtect(BlockProtect::TOP)),
    (
        "block-protect-tb",
        LockScheme::BlockProtect(BlockProtect::TOP_BOTTOM),
    ),
    (
        "block-protect-4bit",
        LockScheme::BlockProtect(BlockProtect::TOP_4),
    ),
    (
        "block-protect-4bit-tb",
        LockScheme::BlockProtect(BlockProtect::TOP_BOTTOM_4),
    ),
    (
        "block-protect-programs",
        LockScheme::BlockProtect(BlockProtect::PROGRAMS_ONLY),
    ),
];

/// The word for a lock scheme in the configuration.
pub fn lock_name(lock: LockScheme) -> &'static str {
    LOCK_NAMES
        .iter()
        .find(|(_, known)| *known == lock)
        .map_or("none", |(name, _)| name)
}

const OTP_BYTES_MAX: u64 = 1 << 20;

fn otp<'a>(at: At<'a>, key: &str, value: Value<'a>) -> Result<OtpArea, Problem> {
    let text = at.text(key, value)?;
    let area = units::times(text).filter(|&(count, length)| {
        length > 0 && u64::from(count) * u64::from(length) <= OTP_BYTES_MAX
    });
    let (region_count, region_length) = area.ok_or_else(|| {
        at.problem(
            format_args!("{key} cannot be read"),
            format_args!("write regions x bytes, at most 1M: \"3x256\""),
        )
    })?;
    Ok(OtpArea {
        region_length,
        region_count,
    })
}

fn find_preset(name: &str, at: At<'_>) -> Result<&'static Preset, Problem> {
    preset(name).ok_or_else(|| {
        let what = format_args!("no preset is called '{name}'");
        // A chip of the same family is more useful than one whose name looks alike elsewhere.
        let shared = |preset: &&Preset| {
            preset
                .name
                .bytes()
                .zip(name.bytes())
                .take_while(|(a, b)| a == b)
                .count()
        };
        match PRESETS
            .iter()
            .max_by_key(|preset| (shared(preset), Reverse(preset.name.len())))
            .filter(|preset| shared(preset) >= 3)
        {
            Some(near) => at.problem(
                what,
                format_args!("the nearest is '{}'; else give type and size", near.name),
            ),
            None => at.problem(what, format_args!("give type, size, erasesize ... instead")),
        }
    })
}
