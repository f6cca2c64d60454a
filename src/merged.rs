//! Directories of the system that show entries of ours as well: /dev, /sys/class, /sys/block, /sys/class/block.
//!
//! The system's entries come first; those of ours that it has too (placeholders in a firmware's /dev) are left out
//! there and shown once, behind.

use crate::descriptors::{Node, NodeKind};
use crate::{libc_kind, paths, sys, world};
use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use libc::c_int;
use mtd_abi::errno::Errno;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merged {
    /// /dev: mtdN, mtdNro, mtdblockN
    Dev,
    /// /sys/class: mtd
    Class,
    /// /sys/block and /sys/class/block: mtdblockN
    Block,
}

/// Layout of a directory entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// 32-bit inode number and offset.
    Narrow,
    Wide,
}

impl Shape {
    /// Of the unsuffixed readdir.
    pub fn plain() -> Shape {
        if libc_kind::wide_offsets() { Shape::Wide } else { Shape::Narrow }
    }

    pub fn name_offset(self) -> usize {
        match self {
            Shape::Narrow => 11,
            Shape::Wide => 19,
        }
    }
}

const ENTRY_SIZE: usize = 64;
const OPEN_MAX: usize = 16;

struct OpenDirectory {
    /// The DIR, 0 if the slot is free.
    directory: AtomicUsize,
    which: AtomicU32,
    cursor: AtomicU32,
}

static OPEN: [OpenDirectory; OPEN_MAX] = [const {
    OpenDirectory { directory: AtomicUsize::new(0), which: AtomicU32::new(0), cursor: AtomicU32::new(0) }
}; OPEN_MAX];
static OPEN_COUNT: AtomicU32 = AtomicU32::new(0);

/// Entries handed out live until the next readdir of the same directory, as libc's do.
#[repr(align(8))]
struct Entries(core::cell::UnsafeCell<[[u8; ENTRY_SIZE]; OPEN_MAX]>);
// SAFETY: a slot belongs to one DIR, and POSIX leaves it to the caller that two threads do not read one DIR at once.
unsafe impl Sync for Entries {}
static ENTRIES: Entries = Entries(core::cell::UnsafeCell::new([[0; ENTRY_SIZE]; OPEN_MAX]));

pub fn of_path(path: &[u8]) -> Option<Merged> {
    let absolute = paths::absolute(sys::AT_FDCWD, path)?;
    let which = match absolute.bytes() {
        b"/dev" => Merged::Dev,
        b"/sys/class" => Merged::Class,
        b"/sys/block" | b"/sys/class/block" => Merged::Block,
        // A rootfs's own /dev is found under its real name through a descriptor.
        path if path.ends_with(b"/dev") && !path.starts_with(b"/sys") => Merged::Dev,
        _ => return None,
    };
    world::has_board().then_some(which)
}

#[inline(always)]
pub fn is_any_open() -> bool {
    OPEN_COUNT.load(Relaxed) != 0
}

pub fn enter(directory: usize, which: Merged) {
    let number = match which {
        Merged::Dev => 0,
        Merged::Class => 1,
        Merged::Block => 2,
    };
    for slot in &OPEN {
        if slot.directory.compare_exchange(0, directory, Relaxed, Relaxed).is_ok() {
            slot.which.store(number, Relaxed);
            slot.cursor.store(0, Relaxed);
            OPEN_COUNT.fetch_add(1, Relaxed);
            return;
        }
    }
}

fn find(directory: usize) -> Option<(usize, &'static OpenDirectory, Merged)> {
    let (index, slot) = OPEN.iter().enumerate().find(|(_, slot)| slot.directory.load(Relaxed) == directory)?;
    let which = match slot.which.load(Relaxed) {
        0 => Merged::Dev,
        1 => Merged::Class,
        _ => Merged::Block,
    };
    Some((index, slot, which))
}

pub fn leave(directory: usize) {
    if is_any_open()
        && let Some((_, slot, _)) = find(directory)
    {
        slot.directory.store(0, Relaxed);
        OPEN_COUNT.fetch_sub(1, Relaxed);
    }
}

pub fn rewind(directory: usize) {
    if let Some((_, slot, _)) = find(directory) {
        slot.cursor.store(0, Relaxed);
    }
}

/// An entry of the system that ours replaces.
pub fn hides(directory: usize, name: &[u8]) -> bool {
    find(directory).is_some_and(|(_, _, which)| is_ours(which, name))
}

fn is_ours(which: Merged, name: &[u8]) -> bool {
    match which {
        Merged::Class => name == b"mtd",
        Merged::Block => {
            paths::parse_node(name).is_some_and(|node| node.kind == NodeKind::Block && world::node_exists(node))
        }
        Merged::Dev => paths::parse_node(name).is_some_and(world::node_exists),
    }
}

