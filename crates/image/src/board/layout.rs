//! The compiled board as words of a file.
//!
//! ```text
//! word 0    magic, version, checksum, number of words, number of chips, summary, chips with a place
//!      16   stamp of the text it was compiled from
//!      32   live: lock, sequence
//!      64   chips, 256 words each
//!      ...  live: devices, 104 words each
//!      ...  where each chip hangs, 128 words each
//!      ...  rules and their live counts, see the crate `answers`
//! ```
//! The checksum covers what does not live. Numbers are in the byte order of the machine.

use core::sync::atomic::{AtomicU32, Ordering};

use answers::Rules;

use flash::Geometry;

use super::chip::{self, CHIP_WORDS, CHIPS_MAX, ChipConfig, FILE_NAME_BYTES};
use super::device::{DEVICE_WORDS, DEVICES_MAX, DeviceTable, THRESHOLD};
use super::hardware::{HARDWARE, Place};
use super::version::VERSION;
use super::words::{get, load_text, put, put_text};
use crate::stamp::{STAMP_WORDS, Stamp};

const MAGIC: [u32; 2] = [u32::from_ne_bytes(*b"MTDB"), u32::from_ne_bytes(*b"OARD")];

const CHECKSUM_AT: usize = 3;
const WORD_COUNT_AT: usize = 4;
const CHIP_COUNT_AT: usize = 5;
const SUMMARY_AT: usize = 6;
const HARDWARE_COUNT_AT: usize = 7;
const STAMP_AT: usize = 16;
const LIVE_AT: usize = 32;
const CHIPS_AT: usize = 64;
const DEVICES_AT: usize = CHIPS_AT + CHIPS_MAX * CHIP_WORDS;
const HARDWARE_AT: usize = DEVICES_AT + DEVICES_MAX * DEVICE_WORDS;
const PARENT_WORDS: usize = FILE_NAME_BYTES / 4;
const HARDWARE_WORDS: usize = PARENT_WORDS * 2;
const RULES_AT: usize = HARDWARE_AT + CHIPS_MAX * HARDWARE_WORDS;
pub const BOARD_WORDS: usize = RULES_AT + answers::WORDS;
pub const BOARD_BYTES: usize = BOARD_WORDS * 4;
/// What tells whether a compiled board is of this version and of this text, and what else it answers than flash.
pub const FRONT_WORDS: usize = STAMP_AT + STAMP_WORDS;

/// A board in memory, of whatever kind the memory is.
#[derive(Clone, Copy, Debug)]
pub struct BoardWords<'a> {
    words: &'a [AtomicU32],
}

impl<'a> BoardWords<'a> {
    pub fn new(words: &'a [AtomicU32]) -> Self {
        BoardWords { words }
    }

    /// For new memory, in which the rules are zeros already.
    pub fn clear(&self) {
        for word in self.words.iter().take(RULES_AT) {
            word.store(0, Ordering::Relaxed);
        }
    }

    pub fn chip_count(&self) -> usize {
        (get(self.words, CHIP_COUNT_AT) as usize).min(CHIPS_MAX)
    }

