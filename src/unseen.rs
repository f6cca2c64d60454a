//! Writes that no hook saw: libc's own streams write below us, and a shell's builtin, or a program started with flash
//! as its standard output, may use them.
//!
//! Such a write goes to the node file, and it goes to the descriptor's real offset, which holds the mark and the
//! position: so its bytes lie in the node file just where they belong, and are taken over from there. That happens
//! when a descriptor of the node is closed, before it is written to or moved by a call that a hook sees, when the node is opened,
//! and when the program ends.

use crate::descriptors::{Descriptor, MARK, Node, NodeKind};
use crate::paths::{self, PathBuffer, Room};
use crate::sys::{self, Kernel};
use crate::world::State;
use chardev::{FileMode, OpenFile};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use image::os::Os;

const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;
/// Byte of the node file that is locked while its bytes are taken over.
const TAKING_OVER: u64 = (1 << 41) + 1;
const PIECE: usize = 64 * 1024;

/// By number: where the last thing that a hook saw left the position, and where a stream goes on; one more than its lower
/// half. 0: not known.
static ENDS: [AtomicU32; 16] = [const { AtomicU32::new(0) }; 16];
/// Standard input, output and error: the only numbers of streams that libc has made itself.
const STREAMS: usize = 3;

fn end_at(offset: u64) -> u32 {
    (offset as u32).wrapping_add(1)
}

#[inline(always)]
fn end(fd: i32) -> Option<&'static AtomicU32> {
    ENDS.get(fd as usize)
}

/// From now on a stream that uses this number writes at `offset`.
#[inline(never)]
pub fn note_end(fd: i32, offset: u64) {
    if let Some(end) = end(fd) {
        end.store(end_at(offset), Relaxed);
    }
}

/// The same for a number that has just become a file of ours, or perhaps was one when the program began.
#[inline(never)]
pub fn note(fd: i32) {
    if let Ok(offset) = sys::lseek(fd, 0, libc::SEEK_CUR)
        && offset >= MARK
    {
        note_end(fd, offset);
    }
}

/// For a write from `offset` to `after`: whether nobody has moved the position since a hook saw it last.
#[inline(always)]
pub fn goes_on(fd: i32, offset: u64, after: u64) -> bool {
    let Some(end) = end(fd) else { return true };
    let goes_on = end.load(Relaxed) == end_at(offset);
    if goes_on {
        end.store(end_at(after), Relaxed);
    }
    goes_on
}

/// A child may write to the same files from now on.
pub fn forget_ends() {
    for end in &ENDS {
        end.store(0, Relaxed);
    }
}

/// Before a write that a hook sees: what a stream has written before it comes first, here or in another process. Else the
/// gap that this write leaves in the node file would later be taken for zeros of a stream. Only who finds the position moved
/// looks.
#[inline(never)]
pub fn before_write(fd: i32, descriptor: &Descriptor) {
    let after = descriptor.offset + descriptor.advanced;
    if !crate::descriptors::is_alone(fd) && !goes_on(fd, descriptor.offset, after) {
        take_over_behind(fd, descriptor);
        note_end(fd, after);
    }
}

/// What a stream has written to the file behind `fd` is taken over.
#[inline(never)]
pub fn take_over_behind(fd: i32, descriptor: &Descriptor) {
    let is_any = || sys::fstat64(fd).is_ok_and(|bytes| sys::stat_size(&bytes) > MARK);
    if may_leave(descriptor) && is_any() {
        crate::world::take_over_unseen(descriptor.node);
    }
}

/// Whether closing this descriptor may leave something to take over.
pub fn may_leave(descriptor: &Descriptor) -> bool {
    descriptor.writable && matches!(descriptor.node.kind, NodeKind::Char | NodeKind::Block)
}

/// Takes over what lies in the node file at `path`.
pub fn take_over(state: &mut State, node: Node, path: &PathBuffer) {
    if !sys::stat64(path.c_str(), true).is_ok_and(|bytes| sys::stat_size(&bytes) > MARK) {
        return;
    }
    let flags = libc::O_RDWR | libc::O_CLOEXEC;
    let Ok(file) = sys::openat(sys::AT_FDCWD, path.c_str(), flags, 0) else {
        return;
    };
    // Who comes second finds nothing to do.
    if sys::lock_description_byte(file, TAKING_OVER).is_ok() {
        let taken = take_pieces(state, node, file);
        let _ = Kernel.ftruncate(file, 0);
        tell(node, taken);
    }
    sys::close(file);
}

/// Bytes taken over; None if some could not be.
#[inline(never)]
fn take_pieces(state: &mut State, node: Node, file: i32) -> Option<u64> {
    let end = Kernel.fstat(file).ok()?.size;
    let mut at = MARK;
    let mut taken = 0;
    let mut buffer = image::mapping::buffer(PIECE)?;
    while at < end {
        let Ok(start) = sys::lseek(file, at as i64, SEEK_DATA) else {
            break;
        };
        let stop = sys::lseek(file, start as i64, SEEK_HOLE).ok()?.min(end);
        at = start;
        let mut leading = true;
        while at < stop {
            let length = usize::try_from(stop - at).unwrap_or(PIECE).min(PIECE);
            let piece = buffer.get_mut(..length)?;
            image::os::pread_exact(&Kernel, file, piece, at).ok()?;
            // The system stores whole pages, with zeros before a write that begins inside one.
            let skipped = if leading {
                piece.iter().take_while(|&&byte| byte == 0).count()
            } else {
                0
            };
            // Where a stream of this process went on is known; the last place, as two numbers may share a file.
            let mut known = None;
            for end in ENDS.iter().take(STREAMS).filter(|_| leading) {
                let distance = end.load(Relaxed).wrapping_sub(end_at(start)) as usize;
                if distance <= skipped {
                    known = known.max(Some(distance));
                }
            }
            let skipped = known.unwrap_or(if skipped == length { 0 } else { skipped });
            leading = false;
            if skipped > 0 && known.is_none() {
                // They may have been written: nobody can tell, so somebody is told.
                complain(node, b": zero bytes at the beginning of what a stream wrote, if any, are left erased");
            }
            let bytes = piece.get(skipped..)?;
            program(state, node, at + skipped as u64 - MARK, bytes)?;
            taken += bytes.len() as u64;
            at += length as u64;
        }
    }
    Some(taken)
}

#[inline(never)]
fn complain(node: Node, words: &[u8]) {
    let mut name = Room::new();
    let name = paths::device_name(node, &mut name);
    sys::report(&[name.map_or(b"", |name| name.bytes()), words]);
}

fn program(state: &mut State, node: Node, position: u64, bytes: &[u8]) -> Option<()> {
    let view = state.device(node.index).ok()?;
    let mut file = OpenFile {
        position,
        mode: FileMode::Normal,
        readable: false,
        writable: true,
    };
    let (address, length) = (bytes.as_ptr() as usize, bytes.len() as u64);
    let caller = crate::block_cache::caller(node);
    let mut written = Err(mtd_abi::errno::Errno::EIO);
    let _ = state.with_chip(&view, caller, &mut file, &mut |session| {
        written = match node.kind {
            NodeKind::Block => chardev::block::write(session, position, address, length, false),
            _ => chardev::write(session, position, address, length),
        };
    });
    (written == Ok(length) && !chardev::block::has_failed(&file)).then_some(())
}

fn tell(node: Node, taken: Option<u64>) {
    match taken {
        Some(taken) => crate::trace::taken_over(node.index, taken),
        None => complain(
            node,
            b": bytes that a program's stream wrote could not be programmed (alignment, a bad block, or the end); they are lost",
        ),
    }
}
