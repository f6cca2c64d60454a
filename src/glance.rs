//! What is looked at before every open and stat of a name, side by side: one address leads to all of it, and it lies in a few lines of
//! the host's cache. Must not know: what any of it means; `readable`, `root_names`, `paths` and `shadow` say that.

use core::sync::atomic::{AtomicU8, AtomicU32};

/// Of pages, and of directories in the root.
pub const SLOTS: usize = 64;

#[repr(C)]
pub struct Glance {
    /// `readable`: pages that can be read.
    pub pages: [AtomicU32; SLOTS],
    /// `root_names`: how many directories there are in the root's top.
    pub directories: [AtomicU8; SLOTS],
    /// `paths`: what is known of all names.
    pub known: AtomicU8,
    /// `shadow`: where the current directory is.
    pub current: AtomicU8,
}

pub static GLANCE: Glance = Glance {
    pages: [const { AtomicU32::new(0) }; SLOTS],
    directories: [const { AtomicU8::new(0) }; SLOTS],
    known: AtomicU8::new(0),
    current: AtomicU8::new(0),
};
