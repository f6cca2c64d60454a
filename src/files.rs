//! Names: what an open, a stat or a readlink of a path means when the path is, or leads to, something of ours.

use crate::calls::Answer;
use crate::descriptors::{self, Descriptor, Node, NodeKind};
use crate::paths::{self, PATH_MAX, PathBuffer, Room, Virtual, split};
use crate::{directories, readable, shadow, sys, text_files, world};
use core::ffi::{CStr, c_char};
use image::os::Os;
use mtd_abi::errno::Errno;

/// Links followed by hand at most, as the kernel does.
const LINKS_MAX: usize = 40;

/// A path of the guest that turned out to be ours.
pub struct Ours {
    pub what: Virtual,
    /// Absolute and clean.
    pub path: PathBuffer,
    /// It was written with a slash at its end, so it must be a directory.
    pub as_directory: bool,
}

impl Ours {
    /// The error of `Virtual::Absent`.
    pub fn is_missing(&self, call: &str) -> Errno {
        crate::trace::missing(sys::AT_FDCWD, self.path.bytes(), call, libc::ENOENT);
        Errno::ENOENT
    }
}

/// The bytes of a guest's path. None for wild pointers, and for names too long to be ours.
///
/// # Safety
/// The guest does not change what it passed to libc as a C string.
pub unsafe fn path_bytes<'a>(path: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: promised by the caller.
    unsafe { readable::string(path, PATH_MAX) }.filter(|bytes| !bytes.is_empty())
}

/// Whether there is a name, and it is empty.
pub fn is_empty(path: *const c_char) -> bool {
    // SAFETY: one byte, of which only whether it is zero counts.
    unsafe { readable::string(path, 1) }.is_some()
}

/// The quick test, then the text work. Symbolic links on the way are not followed here.
pub fn find(directory: i32, path: &[u8]) -> Option<Ours> {
    let relative = path.first() != Some(&b'/');
    let inside = relative && (shadow::is_inside(directory) || directory != sys::AT_FDCWD);
    if !inside && !paths::may_be_ours(path) {
        return None;
    }
    if is_surely_flash(path) {
        // It will be needed, and the sooner the less code the emulator translates twice (see `map_compiled`).
        world::has_board();
    }
    let as_directory = path.last() == Some(&b'/');
    let mut absolute = PathBuffer::new();
    absolute.make_absolute(directory, path)?;
    let what = classify(absolute.bytes())?;
    Some(Ours {
        what,
        path: absolute,
        as_directory,
    })
}

/// A name that cannot mean anything else, if there is any flash.
#[inline(never)]
fn is_surely_flash(path: &[u8]) -> bool {
    path.starts_with(b"/dev/mtd") || path.starts_with(b"/sys/class/mtd")
}

fn classify(path: &[u8]) -> Option<Virtual> {
    let flash = paths::classify(path);
    let ours = flash.filter(exists);
    ours.or_else(|| crate::answers::named(path).map(Virtual::Node))
        .or_else(|| shadow::is_hardware(path).then_some(Virtual::Sys))
        .or(flash
            .filter(|what| matches!(what, Virtual::Node(_)))
            .map(|_| Virtual::Absent))
}

/// A node without a device is not a file, and without any flash /proc/mtd is the system's.
fn exists(what: &Virtual) -> bool {
    match what {
        Virtual::Node(node) => world::node_exists(*node),
        Virtual::Absent => false,
        Virtual::ProcMtd | Virtual::Sys => world::has_board_or_make_one(),
        // Everybody's files: they only show flash where there is some.
        Virtual::ProcDevices | Virtual::ProcPartitions => world::has_board(),
    }
}

/// For calls that do not open: by its spelling, or where the host would answer for a link to its own flash, by that.
pub fn find_linked(directory: i32, path: &[u8], follow: bool) -> Option<Ours> {
    find(directory, path).or_else(|| {
        paths::host_has_flash()
            .then(|| find_through_links(directory, path, follow))
            .flatten()
    })
}

