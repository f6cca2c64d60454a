//! Settings in the environment that name files: made absolute before the program begins, because a shell hands on what
//! it found at its start, to children that it starts elsewhere.

use crate::children::Strings;
use crate::paths::{self, Room};
use crate::sys;
use core::ffi::{CStr, c_char};

/// The board: its directory or its configuration.
pub const BOARD: &CStr = c"MTDSHIM";
/// `stderr` or a file, behind `json:` if one likes.
pub const TRACE: &CStr = c"MTDSHIM_TRACE";
pub const JSON: &[u8] = b"json:";

unsafe extern "C" {
    fn getenv(name: *const c_char) -> *const c_char;
    fn setenv(name: *const c_char, value: *const c_char, overwrite: i32) -> i32;
}

pub fn get<'a>(name: &CStr) -> Option<&'a CStr> {
    // SAFETY: the guest's own environment; libc keeps the strings where they are.
    unsafe {
        let value = getenv(name.as_ptr());
        (!value.is_null() && *value != 0).then(|| CStr::from_ptr(value))
    }
}

pub fn set(name: &CStr, value: &CStr) {
    // SAFETY: two C strings; libc copies them.
    unsafe { setenv(name.as_ptr(), value.as_ptr(), 1) };
}

/// What of a trace's setting is the name of a file.
pub fn trace_target(value: &[u8]) -> &[u8] {
    value.strip_prefix(JSON).unwrap_or(value)
}

pub fn is_stderr(target: &[u8]) -> bool {
    target == b"stderr" || target == b"1"
}

#[cold]
#[inline(never)]
fn make_absolute(name: &CStr) -> Option<()> {
    let value = get(name)?.to_bytes();
    let file = trace_target(value);
    if file.first() == Some(&b'/') || name == TRACE && is_stderr(file) {
        return None;
    }
    let (mut absolute, mut value_room) = (Room::new(), Room::new());
    let absolute = paths::absolute(sys::AT_FDCWD, file, &mut absolute)?;
    let front = value.get(..value.len() - file.len())?;
    let value = value_room.put(&[front, absolute.bytes()])?;
    set(name, value.c_str());
    Some(())
}

#[cold]
#[inline(never)]
fn make_all_absolute() {
    make_absolute(BOARD);
    make_absolute(TRACE);
}

// What settings begin with, as the words that an environment is compared by: each comparison is a basic block.
const MTDS: u32 = u32::from_ne_bytes(*b"MTDS");
const HIM: u32 = u32::from_ne_bytes(*b"HIM=");
const HIM_: u32 = u32::from_ne_bytes(*b"HIM_");
const TRAC: u32 = u32::from_ne_bytes(*b"TRAC");

/// When the library is loaded, with main's arguments if it is glibc that calls. Every program comes by here, and most find a name
/// that is absolute already, or none. An environment that is at hand is read: libc's getenv would have to be translated first.
#[inline(always)]
pub fn make_files_absolute(count: usize, arguments: Strings, environment: Strings) {
    let here = 0usize;
    // As the kernel lays them on the stack: above all frames (then the difference has no highest bit), the environment behind the null
    // that ends the arguments.
    let below = arguments.addr().wrapping_sub((&raw const here).addr()) >> (usize::BITS - 1);
    let differs = environment.addr() ^ arguments.wrapping_add(count + 1).addr();
    let mut seen = Seen {
        trace: 0,
        relative: 0,
    };
    // SAFETY: a word above this frame.
    if below | differs == 0 && unsafe { (*environment.sub(1)).is_null() } {
        // SAFETY: as the kernel laid it.
        unsafe { seen.walk(environment) };
    } else {
        seen.ask();
    }
    if seen.relative != 0 {
        make_all_absolute();
    }
    crate::trace::at_load(seen.trace != 0);
}

struct Seen {
    /// Zero: none.
    trace: u32,
    /// Zero: no name of a file that is not absolute.
    relative: u32,
}

impl Seen {
    /// By the first letter of a value.
    #[inline(always)]
    fn note(&mut self, first: c_char) {
        self.relative |= u32::from(first) * u32::from(first ^ b'/');
    }

    /// # Safety
    /// The environment lies as the kernel laid it: an array ended by a null, and the name of the program's file behind the strings,
    /// so that there are words where one begins.
    #[inline(always)]
    unsafe fn walk(&mut self, mut at: Strings) {
        // SAFETY: promised by the caller.
        unsafe {
            while let entry = *at
                && !entry.is_null()
            {
                at = at.add(1);
                let word = |index| entry.cast::<u32>().add(index).read_unaligned();
                if word(0) != MTDS {
                    continue;
                }
                if word(1) == HIM {
                    self.note(*entry.add(BOARD.count_bytes() + 1));
                } else if (word(1) ^ HIM_) | (word(2) ^ TRAC) == 0 {
                    let first = *entry.add(TRACE.count_bytes() + 1);
                    self.trace |= u32::from(first);
                    self.note(first);
                }
            }
        }
    }

    /// The same of what libc says.
    #[inline(always)]
    fn ask(&mut self) {
        // SAFETY: the guest's own environment.
        let first = |name: &CStr| unsafe {
            let value = getenv(name.as_ptr());
            if value.is_null() { 0 } else { *value }
        };
        self.note(first(BOARD));
        let first = first(TRACE);
        self.trace = first.into();
        self.note(first);
    }
}
