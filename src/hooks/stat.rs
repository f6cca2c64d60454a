//! stat in all its forms. The real call fills the structure from a stand-in file; then the fields that make a device
//! node, or a file of /proc and /sys, are put in.

mod shapes;

use crate::calls::settle;
use crate::descriptors::{self, NodeKind, is_plain};
use crate::paths::Room;
use crate::runtime::Next;
use crate::stand_in::{self, Found, StandIn};
use crate::{files, root_names, sys};
use libc::{c_char, c_int, c_uint, c_void};
use mtd_abi::errno::Errno;
use shapes::{DEVICE, LINKS, Shape, patch, patch_statx};

/// The answer for a name that is ours; `real_stat` is asked about the stand-in's file.
fn stat_path(
    directory: c_int,
    path: *const c_char,
    follow: bool,
    buffer: *mut c_void,
    shape: Shape,
    real_stat: &dyn Fn(*const c_char) -> c_int,
) -> Option<c_int> {
    // SAFETY: the guest's own argument to libc.
    let path = unsafe { files::path_bytes(path) }?;
    let mut room = Room::new();
    let found = match stand_in::of_path(directory, path, follow, &mut room)? {
        Ok(found) => found,
        Err(errno) => return Some(settle(Err(errno), -1)),
    };
    Some(fill(&found, buffer, shape, real_stat))
}

#[inline(never)]
fn fill(
    found: &Found<'_>,
    buffer: *mut c_void,
    shape: Shape,
    real_stat: &dyn Fn(*const c_char) -> c_int,
) -> c_int {
    let result = real_stat(found.file.c_str().as_ptr());
    if result == 0
        && let Some(stand_in) = &found.appearance
    {
        // SAFETY: the real call has just filled the buffer.
        unsafe { patch(buffer, shape, stand_in) };
    }
    result
}

/// Asked once more when the real call has failed.
fn stat_through_links(
    directory: c_int,
    path: *const c_char,
    follow: bool,
    buffer: *mut c_void,
    shape: Shape,
    real_stat: &dyn Fn(*const c_char) -> c_int,
) -> Option<c_int> {
    let mut room = Room::new();
    let found = found_through_links(directory, path, follow, &mut room)?;
    Some(fill(&found, buffer, shape, real_stat))
}

/// What a link leads to, after the real call said ENOENT.
fn found_through_links<'a>(
    directory: c_int,
    path: *const c_char,
    follow: bool,
    room: &'a mut Room,
) -> Option<Found<'a>> {
    if sys::errno() != libc::ENOENT {
        return None;
    }
    // SAFETY: the guest's own argument to libc.
    let path = unsafe { files::path_bytes(path) }?;
    let found = stand_in::of_link(directory, path, follow, room);
    if found.is_none() {
        crate::trace::missing(directory, path, "stat", libc::ENOENT);
    }
    found
}

/// After a real fstat: does the descriptor have to look like something else?
fn fstat_after(fd: c_int, result: c_int, buffer: *mut c_void, shape: Shape) -> c_int {
    if result != 0 {
        return result;
    }
    // SAFETY: the real call has just filled the buffer; st_nlink has the same place in all shapes.
    let links = unsafe {
        buffer
            .cast::<u8>()
            .add(LINKS)
            .cast::<u32>()
            .read_unaligned()
    };
    let appearance = match descriptors::lookup(fd) {
        Some(descriptor) if descriptor.node.kind != NodeKind::Threshold => {
            Some(StandIn::of_node(descriptor.node))
        }
        // Only memory files have no name.
        _ if links == 0 => stand_in::of_memory_file(fd),
        _ => None,
    };
    if let Some(stand_in) = &appearance {
        // SAFETY: as above.
        unsafe { patch(buffer, shape, stand_in) };
    }
    result
}

/// The marks of the symbols: a shape, and whether links are followed.
const PLAIN: u8 = 0;
const STAT64: u8 = 1;
const TIME64: u8 = 2;
const LINK: u8 = 4;

fn shape(mark: u8) -> Shape {
    match mark & !LINK {
        PLAIN => Shape::Plain,
        TIME64 => Shape::Time64,
        _ => Shape::Stat64,
    }
}

