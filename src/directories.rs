//! Directories that hold nothing of ours, known again by their device and inode: names below them need no second look.
//!
//! A directory that is replaced by a link to ours has another inode, so it is looked at anew.

use crate::paths::{self, PATH_MAX};
use crate::{root_names, shadow};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use image::os::{FileKind, FileStatus, Os};

const SLOTS: usize = 8;
static KNOWN: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];

fn slot(status: &FileStatus) -> (&'static AtomicU64, u64) {
    let [first, ..] = &KNOWN;
    let slot = KNOWN.get(status.ino as usize % SLOTS).unwrap_or(first);
    (slot, status.dev.rotate_right(24) ^ status.ino)
}

pub fn is_known(status: &FileStatus) -> bool {
    let (slot, key) = slot(status);
    slot.load(Relaxed) == key
}

/// Whether names relative to an open directory are never ours, unless they climb.
#[inline(never)]
pub fn is_plain(fd: i32) -> bool {
    let Ok(status) = crate::sys::Kernel.fstat(fd) else {
        return false;
    };
    is_known(&status)
        || status.kind == FileKind::Directory && {
            let mut buffer = [0; PATH_MAX];
            paths::descriptor_path(fd, &mut buffer).is_some_and(|name| {
                let plain = shadow::holds_nothing(root_names::guest_name(name));
                if plain {
                    let (slot, key) = slot(&status);
                    slot.store(key, Relaxed);
                }
                plain
            })
        }
}
