//! The text as tables, keys and values: the part of TOML that a board needs.
//!
//! Understood: comments, `[a.b]`, `[[a.b.c]]`, `key = value` with bare keys; values are strings on one line ("..."
//! without backslash, or '...'), whole numbers (decimal, 0x, underscores), true, false, and lists of numbers, which may
//! go over several lines.
//!
//! Must not know: which tables and keys there are.

use super::At;
use super::scan::{Scan, str_of};
use crate::problem::Problem;

pub const TABLE_DEPTH_MAX: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    Text(&'a str),
    Number(u64),
    Flag(bool),
    /// What stands between the brackets: see `numbers`.
    List(&'a str),
}

impl Value<'_> {
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Number(_) => "a number",
            Value::Flag(_) => "true or false",
            Value::List(_) => "a list",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item<'a> {
    /// The parts of the name; unused ones are empty.
    Table {
        path: [&'a str; TABLE_DEPTH_MAX],
        is_array: bool,
    },
    Entry {
        key: &'a str,
        value: Value<'a>,
    },
}

pub struct Lexer<'a> {
    scan: Scan<'a>,
    pub at: At<'a>,
}

/// Where a line ends, behind a possible carriage return.
fn is_end(rest: &[u8]) -> bool {
    matches!(rest, [] | [b'\n' | b'#', ..] | [b'\r', b'\n', ..])
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str, at: At<'a>) -> Self {
        let mut scan = Scan {
            rest: text.as_bytes(),
        };
        scan.eat("\u{feff}");
        Lexer {
            scan,
            at: At { line: 1, ..at },
        }
    }

    /// None at the end of the text. The line of the item is in `self.at` until the next call.
    #[inline(never)]
    pub fn next_item(&mut self) -> Result<Option<(u32, Item<'a>)>, Problem> {
        loop {
            self.scan.skip_blanks();
            let line = self.at.line;
            if self.scan.rest.is_empty() {
                return Ok(None);
            }
            if is_end(self.scan.rest) {
                self.skip_line();
                continue;
            }
            let item = match self.scan.peek() {
                Some(b'[') => self.table()?,
                _ => self.entry()?,
            };
            self.scan.skip_blanks();
            if !is_end(self.scan.rest) {
                return Err(self.problem(
                    "something follows where the line should end",
                    "put it on a line of its own",
                ));
            }
            return Ok(Some((line, item)));
        }
    }

    /// What is left of this line.
    fn skip_line(&mut self) {
        self.scan.take_until(b'\n');
        self.at.line = self.at.line.saturating_add(1);
    }

    fn problem(&self, what: &str, fix: &str) -> Problem {
        self.at.problem(format_args!("{what}; {fix}"))
    }

    fn bare_word(&mut self) -> &'a str {
        let is_letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-');
        let word = self.scan.take_while(&is_letter);
        self.scan.skip_blanks();
        word
    }

    fn table(&mut self) -> Result<Item<'a>, Problem> {
        let is_array = self.scan.eat("[[");
        if !is_array {
            self.scan.eat("[");
        }
        let mut path = [""; TABLE_DEPTH_MAX];
        let mut places = path.iter_mut();
        let form = "write [chip.NAME] or [[chip.NAME.partition]], NAME of letters, digits, - and _";
        loop {
            self.scan.skip_blanks();
            let word = self.bare_word();
            match places.next() {
                Some(place) if !word.is_empty() => *place = word,
                _ => return Err(self.problem("this is no name of a table", form)),
            }
            if !self.scan.eat(".") {
                break;
            }
        }
        if !self.scan.eat(if is_array { "]]" } else { "]" }) {
            return Err(self.problem("the name of the table is not closed", form));
        }
        Ok(Item::Table { path, is_array })
    }

    #[inline(never)]
    fn entry(&mut self) -> Result<Item<'a>, Problem> {
        let key = self.bare_word();
        if key.is_empty() || !self.scan.eat("=") {
            return Err(self.problem(
                "this is neither a table nor a key",
                "write key = value, or start a comment with #",
            ));
        }
        self.scan.skip_blanks();
        let value = match self.scan.peek() {
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote)?,
            Some(b'[') => self.list()?,
            _ => self.word()?,
        };
        Ok(Item::Entry { key, value })
    }

    fn word(&mut self) -> Result<Value<'a>, Problem> {
        let is_inside = |c: u8| !matches!(c, b' ' | b'\t' | b'\r' | b'\n' | b'#');
        let value = match self.scan.take_while(&is_inside) {
            "true" => Some(Value::Flag(true)),
            "false" => Some(Value::Flag(false)),
            word => number(word).map(Value::Number),
        };
        value.ok_or_else(|| {
            self.problem(
                "this value is no whole number, true or false",
                "put \"...\" around a text or a size with a unit",
            )
        })
    }

    fn quoted(&mut self, quote: u8) -> Result<Value<'a>, Problem> {
        self.scan.skip(1);
        let is_inside = |c: u8| {
            c != quote && (!c.is_ascii_control() || c == b'\t') && (c != b'\\' || quote != b'"')
        };
        let text = self.scan.take_while(&is_inside);
        match self.scan.peek() {
            Some(c) if c == quote => {
                self.scan.skip(1);
                Ok(Value::Text(text))
            }
            Some(b'\\') => Err(self.problem(
                "a backslash in \"...\" is not understood",
                "use '...' instead",
            )),
            _ => Err(self.problem(
                "the text is not closed on its line",
                "end it with the same quote",
            )),
        }
    }

    fn list(&mut self) -> Result<Value<'a>, Problem> {
        self.scan.skip(1);
        let start = self.scan.rest;
        loop {
            self.scan.take_while(&|c| !matches!(c, b']' | b'\n' | b'#'));
            match self.scan.peek() {
                None => return Err(self.problem("the list is not closed", "end it with ]")),
                Some(b']') => break,
                Some(_) => self.skip_line(),
            }
        }
        let inside = start.get(..start.len() - self.scan.rest.len());
        let inside = str_of(inside.unwrap_or(&[]));
        self.scan.skip(1);
        match numbers(inside).all(|number| number.is_some()) {
            true => Ok(Value::List(inside)),
            false => Err(self.problem(
                "the list holds something else than numbers",
                "write [1, 2, 3]",
            )),
        }
    }
}

