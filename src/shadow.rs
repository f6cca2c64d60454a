//! The directories of sysfs that are ours, kept as a real tree of directories, links and files in the board's private
//! directory: opendir, scandir, chdir, glob and relative names work on it as on any directory.
//!
//! A tree belongs to one state of the device table and is never changed; a new table makes a new tree. The texts of
//! attributes are not read from it (see `text_files`).

use crate::descriptors::{Node, NodeKind};
use crate::paths::{self, Components, PATH_MAX, PathBuffer};
use crate::{sys, world};
use chardev::text;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use mtd_abi::errno::Errno;

/// Whether the current directory lies in the tree, or in /dev where rules name devices. A fork inherits it with the directory; a program that was started
/// in it has to find out.
static INSIDE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const OUTSIDE: u8 = 1;
const IN_TREE: u8 = 2;
const TREE: &[u8] = b"/.mtdshim/sysfs-";

/// An attribute of one device: `/sys/class/mtd/mtd0/size` and its other names.
pub struct Attribute {
    node: Node,
    name: [u8; 32],
    length: usize,
}

impl Attribute {
    fn new(node: Node, name: &[u8]) -> Option<Attribute> {
        let mut attribute = Attribute {
            node,
            name: [0; 32],
            length: name.len(),
        };
        attribute.name.get_mut(..name.len())?.copy_from_slice(name);
        Some(attribute)
    }

    pub fn name(&self) -> &[u8] {
        self.name.get(..self.length).unwrap_or(&[])
    }

    pub fn index(&self) -> u32 {
        self.node.index
    }

    pub fn kind(&self) -> text::Node {
        match self.node.kind {
            NodeKind::CharReadOnly => text::Node::ReadOnly,
            NodeKind::Block => text::Node::Block,
            NodeKind::Char | NodeKind::Threshold | NodeKind::Answered => text::Node::Char,
        }
    }

    pub fn is_writable(&self) -> bool {
        text::is_writable(self.kind(), self.name())
    }

    pub fn is_threshold(&self) -> bool {
        self.name() == b"bitflip_threshold"
    }

    pub fn permissions(&self) -> u32 {
        if self.is_writable() { 0o644 } else { 0o444 }
    }

    /// Its real name in sysfs.
    pub fn path(&self) -> Option<PathBuffer> {
        let mut path = device_path(self.node)?;
        path.push(b"/")?;
        path.push(self.name())?;
        Some(path)
    }
}

/// `/sys/devices/virtual/mtd/mtd0`, or the block device below it.
fn device_path(node: Node) -> Option<PathBuffer> {
    let mut path = PathBuffer::of(&[b"/sys/devices/virtual/mtd/"])?;
    let name = paths::node_name(node)?;
    if node.kind == NodeKind::Block {
        let parent = paths::node_name(Node {
            kind: NodeKind::Char,
            index: node.index,
        })?;
        path.push(parent.bytes())?;
        path.push(b"/")?;
    }
    path.push(name.bytes())?;
    Some(path)
}

/// Which device a name below /sys belongs to, and the rest behind it.
#[inline(never)]
fn split_device(path: &[u8]) -> Option<(Node, &[u8])> {
    for prefix in [
        b"/sys/class/mtd/".as_slice(),
        b"/sys/devices/virtual/mtd/",
        b"/sys/block/",
        b"/sys/class/block/",
    ] {
        if let Some(tail) = path.strip_prefix(prefix) {
            let (name, rest) = cut(tail);
            let node = paths::parse_node(name)?;
            // mtdN/mtdblockN is the block device.
            let (second, below) = cut(rest);
            return match paths::parse_node(second) {
                Some(block) if block.kind == NodeKind::Block && block.index == node.index => {
                    Some((block, below))
                }
                _ => Some((node, rest)),
            };
        }
    }
    if let Some(tail) = path.strip_prefix(b"/sys/dev/char/90:") {
        let (minor, rest) = cut(tail);
        let minor = paths::parse_decimal(minor)?;
        let kind = if minor % 2 == 1 {
            NodeKind::CharReadOnly
        } else {
            NodeKind::Char
        };
        return Some((
            Node {
                kind,
                index: minor / 2,
            },
            rest,
        ));
    }
    let (minor, rest) = cut(path.strip_prefix(b"/sys/dev/block/31:")?);
    Some((
        Node {
            kind: NodeKind::Block,
            index: paths::parse_decimal(minor)?,
        },
        rest,
    ))
}

fn cut(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().position(|&byte| byte == b'/') {
        Some(slash) => (
            path.get(..slash).unwrap_or(&[]),
            path.get(slash + 1..).unwrap_or(&[]),
        ),
        None => (path, &[]),
    }
}

/// The attribute that an absolute path names, if it names one.
pub fn attribute(path: &[u8]) -> Option<Attribute> {
    let (node, name) = split_device(path)?;
    let attribute = Attribute::new(node, name)?;
    (!name.is_empty() && world::has_attribute(&attribute)).then_some(attribute)
}

