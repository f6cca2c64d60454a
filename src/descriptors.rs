//! Which descriptor is which open flash file.
//!
//! An emulated descriptor really has a node file open; its file offset holds a mark, the file mode and the position
//! (see docs/ARCHITECTURE.md). The table below is only a cache indexed by number: the mark decides. It is made of
//! single words, so threads, signals and vfork children need no lock.

use crate::late::AtomicFd;
use crate::sys;
use chardev::{FileMode, OpenFile};
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed};

/// What an emulated descriptor leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NodeKind {
    /// /dev/mtdN
    Char,
    /// /dev/mtdNro
    CharReadOnly,
    /// /dev/mtdblockN
    Block,
    /// A writable attribute of sysfs, `bitflip_threshold`: its text is in a memory file.
    Threshold,
    /// Another device, that rules of the configuration answer for; its index is that of the first rule.
    Answered,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node {
    pub kind: NodeKind,
    pub index: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descriptor {
    pub node: Node,
    pub readable: bool,
    pub writable: bool,
    /// Opened with O_PATH: it names the node and can do nothing else.
    pub path_only: bool,
    /// The offset of the node file when it was looked up: mark, mode and position. The kernel gives no more
    /// atomicity than this to calls that share the position of a character device.
    pub offset: u64,
}

const TABLE_SIZE: usize = 4096;
static TABLE: [AtomicU32; TABLE_SIZE] = [const { AtomicU32::new(UNKNOWN) }; TABLE_SIZE];

const UNKNOWN: u32 = 0;
const FOREIGN: u32 = 1;
/// A memory file with a text of /proc or /sys: like any file, but stat must not show what it is.
const TEXT: u32 = 2;
/// One of the shim's own numbers: foreign as well, but a guest must not close it.
const PRIVATE_NUMBER: u32 = 3;
const OURS: u32 = 1 << 31;
const READABLE: u32 = 1 << 30;
const WRITABLE: u32 = 1 << 29;
const PATH_ONLY: u32 = 1 << 28;
const KIND_SHIFT: u32 = 24;
const INDEX_MASK: u32 = 0xffff;

/// Offset of a node file: mark, mode, position. Below 2^43, the smallest limit of a common file system.
pub const MARK: u64 = 1 << 42;
const MARK_MASK: u64 = !(MARK - 1);
const MODE_SHIFT: u32 = 40;
const POSITION_MASK: u64 = (1 << MODE_SHIFT) - 1;

fn pack(descriptor: Descriptor) -> u32 {
    let kind = match descriptor.node.kind {
        NodeKind::Char => 0,
        NodeKind::CharReadOnly => 1,
        NodeKind::Block => 2,
        NodeKind::Threshold => 3,
        NodeKind::Answered => 4,
    };
    let bit = |set: bool, bit: u32| if set { bit } else { 0 };
    OURS | bit(descriptor.readable, READABLE)
        | bit(descriptor.writable, WRITABLE)
        | bit(descriptor.path_only, PATH_ONLY)
        | kind << KIND_SHIFT
        | descriptor.node.index & INDEX_MASK
}

fn unpack(word: u32) -> Descriptor {
    let kind = match word >> KIND_SHIFT & 7 {
        0 => NodeKind::Char,
        1 => NodeKind::CharReadOnly,
        2 => NodeKind::Block,
        3 => NodeKind::Threshold,
        _ => NodeKind::Answered,
    };
    Descriptor {
        node: Node {
            kind,
            index: word & INDEX_MASK,
        },
        readable: word & READABLE != 0,
        writable: word & WRITABLE != 0,
        path_only: word & PATH_ONLY != 0,
        offset: 0,
    }
}

fn slot(fd: i32) -> Option<&'static AtomicU32> {
    usize::try_from(fd).ok().and_then(|fd| TABLE.get(fd))
}

/// The quick answer for everything that is not flash.
#[inline(always)]
pub fn is_foreign(fd: i32) -> bool {
    slot(fd).is_some_and(|slot| slot.load(Relaxed).wrapping_sub(FOREIGN) <= TEXT - FOREIGN)
}

/// Before the close of a number that is foreign: it is forgotten. False, with nothing done, for all others.
#[inline(always)]
pub fn forget_foreign(fd: i32) -> bool {
    let Some(slot) = slot(fd) else { return false };
    let foreign = slot.load(Relaxed).wrapping_sub(FOREIGN) <= TEXT - FOREIGN;
    if foreign {
        slot.store(UNKNOWN, Relaxed);
    }
    foreign
}

/// Foreign, and looking like what it is.
#[inline(always)]
pub fn is_plain(fd: i32) -> bool {
    slot(fd).is_some_and(|slot| slot.load(Relaxed) == FOREIGN)
}

/// What `fd` is, if it is ours; confirmed by its mark.
pub fn lookup(fd: i32) -> Option<Descriptor> {
    let word = match slot(fd) {
        Some(slot) => slot.load(Relaxed),
        None if fd < 0 => return None,
        None => UNKNOWN,
    };
    match word {
        FOREIGN | TEXT | PRIVATE_NUMBER => None,
        UNKNOWN => recognise(fd),
        word => {
            let descriptor = unpack(word);
            if descriptor.path_only || descriptor.node.kind == NodeKind::Threshold {
                return Some(descriptor);
            }
            if let Some(offset) = mark(fd) {
                return Some(Descriptor {
                    offset,
                    ..descriptor
                });
            }
            // Closed behind our back, and perhaps reused.
            forget(fd);
            recognise(fd)
        }
    }
}

