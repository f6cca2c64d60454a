//! A mapped file of the board that somebody cuts while it is in use, or a page of it for which the disk has no room: an access
//! is a SIGBUS, of which the guest knows nothing. What is missing becomes zeros, a line says which file it was, and the call
//! goes on: words of zero are no valid ones, so the ledger answers EIO and a board without its table has no devices.
//!
//! Must not know: what the words mean.

use crate::paths;
use crate::sys::{self, Kernel};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering::Relaxed};
use image::Os;
use image::board::CHIPS_MAX;

const PAGE: usize = 4096;
/// The board, then its chips.
const REGIONS_MAX: usize = CHIPS_MAX + 1;

struct Region {
    start: AtomicUsize,
    length: AtomicUsize,
    fd: AtomicI32,
}

static REGIONS: [Region; REGIONS_MAX] = [const {
    Region {
        start: AtomicUsize::new(0),
        length: AtomicUsize::new(0),
        fd: AtomicI32::new(0),
    }
}; REGIONS_MAX];

/// From now on a cut of this mapped file is survived. `index`: 0 for the board, then the chips.
pub fn watch(index: usize, words: &[AtomicU32], fd: i32) {
    let Some(region) = REGIONS.get(index).filter(|_| fd >= 0) else {
        return;
    };
    region.start.store(words.as_ptr() as usize, Relaxed);
    region.length.store(size_of_val(words), Relaxed);
    region.fd.store(fd, Relaxed);
    // Handler, flags, restorer, mask. A handler of the guest's own stays.
    let (action, mut old) = ([on_cut as *const () as usize, 0, 0, 0, 0], [0usize; 5]);
    let _ = sys::call!(libc::SYS_rt_sigaction, libc::SIGBUS, 0, old.as_mut_ptr(), 8);
    if old[0] == libc::SIG_DFL {
        let _ = sys::call!(libc::SYS_rt_sigaction, libc::SIGBUS, action.as_ptr(), 0, 8);
    }
}

/// The memory of this file is given back.
pub fn forget(index: usize) {
    if let Some(region) = REGIONS.get(index) {
        region.length.store(0, Relaxed);
    }
}

/// The address in the signal's information is no help: QEMU 7.2 gives the host's. So all files are looked at.
extern "C" fn on_cut(_signal: i32) {
    let mut any = false;
    for region in &REGIONS {
        any |= survive(region);
    }
    if !any {
        // Not ours: what would have happened without us happens when the access is tried again.
        let default = [libc::SIG_DFL, 0, 0, 0, 0];
        let _ = sys::call!(libc::SYS_rt_sigaction, libc::SIGBUS, default.as_ptr(), 0, 8);
    }
}

/// Whether a page of this file cannot be used; then from there on zeros of this process's own stand in its place.
fn survive(region: &Region) -> bool {
    let (start, length) = (region.start.load(Relaxed), region.length.load(Relaxed));
    let mut page = 0;
    while page < length && can_be_stored_to(start + page) {
        page += PAGE;
    }
    if page >= length {
        return false;
    }
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    let _ = sys::call!(
        libc::SYS_mmap2,
        start + page,
        length - page,
        libc::PROT_READ | libc::PROT_WRITE,
        flags,
        -1isize,
        0
    );
    region.length.store(page, Relaxed);
    let fd = region.fd.load(Relaxed);
    let is_cut = Kernel
        .fstat(fd)
        .is_ok_and(|status| status.size < length as u64);
    let mut buffer = [0; 512];
    sys::report(&[
        paths::descriptor_path(fd, &mut buffer).unwrap_or(b"a file of the board"),
        if is_cut {
            b": this file was cut while it was in use; end the programs that use this board, and delete it"
        } else {
            b": the disk is full, no place for this file; free some space"
        },
    ]);
    true
}

fn can_be_stored_to(address: usize) -> bool {
    // SAFETY: the address of a mapped word, of which only the system makes use.
    let word = unsafe { AtomicU32::from_ptr(address as *mut u32) };
    Kernel.touch(word) != Err(libc::EFAULT)
}