/// Asked after the real call has said ENOENT: does the name lead to ours through symbolic links? `follow`: also through one
/// that is itself the name.
pub fn find_through_links(directory: i32, path: &[u8], follow: bool) -> Option<Ours> {
    if is_just_missing(directory, path).is_some() {
        return None;
    }
    let (mut current, mut next) = (PathBuffer::new(), PathBuffer::new());
    current.make_absolute(directory, path)?;
    for _ in 0..LINKS_MAX {
        // Its own spelling first: the quick test does not hear of every change of the current directory.
        if let Some(what) = classify(current.bytes()) {
            return Some(Ours {
                what,
                path: current,
                as_directory: false,
            });
        }
        let mut buffer = [0; PATH_MAX];
        let (parent, name) = split(current.bytes())?;
        let linked = sys::readlink(current.c_str(), &mut buffer);
        let (base, target) = match linked {
            Ok(target) if follow => (parent, target),
            // A directory on the way may be a link itself.
            _ => {
                next.set(&[parent, b"/"])?;
                (resolve_directory(next.c_str(), &mut buffer)?, name)
            }
        };
        next.join([&[], base], target)?;
        if next.bytes() == current.bytes() {
            return None;
        }
        core::mem::swap(&mut current, &mut next);
    }
    None
}

/// What nearly all names are that are not found: no link, in a directory that holds nothing of ours. None: that is not sure.
#[inline(never)]
fn is_just_missing(directory: i32, path: &[u8]) -> Option<()> {
    let is_whole = path.first() == Some(&b'/') || directory == sys::AT_FDCWD;
    if !is_whole || !paths::are_certain() || matches!(path.last(), None | Some(b'/' | b'.')) {
        return None;
    }
    let mut buffer = PathBuffer::new();
    buffer.set(&[path])?;
    sys::readlink(buffer.c_str(), &mut [0]).err()?;
    let parent = split(path).map_or(b".".as_slice(), |(parent, _)| parent);
    buffer.set(&[parent])?;
    let status = sys::Kernel.stat(buffer.c_str()).ok()?;
    directories::is_known(&status).then_some(())
}

fn resolve_directory<'a>(path: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let fd = sys::openat(sys::AT_FDCWD, path, flags, 0).ok()?;
    directories::is_plain(fd);
    let resolved = paths::descriptor_path(fd, buffer);
    sys::close(fd);
    resolved
}

/// `/proc/self/fd/N`, `/dev/fd/N` and the names of the standard streams: another open of the same file. (What other names
/// below /proc lead to is looked up, see below.)
pub fn named_descriptor(path: &[u8]) -> Option<i32> {
    match path.strip_prefix(b"/dev/std".as_slice()) {
        Some(b"in") => return Some(0),
        Some(b"out") => return Some(1),
        Some(b"err") => return Some(2),
        _ => {}
    }
    let digits = path
        .strip_prefix(b"/proc/self/fd/".as_slice())
        .or_else(|| path.strip_prefix(b"/dev/fd/".as_slice()))?;
    paths::parse_decimal(digits).map(|fd| fd as i32)
}

/// `/proc/PID/fd/N` of this process or another: the flash that is open there.
#[inline(never)]
pub fn node_behind_link(path: &[u8]) -> Option<Node> {
    // Few names there end in a digit.
    if !path.starts_with(b"/proc/") || !path.last()?.is_ascii_digit() {
        return None;
    }
    let mut buffer = [0; PATH_MAX];
    let target = sys::readlink(Room::new().put(&[path])?.c_str(), &mut buffer).ok()?;
    paths::node_of_file(target).filter(|node| node.kind != NodeKind::Answered)
}

/// open and its kin. None: not ours, make the real call.
pub fn open(directory: i32, path: &[u8], flags: i32) -> Answer<i32> {
    if is_surely_flash(path) {
        return open_ours(find(directory, path).as_ref()?, flags);
    }
    if let Some(result) = crate::ways_out::open(path, flags) {
        return Some(result);
    }
    if let Some(fd) = named_descriptor(path) {
        let descriptor = descriptors::lookup(fd)?;
        if descriptor.node.kind == NodeKind::Answered {
            let mut name = Room::new();
            let name = crate::answers::name_behind(fd, &mut name)?;
            return Some(crate::answers::open(name.bytes(), descriptor.node, flags));
        }
        return Some(open_node(descriptor.node, flags));
    }
    if let Some(node) = node_behind_link(path) {
        return Some(open_node(node, flags));
    }
    open_ours(find(directory, path).as_ref()?, flags)
}