/// Where the tree has what the guest calls `path`.
pub fn real_path(path: &[u8]) -> Option<PathBuffer> {
    let mut real = tree()?;
    real.push(path.strip_prefix(b"/sys")?)?;
    Some(real)
}

/// The guest's name of something in a tree; any other path unchanged.
pub fn guest_name(real: &[u8]) -> PathBuffer {
    let position = real.windows(TREE.len()).position(|window| window == TREE);
    let mapped = position.and_then(|start| {
        let behind = real.get(start + TREE.len()..)?;
        let slash = behind
            .iter()
            .position(|&byte| byte == b'/')
            .unwrap_or(behind.len());
        PathBuffer::of(&[b"/sys", behind.get(slash..)?])
    });
    mapped
        .or_else(|| PathBuffer::of(&[real]))
        .unwrap_or_else(PathBuffer::new)
}

pub fn open(path: &[u8], flags: i32) -> Result<i32, Errno> {
    let real = real_path(path).ok_or(Errno::ENOENT)?;
    let fd = sys::openat(sys::AT_FDCWD, real.c_str(), flags & !libc::O_CREAT, 0).map_err(Errno)?;
    crate::descriptors::enter_foreign(fd);
    Ok(fd)
}

pub fn access(path: &[u8], mode: i32) -> Result<i32, Errno> {
    let real = real_path(path).ok_or(Errno::ENOENT)?;
    if let Some(attribute) = attribute(path) {
        let refused =
            mode & libc::X_OK != 0 || (mode & libc::W_OK != 0 && !attribute.is_writable());
        return if refused { Err(Errno::EACCES) } else { Ok(0) };
    }
    sys::access(real.c_str(), mode).map(|()| 0).map_err(Errno)
}

/// The real name of a directory of ours, for opendir and chdir.
pub fn directory(directory: i32, path: &[u8]) -> Option<PathBuffer> {
    let ours = crate::files::find(directory, path)?;
    (ours.what == paths::Virtual::Sys)
        .then(|| real_path(ours.path.bytes()))
        .flatten()
}

/// Notes whether the current directory is in the tree now; hands the result of the call on.
pub fn entered(result: i32) -> i32 {
    if result == 0 {
        find_out();
    }
    result
}

fn find_out() -> bool {
    let mut buffer = [0; PATH_MAX];
    let is_ours =
        |path: &[u8]| contains_tree(path) || path.starts_with(b"/dev") && crate::answers::any();
    let inside = sys::getcwd(&mut buffer).is_ok_and(is_ours);
    INSIDE.store(if inside { IN_TREE } else { OUTSIDE }, Relaxed);
    inside
}

fn is_current_inside() -> bool {
    match INSIDE.load(Relaxed) {
        UNKNOWN => find_out(),
        state => state == IN_TREE,
    }
}

fn contains_tree(path: &[u8]) -> bool {
    path.windows(TREE.len()).any(|window| window == TREE)
}

/// Whether names relative to `directory` may be ours although they do not look it.
pub fn is_inside(directory: i32) -> bool {
    directory == sys::AT_FDCWD && is_current_inside()
}

/// What getcwd must say, if the current directory is in the tree.
pub fn current_directory() -> Option<PathBuffer> {
    if !is_current_inside() {
        return None;
    }
    let mut buffer = [0; PATH_MAX];
    let path = sys::getcwd(&mut buffer).ok()?;
    contains_tree(path).then(|| guest_name(path))
}

/// The tree of the device table as it is now, made if it does not exist.
#[inline(never)]
fn tree() -> Option<PathBuffer> {
    let (mut path, stamp) = world::board_directory_and_stamp()?;
    let mut digits = [0; 10];
    path.push(TREE)?;
    path.push(paths::decimal(stamp, &mut digits))?;
    if sys::stat64(path.c_str(), true).is_err() {
        build(&path)?;
    }
    Some(path)
}

/// What every tree has, each below one that comes before it.
const DIRECTORIES: &str = "/class /class/mtd /class/block /block /dev /dev/char /dev/block /devices \
                           /devices/virtual /devices/virtual/mtd";

/// Makes the tree under a name of this process and renames it, so that nobody ever sees half a tree.
#[inline(never)]
fn build(target: &PathBuffer) -> Option<()> {
    let mut digits = [0; 10];
    let pid = paths::decimal(sys::getpid(), &mut digits);
    let root = PathBuffer::of(&[target.bytes(), b".new", pid])?;
    make_directory(&root, &[])?;
    for directory in DIRECTORIES.split_ascii_whitespace() {
        make_directory(&root, &[directory.as_bytes()])?;
    }
    world::for_each_device(|device| {
        // A tree that lacks a part because the disk is full is still better than none.
        let _ = build_device(&root, device);
    })
    .ok()?;
    let renamed = sys::checked(sys::call!(
        libc::SYS_renameat,
        sys::AT_FDCWD,
        root.c_str().as_ptr(),
        sys::AT_FDCWD,
        target.c_str().as_ptr()
    ));
    // Somebody else was faster: theirs is as good; what is left of ours is found by its name.
    let _ = renamed;
    Some(())
}

