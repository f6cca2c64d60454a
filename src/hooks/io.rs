//! read, write and their positioned, vector, 64-bit and fortified forms; lseek.
//!
//! The unsuffixed forms take an off_t of 32 or 64 bits, depending on the libc: their hooks name every register and
//! stack word that may hold it (see `libc_kind`) and pass them all on.

use crate::calls::{self, Direction, settle};
use crate::descriptors::is_foreign;
use crate::libc_kind;
use libc::{c_int, c_void, off64_t, size_t, ssize_t};

/// The marks of reading and writing symbols.
const READ: u8 = 0;
const WRITE: u8 = 1;

fn direction(mark: u8) -> Direction {
    if mark == READ {
        Direction::Read
    } else {
        Direction::Write
    }
}

/// A transfer on a descriptor that may be ours; None: it is not.
fn transfer(fd: c_int, mark: u8, buffer: usize, count: size_t, at: Option<i64>) -> Option<ssize_t> {
    Some(settle(
        calls::transfer(fd, direction(mark), buffer, count, at)?,
        -1,
    ))
}

fn transfer_vector(
    fd: c_int,
    mark: u8,
    vector: *const c_void,
    count: c_int,
    at: Option<i64>,
    flags: c_int,
) -> Option<ssize_t> {
    Some(settle(
        calls::transfer_vector(fd, direction(mark), vector as usize, count, at, flags)?,
        -1,
    ))
}

family! {
    quick where they lie
    fn transfer_any(fd: c_int, buffer: usize, count: size_t) -> ssize_t |next, mark| {
        if crate::world::quick::transfer(fd, direction(mark), buffer, count) {
            return count as ssize_t;
        }
        if !is_foreign(fd) && let Some(result) = transfer(fd, mark, buffer, count, None) {
            return result;
        }
        next(fd, buffer, count)
    }
    read(READ), write(WRITE); __read(READ), __libc_read(READ), __write(WRITE), __libc_write(WRITE)
}
family! {
    quick where they lie
    fn positioned_any(fd: c_int, buffer: usize, count: size_t, offset: off64_t) -> ssize_t |next, mark| {
        if let Some(result) = transfer(fd, mark, buffer, count, Some(offset)) {
            return result;
        }
        next(fd, buffer, count, offset)
    }
    pread64(READ), pwrite64(WRITE); __pread64(READ), __libc_pread64(READ), __pwrite64(WRITE), __libc_pwrite64(WRITE)
}
family! {
    quick where they lie
    fn plain_positioned_any(fd: c_int, buffer: usize, count: size_t, narrow: i32, low: i32, high: i32) -> ssize_t
    |next, mark| {
        if !is_foreign(fd) {
            let offset = libc_kind::offset(narrow, low, high);
            if let Some(result) = transfer(fd, mark, buffer, count, Some(offset)) {
                return result;
            }
        }
        next(fd, buffer, count, narrow, low, high)
    }
    pread(READ), pwrite(WRITE); __libc_pread(READ), __libc_pwrite(WRITE)
}

// The fortified forms end the program when the buffer is too small for the count: that judgement stays with libc.
hook! {
    fn __read_chk(fd: c_int, buffer: usize, count: size_t, room: size_t) -> ssize_t {
        if count <= room && !is_foreign(fd) && let Some(result) = transfer(fd, READ, buffer, count, None) {
            return result;
        }
        real!(__read_chk(fd, buffer, count, room))
    }
}
hook! {
    fn __pread64_chk(fd: c_int, buffer: usize, count: size_t, offset: off64_t, room: size_t) -> ssize_t {
        if count <= room && !is_foreign(fd) && let Some(result) = transfer(fd, READ, buffer, count, Some(offset)) {
            return result;
        }
        real!(__pread64_chk(fd, buffer, count, offset, room))
    }
}
hook! {
    fn __pread_chk(fd: c_int, buffer: usize, count: size_t, offset: i32, room: size_t) -> ssize_t {
        if count <= room && !is_foreign(fd) && let Some(result) = transfer(fd, READ, buffer, count, Some(offset.into())) {
            return result;
        }
        real!(__pread_chk(fd, buffer, count, offset, room))
    }
}