/// What libc says of a name that is by its spelling neither ours nor in the guest's root. Nearly all are, so it is asked before
/// anything is made that only others need.
#[inline(always)]
fn ask_first(directory: c_int, path: *const c_char, real_stat: impl FnOnce() -> c_int) -> c_int {
    if is_elsewhere(directory, path) {
        real_stat()
    } else {
        NOT_ASKED
    }
}
/// No answer of libc.
pub const NOT_ASKED: c_int = 1;

#[inline(always)]
fn is_elsewhere(directory: c_int, path: *const c_char) -> bool {
    // SAFETY: the guest's own argument to libc.
    unsafe { crate::paths::is_elsewhere(path, directory, false) }
}

/// stat of a name, ours or not: `real_stat` is the next definition with a directory and a name, and `asked` what it said.
#[cold]
#[inline(never)]
fn stat_any(
    directory: c_int,
    path: *const c_char,
    buffer: *mut c_void,
    mark: u8,
    asked: c_int,
    real_stat: &dyn Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    if asked == 0 {
        return 0;
    }
    let (follow, shape) = (mark & LINK == 0, shape(mark));
    let stand_in = |path| real_stat(sys::AT_FDCWD, path);
    let mut result = asked;
    if asked == NOT_ASKED {
        if let Some(result) = stat_path(directory, path, follow, buffer, shape, &stand_in) {
            return result;
        }
        let mut room = Room::new();
        result = real_stat(directory, root_names::map(path, follow, &mut room).or(path));
        if result == 0 {
            return result;
        }
    }
    stat_through_links(directory, path, follow, buffer, shape, &stand_in).unwrap_or(result)
}

/// Whatever `names::by_name` does not answer; `asked` is what libc said, if it was asked.
pub extern "C" fn slowly(
    path: *const c_char,
    buffer: *mut c_void,
    symbol: Next,
    asked: c_int,
) -> c_int {
    // SAFETY: the next definition of these symbols has this signature.
    let next: extern "C" fn(*const c_char, *mut c_void) -> c_int = unsafe { symbol.function() };
    let asked = match asked {
        NOT_ASKED => ask_first(sys::AT_FDCWD, path, || next(path, buffer)),
        said => said,
    };
    stat_any(
        sys::AT_FDCWD,
        path,
        buffer,
        symbol.mark(),
        asked,
        &|_, path| next(path, buffer),
    )
}

named! {
    "";
    stat(PLAIN), stat64(STAT64), __stat64_time64(TIME64), __stat_time64(STAT64),
    lstat(PLAIN | LINK), lstat64(STAT64 | LINK), __lstat64_time64(TIME64 | LINK), __lstat_time64(STAT64 | LINK)
}

family! {
    fn xstat_name(version: c_int, path: *const c_char, buffer: *mut c_void) -> c_int |next, mark| {
        let ask = |_, path| next(version, path, buffer);
        let asked = ask_first(sys::AT_FDCWD, path, || ask(0, path));
        stat_any(sys::AT_FDCWD, path, buffer, mark, asked, &ask)
    }
    __xstat(PLAIN), __xstat64(STAT64), __lxstat(PLAIN | LINK), __lxstat64(STAT64 | LINK)
}

family! {
    quick (is_plain(fd))
    fn fstat_any(fd: c_int, buffer: *mut c_void) -> c_int |next, mark| {
        let result = next(fd, buffer);
        fstat_after(fd, result, buffer, shape(mark))
    }
    fstat(PLAIN), fstat64(STAT64), __fstat64_time64(TIME64), __fstat_time64(STAT64)
}

family! {
    quick (is_plain(fd))
    fn fxstat_any(version: c_int, fd: c_int, buffer: *mut c_void) -> c_int |next, mark| {
        let result = next(version, fd, buffer);
        fstat_after(fd, result, buffer, shape(mark))
    }
    __fxstat(PLAIN), __fxstat64(STAT64)
}

/// fstatat with an empty path and AT_EMPTY_PATH is fstat.
fn is_empty_path(path: *const c_char, flags: c_int) -> bool {
    flags & libc::AT_EMPTY_PATH != 0 && (path.is_null() || files::is_empty(path))
}