/// Second chance, after the real open failed with ENOENT.
pub fn open_through_links(directory: i32, path: &[u8], flags: i32) -> Answer<i32> {
    if flags & libc::O_NOFOLLOW != 0 {
        return None;
    }
    open_ours(find_through_links(directory, path, true).as_ref()?, flags)
}

/// Asked before the real open when it may create: through a link to a node of ours it would make a file on the host. Also
/// before every one where the host has such a node, which a link would lead to.
pub fn create_through_link(directory: i32, path: &[u8], flags: i32) -> Answer<i32> {
    if paths::host_has_flash() {
        return open_through_links(directory, path, flags);
    }
    if flags & libc::O_CREAT == 0 || flags & libc::O_EXCL != 0 {
        return None;
    }
    let mut absolute = PathBuffer::new();
    absolute.make_absolute(directory, path)?;
    if let Err(errno) = sys::readlink(absolute.c_str(), &mut [0]) {
        // A shell that redirects to a device makes a file where there is none.
        crate::trace::missing(directory, path, "open", errno);
        return None;
    }
    open_through_links(directory, path, flags)
}

fn open_ours(ours: &Ours, flags: i32) -> Answer<i32> {
    match ours.what {
        Virtual::Sys | Virtual::Absent => {}
        _ if ours.as_directory => return Some(Err(Errno::ENOTDIR)),
        _ => {}
    }
    match ours.what {
        Virtual::Node(node) if node.kind == NodeKind::Answered => {
            Some(crate::answers::open(ours.path.bytes(), node, flags))
        }
        Virtual::Node(node) => Some(open_node(node, flags)),
        Virtual::Absent => Some(Err(ours.is_missing("open"))),
        Virtual::ProcMtd | Virtual::ProcDevices | Virtual::ProcPartitions => {
            Some(text_files::open_proc(ours.what, flags))
        }
        Virtual::Sys => match shadow::attribute(ours.path.bytes(), &mut Room::new()) {
            Some(_) if ours.as_directory => Some(Err(Errno::ENOTDIR)),
            Some(attribute) => Some(text_files::open_attribute(&attribute, flags)),
            None => Some(shadow::open(ours.path.bytes(), flags)),
        },
    }
}

fn open_node(node: Node, flags: i32) -> Result<i32, Errno> {
    text_files::check_flags(flags)?;
    let fd = crate::nodes::open_node(node, flags)?;
    crate::unseen::note_end(fd, descriptors::MARK);
    let access = chardev::Access::from_flags(flags as u32);
    let path_only = flags & libc::O_PATH != 0;
    descriptors::enter_opened(
        fd,
        Descriptor {
            node,
            readable: access.reads() && !path_only,
            writable: access.writes() && !path_only,
            path_only,
            offset: 0,
            advanced: 0,
        },
    );
    Ok(fd)
}

/// access and faccessat.
pub fn access(directory: i32, path: &[u8], mode: i32) -> Answer<i32> {
    if crate::ways_out::watchdog::is_own(path) {
        return Some(access_file(mode));
    }
    access_ours(find_linked(directory, path, true).as_ref()?, mode)
}

/// Of what may be read and written, and not executed.
fn access_file(mode: i32) -> Result<i32, Errno> {
    if mode & libc::X_OK != 0 {
        Err(Errno::EACCES)
    } else {
        Ok(0)
    }
}

/// The same after the real call failed with ENOENT.
pub fn access_through_links(directory: i32, path: &[u8], mode: i32) -> Answer<i32> {
    access_ours(find_through_links(directory, path, true).as_ref()?, mode)
}

