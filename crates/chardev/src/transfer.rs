//! read, write and lseek of the char device (`mtdchar_read`, `mtdchar_write`, `fixed_size_llseek`).

use crate::{FileMode, OpenFile, Session, errno_of};
use flash::{Area, OpMode, Sink, Source};
use mtd_abi::errno::Errno;
use mtd_abi::{TRANSFER_CHUNK_MAX, whence};

/// Reads `length` bytes at `position` into guest memory and returns how many there were. The caller moves the file
/// position, and only on success.
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
    let mut left = length.min(session.device.size.saturating_sub(position));
    let mut done = 0;
    while left > 0 {
        let chunk = left.min(TRANSFER_CHUNK_MAX);
        let to = Sink::Guest {
            address: address.wrapping_add(done as usize),
            length: chunk as usize,
        };
        let at = position + done;
        let moved = match session.file.mode {
            FileMode::OtpFactory => session
                .chip
                .otp_read(Area::OtpFactory, at, to)
                .map_err(errno_of)?,
            FileMode::OtpUser => session
                .chip
                .otp_read(Area::OtpUser, at, to)
                .map_err(errno_of)?,
            FileMode::Normal | FileMode::Raw => {
                let mode = session.file.mode.op_mode();
                let read = session.core_read(at, to, mode);
                if !read.delivered() {
                    return read.result.map(|()| done);
                }
                read.outcome.retlen
            }
        };
        done += moved;
        left -= moved.min(left);
        if moved == 0 {
            break;
        }
    }
    Ok(done)
}

/// Programs `length` bytes of guest memory at `position` and returns how many were taken.
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
    if position >= session.device.size {
        return Err(Errno::ENOSPC);
    }
    let mut left = length.min(session.device.size - position);
    let mut done = 0;
    while left > 0 {
        let chunk = left.min(TRANSFER_CHUNK_MAX);
        let from = Source::Guest {
            address: address.wrapping_add(done as usize),
            length: chunk as usize,
        };
        let at = position + done;
        let moved = match session.file.mode {
            FileMode::OtpFactory => return Err(Errno::EROFS),
            FileMode::OtpUser => match session.chip.otp_write(at, from).map_err(errno_of) {
                // The area is full: only an error if nothing was written at all.
                Err(Errno::ENOSPC) if done > 0 => break,
                other => other?,
            },
            FileMode::Normal => session.core_write(at, from, OpMode::Place)?,
            FileMode::Raw => session.core_write(at, from, OpMode::Raw)?,
        };
        done += moved;
        left -= moved.min(left);
        if moved == 0 {
            break;
        }
    }
    Ok(done)
}

/// The new position, or EINVAL; one cannot seek past the end.
pub fn seek(file: &OpenFile, size: u64, offset: i64, origin: u32) -> Result<u64, Errno> {
    let base = match origin {
        whence::SET => 0,
        whence::CUR => file.position,
        whence::END => size,
        _ => return Err(Errno::EINVAL),
    };
    let target = i64::try_from(base)
        .ok()
        .and_then(|base| base.checked_add(offset))
        .ok_or(Errno::EINVAL)?;
    match u64::try_from(target) {
        Ok(target) if target <= size => Ok(target),
        _ => Err(Errno::EINVAL),
    }
}
