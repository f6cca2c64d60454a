//! What /dev/mtdblockN answers: a block device of 512-byte sectors over an mtd device.
//!
//! The kernel gathers writes in its page cache and in one eraseblock of mtdblock, and rewrites the flash at fsync and
//! close. Here every write reaches the image at once, so nothing can be lost with a process; wear is counted as if
//! neighbouring writes had been gathered. Reads of the char device therefore see a write earlier than on Linux
//! (a line in the README's table).

use crate::{FileMode, Session, errno_of};
use flash::{FlashError, OpMode, Sink, Source};
use mtd_abi::errno::Errno;
use mtd_abi::ioctl::*;

pub const SECTOR_SIZE: u64 = 512;
const BLOCK_SIZE_SOFT: u32 = 4096;
/// 128 KiB, in sectors.
const READ_AHEAD_SECTORS: u32 = 256;
const MAX_SECTORS: u16 = 255;

/// Whole sectors only.
pub fn capacity(device_size: u64) -> u64 {
    device_size / SECTOR_SIZE * SECTOR_SIZE
}

pub fn read(
    session: &mut Session<'_>,
    position: u64,
    address: u64,
    length: u64,
) -> Result<u64, Errno> {
    if !session.file.readable {
        return Err(Errno::EBADF);
    }
    let length = length.min(capacity(session.device.size).saturating_sub(position));
    if length == 0 {
        return Ok(0);
    }
    let read = session.core_read(position, Sink::Guest { address, length }, OpMode::Place);
    match read.result {
        Ok(()) | Err(Errno::EUCLEAN) => Ok(length),
        Err(Errno::EBADMSG) => Err(Errno::EIO),
        Err(errno) => Err(errno),
    }
}

pub fn write(
    session: &mut Session<'_>,
    position: u64,
    address: u64,
    length: u64,
) -> Result<u64, Errno> {
    if !session.file.writable {
        return Err(Errno::EBADF);
    }
    if !session.device.is_writeable() {
        return Err(Errno::EPERM);
    }
    if length == 0 {
        return Ok(0);
    }
    let length = length.min(capacity(session.device.size).saturating_sub(position));
    if length == 0 {
        return Err(Errno::ENOSPC);
    }
    match session.chip.replace(
        session.device.offset + position,
        Source::Guest { address, length },
    ) {
        // A locked NOR ignores the write-back, and nobody is told.
        Ok(()) | Err(FlashError::ReadOnly) => Ok(length),
        Err(error) => {
            session.file.mode = WRITE_FAILED;
            Err(errno_of(error))
        }
    }
}

/// A block device has no file modes; this one notes that a write failed, which the next fsync tells once more.
const WRITE_FAILED: FileMode = FileMode::Raw;

/// fsync: what BLKFLSBUF does, and the error of an earlier write.
pub fn sync(session: &mut Session<'_>) -> Result<(), Errno> {
    let failed = session.file.mode == WRITE_FAILED;
    session.file.mode = FileMode::Normal;
    flush(session)?;
    if failed { Err(Errno::EIO) } else { Ok(()) }
}

/// fsync, BLKFLSBUF and the last close: what was gathered is on the flash, so the next write erases anew.
pub fn flush(session: &mut Session<'_>) -> Result<(), Errno> {
    session.chip.end_replace();
    session.chip.medium.sync().map_err(|_| Errno::EIO)
}

/// One command. Those of the char device are unknown here.
pub fn ioctl(session: &mut Session<'_>, command: u32, argument: u64) -> Result<i32, Errno> {
    let size = capacity(session.device.size);
    let read_only = u32::from(!session.device.is_writeable());
    match command {
        BLKGETSIZE64 => session.copy_out(argument, &size.to_le_bytes()),
        BLKGETSIZE => session.copy_out(argument, &((size / SECTOR_SIZE) as u32).to_le_bytes()),
        BLKSSZGET | BLKPBSZGET | BLKIOMIN => {
            session.copy_out(argument, &(SECTOR_SIZE as u32).to_le_bytes())
        }
        BLKBSZGET => session.copy_out(argument, &BLOCK_SIZE_SOFT.to_le_bytes()),
        BLKBSZSET => session.set_block_size(argument),
        BLKROGET => session.copy_out(argument, &read_only.to_le_bytes()),
        BLKROSET => session.copy_in::<4>(argument).map(|_| ()),
        BLKRAGET | BLKFRAGET => session.copy_out(argument, &READ_AHEAD_SECTORS.to_le_bytes()),
        BLKRASET | BLKFRASET => Ok(()),
        BLKIOOPT | BLKALIGNOFF | BLKDISCARDZEROES => {
            session.copy_out(argument, &0u32.to_le_bytes())
        }
        BLKROTATIONAL => session.copy_out(argument, &0u16.to_le_bytes()),
        BLKSECTGET => session.copy_out(argument, &MAX_SECTORS.to_le_bytes()),
        BLKFLSBUF => flush(session),
        // No partition table is ever looked for.
        BLKRRPART => Err(Errno::EINVAL),
        BLKPG => session.copy_in::<16>(argument).and(Err(Errno::EINVAL)),
        BLKDISCARD | BLKSECDISCARD => session.discard_range(argument).and(Err(Errno::EOPNOTSUPP)),
        BLKZEROOUT => session.zero_out(argument),
        _ => Err(Errno::ENOTTY),
    }
    .map(|()| 0)
}

impl Session<'_> {
    fn set_block_size(&mut self, address: u64) -> Result<(), Errno> {
        let size = u32::from_le_bytes(self.copy_in(address)?);
        if size.is_power_of_two() && (SECTOR_SIZE as u32..=BLOCK_SIZE_SOFT).contains(&size) {
            Ok(())
        } else {
            Err(Errno::EINVAL)
        }
    }

    /// Start and length of BLKDISCARD and BLKZEROOUT, both in bytes and whole sectors.
    fn discard_range(&mut self, address: u64) -> Result<(u64, u64), Errno> {
        if !self.file.writable {
            return Err(Errno::EBADF);
        }
        let bytes: [u8; 16] = self.copy_in(address)?;
        let (low, high) = bytes.split_at(8);
        let number = |half: &[u8]| u64::from_le_bytes(half.try_into().unwrap_or_default());
        Ok((number(low), number(high)))
    }

    fn zero_out(&mut self, address: u64) -> Result<(), Errno> {
        let (start, length) = self.discard_range(address)?;
        let end = start.checked_add(length).ok_or(Errno::EINVAL)?;
        if start % SECTOR_SIZE != 0
            || length % SECTOR_SIZE != 0
            || length == 0
            || end > capacity(self.device.size)
        {
            return Err(Errno::EINVAL);
        }
        if !self.device.is_writeable() {
            return Err(Errno::EPERM);
        }
        let zeros = [0; SECTOR_SIZE as usize];
        let mut at = start;
        while at < end {
            self.chip
                .replace(self.device.offset + at, Source::Bytes(&zeros))
                .map_err(errno_of)?;
            at += SECTOR_SIZE;
        }
        Ok(())
    }
}
