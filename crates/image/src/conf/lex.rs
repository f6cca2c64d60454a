//! The text as tables, keys and values: the part of TOML that a board needs.
//!
//! Understood: comments, `[a.b]`, `[[a.b.c]]`, `key = value` with bare keys; values are strings on one line ("..."
//! without backslash, or '...'), whole numbers (decimal, 0x, underscores), true, false, and lists of numbers, which may
//! go over several lines.
//!
//! Must not know: which tables and keys there are.

use super::At;
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
    rest: &'a str,
    pub at: At<'a>,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str, at: At<'a>) -> Self {
        Lexer {
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            at: At { line: 1, ..at },
        }
    }

    /// None at the end of the text. The line of the item is in `self.at` until the next call.
    pub fn next_item(&mut self) -> Result<Option<(u32, Item<'a>)>, Problem> {
        loop {
            self.skip_blanks();
            let line = self.at.line;
            match self.rest.chars().next() {
                None => return Ok(None),
                Some('\n') => self.advance_line(),
                Some('\r') if self.rest.starts_with("\r\n") => {
                    self.rest = self.rest.get(1..).unwrap_or("")
                }
                Some('#') => self.skip_comment(),
                Some('[') => {
                    let item = self.table()?;
                    return self.end_of_line().map(|()| Some((line, item)));
                }
                Some(_) => {
                    let item = self.entry()?;
                    return self.end_of_line().map(|()| Some((line, item)));
                }
            }
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn skip_comment(&mut self) {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        self.rest = self.rest.get(end..).unwrap_or("");
    }

    fn advance_line(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or("");
        self.at.line = self.at.line.saturating_add(1);
    }

    fn problem(&self, what: &str, fix: &str) -> Problem {
        self.at
            .problem(format_args!("{what}"), format_args!("{fix}"))
    }

    fn end_of_line(&mut self) -> Result<(), Problem> {
        self.skip_blanks();
        match self.rest.chars().next() {
            None | Some('\n' | '#') => Ok(()),
            Some('\r') if self.rest.starts_with("\r\n") => Ok(()),
            Some(_) => Err(self.problem(
                "something follows where the line should end",
                "put it on a line of its own",
            )),
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn bare_word(&mut self) -> &'a str {
        let is_other = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let (word, rest) = self
            .rest
            .split_at_checked(self.rest.find(is_other).unwrap_or(self.rest.len()))
            .unwrap_or(("", ""));
        self.rest = rest;
        word
    }

    fn table(&mut self) -> Result<Item<'a>, Problem> {
        let is_array = self.eat("[[");
        if !is_array {
            self.eat("[");
        }
        let mut path = [""; TABLE_DEPTH_MAX];
        let mut places = path.iter_mut();
        let form = "write [chip.NAME] or [[chip.NAME.partition]], NAME of letters, digits, - and _";
        loop {
            self.skip_blanks();
            let word = self.bare_word();
            match places.next() {
                Some(place) if !word.is_empty() => *place = word,
                _ => return Err(self.problem("this is no name of a table", form)),
            }
            self.skip_blanks();
            if !self.eat(".") {
                break;
            }
        }
        if !self.eat(if is_array { "]]" } else { "]" }) {
            return Err(self.problem("the name of the table is not closed", form));
        }
        Ok(Item::Table { path, is_array })
    }

    fn entry(&mut self) -> Result<Item<'a>, Problem> {
        let key = self.bare_word();
        self.skip_blanks();
        if key.is_empty() || !self.eat("=") {
            return Err(self.problem(
                "this is neither a table nor a key",
                "write key = value, or start a comment with #",
            ));
        }
        self.skip_blanks();
        let value = self.value()?;
        Ok(Item::Entry { key, value })
    }

    fn value(&mut self) -> Result<Value<'a>, Problem> {
        match self.rest.chars().next() {
            Some('"') => self.quoted('"'),
            Some('\'') => self.quoted('\''),
            Some('[') => self.list(),
            _ => {
                let is_end = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n' | '#');
                let end = self.rest.find(is_end).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at_checked(end).unwrap_or(("", ""));
                let value = match word {
                    "true" => Some(Value::Flag(true)),
                    "false" => Some(Value::Flag(false)),
                    _ => number(word).map(Value::Number),
                };
                let value = value.ok_or_else(|| {
                    self.problem(
                        "this value is no whole number, true or false",
                        "put \"...\" around a text or a size with a unit",
                    )
                })?;
                self.rest = rest;
                Ok(value)
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Value<'a>, Problem> {
        let inside = self.rest.get(1..).unwrap_or("");
        let is_stop =
            |c: char| c == quote || c.is_control() && c != '\t' || c == '\\' && quote == '"';
        let end = inside.find(is_stop).unwrap_or(inside.len());
        let (text, rest) = inside.split_at_checked(end).unwrap_or(("", ""));
        match rest.chars().next() {
            Some(c) if c == quote => {}
            Some('\\') => {
                return Err(self.problem(
                    "a backslash in \"...\" is not understood",
                    "use '...' instead",
                ));
            }
            _ => {
                return Err(self.problem(
                    "the text is not closed on its line",
                    "end it with the same quote",
                ));
            }
        }
        self.rest = rest.get(1..).unwrap_or("");
        Ok(Value::Text(text))
    }

    fn list(&mut self) -> Result<Value<'a>, Problem> {
        let start = self.rest.get(1..).unwrap_or("");
        self.rest = start;
        loop {
            match self.rest.chars().next() {
                None => return Err(self.problem("the list is not closed", "end it with ]")),
                Some(']') => break,
                Some('\n') => self.advance_line(),
                Some('#') => self.skip_comment(),
                Some(c) => self.rest = self.rest.get(c.len_utf8()..).unwrap_or(""),
            }
        }
        let inside = start.get(..start.len() - self.rest.len()).unwrap_or("");
        self.eat("]");
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
pub fn numbers(inside: &str) -> impl Iterator<Item = Option<u64>> + '_ {
    // Comments are whole ends of lines, so what is left of a line before # counts.
    let lines = inside
        .split('\n')
        .map(|line| line.split('#').next().unwrap_or(""));
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(number)
}

/// A whole number as TOML writes it.
pub fn number(word: &str) -> Option<u64> {
    let (digits, base) = match word.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (word.strip_prefix('+').unwrap_or(word), 10),
    };
    let has_leading_zero = base == 10 && digits.len() > 1 && digits.starts_with('0');
    let is_misplaced = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    if digits.is_empty() || has_leading_zero || is_misplaced {
        return None;
    }
    let mut value = 0u64;
    for c in digits.chars().filter(|&c| c != '_') {
        value = value
            .checked_mul(base)?
            .checked_add(u64::from(c.to_digit(base as u32)?))?;
    }
    // TOML numbers are signed.
    (value <= i64::MAX as u64).then_some(value)
}
