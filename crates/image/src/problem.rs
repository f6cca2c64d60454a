//! A mistake a person can mend: which file, which line, what is wrong, what to do.

use core::fmt::{self, Write};

use crate::os::{Os, errno_text};
use crate::text::{PATH_BYTES_MAX, PathText, Text};

pub const SENTENCE_BYTES_MAX: usize = 256;
pub const LINE_BYTES_MAX: usize = 2 * SENTENCE_BYTES_MAX + PATH_BYTES_MAX + 32;

pub type Sentence = Text<SENTENCE_BYTES_MAX>;

#[derive(Clone, Debug)]
pub struct Problem {
    pub file: PathText,
    /// 0 when no line is meant.
    pub line: u32,
    pub what: Sentence,
    pub fix: Sentence,
}

impl Problem {
    pub fn new(
        file: &PathText,
        line: u32,
        what: fmt::Arguments<'_>,
        fix: fmt::Arguments<'_>,
    ) -> Self {
        let mut problem = Problem {
            file: *file,
            line,
            what: Text::new(),
            fix: Text::new(),
        };
        // Writing to a Text never fails.
        let _ = problem.what.write_fmt(what);
        let _ = problem.fix.write_fmt(fix);
        problem
    }

    /// A system call that failed: what was tried, and the errno in words.
    pub fn of_errno(file: &PathText, tried: &str, errno: i32, fix: &str) -> Self {
        let words = errno_text(errno);
        Self::new(
            file,
            0,
            format_args!("cannot {tried}: {words} (errno {errno})"),
            format_args!("{fix}"),
        )
    }

    /// The whole line, without a newline.
    pub fn to_line(&self) -> Text<LINE_BYTES_MAX> {
        let mut line = Text::new();
        let _ = write!(line, "{self}");
        line
    }

    pub fn report(&self, os: &impl Os) {
        os.report(self.to_line().as_str());
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.as_text())?;
        if self.line != 0 {
            write!(formatter, ":{}", self.line)?;
        }
        write!(formatter, ": {}", self.what)?;
        if !self.fix.is_empty() {
            write!(formatter, "; {}", self.fix)?;
        }
        Ok(())
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
            format_args!("no such key 'sise'"),
            format_args!("did you mean 'size'?"),
        );
        assert_eq!(
            problem.to_line().as_str(),
            "/b/mtdshim.conf:7: no such key 'sise'; did you mean 'size'?"
        );
    }
}
