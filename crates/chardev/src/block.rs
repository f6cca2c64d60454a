//! What /dev/mtdblockN answers: a block device of 512-byte sectors over an mtd device.
//!
//! Below the kernel's page cache lies mtdblock's own, of one eraseblock, which is written to the flash by a flush (fsync), when
//! another block is written, and at the last close: that one is here (`Chip::replace`). The page cache is not: it may write
//! back, and forget, at any moment, and here it does so at once.

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
const MAX_SECTORS: u64 = 255;

/// Whole sectors only.
pub fn capacity(device_size: u64) -> u64 {
    device_size / SECTOR_SIZE * SECTOR_SIZE
}

/// What the kernel reads at once: one byte of a page that cannot be read costs the whole page.
const CACHE_PAGE: u64 = 4096;

/// `direct`: past the page cache, so that only what is asked for must be readable, but all of it.
#[inline(never)]
pub fn read(
    session: &mut Session<'_>,
    position: u64,
    address: usize,
    length: u64,
    direct: bool,
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
    // What waits in mtdblock's cache is read without a look at the flash.
    let kept = session.chip.medium.kept();
    let mut run_max = if kept.is_empty() {
        u64::MAX
    } else {
        CACHE_PAGE
    };
    while done < length {
        let (at, left) = (position + done, length - done);
        let head = CACHE_PAGE - at % CACHE_PAGE;
        let whole = left - left % CACHE_PAGE;
        let to = address.wrapping_add(done as usize);
        let part = head.min(left);
        let (moved, result) = if direct {
            (part, read_run(session, at, guest_sink(to, part)))
        } else if head == CACHE_PAGE && whole > 0 {
            let length = whole.min(run_max);
            (length, read_run(session, at, guest_sink(to, length)))
        } else {
            (part, session.read_part(at, to, part))
        };
        match result {
            Ok(()) => done += moved,
            // Somewhere in the run: page after page, then, up to the one that fails.
            Err(Errno::EIO) if moved > CACHE_PAGE => run_max = CACHE_PAGE,
            Err(_) if done > 0 && !direct => break,
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

/// `direct`: past the page cache, so that what is lost is told at once.
#[inline(never)]
pub fn write(
    session: &mut Session<'_>,
    position: u64,
    address: usize,
    length: u64,
    direct: bool,
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
    let mut length = length.min(capacity(session.device.size).saturating_sub(position));
    if length == 0 {
        return Err(Errno::ENOSPC);
    }
    // The buffer is looked at before the page is read.
    let readable = session.chip.medium.check_readable(address, length as usize);
    readable.map_err(|_| Errno::EFAULT)?;
    if !direct {
        length = session.loadable(position, length)?;
    }
    let from = Source::Guest {
        address,
        length: length as usize,
    };
    // The pages of the page cache, or those of the caller.
    let phase = if direct { address as u64 } else { position };
    if session.replace(position, from, phase)? {
        return Ok(length);
    }
    if direct {
        return Err(Errno::EIO);
    }
    session.file.mode = WRITE_FAILED;
    Ok(length)
}

/// A block device has no file modes; this notes what the next fsync tells.
const WRITE_FAILED: FileMode = FileMode::Raw;

/// What could not be written through this file is still to be told.
pub fn has_failed(file: &crate::OpenFile) -> bool {
    file.mode != FileMode::Normal
}

/// What fsync, and a synchronous write, do to the flash: the error of an earlier write is told, or else what waits is written.
/// (BLKFLSBUF empties only the page cache, which is not here, and leaves mtdblock's.)
pub fn flush(session: &mut Session<'_>) -> Result<(), Errno> {
    if has_failed(session.file) {
        session.file.mode = FileMode::Normal;
        return Err(Errno::EIO);
    }
    session.chip.flush(false).map_err(|_| Errno::EIO)
}

/// fsync.
pub fn sync(session: &mut Session<'_>) -> Result<(), Errno> {
    let flushed = flush(session);
    store_synced(session)?;
    flushed
}

fn store_synced(session: &mut Session<'_>) -> Result<(), Errno> {
    session.chip.medium.sync().map_err(|_| Errno::EIO)
}

/// One command. Those of the char device are unknown here.
#[inline(never)]
pub fn ioctl(session: &mut Session<'_>, command: u32, argument: usize) -> Result<i32, Errno> {
    let size = capacity(session.device.size);
    let done = match command {
        BLKBSZSET | BLKRAGET | BLKFRAGET if argument == 0 => Err(Errno::EINVAL),
        BLKROSET => session
            .copy_in(argument)
            .map(|flag| session.set_block_read_only(u32::from_le_bytes(flag) != 0)),
        BLKBSZSET => session.set_soft_block_size(argument),
        BLKRASET | BLKFRASET => {
            session.set_read_ahead(argument as u32);
            Ok(())
        }
        BLKFLSBUF => store_synced(session),
        // No partition table is ever looked for.
        BLKRRPART => Err(Errno::EINVAL),
        BLKPG => session.block_partition(argument),
        BLKDISCARD | BLKSECDISCARD if !session.file.writable => Err(Errno::EBADF),
        BLKDISCARD | BLKSECDISCARD => Err(Errno::EOPNOTSUPP),
        BLKZEROOUT => session.zero_out(argument),
        _ => {
            // What only tells a number, of so many bytes.
            let (number, width) = match command {
                BLKGETSIZE64 => (size, 8),
                BLKGETSIZE => (size / SECTOR_SIZE, 4),
                BLKSSZGET | BLKPBSZGET | BLKIOMIN => (SECTOR_SIZE, 4),
                BLKBSZGET => (session.soft_block_size().into(), 4),
                BLKROGET => (session.is_block_read_only().into(), 4),
                BLKRAGET | BLKFRAGET => (session.read_ahead().into(), 4),
                BLKIOOPT | BLKALIGNOFF | BLKDISCARDZEROES => (0, 4),
                BLKROTATIONAL => (0, 2),
                BLKSECTGET => (MAX_SECTORS, 2),
                _ => return Err(Errno::ENOTTY),
            };
            let bytes = number.to_le_bytes();
            session.copy_out(argument, bytes.get(..width).unwrap_or(&[]))
        }
    };
    done.map(|()| 0)
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

    /// Whether all of it reached mtdblock. What comes to a unit while another cannot be written, or that cannot be loaded itself,
    /// is lost up to the end of its page of memory, of which `phase` is the first byte: so much is asked for at a time.
    fn replace(&mut self, at: u64, from: Source<'_>, phase: u64) -> Result<bool, Errno> {
        let size = u64::from(self.device.erasesize.max(1));
        let (mut done, mut is_whole) = (0, true);
        while done < from.length() {
            let here = at + done;
            let start = here - here % size;
            let unit = self.device.offset + start..self.device.offset + start + size;
            let length = (start + size - here).min(from.length() - done);
            let part = from
                .part(done as usize, length as usize)
                .ok_or(Errno::EINVAL)?;
            match self.chip.replace(unit, self.device.offset + here, part) {
                Ok(()) => done += length,
                Err(FlashError::Io | FlashError::ReadOnly) => {
                    is_whole = false;
                    done += CACHE_PAGE - (phase + done) % CACHE_PAGE;
                }
                Err(error) => return Err(errno_of(error)),
            }
        }
        Ok(is_whole)
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
            if !self.replace(at, Source::Bytes(&zeros), 0)? {
                return Err(Errno::EIO);
            }
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
