//! open, creat and openat in every spelling.

use crate::calls::settle;
use crate::hooks::names::OPENS;
use crate::runtime::Next;
use crate::{descriptors, files, sys};
use libc::{c_char, c_int, mode_t};

/// Ours, or the real call, or ours after all because a link leads there.
#[inline(always)]
fn open_with(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    real_open: impl FnOnce() -> c_int,
) -> c_int {
    // SAFETY: the guest's own argument to open.
    let is_elsewhere = unsafe { crate::paths::is_elsewhere(path, directory, true) };
    if !(is_elsewhere && flags & libc::O_CREAT == 0)
        && let Some(result) = ours(directory, path, flags, is_elsewhere)
    {
        return result;
    }
    opened(directory, path, flags, real_open())
}

/// A descriptor, or a link that leads to ours after all.
#[inline(never)]
fn opened(directory: c_int, path: *const c_char, flags: c_int, fd: c_int) -> c_int {
    if fd < 0 {
        return failed(directory, path, flags);
    }
    descriptors::enter_foreign(fd);
    fd
}

#[cold]
#[inline(never)]
fn ours(directory: c_int, path: *const c_char, flags: c_int, is_elsewhere: bool) -> Option<c_int> {
    // SAFETY: the guest's own argument to open.
    let bytes = unsafe { files::path_bytes(path) }?;
    let by_name = if is_elsewhere {
        None
    } else {
        files::open(directory, bytes, flags)
    };
    let result = by_name.or_else(|| files::create_through_link(directory, bytes, flags))?;
    Some(settle(result, -1))
}

/// The real open failed; a link may lead to ours after all.
#[cold]
#[inline(never)]
fn failed(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
    let errno = sys::errno();
    // SAFETY: the guest's own argument to open.
    let Some(bytes) = (unsafe { files::path_bytes(path) }) else {
        return -1;
    };
    if errno == libc::ENOENT
        && let Some(result) = files::open_through_links(directory, bytes, flags)
    {
        return settle(result, -1);
    }
    crate::trace::missing(directory, bytes, "open", errno);
    -1
}

/// Whatever `names::by_name` does not answer.
pub extern "C" fn slowly(path: *const c_char, flags: c_int, mode: mode_t, symbol: Next) -> c_int {
    // SAFETY: the next definition of these symbols has this signature.
    let next: extern "C" fn(*const c_char, c_int, mode_t) -> c_int = unsafe { symbol.function() };
    open_with(sys::AT_FDCWD, path, flags, || next(path, flags, mode))
}

/// What libc said of a name that is not ours.
pub extern "C" fn said(path: *const c_char, flags: c_int, _mode: mode_t, fd: c_int) -> c_int {
    opened(sys::AT_FDCWD, path, flags, fd)
}

named! {
    "mov ip, r1";
    open(OPENS), open64(OPENS), __open(OPENS), __open64(OPENS), __libc_open(OPENS), __libc_open64(OPENS)
}

family! {
    fn open_fortified(path: *const c_char, flags: c_int) -> c_int |next| {
        open_with(sys::AT_FDCWD, path, flags, || next(path, flags))
    }
    __open_2, __open64_2
}

family! {
    fn openat_any(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int |next| {
        open_with(directory, path, flags, || next(directory, path, flags, mode))
    }
    openat, openat64, __openat, __openat64
}

family! {
    fn openat_fortified(directory: c_int, path: *const c_char, flags: c_int) -> c_int |next| {
        open_with(directory, path, flags, || next(directory, path, flags))
    }
    __openat_2, __openat64_2
}

family! {
    fn creat_any(path: *const c_char, mode: mode_t) -> c_int |next| {
        let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
        open_with(sys::AT_FDCWD, path, flags, || next(path, mode))
    }
    creat, creat64
}
