//! The checks of mtdcore that stand before every driver call, and the counting behind every read.

use crate::{Session, errno_of};
use flash::{OpMode, Outcome, ReadOps, Sink, Source, WriteOps};
use mtd_abi::errno::Errno;

/// Result of a read below the char device: data may be delivered although the code is EUCLEAN or EBADMSG.
pub(crate) struct ReadDone {
    pub outcome: Outcome,
    pub result: Result<(), Errno>,
}

impl ReadDone {
    pub(crate) fn refused(errno: Errno) -> ReadDone {
        ReadDone {
            outcome: Outcome::default(),
            result: Err(errno),
        }
    }

    /// EUCLEAN and EBADMSG come with all the data.
    pub(crate) fn delivered(&self) -> bool {
        matches!(
            self.result,
            Ok(()) | Err(Errno::EUCLEAN) | Err(Errno::EBADMSG)
        )
    }
}

impl Session<'_> {
    pub(crate) fn oob_available(&self, mode: OpMode) -> u64 {
        match mode {
            OpMode::Auto => u64::from(self.device.geometry.oobavail()),
            OpMode::Place | OpMode::Raw => u64::from(self.device.geometry.oobsize),
        }
    }

    /// `mtd_check_oob_ops`.
    pub(crate) fn check_oob_ops(
        &self,
        at: u64,
        length: u64,
        ooblen: u64,
        ooboffs: u32,
        mode: OpMode,
    ) -> Result<(), Errno> {
        // loff_t is signed: a huge start is a negative one.
        let at_signed = i64::try_from(at).map_err(|_| Errno::EINVAL)?;
        let end = u64::try_from(at_signed)
            .ok()
            .and_then(|at| at.checked_add(length))
            .ok_or(Errno::EINVAL)?;
        if end > self.device.size {
            return Err(Errno::EINVAL);
        }
        if ooblen == 0 {
            return Ok(());
        }
        let available = self.oob_available(mode);
        if u64::from(ooboffs) >= available {
            return Err(Errno::EINVAL);
        }
        // Mostly the bytes of one page.
        let size = self.device.size;
        if at < size && size >> u32::BITS == 0 && u64::from(ooboffs) + ooblen <= available {
            return Ok(());
        }
        let page = |at: u64| self.device.geometry.page_at(at);
        let pages = page(size).saturating_sub(page(at));
        // An unsigned difference: right behind the last page an offset makes it huge, so that the page which follows a
        // partition can be reached.
        let room = (pages * available) as u32;
        if ooblen > u64::from(room.wrapping_sub(ooboffs)) {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    /// `mtd_read` and the ECC accounting of the device.
    pub(crate) fn core_read(&mut self, at: u64, to: Sink<'_>, mode: OpMode) -> ReadDone {
        if let Err(errno) = self.check_oob_ops(at, to.length(), 0, 0, mode) {
            return ReadDone::refused(errno);
        }
        let (outcome, result) = self.chip.read(self.device.offset + at, to, mode);
        self.finish_read(outcome, result.map_err(errno_of), mode)
    }

    /// `mtd_read_oob`.
    pub(crate) fn core_read_oob(&mut self, at: u64, ops: ReadOps<'_>) -> ReadDone {
        if let Err(errno) = self.check_read_oob(at, &ops) {
            return ReadDone::refused(errno);
        }
        let mode = ops.mode;
        let (outcome, result) = self.chip.read_oob(self.device.offset + at, ops);
        self.finish_read(outcome, result.map_err(errno_of), mode)
    }

    fn check_read_oob(&self, at: u64, ops: &ReadOps<'_>) -> Result<(), Errno> {
        let length = ops.data.as_ref().map_or(0, Sink::length);
        let ooblen = ops.oob.as_ref().map_or(0, Sink::length);
        self.check_oob_ops(at, length, ooblen, ops.ooboffs, ops.mode)?;
        if !self.device.has_oob() {
            return Err(Errno::EOPNOTSUPP);
        }
        // The driver refuses a page behind the chip's last, even for no bytes at all.
        if length == 0 && self.device.offset + at >= self.device.geometry.size {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    fn finish_read(
        &mut self,
        outcome: Outcome,
        result: Result<(), Errno>,
        mode: OpMode,
    ) -> ReadDone {
        if outcome.corrected != 0 || outcome.failed != 0 {
            self.registry
                .count_ecc(self.device.index, outcome.corrected, outcome.failed);
        }
        let result = result.and_then(|()| {
            if outcome.failed > 0 {
                Err(Errno::EBADMSG)
            } else if self.device.geometry.ecc_strength() == 0 {
                Ok(())
            } else if outcome.max_bitflips >= self.registry.bitflip_threshold(self.device.index)
                && !(mode == OpMode::Raw && outcome.max_bitflips == 0)
            {
                Err(Errno::EUCLEAN)
            } else {
                Ok(())
            }
        });
        ReadDone { outcome, result }
    }

    /// `mtd_write`: the order is WRITEABLE, then range.
    pub(crate) fn core_write(
        &mut self,
        at: u64,
        from: Source<'_>,
        mode: OpMode,
    ) -> Result<u64, Errno> {
        if !self.device.is_writeable() {
            return Err(Errno::EROFS);
        }
        self.check_oob_ops(at, from.length(), 0, 0, mode)?;
        if from.length() == 0 {
            return Ok(0);
        }
        let (outcome, result) = self.chip.program(self.device.offset + at, from, mode);
        result.map_err(errno_of)?;
        Ok(outcome.retlen)
    }

    /// `mtd_write_oob`.
    pub(crate) fn core_write_oob(
        &mut self,
        at: u64,
        ops: WriteOps<'_>,
    ) -> (Outcome, Result<(), Errno>) {
        match self.check_write_oob(at, &ops) {
            Ok(()) => {
                let (outcome, result) = self.chip.write_oob(self.device.offset + at, ops);
                (outcome, result.map_err(errno_of))
            }
            Err(errno) => (Outcome::default(), Err(errno)),
        }
    }

    fn check_write_oob(&self, at: u64, ops: &WriteOps<'_>) -> Result<(), Errno> {
        if !self.device.is_writeable() {
            return Err(Errno::EROFS);
        }
        let length = ops.data.as_ref().map_or(0, Source::length);
        let ooblen = ops.oob.as_ref().map_or(0, Source::length);
        self.check_oob_ops(at, length, ooblen, ops.ooboffs, ops.mode)?;
        if length == 0 && ooblen > 0 && self.device.offset + at >= self.device.geometry.size {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    /// `mtd_erase`.
    pub(crate) fn core_erase(&mut self, start: u64, length: u64) -> Result<(), Errno> {
        if self.device.erasesize == 0 || self.device.geometry.kind == flash::Kind::Rom {
            return Err(Errno::ENOTSUPP);
        }
        if start >= self.device.size || length > self.device.size - start {
            return Err(Errno::EINVAL);
        }
        if !self.device.is_writeable() {
            return Err(Errno::EROFS);
        }
        if length == 0 {
            return Ok(());
        }
        self.chip
            .erase(self.device.offset + start, length)
            .map_err(errno_of)
    }
}
