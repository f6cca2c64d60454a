//! Erase: which blocks, in which order, and what is remembered when the power goes in between.
//!
//! Source: `nand_erase_nand`, `spi_nor_erase`, `cfi_varsize_frob`, `ram_erase`.

use core::ops::Range;

use crate::chip::Chip;
use crate::geometry::divides;
use crate::{Area, EraseAlignment, FlashError, Kind, LockScheme};

/// Consecutive blocks that wait for one erase of the medium.
#[derive(Default)]
struct Run {
    start: u64,
    end: u64,
}

impl Chip<'_> {
    /// Erases whole blocks up to the first that is bad or locked.
    ///
    /// A SPI NOR ignores the erase of a protected sector, and that of the whole chip while any is protected.
    pub fn erase(&mut self, at: u64, length: u64) -> Result<(), FlashError> {
        self.check_range(at, length)?;
        if self.geometry.kind == Kind::Rom {
            return Err(FlashError::ReadOnly);
        }
        let (start, length) = self.aligned_erase(at, length)?;
        let ignored = self.ignored_erase(length)?;
        self.forget_cached(start, length);
        let mut run = Run { start, end: start };
        let mut stopped = Ok(());
        for piece in self.geometry.pieces(start, length) {
            stopped = self.check_erasable(piece.block.index);
            if stopped.is_err() {
                break;
            }
            let is_ignored = piece.block.start < ignored.end && ignored.start < piece.block.end();
            if is_ignored || self.ledger.clean_from(piece.block.index) == Some(0) {
                self.erase_run(&run)?;
                run = Run {
                    start: piece.block.end(),
                    end: piece.block.end(),
                };
                if !is_ignored {
                    self.ledger.count_erase(piece.block.index);
                }
            } else {
                self.ledger.set_clean_from(piece.block.index, None);
                run.end = piece.block.end();
            }
        }
        self.erase_run(&run)?;
        stopped
    }

    /// Where the chip does not do what it is told.
    fn ignored_erase(&self, length: u64) -> Result<Range<u64>, FlashError> {
        let protected = match self.geometry.lock {
            LockScheme::BlockProtect(protect) if protect.guards_erase => self.protected()?,
            _ => return Ok(0..0),
        };
        if !protected.is_empty() && length == self.geometry.size {
            // One command erases the chip.
            Ok(0..length)
        } else {
            Ok(protected)
        }
    }

    /// What is really erased, or `Invalid`.
    fn aligned_erase(&self, at: u64, length: u64) -> Result<(u64, u64), FlashError> {
        if length == 0 {
            return Ok((at, 0));
        }
        let first = self.geometry.block_at(at).ok_or(FlashError::Invalid)?;
        if self.geometry.erase_alignment == EraseAlignment::LengthOnly {
            let whole = divides(length, self.geometry.erasesize);
            return if whole {
                Ok((first.start, length))
            } else {
                Err(FlashError::Invalid)
            };
        }
        let last = self
            .geometry
            .block_at(at.saturating_add(length - 1))
            .ok_or(FlashError::Invalid)?;
        let aligned = first.start == at && last.end() == at.saturating_add(length);
        if aligned {
            Ok((at, length))
        } else {
            Err(FlashError::Invalid)
        }
    }

    pub(crate) fn check_erasable(&self, block: u32) -> Result<(), FlashError> {
        let flags = self.ledger.flags(block)?;
        // Asked now, so that damage is found before anything is erased.
        self.ledger.wear(block)?;
        if self.geometry.is_nand() && (flags.bad || flags.reserved) {
            return Err(FlashError::Io);
        }
        if flags.locked && matches!(self.geometry.lock, LockScheme::PerBlock) {
            return Err(FlashError::ReadOnly);
        }
        Ok(())
    }

    /// Of blocks that nobody takes for erased any more.
    fn erase_run(&mut self, run: &Run) -> Result<(), FlashError> {
        let length = run.end.saturating_sub(run.start);
        if length == 0 {
            return Ok(());
        }
        self.medium.erase(Area::Main, run.start, length)?;
        self.erase_oob(run.start, length)?;
        for piece in self.geometry.pieces(run.start, length) {
            self.ledger.count_erase(piece.block.index);
            self.ledger.declare_block_erased(piece.block.index);
            if self.geometry.ecc_strength() > 0 {
                self.ledger.set_sound(piece.block.index, true);
            }
        }
        Ok(())
    }

    /// The spare areas of whole pages.
    pub(crate) fn erase_oob(&mut self, at: u64, length: u64) -> Result<(), FlashError> {
        let (writesize, oobsize) = (
            u64::from(self.geometry.writesize),
            u64::from(self.geometry.oobsize),
        );
        if oobsize == 0 || writesize == 0 {
            return Ok(());
        }
        let (first, pages) = (at / writesize, length / writesize);
        Ok(self.medium.erase(
            Area::Oob,
            first.saturating_mul(oobsize),
            pages.saturating_mul(oobsize),
        )?)
    }

    /// What drivers keep of a block goes with its bytes.
    pub(crate) fn forget_cached(&mut self, at: u64, length: u64) {
        let inside = |place: u64| (at..at.saturating_add(length)).contains(&place);
        if let Some((page, _)) = self.ledger.cached_page()
            && inside(page.saturating_mul(u64::from(self.geometry.writesize)))
        {
            self.ledger.set_cached_page(None);
        }
    }
}
