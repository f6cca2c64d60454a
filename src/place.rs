//! Where the board of this process is: named, beside the program, or made in the current directory.
//!
//! Must not know: what a board holds.

use crate::paths::{self, PATH_MAX, PathBuffer};
use crate::settings::{BOARD as VARIABLE, get as environment};
use crate::sys;
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

const DEFAULT_DIRECTORY: &[u8] = b"/mtdshim-flash";
const CONF_NAME: &[u8] = b"/mtdshim.conf";

/// Directory of the board as an inherited descriptor showed it.
struct Hint(UnsafeCell<PathBuffer>, AtomicBool);
// SAFETY: written once, by who turns the flag, before it is read.
unsafe impl Sync for Hint {}
static HINT: Hint = Hint(UnsafeCell::new(PathBuffer::new()), AtomicBool::new(false));
static HINT_TAKEN: AtomicBool = AtomicBool::new(false);

/// An inherited descriptor has shown where its board is.
pub fn remember_board(directory: &[u8]) {
    if HINT_TAKEN
        .compare_exchange(false, true, Relaxed, Relaxed)
        .is_ok()
        && let Some(path) = PathBuffer::of(&[directory])
    {
        // SAFETY: the flag above lets one thread in, once.
        unsafe { *HINT.0.get() = path };
        HINT.1.store(true, core::sync::atomic::Ordering::Release);
    }
}

/// Where to look for the board, in this order; the last place is made when nothing is found.
pub enum Place {
    /// As the environment says, which is there as long as the program.
    Named(&'static CStr),
    /// A directory or a configuration that exists.
    Found(PathBuffer),
    /// Nothing is configured: this directory may be made.
    Default(PathBuffer),
}

pub fn find_board() -> Option<Place> {
    if let Some(value) = environment(VARIABLE) {
        let bytes = value.to_bytes();
        return if bytes.first() == Some(&b'/') {
            Some(Place::Named(value))
        } else {
            paths::absolute(sys::AT_FDCWD, bytes).map(Place::Found)
        };
    }
    if HINT.1.load(core::sync::atomic::Ordering::Acquire) {
        // SAFETY: written before the flag was set, and never again.
        return PathBuffer::of(&[unsafe { &*HINT.0.get() }.bytes()]).map(Place::Found);
    }
    if let Some(conf) = real_name(c"/etc/mtdshim.conf").or_else(beside_program) {
        return Some(Place::Found(conf));
    }
    let mut buffer = [0; PATH_MAX];
    let current = sys::getcwd(&mut buffer).ok()?;
    let directory = PathBuffer::of(&[current, DEFAULT_DIRECTORY])?;
    let conf = PathBuffer::of(&[directory.bytes(), CONF_NAME])?;
    let made_before = sys::stat64(conf.c_str(), true).is_ok();
    Some(if made_before {
        Place::Found(directory)
    } else {
        Place::Default(directory)
    })
}

/// The name of an existing file outside any prefix that the emulator puts before the guest's names.
fn real_name(path: &CStr) -> Option<PathBuffer> {
    let fd = sys::openat(sys::AT_FDCWD, path, libc::O_RDONLY | libc::O_CLOEXEC, 0).ok()?;
    let mut buffer = [0; PATH_MAX];
    let name = paths::descriptor_path(fd, &mut buffer).and_then(|name| PathBuffer::of(&[name]));
    sys::close(fd);
    name
}

fn beside_program() -> Option<PathBuffer> {
    let mut buffer = [0; PATH_MAX];
    let program = sys::readlink(c"/proc/self/exe", &mut buffer).ok()?;
    let slash = program.iter().rposition(|&byte| byte == b'/')?;
    let conf = PathBuffer::of(&[program.get(..slash)?, CONF_NAME])?;
    real_name(conf.c_str())
}
