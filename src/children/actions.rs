//! posix_spawn_file_actions_addopen of flash: libc opens the file in the child, by a call that no hook sees. So it is
//! opened when the action is added, and the child gets a copy.
//!
//! The difference shows only where one set of actions serves several spawns: they share a position.

use crate::late::AtomicFd;
use crate::{descriptors, files, runtime, sys};
use core::ffi::{c_char, c_void};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use image::os::Os;
use mtd_abi::errno::Errno;

/// A descriptor that lives as long as a set of actions.
struct Held {
    actions: AtomicUsize,
    fd: AtomicFd,
}
const HELD_MAX: usize = 16;
static HELD: [Held; HELD_MAX] = [const {
    Held {
        actions: AtomicUsize::new(0),
        fd: AtomicFd::none(),
    }
}; HELD_MAX];

type AddDup2 = unsafe extern "C" fn(*mut c_void, i32, i32) -> i32;

/// The errno that addopen returns, or 0; None if the path is not flash.
///
/// # Safety
/// `actions` is an initialised set, `path` a C string.
pub unsafe fn add_open(
    actions: *mut c_void,
    fd: i32,
    path: *const c_char,
    flags: i32,
) -> Option<i32> {
    // SAFETY: promised by the caller.
    let path = unsafe { files::path_bytes(path) }?;
    let opened = match files::open(sys::AT_FDCWD, path, flags)? {
        Ok(opened) => opened,
        Err(errno) => return Some(errno.0),
    };
    descriptors::forget(opened);
    let opened = sys::Kernel.make_private(opened);
    let free = |held: &&Held| {
        held.actions
            .compare_exchange(0, actions as usize, Relaxed, Relaxed)
            .is_ok()
    };
    let dup2 = runtime::next_symbol(c"posix_spawn_file_actions_adddup2");
    let (Some(held), Some(dup2)) = (HELD.iter().find(free), dup2) else {
        sys::Kernel.close(opened);
        return Some(Errno::ENOMEM.0);
    };
    held.fd.set(opened);
    // SAFETY: libc's function of this name has this type, and the set is initialised.
    Some(unsafe {
        let dup2: AddDup2 = core::mem::transmute(dup2);
        dup2(actions, opened, fd)
    })
}

/// The set is destroyed, or initialised anew.
pub fn release(actions: usize) {
    for held in HELD
        .iter()
        .filter(|held| held.actions.load(Relaxed) == actions)
    {
        sys::Kernel.close(held.fd.replace(AtomicFd::NONE));
        held.actions.store(0, Relaxed);
    }
}
