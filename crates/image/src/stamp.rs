//! How a file looked when it was last seen: a change of any of these numbers means that somebody else wrote it.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::os::FileStatus;

pub const STAMP_WORDS: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stamp {
    pub size: u64,
    pub mtime_ns: u64,
    /// Finds a copy that kept the time of modification.
    pub ctime_ns: u64,
    pub ino: u64,
}

impl Stamp {
    pub fn of(status: &FileStatus) -> Stamp {
        Stamp {
            size: status.size,
            mtime_ns: status.mtime_ns as u64,
            ctime_ns: status.ctime_ns as u64,
            ino: status.ino,
        }
    }

    pub fn words(&self) -> [u32; STAMP_WORDS] {
        let high = |value: u64| (value >> 32) as u32;
        [
            self.size as u32,
            high(self.size),
            self.mtime_ns as u32,
            high(self.mtime_ns),
            self.ctime_ns as u32,
            high(self.ctime_ns),
            self.ino as u32,
            high(self.ino),
        ]
    }

    /// A stamp torn by a crash differs from every real one with near certainty, which is the safe side.
    pub fn store(&self, to: &[AtomicU32]) {
        for (word, value) in to.iter().zip(&self.words()) {
            word.store(*value, Ordering::Relaxed);
        }
    }

    pub fn equals(&self, stored: &[AtomicU32]) -> bool {
        let difference = |so_far: u32, (word, value): (&AtomicU32, &u32)| {
            so_far | word.load(Ordering::Relaxed) ^ value
        };
        let words = self.words();
        stored.len() >= STAMP_WORDS && stored.iter().zip(&words).fold(0, difference) == 0
    }
}

/// FNV-1a over words, 32 bits: finds damage, not malice.
pub fn checksum(words: impl Iterator<Item = u32>) -> u32 {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    words.flat_map(u32::to_le_bytes).fold(0x811c_9dc5, step)
}
