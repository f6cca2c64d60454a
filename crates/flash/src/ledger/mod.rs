//! What a chip remembers beside its bytes: wear, bad blocks, locks, and where each block is still erased.
//!
//! The words are mapped by several processes at once. One aligned store is the unit of change, so a process that
//! dies leaves every word either old or new; the check bits (see `word`) find a word that decayed in the file.
//! Must not know: files, the lock that keeps processes apart (only where its word is).

mod word;

use core::cell::Cell;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::{FlashError, Geometry};
use word::{Kind, VALUE_MAX};

/// Raw word for the chip's lock between processes; the flash model never touches it.
pub const LOCK_WORD: usize = 0;
/// Raw word counting changes of the chip; the flash model never touches it.
pub const SEQUENCE_WORD: usize = 1;
const BLOCK_PROTECT: usize = 2;
const EPOCH: usize = 3;
const CACHED_PAGE_LOW: usize = 4;
const CACHED_PAGE_HIGH: usize = 5;
const CACHED_BLOCK: usize = 6;
const OTP_LOCKS: usize = 8;
const OTP_LOCK_WORDS: usize = 16;
/// One-time-programmable regions that can be locked: a bit each.
pub const OTP_REGIONS_MAX: u32 = OTP_LOCK_WORDS as u32 * word::VALUE_BITS;

pub const HEADER_WORDS: usize = 64;
const BLOCK_WORDS: usize = 4;
const CLEAN_FROM: usize = 0;
const WEAR: usize = 1;
const FLAGS: usize = 2;
const SOUND: usize = 3;

/// Value of a word that says "none" or "unknown"; also the largest number of blocks.
pub const NONE: u32 = VALUE_MAX;
/// The page cache word: valid flag, bit flips, upper bits of the page number.
const CACHE_VALID: u32 = 1 << 19;
const CACHE_FLIPS_SHIFT: u32 = 15;

/// Facts of one eraseblock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BlockFlags {
    pub bad: bool,
    /// Kept for the on-flash bad block table: reads as bad.
    pub reserved: bool,
    /// Locked by `LockScheme::PerBlock`.
    pub locked: bool,
}

impl BlockFlags {
    fn from_value(value: u32) -> BlockFlags {
        BlockFlags {
            bad: value & 1 != 0,
            reserved: value & 2 != 0,
            locked: value & 4 != 0,
        }
    }

    fn value(self) -> u32 {
        u32::from(self.bad) | u32::from(self.reserved) << 1 | u32::from(self.locked) << 2
    }
}

/// A word whose check bits are wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LedgerDamage {
    pub word_index: usize,
    /// The eraseblock that the word speaks of; none for the header.
    pub block: Option<u32>,
}

/// Words that were found right, with their places: as long as they are the same in the same epoch, they need not be checked
/// again. All zeros know nothing, since a word of zeros is never right; and a word is right or wrong on every chip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    epoch: Cell<u32>,
    clean_from: Cell<(usize, u32)>,
    sound: Cell<(usize, u32)>,
}

impl Known {
    pub const fn nothing() -> Known {
        Known {
            epoch: Cell::new(0),
            clean_from: Cell::new((0, 0)),
            sound: Cell::new((0, 0)),
        }
    }

    fn epoch(&self, words: &[AtomicU32]) -> Option<u32> {
        let raw = raw(words, EPOCH)?;
        self.is_epoch(raw).then_some(word::value(raw))
    }

    #[inline(always)]
    fn is_epoch(&self, raw: u32) -> bool {
        self.epoch.get() == raw || self.is_new_epoch(raw)
    }

    #[inline(never)]
    fn is_new_epoch(&self, raw: u32) -> bool {
        let is_right = word::is_right(raw, EPOCH, Kind::Epoch);
        if is_right {
            self.epoch.set(raw);
            self.clean_from.set((0, 0));
            self.sound.set((0, 0));
        }
        is_right
    }

    /// A `clean_from`, if it is right.
    fn clean_word(&self, words: &[AtomicU32], index: usize) -> Option<u32> {
        let (epoch, raw) = (raw(words, EPOCH)?, raw(words, index)?);
        if self.epoch.get() != epoch || self.clean_from.get() != (index, raw) {
            if !self.is_clean_word(epoch, index, raw) {
                return None;
            }
            self.clean_from.set((index, raw));
        }
        Some(raw)
    }

