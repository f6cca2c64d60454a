//! Write protection: a flag per block (CFI), or the block-protect bits of a SPI NOR status register.
//!
//! Source: `spi-nor/swp.c` (bits BP0..BP2, no bottom bit), recorded from a real driver; `cfi_varsize_frob`.

use crate::chip::Chip;
use crate::{FlashError, Geometry, LockScheme};

const PROTECT_ALL: u8 = 7;
/// Protected fractions between "nothing" and "everything".
const PROTECT_SLOTS: u32 = 6;
/// The unit of protection is the uniform sector even where 4 KiB blocks are erased.
const SECTOR_SIZE: u64 = 64 * 1024;

/// Bytes that the smallest setting protects.
fn protect_minimum(geometry: &Geometry) -> u64 {
    let sector = SECTOR_SIZE.max(u64::from(geometry.erasesize));
    let slots_needed = (geometry.size / sector).checked_ilog2().unwrap_or(0);
    sector << slots_needed.saturating_sub(PROTECT_SLOTS).min(40)
}

/// The protected end of the chip: from where on.
fn protected_from(geometry: &Geometry, bits: u8) -> u64 {
    let Some(shift) = bits.checked_sub(1) else {
        return geometry.size;
    };
    let length = protect_minimum(geometry)
        .checked_shl(u32::from(shift.min(PROTECT_ALL)))
        .unwrap_or(geometry.size);
    geometry.size.saturating_sub(length)
}

/// The bits that protect `length` bytes at the top; lengths between two fractions take the smaller one.
fn bits_for(geometry: &Geometry, length: u64) -> Result<u8, FlashError> {
    if length == geometry.size {
        return Ok(PROTECT_ALL);
    }
    let Some(order) = length.checked_ilog2() else {
        return Ok(0);
    };
    let minimum_order = protect_minimum(geometry).checked_ilog2().unwrap_or(0);
    let bits = i64::from(order) - i64::from(minimum_order) + 1;
    u8::try_from(bits)
        .ok()
        .filter(|&bits| bits <= PROTECT_ALL)
        .ok_or(FlashError::Invalid)
}

impl Chip<'_> {
    pub fn lock(&mut self, at: u64, length: u64) -> Result<(), FlashError> {
        match self.geometry.lock {
            LockScheme::None => Err(FlashError::NotSupported),
            LockScheme::NandUnsupported => Err(FlashError::NotSupportedInternal),
            LockScheme::PerBlock => self.set_locked(at, length, true),
            LockScheme::BlockProtect => self.protect(at, length),
        }
    }

    pub fn unlock(&mut self, at: u64, length: u64) -> Result<(), FlashError> {
        match self.geometry.lock {
            LockScheme::None => Err(FlashError::NotSupported),
            LockScheme::NandUnsupported => Err(FlashError::NotSupportedInternal),
            LockScheme::PerBlock => self.set_locked(at, length, false),
            LockScheme::BlockProtect => self.unprotect(at, length),
        }
    }

    /// Per block: whether any block is locked. Block protect: whether the whole range is.
    pub fn is_locked(&self, at: u64, length: u64) -> Result<bool, FlashError> {
        match self.geometry.lock {
            LockScheme::None | LockScheme::NandUnsupported => Err(FlashError::NotSupported),
            LockScheme::PerBlock => {
                self.check_range(at, length)?;
                for piece in self.geometry.pieces(at, length) {
                    if self.ledger.flags(piece.block.index)?.locked {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            LockScheme::BlockProtect => {
                self.check_range(at, length)?;
                let from = protected_from(self.geometry, self.ledger.block_protect()?);
                Ok(length == 0 || at >= from)
            }
        }
    }

    /// How much of a range, from its start, may be changed.
    pub(crate) fn unlocked_length(&self, at: u64, length: u64) -> Result<u64, FlashError> {
        match self.geometry.lock {
            LockScheme::None | LockScheme::NandUnsupported => Ok(length),
            LockScheme::PerBlock => {
                for piece in self.geometry.pieces(at, length) {
                    if self.ledger.flags(piece.block.index)?.locked {
                        return Ok(piece.start().saturating_sub(at));
                    }
                }
                Ok(length)
            }
            LockScheme::BlockProtect => {
                let from = protected_from(self.geometry, self.ledger.block_protect()?);
                Ok(from.saturating_sub(at).min(length))
            }
        }
    }

    fn set_locked(&mut self, at: u64, length: u64, locked: bool) -> Result<(), FlashError> {
        self.check_range(at, length)?;
        let whole = self
            .geometry
            .pieces(at, length)
            .all(|piece| piece.from == 0 && piece.to == piece.block.length);
        if !whole {
            return Err(FlashError::Invalid);
        }
        for piece in self.geometry.pieces(at, length) {
            let flags = self.ledger.flags(piece.block.index)?;
            self.ledger
                .set_flags(piece.block.index, crate::BlockFlags { locked, ..flags });
        }
        Ok(())
    }

    fn protect(&mut self, at: u64, length: u64) -> Result<(), FlashError> {
        self.check_range(at, length)?;
        let (size, old) = (self.geometry.size, self.ledger.block_protect()?);
        let from = protected_from(self.geometry, old);
        if length == 0 || at >= from {
            return Ok(());
        }
        // What lies above must be protected already: the range protected ends at the top of the chip.
        let end = at.saturating_add(length);
        if end < size && end < from {
            return Err(FlashError::Invalid);
        }
        let new = bits_for(self.geometry, size - at)?;
        if new == 0 || new < old {
            return Err(FlashError::Invalid);
        }
        self.ledger.set_block_protect(new);
        Ok(())
    }

    fn unprotect(&mut self, at: u64, length: u64) -> Result<(), FlashError> {
        self.check_range(at, length)?;
        let (size, old) = (self.geometry.size, self.ledger.block_protect()?);
        let from = protected_from(self.geometry, old);
        let end = at.saturating_add(length);
        if length == 0 || end <= from || at >= size {
            return Ok(());
        }
        // What lies below must be open already.
        if at > from {
            return Err(FlashError::Invalid);
        }
        let new = if end == size {
            0
        } else {
            bits_for(self.geometry, size - end)?
        };
        if new > old {
            return Err(FlashError::Invalid);
        }
        self.ledger.set_block_protect(new);
        Ok(())
    }
}
