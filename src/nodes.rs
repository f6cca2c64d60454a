//! Opening device nodes: the checks of the kernel, then a descriptor on the node file behind the device.
//!
//! Must not know: what happens on the descriptor afterwards.

use crate::backing::block_settings;
use crate::block_cache::NO_BLOCK_DEVICE;
use crate::descriptors::{self, Node, NodeKind};
use crate::paths::{self, PathBuffer, Room};
use crate::sys::{self, Kernel};
use crate::world::{State, any_file, device_of, with_state};
use chardev::block::BLOCK_SIZE_SET;
use chardev::{Access, OpenFile, OpenRequest};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use image::{DeviceView, Os};
use mtd_abi::errno::Errno;

pub fn node_path<'a>(
    state: &mut State,
    node: Node,
    room: &'a mut Room,
) -> Option<&'a mut PathBuffer> {
    paths::node_path(state.board(true)?.directory(), node, b"", room)
}

/// The node file, made if it is missing; the configuration stands in where nothing can be made.
pub fn stand_in_file(node: Node, room: &mut Room) -> Option<&mut PathBuffer> {
    if node.kind == NodeKind::Answered {
        let path = room.empty();
        any_file(path)?;
        return Some(path);
    }
    let path = with_state(|state| node_path(state, node, room))?;
    if sys::stat64(path.c_str(), true).is_err() {
        match open_node_file(path, libc::O_RDONLY | libc::O_CLOEXEC) {
            Ok(fd) => sys::close(fd),
            Err(_) => any_file(path)?,
        }
    }
    Some(path)
}

/// Flags of open that mean something on the node file as well.
const KEPT_FLAGS: i32 = libc::O_ACCMODE
    | libc::O_APPEND
    | libc::O_NONBLOCK
    | libc::O_SYNC
    | libc::O_DSYNC
    | libc::O_CLOEXEC
    | libc::O_NOFOLLOW
    | libc::O_PATH;

fn open_node_file(path: &PathBuffer, flags: i32) -> Result<i32, i32> {
    let kept = flags & KEPT_FLAGS;
    let create = if kept & libc::O_PATH != 0 {
        0
    } else {
        libc::O_CREAT
    };
    let direct = flags & libc::O_DIRECT;
    let attempt = || {
        let open = |flags| sys::openat(sys::AT_FDCWD, path.c_str(), flags | create, 0o666);
        match open(kept | direct) {
            // Only remembered there; not every file system would hold it.
            Err(libc::EINVAL) if direct != 0 => open(kept),
            // Just now somebody asks whether anybody has it open (`node_files`): a moment.
            Err(libc::EAGAIN) => open(kept & !libc::O_NONBLOCK),
            other => other,
        }
    };
    match attempt() {
        Err(libc::ENOENT) if create != 0 => {
            let slash = path
                .bytes()
                .iter()
                .rposition(|&byte| byte == b'/')
                .unwrap_or(0);
            if let Some(directory) = Room::new().put(&[path.bytes().get(..slash).unwrap_or(&[])]) {
                let _ = Kernel.mkdir(directory.c_str());
            }
            attempt()
        }
        other => other,
    }
}

/// Where the board's directory cannot be written, the node is a memory file.
fn open_memory_node(name: &[u8], flags: i32) -> Result<i32, Errno> {
    let mut room = Room::new();
    let name = room
        .put(&[paths::NODE_MEMORY, name])
        .ok_or(Errno::ENAMETOOLONG)?;
    let file = sys::memfd(name.c_str()).map_err(Errno)?;
    let result = crate::text_files::reopen(file, flags);
    sys::close(file);
    result
}

/// Opens /dev/mtdN and its kin: the checks of the kernel, then a descriptor on the node file.
#[inline(never)]
pub fn open_node(node: Node, flags: i32) -> Result<i32, Errno> {
    let (mut name, mut path) = (Room::new(), Room::new());
    let name = paths::node_name(node, &mut name).ok_or(Errno::ENAMETOOLONG)?;
    // The first transfer finds this known, and the device.
    crate::trace::find_out();
    let path = with_state(|state| {
        let view = *state.view(node.index).map_err(|_| Errno::ENOENT)?;
        if flags & libc::O_PATH == 0 {
            state.check_open(node, &view, flags)?;
            state.count_bad_blocks(&view)?;
        }
        let path = node_path(state, node, &mut path).ok_or(Errno::ENAMETOOLONG)?;
        crate::unseen::take_over(state, node, path);
        if node.kind == NodeKind::Block {
            // What the last opener has left is flushed before there is another.
            state.with_chip(
                &view,
                NO_BLOCK_DEVICE,
                &mut OpenFile::default(),
                &mut |_| (),
            )?;
        }
        Ok(&*path)
    })?;
    if flags & libc::O_PATH != 0 {
        stand_in_file(node, &mut Room::new());
    }
    let fd = open_file_or_memory(path, name.bytes(), flags)?;
    if flags & libc::O_PATH != 0 || (descriptors::set_mark(fd) && hold_exclusively(fd, node, flags))
    {
        return Ok(fd);
    }
    sys::close(fd);
    if node.kind == NodeKind::Block && flags & libc::O_EXCL != 0 {
        return Err(Errno::EBUSY);
    }
    marked_memory_node(name.bytes(), flags)
}

