//! Directories of the system that show entries of ours as well: /dev, /sys/class, /sys/block, /sys/class/block.
//!
//! The system's entries come first; those of ours that it has too (placeholders in a firmware's /dev) are left out
//! there and shown once, behind.

use crate::descriptors::{Node, NodeKind};
use crate::paths::{PathBuffer, Room};
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
    /// A directory of the shim's own tree: nothing is added.
    Sysfs,
    /// What rules name, beside this one.
    Ruled(u32),
}

const RULED_FROM: u32 = 4;

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
        if libc_kind::wide_offsets() {
            Shape::Wide
        } else {
            Shape::Narrow
        }
    }

    pub fn name_offset(self) -> usize {
        match self {
            Shape::Narrow => 11,
            Shape::Wide => 19,
        }
    }
}

/// A name of 255 bytes, its NUL and what stands before it.
const ENTRY_SIZE: usize = 280;
const OPEN_MAX: usize = 16;

struct OpenDirectory {
    /// The DIR, 0 if the slot is free.
    directory: AtomicUsize,
    which: AtomicU32,
    cursor: AtomicU32,
}

static OPEN: [OpenDirectory; OPEN_MAX] = [const {
    OpenDirectory {
        directory: AtomicUsize::new(0),
        which: AtomicU32::new(0),
        cursor: AtomicU32::new(0),
    }
}; OPEN_MAX];
static OPEN_COUNT: AtomicU32 = AtomicU32::new(0);

/// Entries handed out live until the next readdir of the same directory, as libc's do.
#[repr(align(8))]
struct Entries(core::cell::UnsafeCell<[[u8; ENTRY_SIZE]; OPEN_MAX]>);
// SAFETY: a slot belongs to one DIR, and POSIX leaves it to the caller that two threads do not read one DIR at once.
unsafe impl Sync for Entries {}
static ENTRIES: Entries = Entries(core::cell::UnsafeCell::new([[0; ENTRY_SIZE]; OPEN_MAX]));

pub fn of_path(path: &[u8]) -> Option<Merged> {
    let mut absolute = Room::new();
    let absolute = paths::absolute(sys::AT_FDCWD, path, &mut absolute)?;
    // Through a descriptor, a directory of the root is found under its real name.
    let which = match crate::root_names::guest_name(absolute.bytes()) {
        b"/dev" => Merged::Dev,
        b"/sys/class" => Merged::Class,
        b"/sys/block" | b"/sys/class/block" => Merged::Block,
        path => Merged::Ruled(crate::answers::rule_below(path)?),
    };
    world::has_board().then_some(which)
}

#[inline(always)]
fn is_any_open() -> bool {
    OPEN_COUNT.load(Relaxed) != 0
}

/// Whether this directory shows entries of ours.
#[inline(always)]
pub fn is_open(directory: usize) -> bool {
    is_any_open() && find(directory).is_some()
}

pub fn enter(directory: usize, which: Merged) {
    let number = match which {
        Merged::Dev => 0,
        Merged::Class => 1,
        Merged::Block => 2,
        Merged::Sysfs => 3,
        Merged::Ruled(rule) => RULED_FROM + rule,
    };
    for slot in &OPEN {
        if slot
            .directory
            .compare_exchange(0, directory, Relaxed, Relaxed)
            .is_ok()
        {
            slot.which.store(number, Relaxed);
            slot.cursor.store(0, Relaxed);
            OPEN_COUNT.fetch_add(1, Relaxed);
            return;
        }
    }
}

fn find(directory: usize) -> Option<(usize, &'static OpenDirectory, Merged)> {
    let (index, slot) = OPEN
        .iter()
        .enumerate()
        .find(|(_, slot)| slot.directory.load(Relaxed) == directory)?;
    let which = match slot.which.load(Relaxed) {
        0 => Merged::Dev,
        1 => Merged::Class,
        2 => Merged::Block,
        3 => Merged::Sysfs,
        ruled => Merged::Ruled(ruled - RULED_FROM),
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
        Merged::Block => paths::parse_node(name)
            .is_some_and(|node| node.kind == NodeKind::Block && world::node_exists(node)),
        Merged::Dev => {
            paths::parse_node(name).is_some_and(world::node_exists)
                || crate::answers::is_entry(None, name)
        }
        Merged::Ruled(rule) => crate::answers::is_entry(Some(rule), name),
        Merged::Sysfs => false,
    }
}

