//! The texts of /proc/mtd, /proc/devices, /proc/partitions and of sysfs attributes, as memory files: whatever a libc
//! does to read them (stdio included), it reads the right bytes.

use crate::calls::Direction;
use crate::descriptors::{self, Descriptor, Node, NodeKind};
use crate::paths::{self, Room, Virtual};
use crate::shadow::Attribute;
use crate::{attributes, sys, world};
use chardev::text::{self, Text};
use core::fmt::Write;
use image::os::Os;
use mtd_abi::errno::Errno;

pub const PROC_MODE: u32 = 0o444;
pub const SYSFS_FILE_SIZE: u32 = 4096;
/// Name of a memory file: this, then the name the guest used.
const MEMORY_PREFIX: &[u8] = b"/memfd:mtdshim:";
/// Room for the text of all devices, or of the system's own list with ours.
const TEXT_MAX: usize = 16 * 1024;

/// What the guest calls a memory file, from the name the system shows.
pub fn guest_name(real: &[u8]) -> Option<&[u8]> {
    let name = real.strip_prefix(MEMORY_PREFIX)?;
    Some(name.strip_suffix(b" (deleted)").unwrap_or(name))
}

/// A memory file with this text, positioned at its start, with the access and flags that were asked for.
fn memory_file(name: &[u8], content: &[u8], flags: i32) -> Result<i32, Errno> {
    let mut long_name = Room::new();
    let long_name = long_name
        .put(&[b"mtdshim:", name])
        .ok_or(Errno::ENAMETOOLONG)?;
    let file = sys::memfd(long_name.c_str()).map_err(Errno)?;
    // Of a few bytes, or of pages of memory: all of them, or there is no room.
    let result = match sys::Kernel.pwrite(file, content, 0) {
        Ok(length) if length == content.len() => reopen(file, flags),
        _ => Err(Errno::ENOSPC),
    };
    sys::close(file);
    result
}

/// Another open file description of `file`, with the guest's flags.
pub fn reopen(file: i32, flags: i32) -> Result<i32, Errno> {
    let mut path = Room::new();
    let path = paths::proc_fd_name(file, &mut path).ok_or(Errno::EBADF)?;
    let kept = libc::O_ACCMODE | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_APPEND | libc::O_PATH;
    sys::openat(sys::AT_FDCWD, path.c_str(), flags & kept, 0).map_err(Errno)
}

/// What an open of something that is there, and no directory, refuses by its flags.
#[inline(never)]
pub fn check_flags(flags: i32) -> Result<(), Errno> {
    if flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0 {
        return Err(Errno::EEXIST);
    }
    if flags & libc::O_DIRECTORY != 0 {
        return Err(Errno::ENOTDIR);
    }
    Ok(())
}

/// A text that was opened for writing.
fn enter(fd: i32, access: chardev::Access, index: u32) {
    let kind = NodeKind::Threshold;
    descriptors::enter(
        fd,
        Descriptor {
            node: Node { kind, index },
            readable: access.reads(),
            writable: access.writes(),
            path_only: false,
            offset: 0,
            advanced: 0,
        },
    );
}

/// /proc files of ours.
#[inline(never)]
pub fn open_proc(which: Virtual, flags: i32) -> Result<i32, Errno> {
    check_flags(flags)?;
    let mut buffer = [0; TEXT_MAX];
    let mut content = Text::new(&mut buffer);
    let name: &[u8] = match which {
        Virtual::ProcMtd => {
            content.push(text::PROC_MTD_HEADER);
            attributes::for_each_device(&mut |device, _| {
                text::proc_mtd_line(&mut content, device)
            })?;
            b"/proc/mtd"
        }
        Virtual::ProcDevices => {
            proc_devices(&mut content);
            b"/proc/devices"
        }
        _ => {
            proc_partitions(&mut content)?;
            b"/proc/partitions"
        }
    };
    let fd = memory_file(name, content.bytes(), flags)?;
    if flags & libc::O_ACCMODE == libc::O_RDONLY {
        descriptors::enter_text(fd);
    } else {
        // root may open it for writing; writing then fails.
        enter(
            fd,
            chardev::Access::from_flags(flags as u32),
            READ_ONLY_TEXT,
        );
    }
    Ok(fd)
}

/// Index of a `Threshold` descriptor that refuses every write.
const READ_ONLY_TEXT: u32 = 0xffff;

