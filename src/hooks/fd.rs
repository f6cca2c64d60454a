//! Descriptors as such: close, dup, fcntl, and what a flash descriptor refuses (mmap, fsync, truncation, splicing).

use crate::calls::{self, refuse, settle};
use crate::descriptors::{self, is_foreign, is_private};
use crate::{block_copies, libc_kind, sys};
use libc::{c_int, c_uint, c_void, off64_t, size_t, ssize_t};
use mtd_abi::errno::Errno;

family! {
    // A number that is foreign is forgotten.
    quick where they lie and [
        "movw r1, #:lower16:({table} - 6f - 4)",
        "movt r1, #:upper16:({table} - 6f - 4)",
        "6: add r1, pc",
        "mov r2, {unknown}";
        "itt ne",
        "strne r2, [r1, r0, lsl #2]";
        unknown = const descriptors::UNKNOWN,
    ]
    fn close_any(fd: c_int) -> c_int |next| {
        if is_private(fd) {
            return settle(Err(Errno::EBADF), -1);
        }
        crate::world::before_close(fd);
        descriptors::forget(fd);
        next(fd)
    }
    close; __close, __libc_close
}

/// Closes a range in pieces around the shim's own descriptors.
fn close_around_private(
    first: c_uint,
    last: c_uint,
    close: &mut dyn FnMut(c_uint, c_uint) -> c_int,
) -> c_int {
    let mut from = first;
    for fd in first..=last.min(4095) {
        crate::world::before_close(fd as c_int);
        descriptors::forget(fd as c_int);
    }
    while let Some(private) = descriptors::next_private(from, last) {
        if private > from {
            let result = close(from, private - 1);
            if result != 0 {
                return result;
            }
        }
        if private == last {
            return 0;
        }
        from = private + 1;
    }
    close(from, last)
}

/// CLOSE_RANGE_CLOEXEC only sets a flag.
const CLOSE_RANGE_CLOEXEC: c_int = 4;

/// close_range, by libc or by number: `close` closes a piece.
pub fn close_range_by(
    first: c_uint,
    last: c_uint,
    flags: c_int,
    close: &mut dyn FnMut(c_uint, c_uint) -> c_int,
) -> c_int {
    if first > last || flags & CLOSE_RANGE_CLOEXEC != 0 {
        return close(first, last);
    }
    close_around_private(first, last, close)
}

hook! {
    fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
        close_range_by(first, last, flags, &mut |from, to| real!(close_range(from, to, flags)))
    }
}
hook! {
    fn closefrom(first: c_int) -> () {
        let first = first.max(0) as c_uint;
        close_around_private(first, c_uint::MAX, &mut |from, to| {
            if to == c_uint::MAX {
                // The rest is libc's own business, and nothing of ours lies there.
                real!(closefrom(from as c_int));
            } else {
                for fd in from..=to {
                    sys::close(fd as c_int);
                }
            }
            0
        });
    }
}

/// The number that a copy gets is free for it. What was open there is closed.
pub fn make_room(target: c_int) {
    if is_private(target) {
        crate::world::let_go();
        crate::trace::leave(target);
        // A forked child has more from its parent than it uses.
        descriptors::forget_private(target);
    }
    crate::world::before_close(target);
}

hook! {
    fn dup(fd: c_int) -> c_int {
        let copy = real!(dup(fd));
        if copy >= 0 {
            descriptors::copy(fd, copy);
        }
        copy
    }
}
family! {
    fn dup2_any(fd: c_int, target: c_int) -> c_int |next| {
        make_room(target);
        let copy = next(fd, target);
        if copy >= 0 && copy != fd {
            descriptors::copy(fd, copy);
        }
        copy
    }
    dup2, __dup2
}

hook! {
    fn dup3(fd: c_int, target: c_int, flags: c_int) -> c_int {
        make_room(target);
        let copy = real!(dup3(fd, target, flags));
        if copy >= 0 {
            descriptors::copy(fd, copy);
        }
        copy
    }
}

family! {
    fn fcntl_any(fd: c_int, command: c_int, argument: usize) -> c_int |next| {
        let copies = matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC);
        // To a shell that would save it, what belongs to the shim is not open.
        if copies && is_private(fd) {
            return settle(Err(Errno::EBADF), -1);
        }
        let direct = command == libc::F_SETFL && argument as c_int & libc::O_DIRECT != 0;
        if direct && refuse(fd, Errno::EINVAL, NO_ERROR) == Some(Errno::EINVAL) {
            return settle(Err(Errno::EINVAL), -1);
        }
        let result = next(fd, command, argument);
        if copies && result >= 0 {
            descriptors::copy(fd, result);
        }
        if command == libc::F_GETFL && result >= 0 && !is_foreign(fd) {
            return calls::open_flags(fd, result);
        }
        result
    }
    fcntl, fcntl64, __fcntl, __fcntl_time64, __libc_fcntl, __libc_fcntl64
}

family! {
    fn sync_any(fd: c_int) -> c_int |next| {
        if is_foreign(fd) {
            return next(fd);
        }
        match calls::sync(fd) {
            Some(result) => settle(result, -1),
            None => next(fd),
        }
    }
    fsync, fdatasync
}

