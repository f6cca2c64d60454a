//! Shared memory as 32-bit atomic words: a file mapped by all processes, or private memory where nothing may be
//! written.
//!
//! Must not know: what the words mean. A mapped file is never shrunk by this project; who shrinks it from outside
//! while it is mapped makes accesses a SIGBUS, which the guest library survives.

use core::sync::atomic::AtomicU32;
use memmap2::{MmapMut, MmapOptions, MmapRaw};

use crate::memory::Memory;
use crate::os::{Fd, FileStatus, Os, errno};

/// Of the smallest pages that there are.
const PAGE_WORDS: usize = 1024;

#[derive(Debug)]
pub enum Mapping {
    Shared(MmapRaw),
    Private(Memory),
}

impl Mapping {
    /// The first `length` bytes of the file, writable, seen by everybody.
    pub fn shared(fd: Fd, length: usize) -> Option<Mapping> {
        file(fd, length).map(|map| Mapping::Shared(map.into()))
    }

    /// The same of a file that was there before, with its status. A copy of a board may have holes, and a store to one is a
    /// SIGBUS when the disk is full, so that each page gets its place now.
    pub fn stored(
        os: &impl Os,
        fd: Fd,
        length: usize,
        status: &FileStatus,
    ) -> Result<Mapping, i32> {
        let mapping = Mapping::shared(fd, length).ok_or(errno::ENOMEM)?;
        mapping.fill_holes(os, status)?;
        Ok(mapping)
    }

    pub fn fill_holes(&self, os: &impl Os, status: &FileStatus) -> Result<(), i32> {
        if status.stored < status.size {
            for page in self.words().chunks(PAGE_WORDS) {
                let touched = page.first().map_or(Ok(()), |word| os.touch(word));
                touched.map_err(|_| errno::ENOSPC)?;
            }
        }
        Ok(())
    }

    /// Zeroed memory of this process.
    pub fn private(length: usize) -> Option<Mapping> {
        buffer(length).map(Mapping::Private)
    }

    pub fn is_shared(&self) -> bool {
        matches!(self, Mapping::Shared(_))
    }

    pub fn words(&self) -> &[AtomicU32] {
        let (start, length) = match self {
            Mapping::Shared(map) => (map.as_mut_ptr(), map.len()),
            Mapping::Private(memory) => (memory.as_mut_ptr(), memory.len()),
        };
        // SAFETY: the mapping is page aligned, writable and at least this long, and lives as long as `self`; every
        // access of any process to it is atomic.
        unsafe { core::slice::from_raw_parts(start.cast_const().cast(), length / 4) }
    }
}

/// A buffer of a size known only at run time, without an allocator.
pub fn buffer(length: usize) -> Option<Memory> {
    Memory::new(length)
}

/// The first `length` bytes of a file, writable and shared. Who uses it as plain memory keeps the file to itself.
pub fn file(fd: Fd, length: usize) -> Option<MmapMut> {
    // Longer ones memmap2 would refuse with words of its own, which need an allocator.
    let length = length.clamp(1, isize::MAX as usize);
    // SAFETY: files are never shrunk by this project (see above); only their owner makes references into them.
    unsafe { MmapOptions::new().len(length).no_probe_handle().map_mut(fd) }.ok()
}