family! {
    fn fstatat_any(directory: c_int, path: *const c_char, buffer: *mut c_void, flags: c_int) -> c_int |next, mark| {
        stat_at(directory, path, buffer, flags, mark, &|directory, path| next(directory, path, buffer, flags))
    }
    fstatat(PLAIN), fstatat64(STAT64), __fstatat64_time64(TIME64), __fstatat_time64(STAT64)
}

/// fstatat in its spellings.
fn stat_at(
    directory: c_int,
    path: *const c_char,
    buffer: *mut c_void,
    flags: c_int,
    mark: u8,
    real_stat: &dyn Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let asked = ask_first(directory, path, || real_stat(directory, path));
    if asked == NOT_ASKED && is_empty_path(path, flags) {
        return fstat_after(directory, real_stat(directory, path), buffer, shape(mark));
    }
    let link = if flags & libc::AT_SYMLINK_NOFOLLOW == 0 {
        0
    } else {
        LINK
    };
    stat_any(directory, path, buffer, mark | link, asked, real_stat)
}

family! {
    fn fxstatat_any(
        version: c_int,
        directory: c_int,
        path: *const c_char,
        buffer: *mut c_void,
        flags: c_int,
    ) -> c_int |next, mark| {
        let ask = |directory, path| next(version, directory, path, buffer, flags);
        stat_at(directory, path, buffer, flags, mark, &ask)
    }
    __fxstatat(PLAIN), __fxstatat64(STAT64)
}

/// statx on something of ours; `ask` is the real call. None: not ours.
fn statx_ours(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    buffer: *mut c_void,
    ask: &dyn Fn(c_int, *const c_char) -> c_int,
) -> Option<c_int> {
    let (result, appearance) = if is_empty_path(path, flags) {
        let appearance = descriptors::lookup(directory)
            .filter(|descriptor| descriptor.node.kind != NodeKind::Threshold)
            .map(|descriptor| StandIn::of_node(descriptor.node))
            .or_else(|| stand_in::of_memory_file(directory))?;
        (ask(directory, path), Some(appearance))
    } else {
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        // SAFETY: the guest's own argument to libc.
        let bytes = unsafe { files::path_bytes(path) }?;
        let mut room = Room::new();
        match stand_in::of_path(directory, bytes, follow, &mut room)? {
            Ok(found) => (
                ask(sys::AT_FDCWD, found.file.c_str().as_ptr()),
                found.appearance,
            ),
            Err(errno) => return Some(settle(Err::<c_int, Errno>(errno), -1)),
        }
    };
    if result == 0
        && let Some(stand_in) = &appearance
    {
        // SAFETY: the real call has just filled the buffer.
        unsafe { patch_statx(buffer, stand_in) };
    }
    Some(result)
}

/// Asked once more when the real call has failed.
fn statx_through_links(
    directory: c_int,
    path: *const c_char,
    follow: bool,
    buffer: *mut c_void,
    real_statx: &dyn Fn(*const c_char) -> c_int,
) -> Option<c_int> {
    let mut room = Room::new();
    let found = found_through_links(directory, path, follow, &mut room)?;
    let result = real_statx(found.file.c_str().as_ptr());
    if result == 0
        && let Some(stand_in) = &found.appearance
    {
        // SAFETY: the real call has just filled the buffer.
        unsafe { patch_statx(buffer, stand_in) };
    }
    Some(result)
}

hook! {
    fn statx(directory: c_int, path: *const c_char, flags: c_int, mask: c_uint, buffer: *mut c_void) -> c_int {
        let real_statx = |directory, path| real!(statx(directory, path, flags, mask, buffer));
        let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        let result = if is_elsewhere(directory, path) {
            real_statx(directory, path)
        } else if let Some(result) = statx_ours(directory, path, flags, buffer, &real_statx) {
            return result;
        } else {
            let mut room = Room::new();
            real_statx(directory, root_names::map(path, follow, &mut room).or(path))
        };
        if result == 0 {
            return result;
        }
        statx_through_links(directory, path, follow, buffer, &|path| real_statx(sys::AT_FDCWD, path)).unwrap_or(result)
    }
}