family! {
    quick (is_foreign(fd))
    fn vector_any(fd: c_int, vector: *const c_void, count: c_int) -> ssize_t |next, mark| {
        if !is_foreign(fd) && let Some(result) = transfer_vector(fd, mark, vector, count, None, 0) {
            return result;
        }
        next(fd, vector, count)
    }
    writev(WRITE); readv(READ)
}
family! {
    fn positioned_vector_any(fd: c_int, vector: *const c_void, count: c_int, offset: off64_t) -> ssize_t |next, mark| {
        if !is_foreign(fd) && let Some(result) = transfer_vector(fd, mark, vector, count, Some(offset), 0) {
            return result;
        }
        next(fd, vector, count, offset)
    }
    preadv64(READ), pwritev64(WRITE)
}
family! {
    fn plain_positioned_vector_any(fd: c_int, vector: *const c_void, count: c_int, narrow: i32, low: i32, high: i32) -> ssize_t
    |next, mark| {
        if !is_foreign(fd) {
            let offset = libc_kind::vector_offset(narrow, low, high);
            if let Some(result) = transfer_vector(fd, mark, vector, count, Some(offset), 0) {
                return result;
            }
        }
        next(fd, vector, count, narrow, low, high)
    }
    preadv(READ), pwritev(WRITE)
}

/// preadv2 and pwritev2 on a descriptor that may be ours.
fn flagged_vector(
    fd: c_int,
    mark: u8,
    vector: *const c_void,
    count: c_int,
    offset: i64,
    flags: c_int,
) -> Option<ssize_t> {
    if is_foreign(fd) {
        return None;
    }
    // -1 is "at the file position".
    let at = Some(offset).filter(|&at| at != -1);
    transfer_vector(fd, mark, vector, count, at, flags)
}
family! {
    fn narrow_flagged_vector(fd: c_int, vector: *const c_void, count: c_int, offset: i32, flags: c_int) -> ssize_t |next, mark| {
        flagged_vector(fd, mark, vector, count, offset.into(), flags)
            .unwrap_or_else(|| next(fd, vector, count, offset, flags))
    }
    preadv2(READ), pwritev2(WRITE)
}
family! {
    fn wide_flagged_vector(fd: c_int, vector: *const c_void, count: c_int, offset: off64_t, flags: c_int) -> ssize_t |next, mark| {
        flagged_vector(fd, mark, vector, count, offset, flags).unwrap_or_else(|| next(fd, vector, count, offset, flags))
    }
    preadv64v2(READ), pwritev64v2(WRITE)
}
family! {
    quick where they lie
    fn wide_seek(fd: c_int, offset: off64_t, whence: c_int) -> off64_t |next| {
        match calls::seek(fd, offset, whence) {
            Some(result) => settle(result, -1),
            None => next(fd, offset, whence),
        }
    }
    lseek64; llseek, __lseek64, __libc_lseek64
}

family! {
    quick where they lie
    // Narrow: offset in r1, whence in r2. Wide: offset in r2 and r3, whence on the stack.
    fn plain_seek(fd: c_int, first: i32, second: i32, third: i32, fourth: i32) -> off64_t |next| {
        let (offset, whence) = if libc_kind::wide_offsets() {
            (libc_kind::join(second, third), fourth)
        } else {
            (i64::from(first), second)
        };
        match calls::seek(fd, offset, whence) {
            Some(Ok(position)) if !libc_kind::wide_offsets() && position > i64::from(i32::MAX) => {
                settle(Err(mtd_abi::errno::Errno::EOVERFLOW), -1)
            }
            Some(result) => settle(result, -1),
            None => next(fd, first, second, third, fourth),
        }
    }
    lseek; __lseek, __libc_lseek
}
