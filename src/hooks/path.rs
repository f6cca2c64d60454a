//! Calls that take a name: access, readlink, realpath, chdir and getcwd, and what must not happen to a device node.

use crate::calls::settle;
use crate::descriptors::NodeKind;
use crate::paths::{PathBuffer, Room};
use crate::{files, paths, shadow, sys};
use libc::{c_char, c_int, c_void, mode_t, size_t, ssize_t};
use mtd_abi::errno::Errno;
use mtd_abi::{MTD_BLOCK_MAJOR, MTD_CHAR_MAJOR};

fn bytes<'a>(path: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the guest's own argument to libc.
    unsafe { files::path_bytes(path) }
}

/// A link may lead to ours after all; and a device that was asked for and is not there goes into the trace.
#[inline(never)]
fn told(directory: c_int, path: *const c_char, mode: c_int, result: c_int) -> c_int {
    if result != 0
        && let Some(path) = bytes(path)
    {
        let errno = sys::errno();
        if errno == libc::ENOENT
            && let Some(linked) = files::access_through_links(directory, path, mode)
        {
            return settle(linked, -1);
        }
        crate::trace::missing(directory, path, "access", errno);
    }
    result
}

/// The answer for a name that is ours.
#[inline(never)]
fn access_ours(directory: c_int, path: *const c_char, mode: c_int) -> Option<c_int> {
    // SAFETY: the guest's own argument to libc.
    if unsafe { crate::paths::is_elsewhere(path, directory, true) } {
        return None;
    }
    Some(settle(files::access(directory, bytes(path)?, mode)?, -1))
}

family! {
    fn access_any(path: *const c_char, mode: c_int) -> c_int |next| {
        access_ours(sys::AT_FDCWD, path, mode)
            .unwrap_or_else(|| told(sys::AT_FDCWD, path, mode, next(path, mode)))
    }
    access, eaccess, euidaccess
}

hook! {
    fn faccessat(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
        access_ours(directory, path, mode).unwrap_or_else(|| {
            let mut room = Room::new();
            let name = crate::root_names::map(path, true, &mut room);
            told(directory, path, mode, real!(faccessat(directory, name.or(path), mode, flags)))
        })
    }
}

