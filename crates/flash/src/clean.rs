//! Where a block is still erased: the permission to program without reading first.
//!
//! The rule that keeps it true: the ledger forgets *before* the bytes change, and learns *after* they were erased.

use crate::chip::Chip;
use crate::geometry::{Piece, quotient, shifted};
use crate::{Area, FlashError};

impl Chip<'_> {
    fn piece_is_clean(&self, piece: &Piece) -> bool {
        let unit = u64::from(self.geometry.clean_unit(piece.block.length));
        self.ledger
            .clean_from(piece.block.index)
            .is_some_and(|clean_from| {
                u64::from(piece.from) >= u64::from(clean_from).saturating_mul(unit)
            })
    }

    /// The range is known to hold nothing but 0xFF, in the spare area too.
    #[inline(never)]
    pub(crate) fn is_clean(&self, at: u64, length: u64) -> bool {
        self.geometry
            .pieces(at, length)
            .all(|piece| self.piece_is_clean(&piece))
    }

    /// The longest start of the range that is either all clean or all not, and which of both.
    pub(crate) fn uniform_run(&self, at: u64, end: u64) -> (u64, bool) {
        self.uniform(at, end, false)
    }

    /// The longest start of the range in which no code needs to be looked at, or every code does, and which of both: erased
    /// pages and those of sound blocks are as they should be.
    pub(crate) fn uniform_soundness(&self, at: u64, end: u64) -> (u64, bool) {
        self.uniform(at, end, true)
    }

    fn uniform(&self, at: u64, end: u64, or_sound: bool) -> (u64, bool) {
        let mut run: Option<(u64, bool)> = None;
        for piece in self.geometry.pieces(at, end.saturating_sub(at)) {
            let is_sound = or_sound && self.ledger.is_sound(piece.block.index);
            let is_it = is_sound || self.piece_is_clean(&piece);
            match run {
                Some((_, first)) if first != is_it => break,
                _ => run = Some((piece.end(), is_it)),
            }
        }
        run.unwrap_or((end, false))
    }

    /// From now on the codes of these blocks are looked at. Called before a code may become wrong.
    pub(crate) fn forget_sound(&self, at: u64, length: u64) {
        for piece in self.geometry.pieces(at, length) {
            if self.ledger.is_sound(piece.block.index) {
                self.ledger.set_sound(piece.block.index, false);
            }
        }
    }

    /// Forgets that the range is erased. Called before its bytes change.
    pub(crate) fn forget_clean(&self, at: u64, length: u64) {
        for piece in self.geometry.pieces(at, length) {
            let Some(clean_from) = self.ledger.clean_from(piece.block.index) else {
                continue;
            };
            let unit = self.geometry.clean_unit(piece.block.length);
            let end = u64::from(piece.to) + u64::from(unit - 1);
            let touched = quotient(end, unit).unwrap_or(0) as u32;
            if touched > clean_from {
                self.ledger.set_clean_from(piece.block.index, Some(touched));
            }
        }
    }

    /// Whether whole pages of NAND are known to be erased, with their spare areas. That is forgotten then, for they are to be
    /// programmed.
    pub(crate) fn claim_pages(&self, at: u64, length: u64) -> bool {
        let erasesize = self.geometry.erasesize;
        let from = at as u32 & erasesize.wrapping_sub(1);
        let to = from.saturating_add(length as u32);
        if to > erasesize {
            let is_clean = self.is_clean(at, length);
            if is_clean {
                self.forget_clean(at, length);
            }
            return is_clean;
        }
        // Mostly in one block: all sizes are powers of two.
        let block = shifted(at, erasesize.trailing_zeros()) as u32;
        let shift = self.geometry.writesize.trailing_zeros() & 31;
        let clean_from = self.ledger.clean_from(block);
        let is_clean = clean_from.is_some_and(|clean_from| from >> shift >= clean_from);
        if is_clean {
            self.ledger.set_clean_from(block, Some(to >> shift));
        }
        is_clean
    }

    /// Takes back a write to a clean range that a guest fault broke off, so that EFAULT changes nothing.
    pub(crate) fn restore_clean(&mut self, at: u64, length: u64) -> Result<(), FlashError> {
        self.medium.erase(Area::Main, at, length)?;
        for piece in self.geometry.pieces(at, length) {
            let untouched = piece
                .from
                .div_ceil(self.geometry.clean_unit(piece.block.length));
            self.ledger
                .set_clean_from(piece.block.index, Some(untouched));
        }
        Ok(())
    }
}