/// The answer of a raw system call as libc gives it.
fn libc_answer(answer: isize) -> c_int {
    settle(
        sys::checked(answer)
            .map(|value| value as c_int)
            .map_err(Errno),
        -1,
    )
}

/// `syscall(SYS_statx, ...)`.
pub fn emulate_statx(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    mask: u32,
    buffer: usize,
) -> Option<c_int> {
    statx_ours(
        directory,
        path,
        flags,
        buffer as *mut c_void,
        &|directory, path| {
            libc_answer(sys::call!(
                libc::SYS_statx,
                directory,
                path,
                flags,
                mask,
                buffer
            ))
        },
    )
}

/// `syscall(SYS_fstat64, ...)`.
pub fn emulate_fstat64(fd: c_int, buffer: usize) -> Option<c_int> {
    if is_plain(fd) {
        return None;
    }
    let result = libc_answer(sys::call!(libc::SYS_fstat64, fd, buffer));
    Some(fstat_after(
        fd,
        result,
        buffer as *mut c_void,
        Shape::Stat64,
    ))
}

/// The name that is asked about its file system: device nodes live on one like any other, and that of the stand-in
/// answers for it.
fn statfs_any(path: *const c_char, ask: &dyn Fn(*const c_char) -> c_int) -> c_int {
    // SAFETY: the guest's own argument to libc.
    let bytes = unsafe { files::path_bytes(path) };
    let mut room = Room::new();
    match bytes.and_then(|bytes| stand_in::of_path(sys::AT_FDCWD, bytes, true, &mut room)) {
        Some(Ok(found)) => ask(found.file.c_str().as_ptr()),
        Some(Err(errno)) => settle(Err::<c_int, Errno>(errno), -1),
        None => ask(path),
    }
}

family! {
    // Some take the structure's size before it.
    fn statfs_name(path: *const c_char, a: usize, b: usize) -> c_int |next| {
        statfs_any(path, &|path| next(path, a, b))
    }
    statfs, statfs64, __statfs, statvfs, statvfs64
}

/// stat without libc, which may not have it under this name: glibc before 2.33 has `__xstat` alone. Only what glob
/// looks at is filled in: mode, and the numbers of device and inode.
#[inline(never)]
unsafe fn raw_stat(path: *const c_char, follow: bool, buffer: *mut c_void, shape: Shape) -> c_int {
    const LARGEST: usize = 88;
    const INODE: usize = 12;
    let ask = |path: *const c_char| {
        if path.is_null() {
            return settle(Err(Errno::EFAULT), -1);
        }
        // SAFETY: a C string, the guest's or ours.
        match sys::stat64(unsafe { core::ffi::CStr::from_ptr(path) }, follow) {
            Ok(bytes) => {
                // SAFETY: the caller's structure of this shape; all are at least this long, and alike in front.
                unsafe {
                    core::ptr::write_bytes(buffer.cast::<u8>(), 0, LARGEST);
                    core::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.cast::<u8>(), DEVICE + 8);
                    if matches!(shape, Shape::Time64) {
                        core::ptr::copy_nonoverlapping(
                            bytes.as_ptr().add(INODE),
                            buffer.cast::<u8>().add(8),
                            4,
                        );
                        buffer
                            .cast::<u8>()
                            .add(INODE)
                            .cast::<u32>()
                            .write_unaligned(0);
                    }
                }
                0
            }
            Err(errno) => settle(Err(Errno(errno)), -1),
        }
    };
    stat_path(sys::AT_FDCWD, path, follow, buffer, shape, &ask).unwrap_or_else(|| ask(path))
}

macro_rules! glob_stats {
    ($($name:ident $shape:ident $follow:literal;)*) => {$(
        pub unsafe extern "C" fn $name(path: *const c_char, buffer: *mut c_void) -> c_int {
            // SAFETY: glob passes a name and a structure of this shape.
            unsafe { raw_stat(path, $follow, buffer, Shape::$shape) }
        }
    )*};
}
glob_stats! {
    stat_plain Plain true;
    lstat_plain Plain false;
    stat_stat64 Stat64 true;
    lstat_stat64 Stat64 false;
    stat_time64 Time64 true;
    lstat_time64 Time64 false;
}
