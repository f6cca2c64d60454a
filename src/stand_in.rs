//! How things of ours look to stat: device nodes, and the files of /proc and /sys.

use crate::descriptors::{Node, NodeKind};
use crate::paths::{self, PathBuffer, Room, Virtual};
use crate::{files, shadow, text_files, world};
use mtd_abi::errno::Errno;
use mtd_abi::{MTD_BLOCK_MAJOR, MTD_CHAR_MAJOR};

pub const BLOCK_SIZE: u32 = 4096;
/// Of devices that rules answer for: the first major for local use.
const ANSWERED_MAJOR: u32 = 240;
/// A file of /proc or /sys that rules answer for.
const RULED_FILE_MODE: u32 = 0o644;
/// What the files of /proc and /sys say that they lie on: a file system without a device.
pub const FILE_SYSTEM: u32 = 22;
/// devtmpfs makes nodes with this mode.
const NODE_MODE: u32 = 0o600;

/// The fields that a stand-in file has wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StandIn {
    pub mode: u32,
    pub major: u32,
    pub minor: u32,
    pub size: u32,
    /// 0 for that of the stand-in file.
    pub inode: u32,
}

impl StandIn {
    pub fn of_node(node: Node) -> StandIn {
        // A node of flash has a file of its own, which tells; one that rules answer for has it only once it is open.
        let inode = if node.kind == NodeKind::Answered {
            node.index + 1
        } else {
            0
        };
        if node.kind == NodeKind::Answered && crate::answers::looks_like_file(node.index) {
            return StandIn {
                inode,
                ..StandIn::of_file(b"", RULED_FILE_MODE, 0)
            };
        }
        let (kind, major, minor) = match node.kind {
            NodeKind::Char => (libc::S_IFCHR, MTD_CHAR_MAJOR, node.index * 2),
            NodeKind::CharReadOnly => (libc::S_IFCHR, MTD_CHAR_MAJOR, node.index * 2 + 1),
            NodeKind::Answered => (libc::S_IFCHR, ANSWERED_MAJOR, node.index),
            NodeKind::Block | NodeKind::Threshold => (libc::S_IFBLK, MTD_BLOCK_MAJOR, node.index),
        };
        StandIn {
            mode: kind | NODE_MODE,
            major,
            minor,
            size: 0,
            inode,
        }
    }

    /// The inode is told by the name, and so the same for the name and for the memory file that is opened by it: cp looks.
    #[inline(never)]
    pub fn of_file(name: &[u8], permissions: u32, size: u32) -> StandIn {
        let add = |sum: u32, &byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte));
        StandIn {
            mode: libc::S_IFREG | permissions,
            major: 0,
            minor: 0,
            size,
            inode: name.iter().fold(0, add),
        }
    }

    /// Of 512 bytes. In a file that has none, cp looks for holes and finds one behind the text, which sysfs does not show.
    pub fn blocks(&self) -> u32 {
        self.size / 512
    }

    /// As `makedev` puts it together.
    pub fn device_number(&self) -> u32 {
        self.major << 8 | self.minor & 0xff | (self.minor & !0xff) << 12
    }
}

/// A file that the real stat can be asked about, and what to change afterwards.
pub struct Found<'a> {
    pub file: &'a PathBuffer,
    pub appearance: Option<StandIn>,
}

pub fn of_path<'a>(
    directory: i32,
    path: &[u8],
    follow: bool,
    room: &'a mut Room,
) -> Option<Result<Found<'a>, Errno>> {
    // stat of /proc/self/fd/N follows to the file behind the descriptor.
    if let Some(node) = follow.then(|| node_behind_name(path)).flatten() {
        return of_node(node, room).map(Ok);
    }
    found(files::find_linked(directory, path, follow).as_ref()?, room)
}

pub fn of_link<'a>(
    directory: i32,
    path: &[u8],
    follow: bool,
    room: &'a mut Room,
) -> Option<Found<'a>> {
    let ours = files::find_through_links(directory, path, follow);
    found(ours.as_ref()?, room)?.ok()
}

fn node_behind_name(path: &[u8]) -> Option<Node> {
    match files::named_descriptor(path) {
        Some(fd) => Some(crate::descriptors::lookup(fd)?.node),
        None => files::node_behind_link(path),
    }
}

fn of_node(node: Node, room: &mut Room) -> Option<Found<'_>> {
    Some(Found {
        file: crate::nodes::stand_in_file(node, room)?,
        appearance: Some(StandIn::of_node(node)),
    })
}

fn found<'a>(ours: &files::Ours, room: &'a mut Room) -> Option<Result<Found<'a>, Errno>> {
    let not_directory = Some(Err(Errno::ENOTDIR));
    match ours.what {
        Virtual::Node(_) | Virtual::ProcMtd | Virtual::ProcDevices | Virtual::ProcPartitions
            if ours.as_directory =>
        {
            not_directory
        }
        Virtual::Absent => Some(Err(ours.is_missing("stat"))),
        Virtual::Node(node) => of_node(node, room).map(Ok),
        Virtual::ProcMtd | Virtual::ProcDevices | Virtual::ProcPartitions => {
            let file = room.empty();
            world::any_file(file)?;
            Some(Ok(Found {
                file,
                appearance: Some(StandIn::of_file(
                    ours.path.bytes(),
                    text_files::PROC_MODE,
                    0,
                )),
            }))
        }
        Virtual::Sys => {
            let file = shadow::real_path(ours.path.bytes(), room)?;
            if ours.as_directory {
                // The system follows the link, and says what is no directory.
                file.push(b"/")?;
            }
            let mut resolved = Room::new();
            let attribute = shadow::attribute(ours.path.bytes(), &mut resolved);
            let appearance = attribute.map(|attribute| of_attribute(&attribute));
            Some(Ok(Found { file, appearance }))
        }
    }
}

/// A memory file with a text of /proc or /sys.
pub fn of_memory_file(fd: i32) -> Option<StandIn> {
    let mut buffer = [0; paths::PATH_MAX];
    let name = text_files::guest_name(paths::descriptor_path(fd, &mut buffer)?)?;
    if name.starts_with(b"/proc/") {
        return Some(StandIn::of_file(name, text_files::PROC_MODE, 0));
    }
    let mut resolved = Room::new();
    Some(of_attribute(&shadow::attribute(name, &mut resolved)?))
}

fn of_attribute(attribute: &shadow::Attribute<'_>) -> StandIn {
    let (name, mode) = (attribute.path(), attribute.permissions());
    StandIn::of_file(name, mode, text_files::SYSFS_FILE_SIZE)
}
