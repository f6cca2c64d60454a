//! The directories of sysfs that are ours, kept as a real tree of directories, links and files in the board's private
//! directory: opendir, scandir, chdir, glob and relative names work on it as on any directory.
//!
//! A tree belongs to one state of the device table and is never changed; a new table makes a new tree (`sysfs_tree`).
//! The texts of attributes are not read from it (see `text_files`).

use crate::descriptors::{Node, NodeKind};
use crate::glance::GLANCE;
use crate::paths::{self, PATH_MAX, PathBuffer, Room};
use crate::{attributes, sys};
use chardev::text;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use image::board::Hardware;
use mtd_abi::errno::Errno;

/// Whether the current directory lies in the tree, or in /dev where rules name devices. A fork inherits it with the directory; a program that was started
/// in it has to find out.
static INSIDE: &AtomicU8 = &GLANCE.current;
const UNKNOWN: u8 = 0;
const OUTSIDE: u8 = 1;
const IN_TREE: u8 = 2;
/// Not even above or below a directory where something of ours could be.
pub const AWAY: u8 = 3;
const TREE: &[u8] = b"/.mtdshim/sysfs-";

/// An attribute of one device: `/sys/class/mtd/mtd0/size` and its other names.
pub struct Attribute<'a> {
    node: Node,
    /// Its real name in sysfs.
    path: &'a PathBuffer,
}

impl Attribute<'_> {
    pub fn path(&self) -> &[u8] {
        self.path.bytes()
    }

    pub fn name(&self) -> &[u8] {
        paths::split(self.path()).map_or(&[], |(_, name)| name)
    }

    pub fn index(&self) -> u32 {
        self.node.index
    }

    pub fn kind(&self) -> text::Node {
        attribute_kind(self.node.kind)
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
}

pub fn attribute_kind(kind: NodeKind) -> text::Node {
    match kind {
        NodeKind::CharReadOnly => text::Node::ReadOnly,
        NodeKind::Block => text::Node::Block,
        NodeKind::Char | NodeKind::Threshold | NodeKind::Answered => text::Node::Char,
    }
}

const VIRTUAL: &[u8] = b"/sys/devices/virtual";

/// Some chip hangs below a parent, or has a node in the device tree.
static HARDWARE: AtomicBool = AtomicBool::new(false);

pub fn note_hardware(any: bool) {
    HARDWARE.store(any, Relaxed);
}

pub fn is_hardware_noted() -> bool {
    HARDWARE.load(Relaxed)
}

/// Asked for names below /sys alone.
#[inline(never)]
pub fn any_hardware() -> bool {
    // It looks at the board's front, which tells both.
    crate::answers::any();
    is_hardware_noted()
}

/// The directory that the class's directory of a device lies in.
pub fn parent_of(hardware: &Hardware) -> &[u8] {
    Some(hardware.parent.as_bytes())
        .filter(|parent| !parent.is_empty())
        .unwrap_or(VIRTUAL)
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.first() == Some(&b'/'))
}

/// Whether an absolute name is a parent's or below one, or something on the way there that the system itself lacks.
#[cold]
pub fn is_hardware(path: &[u8]) -> bool {
    if !path.starts_with(b"/sys/") || !any_hardware() {
        return false;
    }
    let mut below = false;
    let _ = attributes::for_each_device(&mut |_, hardware| {
        below |=
            !hardware.parent.as_bytes().is_empty() && is_below(path, hardware.parent.as_bytes());
    });
    let exists = |name: Option<&mut PathBuffer>| {
        name.is_some_and(|name| sys::stat64(name.c_str(), false).is_ok())
    };
    let mut room = Room::new();
    below || !exists(room.put(&[path])) && exists(real_path(path, &mut room))
}

/// The attribute that an absolute path names, if it names one.
pub fn attribute<'a>(path: &[u8], room: &'a mut Room) -> Option<Attribute<'a>> {
    // Through links, to the directory of the device. Where no tree can be made, most names are as good.
    let resolved = room.empty();
    match below_class(path) {
        Some(below) => resolved.set(&[b"/sys/devices/virtual/mtd/mtd", below])?,
        None => match set_tree(resolved) {
            Some(()) => resolve_in(resolved, path)?,
            None => resolved.set(&[path])?,
        },
    }
    let (device, _) = paths::split(resolved.bytes())?;
    let (_, device) = paths::split(device)?;
    let attribute = Attribute {
        node: paths::parse_node(device)?,
        path: resolved,
    };
    attributes::has_attribute(&attribute).then_some(attribute)
}

/// The rest of `/sys/class/mtd/mtd0/size` and its like, which is known to be no further link if no chip has a place; also
/// of `/sys/class/mtd/mtd0`, which is no attribute.
fn below_class(path: &[u8]) -> Option<&[u8]> {
    let below = path.strip_prefix(b"/sys/class/mtd/mtd")?;
    let slashes = below.iter().filter(|&&byte| byte == b'/').count();
    // The block device has another name there.
    (slashes <= 1 && below.first() != Some(&b'b') && !any_hardware()).then_some(below)
}

/// The guest's name of what a name of ours leads to.
pub fn resolve<'a>(path: &[u8], room: &'a mut Room) -> Option<&'a mut PathBuffer> {
    let name = room.empty();
    set_tree(name)?;
    resolve_in(name, path)?;
    Some(name)
}