    fn chip_words(&self, index: usize) -> &'a [AtomicU32] {
        let start = CHIPS_AT + index.min(CHIPS_MAX) * CHIP_WORDS;
        self.words.get(start..start + CHIP_WORDS).unwrap_or(&[])
    }

    #[inline(never)]
    pub fn has_chip(&self, test: &dyn Fn(&ChipConfig) -> bool) -> bool {
        (0..self.chip_count()).any(|index| self.chip(index).is_some_and(|chip| test(&chip)))
    }

    pub fn chip(&self, index: usize) -> Option<ChipConfig> {
        (index < self.chip_count()).then(|| ChipConfig::load(self.chip_words(index)))?
    }

    /// Of a chip alone.
    pub fn geometry(&self, index: usize) -> Option<Geometry> {
        (index < self.chip_count()).then(|| chip::geometry(self.chip_words(index)))?
    }

    /// The number of the new chip; none when there are too many.
    pub fn add_chip(&self, chip: &ChipConfig) -> Option<usize> {
        let index = self.chip_count();
        if index >= CHIPS_MAX {
            return None;
        }
        chip.store(self.chip_words(index));
        put(self.words, CHIP_COUNT_AT, index as u32 + 1);
        Some(index)
    }

    /// Parent and its `uevent`.
    pub fn load_hardware(&self, chip: usize, parent: &mut Place, uevent: &mut Place) {
        let at = HARDWARE_AT + chip.min(CHIPS_MAX - 1) * HARDWARE_WORDS;
        load_text(self.words, at, parent);
        load_text(self.words, at + PARENT_WORDS, uevent);
    }

    pub fn put_hardware(&self, chip: usize, parent: &Place, uevent: &Place) {
        let at = HARDWARE_AT + chip * HARDWARE_WORDS;
        put_text(self.words, at, FILE_NAME_BYTES, parent.as_str());
        put_text(
            self.words,
            at + PARENT_WORDS,
            FILE_NAME_BYTES,
            uevent.as_str(),
        );
        put(self.words, HARDWARE_COUNT_AT, chip as u32 + 1);
    }

    /// Of the rules, and whether any chip has a place.
    pub fn summary(&self) -> u32 {
        let hardware = get(self.words, HARDWARE_COUNT_AT).min(1) * HARDWARE;
        self.rules().summary() | hardware
    }

    pub fn devices(&self) -> DeviceTable<'a> {
        DeviceTable {
            words: self.words.get(DEVICES_AT..HARDWARE_AT).unwrap_or(&[]),
        }
    }

    /// mtdN's, found by one test.
    #[inline(always)]
    pub fn bitflip_threshold(&self, index: usize) -> Option<&'a AtomicU32> {
        let device = DEVICES_AT + index % DEVICES_MAX * DEVICE_WORDS;
        self.words.get(device + THRESHOLD)
    }

    pub fn rules(&self) -> Rules<'a> {
        Rules::new(self.words.get(RULES_AT..).unwrap_or(&[]))
    }

    /// From the front alone.
    pub fn front_summary(&self) -> u32 {
        get(self.words, SUMMARY_AT)
    }

    /// The front is of this version.
    pub fn is_known(&self) -> bool {
        let [magic_0, magic_1, version, ..] = self.words else {
            return false;
        };
        let differs = |word: &AtomicU32, value: u32| word.load(Ordering::Relaxed) ^ value;
        differs(magic_0, MAGIC[0]) | differs(magic_1, MAGIC[1]) | differs(version, VERSION) == 0
    }

    pub fn lock_words(&self) -> Option<(&'a AtomicU32, &'a AtomicU32)> {
        Some((self.words.get(LIVE_AT)?, self.words.get(LIVE_AT + 1)?))
    }

    /// FNV-1a by words, which finds damage likewise: every step can be undone. Of what is in use, as every opening reads it.
    fn sum(&self) -> u32 {
        let step = |hash: u32, word: u32| (hash ^ word).wrapping_mul(0x0100_0193);
        let chips = self.chip_count() * CHIP_WORDS;
        let hardware = get(self.words, HARDWARE_COUNT_AT) as usize * HARDWARE_WORDS;
        let rules = match self.rules().count() {
            0 => 0,
            _ => self.rules().fixed().fold(0, step),
        };
        let places = [
            (WORD_COUNT_AT, LIVE_AT - WORD_COUNT_AT),
            (CHIPS_AT, chips),
            (HARDWARE_AT, hardware.min(RULES_AT - HARDWARE_AT)),
        ];
        places.iter().fold(rules, |hash, &(at, length)| {
            let words = self.words.iter().skip(at).take(length);
            words.fold(hash, |hash, word| step(hash, word.load(Ordering::Relaxed)))
        })
    }

    /// Completes the header once all chips and devices are in.
    pub fn seal(&self, text: &Stamp) {
        for (index, value) in [MAGIC[0], MAGIC[1], VERSION].into_iter().enumerate() {
            put(self.words, index, value);
        }
        put(self.words, WORD_COUNT_AT, BOARD_WORDS as u32);
        put(self.words, SUMMARY_AT, self.summary());
        text.store(
            self.words
                .get(STAMP_AT..STAMP_AT + STAMP_WORDS)
                .unwrap_or(&[]),
        );
        put(self.words, CHECKSUM_AT, self.sum());
    }

    /// Whole, undamaged and of this version: what was in it when it was sealed, and that was sound.
    pub fn is_whole(&self) -> bool {
        self.is_known()
            && self.words.len() >= BOARD_WORDS
            && get(self.words, WORD_COUNT_AT) == BOARD_WORDS as u32
            && get(self.words, CHECKSUM_AT) == self.sum()
    }

    /// The same of one that was sealed by somebody else.
    #[cfg(any(test, feature = "host"))]
    pub fn is_sound(&self) -> bool {
        self.is_whole()
            && (0..self.chip_count()).all(|index| {
                self.chip(index)
                    .is_some_and(|chip| chip.geometry.check().is_ok())
            })
    }

    /// Compiled from a text that looked like this.
    pub fn is_of(&self, text: &Stamp) -> bool {
        text.equals(
            self.words
                .get(STAMP_AT..STAMP_AT + STAMP_WORDS)
                .unwrap_or(&[]),
        )
    }
}
