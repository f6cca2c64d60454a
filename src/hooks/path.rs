//! Calls that take a name: access, readlink, realpath, chdir and getcwd, and what must not happen to a device node.

use crate::calls::settle;
use crate::paths::PathBuffer;
use crate::{files, shadow, sys};
use libc::{c_char, c_int, c_void, mode_t, size_t, ssize_t};
use mtd_abi::errno::Errno;

fn bytes<'a>(path: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the guest's own argument to libc.
    unsafe { files::path_bytes(path) }
}

macro_rules! access_hooks {
    ($($name:ident),*) => {$(
        hook! {
            fn $name(path: *const c_char, mode: c_int) -> c_int {
                match bytes(path).and_then(|path| files::access(sys::AT_FDCWD, path, mode)) {
                    Some(result) => settle(result, -1),
                    None => real!($name(path, mode)),
                }
            }
        }
    )*};
}
access_hooks!(access, eaccess, euidaccess);
hook! {
    fn faccessat(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
        match bytes(path).and_then(|path| files::access(directory, path, mode)) {
            Some(result) => settle(result, -1),
            None => real!(faccessat(directory, crate::root_names::map(path, true).or(path), mode, flags)),
        }
    }
}

fn readlink_ours(
    directory: c_int,
    path: *const c_char,
    buffer: *mut c_char,
    size: size_t,
) -> Option<ssize_t> {
    let mut name = [0; crate::paths::PATH_MAX];
    let result = files::readlink(directory, bytes(path)?, &mut name)?;
    Some(match result {
        Ok(length) => {
            let length = length.min(size);
            // The guest's buffer is filled through the system, so a bad one is EFAULT.
            match crate::world::copy_out(buffer as usize, name.get(..length).unwrap_or(&[])) {
                Ok(()) => length as ssize_t,
                Err(errno) => settle(Err(errno), -1),
            }
        }
        Err(errno) => settle(Err(errno), -1),
    })
}

hook! {
    fn readlink(path: *const c_char, buffer: *mut c_char, size: size_t) -> ssize_t {
        readlink_ours(sys::AT_FDCWD, path, buffer, size).unwrap_or_else(|| real!(readlink(path, buffer, size)))
    }
}
hook! {
    fn __readlink_chk(path: *const c_char, buffer: *mut c_char, size: size_t, room: size_t) -> ssize_t {
        if size > room {
            return real!(__readlink_chk(path, buffer, size, room));
        }
        readlink_ours(sys::AT_FDCWD, path, buffer, size)
            .unwrap_or_else(|| real!(__readlink_chk(path, buffer, size, room)))
    }
}
hook! {
    fn readlinkat(directory: c_int, path: *const c_char, buffer: *mut c_char, size: size_t) -> ssize_t {
        readlink_ours(directory, path, buffer, size)
            .unwrap_or_else(|| real!(readlinkat(directory, path, buffer, size)))
    }
}
hook! {
    fn __readlinkat_chk(
        directory: c_int,
        path: *const c_char,
        buffer: *mut c_char,
        size: size_t,
        room: size_t,
    ) -> ssize_t {
        if size > room {
            return real!(__readlinkat_chk(directory, path, buffer, size, room));
        }
        readlink_ours(directory, path, buffer, size)
            .unwrap_or_else(|| real!(__readlinkat_chk(directory, path, buffer, size, room)))
    }
}

/// Hands a resolved name to the guest: into its buffer, or into memory of its own libc.
fn give_path(resolved: &PathBuffer, buffer: *mut c_char) -> *mut c_char {
    unsafe extern "C" {
        fn malloc(size: size_t) -> *mut c_void;
    }
    let length = resolved.bytes().len();
    let target = if buffer.is_null() {
        // SAFETY: the caller frees it, as realpath and getcwd document.
        unsafe { malloc(length + 1).cast() }
    } else {
        buffer
    };
    if target.is_null() {
        return settle(Err(Errno::ENOMEM), core::ptr::null_mut());
    }
    // SAFETY: just allocated, or the guest's buffer of at least PATH_MAX bytes, or one whose size was checked.
    unsafe {
        core::ptr::copy_nonoverlapping(resolved.bytes().as_ptr().cast(), target, length);
        *target.add(length) = 0;
    }
    target
}

fn realpath_ours(path: *const c_char, buffer: *mut c_char) -> Option<*mut c_char> {
    Some(match files::realpath(bytes(path)?)? {
        Ok(resolved) => give_path(&resolved, buffer),
        Err(errno) => settle(Err(errno), core::ptr::null_mut()),
    })
}
hook! {
    fn realpath(path: *const c_char, buffer: *mut c_char) -> *mut c_char {
        realpath_ours(path, buffer).unwrap_or_else(|| real!(realpath(path, buffer)))
    }
}
hook! {
    fn __realpath_chk(path: *const c_char, buffer: *mut c_char, room: size_t) -> *mut c_char {
        realpath_ours(path, buffer).unwrap_or_else(|| real!(__realpath_chk(path, buffer, room)))
    }
}
hook! {
    fn canonicalize_file_name(path: *const c_char) -> *mut c_char {
        realpath_ours(path, core::ptr::null_mut()).unwrap_or_else(|| real!(canonicalize_file_name(path)))
    }
}

