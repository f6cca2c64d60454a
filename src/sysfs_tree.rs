//! Makes a tree of sysfs: real directories, links and files. What the names in it mean is `shadow`'s business.

use crate::descriptors::{Node, NodeKind};
use crate::paths::{self, PathBuffer, Room};
use crate::shadow::{attribute_kind, parent_of};
use crate::{attributes, sys};
use chardev::text::{self, Text};
use image::board::Hardware;

/// What every tree has, each below one that comes before it.
const DIRECTORIES: &str =
    "/class /class/mtd /class/block /block /dev /dev/char /dev/block /devices";

/// Makes the tree under a name of this process and renames it, so that nobody ever sees half a tree.
#[inline(never)]
pub fn build(target: &PathBuffer) -> Option<()> {
    let (mut root, mut digits) = (Room::new(), [0; 10]);
    let pid = paths::decimal(sys::getpid(), &mut digits);
    let root = &*root.put(&[target.bytes(), b".new", pid])?;
    make_directory(root, b"")?;
    for directory in DIRECTORIES.split_ascii_whitespace() {
        make_directory(root, directory.as_bytes())?;
    }
    let _ = attributes::for_each_device(&mut |device, hardware| {
        // A tree that lacks a part because the disk is full is still better than none.
        let _ = build_parent(root, hardware);
        for kind in [NodeKind::Char, NodeKind::CharReadOnly, NodeKind::Block] {
            let _ = build_device(root, device, hardware, kind);
        }
    });
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

/// The device that a chip hangs on, as far as somebody who walks up from the chip looks at it.
fn build_parent(root: &PathBuffer, hardware: &Hardware) -> Option<()> {
    let place = parent_of(hardware).strip_prefix(b"/sys")?;
    make_directories(root, &[place, b"/mtd"])?;
    if hardware.parent.is_empty() {
        return Some(());
    }
    make_directories(root, &[place, b"/power"])?;
    let kept = hardware.parent_uevent.as_bytes();
    let mut buffer = [0; 512];
    let mut uevent = Text::new(&mut buffer);
    text::push_uevent(&mut uevent, kept, b"");
    make_file(root, &[place, b"/uevent"], uevent.bytes())?;
    build_node(root, place, kept)?;
    let (bus, driver) = (text::bus(kept), text::uevent_value(kept, b"DRIVER="));
    if !bus.is_empty() {
        make_directories(root, &[b"/bus/", bus, b"/drivers/", driver])?;
        make_link(root, &[place, b"/subsystem"], &[b"/bus/", bus])?;
        if !driver.is_empty() {
            let target = [b"/bus/", bus, b"/drivers/", driver];
            make_link(root, &[place, b"/driver"], &target)?;
        }
    }
    Some(())
}

/// The node of a device in the device tree, and its link there.
fn build_node(root: &PathBuffer, place: &[u8], kept: &[u8]) -> Option<()> {
    let name = text::uevent_value(kept, b"OF_FULLNAME=");
    if name.is_empty() {
        return Some(());
    }
    let node: [&[u8]; 2] = [b"/firmware/devicetree/base", name];
    make_directories(root, &node)?;
    make_link(root, &[place, b"/of_node"], &node)
}

#[inline(never)]
fn build_device(
    root: &PathBuffer,
    device: &chardev::Device<'_>,
    hardware: &Hardware,
    kind: NodeKind,
) -> Option<()> {
    let (mut place, mut name) = (Room::new(), Room::new());
    let index = device.index;
    let kinds = [NodeKind::Char, kind];
    // A block device lies in the directory of its character device.
    let names = if kind == NodeKind::Block {
        &kinds[..]
    } else {
        &kinds[1..]
    };
    let place = place.put(&[parent_of(hardware).strip_prefix(b"/sys")?, b"/mtd"])?;
    for &kind in names {
        place.push(b"/")?;
        place.push(paths::node_name(Node { kind, index }, &mut name)?.bytes())?;
    }
    build_at(root, place.bytes(), device, hardware, kind)
}

/// A device in its directory.
#[inline(never)]
fn build_at(
    root: &PathBuffer,
    place: &[u8],
    device: &chardev::Device<'_>,
    hardware: &Hardware,
    kind: NodeKind,
) -> Option<()> {
    let index = device.index;
    let (above, name) = paths::split(place)?;
    make_directories(root, &[place, b"/power"])?;
    let mut class: &[u8] = b"/class/mtd";
    if kind == NodeKind::Block {
        class = b"/class/block";
        make_directories(root, &[place, b"/queue"])?;
        let (_, parent) = paths::split(above)?;
        make_link(root, &[place, b"/device"], &[b"../../", parent])?;
        make_link(root, &[b"/block/", name], &[place])?;
    } else if !hardware.parent.is_empty() {
        let (_, parent) = paths::split(hardware.parent.as_bytes())?;
        make_link(root, &[place, b"/device"], &[b"../../../", parent])?;
    }
    if kind == NodeKind::Char {
        // The nvmem child that every mtd device has.
        make_directories(root, &[place, b"/", name])?;
        build_node(root, place, hardware.uevent.as_bytes())?;
    }
    make_link(root, &[place, b"/subsystem"], &[class])?;
    make_link(root, &[class, b"/", name], &[place])?;
    let mut digits = [0; 10];
    let (numbers, minor): (&[u8], u32) = match kind {
        NodeKind::Block => (b"/dev/block/31:", index),
        _ => (
            b"/dev/char/90:",
            index * 2 + u32::from(kind == NodeKind::CharReadOnly),
        ),
    };
    let minor = paths::decimal(minor, &mut digits);
    make_link(root, &[numbers, minor], &[place])?;
    for attribute in text::attributes(device, attribute_kind(kind)) {
        make_file(root, &[place, b"/", attribute], &[])?;
    }
    Some(())
}

/// A name below `root`.
fn below<'a>(root: &PathBuffer, parts: &[&[u8]], room: &'a mut Room) -> Option<&'a PathBuffer> {
    let path = room.put(&[root.bytes()])?;
    for part in parts {
        path.push(part)?;
    }
    Some(path)
}

