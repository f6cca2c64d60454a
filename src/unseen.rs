//! Writes that no hook saw: libc's own streams write below us, and a shell's builtin, or a program started with flash
//! as its standard output, may use them.
//!
//! Such a write goes to the node file, and it goes to the descriptor's real offset, which holds the mark and the
//! position: so its bytes lie in the node file just where they belong, and are taken over from there. That happens
//! when a descriptor of the node is closed, when the node is opened, and when the program ends.

use crate::descriptors::{Descriptor, MARK, Node, NodeKind};
use crate::paths::{self, PathBuffer};
use crate::sys::{self, Kernel};
use crate::world::{State, device_of};
use chardev::{FileMode, OpenFile, Session};
use image::os::Os;
use mtd_abi::layout::Field;

const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;
/// Byte of the node file that is locked while its bytes are taken over.
const TAKING_OVER: u64 = (1 << 41) + 1;
const PIECE: usize = 64 * 1024;

fn size_of_file(bytes: &sys::Stat64) -> u64 {
    u64::get(bytes, 48)
}

/// Whether something was written to the file behind `fd`.
pub fn is_any(fd: i32) -> bool {
    sys::fstat64(fd).is_ok_and(|bytes| size_of_file(&bytes) > MARK)
}

/// Takes over what lies in the node file at `path`.
pub fn take_over(state: &mut State, node: Node, path: &PathBuffer) {
    if !sys::stat64(path.c_str(), true).is_ok_and(|bytes| size_of_file(&bytes) > MARK) {
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
            let skipped = if skipped == length || start == MARK {
                0
            } else {
                skipped
            };
            leading = false;
            if skipped > 0 {
                tell_of_zeros(node);
            }
            let bytes = piece.get(skipped..)?;
            program(state, node, at + skipped as u64 - MARK, bytes)?;
            taken += bytes.len() as u64;
            at += length as u64;
        }
    }
    Some(taken)
}

/// The zeros may have been written: nobody can tell, so somebody is told.
fn tell_of_zeros(node: Node) {
    let name = paths::node_name(node).unwrap_or_else(PathBuffer::new);
    sys::report(&[
        b"/dev/",
        name.bytes(),
        b": a program's stream wrote from the middle of a page on; zero bytes at its beginning, if any, are left erased",
    ]);
}

fn program(state: &mut State, node: Node, position: u64, bytes: &[u8]) -> Option<()> {
    let view = state.device(node.index).ok()?;
    let mut file = OpenFile {
        position,
        mode: FileMode::Normal,
        readable: false,
        writable: true,
    };
    let (address, length) = (bytes.as_ptr() as u64, bytes.len() as u64);
    let written = state.with_chip_and(&view, &mut file, |chip, registry, view, file| {
        let device = device_of(view, chip.geometry);
        let session = &mut Session {
            device,
            chip,
            registry,
            file,
        };
        match node.kind {
            NodeKind::Block => chardev::block::write(session, position, address, length),
            _ => chardev::write(session, position, address, length),
        }
    });
    (written == Ok(Ok(length)) && !chardev::block::has_failed(&file)).then_some(())
}

fn tell(node: Node, taken: Option<u64>) {
    let name = paths::node_name(node).unwrap_or_else(PathBuffer::new);
    match taken {
        Some(_) => crate::trace::taken_over(node.index, taken.unwrap_or(0)),
        None => sys::report(&[
            b"/dev/",
            name.bytes(),
            b": bytes that a program's stream wrote could not be programmed (alignment, a bad block, or the end); they are lost",
        ]),
    }
}

/// Whether closing this descriptor may leave something to take over.
pub fn may_leave(descriptor: &Descriptor) -> bool {
    descriptor.writable && matches!(descriptor.node.kind, NodeKind::Char | NodeKind::Block)
}
