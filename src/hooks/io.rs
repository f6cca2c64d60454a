//! read, write and their positioned, vector, 64-bit and fortified forms; lseek.
//!
//! The unsuffixed forms take an off_t of 32 or 64 bits, depending on the libc: their hooks name every register and
//! stack word that may hold it (see `libc_kind`) and pass them all on.

use crate::calls::{self, Direction, settle};
use crate::descriptors::is_foreign;
use crate::libc_kind;
use libc::{c_int, c_void, off64_t, size_t, ssize_t};

macro_rules! transfer_hooks {
    ($($name:ident $direction:ident $buffer:ty;)*) => {$(
        hook! {
            fn $name(fd: c_int, buffer: $buffer, count: size_t) -> ssize_t {
                if is_foreign(fd) {
                    return real!($name(fd, buffer, count));
                }
                match calls::transfer(fd, Direction::$direction, buffer as usize, count, None) {
                    Some(result) => settle(result, -1),
                    None => real!($name(fd, buffer, count)),
                }
            }
        }
    )*};
}
transfer_hooks! {
    read Read *mut c_void;
    __read Read *mut c_void;
    __libc_read Read *mut c_void;
    write Write *const c_void;
    __write Write *const c_void;
    __libc_write Write *const c_void;
}

macro_rules! positioned_hooks {
    ($($name:ident $direction:ident $buffer:ty;)*) => {$(
        hook! {
            fn $name(fd: c_int, buffer: $buffer, count: size_t, offset: off64_t) -> ssize_t {
                if is_foreign(fd) {
                    return real!($name(fd, buffer, count, offset));
                }
                match calls::transfer(fd, Direction::$direction, buffer as usize, count, Some(offset)) {
                    Some(result) => settle(result, -1),
                    None => real!($name(fd, buffer, count, offset)),
                }
            }
        }
    )*};
}
positioned_hooks! {
    pread64 Read *mut c_void;
    __pread64 Read *mut c_void;
    __libc_pread64 Read *mut c_void;
    pwrite64 Write *const c_void;
    __pwrite64 Write *const c_void;
    __libc_pwrite64 Write *const c_void;
}

macro_rules! plain_positioned_hooks {
    ($($name:ident $direction:ident $buffer:ty;)*) => {$(
        hook! {
            fn $name(fd: c_int, buffer: $buffer, count: size_t, narrow: i32, low: i32, high: i32) -> ssize_t {
                if is_foreign(fd) {
                    return real!($name(fd, buffer, count, narrow, low, high));
                }
                let offset = libc_kind::offset(narrow, low, high);
                match calls::transfer(fd, Direction::$direction, buffer as usize, count, Some(offset)) {
                    Some(result) => settle(result, -1),
                    None => real!($name(fd, buffer, count, narrow, low, high)),
                }
            }
        }
    )*};
}
plain_positioned_hooks! {
    pread Read *mut c_void;
    __libc_pread Read *mut c_void;
    pwrite Write *const c_void;
    __libc_pwrite Write *const c_void;
}

// The fortified forms end the program when the buffer is too small for the count: that judgement stays with libc.
hook! {
    fn __read_chk(fd: c_int, buffer: *mut c_void, count: size_t, room: size_t) -> ssize_t {
        if count > room || is_foreign(fd) {
            return real!(__read_chk(fd, buffer, count, room));
        }
        match calls::transfer(fd, Direction::Read, buffer as usize, count, None) {
            Some(result) => settle(result, -1),
            None => real!(__read_chk(fd, buffer, count, room)),
        }
    }
}
hook! {
    fn __pread64_chk(fd: c_int, buffer: *mut c_void, count: size_t, offset: off64_t, room: size_t) -> ssize_t {
        if count > room || is_foreign(fd) {
            return real!(__pread64_chk(fd, buffer, count, offset, room));
        }
        match calls::transfer(fd, Direction::Read, buffer as usize, count, Some(offset)) {
            Some(result) => settle(result, -1),
            None => real!(__pread64_chk(fd, buffer, count, offset, room)),
        }
    }
}
hook! {
    fn __pread_chk(fd: c_int, buffer: *mut c_void, count: size_t, offset: i32, room: size_t) -> ssize_t {
        if count > room || is_foreign(fd) {
            return real!(__pread_chk(fd, buffer, count, offset, room));
        }
        match calls::transfer(fd, Direction::Read, buffer as usize, count, Some(offset.into())) {
            Some(result) => settle(result, -1),
            None => real!(__pread_chk(fd, buffer, count, offset, room)),
        }
    }
}

