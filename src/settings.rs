//! Settings in the environment that name files: made absolute before the program begins, because a shell hands on what
//! it found at its start, to children that it starts elsewhere.

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

/// Every program comes by here, and most find a name that is absolute already, or none. Whether there is one.
#[inline(never)]
fn look_at(name: &CStr) -> bool {
    // SAFETY: the guest's own environment.
    let first = unsafe {
        let value = getenv(name.as_ptr());
        if value.is_null() { 0 } else { *value.cast() }
    };
    if !matches!(first, 0 | b'/') {
        make_absolute(name);
    }
    first != 0
}

/// When the library is loaded.
#[inline(always)]
pub fn make_files_absolute() {
    look_at(BOARD);
    if !look_at(TRACE) {
        // What a program sets itself is for those that it starts.
        crate::trace::leave_off();
    }
}