// What follows passes every word on, because off_t is 32 or 64 bits wide (see libc_kind).
family! {
    fn truncate_any(fd: c_int, a: i32, b: i32, c: i32) -> c_int |next| {
        match refuse(fd, Errno::EINVAL, Errno::EINVAL) {
            Some(errno) => settle(Err(errno), -1),
            None => next(fd, a, b, c),
        }
    }
    ftruncate, ftruncate64
}
family! {
    fn fallocate_any(fd: c_int, mode: i32, a: i32, b: i32, c: i32, d: i32) -> c_int |next| {
        match refuse(fd, Errno::ENODEV, Errno::EOPNOTSUPP) {
            Some(errno) => settle(Err(errno), -1),
            None => next(fd, mode, a, b, c, d),
        }
    }
    fallocate, fallocate64
}
/// The mark of sync_file_range, which the char device refuses as something without positions.
const RANGE: u8 = 1;

family! {
    // Advice to the page cache: the char device has none, the block device takes it.
    fn advise_any(fd: c_int, a: i32, b: i32, c: i32, d: i32, e: i32, f: i32) -> c_int |next, mark| {
        let char_errno = if mark == RANGE { Errno::ESPIPE } else { Errno::EINVAL };
        match refuse(fd, char_errno, NO_ERROR) {
            Some(NO_ERROR) => 0,
            Some(errno) => settle(Err(errno), -1),
            None => next(fd, a, b, c, d, e, f),
        }
    }
    sync_file_range(RANGE), readahead
}

const NO_ERROR: Errno = Errno(0);

// These return the error number itself.
family! {
    fn posix_fallocate_any(fd: c_int, a: i32, b: i32, c: i32, d: i32, e: i32) -> c_int |next| {
        match refuse(fd, Errno::ENODEV, Errno::ENODEV) {
            Some(errno) => errno.0,
            None => next(fd, a, b, c, d, e),
        }
    }
    posix_fallocate, posix_fallocate64
}

family! {
    // On the device these change the node; the node file of the shim is not the guest's. Each passes on what it was given.
    fn chmod_any(fd: c_int, a: i32, b: i32) -> c_int |next| {
        match refuse(fd, Errno::EPERM, Errno::EPERM) {
            Some(Errno::EBADF) => settle(Err(Errno::EBADF), -1),
            Some(_) => 0,
            None => next(fd, a, b),
        }
    }
    fchmod, fchown, futimens, __futimens64
}

family! {
    // A limit of file sizes is none for devices, and flash is files here. (prlimit is of programs that look at others.)
    fn limit_any(resource: c_int, limit: usize) -> c_int |next| {
        const FILE_SIZE: c_int = libc::RLIMIT_FSIZE as c_int;
        if resource == FILE_SIZE { 0 } else { next(resource, limit) }
    }
    setrlimit, setrlimit64
}

/// The mark of symbols with a narrow off_t, except in musl.
const NARROW: u8 = 1;

family! {
    fn sendfile_any(to: c_int, from: c_int, offset: usize, count: size_t) -> ssize_t |next, mark| {
        let width = if mark == NARROW && !libc_kind::wide_offsets() { 4 } else { 8 };
        match block_copies::send(to, from, offset, width, count) {
            Some(result) => settle(result, -1),
            None => next(to, from, offset, count),
        }
    }
    sendfile(NARROW), sendfile64
}

/// The mark of copy_file_range, which knows files only.
const FILES_ONLY: u8 = 1;

family! {
    fn splice_any(from: c_int, from_at: usize, to: c_int, to_at: usize, count: size_t, flags: c_uint) -> ssize_t
    |next, mark| {
        let einval = Errno::EINVAL;
        let result = if mark == FILES_ONLY {
            refuse(from, einval, einval).or_else(|| refuse(to, einval, einval)).map(Err)
        } else {
            block_copies::splice(from, from_at, to, to_at, count)
        };
        match result {
            Some(result) => settle(result, -1),
            None => next(from, from_at, to, to_at, count, flags),
        }
    }
    splice, copy_file_range(FILES_ONLY)
}

/// ENODEV for the char device, after the length check that comes before any driver; a copy of the block device.
fn map_flash(
    address: *mut c_void,
    length: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: impl FnOnce() -> off64_t,
) -> Option<*mut c_void> {
    if flags & libc::MAP_ANONYMOUS != 0 || is_foreign(fd) {
        return None;
    }
    if fd < 0 {
        // QEMU would look at the length first.
        return Some(settle(Err(Errno::EBADF), libc::MAP_FAILED));
    }
    let errno = refuse(fd, Errno::ENODEV, Errno::ENODEV)?;
    let errno = if length == 0 { Errno::EINVAL } else { errno };
    let copied = block_copies::map(address as usize, length, protection, flags, fd, offset());
    let result = copied.unwrap_or(Err(errno));
    Some(settle(
        result.map(|address| address as *mut c_void),
        libc::MAP_FAILED,
    ))
}

hook! {
    fn mmap(
        address: *mut c_void,
        length: size_t,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        a: i32,
        b: i32,
        c: i32,
    ) -> *mut c_void {
        let offset = || libc_kind::offset(a, b, c);
        match map_flash(address, length, protection, flags, fd, offset) {
            Some(answer) => answer,
            None => real!(mmap(address, length, protection, flags, fd, a, b, c)),
        }
    }
}
hook! {
    fn mmap64(
        address: *mut c_void,
        length: size_t,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: off64_t,
    ) -> *mut c_void {
        match map_flash(address, length, protection, flags, fd, || offset) {
            Some(answer) => answer,
            None => real!(mmap64(address, length, protection, flags, fd, offset)),
        }
    }
}