macro_rules! vector_hooks {
    ($($name:ident $direction:ident;)*) => {$(
        hook! {
            fn $name(fd: c_int, vector: *const c_void, count: c_int) -> ssize_t {
                if is_foreign(fd) {
                    return real!($name(fd, vector, count));
                }
                match calls::transfer_vector(fd, Direction::$direction, vector as usize, count, None) {
                    Some(result) => settle(result, -1),
                    None => real!($name(fd, vector, count)),
                }
            }
        }
    )*};
}
vector_hooks! { readv Read; writev Write; }

macro_rules! positioned_vector_hooks {
    ($($name:ident $direction:ident;)*) => {$(
        hook! {
            fn $name(fd: c_int, vector: *const c_void, count: c_int, offset: off64_t) -> ssize_t {
                if is_foreign(fd) {
                    return real!($name(fd, vector, count, offset));
                }
                match calls::transfer_vector(fd, Direction::$direction, vector as usize, count, Some(offset)) {
                    Some(result) => settle(result, -1),
                    None => real!($name(fd, vector, count, offset)),
                }
            }
        }
    )*};
}
positioned_vector_hooks! { preadv64 Read; pwritev64 Write; }

macro_rules! plain_positioned_vector_hooks {
    ($($name:ident $direction:ident;)*) => {$(
        hook! {
            fn $name(fd: c_int, vector: *const c_void, count: c_int, narrow: i32, low: i32, high: i32) -> ssize_t {
                if is_foreign(fd) {
                    return real!($name(fd, vector, count, narrow, low, high));
                }
                let offset = libc_kind::vector_offset(narrow, low, high);
                match calls::transfer_vector(fd, Direction::$direction, vector as usize, count, Some(offset)) {
                    Some(result) => settle(result, -1),
                    None => real!($name(fd, vector, count, narrow, low, high)),
                }
            }
        }
    )*};
}
plain_positioned_vector_hooks! { preadv Read; pwritev Write; }

macro_rules! flagged_vector_hooks {
    ($($name:ident $direction:ident $offset:ty;)*) => {$(
        hook! {
            fn $name(fd: c_int, vector: *const c_void, count: c_int, offset: $offset, flags: c_int) -> ssize_t {
                if is_foreign(fd) {
                    return real!($name(fd, vector, count, offset, flags));
                }
                // -1 is "at the file position"; RWF_HIPRI and its kin mean nothing to a driver without iterators.
                let at = Some(i64::from(offset)).filter(|&at| at != -1);
                match calls::transfer_vector(fd, Direction::$direction, vector as usize, count, at) {
                    Some(Ok(_)) if flags & !RWF_HARMLESS != 0 => settle(Err(mtd_abi::errno::Errno::EOPNOTSUPP), -1),
                    Some(result) => settle(result, -1),
                    None => real!($name(fd, vector, count, offset, flags)),
                }
            }
        }
    )*};
}
/// RWF_HIPRI, RWF_DSYNC and RWF_SYNC.
const RWF_HARMLESS: c_int = 7;
flagged_vector_hooks! { preadv2 Read i32; pwritev2 Write i32; preadv64v2 Read off64_t; pwritev64v2 Write off64_t; }

macro_rules! wide_seek_hooks {
    ($($name:ident),*) => {$(
        hook! {
            fn $name(fd: c_int, offset: off64_t, whence: c_int) -> off64_t {
                if is_foreign(fd) {
                    return real!($name(fd, offset, whence));
                }
                match calls::seek(fd, offset, whence) {
                    Some(result) => settle(result, -1),
                    None => real!($name(fd, offset, whence)),
                }
            }
        }
    )*};
}
wide_seek_hooks!(lseek64, llseek, __lseek64, __libc_lseek64);

macro_rules! plain_seek_hooks {
    ($($name:ident),*) => {$(
        hook! {
            // Narrow: offset in r1, whence in r2. Wide: offset in r2 and r3, whence on the stack.
            fn $name(fd: c_int, first: i32, second: i32, third: i32, fourth: i32) -> off64_t {
                if is_foreign(fd) {
                    return real!($name(fd, first, second, third, fourth));
                }
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
                    None => real!($name(fd, first, second, third, fourth)),
                }
            }
        }
    )*};
}
plain_seek_hooks!(lseek, __lseek, __libc_lseek);
