//! Where the board of this process is: named, beside the program, or made in the current directory.
//!
//! Must not know: what a board holds.

use crate::paths::{self, PATH_MAX, PathBuffer, Room};
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
        // SAFETY: the flag above lets one thread in, once.
        && unsafe { &mut *HINT.0.get() }.set(&[directory]).is_some()
    {
        HINT.1.store(true, core::sync::atomic::Ordering::Release);
    }
}

/// Where to look for the board, in this order; the last place is made when nothing is found.
pub enum Place<'a> {
    /// As the environment says, which is there as long as the program.
    Named(&'static CStr),
    /// A directory or a configuration that exists.
    Found(&'a CStr),
    /// Nothing is configured: this directory may be made.
    Default(&'a CStr),
}

pub fn find_board(path: &mut PathBuffer) -> Option<Place<'_>> {
    if let Some(value) = environment(VARIABLE) {
        let bytes = value.to_bytes();
        let is_relative = bytes.first() != Some(&b'/');
        // One that is too long is told by who opens it.
        return Some(
            if is_relative && path.make_absolute(sys::AT_FDCWD, bytes).is_some() {
                Place::Found(path.c_str())
            } else {
                Place::Named(value)
            },
        );
    }
    if HINT.1.load(core::sync::atomic::Ordering::Acquire) {
        // SAFETY: written before the flag was set, and never again.
        return Some(Place::Found(unsafe { &*HINT.0.get() }.c_str()));
    }
    let given = set_real_name(path, c"/etc/mtdshim.conf");
    if given.or_else(|| set_beside_program(path)).is_some() {
        return Some(Place::Found(path.c_str()));
    }
    let mut buffer = [0; PATH_MAX];
    let current = sys::getcwd(&mut buffer).ok()?;
    path.set(&[current, DEFAULT_DIRECTORY, CONF_NAME])?;
    let made_before = sys::stat64(path.c_str(), true).is_ok();
    path.truncate(current.len() + DEFAULT_DIRECTORY.len());
    let directory = path.c_str();
    Some(if made_before {
        Place::Found(directory)
    } else {
        Place::Default(directory)
    })
}

/// `path` becomes the name of an existing file outside any prefix that the emulator puts before the guest's names.
fn set_real_name(path: &mut PathBuffer, file: &CStr) -> Option<()> {
    let fd = sys::openat(sys::AT_FDCWD, file, libc::O_RDONLY | libc::O_CLOEXEC, 0).ok()?;
    let mut buffer = [0; PATH_MAX];
    let name = paths::descriptor_path(fd, &mut buffer).and_then(|name| path.set(&[name]));
    sys::close(fd);
    name
}

fn set_beside_program(path: &mut PathBuffer) -> Option<()> {
    let mut buffer = [0; PATH_MAX];
    let program = sys::readlink(c"/proc/self/exe", &mut buffer).ok()?;
    let slash = program.iter().rposition(|&byte| byte == b'/')?;
    let mut conf = Room::new();
    let conf = conf.put(&[program.get(..slash)?, CONF_NAME])?;
    set_real_name(path, conf.c_str())
}