/// What is there already is as good.
fn made(answer: isize) -> Option<()> {
    match sys::checked(answer) {
        Ok(_) | Err(libc::EEXIST) => Some(()),
        Err(_) => None,
    }
}

fn make_directory(root: &PathBuffer, path: &[u8]) -> Option<()> {
    let mut room = Room::new();
    let path = below(root, &[path], &mut room)?;
    made(sys::call!(
        libc::SYS_mkdirat,
        sys::AT_FDCWD,
        path.c_str().as_ptr(),
        0o755
    ))
}

/// All directories of a name.
#[inline(never)]
fn make_directories(root: &PathBuffer, path: &[&[u8]]) -> Option<()> {
    let mut room = Room::new();
    let path = room.put(path)?.bytes();
    for end in 1..=path.len() {
        if matches!(path.get(end), None | Some(b'/')) {
            make_directory(root, path.get(..end)?)?;
        }
    }
    Some(())
}

/// A link; one to an absolute name of the tree goes up to its root and down again.
#[inline(never)]
fn make_link(root: &PathBuffer, path: &[&[u8]], target: &[&[u8]]) -> Option<()> {
    let mut rooms = [const { Room::new() }; 4];
    let [place, room, link, name] = &mut rooms;
    let (place, target, link) = (place.put(path)?, room.put(target)?, link.empty());
    let mut down = target.bytes();
    if let Some(rest) = down.strip_prefix(b"/") {
        down = rest;
        for _ in place.bytes().iter().skip(1).filter(|&&byte| byte == b'/') {
            link.push(b"../")?;
        }
    }
    link.push(down)?;
    let path = below(root, &[place.bytes()], name)?;
    made(sys::call!(
        libc::SYS_symlinkat,
        link.c_str().as_ptr(),
        sys::AT_FDCWD,
        path.c_str().as_ptr()
    ))
}

#[inline(never)]
fn make_file(root: &PathBuffer, path: &[&[u8]], content: &[u8]) -> Option<()> {
    let mut room = Room::new();
    let path = below(root, path, &mut room)?;
    let fd = sys::openat(
        sys::AT_FDCWD,
        path.c_str(),
        libc::O_CREAT | libc::O_RDWR | libc::O_CLOEXEC,
        0o644,
    )
    .ok()?;
    // A text that is cut because the disk is full is better than no tree.
    let _ = image::os::pwrite_all(&sys::Kernel, fd, content, 0);
    sys::close(fd);
    Some(())
}
