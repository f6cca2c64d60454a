//! glob where libc's cannot be given our directory functions (musl): patterns that may lead to something of ours are
//! expanded here, over the hooked directory functions, and handed over as musl's own glob does.
//!
//! Source: `glob(3)`; the layout of a result is musl's, which frees each name together with the word before it.

use crate::files;
use crate::paths::{PathBuffer, Room};
use crate::{runtime, sys};
use core::ffi::{CStr, c_char, c_void};
use libc::{DIR, c_int};

const GLOB_NOCHECK: c_int = 0x10;
/// Flags whose results depend on what the guest's structure holds already, or that change the pattern.
const UNSUPPORTED: c_int = 0x08 | 0x20 | 0x40;
const GLOB_NOSPACE: c_int = 1;
const GLOB_NOMATCH: c_int = 3;
const COMPONENTS_MAX: u32 = 16;
/// The word before a name in musl's list of matches.
const LINK_SIZE: usize = size_of::<usize>();

type Fnmatch = unsafe extern "C" fn(*const c_char, *const c_char, c_int) -> c_int;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn realloc(old: *mut c_void, size: usize) -> *mut c_void;
    // The hooks of these names.
    fn opendir(path: *const c_char) -> *mut DIR;
    fn readdir(directory: *mut DIR) -> *mut c_void;
    fn closedir(directory: *mut DIR) -> c_int;
}

struct Matches {
    names: *mut *mut c_char,
    count: usize,
    fnmatch: Fnmatch,
    out_of_memory: bool,
}

impl Matches {
    fn push(&mut self, name: &[u8]) {
        // SAFETY: a list of `count` names with room for one more and the null behind it, and a block for the name.
        unsafe {
            let grown = realloc(
                self.names.cast(),
                (self.count + 2) * size_of::<*mut c_char>(),
            );
            let block: *mut u8 = malloc(LINK_SIZE + name.len() + 1).cast();
            if grown.is_null() || block.is_null() {
                self.out_of_memory = true;
                return;
            }
            self.names = grown.cast();
            let text = block.add(LINK_SIZE);
            core::ptr::copy_nonoverlapping(name.as_ptr(), text, name.len());
            *text.add(name.len()) = 0;
            // In order, as glob gives them.
            let mut at = self.count;
            while at > 0 && CStr::from_ptr(*self.names.add(at - 1)).to_bytes() > name {
                *self.names.add(at) = *self.names.add(at - 1);
                at -= 1;
            }
            *self.names.add(at) = text.cast();
            self.count += 1;
            *self.names.add(self.count) = core::ptr::null_mut();
        }
    }

    fn expand(&mut self, done: &PathBuffer, rest: &[u8], depth: u32) {
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        if depth == 0 {
            return;
        }
        if rest.is_empty() {
            if exists(done) {
                self.push(done.bytes());
            }
            return;
        }
        let end = rest
            .iter()
            .position(|&byte| byte == b'/')
            .unwrap_or(rest.len());
        let (component, tail) = rest.split_at(end);
        if !component.iter().any(|byte| b"*?[".contains(byte)) {
            if let Some(next) = Room::new().put(&[done.bytes(), b"/", component]) {
                self.expand(next, tail, depth - 1);
            }
            return;
        }
        let mut pattern = Room::new();
        let Some(pattern) = pattern.put(&[component]) else {
            return;
        };
        let mut next = Room::new();
        let directory = if done.bytes().is_empty() {
            c"/"
        } else {
            done.c_str()
        };
        // SAFETY: the hooks of these names, on a directory opened here; entries are musl's, their names at 19.
        unsafe {
            let directory = opendir(directory.as_ptr());
            if directory.is_null() {
                return;
            }
            loop {
                let entry = readdir(directory);
                if entry.is_null() {
                    break;
                }
                let name = CStr::from_ptr(
                    entry
                        .cast::<c_char>()
                        .add(crate::merged::Shape::Wide.name_offset()),
                );
                let hidden = name.to_bytes().starts_with(b".") && !component.starts_with(b".");
                if !hidden
                    && (self.fnmatch)(pattern.c_str().as_ptr(), name.as_ptr(), 0) == 0
                    && let Some(next) = next.put(&[done.bytes(), b"/", name.to_bytes()])
                {
                    self.expand(next, tail, depth - 1);
                }
            }
            closedir(directory);
        }
    }
}

fn exists(path: &PathBuffer) -> bool {
    match files::access(sys::AT_FDCWD, path.bytes(), libc::F_OK) {
        Some(answer) => answer.is_ok(),
        None => sys::stat64(path.c_str(), false).is_ok(),
    }
}

/// None: not ours, or asked for in a way that only libc's own does.
///
/// # Safety
/// `result` is the guest's glob_t.
pub unsafe fn expand(pattern: &[u8], flags: c_int, result: *mut usize) -> Option<c_int> {
    if flags & UNSUPPORTED != 0 || pattern.first() != Some(&b'/') || pattern.contains(&b'\\') {
        return None;
    }
    // SAFETY: libc's function of this name.
    let fnmatch: Fnmatch = unsafe { core::mem::transmute(runtime::next_symbol(c"fnmatch")?) };
    let mut matches = Matches {
        names: core::ptr::null_mut(),
        count: 0,
        fnmatch,
        out_of_memory: false,
    };
    matches.expand(&PathBuffer::new(), pattern, COMPONENTS_MAX);
    if matches.count == 0 && flags & GLOB_NOCHECK != 0 {
        matches.push(pattern);
    }
    if matches.out_of_memory {
        return Some(GLOB_NOSPACE);
    }
    // SAFETY: the first three words of the guest's structure: count, names, offset.
    unsafe {
        *result = matches.count;
        *result.add(1) = matches.names as usize;
        *result.add(2) = 0;
    }
    Some(if matches.count == 0 { GLOB_NOMATCH } else { 0 })
}
