//! The files of one chip, opened or made: image, spare area, side file.
//!
//! An image is never cut, extended or reformatted here: one that does not fit is a `Problem` that says what would.
//! Must not know: what a chip does with its bytes.

mod fill;
mod fits;
mod make;
mod open;
mod prepare;
pub mod side;
#[cfg(test)]
mod tests;

use core::sync::atomic::AtomicU32;

use flash::Geometry;
use flash::ledger::{LOCK_WORD, Ledger, SEQUENCE_WORD};

pub use fill::NewFile;
use side::{HEADER_WORDS, SideLayout};

use crate::board::{Board, ChipConfig};
use crate::lock::{Acquired, LockError, LockState, SharedLock};
use crate::mapping::Mapping;
use crate::os::{Fd, Os};
use crate::problem::Problem;
use crate::stamp::Stamp;
use crate::text::PathText;

/// Where a chip's files are.
#[derive(Clone, Copy, Debug)]
pub struct ChipPaths {
    pub image: PathText,
    pub oob: PathText,
    pub side: PathText,
}

impl ChipPaths {
    pub fn of(board_directory: &PathText, chip: &ChipConfig) -> ChipPaths {
        let beside = |name: &[u8]| PathText::join(board_directory, name);
        let named = |suffix: &str| beside(chip.name.as_bytes()).with_suffix(suffix);
        ChipPaths {
            image: if chip.image.is_empty() {
                named(".bin")
            } else {
                beside(chip.image.as_bytes())
            },
            oob: if chip.oob.is_empty() {
                named(".oob")
            } else {
                beside(chip.oob.as_bytes())
            },
            side: named(".mtdshim"),
        }
    }
}

/// Open files of a chip. Descriptors are closed by `close`, not by drop: the guest may live until `_exit`.
#[derive(Debug)]
pub struct ChipFiles {
    pub geometry: Geometry,
    /// What `Chip` computes the codes of pages with.
    pub code: Option<flash::Code>,
    pub image_fd: Fd,
    /// -1 when the chip has no spare area.
    pub oob_fd: Fd,
    /// -1 when the side file can be neither written nor read.
    pub side_fd: Fd,
    pub otp_user_offset: u64,
    pub otp_factory_offset: u64,
    /// The image or the side file cannot be written; what the ledger learns is lost with the process.
    pub read_only: bool,
    /// The side file was made just now; marked bad blocks of the image are already in the ledger.
    pub fresh: bool,
    /// The image was made just now, all bytes 0xFF.
    pub image_created: bool,
    /// The spare-area file was made just now for an image that was there before; it holds the ECC of every page.
    pub oob_created: bool,
    mapping: Mapping,
    lock_state: LockState,
}

impl ChipFiles {
    /// Opens the files of chip `index` and makes the missing ones. To be called from one thread at a time. `keep` puts them where
    /// they stay: what is returned by value is on the stack of a guest's thread several times.
    pub fn open(
        os: &impl Os,
        board: &Board,
        index: usize,
        keep: &mut dyn FnMut(ChipFiles),
    ) -> Result<(), Problem> {
        let chip = board.chip(index).ok_or_else(|| {
            Problem::new(
                board.conf_path(),
                0,
                format_args!("the board has no chip number {index}"),
            )
        })?;
        Self::open_chip(os, board.directory(), &chip, board.is_read_only(), keep)
    }

    /// The same without a board.
    #[inline(never)]
    pub fn open_chip(
        os: &impl Os,
        board_directory: &PathText,
        chip: &ChipConfig,
        read_only: bool,
        keep: &mut dyn FnMut(ChipFiles),
    ) -> Result<(), Problem> {
        let paths = ChipPaths::of(board_directory, chip);
        // Nearly always everything is there and fits.
        let mut made = None;
        loop {
            let now = made.unwrap_or_default();
            let opened = open::open_existing(os, chip, &paths, now, read_only, keep);
            if read_only || opened.is_ok() || made.is_some() {
                return opened;
            }
            made = Some(make::make_missing(os, board_directory, chip, &paths)?);
        }
    }

