//! open, creat and openat in every spelling.

use crate::calls::settle;
use crate::{descriptors, files, sys};
use libc::{c_char, c_int, mode_t};

/// Ours, or the real call, or ours after all because a link leads there.
fn open_with(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    real_open: impl FnOnce() -> c_int,
) -> c_int {
    // SAFETY: the guest's own argument to open.
    let bytes = unsafe { files::path_bytes(path) };
    if let Some(result) = bytes.and_then(|bytes| files::open(directory, bytes, flags)) {
        return settle(result, -1);
    }
    if let Some(result) =
        bytes.and_then(|bytes| files::create_through_link(directory, bytes, flags))
    {
        return settle(result, -1);
    }
    let fd = real_open();
    if fd >= 0 {
        descriptors::enter_foreign(fd);
    } else if sys::errno() == libc::ENOENT
        && let Some(result) =
            bytes.and_then(|bytes| files::open_through_links(directory, bytes, flags))
    {
        return settle(result, -1);
    }
    fd
}

macro_rules! open_hooks {
    ($($name:ident),*) => {$(
        hook! {
            fn $name(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
                open_with(sys::AT_FDCWD, path, flags, || real!($name(path, flags, mode)))
            }
        }
    )*};
}
open_hooks!(open, open64, __open, __open64, __libc_open, __libc_open64);

macro_rules! fortified_open_hooks {
    ($($name:ident),*) => {$(
        hook! {
            fn $name(path: *const c_char, flags: c_int) -> c_int {
                open_with(sys::AT_FDCWD, path, flags, || real!($name(path, flags)))
            }
        }
    )*};
}
fortified_open_hooks!(__open_2, __open64_2);

macro_rules! openat_hooks {
    ($($name:ident),*) => {$(
        hook! {
            fn $name(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
                open_with(directory, path, flags, || real!($name(directory, path, flags, mode)))
            }
        }
    )*};
}
openat_hooks!(openat, openat64, __openat, __openat64);

macro_rules! fortified_openat_hooks {
    ($($name:ident),*) => {$(
        hook! {
            fn $name(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
                open_with(directory, path, flags, || real!($name(directory, path, flags)))
            }
        }
    )*};
}
fortified_openat_hooks!(__openat_2, __openat64_2);

macro_rules! creat_hooks {
    ($($name:ident),*) => {$(
        hook! {
            fn $name(path: *const c_char, mode: mode_t) -> c_int {
                let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
                open_with(sys::AT_FDCWD, path, flags, || real!($name(path, mode)))
            }
        }
    )*};
}
creat_hooks!(creat, creat64);
