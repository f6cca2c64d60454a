//! Statics that begin as zeros, so that they take no room in the file of the library.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// A value that comes later: an Option whose None is all zeros.
pub struct Late<T> {
    is_there: bool,
    value: MaybeUninit<T>,
}

impl<T> Late<T> {
    pub const fn none() -> Self {
        Late {
            is_there: false,
            value: MaybeUninit::zeroed(),
        }
    }

    pub fn as_ref(&self) -> Option<&T> {
        // SAFETY: the flag is set after the value was written.
        self.is_there
            .then(|| unsafe { self.value.assume_init_ref() })
    }

    pub fn as_mut(&mut self) -> Option<&mut T> {
        // SAFETY: the flag is set after the value was written.
        self.is_there
            .then(|| unsafe { self.value.assume_init_mut() })
    }

    /// Both or none, by one test.
    #[inline(always)]
    pub fn with<'a, U>(&'a self, other: &'a Late<U>) -> Option<(&'a T, &'a U)> {
        let are_there = u32::from(self.is_there) & u32::from(other.is_there) != 0;
        // SAFETY: the flags are set after the values were written.
        are_there.then(|| unsafe { (self.value.assume_init_ref(), other.value.assume_init_ref()) })
    }

    pub fn is_some(&self) -> bool {
        self.is_there
    }

    pub fn take(&mut self) -> Option<T> {
        // SAFETY: the flag was set after the value was written, and nobody reads it again.
        core::mem::take(&mut self.is_there).then(|| unsafe { self.value.assume_init_read() })
    }

    /// Once: what was there before is not dropped.
    #[inline(always)]
    pub fn set(&mut self, value: T) {
        self.value.write(value);
        self.is_there = true;
    }
}

/// A descriptor; none, which is -1 outside, is kept as 0.
pub struct AtomicFd(AtomicI32);

impl AtomicFd {
    pub const NONE: i32 = -1;

    pub const fn none() -> Self {
        AtomicFd(AtomicI32::new(0))
    }

    pub fn get(&self) -> i32 {
        !self.0.load(Relaxed)
    }

    pub fn set(&self, fd: i32) {
        self.0.store(!fd, Relaxed);
    }

    pub fn replace(&self, fd: i32) -> i32 {
        !self.0.swap(!fd, Relaxed)
    }

    /// Whether it was `old` and is `new` now.
    pub fn change(&self, old: i32, new: i32) -> bool {
        self.0
            .compare_exchange(!old, !new, Relaxed, Relaxed)
            .is_ok()
    }
}