/// The system's file, read in one go.
fn system_text<'a>(path: &core::ffi::CStr, buffer: &'a mut [u8]) -> &'a [u8] {
    let Ok(fd) = sys::openat(sys::AT_FDCWD, path, libc::O_RDONLY | libc::O_CLOEXEC, 0) else {
        return &[];
    };
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match sys::Kernel.pread(fd, rest, length as u64) {
            Ok(count) if count > 0 => length += count,
            _ => break,
        }
    }
    sys::close(fd);
    buffer.get(..length).unwrap_or(&[])
}

fn leading_number(line: &[u8]) -> Option<u32> {
    let digits = line.trim_ascii_start().split(|&byte| byte == b' ').next()?;
    crate::paths::parse_decimal(digits)
}

/// The system's list with ` 90 mtd` and ` 31 mtdblock` at their places.
fn proc_devices(content: &mut Text<'_>) {
    let mut buffer = [0; TEXT_MAX / 2];
    let own = system_text(c"/proc/devices", &mut buffer);
    let mut pending: Option<(u32, &[u8])> = None;
    for line in own.split_inclusive(|&byte| byte == b'\n') {
        match line {
            b"Character devices:\n" => pending = Some((mtd_abi::MTD_CHAR_MAJOR, b" 90 mtd\n")),
            b"Block devices:\n" => pending = Some((mtd_abi::MTD_BLOCK_MAJOR, b" 31 mtdblock\n")),
            _ => {
                if let Some((major, entry)) = pending
                    && leading_number(line).is_none_or(|number| number >= major)
                {
                    content.push(entry);
                    pending = None;
                    if leading_number(line) == Some(major) {
                        continue;
                    }
                }
            }
        }
        content.push(line);
    }
    if let Some((_, entry)) = pending {
        content.push(entry);
    }
}

fn proc_partitions(content: &mut Text<'_>) -> Result<(), Errno> {
    let mut buffer = [0; TEXT_MAX / 2];
    content.push(system_text(c"/proc/partitions", &mut buffer));
    if content.bytes().is_empty() {
        content.push(b"major minor  #blocks  name\n\n");
    }
    attributes::for_each_device(&mut |device, _| {
        let kib = chardev::block::capacity(device.size) / 1024;
        // Writing to a Text cannot fail.
        let _ = writeln!(
            content,
            "{:4}  {:7} {kib:>10} mtdblock{}",
            mtd_abi::MTD_BLOCK_MAJOR,
            device.index,
            device.index
        );
    })
}

#[inline(never)]
pub fn open_attribute(attribute: &Attribute<'_>, flags: i32) -> Result<i32, Errno> {
    check_flags(flags)?;
    let access = chardev::Access::from_flags(flags as u32);
    if access.writes() && !attribute.is_writable() {
        return Err(Errno::EACCES);
    }
    let mut buffer = [0; 512];
    let mut content = Text::new(&mut buffer);
    attributes::attribute_text(attribute, &mut content)?;
    let fd = memory_file(attribute.path(), content.bytes(), flags)?;
    if access.writes() {
        let index = if attribute.is_threshold() {
            attribute.index()
        } else {
            IGNORED_TEXT
        };
        enter(fd, access, index);
    } else {
        descriptors::enter_text(fd);
    }
    Ok(fd)
}

/// Index of a `Threshold` descriptor whose writes are taken and mean nothing (`uevent`).
const IGNORED_TEXT: u32 = 0xfffe;

/// read and write on a text that was opened for writing.
#[inline(never)]
pub fn transfer_threshold(
    fd: i32,
    descriptor: Descriptor,
    direction: Direction,
    address: usize,
    length: usize,
    at: Option<i64>,
) -> Result<u64, Errno> {
    if direction == Direction::Read {
        let answer = match at {
            None => sys::checked(sys::call!(libc::SYS_read, fd, address, length)),
            Some(at) => sys::pread(fd, address, length, at as u64),
        };
        return answer.map(|count| count as u64).map_err(Errno);
    }
    if !descriptor.writable {
        return Err(Errno::EBADF);
    }
    match descriptor.node.index {
        READ_ONLY_TEXT => return Err(Errno::EIO),
        IGNORED_TEXT => return Ok(length as u64),
        _ => {}
    }
    if length == 0 {
        return Ok(0);
    }
    let mut bytes = [0; 64];
    let taken = bytes.get_mut(..length.min(64)).unwrap_or(&mut []);
    world::copy_in(address, taken)?;
    let threshold = text::parse_threshold(taken)?;
    world::set_bitflip_threshold(descriptor.node.index, threshold)?;
    Ok(length as u64)
}
