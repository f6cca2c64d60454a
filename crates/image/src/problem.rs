//! A mistake a person can mend: which file, which line, what is wrong, what to do.
//!
//! It is one finished line in memory of its own, so that what may fail returns two words and not two kilobytes.

use core::fmt::{self, Write};

use crate::memory::Memory;
use crate::os::{Os, errno_text};
use crate::text::PathText;

pub const LINE_BYTES_MAX: usize = 2048;

/// Zero bytes end the line. None of it when there was no memory for the words.
pub struct Problem(Option<Memory>);

impl Problem {
    /// `what` is wrong, and behind a semicolon what to do.
    pub fn new(file: &PathText, line: u32, what: fmt::Arguments<'_>) -> Self {
        let mut memory = Memory::new(LINE_BYTES_MAX);
        if let Some(memory) = &mut memory {
            let mut text = Line(memory);
            // What is too long is cut, and says so by its end; writing never fails.
            let _ = text.write_str(file.as_str());
            if line != 0 {
                let _ = write!(text, ":{line}");
            }
            let _ = text.write_str(": ");
            let _ = text.write_fmt(what);
        }
        Problem(memory)
    }

    /// A system call that failed: what was tried, and the errno in words.
    pub fn of_errno(file: &PathText, tried: &str, errno: i32, fix: &str) -> Self {
        let words = errno_text(errno);
        Self::of_words(
            file,
            format_args!("cannot {tried}: {words} (errno {errno})"),
            fix,
        )
    }

    /// A remedy that is a text as it is, or none.
    pub fn of_words(file: &PathText, what: fmt::Arguments<'_>, fix: &str) -> Self {
        let between = if fix.is_empty() { "" } else { "; " };
        Self::new(file, 0, format_args!("{what}{between}{fix}"))
    }

    /// The whole line, without a newline.
    pub fn line(&self) -> &str {
        let line = self.0.as_deref().unwrap_or(b"out of memory\0");
        let line = line.split(|&byte| byte == 0).next().unwrap_or(&[]);
        core::str::from_utf8(line).unwrap_or("")
    }

    #[cold]
    pub fn report(&self, os: &impl Os) {
        os.report(self.line());
    }
}

/// What is left of the memory; the last byte stays zero.
struct Line<'a>(&'a mut [u8]);

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut length = text.len().min(self.0.len().saturating_sub(1));
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        let rest = core::mem::take(&mut self.0);
        if let Some((to, rest)) = rest.split_at_mut_checked(length) {
            to.copy_from_slice(text.as_bytes().get(..length).unwrap_or(&[]));
            self.0 = rest;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.line())
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_with_file_line_and_remedy() {
        let file = PathText::of(b"/b/mtdshim.conf");
        let problem = Problem::new(
            &file,
            7,
            format_args!("no such key 'sise'; did you mean 'size'?"),
        );
        assert_eq!(
            problem.line(),
            "/b/mtdshim.conf:7: no such key 'sise'; did you mean 'size'?"
        );
    }
}
