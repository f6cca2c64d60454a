//! The block device's write-back cache: one unit, the size of an eraseblock, is loaded, changed in memory, and erased and
//! programmed as a whole when it is flushed.
//!
//! Nothing waits in memory here: the medium holds what a flush will leave, and keeps for everybody else what the chip has until
//! then. Whatever the ledger permits of the unit's blocks is void meanwhile, as it may be true of one of both only.
//! Source: `mtdblock.c` (`do_cached_write`, `write_cached_data`).

use core::ops::Range;

use crate::chip::Chip;
use crate::{Area, FlashError, Kind, LockScheme, Source};

impl Chip<'_> {
    /// Replaces bytes of a unit; that the source can be read was asked before. Io or ReadOnly: nothing was changed, as what
    /// another unit waits with could not be written, or this one not be loaded.
    pub fn replace(
        &mut self,
        unit: Range<u64>,
        at: u64,
        from: Source<'_>,
    ) -> Result<(), FlashError> {
        self.check_range(at, from.length())?;
        self.check_range(unit.start, unit.end.saturating_sub(unit.start))?;
        match self.geometry.kind {
            Kind::Rom => return Err(FlashError::ReadOnly),
            Kind::Ram | Kind::Dataflash => return self.store_bytes(at, from),
            Kind::Nor | Kind::Nand | Kind::MlcNand => {}
        }
        let is_nand = self.geometry.is_nand();
        let first_visit = self.medium.kept() != unit;
        if first_visit {
            self.flush(false)?;
            if is_nand {
                self.check_readable(&unit)?;
            }
            self.medium.keep(unit.clone());
            if self.medium.kept() != unit {
                // Nothing can wait: this is the flush.
                if !self.erase_unit(&unit)? {
                    return Ok(());
                }
            }
        }
        if !is_nand {
            self.forget_clean(at, from.length());
            return Ok(self.medium.write(Area::Main, at, from)?);
        }
        for piece in self.geometry.pieces(at, from.length()) {
            let result = self.replace_pages(&piece, &from, first_visit);
            if result.is_err() || first_visit {
                let block = piece.block.index;
                self.ledger.promise_sound(block, result.is_ok());
            }
            result?;
        }
        Ok(())
    }

    /// What waits is on the chip. A bad block loses it, and what is under block protection without a word; a locked one goes on
    /// waiting, unless nobody is there any more who could wait.
    pub fn flush(&mut self, is_last: bool) -> Result<(), FlashError> {
        let kept = self.medium.kept();
        if kept.is_empty() {
            return Ok(());
        }
        let erased = self.erase_unit(&kept);
        if erased == Err(FlashError::ReadOnly) && !is_last {
            return Err(FlashError::ReadOnly);
        }
        let is_written = erased == Ok(true);
        if is_written {
            self.forget_cached(kept.start, kept.end.saturating_sub(kept.start));
        }
        self.medium.end_keep(!is_written)?;
        erased.map(|_| ())
    }

    /// Erases, as far as the ledger goes, a unit that is programmed anew. Whether that changes anything.
    fn erase_unit(&self, unit: &Range<u64>) -> Result<bool, FlashError> {
        let length = unit.end.saturating_sub(unit.start);
        let is_open = self.geometry.lock == LockScheme::PerBlock
            || self.unlocked_part(unit.start, length)? == (0..length);
        for piece in self.geometry.pieces(unit.start, length) {
            let block = piece.block.index;
            self.check_erasable(block)?;
            if is_open {
                self.ledger.count_erase(block);
                self.ledger.end_promise(block);
            }
        }
        Ok(is_open)
    }
}