/// The entry with this number among ours: its name and its type.
fn entry_at(which: Merged, number: u32, room: &mut Room) -> Option<(&mut PathBuffer, u8)> {
    if which == Merged::Sysfs {
        return None;
    }
    if let Merged::Ruled(rule) = which {
        let kind = if crate::answers::looks_like_file(rule) {
            libc::DT_REG
        } else {
            libc::DT_CHR
        };
        return Some((crate::answers::nth_entry(Some(rule), number, room)?, kind));
    }
    if which == Merged::Class {
        return (number == 0)
            .then(|| room.put(&[b"mtd"]))
            .flatten()
            .map(|name| (name, libc::DT_DIR));
    }
    let kinds: &[(NodeKind, u8)] = match which {
        Merged::Dev => &[
            (NodeKind::Char, libc::DT_CHR),
            (NodeKind::CharReadOnly, libc::DT_CHR),
            (NodeKind::Block, libc::DT_BLK),
        ],
        _ => &[(NodeKind::Block, libc::DT_LNK)],
    };
    let count = kinds.len() as u32;
    let Some(index) = world::nth_device(number / count) else {
        if which != Merged::Dev || !crate::answers::any() {
            return None;
        }
        let rules_from = (0..).find(|&nth| world::nth_device(nth).is_none())? * count;
        let number = number.checked_sub(rules_from)?;
        return Some((crate::answers::nth_entry(None, number, room)?, libc::DT_CHR));
    };
    let (kind, entry_type) = *kinds.get(number as usize % kinds.len())?;
    Some((paths::node_name(Node { kind, index }, room)?, entry_type))
}

/// Puts one entry into `buffer`.
fn write_entry(
    buffer: &mut [u8; ENTRY_SIZE],
    shape: Shape,
    number: u32,
    name: &[u8],
    entry_type: u8,
) {
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

/// The buffer of an open directory.
fn buffer(index: usize) -> Option<&'static mut [u8; ENTRY_SIZE]> {
    // SAFETY: see `Entries`; the index is checked.
    (index < OPEN_MAX)
        .then(|| unsafe { &mut *ENTRIES.0.get().cast::<[u8; ENTRY_SIZE]>().add(index) })
}

/// What readdir returns behind the system's last entry.
pub fn next(directory: usize, shape: Shape) -> *mut c_void {
    let Some((index, slot, which)) = find(directory) else {
        return core::ptr::null_mut();
    };
    let number = slot.cursor.fetch_add(1, Relaxed);
    let mut room = Room::new();
    let Some((name, entry_type)) = entry_at(which, number, &mut room) else {
        return core::ptr::null_mut();
    };
    let Some(buffer) = buffer(index) else {
        return core::ptr::null_mut();
    };
    write_entry(buffer, shape, number, name.bytes(), entry_type);
    buffer.as_mut_ptr().cast()
}

/// An entry of the system in the narrow form.
pub fn narrow(directory: usize, name: &[u8], entry_type: u8) -> *mut c_void {
    let Some((index, ..)) = find(directory) else {
        return core::ptr::null_mut();
    };
    let Some(buffer) = buffer(index) else {
        return core::ptr::null_mut();
    };
    write_entry(buffer, Shape::Narrow, 0, name, entry_type);
    buffer.as_mut_ptr().cast()
}

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn realloc(old: *mut c_void, size: usize) -> *mut c_void;
    fn free(block: *mut c_void);
}

type Compare = Option<unsafe extern "C" fn(*const *const c_void, *const *const c_void) -> c_int>;

/// The list that scandir makes: entries and list are the guest's, from its own malloc.
pub struct List {
    entries: *mut *mut c_void,
    length: usize,
}

impl List {
    pub fn new() -> List {
        List {
            entries: core::ptr::null_mut(),
            length: 0,
        }
    }

    /// Copies an entry that readdir returned.
    pub fn push(&mut self, entry: *mut c_void, shape: Shape) -> Result<(), Errno> {
        // SAFETY: an entry of this shape, whose record length lies two (and a type) before its name; the list has
        // `length` places, and one more after the growth.
        unsafe {
            let size = entry
                .cast::<u8>()
                .add(shape.name_offset() - 3)
                .cast::<u16>()
                .read_unaligned() as usize;
            let grown = realloc(
                self.entries.cast(),
                (self.length + 1) * size_of::<*mut c_void>(),
            );
            if grown.is_null() {
                return Err(self.give_up());
            }
            self.entries = grown.cast();
            let copy = malloc(size);
            if copy.is_null() {
                return Err(self.give_up());
            }
            core::ptr::copy_nonoverlapping(entry.cast::<u8>(), copy.cast(), size);
            *self.entries.add(self.length) = copy;
        }
        self.length += 1;
        Ok(())
    }

    fn give_up(&mut self) -> Errno {
        for index in 0..self.length {
            // SAFETY: entries that `push` made.
            unsafe { free(*self.entries.add(index)) };
        }
        // SAFETY: from realloc, or null.
        unsafe { free(self.entries.cast()) };
        self.length = 0;
        Errno::ENOMEM
    }

    /// Sorts and hands over.
    ///
    /// # Safety
    /// `list` is where the guest wants the list; `compare` its own function, if it gave one.
    pub unsafe fn finish(self, list: *mut *mut *mut c_void, compare: Compare) -> c_int {
        // SAFETY: `length` valid entries; the guest's comparison is given places of the list, as qsort does.
        unsafe {
            if let Some(compare) = compare {
                for right in 1..self.length {
                    let mut at = right;
                    while at > 0
                        && compare(
                            self.entries.add(at - 1).cast_const().cast(),
                            self.entries.add(at).cast_const().cast(),
                        ) > 0
                    {
                        core::ptr::swap(self.entries.add(at - 1), self.entries.add(at));
                        at -= 1;
                    }
                }
            }
            *list = self.entries;
        }
        self.length as c_int
    }
}
