//! What the system does with the bytes of a block device inside itself: sendfile and splice from and to it, and maps.
//!
//! The node file behind a descriptor holds no data, so such calls become reads and writes. A map is a private copy of
//! what the device held at that moment; a shared one to write through is refused (a line in the README's table).

use crate::calls::{self, Answer, Direction};
use crate::descriptors::{self, NodeKind};
use crate::{sys, world};
use mtd_abi::errno::Errno;

const PIECE: usize = 4096;

#[derive(Clone, Copy)]
enum End {
    Block,
    /// Somebody else's descriptor.
    Other,
}

fn end(fd: i32) -> Result<End, Errno> {
    match descriptors::lookup(fd) {
        None => Ok(End::Other),
        Some(descriptor) if descriptor.path_only => Err(Errno::EBADF),
        Some(descriptor) if descriptor.node.kind == NodeKind::Block => Ok(End::Block),
        Some(_) => Err(Errno::EINVAL),
    }
}

/// Where a copy reads or writes.
struct Place {
    fd: i32,
    end: End,
    /// None at a pipe, which has no positions.
    at: Option<u64>,
    /// Where the guest keeps the position, and in how many bytes; 0 for the descriptor's own.
    kept_at: usize,
    width: usize,
}

impl Place {
    fn new(fd: i32, kept_at: usize, width: usize) -> Result<Place, Errno> {
        let end = end(fd)?;
        let at = if kept_at != 0 {
            let mut bytes = [0; 8];
            world::copy_in(kept_at, bytes.get_mut(..width).unwrap_or_default())?;
            let at = i64::from_le_bytes(bytes);
            let at = if width == 4 { i64::from(at as i32) } else { at };
            Some(u64::try_from(at).map_err(|_| Errno::EINVAL)?)
        } else {
            match end {
                End::Block => calls::seek(fd, 0, libc::SEEK_CUR)
                    .transpose()?
                    .map(|at| at as u64),
                End::Other => sys::lseek(fd, 0, libc::SEEK_CUR).ok(),
            }
        };
        Ok(Place {
            fd,
            end,
            at,
            kept_at,
            width,
        })
    }

    fn moved(&mut self, count: usize) -> Result<(), Errno> {
        let Some(at) = self.at else {
            return Ok(());
        };
        let at = at + count as u64;
        self.at = Some(at);
        if self.kept_at != 0 {
            let bytes = at.to_le_bytes();
            return world::copy_out(self.kept_at, bytes.get(..self.width).unwrap_or(&[]));
        }
        match self.end {
            End::Block => calls::seek(self.fd, at as i64, libc::SEEK_SET)
                .transpose()
                .map(|_| ()),
            End::Other => sys::lseek(self.fd, at as i64, libc::SEEK_SET)
                .map(|_| ())
                .map_err(Errno),
        }
    }

    fn transfer(
        &self,
        direction: Direction,
        address: usize,
        length: usize,
    ) -> Result<usize, Errno> {
        if let End::Block = self.end {
            let at = self.at.map(|at| at as i64);
            let moved = calls::transfer(self.fd, direction, address, length, at);
            return moved
                .unwrap_or(Err(Errno::EBADF))
                .map(|moved| moved as usize);
        }
        let moved = match (direction, self.at) {
            (Direction::Read, Some(at)) => sys::pread(self.fd, address, length, at),
            (Direction::Write, Some(at)) => sys::pwrite(self.fd, address, length, at),
            (Direction::Read, None) => sys::read(self.fd, address, length),
            (Direction::Write, None) => sys::write(self.fd, address, length),
        };
        moved.map_err(Errno)
    }
}

/// sendfile; None where neither is a block device of ours. `width`: bytes of the guest's off_t.
pub fn send(to: i32, from: i32, offset: usize, width: usize, count: usize) -> Answer<isize> {
    copy(from, offset, to, 0, width, count)
}

