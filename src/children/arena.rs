//! Memory for one exec: straight from the system, because a forked child of a program with threads must not allocate.
//!
//! Must not know: what is kept in it.

use crate::sys;
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use mtd_abi::errno::Errno;

const PAGE_SIZE: usize = 4096;

/// As large as nearly all are.
const SPARE_SIZE: usize = 320 << 10;
/// One that is used again, all zeros, or none: a forked child finds what the rehearsal mapped. To map anew, the emulator would wake up a
/// thread of its own.
static SPARE: AtomicUsize = AtomicUsize::new(0);

/// One mapping, given out from its front; put aside or gone when the launch failed and the value is dropped.
pub struct Arena {
    base: usize,
    size: usize,
    used: usize,
}

impl Arena {
    pub fn new(size: usize) -> Result<Arena, Errno> {
        let size = size.next_multiple_of(PAGE_SIZE).max(SPARE_SIZE);
        let spare = if size == SPARE_SIZE {
            SPARE.swap(0, Relaxed)
        } else {
            0
        };
        if spare != 0 {
            return Ok(Arena {
                base: spare,
                size,
                used: 0,
            });
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let base = sys::checked(sys::call!(
            libc::SYS_mmap2,
            0,
            size,
            protection,
            flags,
            -1i32,
            0
        ))
        .map_err(Errno)?;
        Ok(Arena {
            base,
            size,
            used: 0,
        })
    }

    fn take(&mut self, length: usize) -> Result<usize, Errno> {
        let start = self.used.next_multiple_of(size_of::<usize>());
        let end = start
            .checked_add(length)
            .filter(|&end| end <= self.size)
            .ok_or(Errno::E2BIG)?;
        self.used = end;
        Ok(self.base + start)
    }

    /// A NUL-terminated copy of the parts in a row; it lives as long as the arena.
    pub fn string(&mut self, parts: &[&[u8]]) -> Result<*const c_char, Errno> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let start = self.take(length + 1)?;
        let mut at = start as *mut u8;
        for part in parts {
            // SAFETY: `take` gave `length + 1` bytes of a private mapping, which is zero behind the text.
            unsafe {
                core::ptr::copy_nonoverlapping(part.as_ptr(), at, part.len());
                at = at.add(part.len());
            }
        }
        Ok(start as *const c_char)
    }

    /// The arena is never given back, and the value lies in it.
    pub fn keep<T>(mut self, value: T) -> Result<*mut T, Errno> {
        let place = self.take(size_of::<T>())? as *mut T;
        // SAFETY: `take` gave so many bytes, at a multiple of a word.
        unsafe { place.write(value) };
        core::mem::forget(self);
        Ok(place)
    }

    /// Room for `count` words, all zero.
    pub fn words(&mut self, count: usize) -> Result<List, Errno> {
        let length = count.checked_mul(size_of::<usize>()).ok_or(Errno::E2BIG)?;
        Ok(List {
            base: self.take(length)? as *mut *const c_char,
            capacity: count,
            length: 0,
        })
    }

    /// A whole file, or as much of it as fits in what is left; at most `length_max` bytes. A zero is behind it.
    pub fn file(&mut self, path: &CStr, length_max: usize) -> Result<&'static [u8], Errno> {
        let fd =
            sys::openat(sys::AT_FDCWD, path, libc::O_RDONLY | libc::O_CLOEXEC, 0).map_err(Errno)?;
        let start = self.base + self.used;
        let room = length_max.min((self.size - self.used).saturating_sub(1));
        let mut length = 0;
        while length < room {
            match sys::checked(sys::call!(
                libc::SYS_read,
                fd,
                start + length,
                room - length
            )) {
                Ok(0) | Err(_) => break,
                Ok(count) => length += count,
            }
        }
        sys::close(fd);
        self.used += length + usize::from(room > 0);
        // SAFETY: inside the mapping, and never given out again. The callers keep it no longer than the arena.
        Ok(unsafe { core::slice::from_raw_parts(start as *const u8, length) })
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let mut base = self.base;
        if self.size == SPARE_SIZE {
            // SAFETY: so much of the mapping was given out, and nobody has it any more.
            unsafe { core::ptr::write_bytes(base as *mut u8, 0, self.used) };
            base = SPARE.swap(base, Relaxed);
        }
        if base != 0 {
            let _ = sys::call!(libc::SYS_munmap, base, self.size);
        }
    }
}

/// A list of strings as execve takes it: always ended by a null.
pub struct List {
    base: *mut *const c_char,
    capacity: usize,
    length: usize,
}

impl List {
    pub fn push(&mut self, string: *const c_char) -> Result<(), Errno> {
        if self.length + 1 >= self.capacity {
            return Err(Errno::E2BIG);
        }
        // SAFETY: inside the words that the arena gave, the last of which stays null.
        unsafe { *self.base.add(self.length) = string };
        self.length += 1;
        Ok(())
    }

    pub fn pointer(&self) -> Strings {
        self.base.cast_const()
    }
}

/// An argument or environment array of C: null, or ended by a null.
pub type Strings = *const *const c_char;

/// The strings of such an array, without a look at them.
///
/// # Safety
/// `list` is null or an array of C strings ended by a null, unchanged while the result is used.
pub unsafe fn pointers(list: Strings) -> impl Iterator<Item = *const c_char> {
    let mut at = list;
    core::iter::from_fn(move || {
        // SAFETY: promised by the caller; the walk ends at the null.
        unsafe {
            if at.is_null() || (*at).is_null() {
                return None;
            }
            let string = *at;
            at = at.add(1);
            Some(string)
        }
    })
}

/// The strings of such an array.
///
/// # Safety
/// As for `pointers`.
pub unsafe fn strings<'a>(list: Strings) -> impl Iterator<Item = &'a CStr> {
    // SAFETY: promised by the caller.
    unsafe { pointers(list).map(|string| CStr::from_ptr(string)) }
}