fn open_file_or_memory(path: &PathBuffer, name: &[u8], flags: i32) -> Result<i32, Errno> {
    match open_node_file(path, flags) {
        Ok(fd) => Ok(fd),
        Err(
            libc::EROFS | libc::EACCES | libc::EPERM | libc::ENOENT | libc::ENOSPC | libc::EDQUOT,
        ) => open_memory_node(name, flags),
        Err(errno) => Err(Errno(errno)),
    }
}

fn marked_memory_node(name: &[u8], flags: i32) -> Result<i32, Errno> {
    let fd = open_memory_node(name, flags)?;
    if descriptors::set_mark(fd) {
        Ok(fd)
    } else {
        Err(Errno::EIO)
    }
}

/// The node file of a device that is not flash.
#[inline(never)]
pub fn open_named(name: &[u8], flags: i32) -> Result<i32, Errno> {
    let mut path = Room::new();
    let path = with_state(|state| {
        let directory = state.board(false)?.directory();
        path.put(&[directory.as_bytes(), paths::NODE_DIRECTORY, name])
    });
    let fd = open_file_or_memory(path.ok_or(Errno::ENAMETOOLONG)?, name, flags)?;
    if flags & libc::O_PATH != 0 || descriptors::set_mark(fd) {
        return Ok(fd);
    }
    sys::close(fd);
    marked_memory_node(name, flags)
}

/// Byte of a block node's file that an O_EXCL holder has locked.
const EXCLUSIVE_BYTE: u64 = 1 << 41;

/// O_EXCL on a block device means "nobody else with O_EXCL".
fn hold_exclusively(fd: i32, node: Node, flags: i32) -> bool {
    if node.kind != NodeKind::Block
        || flags & libc::O_EXCL == 0
        || !Access::from_flags(flags as u32).writes()
    {
        return true;
    }
    sys::lock_description_byte(fd, EXCLUSIVE_BYTE).is_ok()
}

impl State {
    /// What BLKBSZSET chose lasts while somebody has the device open.
    fn forget_block_size(&mut self, index: u32) {
        if let Some(board) = self.board(true)
            && block_settings(board, index, 0, 0) & BLOCK_SIZE_SET != 0
            && !crate::node_files::is_open(board.directory(), index)
        {
            block_settings(board, index, BLOCK_SIZE_SET, 0);
        }
    }

    /// Why a device refuses to be written, once.
    #[cold]
    fn tell_read_only(&self) {
        static TOLD: AtomicBool = AtomicBool::new(false);
        if let Some(board) = self.board.as_ref()
            && !TOLD.swap(true, Relaxed)
        {
            sys::report(&[
                board.directory().as_bytes(),
                b": the files of the board cannot be written, so its flash is read-only; make them writable, or copy the board",
            ]);
        }
    }

    fn check_open(&mut self, node: Node, view: &DeviceView, flags: i32) -> Result<(), Errno> {
        self.open_chip(view.chip)?;
        let files = self
            .chips
            .get(view.chip)
            .and_then(crate::late::Late::as_ref)
            .ok_or(Errno::ENODEV)?;
        if files.read_only && flags & libc::O_ACCMODE != libc::O_RDONLY {
            self.tell_read_only();
        }
        if node.kind == NodeKind::Block {
            self.forget_block_size(node.index);
            return Ok(());
        }
        let mut device = device_of(view, &files.geometry);
        if files.read_only {
            device.flags &= !mtd_abi::flag::WRITEABLE;
        }
        let request = OpenRequest {
            access: Access::from_flags(flags as u32),
            read_only_node: node.kind == NodeKind::CharReadOnly,
        };
        chardev::check_open(request, Some(&device))?;
        if flags & libc::O_DIRECT != 0 {
            Err(Errno::EINVAL)
        } else {
            Ok(())
        }
    }
}
