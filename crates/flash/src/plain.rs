//! Programming bytes without pages: NOR ANDs, RAM stores. NAND uses it where no code is computed.
//!
//! Source: `spi-nor/core.c`, `mtdram.c`, the CFI command sets.

use crate::chip::{Buffers, Chip, DATA_CHUNK, Outcome, buffers, fetch, front, is_erased};
use crate::{Area, CommandSet, FlashError, Kind, LockScheme, MediumError, Source};

/// Bytes of the bus that CFI chips commonly hang on, and of their write buffer.
const WORD: usize = 2;
const WRITE_BUFFER: usize = 32;

/// The AMD driver programs by buffers, what is left over by words, and compares the last word of each with what it
/// should be. How many bytes it programs until it gives up, if it does.
fn amd_gives_up_after(at: u64, new: &[u8], old: &[u8]) -> Option<usize> {
    let phase = at as usize % WRITE_BUFFER;
    let mut done = 0;
    while done < new.len() {
        let (place, left) = (phase + done, new.len() - done);
        let unit = if place % WORD != 0 {
            1
        } else if left >= 2 * WORD {
            left.min(WRITE_BUFFER - place % WRITE_BUFFER) & !(WORD - 1)
        } else {
            left.min(WORD)
        };
        done += unit;
        let is_wrong = |index: usize| match (new.get(index), old.get(index)) {
            (Some(new), Some(old)) => new & !old != 0,
            _ => false,
        };
        if (done - unit.min(WORD)..done).any(is_wrong) {
            return Some(done);
        }
    }
    None
}

impl Chip<'_> {
    pub(crate) fn plain_write(
        &mut self,
        at: u64,
        from: Source<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        let length = from.length();
        if self.geometry.kind == Kind::Rom {
            return Err(FlashError::ReadOnly);
        }
        let open = self.unlocked_part(at, length)?;
        let part = from
            .part(
                open.start as usize,
                open.end.saturating_sub(open.start) as usize,
            )
            .ok_or(FlashError::Invalid)?;
        match self.geometry.kind {
            Kind::Ram | Kind::Dataflash => self.store_bytes(at, part)?,
            _ => self.program_bytes(at.saturating_add(open.start), part)?,
        }
        if open.end < length && self.geometry.lock == LockScheme::PerBlock {
            outcome.retlen = open.end;
            return Err(FlashError::ReadOnly);
        }
        // Block protect: the chip ignores what it is told about locked sectors, and nobody notices.
        outcome.retlen = length;
        Ok(())
    }

    /// Replaces bytes: no erase was needed.
    pub(crate) fn store_bytes(&mut self, at: u64, from: Source<'_>) -> Result<(), FlashError> {
        self.check_source(&from)?;
        self.forget_clean(at, from.length());
        Ok(self.medium.write(Area::Main, at, from)?)
    }

    /// ANDs bytes in. Where the target is known to be erased this is one write of the caller's bytes.
    pub(crate) fn program_bytes(&mut self, at: u64, from: Source<'_>) -> Result<(), FlashError> {
        let length = from.length();
        if length == 0 {
            return Ok(());
        }
        if self.is_clean(at, length) {
            return self.program_clean(at, from);
        }
        let end = at.saturating_add(length);
        // More than one transfer: a fault in a later one must not leave the earlier ones done.
        if length > DATA_CHUNK as u64 || self.uniform_run(at, end).0 < end {
            self.check_source(&from)?;
        }
        let mut cursor = at;
        while cursor < end {
            let (run_end, clean) = self.uniform_run(cursor, end);
            let run_end = if clean {
                run_end
            } else {
                // Not inside a write buffer.
                run_end.min(cursor.saturating_add(DATA_CHUNK as u64) & !(WRITE_BUFFER as u64 - 1))
            };
            let part = from
                .part(
                    (cursor - at) as usize,
                    run_end.saturating_sub(cursor) as usize,
                )
                .ok_or(FlashError::Invalid)?;
            if clean {
                self.program_clean(cursor, part)?
            } else {
                self.program_over(cursor, part)?
            }
            cursor = run_end.max(cursor.saturating_add(1));
        }
        Ok(())
    }

    fn program_clean(&mut self, at: u64, from: Source<'_>) -> Result<(), FlashError> {
        self.forget_clean(at, from.length());
        self.store_clean(at, from)
    }

    /// Onto erased bytes that are no longer known to be erased; where the guest has no bytes, they are again.
    pub(crate) fn store_clean(&mut self, at: u64, from: Source<'_>) -> Result<(), FlashError> {
        match self.medium.write(Area::Main, at, from) {
            Err(MediumError::Guest) => {
                self.restore_clean(at, from.length())?;
                Err(FlashError::Fault)
            }
            other => Ok(other?),
        }
    }

    /// At most one chunk, over bytes that may be programmed already.
    fn program_over(&mut self, at: u64, from: Source<'_>) -> Result<(), FlashError> {
        let mut count = usize::try_from(from.length()).map_err(|_| FlashError::Invalid)?;
        let Buffers { data, old, .. } = buffers(self.scratch)?;
        let (data, old) = (front(data, count)?, front(old, count)?);
        fetch(self.medium, &from, 0, data)?;
        self.medium.read(Area::Main, at, crate::Sink::Bytes(old))?;
        let mut result = Ok(());
        if !is_erased(old) {
            if self.geometry.command_set == CommandSet::Amd
                && let Some(programmed) = amd_gives_up_after(at, data, old)
            {
                count = programmed;
                result = Err(FlashError::Io);
            }
            // Stored also where that changes nothing, which would take longer to find out.
            self.medium.and(data, old);
        }
        self.forget_clean(at, count as u64);
        let Buffers { data, .. } = buffers(self.scratch)?;
        self.medium
            .write(Area::Main, at, Source::Bytes(front(data, count)?))?;
        result
    }
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
