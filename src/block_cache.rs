//! What waits in the write-back cache of a block device: the image already holds it, so that it cannot be lost, and a file beside
//! the device's node holds what everybody else sees of that eraseblock until the cache is flushed. The device table says which.
//!
//! The file is whole before the table names it, and the image is changed after that. When nobody has the block device open any
//! more, its last close has flushed the cache, however it came to be closed: who looks next does that.
//! Must not know: what a flush does to a chip.

use crate::backing::Files;
use crate::descriptors::{Node, NodeKind};
use crate::node_files;
use crate::paths::{Room, node_path};
use crate::sys::{self, Kernel};
use core::ops::Range;
use flash::{Area, Chip, Ledger, MediumError, Scratch};

pub const NO_BLOCK_DEVICE: u32 = u32::MAX;

fn block_node(index: u32) -> Node {
    Node {
        kind: NodeKind::Block,
        index,
    }
}

/// The device that a session is for, as `Files` names it.
pub fn caller(node: Node) -> u32 {
    match node.kind {
        NodeKind::Block => node.index,
        _ => NO_BLOCK_DEVICE,
    }
}

impl Files<'_> {
    pub fn kept_of(&self, index: u32) -> Range<u64> {
        self.board.kept(index, self.chip)
    }

    /// What the spare area of a range of pages is.
    fn spare(&self, main: &Range<u64>) -> Range<u64> {
        let geometry = &self.files.geometry;
        let spare = |at| geometry.page_at(at) * u64::from(geometry.oobsize);
        spare(main.start)..spare(main.end)
    }

    /// The file of a block device's old bytes: main area, then spare area.
    fn copy_of(&self, index: u32, create: i32) -> Option<i32> {
        let mut room = Room::new();
        let path = node_path(
            self.board.directory(),
            block_node(index),
            b".old",
            &mut room,
        )?;
        let flags = libc::O_RDWR | libc::O_CLOEXEC | create;
        sys::openat(sys::AT_FDCWD, path.c_str(), flags, 0o666).ok()
    }

    /// Where a byte of the chip is that is another block device's own, if it is: an open descriptor, to be closed, and the offset.
    /// And how many of `length` bytes are in the same place.
    #[cold]
    #[inline(never)]
    pub fn others_copy(
        &self,
        area: Area,
        offset: u64,
        length: usize,
    ) -> (Option<(i32, u64)>, usize) {
        let mut end = offset + length as u64;
        for index in (0..self.cached).filter(|&index| index != self.caller) {
            let main = self.kept_of(index);
            let (kept, base) = match area {
                Area::Main => (main, 0),
                Area::Oob => (self.spare(&main), main.end - main.start),
                _ => break,
            };
            if kept.contains(&offset) {
                let count = (kept.end.min(end) - offset) as usize;
                let place = |fd| (fd, base + offset - kept.start);
                let copy = self.copy_of(index, 0).map(place);
                if copy.is_none() {
                    // Nobody can go on with what was there: it counts as flushed.
                    self.board.set_kept(index, &(0..0));
                }
                return (copy, count);
            }
            if kept.start > offset {
                end = end.min(kept.start);
            }
        }
        (None, (end - offset) as usize)
    }

    /// Copies a range and its spare area from the chip to the caller's file, or back.
    #[inline(never)]
    fn save(&self, main: &Range<u64>, back: bool) -> Result<(), i32> {
        let create = if back { 0 } else { libc::O_CREAT };
        let copy = self.copy_of(self.caller, create).ok_or(libc::ENOENT)?;
        let spare = self.spare(main);
        let split = main.end - main.start;
        let result = move_bytes(self.files.image_fd, main, copy, 0, back)
            .and_then(|()| move_bytes(self.files.oob_fd, &spare, copy, split, back));
        sys::close(copy);
        result
    }

    /// After a call: who changed one of the two copies of a block has learnt something that is not true of the other. And
    /// whether anything waits still is told to everybody. And how the image looks now, so that `end_orphans` knows a change of ours.
    #[cold]
    #[inline(never)]
    pub fn void_kept(&self, ledger: &Ledger<'_>) {
        self.files.record_stamp(&Kernel);
        let mut cached = 0;
        for index in 0..self.cached {
            let kept = self.kept_of(index);
            if !kept.is_empty() {
                cached = index + 1;
                ledger.void(&self.files.geometry, &kept);
            }
        }
        ledger.set_cached(cached);
    }

    /// Before a call on a chip where something waits: the last close of a device flushes it. Where a person has changed the image
    /// since, nothing is put back.
    #[cold]
    #[inline(never)]
    pub fn end_orphans(&mut self, ledger: &Ledger<'_>, scratch: &mut Scratch) {
        let caller = self.caller;
        let directory = self.board.directory();
        for index in (0..self.cached).filter(|&index| index != caller) {
            if !self.kept_of(index).is_empty()
                && !node_files::is_node_open(&directory, block_node(index))
            {
                if !self.files.is_as_recorded(&Kernel) {
                    self.board.set_kept(index, &(0..0));
                    continue;
                }
                self.caller = index;
                let _ = Chip {
                    geometry: &self.files.geometry,
                    ledger,
                    code: self.files.code.as_ref(),
                    medium: self,
                    scratch,
                }
                .flush(true);
            }
        }
        self.caller = caller;
    }
}

/// Copies a range of one file to a place of another, or back.
#[inline(never)]
fn move_bytes(chip: i32, range: &Range<u64>, copy: i32, at: u64, back: bool) -> Result<(), i32> {
    let mut left = (range.end - range.start) as usize;
    let (mut from, mut to, mut start, mut target) = (chip, copy, range.start, at);
    if back {
        (from, to, start, target) = (copy, chip, at, range.start);
    }
    while left > 0 {
        sys::lseek(to, target as i64, libc::SEEK_SET)?;
        let moved = sys::call!(libc::SYS_sendfile64, to, from, &raw mut start, left);
        match sys::checked(moved)? {
            0 => return Err(libc::ENODATA),
            moved => {
                left -= moved;
                target += moved as u64;
            }
        }
    }
    Ok(())
}

pub fn keep(files: &mut Files<'_>, range: Range<u64>) {
    // Where nothing can be saved, nothing waits.
    if files.save(&range, false).is_err() {
        return;
    }
    // Who keeps a block that another device waits with, through a partition and the whole chip, has flushed it.
    for index in 0..files.cached {
        let kept = files.kept_of(index);
        if kept.start < range.end && range.start < kept.end {
            files.board.set_kept(index, &(0..0));
        }
    }
    files.cached = files.cached.max(files.caller + 1);
    files.files.ledger().set_cached(files.cached);
    files.board.set_kept(files.caller, &range);
}

pub fn end(files: &mut Files<'_>, undo: bool) -> Result<(), MediumError> {
    let kept = files.kept_of(files.caller);
    let done = if undo {
        files.save(&kept, true)
    } else {
        Ok(())
    };
    files.board.set_kept(files.caller, &(0..0));
    done.map_err(|errno| files.failed(Area::Main, "write", errno, false))
}
