//! What /dev/mtdblockN answers: a block device of 512-byte sectors over an mtd device.
//!
//! The kernel gathers writes in its page cache and in one eraseblock of mtdblock, and rewrites the flash at fsync and
//! close. Here every write reaches the image at once, so nothing can be lost with a process; wear is counted as if
//! neighbouring writes had been gathered, and what could not be written is told when the kernel would tell it. Reads of
//! the char device therefore see a write earlier than on Linux (a line in the README's table).

use crate::{FileMode, Session, errno_of};
use flash::{FlashError, OpMode, Sink, Source};
use mtd_abi::blkpg;
use mtd_abi::errno::Errno;
use mtd_abi::ioctl::*;
use mtd_abi::layout::{BlkpgIoctlArg, BlkpgPartition};

pub const SECTOR_SIZE: u64 = 512;
const BLOCK_SIZE_MAX: u32 = 4096;
/// 128 KiB, in sectors.
const READ_AHEAD_SECTORS: u32 = 256;
const MAX_SECTORS: u16 = 255;

/// Whole sectors only.
pub fn capacity(device_size: u64) -> u64 {
    device_size / SECTOR_SIZE * SECTOR_SIZE
}

/// What the kernel reads at once: one byte of a page that cannot be read costs the whole page.
const CACHE_PAGE: u64 = 4096;