#[inline(never)]
fn access_ours(ours: &Ours, mode: i32) -> Answer<i32> {
    if ours.as_directory && matches!(ours.what, Virtual::Node(_)) {
        return Some(Err(Errno::ENOTDIR));
    }
    match ours.what {
        Virtual::Node(_) | Virtual::ProcMtd | Virtual::ProcDevices | Virtual::ProcPartitions => {
            Some(access_file(mode))
        }
        Virtual::Absent => Some(Err(ours.is_missing("access"))),
        Virtual::Sys => Some(shadow::access(ours.path.bytes(), mode)),
    }
}

/// The name behind /proc/self/fd/N as the guest must see it, or a link in our part of /sys.
#[inline(never)]
pub fn readlink(directory: i32, path: &[u8], to: &mut [u8]) -> Answer<usize> {
    let (mut buffer, mut room) = ([0; PATH_MAX], Room::new());
    let name = match named_descriptor(path) {
        Some(fd) => Some(descriptor_name(fd, &mut buffer, &mut room)?),
        None => node_behind_link(path).and_then(|node| paths::device_name(node, &mut room)),
    };
    if let Some(name) = name {
        let length = name.bytes().len().min(to.len());
        to.get_mut(..length)?
            .copy_from_slice(name.bytes().get(..length)?);
        return Some(Ok(length));
    }
    let ours = find_linked(directory, path, false);
    let ours = ours.as_ref()?;
    match ours.what {
        Virtual::Sys => {
            let real = shadow::real_path(ours.path.bytes(), &mut room)?;
            Some(match sys::readlink(real.c_str(), &mut buffer) {
                Ok(target) => {
                    let length = target.len().min(to.len());
                    to.get_mut(..length)?.copy_from_slice(target.get(..length)?);
                    Ok(length)
                }
                Err(errno) => Err(Errno(errno)),
            })
        }
        Virtual::Absent => Some(Err(Errno::ENOENT)),
        _ => Some(Err(Errno::EINVAL)),
    }
}

/// The guest's name for a descriptor whose real name is the shim's.
fn descriptor_name<'a>(
    fd: i32,
    buffer: &mut [u8],
    room: &'a mut Room,
) -> Option<&'a mut PathBuffer> {
    if let Some(descriptor) = descriptors::lookup(fd)
        && descriptor.node.kind != NodeKind::Threshold
    {
        return match descriptor.node.kind {
            NodeKind::Answered => crate::answers::name_behind(fd, room),
            _ => paths::device_name(descriptor.node, room),
        };
    }
    let real = paths::descriptor_path(fd, buffer)?;
    if let Some(name) = text_files::guest_name(real) {
        return room.put(&[name]);
    }
    let [tree, name] = shadow::guest_name(real);
    if tree.is_empty() {
        return None;
    }
    room.put(&[tree, name])
}

/// realpath: None if the real one must be asked.
pub fn realpath<'a>(path: &[u8], room: &'a mut Room) -> Answer<&'a mut PathBuffer> {
    realpath_ours(find_linked(sys::AT_FDCWD, path, true).as_ref()?, room)
}

/// The same after the real one failed with ENOENT.
pub fn realpath_through_links<'a>(path: &[u8], room: &'a mut Room) -> Answer<&'a mut PathBuffer> {
    realpath_ours(
        find_through_links(sys::AT_FDCWD, path, true).as_ref()?,
        room,
    )
}

#[inline(never)]
fn realpath_ours<'a>(ours: &Ours, room: &'a mut Room) -> Answer<&'a mut PathBuffer> {
    match ours.what {
        Virtual::Sys => Some(shadow::resolve(ours.path.bytes(), room).ok_or(Errno::ENOENT)),
        Virtual::Absent => Some(Err(Errno::ENOENT)),
        _ if ours.as_directory => Some(Err(Errno::ENOTDIR)),
        _ => room.put(&[ours.path.bytes()]).map(Ok),
    }
}

pub fn node(directory: i32, path: &[u8]) -> Option<Node> {
    match find_linked(directory, path, true).as_ref()?.what {
        Virtual::Node(node) => Some(node),
        _ => None,
    }
}

/// chmod, chown, utime: harmless on a device node, and the node is not a file of the guest's.
pub fn is_node(directory: i32, path: &[u8]) -> bool {
    node(directory, path).is_some()
}