fn readlink_ours(
    directory: c_int,
    path: *const c_char,
    buffer: *mut c_char,
    size: size_t,
) -> Option<ssize_t> {
    // SAFETY: the guest's own argument to libc.
    if unsafe { crate::paths::is_elsewhere(path, directory, true) } {
        return None;
    }
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

/// Ours, or the real call, or ours after all because a link leads there.
fn realpath_any(
    path: *const c_char,
    buffer: *mut c_char,
    real_call: &dyn Fn() -> *mut c_char,
) -> *mut c_char {
    let Some(name) = bytes(path) else {
        return real_call();
    };
    let mut room = Room::new();
    let found = match files::realpath(name, &mut room) {
        None => {
            let result = real_call();
            if !result.is_null() || sys::errno() != libc::ENOENT {
                return result;
            }
            files::realpath_through_links(name, &mut room).unwrap_or(Err(Errno::ENOENT))
        }
        Some(found) => found,
    };
    match found {
        Ok(resolved) => give_path(resolved, buffer),
        Err(errno) => settle(Err(errno), core::ptr::null_mut()),
    }
}
family! {
    // Each takes those that it has. The marked one gives memory of its own.
    fn realpath_name(path: *const c_char, buffer: *mut c_char, room: size_t) -> *mut c_char |next, mark| {
        let buffer = if mark == 0 { buffer } else { core::ptr::null_mut() };
        realpath_any(path, buffer, &|| next(path, buffer, room))
    }
    realpath, __realpath_chk, canonicalize_file_name(1)
}

hook! {
    fn chdir(path: *const c_char) -> c_int {
        let mut room = Room::new();
        match bytes(path).and_then(|path| shadow::directory(sys::AT_FDCWD, path, &mut room)) {
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
        let mut room = Room::new();
        let Some(name) = shadow::current_directory(&mut room) else {
            return real!(getcwd(buffer, size));
        };
        if !buffer.is_null() && size <= name.bytes().len() {
            return settle(Err(Errno::ERANGE), core::ptr::null_mut());
        }
        give_path(name, buffer)
    }
}

fn is_node(directory: c_int, path: *const c_char) -> bool {
    bytes(path).is_some_and(|path| files::is_node(directory, path))
}

// A device node stays what it is: firmware that changes its owner or mode succeeds, nothing is done.
family! {
    // None has more than two words behind the name, and each gets what it was given.
    fn change_node(path: *const c_char, a: i32, b: i32) -> c_int |next| {
        if is_node(sys::AT_FDCWD, path) {
            return 0;
        }
        told(sys::AT_FDCWD, path, 0, next(path, a, b))
    }
    chmod, chown, lchown, utimes, __utimes64, utime, __utime64
}

family! {
    fn change_node_at(directory: c_int, path: *const c_char, a: i32, b: i32, c: i32) -> c_int |next| {
        if is_node(directory, path) {
            return 0;
        }
        told(directory, path, 0, next(directory, path, a, b, c))
    }
    fchmodat, fchownat, utimensat, __utimensat64
}

family! {
    fn truncate_any(path: *const c_char, a: i32, b: i32, c: i32) -> c_int |next| {
        if is_node(sys::AT_FDCWD, path) {
            return settle(Err(Errno::EINVAL), -1);
        }
        next(path, a, b, c)
    }
    truncate, truncate64
}

hook! {
    fn link(from: *const c_char, to: *const c_char) -> c_int {
        if is_node(sys::AT_FDCWD, from) {
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
        if is_node(from_directory, from) {
            return settle(Err(Errno::EXDEV), -1);
        }
        real!(linkat(from_directory, from, to_directory, to, flags))
    }
}
/// Start scripts make the nodes that devtmpfs would have made. Elsewhere, flash's numbers make a link to ours: a node would
/// be the host's flash, and want privileges.
#[inline(never)]
fn make_node(directory: c_int, path: *const c_char, mode: mode_t, device: u32) -> Option<c_int> {
    if let Some(node) = bytes(path).and_then(|path| files::node(directory, path)) {
        // What a rule is for, a firmware may make itself.
        return Some(if node.kind == NodeKind::Answered {
            0
        } else {
            settle(Err(Errno::EEXIST), -1)
        });
    }
    let minor = device & 0xff;
    let (front, index, end): (&[u8], _, &[u8]) = match (mode & libc::S_IFMT, device >> 8) {
        (libc::S_IFCHR, MTD_CHAR_MAJOR) => (
            b"/dev/mtd",
            minor / 2,
            if minor & 1 == 0 { b"" } else { b"ro" },
        ),
        (libc::S_IFBLK, MTD_BLOCK_MAJOR) => (b"/dev/mtdblock", minor, b""),
        _ => return None,
    };
    let (mut room, mut digits) = (Room::new(), [0; 10]);
    let target = room.put(&[front, paths::decimal(index, &mut digits), end])?;
    let made = sys::checked(sys::call!(
        libc::SYS_symlinkat,
        target.c_str().as_ptr(),
        directory,
        path
    ));
    Some(settle(made.map(|_| 0).map_err(Errno), -1))
}

const AT: u8 = 1;
/// As glibc before 2.33 has it: behind a version, and the device's number is pointed at.
const VERSION: u8 = 2;
family! {
    // The number is of 64 bits, in an even pair of words; what is beyond each symbol's own arguments changes nothing.
    fn make_any(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_int |next, mark| {
        const BOTH: u8 = AT | VERSION;
        // SAFETY: libc reads it there, too.
        let number = |at: usize| unsafe { *(at as *const u32) };
        let (directory, path, mode, device) = match mark {
            AT => (a as c_int, b, c, e as u32),
            VERSION => (sys::AT_FDCWD, b, c, number(d)),
            BOTH => (b as c_int, c, d, number(e)),
            _ => (sys::AT_FDCWD, a, b, c as u32),
        };
        make_node(directory, path as *const c_char, mode as mode_t, device)
            .unwrap_or_else(|| next(a, b, c, d, e, f))
    }
    mknod, mknodat(AT), __xmknod(VERSION), __xmknodat(AT | VERSION)
}

/// Extended attributes: device nodes and the files of /proc and /sys have none.
fn has_no_attributes(path: *const c_char) -> bool {
    bytes(path).is_some_and(|path| files::find_linked(sys::AT_FDCWD, path, true).is_some())
}

const SET: u8 = 1;
family! {
    fn attribute_any(path: *const c_char, name: usize, value: usize, size: size_t, flags: c_int) -> ssize_t |next, mark| {
        if !has_no_attributes(path) {
            let result = next(path, name, value, size, flags);
            if result >= 0 || told(sys::AT_FDCWD, path, 0, -1) != 0 {
                return result;
            }
        }
        // What cp -a and tar copy beside a node's mode goes the same way.
        if mark == SET { 0 } else { settle(Err(Errno(libc::ENODATA)), -1) }
    }
    getxattr, lgetxattr, setxattr(SET)
}

family! {
    fn listxattr_any(path: *const c_char, list: *mut c_char, size: size_t) -> ssize_t |next| {
        if has_no_attributes(path) {
            return 0;
        }
        next(path, list, size)
    }
    listxattr, llistxattr
}