#[inline(never)]
pub fn read(
    session: &mut Session<'_>,
    position: u64,
    address: usize,
    length: u64,
) -> Result<u64, Errno> {
    if !session.file.readable {
        return Err(Errno::EBADF);
    }
    let length = length.min(capacity(session.device.size).saturating_sub(position));
    if length == 0 {
        return Ok(0);
    }
    if !session.device.has_oob() {
        return read_run(session, position, guest_sink(address, length)).map(|()| length);
    }
    let mut done = 0;
    let mut run_max = u64::MAX;
    while done < length {
        let (at, left) = (position + done, length - done);
        let head = CACHE_PAGE - at % CACHE_PAGE;
        let whole = left - left % CACHE_PAGE;
        let to = address.wrapping_add(done as usize);
        let (moved, result) = if head == CACHE_PAGE && whole > 0 {
            let length = whole.min(run_max);
            (length, read_run(session, at, guest_sink(to, length)))
        } else {
            let part = head.min(left);
            (part, session.read_part(at, to, part))
        };
        match result {
            Ok(()) => done += moved,
            // Somewhere in the run: page after page, then, up to the one that fails.
            Err(Errno::EIO) if moved > CACHE_PAGE => run_max = CACHE_PAGE,
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(done)
}

fn guest_sink(address: usize, length: u64) -> Sink<'static> {
    Sink::Guest {
        address,
        length: length as usize,
    }
}

fn read_run(session: &mut Session<'_>, at: u64, to: Sink<'_>) -> Result<(), Errno> {
    match session.core_read(at, to, OpMode::Place).result {
        Ok(()) | Err(Errno::EUCLEAN) => Ok(()),
        Err(Errno::EBADMSG) => Err(Errno::EIO),
        Err(errno) => Err(errno),
    }
}

#[inline(never)]
pub fn write(
    session: &mut Session<'_>,
    position: u64,
    address: usize,
    length: u64,
) -> Result<u64, Errno> {
    if !session.file.writable {
        return Err(Errno::EBADF);
    }
    if session.is_block_read_only() {
        return Err(Errno::EPERM);
    }
    if length == 0 {
        return Ok(0);
    }
    let length = length.min(capacity(session.device.size).saturating_sub(position));
    if length == 0 {
        return Err(Errno::ENOSPC);
    }
    // The buffer is looked at before the page is read.
    let readable = session.chip.medium.check_readable(address, length as usize);
    readable.map_err(|_| Errno::EFAULT)?;
    let length = session.loadable(position, length)?;
    let from = Source::Guest {
        address,
        length: length as usize,
    };
    session.replace(position, from)?;
    Ok(length)
}

/// A block device has no file modes; these note what the next fsync tells.
const WRITE_FAILED: FileMode = FileMode::Raw;
/// The cache of a locked block stays full and is tried again, so every fsync tells it.
const WRITE_REFUSED: FileMode = FileMode::OtpUser;

/// What could not be written through this file is still to be told.
pub fn has_failed(file: &crate::OpenFile) -> bool {
    file.mode != FileMode::Normal
}

/// fsync: what was gathered is on the flash, so the next write erases anew; and the error of an earlier write is told.
/// (BLKFLSBUF empties only the page cache, which is not here, and leaves mtdblock's.)
pub fn sync(session: &mut Session<'_>) -> Result<(), Errno> {
    let failed = has_failed(session.file);
    if session.file.mode == WRITE_FAILED {
        session.file.mode = FileMode::Normal;
    }
    session.chip.end_replace();
    store_synced(session)?;
    if failed { Err(Errno::EIO) } else { Ok(()) }
}

fn store_synced(session: &mut Session<'_>) -> Result<(), Errno> {
    session.chip.medium.sync().map_err(|_| Errno::EIO)
}

/// One command. Those of the char device are unknown here.
#[inline(never)]
pub fn ioctl(session: &mut Session<'_>, command: u32, argument: usize) -> Result<i32, Errno> {
    let size = capacity(session.device.size);
    let read_only = u32::from(session.is_block_read_only());
    match command {
        BLKGETSIZE64 => session.copy_out(argument, &size.to_le_bytes()),
        BLKGETSIZE => session.copy_out(argument, &((size / SECTOR_SIZE) as u32).to_le_bytes()),
        BLKSSZGET | BLKPBSZGET | BLKIOMIN => {
            session.copy_out(argument, &(SECTOR_SIZE as u32).to_le_bytes())
        }
        BLKBSZGET => {
            let bytes = session.soft_block_size().to_le_bytes();
            session.copy_out(argument, &bytes)
        }
        BLKROGET => session.copy_out(argument, &read_only.to_le_bytes()),
        BLKROSET => session
            .copy_in(argument)
            .map(|flag| session.set_block_read_only(u32::from_le_bytes(flag) != 0)),
        BLKBSZSET | BLKRAGET | BLKFRAGET if argument == 0 => Err(Errno::EINVAL),
        BLKBSZSET => session.set_soft_block_size(argument),
        BLKRAGET | BLKFRAGET => {
            let bytes = session.read_ahead().to_le_bytes();
            session.copy_out(argument, &bytes)
        }
        BLKRASET | BLKFRASET => {
            session.set_read_ahead(argument as u32);
            Ok(())
        }
        BLKIOOPT | BLKALIGNOFF | BLKDISCARDZEROES => {
            session.copy_out(argument, &0u32.to_le_bytes())
        }
        BLKROTATIONAL => session.copy_out(argument, &0u16.to_le_bytes()),
        BLKSECTGET => session.copy_out(argument, &MAX_SECTORS.to_le_bytes()),
        BLKFLSBUF => store_synced(session),
        // No partition table is ever looked for.
        BLKRRPART => Err(Errno::EINVAL),
        BLKPG => session.block_partition(argument),
        BLKDISCARD | BLKSECDISCARD if !session.file.writable => Err(Errno::EBADF),
        BLKDISCARD | BLKSECDISCARD => Err(Errno::EOPNOTSUPP),
        BLKZEROOUT => session.zero_out(argument),
        _ => Err(Errno::ENOTTY),
    }
    .map(|()| 0)
}

impl Session<'_> {
    /// Part of a page, of which every byte must be readable.
    fn read_part(&mut self, at: u64, address: usize, length: u64) -> Result<(), Errno> {
        let mut page = [0; CACHE_PAGE as usize];
        self.load_page(at, &mut page)?;
        let from = (at % CACHE_PAGE) as usize;
        let part = page.get(from..from + length as usize).unwrap_or(&[]);
        self.copy_out(address, part)
    }

    /// The page that holds `at`.
    fn load_page(&mut self, at: u64, page: &mut [u8; CACHE_PAGE as usize]) -> Result<(), Errno> {
        let start = at - at % CACHE_PAGE;
        let end = capacity(self.device.size).min(start + CACHE_PAGE);
        let page = page.get_mut(..(end - start) as usize).unwrap_or_default();
        read_run(self, start, Sink::Bytes(page))
    }

    /// How much of a write gets into the kernel's cache: a page that is written in part is read first.
    fn loadable(&mut self, position: u64, length: u64) -> Result<u64, Errno> {
        if !self.device.has_oob() {
            return Ok(length);
        }
        let end = position + length;
        let last = end - end % CACHE_PAGE;
        let mut page = [0; CACHE_PAGE as usize];
        if !position.is_multiple_of(CACHE_PAGE) {
            self.load_page(position, &mut page)?;
        }
        if last == end || last < position {
            return Ok(length);
        }
        match self.load_page(last, &mut page) {
            Err(Errno::EIO) if last > position => Ok(last - position),
            other => other.map(|()| length),
        }
    }

    /// Bad and locked blocks, and blocks that cannot be loaded, keep what they hold; a later call tells of it.
    fn replace(&mut self, at: u64, from: Source<'_>) -> Result<(), Errno> {
        match self.chip.replace(self.device.offset + at, from) {
            Ok(()) => Ok(()),
            Err(FlashError::Io) => {
                self.file.mode = WRITE_FAILED;
                Ok(())
            }
            Err(FlashError::ReadOnly) => {
                self.file.mode = WRITE_REFUSED;
                Ok(())
            }
            Err(error) => Err(errno_of(error)),
        }
    }

    /// Nothing can be partitioned, so nothing can be removed.
    fn block_partition(&mut self, address: usize) -> Result<(), Errno> {
        let arg = BlkpgIoctlArg::decode(&self.copy_in(address)?);
        let partition: [u8; BlkpgPartition::SIZE] = self.copy_in(arg.data as usize)?;
        if BlkpgPartition::decode(&partition).pno > 0 && arg.op == blkpg::DEL_PARTITION {
            Err(Errno::ENXIO)
        } else {
            Err(Errno::EINVAL)
        }
    }

    fn zero_out(&mut self, address: usize) -> Result<(), Errno> {
        if !self.file.writable {
            return Err(Errno::EBADF);
        }
        let bytes: [u8; 16] = self.copy_in(address)?;
        let (low, high) = bytes.split_at(8);
        let number = |half: &[u8]| u64::from_le_bytes(half.try_into().unwrap_or_default());
        let (start, length) = (number(low), number(high));
        let end = start.checked_add(length).ok_or(Errno::EINVAL)?;
        if start % SECTOR_SIZE != 0
            || length % SECTOR_SIZE != 0
            || length == 0
            || end > capacity(self.device.size)
        {
            return Err(Errno::EINVAL);
        }
        if self.is_block_read_only() {
            return Err(Errno::EPERM);
        }
        let zeros = [0; SECTOR_SIZE as usize];
        let mut at = start;
        while at < end {
            self.replace(at, Source::Bytes(&zeros))?;
            at += SECTOR_SIZE;
        }
        Ok(())
    }
}