    #[inline(never)]
    fn is_clean_word(&self, epoch: u32, index: usize, raw: u32) -> bool {
        let kind = Kind::CleanFrom {
            epoch: word::value(epoch),
        };
        self.is_epoch(epoch) && word::is_right(raw, index, kind)
    }

    /// Forgets, before they are written, that the units from `from` to `to` of a block are erased, if they are known to be.
    #[inline(always)]
    pub(crate) fn claim(&self, words: &[AtomicU32], block: u32, from: u32, to: u32) -> bool {
        let index = place(block, CLEAN_FROM);
        let (Some(place), Some(epoch)) = (words.get(index), words.get(EPOCH)) else {
            return false;
        };
        let (raw, epoch) = (place.load(Ordering::Relaxed), epoch.load(Ordering::Relaxed));
        let (known_index, known_raw) = self.clean_from.get();
        // Told at once of the block that was claimed last.
        let differs = epoch.wrapping_sub(self.epoch.get())
            | index.wrapping_sub(known_index) as u32
            | raw.wrapping_sub(known_raw);
        if from < word::value(raw) || differs != 0 && !self.is_clean_word(epoch, index, raw) {
            return false;
        }
        let raw = word::change(raw, to & VALUE_MAX);
        place.store(raw, Ordering::Relaxed);
        self.clean_from.set((index, raw));
        true
    }

    fn soundness(&self, words: &[AtomicU32], index: usize) -> u32 {
        // Zero is right in no epoch.
        let (Some(epoch), Some(raw @ 1..)) = (self.epoch(words), raw(words, index)) else {
            return 0;
        };
        if self.sound.get() != (index, raw) {
            if !word::is_right(raw, index, Kind::Sound { epoch }) {
                return 0;
            }
            self.sound.set((index, raw));
        }
        word::value(raw)
    }

    /// `Ledger::is_sound`, told at once of a block that was asked for just before.
    #[inline(always)]
    pub(crate) fn is_sound(&self, words: &[AtomicU32], block: u32) -> bool {
        let index = place(block, SOUND);
        let (Some(place), Some(epoch)) = (words.get(index), words.get(EPOCH)) else {
            return false;
        };
        let (known_index, known_raw) = self.sound.get();
        let differs = epoch.load(Ordering::Relaxed).wrapping_sub(self.epoch.get())
            | index.wrapping_sub(known_index) as u32
            | place.load(Ordering::Relaxed).wrapping_sub(known_raw)
            | word::value(known_raw).wrapping_sub(SOUND_NOW);
        differs == 0 || self.is_sound_anew(words, index)
    }

    #[inline(never)]
    fn is_sound_anew(&self, words: &[AtomicU32], index: usize) -> bool {
        self.soundness(words, index) == SOUND_NOW
    }
}

/// 0 if nothing is protected for sure; it is told at once.
#[inline(always)]
pub(crate) fn protection(words: &[AtomicU32]) -> u32 {
    raw(words, BLOCK_PROTECT).unwrap_or(!UNPROTECTED) ^ UNPROTECTED
}

/// Something may wait in the write-back cache of a block device. True of a damaged word: who looks will see.
#[inline(always)]
pub fn is_cached(words: &[AtomicU32]) -> bool {
    raw(words, CACHED_BLOCK) != Some(UNCACHED)
}

#[inline(always)]
fn raw(words: &[AtomicU32], index: usize) -> Option<u32> {
    Some(words.get(index)?.load(Ordering::Relaxed))
}

/// The block-protect word of a chip that protects nothing.
const UNPROTECTED: u32 = word::encode(0, BLOCK_PROTECT, Kind::BlockProtect);

/// The word of a chip whose block devices' caches are empty.
const UNCACHED: u32 = word::encode(NONE, CACHED_BLOCK, Kind::CachedBlock);
/// Of a block in such a cache: it will be sound when it is flushed.
const PROMISED: u32 = 2;
/// Of one that is.
const SOUND_NOW: u32 = 1;

