//! Private memory straight from the system: this crate has no allocator, and memmap2's anonymous maps bring one along,
//! for the words of their errors.
//!
//! The guest library leads `mmap64` and `munmap` past its own hooks (tools/link-armv7).

use core::ops::{Deref, DerefMut};

/// Zeroed bytes, page aligned; given back when dropped.
#[derive(Debug)]
pub struct Memory {
    start: core::ptr::NonNull<u8>,
    length: usize,
}

// SAFETY: plain memory that nobody else knows.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

const PROT_READ_WRITE: i32 = 3;
const MAP_PRIVATE_ANONYMOUS: i32 = 0x22;
const MAP_FAILED: usize = usize::MAX;

unsafe extern "C" {
    fn mmap64(
        address: *mut u8,
        length: usize,
        protection: i32,
        flags: i32,
        fd: i32,
        offset: i64,
    ) -> *mut u8;
    fn munmap(address: *mut u8, length: usize) -> i32;
}

impl Memory {
    pub fn new(length: usize) -> Option<Memory> {
        // A slice is at most this long.
        let length = length.clamp(1, isize::MAX as usize);
        // SAFETY: a new map where the system likes it.
        let start = unsafe {
            mmap64(
                core::ptr::null_mut(),
                length,
                PROT_READ_WRITE,
                MAP_PRIVATE_ANONYMOUS,
                -1,
                0,
            )
        };
        let start = core::ptr::NonNull::new(start)?;
        (start.as_ptr() as usize != MAP_FAILED).then_some(Memory { start, length })
    }

    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped and this long until dropped.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and borrowed by one.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nobody refers to it any more.
        unsafe { munmap(self.start.as_ptr(), self.length) };
    }
}
