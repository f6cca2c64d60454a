//! What the hooks share: an emulated call is decoded here, dispatched to `chardev` and encoded again.
//!
//! None means "not ours": the hook passes the call on unchanged.

use crate::descriptors::{self, Descriptor, NodeKind};
use crate::sys;
use crate::world;
use mtd_abi::errno::Errno;

pub type Answer<T> = Option<Result<T, Errno>>;

/// Longest transfer of one call (`MAX_RW_COUNT`).
const COUNT_MAX: u64 = 0x7fff_f000;
const IOV_MAX: i32 = 1024;

/// Stores errno as libc does.
pub fn settle<T>(result: Result<T, Errno>, failure: T) -> T {
    match result {
        Ok(value) => value,
        Err(Errno(errno)) => {
            sys::set_errno(errno);
            failure
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Read,
    Write,
}

/// read, write, pread, pwrite.
pub fn transfer(
    fd: i32,
    direction: Direction,
    address: usize,
    length: usize,
    at: Option<i64>,
) -> Answer<isize> {
    if fd < 0 && at.is_none_or(|at| at >= 0) {
        // QEMU would look at the buffer first.
        return Some(Err(Errno::EBADF));
    }
    let advance = match at {
        None => (length as u64).min(COUNT_MAX),
        Some(_) => 0,
    };
    let descriptor = descriptors::lookup_advancing(fd, advance)?;
    if at.is_none() {
        if direction == Direction::Write {
            crate::unseen::before_write(fd, &descriptor);
        } else {
            crate::unseen::note_end(fd, descriptor.offset + descriptor.advanced);
        }
    }
    let result = transfer_one(fd, descriptor, direction, address, length, at);
    if result.is_err() && descriptor.advanced > 0 {
        // Refused before anything was done.
        descriptors::settle(fd, descriptor, &descriptors::open_file(descriptor));
    }
    Some(result.map(|count| count as isize))
}

fn transfer_one(
    fd: i32,
    descriptor: Descriptor,
    direction: Direction,
    address: usize,
    length: usize,
    at: Option<i64>,
) -> Result<u64, Errno> {
    if descriptor.path_only {
        return Err(Errno::EBADF);
    }
    if descriptor.node.kind == NodeKind::Threshold {
        return crate::text_files::transfer_threshold(
            fd, descriptor, direction, address, length, at,
        );
    }
    if descriptor.node.kind == NodeKind::Answered {
        return crate::answers::transfer(fd, descriptor, direction, address, length, at);
    }
    let at = at
        .map(|at| u64::try_from(at).map_err(|_| Errno::EINVAL))
        .transpose()?;
    let asked = length as u64;
    let length = asked.min(COUNT_MAX);
    if at.is_some_and(|at| i64::try_from(at + length).is_err()) {
        return Err(Errno::EINVAL);
    }
    let allowed = match direction {
        Direction::Read => descriptor.readable,
        Direction::Write => descriptor.writable,
    };
    if allowed && !is_memory(address, asked) {
        return Err(Errno::EFAULT);
    }
    let block = descriptor.node.kind == NodeKind::Block;
    let operation = match (direction, at) {
        (Direction::Read, None) => "read",
        (Direction::Read, Some(_)) => "pread",
        (Direction::Write, None) => "write",
        (Direction::Write, Some(_)) => "pwrite",
    };
    world::with_session(fd, descriptor, |session| {
        let position = at.unwrap_or(session.file.position);
        let unaligned = !(position | address as u64 | length).is_multiple_of(SECTOR_SIZE);
        let writes_block = block && direction == Direction::Write;
        let is_coded = session.chip.code.is_some();
        let flags = if writes_block || block && (unaligned && length != 0 || is_coded) {
            sys::fcntl(fd, libc::F_GETFL, 0).unwrap_or(0) as i32
        } else {
            0
        };
        let direct = flags & libc::O_DIRECT != 0;
        if direct && unaligned && length != 0 {
            return Err(Errno::EINVAL);
        }
        let result = match (direction, block) {
            (Direction::Read, false) => chardev::read(session, position, address, length),
            (Direction::Read, true) => {
                chardev::block::read(session, position, address, length, direct)
            }
            (Direction::Write, false) => chardev::write(session, position, address, length),
            (Direction::Write, true) => chardev::block::write(
                session, position, address, length, direct,
            )
            .and_then(|count| {
                if count > 0 && flags & libc::O_DSYNC != 0 {
                    chardev::block::flush(session)?;
                }
                Ok(count)
            }),
        };
        crate::trace::transfer(session, operation, position, length, &result);
        let count = result?;
        if at.is_none() {
            session.file.position = position + count;
        }
        Ok(count)
    })?
}

const SECTOR_SIZE: u64 = chardev::block::SECTOR_SIZE;

/// Where a guest's memory ends: above lies the page of the kernel's helpers.
const MEMORY_END: u64 = 0xffff_0000;

/// What the kernel asks before anything else of a buffer, even of one without length.
pub fn is_memory(address: usize, length: u64) -> bool {
    address as u64 + length <= MEMORY_END
}

/// readv, writev, preadv, pwritev: the char device has no vector methods, so the kernel makes one call per segment.
pub fn transfer_vector(
    fd: i32,
    direction: Direction,
    vector: usize,
    count: i32,
    at: Option<i64>,
    flags: i32,
) -> Answer<isize> {
    if fd < 0 && at.is_none_or(|at| at >= 0) {
        return Some(Err(Errno::EBADF));
    }
    let descriptor = descriptors::lookup(fd)?;
    if direction == Direction::Write {
        crate::unseen::before_write(fd, &descriptor);
    }
    let result = transfer_segments(fd, descriptor, direction, vector, count, at, flags);
    crate::unseen::note(fd);
    Some(result)
}

/// One `struct iovec`: address and length.
fn segment(vector: usize, index: usize) -> Result<(usize, u32), Errno> {
    let mut words = [0; 8];
    world::copy_in(vector.wrapping_add(index * words.len()), &mut words)?;
    let base: u32 = mtd_abi::layout::Field::get(&words, 0);
    Ok((base as usize, mtd_abi::layout::Field::get(&words, 4)))
}

/// The vector as a whole is judged before the first byte moves: lengths, then addresses. Returns the sum of the lengths.
fn check_vector(vector: usize, count: usize) -> Result<u64, Errno> {
    let mut total = 0;
    let mut is_good = true;
    let mut lengths = Ok(());
    for index in 0..count {
        let (base, length) = segment(vector, index)?;
        if length > i32::MAX as u32 {
            lengths = Err(Errno::EINVAL);
        }
        is_good &= is_memory(base, length.into());
        total += u64::from(length);
    }
    lengths?;
    if is_good {
        Ok(total)
    } else {
        Err(Errno::EFAULT)
    }
}

/// RWF_HIPRI is all that a driver without iterators takes; the block device takes all that Linux 6.1 knows.
const FLAGS_CHAR: i32 = 1;
const FLAGS_BLOCK: i32 = 0x1f;
/// RWF_DSYNC and RWF_SYNC.
const FLAGS_SYNC: i32 = 0x6;

#[inline(never)]
fn transfer_segments(
    fd: i32,
    descriptor: Descriptor,
    direction: Direction,
    vector: usize,
    count: i32,
    mut at: Option<i64>,
    flags: i32,
) -> Result<isize, Errno> {
    // The position is looked at before the descriptor.
    if at.is_some_and(|at| at < 0) {
        return Err(Errno::EINVAL);
    }
    let allowed = match direction {
        Direction::Read => descriptor.readable,
        Direction::Write => descriptor.writable,
    };
    if !allowed || descriptor.path_only {
        return Err(Errno::EBADF);
    }
    if !(0..=IOV_MAX).contains(&count) {
        return Err(Errno::EINVAL);
    }
    if check_vector(vector, count as usize)? == 0 {
        return Ok(0);
    }
    let is_block = descriptor.node.kind == NodeKind::Block;
    if flags & !(if is_block { FLAGS_BLOCK } else { FLAGS_CHAR }) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let mut total = 0u64;
    for index in 0..count as usize {
        let (base, length) = segment(vector, index)?;
        if length == 0 {
            continue;
        }
        // Each segment is a call of its own, at the position the one before left.
        let descriptor = descriptors::lookup(fd).ok_or(Errno::EBADF)?;
        match transfer_one(fd, descriptor, direction, base, length as usize, at) {
            Ok(moved) => {
                total += moved;
                at = at.map(|at| at + moved as i64);
                if moved < u64::from(length) {
                    break;
                }
            }
            Err(errno) if total > 0 => {
                // The driver has moved the position before it finds the buffer bad, and the call as a whole succeeds.
                let is_late = errno == Errno::EFAULT && direction == Direction::Read && !is_block;
                if is_late && at.is_none() {
                    let descriptor = descriptors::lookup(fd).ok_or(Errno::EBADF)?;
                    skip_read(fd, descriptor, length.into())?;
                }
                break;
            }
            Err(errno) => return Err(errno),
        }
    }
    if flags & FLAGS_SYNC != 0 && direction == Direction::Write {
        sync(fd).transpose()?;
    }
    Ok(total as isize)
}

#[inline(never)]
fn skip_read(fd: i32, descriptor: Descriptor, length: u64) -> Result<(), Errno> {
    world::with_session(fd, descriptor, |session| {
        let end = session.file.position.saturating_add(length);
        session.file.position = end.min(session.device.size);
    })
}

pub fn seek(fd: i32, offset: i64, whence: i32) -> Answer<i64> {
    if let Some(position) = world::quick::seek(fd, offset, whence) {
        return Some(Ok(position));
    }
    let descriptor = descriptors::lookup(fd)?;
    if descriptor.path_only {
        return Some(Err(Errno::EBADF));
    }
    match descriptor.node.kind {
        NodeKind::Threshold => return None,
        NodeKind::Answered => return Some(crate::answers::seek(fd, descriptor, whence)),
        // Only the first three numbers belong to streams that libc has made itself.
        _ if fd <= libc::STDERR_FILENO => crate::unseen::take_over_behind(fd, &descriptor),
        _ => {}
    }
    let result = world::with_device(fd, descriptor, |device, file| {
        let size = match descriptor.node.kind {
            NodeKind::Block => chardev::block::capacity(device.size),
            _ => device.size,
        };
        let position = chardev::seek(file, size, offset, whence as u32)?;
        file.position = position;
        Ok(position as i64)
    });
    let result = result.and_then(|result| result);
    if let Ok(position) = result {
        crate::unseen::note_end(fd, descriptors::MARK | position as u64);
    }
    Some(result)
}

/// Commands that the system answers for every descriptor; the node file behind ours answers them right.
fn is_generic(command: u32) -> bool {
    use mtd_abi::ioctl::*;
    matches!(command, FIOCLEX | FIONCLEX | FIONBIO | FIOASYNC)
}

const SOFT_BLOCK_SIZE: u32 = 4096;

/// QEMU 7 answers ENOSYS to an MTD command on something that is not flash, where Linux says ENOTTY; and it looks at the
/// command before the descriptor, where Linux says EBADF.
pub fn correct_refusal(fd: i32, command: u32) {
    if matches!(sys::errno(), libc::ENOSYS | libc::ENOTTY)
        && mtd_abi::ioctl::name(command).is_some()
    {
        let closed = sys::fcntl(fd, libc::F_GETFD, 0).is_err();
        sys::set_errno(if closed { libc::EBADF } else { libc::ENOTTY });
    }
}

pub fn ioctl(fd: i32, command: u32, argument: usize) -> Answer<i32> {
    if fd < 0 {
        return Some(Err(Errno::EBADF));
    }
    let descriptor = descriptors::lookup(fd)?;
    if descriptor.path_only {
        return Some(Err(Errno::EBADF));
    }
    if is_generic(command) || descriptor.node.kind == NodeKind::Threshold {
        return None;
    }
    if descriptor.node.kind == NodeKind::Answered {
        return Some(crate::answers::ioctl(fd, command, argument));
    }
    if crate::answers::any()
        && let Some(result) = crate::answers::before_flash(descriptor.node, command, argument)
    {
        return Some(result);
    }
    if command == mtd_abi::ioctl::FIGETBSZ {
        return Some(world::copy_out(argument, &SOFT_BLOCK_SIZE.to_le_bytes()).map(|()| 0));
    }
    let block = descriptor.node.kind == NodeKind::Block;
    let result = world::with_session(fd, descriptor, |session| {
        let result = if block {
            chardev::block::ioctl(session, command, argument)
        } else {
            chardev::ioctl(session, command, argument)
        };
        crate::trace::ioctl(session, command, argument, &result);
        result
    });
    let result = result.and_then(|result| result);
    if result == Err(Errno::ENOTTY) {
        crate::trace::refused_by_flash(descriptor.node, command);
    }
    Some(result)
}

/// For calls that a flash descriptor always refuses in the same way.
pub fn refuse(fd: i32, char_errno: Errno, block_errno: Errno) -> Option<Errno> {
    if descriptors::is_foreign(fd) {
        return None;
    }
    let descriptor = descriptors::lookup(fd)?;
    match descriptor.node.kind {
        _ if descriptor.path_only => Some(Errno::EBADF),
        NodeKind::Char | NodeKind::CharReadOnly | NodeKind::Answered => Some(char_errno),
        NodeKind::Block => Some(block_errno),
        NodeKind::Threshold => None,
    }
}

/// fsync and its kin: the char device has none, the block device has nothing left to write.
pub fn sync(fd: i32) -> Answer<i32> {
    let descriptor = descriptors::lookup(fd)?;
    Some(match descriptor.node.kind {
        _ if descriptor.path_only => Err(Errno::EBADF),
        NodeKind::Char | NodeKind::CharReadOnly | NodeKind::Answered => Err(Errno::EINVAL),
        NodeKind::Block => world::with_session(fd, descriptor, |session| {
            chardev::block::sync(session).map(|()| 0)
        })
        .and_then(|result| result),
        NodeKind::Threshold => return None,
    })
}

/// F_GETFL: the emulator shows access mode 3, which allows nothing, as 0.
pub fn open_flags(fd: i32, flags: i32) -> i32 {
    match descriptors::lookup(fd) {
        Some(descriptor)
            if !descriptor.path_only && !descriptor.readable && !descriptor.writable =>
        {
            flags | libc::O_ACCMODE
        }
        _ => flags,
    }
}
