//! One chip as the compiled board keeps it.

use core::sync::atomic::AtomicU32;

use flash::Geometry;

use super::words::{get, load_text, load_words, put, put_text};
use crate::geometry_words::{self, GEOMETRY_WORDS};
use crate::text::Text;

pub const CHIPS_MAX: usize = 16;
pub const BAD_BLOCKS_MAX: usize = 32;
pub const CHIP_NAME_BYTES: usize = 32;
pub const MTD_NAME_BYTES: usize = 64;
pub const FILE_NAME_BYTES: usize = 256;
/// Hexadecimal digits of what the factory wrote into its one-time-programmable area.
pub const FACTORY_DIGITS: usize = 64;

pub const CHIP_WORDS: usize = 256;
const FLAGS_AT: usize = GEOMETRY_WORDS;
const BAD_COUNT_AT: usize = FLAGS_AT + 1;
const BAD_AT: usize = BAD_COUNT_AT + 1;
const NAME_AT: usize = BAD_AT + BAD_BLOCKS_MAX;
const MTD_NAME_AT: usize = NAME_AT + CHIP_NAME_BYTES / 4;
const IMAGE_AT: usize = MTD_NAME_AT + MTD_NAME_BYTES / 4;
const OOB_AT: usize = IMAGE_AT + FILE_NAME_BYTES / 4;
const FACTORY_AT: usize = OOB_AT + FILE_NAME_BYTES / 4;
const _: () = assert!(FACTORY_AT + FACTORY_DIGITS / 4 <= CHIP_WORDS);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChipConfig {
    /// The NAME of `[chip.NAME]`; its files are named after it.
    pub name: Text<CHIP_NAME_BYTES>,
    /// The name of the master, as in `mtdparts=` and in /proc/mtd.
    pub mtd_name: Text<MTD_NAME_BYTES>,
    pub geometry: Geometry,
    /// `MTD_*` flags of the whole chip.
    pub mtd_flags: u32,
    /// Relative to the board's directory; empty for NAME.bin.
    pub image: Text<FILE_NAME_BYTES>,
    /// Relative to the board's directory; empty for NAME.oob.
    pub oob: Text<FILE_NAME_BYTES>,
    pub bad_block_list: [u32; BAD_BLOCKS_MAX],
    pub bad_block_count: u32,
    /// Written into the factory's area when the side file is made.
    pub otp_factory_data: Text<FACTORY_DIGITS>,
}

impl ChipConfig {
    /// A chip of which nothing is known yet.
    pub fn empty() -> ChipConfig {
        ChipConfig {
            name: Text::new(),
            mtd_name: Text::new(),
            geometry: Geometry {
                kind: flash::Kind::Nor,
                size: 0,
                erasesize: 0,
                writesize: 0,
                oobsize: 0,
                subpage_shift: 0,
                ecc: flash::Ecc::None,
                erase_alignment: flash::EraseAlignment::StartAndLength,
                command_set: flash::CommandSet::Other,
                lock: flash::LockScheme::None,
                mark_pages: flash::MarkPages::First,
                otp_user: Default::default(),
                otp_factory: Default::default(),
                otp_erasable: false,
                region_count: 0,
                regions: Default::default(),
            },
            mtd_flags: 0,
            image: Text::new(),
            oob: Text::new(),
            bad_block_list: [0; BAD_BLOCKS_MAX],
            bad_block_count: 0,
            otp_factory_data: Text::new(),
        }
    }

    /// Blocks that the maker of the chip marked bad.
    pub fn bad_blocks(&self) -> &[u32] {
        self.bad_block_list
            .get(..self.bad_block_count as usize)
            .unwrap_or(&[])
    }

    /// The bytes of the factory's area, as far as the configuration knows them.
    pub fn factory_bytes(&self) -> impl Iterator<Item = u8> {
        let digit = |pair: &[u8], index: usize| {
            let digit = pair
                .get(index)
                .map_or(0, |&digit| char::from(digit).to_digit(16).unwrap_or(0));
            digit as u8
        };
        let pairs = self.otp_factory_data.as_str().as_bytes().chunks(2);
        pairs.map(move |pair| digit(pair, 0) << 4 | digit(pair, 1))
    }

    pub(super) fn store(&self, to: &[AtomicU32]) {
        for (index, word) in geometry_words::encode(&self.geometry)
            .into_iter()
            .enumerate()
        {
            put(to, index, word);
        }
        put(to, FLAGS_AT, self.mtd_flags);
        put(to, BAD_COUNT_AT, self.bad_block_count);
        for (index, &block) in self.bad_block_list.iter().enumerate() {
            put(to, BAD_AT + index, block);
        }
        for (at, size, text) in [
            (NAME_AT, CHIP_NAME_BYTES, self.name.as_str()),
            (MTD_NAME_AT, MTD_NAME_BYTES, self.mtd_name.as_str()),
            (IMAGE_AT, FILE_NAME_BYTES, self.image.as_str()),
            (OOB_AT, FILE_NAME_BYTES, self.oob.as_str()),
            (FACTORY_AT, FACTORY_DIGITS, self.otp_factory_data.as_str()),
        ] {
            put_text(to, at, size, text);
        }
    }

    pub(super) fn load(from: &[AtomicU32]) -> Option<ChipConfig> {
        let mut chip = ChipConfig::empty();
        chip.geometry = geometry(from)?;
        chip.mtd_flags = get(from, FLAGS_AT);
        load_words(from.get(BAD_AT..)?, &mut chip.bad_block_list);
        chip.bad_block_count = get(from, BAD_COUNT_AT).min(BAD_BLOCKS_MAX as u32);
        load_text(from, NAME_AT, &mut chip.name);
        load_text(from, MTD_NAME_AT, &mut chip.mtd_name);
        load_text(from, IMAGE_AT, &mut chip.image);
        load_text(from, OOB_AT, &mut chip.oob);
        load_text(from, FACTORY_AT, &mut chip.otp_factory_data);
        Some(chip)
    }
}

#[inline(never)]
pub(super) fn geometry(from: &[AtomicU32]) -> Option<Geometry> {
    let mut encoded = [0; GEOMETRY_WORDS];
    load_words(from, &mut encoded);
    geometry_words::decode(&encoded)
}
