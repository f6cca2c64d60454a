//! Write protection: a flag per block (CFI), or the block-protect bits of a SPI NOR status register.
//!
//! Source: `spi-nor/swp.c` and `cfi_varsize_frob` of Linux 6.1, recorded from real drivers.

use core::ops::Range;

use crate::chip::Chip;
use crate::{BlockProtect, CommandSet, FlashError, Geometry, LockScheme};

/// In the ledger, above the bits BP: the protected part is the bottom.
const BOTTOM: u8 = 0x10;
/// The unit of protection is the uniform sector even where 4 KiB blocks are erased.
const SECTOR_SIZE: u64 = 64 * 1024;

impl BlockProtect {
    /// All bits set: everything is protected.
    fn all(&self) -> u8 {
        (1u8 << self.bits.min(4)) - 1
    }

    /// Bytes that the smallest setting protects: between "nothing" and "everything" every setting doubles them.
    fn minimum(&self, geometry: &Geometry) -> u64 {
        let sector = SECTOR_SIZE.max(u64::from(geometry.erasesize));
        let slots_needed = (geometry.size / sector).checked_ilog2().unwrap_or(0);
        let slots = u32::from(self.all().saturating_sub(1));
        sector << slots_needed.saturating_sub(slots).min(40)
    }

    fn protected(&self, geometry: &Geometry, status: u8) -> Range<u64> {
        let Some(shift) = (status & self.all()).checked_sub(1) else {
            return 0..0;
        };
        let length = (self.minimum(geometry) << shift).min(geometry.size);
        if status & BOTTOM != 0 {
            0..length
        } else {
            geometry.size - length..geometry.size
        }
    }

    /// The bits that protect `length` bytes; lengths between two fractions take the smaller one.
    fn bits_for(&self, geometry: &Geometry, length: u64) -> Result<u8, FlashError> {
        if length == geometry.size {
            return Ok(self.all());
        }
        let Some(order) = length.checked_ilog2() else {
            return Ok(0);
        };
        let minimum_order = self.minimum(geometry).checked_ilog2().unwrap_or(0);
        u8::try_from(i64::from(order) - i64::from(minimum_order) + 1)
            .ok()
            .filter(|&bits| bits <= self.all())
            .ok_or(FlashError::Invalid)
    }
}

impl Chip<'_> {
    pub fn lock(&mut self, at: u64, length: u64) -> Result<(), FlashError> {
        self.set_locked(at, length, true)
    }

    pub fn unlock(&mut self, at: u64, length: u64) -> Result<(), FlashError> {
        self.set_locked(at, length, false)
    }

    /// Per block: whether any block is locked. Block protect: whether the whole range is.
    pub fn is_locked(&self, at: u64, length: u64) -> Result<bool, FlashError> {
        match self.geometry.lock {
            LockScheme::None | LockScheme::NandUnsupported => Err(FlashError::NotSupported),
            LockScheme::PerBlock | LockScheme::NoEffect => {
                self.check_range(at, length)?;
                // The CFI drivers take their own refusal of parts of blocks for "locked".
                if self.geometry.command_set != CommandSet::Other && !self.is_whole(at, length) {
                    return Ok(true);
                }
                Ok(self.unlocked_part(at, length)?.end < length)
            }
            LockScheme::BlockProtect(_) => {
                self.check_range(at, length)?;
                let locked = self.protected()?;
                Ok(length == 0 || locked.start <= at && at.saturating_add(length) <= locked.end)
            }
        }
    }

    /// What block protect covers.
    pub(crate) fn protected(&self) -> Result<Range<u64>, FlashError> {
        match self.geometry.lock {
            LockScheme::BlockProtect(protect) => {
                Ok(protect.protected(self.geometry, self.ledger.block_protect()?))
            }
            _ => Ok(0..0),
        }
    }

    /// Which part of a range may be changed: per block, all before the first locked block; with block protect, all
    /// but the protected end.
    pub(crate) fn unlocked_part(&self, at: u64, length: u64) -> Result<Range<u64>, FlashError> {
        if self.geometry.lock == LockScheme::PerBlock {
            for piece in self.geometry.pieces(at, length) {
                if self.ledger.flags(piece.block.index)?.locked {
                    return Ok(0..piece.start().saturating_sub(at));
                }
            }
            return Ok(0..length);
        }
        let locked = self.protected()?;
        if locked.start == 0 {
            Ok(locked.end.saturating_sub(at).min(length)..length)
        } else {
            Ok(0..locked.start.saturating_sub(at).min(length))
        }
    }

    fn is_whole(&self, at: u64, length: u64) -> bool {
        self.geometry
            .pieces(at, length)
            .all(|piece| piece.from == 0 && piece.to == piece.block.length)
    }

    fn set_locked(&mut self, at: u64, length: u64, locked: bool) -> Result<(), FlashError> {
        match self.geometry.lock {
            LockScheme::None => return Err(FlashError::NotSupported),
            LockScheme::NandUnsupported => return Err(FlashError::NotSupportedInternal),
            LockScheme::BlockProtect(protect) => {
                return self.protect(&protect, at, length, locked);
            }
            LockScheme::PerBlock | LockScheme::NoEffect => {}
        }
        self.check_range(at, length)?;
        if !self.is_whole(at, length) {
            return Err(FlashError::Invalid);
        }
        let locked = locked && self.geometry.lock == LockScheme::PerBlock;
        for piece in self.geometry.pieces(at, length) {
            let flags = self.ledger.flags(piece.block.index)?;
            self.ledger
                .set_flags(piece.block.index, crate::BlockFlags { locked, ..flags });
        }
        Ok(())
    }

    /// Protects more (`locked`) or less. What is protected always reaches one end of the chip, so all on one side of
    /// the range must be in the wanted state already; where both ends can be, it is the top.
    fn protect(
        &mut self,
        protect: &BlockProtect,
        at: u64,
        length: u64,
        locked: bool,
    ) -> Result<(), FlashError> {
        self.check_range(at, length)?;
        let (size, old) = (self.geometry.size, self.ledger.block_protect()?);
        let range = protect.protected(self.geometry, old);
        let is_done = |from: u64, to: u64| {
            from >= to
                || if locked {
                    range.start <= from && to <= range.end
                } else {
                    to <= range.start || range.end <= from
                }
        };
        let end = at.saturating_add(length);
        if is_done(at, end) {
            return Ok(());
        }
        let (below, above) = (is_done(0, at), is_done(end, size));
        let (top, bottom) = if locked {
            (above, below)
        } else {
            (below, above)
        };
        let bottom = bottom && protect.bottom;
        if !top && !bottom {
            return Err(FlashError::Invalid);
        }
        let covered = match (locked, top) {
            (true, true) => size.saturating_sub(at),
            (true, false) => end,
            (false, true) => size.saturating_sub(end),
            (false, false) => at,
        };
        let (old, new) = (
            old & protect.all(),
            protect.bits_for(self.geometry, covered)?,
        );
        if (locked && (new == 0 || new < old)) || (!locked && new > old) {
            return Err(FlashError::Invalid);
        }
        let side = if top { 0 } else { BOTTOM };
        self.ledger.set_block_protect(new | side);
        Ok(())
    }
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