    /// The mapped words and the file they are from, -1 where they are this process's own.
    pub fn mapped(&self) -> (&[AtomicU32], Fd) {
        let is_shared = self.mapping.is_shared();
        (
            self.mapping.words(),
            if is_shared { self.side_fd } else { -1 },
        )
    }

    /// The words `flash::ledger` works on.
    pub fn ledger_words(&self) -> &[AtomicU32] {
        self.mapping.words().get(HEADER_WORDS..).unwrap_or(&[])
    }

    pub fn ledger(&self) -> Ledger<'_> {
        Ledger::new(self.ledger_words())
    }

    /// The chip's lock between all threads of all processes.
    pub fn lock(&self) -> SharedLock<'_> {
        self.lock_in(self.ledger_words())
    }

    /// The same for who has the `ledger_words` already.
    #[inline(always)]
    pub fn lock_in<'a>(&'a self, words: &'a [AtomicU32]) -> SharedLock<'a> {
        static NO_WORD: AtomicU32 = AtomicU32::new(0);
        // A mapping always has these words; without them the process would lock against itself only.
        let word = |index| words.get(index).unwrap_or(&NO_WORD);
        SharedLock::new(word(LOCK_WORD), word(SEQUENCE_WORD), &self.lock_state)
    }

    /// Takes the chip's lock. Whoever died inside may have left a page without its code, or half erased: what the ledger only
    /// believes is void then.
    pub fn acquire(&self, os: &impl Os) -> Result<SharedLock<'_>, LockError> {
        let lock = self.lock();
        if lock.acquire(os)? == Acquired::Recovered {
            self.recover(os);
        }
        Ok(lock)
    }

    /// Who died inside changed the image last: it is the board's own.
    #[cold]
    #[inline(never)]
    fn recover(&self, os: &impl Os) {
        self.ledger().next_epoch(&self.geometry);
        self.record_stamp(os);
    }

    /// The same if the lock is free and this process `pid` has taken it before.
    #[inline(always)]
    pub fn acquire_at_once<'a>(
        &'a self,
        words: &'a [AtomicU32],
        os: &impl Os,
        pid: u32,
    ) -> Option<SharedLock<'a>> {
        let lock = self.lock_in(words);
        if lock.acquire_at_once(pid)? == Acquired::Recovered {
            self.recover(os);
        }
        Some(lock)
    }

    /// Whether image and spare area look as they did when that was remembered last. True where nobody can tell.
    pub fn is_as_recorded(&self, os: &impl Os) -> bool {
        stamps(os, self.image_fd, self.oob_fd)
            .is_none_or(|(image, oob)| side::stamps_match(self.mapping.words(), &image, &oob))
    }

    /// Remembers how image and spare area look now, so that the next opening trusts the ledger's hints.
    /// Without it they are void, which costs time and nothing else. Called with the chip's lock held.
    pub fn record_stamp(&self, os: &impl Os) {
        if let Some((image, oob)) = stamps(os, self.image_fd, self.oob_fd)
            && !self.read_only
        {
            side::store_stamps(self.mapping.words(), &image, &oob);
        }
    }

    /// Closes the descriptors. Locks of this process on the side file are gone with them.
    pub fn close(self, os: &impl Os) {
        for fd in [self.image_fd, self.oob_fd, self.side_fd] {
            if fd >= 0 {
                os.close(fd);
            }
        }
    }

    pub fn layout(&self) -> SideLayout {
        SideLayout::of(&self.geometry)
    }
}

fn stamps(os: &impl Os, image_fd: Fd, oob_fd: Fd) -> Option<(Stamp, Stamp)> {
    let image = Stamp::of(&os.fstat(image_fd).ok()?);
    let oob = if oob_fd < 0 {
        Stamp::default()
    } else {
        Stamp::of(&os.fstat(oob_fd).ok()?)
    };
    Some((image, oob))
}
