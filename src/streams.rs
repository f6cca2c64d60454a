//! Streams (`FILE *`) over flash descriptors: fopencookie with our functions, and a table from stream to descriptor.

use crate::calls::{self, Direction, settle};
use crate::late::AtomicFd;
use crate::paths::{self, Room};
use crate::{descriptors, runtime, sys};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use image::os::Os;
use libc::{FILE, c_char, c_int, c_void, off64_t, size_t, ssize_t};
use mtd_abi::errno::Errno;

/// Bit of a remembered descriptor: libc's stream reads a memory file, and the descriptor only stands for the device.
const SNAPSHOT: c_int = 1 << 30;
const STREAMS_MAX: usize = 64;
static STREAMS: [AtomicUsize; STREAMS_MAX] = [const { AtomicUsize::new(0) }; STREAMS_MAX];
/// A stream was entered, ever: until then nobody looks through the table.
static ANY: AtomicBool = AtomicBool::new(false);
static DESCRIPTORS: [AtomicFd; STREAMS_MAX] = [const { AtomicFd::none() }; STREAMS_MAX];

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

/// Whether there never was a stream of ours.
#[inline(always)]
pub fn is_none() -> bool {
    !ANY.load(Relaxed)
}

fn remember(stream: usize, fd: c_int) {
    ANY.store(true, Relaxed);
    for (slot, descriptor) in STREAMS.iter().zip(&DESCRIPTORS) {
        if slot.compare_exchange(0, stream, Relaxed, Relaxed).is_ok() {
            descriptor.set(fd);
            return;
        }
    }
}

/// The descriptor below a stream of ours.
pub fn descriptor(stream: usize) -> Option<c_int> {
    if is_none() {
        return None;
    }
    STREAMS
        .iter()
        .zip(&DESCRIPTORS)
        .find(|(slot, _)| stream != 0 && slot.load(Relaxed) == stream)
        .map(|(_, descriptor)| descriptor.get() & !SNAPSHOT)
}

/// A stream of libc's own on a memory file, as freopen leaves it: the flash descriptor beside it is given up, and the
/// stream is again what it is. False for any other stream.
pub fn release_snapshot(stream: usize) -> bool {
    let slots = STREAMS.iter().zip(&DESCRIPTORS);
    let found = slots
        .filter(|(slot, _)| stream != 0 && slot.load(Relaxed) == stream)
        .map(|(_, fd)| fd.get())
        .next();
    match found {
        Some(fd) if fd & SNAPSHOT != 0 => {
            forget(stream);
            close_descriptor(fd & !SNAPSHOT);
            true
        }
        _ => false,
    }
}

pub fn forget(stream: usize) {
    for slot in &STREAMS {
        let _ = slot.compare_exchange(stream, 0, Relaxed, Relaxed);
    }
}

/// A stream of libc's own is about to close its descriptor: the node it writes to, if that is flash.
pub fn forget_plain(stream: *mut FILE) -> Option<descriptors::Node> {
    unsafe extern "C" {
        fn fileno(stream: *mut FILE) -> c_int;
    }
    if stream.is_null() {
        return None;
    }
    // SAFETY: the guest's own stream, still open. fileno sets errno only for streams without a descriptor.
    let fd = unsafe { fileno(stream) };
    let written = descriptors::lookup(fd).filter(crate::unseen::may_leave);
    if fd >= 0 {
        descriptors::forget(fd);
    }
    written.map(|descriptor| descriptor.node)
}

/// freopen: the guest goes on using the same stream. For reading, libc's stream is put on a memory file with what the
/// device holds now; for writing only a standard stream, which is a variable, can be replaced.
pub fn replace(
    stream: *mut FILE,
    fd: c_int,
    mode: *const c_char,
    reads_only: bool,
    reopen: impl FnOnce(&core::ffi::CStr) -> *mut FILE,
) -> *mut FILE {
    if mode_is_plain_write(mode) {
        return reopen_below(fd, reopen);
    }
    let reopened = if reads_only {
        snapshot(fd).map(|file| reopen_on(file, reopen))
    } else {
        None
    };
    match reopened {
        Some(same) => {
            if same.is_null() {
                close_descriptor(fd);
            } else {
                remember(same as usize, fd | SNAPSHOT);
            }
            same
        }
        None => {
            let new = open(fd, mode);
            if new.is_null() {
                close_descriptor(fd);
                return new;
            }
            exchange(stream, new)
        }
    }
}

