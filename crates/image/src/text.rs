//! Text in fixed buffers: names, paths and messages without allocation. Too long is cut at a character, and known.

use core::ffi::CStr;
use core::fmt;

/// The bytes up to the first that is not UTF-8.
fn valid_start(bytes: &[u8]) -> &str {
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or(&[]);
            core::str::from_utf8(valid).unwrap_or("")
        }
    }
}

#[inline(never)]
fn length_to_zero(bytes: &[u8]) -> usize {
    let zero = bytes.iter().position(|&byte| byte == 0);
    zero.unwrap_or(bytes.len())
}

/// Appends what fits, up to the end of a character; whether that is all.
#[inline(never)]
fn append(bytes: &mut [u8], length: &mut usize, text: &str) -> bool {
    let room = bytes.len() - *length;
    let mut take = text.len().min(room);
    while !text.is_char_boundary(take) {
        take -= 1;
    }
    let source = text.as_bytes().get(..take).unwrap_or(&[]);
    if let Some(target) = bytes.get_mut(*length..*length + source.len()) {
        target.copy_from_slice(source);
        *length += source.len();
    }
    take == text.len()
}

#[inline(never)]
fn checked(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or("")
}

/// A text that is being written.
struct Writer<'a> {
    bytes: &'a mut [u8],
    length: &'a mut usize,
    is_cut: &'a mut bool,
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        *self.is_cut |= !append(self.bytes, self.length, text);
        Ok(())
    }
}

/// At most `N` bytes of UTF-8.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    length: usize,
    is_cut: bool,
}

impl<const N: usize> Text<N> {
    pub const fn new() -> Self {
        Text {
            bytes: [0; N],
            length: 0,
            is_cut: false,
        }
    }

    pub fn of(text: &str) -> Self {
        let mut result = Self::new();
        result.push(text);
        result
    }

    /// Bytes of any origin: what is not UTF-8 ends the text.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let end = length_to_zero(bytes);
        Self::of(valid_start(bytes.get(..end).unwrap_or(&[])))
    }

    /// Becomes what was a text once: its bytes are in `load`ed memory, with zeros behind them.
    pub fn load(&mut self, load: impl FnOnce(&mut [u8])) {
        load(&mut self.bytes);
        self.length = length_to_zero(&self.bytes);
        self.is_cut = false;
    }

    pub fn push(&mut self, text: &str) {
        self.is_cut |= !append(&mut self.bytes, &mut self.length, text);
    }

    /// The text instead of what it holds: one that is filled where it lies is not moved.
    pub fn set(&mut self, text: &str) {
        self.length = 0;
        self.is_cut = !append(&mut self.bytes, &mut self.length, text);
    }

    pub fn write(&mut self, what: fmt::Arguments<'_>) {
        let mut writer = Writer {
            bytes: &mut self.bytes,
            length: &mut self.length,
            is_cut: &mut self.is_cut,
        };
        // It never fails.
        let _ = fmt::write(&mut writer, what);
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    pub fn as_str(&self) -> &str {
        checked(self.as_bytes())
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Something did not fit.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl<const N: usize> PartialEq for Text<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl<const N: usize> Eq for Text<N> {}

pub const PATH_BYTES_MAX: usize = 1024;

/// A path, terminated by a zero byte.
#[derive(Clone, Copy)]
pub struct PathText {
    bytes: [u8; PATH_BYTES_MAX],
    length: usize,
    is_valid: bool,
}

impl PathText {
    pub const fn empty() -> Self {
        PathText {
            bytes: [0; PATH_BYTES_MAX],
            length: 0,
            is_valid: true,
        }
    }

    pub fn of(path: &[u8]) -> Self {
        let mut result = Self::empty();
        result.push(path);
        result
    }

    /// The parts instead of what it holds: a path that is filled where it lies is not moved.
    pub fn set(&mut self, parts: &[&[u8]]) {
        *self = Self::empty();
        for part in parts {
            self.push(part);
        }
    }

    /// `name` below `directory`, or `name` alone when it is absolute.
    pub fn join(directory: &PathText, name: impl AsRef<[u8]>) -> Self {
        Self::joined(directory, name.as_ref())
    }

    fn joined(directory: &PathText, name: &[u8]) -> Self {
        if name.first() == Some(&b'/') {
            return Self::of(name);
        }
        let mut result = *directory;
        if !matches!(directory.as_bytes().last(), None | Some(b'/')) {
            result.push(b"/");
        }
        result.push(name);
        result
    }

    pub fn with_suffix(&self, suffix: &str) -> Self {
        let mut result = *self;
        result.push(suffix.as_bytes());
        result
    }

    fn push(&mut self, more: &[u8]) {
        // The last byte stays zero.
        let end = self.length + more.len();
        let zeros = more
            .iter()
            .fold(0, |zeros, &byte| zeros + u32::from(byte == 0));
        match self.bytes.get_mut(self.length..end) {
            Some(target) if end < PATH_BYTES_MAX && zeros == 0 => {
                target.copy_from_slice(more);
                self.length = end;
            }
            _ => self.is_valid = false,
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }

    /// Too long or with a zero byte inside: an empty path, which no system call accepts.
    pub fn as_cstr(&self) -> &CStr {
        if !self.is_valid {
            return c"";
        }
        // SAFETY: no zero is ever written; one follows, as nothing is written to the last byte.
        unsafe { CStr::from_bytes_with_nul_unchecked(self.bytes.get_unchecked(..=self.length)) }
    }

    pub fn is_valid(&self) -> bool {
        self.is_valid
    }

    /// For messages: what is not UTF-8 ends it.
    pub fn as_str(&self) -> &str {
        valid_start(self.as_bytes())
    }

    /// The directory part ("." when there is none).
    pub fn parent(&self) -> &[u8] {
        match self.as_bytes().iter().rposition(|&byte| byte == b'/') {
            Some(0) => b"/",
            Some(position) => self.as_bytes().get(..position).unwrap_or(b"."),
            None => b".",
        }
    }

    /// The part after the last slash.
    pub fn file_name(&self) -> &[u8] {
        let start = self
            .as_bytes()
            .iter()
            .rposition(|&byte| byte == b'/')
            .map_or(0, |at| at + 1);
        self.as_bytes().get(start..).unwrap_or(&[])
    }
}

impl core::fmt::Debug for PathText {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character_and_says_so() {
        let mut text = Text::<4>::new();
        text.push("abcé");
        assert_eq!(text.as_str(), "abc");
        assert!(text.is_cut());
    }

    #[test]
    fn text_ends_at_zero_or_at_a_byte_that_is_not_utf8() {
        assert_eq!(Text::<8>::of_bytes(b"ab\0cd").as_str(), "ab");
        assert_eq!(Text::<8>::of_bytes(b"ab\xffcd").as_str(), "ab");
    }

    #[test]
    fn paths_join_and_split() {
        let directory = PathText::of(b"/srv/board");
        assert_eq!(
            PathText::join(&directory, "nor0.bin").as_cstr(),
            c"/srv/board/nor0.bin"
        );
        assert_eq!(PathText::join(&directory, "/x").as_cstr(), c"/x");
        assert_eq!(PathText::of(b"mtdshim.conf").parent(), b".");
        assert_eq!(PathText::of(b"/a").parent(), b"/");
        assert_eq!(PathText::of(b"/a/b.conf").file_name(), b"b.conf");
    }

    #[test]
    fn a_path_that_is_too_long_becomes_one_no_call_accepts() {
        let long = PathText::of(&[b'a'; PATH_BYTES_MAX]);
        assert!(!long.is_valid());
        assert_eq!(long.as_cstr(), c"");
    }
}
