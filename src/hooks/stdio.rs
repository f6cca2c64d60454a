//! stdio: libc's own streams read and write below every hook, so a stream on flash is one with our functions behind it
//! (fopencookie), and fileno knows its descriptor.

use crate::calls::settle;
use crate::descriptors::{self, NodeKind};
use crate::hooks::names::OPENS_STREAM;
use crate::runtime::Next;
use crate::streams;
use crate::{files, sys};
use libc::{FILE, c_char, c_int};

fn bytes<'a>(path: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the guest's own argument to libc.
    unsafe { files::path_bytes(path) }
}

/// What a mode string means to open, and whether it is one at all.
fn open_flags(mode: *const c_char) -> Option<c_int> {
    if mode.is_null() {
        return None;
    }
    // SAFETY: the guest's own C string.
    let mode = unsafe { core::ffi::CStr::from_ptr(mode) }.to_bytes();
    let base = match mode.first()? {
        b'r' => libc::O_RDONLY,
        b'w' => libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC,
        b'a' => libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND,
        _ => return None,
    };
    let letters = mode.split(|&byte| byte == b',').next().unwrap_or(&[]);
    let has = |letter: u8| letters.get(1..).unwrap_or(&[]).contains(&letter);
    let access = if has(b'+') {
        (base & !libc::O_ACCMODE) | libc::O_RDWR
    } else {
        base
    };
    Some(
        access
            | if has(b'e') { libc::O_CLOEXEC } else { 0 }
            | if has(b'x') { libc::O_EXCL } else { 0 },
    )
}

/// A stream over a descriptor that is ours; anything else is libc's own business.
fn stream_of(fd: c_int, mode: *const c_char, real_fdopen: impl FnOnce() -> *mut FILE) -> *mut FILE {
    match descriptors::lookup(fd) {
        Some(descriptor) if descriptor.node.kind != NodeKind::Threshold => streams::open(fd, mode),
        _ => real_fdopen(),
    }
}

/// None: not ours.
fn fopen_ours(path: *const c_char, mode: *const c_char) -> Option<*mut FILE> {
    let flags = open_flags(mode)?;
    let name = bytes(path)?;
    let opened = files::open(sys::AT_FDCWD, name, flags)
        .or_else(|| files::create_through_link(sys::AT_FDCWD, name, flags))?;
    let fd = match opened {
        Ok(fd) => fd,
        Err(errno) => return Some(settle(Err(errno), core::ptr::null_mut())),
    };
    Some(fopen_descriptor(fd, mode))
}

fn fopen_descriptor(fd: c_int, mode: *const c_char) -> *mut FILE {
    let stream = stream_of(fd, mode, || real_fdopen(fd, mode));
    if stream.is_null() {
        descriptors::forget(fd);
        sys::close(fd);
    }
    stream
}

fn real_fdopen(fd: c_int, mode: *const c_char) -> *mut FILE {
    unsafe extern "C" {
        // The shim's own hook of this name: it sees a descriptor that is not flash and passes it on.
        fn fdopen(fd: c_int, mode: *const c_char) -> *mut FILE;
    }
    // SAFETY: the guest's mode string and an open descriptor.
    unsafe { fdopen(fd, mode) }
}

fn real_fopen(path: *const c_char, mode: *const c_char) -> *mut FILE {
    unsafe extern "C" {
        fn fopen(path: *const c_char, mode: *const c_char) -> *mut FILE;
    }
    // SAFETY: the guest's own arguments.
    unsafe { fopen(path, mode) }
}

fn fopen_through_links(path: *const c_char, mode: *const c_char) -> Option<*mut FILE> {
    if sys::errno() != libc::ENOENT {
        return None;
    }
    let result = files::open_through_links(sys::AT_FDCWD, bytes(path)?, open_flags(mode)?)?;
    Some(match result {
        Ok(fd) => fopen_descriptor(fd, mode),
        Err(errno) => settle(Err(errno), core::ptr::null_mut()),
    })
}

/// An existing file that is not ours, by the spelling of its name.
fn is_quick(path: *const c_char, mode: *const c_char) -> bool {
    // SAFETY: the guest's own arguments to libc.
    unsafe {
        !mode.is_null()
            && *mode.cast::<u8>() == b'r'
            && crate::paths::is_elsewhere(path, sys::AT_FDCWD, true)
    }
}

/// Of libc's own stream.
#[inline(always)]
fn own_fileno(stream: *mut FILE) -> c_int {
    // SAFETY: the next definition of this symbol has this signature.
    let next: extern "C" fn(*mut FILE) -> c_int = unsafe { fileno::NEXT.next().function() };
    next(stream)
}

/// Whatever `names::by_name` does not answer.
pub extern "C" fn slowly(path: *const c_char, mode: *const c_char, symbol: Next) -> *mut FILE {
    // SAFETY: the next definition of these symbols has this signature.
    let next: extern "C" fn(*const c_char, *const c_char) -> *mut FILE =
        unsafe { symbol.function() };
    let quick = is_quick(path, mode);
    if !quick && let Some(stream) = fopen_ours(path, mode) {
        return stream;
    }
    let stream = next(path, mode);
    if quick || stream.is_null() {
        return said(path, mode, stream);
    }
    stream
}