/// The entry with this number among ours: its name and its type.
fn entry_at(which: Merged, number: u32) -> Option<(paths::PathBuffer, u8)> {
    if which == Merged::Class {
        return (number == 0).then(|| paths::PathBuffer::of(&[b"mtd"])).flatten().map(|name| (name, libc::DT_DIR));
    }
    let kinds: &[(NodeKind, u8)] = match which {
        Merged::Dev => &[
            (NodeKind::Char, libc::DT_CHR),
            (NodeKind::CharReadOnly, libc::DT_CHR),
            (NodeKind::Block, libc::DT_BLK),
        ],
        _ => &[(NodeKind::Block, libc::DT_LNK)],
    };
    let index = world::nth_device(number / kinds.len() as u32)?;
    let (kind, entry_type) = *kinds.get(number as usize % kinds.len())?;
    Some((paths::node_name(Node { kind, index })?, entry_type))
}

/// Puts one entry into `buffer`.
fn write_entry(buffer: &mut [u8; ENTRY_SIZE], shape: Shape, number: u32, name: &[u8], entry_type: u8) {
    use mtd_abi::layout::Field;
    *buffer = [0; ENTRY_SIZE];
    // Any inode number that is not 0 marks an entry that exists.
    let inode = 0x4d54_0000 + number;
    let length = ENTRY_SIZE as u16;
    match shape {
        Shape::Narrow => {
            inode.put(buffer, 0);
            (i32::MAX - 1000 + number as i32).put(buffer, 4);
            length.put(buffer, 8);
            entry_type.put(buffer, 10);
        }
        Shape::Wide => {
            u64::from(inode).put(buffer, 0);
            (i64::MAX - 1000 + i64::from(number)).put(buffer, 8);
            length.put(buffer, 16);
            entry_type.put(buffer, 18);
        }
    }
    if let Some(target) = buffer.get_mut(shape.name_offset()..shape.name_offset() + name.len()) {
        target.copy_from_slice(name);
    }
}

/// What readdir returns behind the system's last entry.
pub fn next(directory: usize, shape: Shape) -> *mut c_void {
    let Some((index, slot, which)) = find(directory) else { return core::ptr::null_mut() };
    let number = slot.cursor.fetch_add(1, Relaxed);
    let Some((name, entry_type)) = entry_at(which, number) else { return core::ptr::null_mut() };
    // SAFETY: see `Entries`; the index is that of a slot.
    let buffer = unsafe { &mut *ENTRIES.0.get().cast::<[u8; ENTRY_SIZE]>().add(index) };
    write_entry(buffer, shape, number, name.bytes(), entry_type);
    buffer.as_mut_ptr().cast()
}

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn realloc(old: *mut c_void, size: usize) -> *mut c_void;
}

/// Adds our entries to the list that scandir made, and sorts it again.
///
/// # Safety
/// `list` points to `count` entries in a block from malloc, as scandir leaves it.
pub unsafe fn extend_list(
    list: *mut *mut *mut c_void,
    count: c_int,
    which: Merged,
    shape: Shape,
    select: Option<unsafe extern "C" fn(*const c_void) -> c_int>,
    compare: Option<unsafe extern "C" fn(*const *const c_void, *const *const c_void) -> c_int>,
) -> Result<c_int, Errno> {
    let mut length = count as usize;
    let mut number = 0;
    while let Some((name, entry_type)) = entry_at(which, number) {
        let mut buffer = [0; ENTRY_SIZE];
        write_entry(&mut buffer, shape, number, name.bytes(), entry_type);
        number += 1;
        // SAFETY: the guest's own filter, given an entry of the shape it expects.
        if select.is_some_and(|select| unsafe { select(buffer.as_ptr().cast()) } == 0) {
            continue;
        }
        // SAFETY: the list is the guest's libc's, grown by the same allocator; entries are freed by the caller.
        unsafe {
            let grown = realloc((*list).cast(), (length + 1) * size_of::<*mut c_void>());
            let entry = malloc(ENTRY_SIZE);
            if grown.is_null() || entry.is_null() {
                return Err(Errno::ENOMEM);
            }
            *list = grown.cast();
            core::ptr::copy_nonoverlapping(buffer.as_ptr(), entry.cast(), ENTRY_SIZE);
            *(*list).add(length) = entry;
        }
        length += 1;
    }
    if let Some(compare) = compare {
        // SAFETY: `length` valid entries; an insertion sort, as the list was sorted before.
        unsafe {
            let entries = *list;
            for right in 1..length {
                let mut at = right;
                while at > 0 && compare(entries.add(at - 1).cast(), entries.add(at).cast()) > 0 {
                    core::ptr::swap(entries.add(at - 1), entries.add(at));
                    at -= 1;
                }
            }
        }
    }
    Ok(length as c_int)
}
