//! Streams (`FILE *`) over flash descriptors: fopencookie with our functions, and a table from stream to descriptor.

use crate::calls::{self, Direction, settle};
use crate::{descriptors, runtime, sys};
use core::sync::atomic::{AtomicI32, AtomicUsize, Ordering::Relaxed};
use libc::{FILE, c_char, c_int, c_void, off64_t, size_t, ssize_t};
use mtd_abi::errno::Errno;

const STREAMS_MAX: usize = 64;
static STREAMS: [AtomicUsize; STREAMS_MAX] = [const { AtomicUsize::new(0) }; STREAMS_MAX];
static DESCRIPTORS: [AtomicI32; STREAMS_MAX] = [const { AtomicI32::new(-1) }; STREAMS_MAX];

/// `cookie_io_functions_t`.
#[repr(C)]
#[derive(Clone, Copy)]
struct CookieFunctions {
    read: unsafe extern "C" fn(*mut c_void, *mut c_char, size_t) -> ssize_t,
    write: unsafe extern "C" fn(*mut c_void, *const c_char, size_t) -> ssize_t,
    seek: unsafe extern "C" fn(*mut c_void, *mut off64_t, c_int) -> c_int,
    close: unsafe extern "C" fn(*mut c_void) -> c_int,
}

type FopenCookie = unsafe extern "C" fn(*mut c_void, *const c_char, CookieFunctions) -> *mut FILE;

const FUNCTIONS: CookieFunctions = CookieFunctions {
    read,
    write,
    seek,
    close,
};

unsafe extern "C" fn read(cookie: *mut c_void, buffer: *mut c_char, size: size_t) -> ssize_t {
    let fd = cookie as usize as c_int;
    settle(
        calls::transfer(fd, Direction::Read, buffer as usize, size, None)
            .unwrap_or(Err(Errno::EBADF)),
        -1,
    )
}

unsafe extern "C" fn write(cookie: *mut c_void, buffer: *const c_char, size: size_t) -> ssize_t {
    let fd = cookie as usize as c_int;
    // 0 says "failed" to fopencookie.
    settle(
        calls::transfer(fd, Direction::Write, buffer as usize, size, None)
            .unwrap_or(Err(Errno::EBADF)),
        0,
    )
}

unsafe extern "C" fn seek(cookie: *mut c_void, offset: *mut off64_t, whence: c_int) -> c_int {
    let fd = cookie as usize as c_int;
    // SAFETY: libc passes a pointer to the offset it wants and wants back.
    let wanted = unsafe { *offset };
    match calls::seek(fd, wanted, whence).unwrap_or(Err(Errno::EBADF)) {
        Ok(position) => {
            // SAFETY: as above.
            unsafe { *offset = position };
            0
        }
        Err(errno) => settle(Err(errno), -1),
    }
}

unsafe extern "C" fn close(cookie: *mut c_void) -> c_int {
    let fd = cookie as usize as c_int;
    crate::world::before_close(fd);
    descriptors::forget(fd);
    sys::close(fd);
    0
}

/// A new stream over `fd`; null, with errno, where this libc has no fopencookie.
pub fn open(fd: c_int, mode: *const c_char) -> *mut FILE {
    let Some(address) = runtime::next_symbol(c"fopencookie") else {
        sys::report(&[
            b"this libc has no fopencookie: streams on flash are not possible, use open and read",
        ]);
        return settle(Err(Errno::ENOSYS), core::ptr::null_mut());
    };
    // SAFETY: the libc's function of this name, documented with this signature.
    let stream = unsafe {
        let fopencookie: FopenCookie = core::mem::transmute(address);
        fopencookie(fd as usize as *mut c_void, mode, FUNCTIONS)
    };
    if !stream.is_null() {
        remember(stream as usize, fd);
    }
    stream
}

fn remember(stream: usize, fd: c_int) {
    for (slot, descriptor) in STREAMS.iter().zip(&DESCRIPTORS) {
        if slot.compare_exchange(0, stream, Relaxed, Relaxed).is_ok() {
            descriptor.store(fd, Relaxed);
            return;
        }
    }
}

/// The descriptor below a stream of ours.
pub fn descriptor(stream: usize) -> Option<c_int> {
    STREAMS
        .iter()
        .zip(&DESCRIPTORS)
        .find(|(slot, _)| stream != 0 && slot.load(Relaxed) == stream)
        .map(|(_, descriptor)| descriptor.load(Relaxed))
}

pub fn forget(stream: usize) {
    for slot in &STREAMS {
        let _ = slot.compare_exchange(stream, 0, Relaxed, Relaxed);
    }
}

/// A stream of libc's own is about to close its descriptor.
pub fn forget_plain(stream: *mut FILE) {
    unsafe extern "C" {
        fn fileno(stream: *mut FILE) -> c_int;
    }
    if !stream.is_null() {
        // SAFETY: the guest's own stream, still open. fileno sets errno only for streams without a descriptor.
        let fd = unsafe { fileno(stream) };
        if fd >= 0 {
            descriptors::forget(fd);
        }
    }
}

/// freopen: the guest goes on using the same stream, so only a standard stream, which is a variable, can be replaced.
pub fn replace(stream: *mut FILE, fd: c_int, mode: *const c_char) -> *mut FILE {
    let new = open(fd, mode);
    if new.is_null() {
        sys::close(fd);
        return new;
    }
    exchange(stream, new)
}

/// Puts `new` in the place of `stream`, as far as that is possible: the standard streams are variables.
pub fn exchange(stream: *mut FILE, new: *mut FILE) -> *mut FILE {
    unsafe extern "C" {
        fn fclose(stream: *mut FILE) -> c_int;
    }
    for name in [c"stdin", c"stdout", c"stderr"] {
        let Some(variable) = runtime::global_symbol(name) else {
            continue;
        };
        // SAFETY: the program's variable of this name, a pointer to a stream.
        unsafe {
            let variable = variable as *mut *mut FILE;
            if *variable == stream {
                *variable = new;
            }
        }
    }
    // SAFETY: freopen closes the old stream, whatever becomes of the new one.
    unsafe { fclose(stream) };
    new
}