/// What libc said of a name that is not ours.
pub extern "C" fn said(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE {
    if stream.is_null() {
        return failed(path, mode);
    }
    descriptors::enter_foreign(own_fileno(stream));
    stream
}

#[cold]
#[inline(never)]
fn failed(path: *const c_char, mode: *const c_char) -> *mut FILE {
    fopen_through_links(path, mode).unwrap_or_else(|| {
        if let Some(path) = bytes(path) {
            crate::trace::missing(sys::AT_FDCWD, path, "open", sys::errno());
        }
        core::ptr::null_mut()
    })
}

named! {
    // Of the modes' first letters "r" alone is even: the file must be there.
    "ldrb ip, [r1]; lsl ip, ip, #6";
    fopen(OPENS_STREAM), fopen64(OPENS_STREAM)
}

hook! {
    fn fdopen(fd: c_int, mode: *const c_char) -> *mut FILE {
        if descriptors::is_foreign(fd) {
            return real!(fdopen(fd, mode));
        }
        stream_of(fd, mode, || real!(fdopen(fd, mode)))
    }
}

family! {
    fn freopen_any(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE |next| {
        streams::release_snapshot(stream as usize);
        let flags = open_flags(mode);
        let ours = flags.and_then(|flags| files::open(sys::AT_FDCWD, bytes(path)?, flags));
        match ours {
            Some(Ok(fd)) if streams::swap_descriptor(stream, fd) => stream,
            Some(Ok(fd)) => {
                let reads_only = flags.is_some_and(|flags| flags & libc::O_ACCMODE == libc::O_RDONLY);
                let own = streams::descriptor(stream as usize).is_none();
                let reopen = |path: &core::ffi::CStr| next(path.as_ptr(), mode, stream);
                streams::replace(stream, fd, mode, reads_only && own, reopen)
            }
            Some(Err(errno)) => settle(Err(errno), core::ptr::null_mut()),
            // libc cannot reopen a stream that has functions instead of a descriptor.
            None if streams::descriptor(stream as usize).is_some() => {
                streams::exchange(stream, real_fopen(path, mode))
            }
            None => next(path, mode, stream),
        }
    }
    freopen, freopen64
}

hook! {
    fn fclose(stream: *mut FILE) -> c_int {
        if streams::is_none() && !stream.is_null() && descriptors::forget_foreign(own_fileno(stream)) {
            return real!(fclose(stream));
        }
        close(stream, |stream| real!(fclose(stream)))
    }
}

#[cold]
#[inline(never)]
fn close(stream: *mut FILE, next: fn(*mut FILE) -> c_int) -> c_int {
    streams::release_snapshot(stream as usize);
    if streams::descriptor(stream as usize).is_some() {
        streams::forget(stream as usize);
        return next(stream);
    }
    // A descriptor that libc closes by itself must not be remembered, and what it still writes goes below us.
    let node = streams::forget_plain(stream);
    let result = next(stream);
    if let Some(node) = node {
        crate::world::take_over_unseen(node);
    }
    result
}

family! {
    quick (streams::is_none())
    fn fileno_any(stream: *mut FILE) -> c_int |next| {
        match streams::descriptor(stream as usize) {
            Some(fd) => fd,
            None => next(stream),
        }
    }
    fileno, fileno_unlocked
}

// What libc formats for a descriptor it would write below the hooks.

/// None: the descriptor is not ours.
#[inline(never)]
fn print(fd: c_int, format: *const c_char, list: usize) -> Option<c_int> {
    unsafe extern "C" {
        fn vsnprintf(to: *mut u8, size: usize, format: *const c_char, list: usize) -> c_int;
        // The shim's own hook.
        fn write(fd: c_int, from: *const u8, length: usize) -> isize;
    }
    descriptors::lookup(fd)?;
    // SAFETY: the guest's own format and arguments. On ARM a `va_list` is a pointer, which a call does not change.
    let length = unsafe { vsnprintf(core::ptr::null_mut(), 0, format, list) };
    let Some(size) = usize::try_from(length).ok().map(|length| length + 1) else {
        return Some(-1);
    };
    let Some(text) = image::mapping::buffer(size) else {
        return Some(settle(Err(mtd_abi::errno::Errno::ENOMEM), -1));
    };
    // SAFETY: as above, and the buffer has that many bytes.
    Some(unsafe {
        vsnprintf(text.as_mut_ptr(), size, format, list);
        write(fd, text.as_ptr(), size - 1) as c_int
    })
}

hook! {
    fn vdprintf(fd: c_int, format: *const c_char, list: usize) -> c_int {
        print(fd, format, list).unwrap_or_else(|| real!(vdprintf(fd, format, list)))
    }
}

hook! {
    fn __vdprintf_chk(fd: c_int, flag: c_int, format: *const c_char, list: usize) -> c_int {
        print(fd, format, list).unwrap_or_else(|| real!(__vdprintf_chk(fd, flag, format, list)))
    }
}

/// On ARM a `va_list` is one pointer: to the registers that are not named, pushed, which the caller's stack continues.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn dprintf() -> c_int {
    core::arch::naked_asm!(
        "push {{r2, r3}}",
        "mov r2, sp",
        "push {{r4, lr}}",
        "bl vdprintf",
        "pop {{r4, lr}}",
        "add sp, sp, #8",
        "bx lr",
    )
}

/// The same with one register left; what follows it is at an address that is a multiple of eight.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn __dprintf_chk() -> c_int {
    core::arch::naked_asm!(
        "push {{r3}}",
        "mov r3, sp",
        "push {{lr}}",
        "bl __vdprintf_chk",
        "pop {{lr}}",
        "add sp, sp, #4",
        "bx lr",
    )
}