#[inline(never)]
fn build_device(root: &PathBuffer, device: &chardev::Device<'_>) -> Option<()> {
    for kind in [NodeKind::Char, NodeKind::CharReadOnly, NodeKind::Block] {
        let node = Node {
            kind,
            index: device.index,
        };
        let place = device_path(node)?;
        let place = place.bytes().strip_prefix(b"/sys")?;
        let name = paths::node_name(node)?;
        make_directory(root, &[place])?;
        make_directory(root, &[place, b"/power"])?;
        let up: &[u8] = if kind == NodeKind::Block {
            b"../../../../../"
        } else {
            b"../../../../"
        };
        let subsystem: &[u8] = if kind == NodeKind::Block {
            b"class/block"
        } else {
            b"class/mtd"
        };
        make_link(root, &[place, b"/subsystem"], &[up, subsystem])?;
        let below = place.strip_prefix(b"/")?;
        match kind {
            NodeKind::Block => {
                make_directory(root, &[place, b"/queue"])?;
                make_link(
                    root,
                    &[place, b"/device"],
                    &[b"../../", char_name(node)?.bytes()],
                )?;
                make_link(root, &[b"/block/", name.bytes()], &[b"../", below])?;
                make_link(root, &[b"/class/block/", name.bytes()], &[b"../../", below])?;
            }
            _ => make_link(root, &[b"/class/mtd/", name.bytes()], &[b"../../", below])?,
        }
        if kind == NodeKind::Char {
            // The nvmem child that every mtd device has.
            make_directory(root, &[place, b"/", name.bytes()])?;
        }
        make_link(root, &[number_name(node)?.bytes()], &[b"../../", below])?;
        for attribute in text::attributes(attribute_kind(kind)) {
            if text::has_attribute(device, attribute_kind(kind), attribute.as_bytes()) {
                make_file(root, &[place, b"/", attribute.as_bytes()])?;
            }
        }
    }
    Some(())
}

fn attribute_kind(kind: NodeKind) -> text::Node {
    match kind {
        NodeKind::CharReadOnly => text::Node::ReadOnly,
        NodeKind::Block => text::Node::Block,
        NodeKind::Char | NodeKind::Threshold | NodeKind::Answered => text::Node::Char,
    }
}

fn char_name(node: Node) -> Option<PathBuffer> {
    paths::node_name(Node {
        kind: NodeKind::Char,
        index: node.index,
    })
}

/// `/dev/char/90:0`, `/dev/block/31:0`.
fn number_name(node: Node) -> Option<PathBuffer> {
    let mut digits = [0; 10];
    match node.kind {
        NodeKind::Block => {
            PathBuffer::of(&[b"/dev/block/31:", paths::decimal(node.index, &mut digits)])
        }
        kind => {
            let minor = node.index * 2 + u32::from(kind == NodeKind::CharReadOnly);
            PathBuffer::of(&[b"/dev/char/90:", paths::decimal(minor, &mut digits)])
        }
    }
}

/// A name below `root`.
fn below_root(root: &PathBuffer, parts: &[&[u8]]) -> Option<PathBuffer> {
    let mut path = PathBuffer::of(&[root.bytes()])?;
    for part in parts {
        path.push(part)?;
    }
    Some(path)
}

fn make_directory(root: &PathBuffer, path: &[&[u8]]) -> Option<()> {
    let path = below_root(root, path)?;
    match sys::checked(sys::call!(
        libc::SYS_mkdirat,
        sys::AT_FDCWD,
        path.c_str().as_ptr(),
        0o755
    )) {
        Ok(_) | Err(libc::EEXIST) => Some(()),
        Err(_) => None,
    }
}

fn make_link(root: &PathBuffer, path: &[&[u8]], target: &[&[u8]]) -> Option<()> {
    let path = below_root(root, path)?;
    let target = PathBuffer::of(target)?;
    let made = sys::call!(
        libc::SYS_symlinkat,
        target.c_str().as_ptr(),
        sys::AT_FDCWD,
        path.c_str().as_ptr()
    );
    match sys::checked(made) {
        Ok(_) | Err(libc::EEXIST) => Some(()),
        Err(_) => None,
    }
}

fn make_file(root: &PathBuffer, path: &[&[u8]]) -> Option<()> {
    let path = below_root(root, path)?;
    let fd = sys::openat(
        sys::AT_FDCWD,
        path.c_str(),
        libc::O_CREAT | libc::O_RDWR | libc::O_CLOEXEC,
        0o644,
    )
    .ok()?;
    sys::close(fd);
    Some(())
}

impl Components for [u8] {
    fn iter_components(&self) -> impl Iterator<Item = &[u8]> {
        self.split(|&byte| byte == b'/')
    }
}