hook! {
    fn chdir(path: *const c_char) -> c_int {
        match bytes(path).and_then(|path| shadow::directory(sys::AT_FDCWD, path)) {
            Some(real_path) => shadow::entered(real!(chdir(real_path.c_str().as_ptr()))),
            None => shadow::entered(real!(chdir(path))),
        }
    }
}
hook! {
    fn fchdir(fd: c_int) -> c_int {
        shadow::entered(real!(fchdir(fd)))
    }
}
hook! {
    fn getcwd(buffer: *mut c_char, size: size_t) -> *mut c_char {
        let Some(name) = shadow::current_directory() else {
            return real!(getcwd(buffer, size));
        };
        if !buffer.is_null() && size <= name.bytes().len() {
            return settle(Err(Errno::ERANGE), core::ptr::null_mut());
        }
        give_path(&name, buffer)
    }
}

// A device node stays what it is: firmware that changes its owner or mode succeeds, nothing is done.
macro_rules! harmless_hooks {
    ($($name:ident($path:ident $(, $argument:ident)*);)*) => {$(
        hook! {
            fn $name($path: *const c_char $(, $argument: i32)*) -> c_int {
                if bytes($path).is_some_and(|path| files::is_node(sys::AT_FDCWD, path)) {
                    return 0;
                }
                real!($name($path $(, $argument)*))
            }
        }
    )*};
}
harmless_hooks! {
    chmod(path, mode);
    chown(path, user, group);
    lchown(path, user, group);
    utimes(path, times);
    __utimes64(path, times);
    utime(path, times);
    __utime64(path, times);
}
macro_rules! harmless_at_hooks {
    ($($name:ident($($argument:ident),*);)*) => {$(
        hook! {
            fn $name(directory: c_int, path: *const c_char $(, $argument: i32)*) -> c_int {
                if bytes(path).is_some_and(|path| files::is_node(directory, path)) {
                    return 0;
                }
                real!($name(directory, path $(, $argument)*))
            }
        }
    )*};
}
harmless_at_hooks! {
    fchmodat(mode, flags);
    fchownat(user, group, flags);
    utimensat(times, flags);
    __utimensat64(times, flags);
}

macro_rules! truncate_hooks {
    ($($name:ident),*) => {$(
        hook! {
            fn $name(path: *const c_char, a: i32, b: i32, c: i32) -> c_int {
                if bytes(path).is_some_and(|path| files::is_node(sys::AT_FDCWD, path)) {
                    return settle(Err(Errno::EINVAL), -1);
                }
                real!($name(path, a, b, c))
            }
        }
    )*};
}
truncate_hooks!(truncate, truncate64);

hook! {
    fn link(from: *const c_char, to: *const c_char) -> c_int {
        if bytes(from).is_some_and(|path| files::is_node(sys::AT_FDCWD, path)) {
            return settle(Err(Errno::EXDEV), -1);
        }
        real!(link(from, to))
    }
}
hook! {
    fn linkat(
        from_directory: c_int,
        from: *const c_char,
        to_directory: c_int,
        to: *const c_char,
        flags: c_int,
    ) -> c_int {
        if bytes(from).is_some_and(|path| files::is_node(from_directory, path)) {
            return settle(Err(Errno::EXDEV), -1);
        }
        real!(linkat(from_directory, from, to_directory, to, flags))
    }
}
hook! {
    // Start scripts make the nodes that devtmpfs would have made.
    fn mknod(path: *const c_char, mode: mode_t, a: i32, b: i32, c: i32) -> c_int {
        if bytes(path).is_some_and(|path| files::is_node(sys::AT_FDCWD, path)) {
            return settle(Err(Errno::EEXIST), -1);
        }
        real!(mknod(path, mode, a, b, c))
    }
}

/// Extended attributes: device nodes and the files of /proc and /sys have none.
fn has_no_attributes(path: *const c_char) -> bool {
    bytes(path).is_some_and(|path| files::find(sys::AT_FDCWD, path).is_some())
}

macro_rules! getxattr_hooks {
    ($($name:ident),*) => {$(
        hook! {
            fn $name(path: *const c_char, attribute: *const c_char, value: *mut c_void, size: size_t) -> ssize_t {
                if has_no_attributes(path) {
                    return settle(Err(Errno(libc::ENODATA)), -1);
                }
                real!($name(path, attribute, value, size))
            }
        }
    )*};
}
getxattr_hooks!(getxattr, lgetxattr);

macro_rules! listxattr_hooks {
    ($($name:ident),*) => {$(
        hook! {
            fn $name(path: *const c_char, list: *mut c_char, size: size_t) -> ssize_t {
                if has_no_attributes(path) {
                    return 0;
                }
                real!($name(path, list, size))
            }
        }
    )*};
}
listxattr_hooks!(listxattr, llistxattr);
