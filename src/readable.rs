//! Whether a name that the guest passes can be read at all: the system says EFAULT to a wild pointer, and so must we, who look
//! at the name first. Asking costs a system call, so the pages that were readable once are remembered.
//!
//! A page that the guest has given back since then is still believed. Must not know: what names mean.

use crate::glance::{GLANCE, SLOTS};
use crate::sys;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use image::os::futex;

const PAGE_SHIFT: u32 = 12;
const PAGE: usize = 1 << PAGE_SHIFT;

/// Of the page asked about last that could not be read, likewise.
static UNREADABLE: AtomicU32 = AtomicU32::new(0);
/// The quick test believes that a name is shorter, or at the end of a page that is followed by another.
pub const SHORT: usize = 255;

/// By the last bits of a page's number: its complement, so that zero is no page.
#[inline(always)]
fn slot(address: usize) -> (&'static AtomicU32, u32) {
    let page = (address >> PAGE_SHIFT) as u32;
    let pages = &GLANCE.pages;
    let [first, ..] = pages;
    (pages.get(page as usize % SLOTS).unwrap_or(first), !page)
}

/// Without asking the system: 0 where the byte can be read.
#[inline(always)]
pub fn unknown(address: usize) -> u32 {
    let (slot, page) = slot(address);
    slot.load(Relaxed) ^ page
}

/// Whether the byte there can be read.
#[inline(never)]
pub fn is_readable(address: usize) -> bool {
    let (slot, page) = slot(address);
    if unknown(address) == 0 {
        return true;
    }
    // A wait for no time, for which the system reads the word, in a way that every emulator of it passes on.
    let answer = sys::call!(
        libc::SYS_futex,
        address & !3,
        futex::WAIT_PRIVATE,
        0,
        [0u32; 2].as_ptr()
    );
    let readable = address >= PAGE && sys::checked(answer) != Err(libc::EFAULT);
    let noted = if readable { slot } else { &UNREADABLE };
    noted.store(page, Relaxed);
    readable
}

/// Whether the page can be read that a short name from here on may reach into; one that cannot is not asked about twice.
pub fn is_readable_behind(start: usize) -> bool {
    let rest = start.wrapping_add(SHORT);
    slot(rest).1 != UNREADABLE.load(Relaxed) && is_readable(rest)
}

/// The string at an address, without its NUL. None where it cannot be read to its end, or is `limit` bytes and longer.
///
/// # Safety
/// The guest does not change it meanwhile.
pub unsafe fn string<'a>(start: *const core::ffi::c_char, limit: usize) -> Option<&'a [u8]> {
    let start = start.cast::<u8>();
    is_readable_behind(start as usize);
    let mut length = 0;
    while length < limit {
        let at = (start as usize).wrapping_add(length);
        if (length == 0 || at.is_multiple_of(PAGE)) && !is_readable(at) {
            return None;
        }
        // SAFETY: the page was readable, now or not long ago.
        unsafe {
            if *start.add(length) == 0 {
                return Some(core::slice::from_raw_parts(start, length));
            }
        }
        length += 1;
    }
    None
}
