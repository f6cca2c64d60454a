//! Whether anybody has a device open: all its openers hold its node file.

use crate::descriptors::{Node, NodeKind};
use crate::paths::{self, PathBuffer, Room};
use crate::sys;
use image::PathText;

const F_SETSIG: i32 = 10;
const F_SETLEASE: i32 = 1024;

/// A write lease is only granted on a file that nobody else has open, which is just the question.
pub fn is_open(directory: &PathText, index: u32) -> bool {
    [NodeKind::Char, NodeKind::CharReadOnly, NodeKind::Block]
        .into_iter()
        .any(|kind| is_node_open(directory, Node { kind, index }))
}

/// The same of one node.
#[inline(never)]
pub fn is_node_open(directory: &PathText, node: Node) -> bool {
    let mut room = Room::new();
    paths::node_path(directory, node, b"", &mut room).is_some_and(|path| is_file_open(path))
}

fn is_file_open(path: &PathBuffer) -> bool {
    let Ok(fd) = sys::openat(
        sys::AT_FDCWD,
        path.c_str(),
        libc::O_RDWR | libc::O_CLOEXEC,
        0,
    ) else {
        return false;
    };
    // Who opens the file just now has the holder of the lease told, by SIGIO if nothing else is said, which would end the guest.
    let _ = sys::fcntl(fd, F_SETSIG, libc::SIGURG as usize);
    let answer = sys::fcntl(fd, F_SETLEASE, libc::F_WRLCK as usize);
    if answer.is_ok() {
        let _ = sys::fcntl(fd, F_SETLEASE, libc::F_UNLCK as usize);
    }
    sys::close(fd);
    answer == Err(libc::EAGAIN)
}