/// The numbers of a list; None for what is none.
pub struct Numbers<'a>(Scan<'a>);

pub fn numbers(inside: &str) -> Numbers<'_> {
    Numbers(Scan::of(inside))
}

impl Iterator for Numbers<'_> {
    type Item = Option<u64>;

    fn next(&mut self) -> Option<Option<u64>> {
        loop {
            let word = self
                .0
                .take_while(&|c| !matches!(c, b',' | b'\n' | b'#'))
                .trim_ascii();
            match self.0.peek() {
                // Comments are whole ends of lines.
                Some(b'#') => {
                    self.0.take_while(&|c| c != b'\n');
                }
                None if word.is_empty() => return None,
                _ => self.0.skip(1),
            }
            if !word.is_empty() {
                return Some(number(word));
            }
        }
    }
}

/// A whole number as TOML writes it.
pub fn number(word: &str) -> Option<u64> {
    let mut scan = Scan::of(word);
    // A base is written with a small letter, and a sign before decimal numbers alone.
    let base = if scan.eat("0x") { 16 } else { 10 };
    if base == 10 {
        scan.eat("+");
    }
    let has_leading_zero = base == 10 && matches!(scan.rest, [b'0', _, ..]);
    if has_leading_zero {
        return None;
    }
    let mut value = scan.number(base)?;
    // Underscores stand between digits.
    while scan.eat("_") {
        value = scan.number_after(value, base)?;
    }
    // TOML numbers are signed.
    (scan.rest.is_empty() && value <= i64::MAX as u64).then_some(value)
}
