//! Bounded copies from and to guest addresses: a bad pointer is EFAULT, never a crash.
//!
//! The system itself judges the address: a small memory file is written from the guest's buffer, or read into it, by a
//! system call, and the other side of the copy goes through a mapping of that file.

use crate::sys::{self, Kernel};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use flash::GuestFault;
use image::os::Os;

const WINDOW_SIZE: usize = 16 * 1024;

/// The memory file: its descriptor, once it is mapped, and where that is. Made on first use, under the process lock.
pub struct Window {
    fd: i32,
    map: Option<memmap2::MmapMut>,
}

impl Window {
    pub const fn new() -> Window {
        Window { fd: 0, map: None }
    }

    fn open(&mut self) -> Result<(), GuestFault> {
        if self.map.is_some() && sys::fcntl(self.fd, libc::F_GETFD, 0).is_ok() {
            return Ok(());
        }
        self.map = None;
        let fd = sys::memfd(c"mtdshim").map_err(|_| GuestFault)?;
        let fd = Kernel.make_private(fd);
        Kernel
            .ftruncate(fd, WINDOW_SIZE as u64)
            .map_err(|_| GuestFault)?;
        self.map = Some(image::mapping::file(fd, WINDOW_SIZE).ok_or(GuestFault)?);
        self.fd = fd;
        Ok(())
    }

    pub fn copy_in(&mut self, address: u64, to: &mut [u8]) -> Result<(), GuestFault> {
        self.ensure()?;
        let mut address = usize::try_from(address).map_err(|_| GuestFault)?;
        for piece in to.chunks_mut(WINDOW_SIZE) {
            self.fetch(address, piece.len())?;
            let map = self.map.as_ref().ok_or(GuestFault)?;
            piece.copy_from_slice(map.get(..piece.len()).ok_or(GuestFault)?);
            address = address.checked_add(piece.len()).ok_or(GuestFault)?;
        }
        Ok(())
    }

    pub fn copy_out(&mut self, address: u64, from: &[u8]) -> Result<(), GuestFault> {
        self.ensure()?;
        let mut address = usize::try_from(address).map_err(|_| GuestFault)?;
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
    pub fn check_readable(&mut self, address: u64, length: u64) -> Result<(), GuestFault> {
        self.ensure()?;
        let mut address = usize::try_from(address).map_err(|_| GuestFault)?;
        let mut left = usize::try_from(length).map_err(|_| GuestFault)?;
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

    fn ensure(&mut self) -> Result<(), GuestFault> {
        if self.map.is_none() {
            self.open()
        } else {
            Ok(())
        }
    }
}

/// Scratch memory of the flash model: anonymous, made once, never moved.
pub fn scratch(size: usize) -> Option<&'static mut [u8]> {
    static ADDRESS: AtomicUsize = AtomicUsize::new(0);
    let mut address = ADDRESS.load(Relaxed);
    if address == 0 {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        address = sys::checked(sys::call!(
            libc::SYS_mmap2,
            0,
            size,
            protection,
            flags,
            -1isize,
            0
        ))
        .ok()?;
        ADDRESS.store(address, Relaxed);
    }
    // SAFETY: a private mapping of `size` bytes that nobody else knows; the process lock gives it to one call at a time.
    Some(unsafe { core::slice::from_raw_parts_mut(address as *mut u8, size) })
}
