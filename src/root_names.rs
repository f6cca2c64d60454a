//! Names below the guest's root directory, where the emulator forgets to look there: stat and faccessat.
//!
//! QEMU looks up open, access and stat below -L first, but not statx and faccessat (7.2 to 11.1), and every current libc
//! calls statx for stat. A shell then does not find a program that only the root has.

use crate::children::lookup::{self, Root};
use crate::paths::PathBuffer;
use crate::{files, sys};
use core::cell::UnsafeCell;
use core::ffi::c_char;
use core::sync::atomic::{AtomicU8, Ordering};

/// The root, asked for once: it cannot change while a program runs.
struct Cell(UnsafeCell<Root>, AtomicU8);
// SAFETY: written once, by the thread that turns the state from UNKNOWN, before the state says KNOWN.
unsafe impl Sync for Cell {}
static ROOT: Cell = Cell(UnsafeCell::new(Root::none()), AtomicU8::new(UNKNOWN));
const UNKNOWN: u8 = 0;
const BUSY: u8 = 1;
const KNOWN: u8 = 2;

fn root() -> Option<&'static Root> {
    if ROOT.1.load(Ordering::Acquire) != KNOWN {
        if ROOT
            .1
            .compare_exchange(UNKNOWN, BUSY, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            // Another thread is asking at this moment; once, a name is looked up as the emulator does.
            return None;
        }
        // SAFETY: this thread alone has turned the state.
        unsafe { *ROOT.0.get() = Root::current() };
        ROOT.1.store(KNOWN, Ordering::Release);
    }
    // SAFETY: never written again.
    Some(unsafe { &*ROOT.0.get() }).filter(|root| root.is_given())
}

/// A name on the host that takes the place of the guest's, if there is one.
pub struct Mapped(Option<PathBuffer>);

impl Mapped {
    pub fn or(&self, path: *const c_char) -> *const c_char {
        self.0.as_ref().map_or(path, |name| name.c_str().as_ptr())
    }
}

/// Where a name of the guest lies in its root; nothing for names that are only outside it. `follow`: the caller wants
/// what a link at the end leads to.
pub fn map(path: *const c_char, follow: bool) -> Mapped {
    // SAFETY: the guest's own argument to libc.
    Mapped(unsafe { files::path_bytes(path) }.and_then(|path| map_bytes(path, follow)))
}

fn map_bytes(path: &[u8], follow: bool) -> Option<PathBuffer> {
    if path.first() != Some(&b'/') {
        return None;
    }
    let root = root()?;
    let inner = PathBuffer::of(&[root.bytes(), path])?;
    let status = sys::stat64(inner.c_str(), false).ok()?;
    if follow && sys::stat_mode(&status) & libc::S_IFMT == libc::S_IFLNK {
        return lookup::find(root, path).ok().map(|found| found.host);
    }
    Some(inner)
}
