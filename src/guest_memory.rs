//! Bounded copies from and to guest addresses: a bad pointer is EFAULT, never a crash.
//!
//! The system itself judges the address: a memory file is written from the guest's buffer, or read into it, by a system
//! call, and the other side of the copy is a mapping of that file. The scratch memory of the flash model lies in the same
//! file, so that what is computed on needs no second copy.

use crate::sys::{self, Kernel};
use flash::GuestFault;
use image::os::Os;

/// For copies to and from other memory; the scratch memory follows.
const WINDOW_SIZE: usize = 64 * 1024;
const FILE_SIZE: usize = WINDOW_SIZE + flash::SCRATCH_SIZE;

/// Bytes that the stack of the first thread always has, at least.
const STACK_SIZE: usize = 64 * 1024;

/// Whether a range lies between our own frame and the beginning of the first thread's stack, and so can surely be read and
/// written. There the arguments of most ioctls are, and they need no system call.
fn is_on_stack(address: usize, length: usize) -> bool {
    let local = 0u8;
    let here = &raw const local as usize;
    let size = crate::runtime::stack_begin().wrapping_sub(here);
    let from = address.wrapping_sub(here);
    size < STACK_SIZE && from < size && length < size - from
}

/// The memory file: its descriptor, once it is mapped, and where that is. Made on first use, under the process lock.
pub struct Window {
    fd: i32,
    map: Option<memmap2::MmapMut>,
}

impl Window {
    pub const fn new() -> Window {
        Window { fd: 0, map: None }
    }

    pub fn close(&mut self) {
        if self.map.take().is_some() {
            Kernel.close(self.fd);
        }
    }

    fn open(&mut self) -> Result<(), GuestFault> {
        if self.map.is_some() && sys::fcntl(self.fd, libc::F_GETFD, 0).is_ok() {
            return Ok(());
        }
        self.map = None;
        let fd = sys::memfd(c"mtdshim").map_err(|_| GuestFault)?;
        let fd = Kernel.make_private(fd);
        Kernel
            .ftruncate(fd, FILE_SIZE as u64)
            .map_err(|_| GuestFault)?;
        self.map = Some(image::mapping::file(fd, FILE_SIZE).ok_or(GuestFault)?);
        self.fd = fd;
        Ok(())
    }

    pub fn copy_in(&mut self, mut address: usize, to: &mut [u8]) -> Result<(), GuestFault> {
        if is_on_stack(address, to.len()) {
            // SAFETY: readable; `to` is memory of ours, which the guest has no address of.
            unsafe { core::ptr::copy(address as *const u8, to.as_mut_ptr(), to.len()) };
            return Ok(());
        }
        self.ensure()?;
        if let Some(place) = self.place_of(to) {
            let copied = sys::pwrite(self.fd, address, to.len(), place);
            return (copied == Ok(to.len())).then_some(()).ok_or(GuestFault);
        }
        for piece in to.chunks_mut(WINDOW_SIZE) {
            self.fetch(address, piece.len())?;
            let map = self.map.as_ref().ok_or(GuestFault)?;
            piece.copy_from_slice(map.get(..piece.len()).ok_or(GuestFault)?);
            address = address.checked_add(piece.len()).ok_or(GuestFault)?;
        }
        Ok(())
    }

    pub fn copy_out(&mut self, mut address: usize, from: &[u8]) -> Result<(), GuestFault> {
        if is_on_stack(address, from.len()) {
            // SAFETY: as above, and writable.
            unsafe { core::ptr::copy(from.as_ptr(), address as *mut u8, from.len()) };
            return Ok(());
        }
        self.ensure()?;
        if let Some(place) = self.place_of(from) {
            let copied = sys::pread(self.fd, address, from.len(), place);
            return (copied == Ok(from.len())).then_some(()).ok_or(GuestFault);
        }
        for piece in from.chunks(WINDOW_SIZE) {
            let map = self.map.as_mut().ok_or(GuestFault)?;
            map.get_mut(..piece.len())
                .ok_or(GuestFault)?
                .copy_from_slice(piece);
            if sys::pread(self.fd, address, piece.len(), 0) != Ok(piece.len()) {
                return Err(GuestFault);
            }
            address = address.checked_add(piece.len()).ok_or(GuestFault)?;
        }
        Ok(())
    }

    /// Whether the whole range can be read.
    pub fn check_readable(
        &mut self,
        mut address: usize,
        mut left: usize,
    ) -> Result<(), GuestFault> {
        self.ensure()?;
        while left > 0 {
            let piece = left.min(WINDOW_SIZE);
            self.fetch(address, piece)?;
            address = address.checked_add(piece).ok_or(GuestFault)?;
            left -= piece;
        }
        Ok(())
    }

    fn fetch(&mut self, address: usize, length: usize) -> Result<(), GuestFault> {
        if sys::pwrite(self.fd, address, length, 0) == Ok(length) {
            Ok(())
        } else {
            Err(GuestFault)
        }
    }

    /// Where in the memory file these bytes lie, if they are part of the scratch memory.
    fn place_of(&self, bytes: &[u8]) -> Option<u64> {
        let start = self.map.as_ref()?.as_ptr() as usize;
        let place = (bytes.as_ptr() as usize).checked_sub(start)?;
        let end = place.checked_add(bytes.len())?;
        (place >= WINDOW_SIZE && end <= FILE_SIZE).then_some(place as u64)
    }

    /// Scratch memory of the flash model.
    pub fn scratch(&mut self) -> Option<&'static mut flash::Scratch> {
        self.ensure().ok()?;
        let map = self.map.as_mut()?;
        // SAFETY: this part of the mapping is used for nothing else, and the mapping stays until a forked child leaves it
        // behind; the process lock gives it to one call at a time.
        unsafe { Some(&mut *map.as_mut_ptr().add(WINDOW_SIZE).cast()) }
    }

    fn ensure(&mut self) -> Result<(), GuestFault> {
        if self.map.is_none() {
            self.open()
        } else {
            Ok(())
        }
    }
}