/// The offset of `fd` if it carries the mark.
fn mark(fd: i32) -> Option<u64> {
    sys::lseek(fd, 0, libc::SEEK_CUR)
        .ok()
        .filter(|offset| offset & MARK_MASK == MARK)
}

/// A descriptor that no hook has seen being opened: inherited, received or duplicated by libc itself.
fn recognise(fd: i32) -> Option<Descriptor> {
    let descriptor = match sys::lseek(fd, 0, libc::SEEK_CUR) {
        Ok(offset) if offset & MARK_MASK == MARK => recognise_by_name(fd, offset),
        Err(libc::EBADF) => return None,
        _ => None,
    };
    if let Some(slot) = slot(fd) {
        slot.store(descriptor.map_or(FOREIGN, pack), Relaxed);
    }
    descriptor
}

fn recognise_by_name(fd: i32, offset: u64) -> Option<Descriptor> {
    let mut buffer = [0; crate::paths::PATH_MAX];
    let node = crate::paths::node_behind(fd, &mut buffer)?;
    let flags = sys::fcntl(fd, libc::F_GETFL, 0).ok()? as u32;
    let access = chardev::Access::from_flags(flags);
    Some(Descriptor {
        node,
        readable: access.reads(),
        writable: access.writes(),
        path_only: false,
        offset,
    })
}

/// Enters a descriptor that a hook has just made; anything else that had the number is gone.
pub fn enter(fd: i32, descriptor: Descriptor) {
    if let Some(slot) = slot(fd) {
        slot.store(pack(descriptor), Relaxed);
    }
}

#[inline(always)]
pub fn enter_foreign(fd: i32) {
    if let Some(slot) = slot(fd) {
        slot.store(FOREIGN, Relaxed);
    }
}

pub fn enter_text(fd: i32) {
    if let Some(slot) = slot(fd) {
        slot.store(TEXT, Relaxed);
    }
}

#[inline(always)]
pub fn forget(fd: i32) {
    if let Some(slot) = slot(fd) {
        slot.store(UNKNOWN, Relaxed);
    }
}

/// After a successful dup: the copy is what the original is.
pub fn copy(from: i32, to: i32) {
    let word = slot(from).map_or(UNKNOWN, |slot| slot.load(Relaxed));
    if let Some(slot) = slot(to) {
        slot.store(word, Relaxed);
    }
}

/// Position and mode of the open file description, as the look-up found them.
pub fn open_file(descriptor: Descriptor) -> OpenFile {
    OpenFile {
        position: descriptor.offset & POSITION_MASK,
        mode: FileMode::from_number((descriptor.offset >> MODE_SHIFT & 3) as u32),
        readable: descriptor.readable,
        writable: descriptor.writable,
    }
}

/// Stores position and mode where all who share the description see them.
pub fn store(fd: i32, file: &OpenFile) {
    let offset = MARK | u64::from(file.mode.number()) << MODE_SHIFT | file.position & POSITION_MASK;
    // Cannot fail: the same offset range was accepted when the node was opened.
    let _ = sys::lseek(fd, offset as i64, libc::SEEK_SET);
}

/// Marks a freshly opened node file; false where the file system cannot hold such an offset.
pub fn set_mark(fd: i32) -> bool {
    sys::lseek(fd, MARK as i64, libc::SEEK_SET).is_ok()
}

// ----- descriptors of the shim itself -----

const PRIVATE_MAX: usize = 64;
static PRIVATE: [AtomicFd; PRIVATE_MAX] = [const { AtomicFd::none() }; PRIVATE_MAX];
static PRIVATE_LOWEST: AtomicI32 = AtomicI32::new(i32::MAX);

/// Whether the number belongs to the shim: guests that close everything they find must not close it.
#[inline(always)]
pub fn is_private(fd: i32) -> bool {
    fd >= PRIVATE_LOWEST.load(Relaxed) && PRIVATE.iter().any(|private| private.get() == fd)
}

pub fn remember_private(fd: i32) {
    let free = PRIVATE.iter().find(|slot| slot.change(AtomicFd::NONE, fd));
    if free.is_some() {
        PRIVATE_LOWEST.fetch_min(fd, Relaxed);
    }
    if let Some(slot) = slot(fd) {
        slot.store(PRIVATE_NUMBER, Relaxed);
    }
}

pub fn forget_private(fd: i32) {
    for slot in &PRIVATE {
        slot.change(fd, AtomicFd::NONE);
    }
    forget(fd);
}

/// The lowest private number in `from..=to`, for closing ranges around it.
pub fn next_private(from: u32, to: u32) -> Option<u32> {
    PRIVATE
        .iter()
        .filter_map(|slot| u32::try_from(slot.get()).ok())
        .filter(|fd| (from..=to).contains(fd))
        .min()
}
