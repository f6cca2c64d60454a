//! Paths in buffers of a fixed size, and the text work on one that lies in such a buffer.

use super::descriptor_path;
use crate::sys;
use core::ffi::CStr;
use core::mem::MaybeUninit;

/// Longer names are never ours: buffers of this size live on the stacks of guest threads.
pub const PATH_MAX: usize = 1024;

/// A NUL-terminated path in a fixed buffer, of which only path and NUL are ever written: each page of it that is not touched is one
/// that a forked child need not copy.
pub struct PathBuffer {
    bytes: [MaybeUninit<u8>; PATH_MAX],
    length: usize,
}

impl PathBuffer {
    pub const fn new() -> PathBuffer {
        let mut bytes = [MaybeUninit::uninit(); PATH_MAX];
        bytes[0] = MaybeUninit::new(0);
        PathBuffer { bytes, length: 0 }
    }

    /// The parts instead of what it holds: a buffer that is filled where it lies is not moved.
    pub fn set(&mut self, parts: &[&[u8]]) -> Option<()> {
        self.truncate(0);
        parts.iter().try_for_each(|part| self.push(part))
    }

    /// None where the path would be too long.
    pub fn push(&mut self, part: &[u8]) -> Option<()> {
        let [room @ .., _] = self.bytes.get_mut(self.length..)? else {
            return None;
        };
        let room = room.get_mut(..part.len())?;
        // SAFETY: as many bytes, which nobody else has.
        unsafe {
            room.as_mut_ptr()
                .cast::<u8>()
                .copy_from_nonoverlapping(part.as_ptr(), part.len())
        };
        self.length += part.len();
        self.bytes.get_mut(self.length)?.write(0);
        Some(())
    }

    #[inline(never)]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the length is below that of the buffer, and so many bytes were written.
        unsafe { core::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.length) }
    }

    pub fn c_str(&self) -> &CStr {
        // SAFETY: as above, and a zero follows whatever was pushed.
        unsafe {
            let bytes = core::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.length + 1);
            CStr::from_bytes_with_nul_unchecked(bytes)
        }
    }

    /// Without its first bytes.
    pub fn remove_front(&mut self, count: usize) {
        let count = count.min(self.length);
        self.bytes.copy_within(count..self.length, 0);
        self.truncate(self.length - count);
    }

    pub fn put_in_front(&mut self, parts: &[&[u8]]) -> Option<()> {
        let mut whole = PathBuffer::new();
        whole.set(parts)?;
        whole.push(self.bytes())?;
        *self = whole;
        Some(())
    }

    pub fn truncate(&mut self, length: usize) {
        self.length = length.min(self.length);
        if let Some(end) = self.bytes.get_mut(self.length) {
            end.write(0);
        }
    }

    /// Becomes the absolute name of `path`, see `absolute`.
    #[inline(never)]
    pub fn make_absolute(&mut self, directory: i32, path: &[u8]) -> Option<()> {
        if is_simple(path) {
            return self.set(&[path]);
        }
        if path.first() == Some(&b'/') {
            return self.join([&[]; 2], path);
        }
        let mut buffer = [0; PATH_MAX];
        let base = if directory == sys::AT_FDCWD {
            sys::getcwd(&mut buffer).ok()?
        } else {
            // Directories below -L are seen with it before their name.
            crate::root_names::guest_name(descriptor_path(directory, &mut buffer)?)
        };
        self.join(crate::shadow::guest_name(base), path)
    }

    /// Becomes what `target` means in an absolute directory, whose name may come in two parts.
    #[inline(never)]
    pub fn join(&mut self, [base, rest]: [&[u8]; 2], target: &[u8]) -> Option<()> {
        self.truncate(0);
        let mut add = |path: &[u8]| {
            path.split(|&byte| byte == b'/')
                .try_for_each(|component| self.push_component(component))
        };
        if target.first() != Some(&b'/') {
            add(base)?;
            add(rest)?;
        }
        add(target)
    }

    /// Appends one component to an absolute path, with the meaning of "." and "..".
    pub fn push_component(&mut self, component: &[u8]) -> Option<()> {
        match component {
            b"" | b"." => Some(()),
            b".." => {
                let parent = self
                    .bytes()
                    .iter()
                    .rposition(|&byte| byte == b'/')
                    .unwrap_or(0);
                self.truncate(parent);
                Some(())
            }
            name => {
                self.push(b"/")?;
                self.push(name)
            }
        }
    }
}

/// Where a path is made and stays: one that is returned by value is copied at each step.
pub struct Room(MaybeUninit<PathBuffer>);

impl Room {
    pub const fn new() -> Room {
        Room(MaybeUninit::uninit())
    }

    pub fn empty(&mut self) -> &mut PathBuffer {
        self.0.write(PathBuffer::new())
    }

    /// The parts, one behind the other. None where that would be too long.
    #[inline(never)]
    pub fn put(&mut self, parts: &[&[u8]]) -> Option<&mut PathBuffer> {
        let path = self.empty();
        path.set(parts)?;
        Some(path)
    }

    /// `prefix`, then `name` with one byte replaced wherever it stands.
    pub fn translate(
        &mut self,
        prefix: &[u8],
        name: &[u8],
        from: u8,
        to: u8,
    ) -> Option<&mut PathBuffer> {
        let path = self.put(&[prefix, name])?;
        for (place, &byte) in path.bytes.iter_mut().skip(prefix.len()).zip(name) {
            place.write(if byte == from { to } else { byte });
        }
        Some(path)
    }
}

/// An absolute name of which nothing would be removed, for all that the quickest look tells.
fn is_simple(path: &[u8]) -> bool {
    let mut slash_before = false;
    let mut doubts = path.first() != Some(&b'/');
    for &byte in path {
        let slash = byte == b'/';
        doubts |= slash_before & (slash | (byte == b'.'));
        slash_before = slash;
    }
    !doubts & !slash_before
}