/// splice: one of the two is a pipe, which takes part of what was asked for at a time.
pub fn splice(from: i32, from_at: usize, to: i32, to_at: usize, count: usize) -> Answer<isize> {
    let is_pipe = |fd: i32| sys::lseek(fd, 0, libc::SEEK_CUR) == Err(libc::ESPIPE);
    if descriptors::is_foreign(from) && descriptors::is_foreign(to) {
        return None;
    }
    if !is_pipe(from) && !is_pipe(to) && (is_block(from) || is_block(to)) {
        return Some(Err(Errno::EINVAL));
    }
    copy(from, from_at, to, to_at, 8, count.min(PIECE))
}

fn is_block(fd: i32) -> bool {
    matches!(end(fd), Ok(End::Block))
}

fn copy(
    from: i32,
    from_at: usize,
    to: i32,
    to_at: usize,
    width: usize,
    count: usize,
) -> Answer<isize> {
    if descriptors::is_foreign(from) && descriptors::is_foreign(to) {
        return None;
    }
    match (end(from), end(to)) {
        (Ok(End::Other), Ok(End::Other)) => return None,
        (Err(errno), _) | (_, Err(errno)) => return Some(Err(errno)),
        _ => {}
    }
    let places = Place::new(from, from_at, width)
        .and_then(|from| Place::new(to, to_at, width).map(|to| (from, to)));
    Some(places.and_then(|(from, to)| copy_pieces(from, to, count)))
}

fn copy_pieces(mut from: Place, mut to: Place, count: usize) -> Result<isize, Errno> {
    let mut piece = [0u8; PIECE];
    let address = piece.as_mut_ptr() as usize;
    let mut done = 0;
    while done < count {
        let step = from
            .transfer(Direction::Read, address, PIECE.min(count - done))
            .and_then(|read| match read {
                0 => Ok(0),
                read => to.transfer(Direction::Write, address, read),
            });
        match step {
            Ok(0) => break,
            Ok(moved) => {
                from.moved(moved)?;
                to.moved(moved)?;
                done += moved;
            }
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(done as isize)
}

/// mmap of a block device; None where it is not one.
pub fn map(
    address: usize,
    length: usize,
    protection: i32,
    flags: i32,
    fd: i32,
    offset: i64,
) -> Answer<usize> {
    let descriptor = descriptors::lookup(fd).filter(|node| node.node.kind == NodeKind::Block)?;
    let writes_through = flags & libc::MAP_SHARED != 0 && protection & libc::PROT_WRITE != 0;
    let refusal = if length == 0 || offset & (PIECE as i64 - 1) != 0 {
        Some(Errno::EINVAL)
    } else if !descriptor.readable || (writes_through && !descriptor.writable) {
        Some(Errno::EACCES)
    } else {
        writes_through.then_some(Errno::ENODEV)
    };
    Some(match refusal {
        Some(errno) => Err(errno),
        None => map_copy(address, length, protection, flags, fd, offset),
    })
}

fn map_copy(
    address: usize,
    length: usize,
    protection: i32,
    flags: i32,
    fd: i32,
    offset: i64,
) -> Result<usize, Errno> {
    let readable = libc::PROT_READ | libc::PROT_WRITE;
    let flags = flags & !libc::MAP_TYPE | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let none = -1isize;
    let mapped = sys::checked(sys::call!(
        libc::SYS_mmap2,
        address,
        length,
        readable,
        flags,
        none,
        0
    ))
    .map_err(Errno)?;
    let filled = calls::transfer(fd, Direction::Read, mapped, length, Some(offset));
    let result = filled.unwrap_or(Err(Errno::EBADF)).and_then(|_| {
        sys::checked(sys::call!(libc::SYS_mprotect, mapped, length, protection)).map_err(Errno)
    });
    match result {
        Ok(_) => Ok(mapped),
        Err(errno) => {
            let _ = sys::call!(libc::SYS_munmap, mapped, length);
            Err(errno)
        }
    }
}