/// What programs set on the block device itself, in one word of the device's: 0 is what a fresh one has.
impl Session<'_> {
    fn settings(&self) -> u32 {
        self.registry.block_settings(self.device.index, 0, 0)
    }

    fn set(&mut self, mask: u32, value: u32) {
        self.registry
            .block_settings(self.device.index, mask, value & mask);
    }

    fn is_block_read_only(&self) -> bool {
        !self.device.is_writeable() || self.settings() & READ_ONLY != 0
    }

    fn set_block_read_only(&mut self, read_only: bool) {
        self.set(READ_ONLY, u32::from(read_only));
    }

    /// The first opener gets the largest that divides the device.
    fn soft_block_size(&self) -> u32 {
        match self.settings() & BLOCK_SIZE_SET {
            0 => {
                let lowest_bit = capacity(self.device.size).trailing_zeros().min(31);
                (1 << lowest_bit).min(BLOCK_SIZE_MAX)
            }
            order => 1 << (order >> BLOCK_SIZE_SET.trailing_zeros()),
        }
    }

    fn set_soft_block_size(&mut self, address: usize) -> Result<(), Errno> {
        let size = u32::from_le_bytes(self.copy_in(address)?);
        if !size.is_power_of_two() || !(SECTOR_SIZE as u32..=BLOCK_SIZE_MAX).contains(&size) {
            return Err(Errno::EINVAL);
        }
        let order = size.trailing_zeros() << BLOCK_SIZE_SET.trailing_zeros();
        self.set(BLOCK_SIZE_SET, order);
        Ok(())
    }

    fn read_ahead(&self) -> u32 {
        match self.settings() >> READ_AHEAD_SHIFT {
            0 => READ_AHEAD_SECTORS,
            pages => (pages - 1) * SECTORS_PER_PAGE,
        }
    }

    /// Kept in pages.
    fn set_read_ahead(&mut self, sectors: u32) {
        let pages = (sectors / SECTORS_PER_PAGE).min(u32::MAX >> (READ_AHEAD_SHIFT + 1));
        self.set(
            u32::MAX << READ_AHEAD_SHIFT,
            (pages + 1) << READ_AHEAD_SHIFT,
        );
    }
}

const READ_ONLY: u32 = 1;
/// Order of the block size that BLKBSZSET chose; forgotten when nobody has the device open any more.
pub const BLOCK_SIZE_SET: u32 = 0xf0;
/// Pages of read-ahead and one.
const READ_AHEAD_SHIFT: u32 = 8;
const SECTORS_PER_PAGE: u32 = (CACHE_PAGE / SECTOR_SIZE) as u32;