pub struct Ledger<'a> {
    words: &'a [AtomicU32],
    /// What is asked for again and again.
    known: Known,
}

impl<'a> Ledger<'a> {
    /// The bytes a ledger of this chip needs.
    pub fn bytes(geometry: &Geometry) -> usize {
        (geometry.block_count() as usize)
            .saturating_mul(BLOCK_WORDS)
            .saturating_add(HEADER_WORDS)
            .saturating_mul(4)
    }

    /// A ledger over shared words: fewer than the chip needs reads as damage, never as a panic.
    pub fn new(words: &'a [AtomicU32]) -> Ledger<'a> {
        Ledger::knowing(words, Known::nothing())
    }

    /// The same with what an earlier one knew, of this chip or another.
    pub fn knowing(words: &'a [AtomicU32], known: Known) -> Ledger<'a> {
        Ledger { words, known }
    }

    pub fn words(&self) -> &'a [AtomicU32] {
        self.words
    }

    pub fn into_known(self) -> Known {
        self.known
    }

    /// Writes a fresh ledger: nothing worn, bad or locked; nothing known to be erased.
    pub fn format(&self, geometry: &Geometry) {
        self.store(EPOCH, Kind::Epoch, 1);
        self.store(BLOCK_PROTECT, Kind::BlockProtect, 0);
        self.store(CACHED_PAGE_LOW, Kind::CachedPage, 0);
        self.store(CACHED_PAGE_HIGH, Kind::CachedPage, 0);
        self.set_cached(0);
        for word in 0..OTP_LOCK_WORDS {
            self.store(OTP_LOCKS + word, Kind::OtpLock, 0);
        }
        for block in 0..geometry.block_count() {
            self.set_clean_from(block, None);
            self.store(place(block, WEAR), Kind::Wear, 0);
            self.store(place(block, FLAGS), Kind::Flags, 0);
            self.store_raw(place(block, SOUND), 0);
        }
    }

    /// For an image that was just filled with 0xFF: every block is known to be erased.
    pub fn declare_erased(&self, geometry: &Geometry) {
        for block in 0..geometry.block_count() {
            self.set_clean_from(block, Some(0));
            self.set_sound(block, true);
        }
    }

    /// Voids every `clean_from`: the image was changed by someone who does not keep this ledger.
    pub fn next_epoch(&self, geometry: &Geometry) {
        let next = match self.load(EPOCH, Kind::Epoch) {
            Some(epoch) if epoch < VALUE_MAX => epoch + 1,
            _ => 0,
        };
        // The check bits tell 4095 epochs apart; before one of them comes round again, its old words must be gone.
        if next.is_multiple_of(word::EPOCHS_TOLD_APART) {
            for block in 0..geometry.block_count() {
                self.store_raw(place(block, CLEAN_FROM), 0);
                self.store_raw(place(block, SOUND), 0);
            }
        }
        self.store(EPOCH, Kind::Epoch, next);
    }

    /// From which unit on the block is erased; none when nobody knows.
    pub fn clean_from(&self, block: u32) -> Option<u32> {
        let raw = self
            .known
            .clean_word(self.words, place(block, CLEAN_FROM))?;
        Some(word::value(raw)).filter(|&value| value != NONE)
    }

    pub(crate) fn set_clean_from(&self, block: u32, unit: Option<u32>) {
        let (index, value) = (place(block, CLEAN_FROM), unit.unwrap_or(NONE));
        match self.epoch() {
            Some(epoch) => {
                let (known_index, known_raw) = self.known.clean_from.get();
                let raw = if known_index == index && self.raw(index) == Some(known_raw) {
                    word::change(known_raw, value & VALUE_MAX)
                } else {
                    word::encode(value, index, Kind::CleanFrom { epoch })
                };
                self.store_raw(index, raw);
                self.known.clean_from.set((index, raw));
            }
            // Without an epoch nothing can be claimed; zero is valid in none.
            None => self.store_raw(index, 0),
        }
    }

    /// All of a block is erased now, of which it was set under the same lock that nobody knows.
    pub(crate) fn declare_block_erased(&self, block: u32) {
        self.change(place(block, CLEAN_FROM), 0);
    }

    fn epoch(&self) -> Option<u32> {
        self.known.epoch(self.words)
    }

    /// Every page of the block that was programmed since its erase was programmed once, with its code: reading it there is
    /// nothing to correct. Void with the epoch, as everything that is only known.
    pub(crate) fn is_sound(&self, block: u32) -> bool {
        self.soundness(block) == SOUND_NOW
    }

    fn soundness(&self, block: u32) -> u32 {
        self.known.soundness(self.words, place(block, SOUND))
    }

    pub(crate) fn set_sound(&self, block: u32, sound: bool) {
        self.set_soundness(block, sound.into());
    }

    fn set_soundness(&self, block: u32, soundness: u32) {
        let index = place(block, SOUND);
        match self.epoch() {
            Some(epoch) if soundness > 0 => self.store(index, Kind::Sound { epoch }, soundness),
            _ => self.store_raw(index, 0),
        }
    }

    /// How often the block was erased, up to 2^20 - 1.
    pub fn wear(&self, block: u32) -> Result<u32, FlashError> {
        self.load(place(block, WEAR), Kind::Wear)
            .ok_or(FlashError::Store)
    }

    /// Of a block whose wear was found right under the same lock.
    pub(crate) fn count_erase(&self, block: u32) {
        let index = place(block, WEAR);
        let wear = self.raw(index).map_or(0, word::value);
        self.change(index, (wear + 1).min(VALUE_MAX));
    }

    pub fn flags(&self, block: u32) -> Result<BlockFlags, FlashError> {
        self.load(place(block, FLAGS), Kind::Flags)
            .map(BlockFlags::from_value)
            .ok_or(FlashError::Store)
    }

    /// Also for the host tool, which marks and reserves blocks without a chip.
    pub fn set_flags(&self, block: u32, flags: BlockFlags) {
        self.store(place(block, FLAGS), Kind::Flags, flags.value());
    }

    /// The block-protect bits of the status register, and which end they protect (`lock.rs`).
    pub fn block_protect(&self) -> Result<u8, FlashError> {
        self.load(BLOCK_PROTECT, Kind::BlockProtect)
            .map(|value| value as u8)
            .ok_or(FlashError::Store)
    }

    pub(crate) fn set_block_protect(&self, bits: u8) {
        self.store(BLOCK_PROTECT, Kind::BlockProtect, u32::from(bits));
    }

    pub(crate) fn otp_locked(&self, region: u32) -> Result<bool, FlashError> {
        let (index, bit) = otp_place(region).ok_or(FlashError::Invalid)?;
        let value = self.load(index, Kind::OtpLock).ok_or(FlashError::Store)?;
        Ok(value & bit != 0)
    }

    pub(crate) fn lock_otp(&self, region: u32) -> Result<(), FlashError> {
        let (index, bit) = otp_place(region).ok_or(FlashError::Invalid)?;
        let value = self.load(index, Kind::OtpLock).ok_or(FlashError::Store)?;
        self.store(index, Kind::OtpLock, value | bit);
        Ok(())
    }

    /// The page whose corrected bytes the driver still holds, and the bit flips found when it was read.
    pub(crate) fn cached_page(&self) -> Option<(u64, u32)> {
        let high = self.load(CACHED_PAGE_HIGH, Kind::CachedPage)?;
        if high & CACHE_VALID == 0 {
            return None;
        }
        let low = self.load(CACHED_PAGE_LOW, Kind::CachedPage)?;
        let upper = u64::from(high & ((1 << CACHE_FLIPS_SHIFT) - 1));
        Some((
            upper << word::VALUE_BITS | u64::from(low),
            (high & !CACHE_VALID) >> CACHE_FLIPS_SHIFT,
        ))
    }

    pub(crate) fn set_cached_page(&self, cached: Option<(u64, u32)>) {
        self.store(CACHED_PAGE_HIGH, Kind::CachedPage, 0);
        let Some((page, bitflips)) = cached else {
            return;
        };
        let upper = page >> word::VALUE_BITS;
        if upper >= 1 << CACHE_FLIPS_SHIFT {
            return;
        }
        self.store(CACHED_PAGE_LOW, Kind::CachedPage, page as u32 & VALUE_MAX);
        let high = CACHE_VALID | bitflips.min(15) << CACHE_FLIPS_SHIFT | upper as u32;
        self.store(CACHED_PAGE_HIGH, Kind::CachedPage, high);
    }

    /// `is_cached` of its words.
    pub fn is_cached(&self) -> bool {
        is_cached(self.words)
    }

    /// Below which number the block devices are whose caches it may wait in.
    pub fn cached(&self) -> u32 {
        self.raw(CACHED_BLOCK)
            .filter(|&raw| raw != UNCACHED)
            .unwrap_or(0)
    }

    pub fn set_cached(&self, below: u32) {
        self.store_raw(CACHED_BLOCK, if below > 0 { below } else { UNCACHED });
    }

    /// Nothing more is known of these blocks.
    pub fn void(&self, geometry: &Geometry, range: &Range<u64>) {
        for piece in geometry.pieces(range.start, range.end.saturating_sub(range.start)) {
            self.set_clean_from(piece.block.index, None);
            if self.is_sound(piece.block.index) {
                self.set_sound(piece.block.index, false);
            }
        }
    }

    /// Once it is flushed, the block will be sound; or it will not. A process that dies meanwhile ends the epoch, and the promise.
    pub(crate) fn promise_sound(&self, block: u32, sound: bool) {
        self.set_soundness(block, if sound { PROMISED } else { 0 });
    }

    /// It was flushed.
    pub(crate) fn end_promise(&self, block: u32) {
        self.set_clean_from(block, None);
        self.set_sound(block, self.soundness(block) == PROMISED);
    }

    /// The first damaged word at or after a place. `clean_from`, the caches and the epoch heal by themselves and
    /// are not reported.
    pub fn damage(&self, geometry: &Geometry, from_word: usize) -> Option<LedgerDamage> {
        let end = (geometry.block_count() as usize)
            .saturating_mul(BLOCK_WORDS)
            .saturating_add(HEADER_WORDS);
        (from_word..end).find_map(|index| {
            let (kind, block) = match index.checked_sub(HEADER_WORDS) {
                None if index == BLOCK_PROTECT => (Kind::BlockProtect, None),
                None if (OTP_LOCKS..OTP_LOCKS + OTP_LOCK_WORDS).contains(&index) => {
                    (Kind::OtpLock, None)
                }
                None => return None,
                Some(inner) => match inner % BLOCK_WORDS {
                    WEAR => (Kind::Wear, Some((inner / BLOCK_WORDS) as u32)),
                    FLAGS => (Kind::Flags, Some((inner / BLOCK_WORDS) as u32)),
                    _ => return None,
                },
            };
            self.load(index, kind).is_none().then_some(LedgerDamage {
                word_index: index,
                block,
            })
        })
    }

    fn load(&self, index: usize, kind: Kind) -> Option<u32> {
        word::decode(self.raw(index)?, index, kind)
    }

    fn raw(&self, index: usize) -> Option<u32> {
        raw(self.words, index)
    }

    fn store(&self, index: usize, kind: Kind, value: u32) {
        self.store_raw(index, word::encode(value, index, kind));
    }

    /// A word that is right gets another value; one that is not stays wrong.
    #[inline(never)]
    fn change(&self, index: usize, value: u32) {
        if let Some(raw) = self.raw(index) {
            self.store_raw(index, word::change(raw, value));
        }
    }

    fn store_raw(&self, index: usize, raw: u32) {
        if let Some(word) = self.words.get(index) {
            word.store(raw, Ordering::Relaxed);
        }
    }
}

/// A chip has fewer than `NONE` blocks.
fn place(block: u32, which: usize) -> usize {
    (block as usize)
        .wrapping_mul(BLOCK_WORDS)
        .wrapping_add(HEADER_WORDS + which)
}

fn otp_place(region: u32) -> Option<(usize, u32)> {
    let word = (region / word::VALUE_BITS) as usize;
    (word < OTP_LOCK_WORDS).then_some((OTP_LOCKS + word, 1 << (region % word::VALUE_BITS)))
}

#[cfg(test)]
mod tests;