/// A tree's name becomes that.
fn resolve_in(real: &mut PathBuffer, path: &[u8]) -> Option<()> {
    real.push(path.strip_prefix(b"/sys")?)?;
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    let fd = sys::openat(sys::AT_FDCWD, real.c_str(), flags, 0).ok()?;
    let mut buffer = [0; PATH_MAX];
    let resolved =
        paths::descriptor_path(fd, &mut buffer).and_then(|path| real.set(&guest_name(path)));
    sys::close(fd);
    resolved
}

/// Where the tree has what the guest calls `path`.
pub fn real_path<'a>(path: &[u8], room: &'a mut Room) -> Option<&'a mut PathBuffer> {
    let real = room.empty();
    set_tree(real)?;
    real.push(path.strip_prefix(b"/sys")?)?;
    Some(real)
}

/// The guest's name, in two parts, of something in a tree; any other path unchanged.
pub fn guest_name(real: &[u8]) -> [&[u8]; 2] {
    match in_tree(real) {
        Some(name) => [b"/sys", name],
        None => [&[], real],
    }
}

/// What a name in a tree says behind the tree's own.
#[inline(never)]
fn in_tree(real: &[u8]) -> Option<&[u8]> {
    let position = real.windows(TREE.len()).position(|window| window == TREE)?;
    let behind = real.get(position + TREE.len()..)?;
    let slash = behind.iter().position(|&byte| byte == b'/');
    behind.get(slash.unwrap_or(behind.len())..)
}

pub fn open(path: &[u8], flags: i32) -> Result<i32, Errno> {
    let mut real = Room::new();
    let real = real_path(path, &mut real).ok_or(Errno::ENOENT)?;
    let flags = flags & !(libc::O_CREAT | libc::O_TRUNC);
    let fd = sys::openat(sys::AT_FDCWD, real.c_str(), flags, 0).map_err(Errno)?;
    if flags & libc::O_ACCMODE != libc::O_RDONLY {
        // What is no attribute of ours is a text for all.
        sys::close(fd);
        return Err(Errno::EACCES);
    }
    crate::descriptors::enter_foreign(fd);
    Ok(fd)
}

pub fn access(path: &[u8], mode: i32) -> Result<i32, Errno> {
    let (mut real, mut resolved) = (Room::new(), Room::new());
    let real = real_path(path, &mut real).ok_or(Errno::ENOENT)?;
    if let Some(attribute) = attribute(path, &mut resolved) {
        let refused =
            mode & libc::X_OK != 0 || (mode & libc::W_OK != 0 && !attribute.is_writable());
        return if refused { Err(Errno::EACCES) } else { Ok(0) };
    }
    sys::access(real.c_str(), mode).map(|()| 0).map_err(Errno)
}

/// The real name of a directory of ours, for opendir and chdir.
pub fn directory<'a>(
    directory: i32,
    path: &[u8],
    room: &'a mut Room,
) -> Option<&'a mut PathBuffer> {
    let ours = crate::files::find(directory, path);
    let ours = ours.as_ref()?;
    (ours.what == paths::Virtual::Sys)
        .then(|| real_path(ours.path.bytes(), room))
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
        |path: &[u8]| in_tree(path).is_some() || path.starts_with(b"/dev") && crate::answers::any();
    let path = sys::getcwd(&mut buffer).unwrap_or(b"/");
    let inside = is_ours(path);
    let state = match path {
        _ if inside => IN_TREE,
        path if holds_nothing(path) => AWAY,
        _ => OUTSIDE,
    };
    INSIDE.store(state, Relaxed);
    inside
}

fn is_current_inside() -> bool {
    match INSIDE.load(Relaxed) {
        UNKNOWN => find_out(),
        state => state == IN_TREE,
    }
}

/// Whether it is known that names relative to the current directory are never ours, unless they climb.
#[inline(always)]
pub fn is_away() -> bool {
    INSIDE.load(Relaxed) == AWAY
}

/// Whether nothing below a directory is ours, by its real name.
#[inline(never)]
pub fn holds_nothing(path: &[u8]) -> bool {
    let is_top = |top: &&[u8]| path.starts_with(top);
    let tops: [&[u8]; 3] = [b"/dev", b"/proc", b"/sys"];
    path.starts_with(b"/") && path.len() > 1 && !tops.iter().any(is_top) && in_tree(path).is_none()
}

/// Whether names relative to `directory` may be ours although they do not look it.
pub fn is_inside(directory: i32) -> bool {
    directory == sys::AT_FDCWD && is_current_inside()
}

/// What getcwd must say, if the current directory is in the tree.
pub fn current_directory(room: &mut Room) -> Option<&mut PathBuffer> {
    if !is_current_inside() {
        return None;
    }
    let mut buffer = [0; PATH_MAX];
    let path = sys::getcwd(&mut buffer).ok()?;
    in_tree(path).and_then(|_| room.put(&guest_name(path)))
}

/// `path` becomes the tree of the device table as it is now, made if it does not exist.
#[inline(never)]
fn set_tree(path: &mut PathBuffer) -> Option<()> {
    let stamp = attributes::board_directory_and_stamp(path)?;
    let mut digits = [0; 10];
    path.push(TREE)?;
    path.push(paths::decimal(stamp, &mut digits))?;
    if sys::stat64(path.c_str(), true).is_err() {
        crate::sysfs_tree::build(path)?;
    }
    Some(())
}
