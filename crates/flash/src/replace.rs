//! What the block device's write-back leaves on the chip: bytes replaced, as if the eraseblock had been erased and
//! programmed anew. Neighbouring writes to one block count as one erase: mtdblock gathers them in its cache.
//!
//! Source: `mtdblock.c` (`do_cached_write`, `erase_write`).

use crate::chip::Chip;
use crate::geometry::Piece;
use crate::{Area, FlashError, Kind, LockScheme, Source};

impl Chip<'_> {
    /// Replaces bytes. Blocks that are bad (Io), locked (ReadOnly) or cannot be loaded (Io) keep what they hold, the
    /// others are written all the same; that block protect refuses is not noticed.
    pub fn replace(&mut self, at: u64, from: Source<'_>) -> Result<(), FlashError> {
        self.check_range(at, from.length())?;
        match self.geometry.kind {
            Kind::Rom => return Err(FlashError::ReadOnly),
            Kind::Ram | Kind::Dataflash => return self.store_bytes(at, from),
            Kind::Nor | Kind::Nand | Kind::MlcNand => {}
        }
        self.check_source(&from)?;
        let geometry = self.geometry;
        let mut result = Ok(());
        for piece in geometry.pieces(at, from.length()) {
            let part = from.part(
                piece.start().saturating_sub(at) as usize,
                (piece.to - piece.from) as usize,
            );
            match self.replace_in_block(&piece, part.ok_or(FlashError::Invalid)?) {
                Err(refusal @ (FlashError::Io | FlashError::ReadOnly)) => result = Err(refusal),
                other => other?,
            }
        }
        result
    }

    /// The cache was flushed (fsync, close): the next write to the same block erases it again.
    pub fn end_replace(&mut self) {
        if self.ledger.cached_block().is_some() {
            self.ledger.set_cached_block(None);
        }
    }

    fn replace_in_block(&mut self, piece: &Piece, from: Source<'_>) -> Result<(), FlashError> {
        let flags = self.ledger.flags(piece.block.index)?;
        let locked = self.geometry.lock == LockScheme::PerBlock && flags.locked;
        if locked {
            return Err(FlashError::ReadOnly);
        }
        if self.geometry.is_nand() && (flags.bad || flags.reserved) {
            return Err(FlashError::Io);
        }
        let open = self.unlocked_part(piece.start(), from.length())?;
        if open != (0..from.length()) {
            return Ok(());
        }
        let first_visit = self.ledger.cached_block() != Some(piece.block.index);
        if self.geometry.is_nand() {
            self.replace_pages(piece, &from, first_visit)?;
        } else {
            self.forget_clean(piece.start(), from.length());
            self.medium.write(Area::Main, piece.start(), from)?;
        }
        if first_visit {
            self.ledger.count_erase(piece.block.index)?;
            self.ledger.set_cached_block(Some(piece.block.index));
        }
        Ok(())
    }
}