/// freopen from flash to flash: the stream keeps its functions and gets another descriptor under the same number.
pub fn swap_descriptor(stream: *mut FILE, new: c_int) -> bool {
    type Rewind = unsafe extern "C" fn(*mut FILE);
    let (Some(old), Some(rewind)) = (descriptor(stream as usize), runtime::next_symbol(c"rewind"))
    else {
        return false;
    };
    // SAFETY: libc's function of this name; it flushes, moves the old descriptor and clears the stream's errors.
    let rewind: Rewind = unsafe { core::mem::transmute(rewind) };
    // SAFETY: the guest's own stream.
    unsafe { rewind(stream) };
    crate::world::before_close(old);
    if sys::checked(sys::call!(libc::SYS_dup3, new, old, 0)).is_err() {
        return false;
    }
    descriptors::copy(new, old);
    close_descriptor(new);
    true
}

/// "w" without "+" and without appending.
fn mode_is_plain_write(mode: *const c_char) -> bool {
    // SAFETY: the guest's own C string, which the hook has already read.
    let mode = unsafe { core::ffi::CStr::from_ptr(mode) }.to_bytes();
    mode.first() == Some(&b'w') && !mode.contains(&b'+')
}

/// libc's stream writes to the node file itself, and `unseen` takes its bytes over.
fn reopen_below(fd: c_int, reopen: impl FnOnce(&core::ffi::CStr) -> *mut FILE) -> *mut FILE {
    unsafe extern "C" {
        fn fileno(stream: *mut FILE) -> c_int;
    }
    let Some(descriptor) = descriptors::lookup(fd) else {
        return settle(Err(Errno::EBADF), core::ptr::null_mut());
    };
    descriptors::forget(fd);
    let stream = reopen_on(fd, reopen);
    if !stream.is_null() {
        // SAFETY: libc has just opened it.
        let own = unsafe { fileno(stream) };
        if descriptors::set_mark(own) {
            descriptors::enter(own, descriptor);
        }
    }
    stream
}

fn reopen_on(file: c_int, reopen: impl FnOnce(&core::ffi::CStr) -> *mut FILE) -> *mut FILE {
    let mut path = Room::new();
    let path = paths::proc_fd_name(file, &mut path);
    let stream = path.map_or(core::ptr::null_mut(), |path| reopen(path.c_str()));
    sys::close(file);
    stream
}

/// A memory file with the bytes of the device, positioned at its start.
fn snapshot(fd: c_int) -> Option<c_int> {
    let size = calls::seek(fd, 0, libc::SEEK_END)?.ok()?;
    calls::seek(fd, 0, libc::SEEK_SET)?.ok()?;
    let length = usize::try_from(size).ok()?;
    let file = sys::memfd(c"mtdshim:stream").ok()?;
    let filled = sys::Kernel.ftruncate(file, length as u64).is_ok() && fill(fd, file, length);
    if !filled {
        sys::close(file);
    }
    filled.then_some(file)
}

fn fill(fd: c_int, file: c_int, length: usize) -> bool {
    if length == 0 {
        return true;
    }
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let mapped = sys::call!(
        libc::SYS_mmap2,
        0,
        length,
        protection,
        libc::MAP_SHARED,
        file,
        0
    );
    let Ok(address) = sys::checked(mapped) else {
        return false;
    };
    let read = calls::transfer(fd, Direction::Read, address, length, Some(0));
    sys::call!(libc::SYS_munmap, address, length);
    matches!(read, Some(Ok(count)) if count as usize == length)
}

fn close_descriptor(fd: c_int) {
    descriptors::forget(fd);
    sys::close(fd);
}

/// Puts `new` in the place of `stream`, as far as that is possible: the standard streams are variables.
pub fn exchange(stream: *mut FILE, new: *mut FILE) -> *mut FILE {
    unsafe extern "C" {
        fn fclose(stream: *mut FILE) -> c_int;
    }
    // musl's standard streams are constants: there the guest has to use what freopen returns.
    let variables: &[&core::ffi::CStr] = match crate::libc_kind::kind() {
        crate::libc_kind::LibcKind::Musl => &[],
        _ => &[c"stdin", c"stdout", c"stderr"],
    };
    for name in variables {
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

/// A program started with flash as its standard input: its stream reads below every hook, so it is replaced by one of
/// ours. musl keeps its standard streams in constants; there, only read() sees the flash.
pub fn replace_input() {
    if descriptors::lookup(0).is_none()
        || crate::libc_kind::kind() == crate::libc_kind::LibcKind::Musl
    {
        return;
    }
    let stream = open(0, c"r".as_ptr());
    if let Some(variable) = runtime::global_symbol(c"stdin")
        && !stream.is_null()
    {
        // SAFETY: the program's variable of this name, a pointer to a stream, not used yet.
        unsafe { *(variable as *mut *mut FILE) = stream };
    }
}
