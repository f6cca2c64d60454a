//! Names below the guest's root directory, where the emulator forgets to look there: stat and faccessat.
//!
//! QEMU looks up open, access and stat below -L first, but not statx and faccessat (7.2 to 11.1), and every current libc
//! calls statx for stat. A shell then does not find a program that only the root has.

use crate::children::lookup::{self, Root};
use crate::glance::{GLANCE, SLOTS};
use crate::paths::{Front, PathBuffer, Room};
use crate::{files, sys};
use core::cell::UnsafeCell;
use core::ffi::c_char;
use core::sync::atomic::{AtomicU8, Ordering};

/// The root, asked for once: it cannot change while a program runs.
struct Cell(UnsafeCell<Root>, AtomicU8);
// SAFETY: written once, by the thread that turns the state from UNKNOWN, before the state says KNOWN.
unsafe impl Sync for Cell {}
static ROOT: Cell = Cell(UnsafeCell::new(Root::none()), AtomicU8::new(UNKNOWN));
const UNKNOWN: u8 = 0;
const BUSY: u8 = 1;
const KNOWN: u8 = 2;

fn root() -> Option<&'static Root> {
    if ROOT.1.load(Ordering::Acquire) != KNOWN {
        if ROOT
            .1
            .compare_exchange(UNKNOWN, BUSY, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            // Another thread is asking at this moment; once, a name is looked up as the emulator does.
            return None;
        }
        // SAFETY: this thread alone has turned the state.
        let root = unsafe { &mut *ROOT.0.get() };
        root.ask();
        note_directories(root.bytes());
        ROOT.1.store(KNOWN, Ordering::Release);
    }
    // SAFETY: never written again.
    Some(unsafe { &*ROOT.0.get() }).filter(|root| root.is_given())
}

// ----- what lies at the top of the root -----
//
// Most names that a program asks for below /tmp or /var/run are not in the root at all, and one look at two letters tells. The
// emulator itself looks once for each name and remembers the answer, so a root that changes meanwhile is no different.

// By the first two letters of a directory's name; 0 where the root was not read yet.
pub const NOTHING: u8 = 1;
/// One, and perhaps it is empty.
const ONE: u8 = 2;
const SOME: u8 = 3;

/// Of an absolute name only the first two letters count.
#[inline(always)]
fn place(Front(front): Front) -> usize {
    (front >> 8 ^ front >> 14) as usize % SLOTS
}

fn front(name: &[u8], end: u8) -> Front {
    let letter = |index: usize| name.get(index).copied().unwrap_or(end);
    Front(u32::from_le_bytes([b'/', letter(0), letter(1), 0]))
}

#[inline(always)]
fn slot(front: Front) -> &'static AtomicU8 {
    let [zero, ..] = &GLANCE.directories;
    GLANCE.directories.get(place(front)).unwrap_or(zero)
}

/// Whether an absolute name can only mean the host's file. False until the root is known.
#[inline(always)]
pub fn is_outside(front: Front) -> bool {
    slot(front).load(Ordering::Relaxed) == NOTHING
}

/// Calls `body` with every name in a directory of the host; false if it cannot be read.
fn for_each_name(path: &[u8], body: &mut dyn FnMut(&[u8])) -> bool {
    let mut room = Room::new();
    room.put(&[path])
        .is_some_and(|path| sys::for_each_name(path.c_str(), body))
}

/// Without a root everything is outside.
fn note_directories(root: &[u8]) {
    // Counted here and shown when complete: a slot that said "nothing" too early would be believed.
    let mut found = [NOTHING; SLOTS];
    let complete = root.is_empty()
        || for_each_name(root, &mut |name| {
            // Names of one letter end in two ways.
            for end in [0, b'/']
                .into_iter()
                .take(if name.len() > 1 { 1 } else { 2 })
            {
                if let Some(count) = found.get_mut(place(front(name, end))) {
                    *count = (*count + 1).min(SOME);
                }
            }
        });
    for (slot, found) in GLANCE.directories.iter().zip(found) {
        slot.store(if complete { found } else { SOME }, Ordering::Relaxed);
    }
}

/// A name was not found: an empty directory (/tmp, /mnt) is as good as none.
#[cold]
fn look_whether_empty(root: &[u8], path: &[u8]) {
    let name = path.get(1..).unwrap_or(&[]);
    let name = name.split(|&byte| byte == b'/').next().unwrap_or(&[]);
    let slot = slot(front(name, 0));
    if slot.load(Ordering::Relaxed) != ONE {
        return;
    }
    let mut entries = 0;
    let complete = Room::new()
        .put(&[root, b"/", name])
        .is_some_and(|directory| for_each_name(directory.bytes(), &mut |_| entries += 1));
    let state = if complete && entries == 0 {
        NOTHING
    } else {
        SOME
    };
    slot.store(state, Ordering::Relaxed);
}

/// A name on the host that takes the place of the guest's, if there is one.
pub struct Mapped<'a>(Option<&'a PathBuffer>);

impl Mapped<'_> {
    pub fn or(&self, path: *const c_char) -> *const c_char {
        self.0.map_or(path, |name| name.c_str().as_ptr())
    }
}

/// Where a name of the guest lies in its root; nothing for names that are only outside it. `follow`: the caller wants
/// what a link at the end leads to.
pub fn map(path: *const c_char, follow: bool, room: &mut Room) -> Mapped<'_> {
    // SAFETY: the guest's own argument to libc.
    Mapped(unsafe { files::path_bytes(path) }.and_then(|path| map_bytes(path, follow, room)))
}

/// The guest's name of something that the system shows with the root before it.
pub fn guest_name(name: &[u8]) -> &[u8] {
    match root().and_then(|root| name.strip_prefix(root.bytes())) {
        Some([]) => b"/",
        Some(inner @ [b'/', ..]) => inner,
        _ => name,
    }
}

fn map_bytes<'a>(path: &[u8], follow: bool, room: &'a mut Room) -> Option<&'a PathBuffer> {
    if path.first() != Some(&b'/') {
        return None;
    }
    let root = root()?;
    let inner = room.put(&[root.bytes(), path])?;
    let Ok(status) = sys::stat64(inner.c_str(), false) else {
        look_whether_empty(root.bytes(), path);
        return None;
    };
    if follow && sys::stat_mode(&status) & libc::S_IFMT == libc::S_IFLNK {
        lookup::find(root, path, inner).ok()?;
    }
    Some(inner)
}
