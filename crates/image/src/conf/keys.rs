//! The keys of a table and the values they were given, checked one by one when they are read.

use super::lex::Value;
use super::{At, scan, units};
use crate::board::{FILE_NAME_BYTES, MTD_NAME_BYTES};
use crate::presets;
use crate::problem::Problem;

pub const KEYS_MAX: usize = 27;

/// What a key takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Text,
    /// The name of a device.
    Name,
    /// The name of a file, or another text of that length.
    File,
    /// The directory of a device in sysfs.
    Device,
    /// Bytes.
    Size,
    Flag,
    Numbers,
    /// A count and a length: kept as the two halves of a number.
    Times,
    Preset,
    // One of a list of words: kept as its place there.
    Kind,
    Driver,
    Ecc,
    Lock,
    Marks,
}

pub struct Keys {
    /// In their order, with blanks between them.
    pub names: &'static str,
    pub takes: &'static [Takes],
}

pub const KINDS: &str = "nor nand mlc-nand ram rom dataflash";
pub const DRIVERS: &str = "spi-nor cfi cfi-amd other mtdram nandsim spi-nand";
pub const ECCS: &str = "none on-die hamming bch1 bch2 bch3 bch4 bch5 bch6 bch7 bch8";
pub const LOCKS: &str = "none per-block block-protect block-protect-tb block-protect-4bit block-protect-4bit-tb block-protect-programs no-effect";
/// In the order of `geometry_words::MARKS`.
pub const MARKS: &str = "first first-second first-second-last last";

const OTP_BYTES_MAX: u64 = 1 << 20;

/// A table of the text.
#[derive(Clone, Copy)]
pub struct Draft<'a> {
    /// The NAME of `[chip.NAME]`.
    pub name: &'a str,
    /// The line of its head.
    pub at: At<'a>,
    keys: &'static Keys,
    /// The line of each key, 0 when it is not there.
    lines: [u32; KEYS_MAX],
    values: [Option<Value<'a>>; KEYS_MAX],
}

impl<'a> Draft<'a> {
    pub fn new(keys: &'static Keys, name: &'a str, at: At<'a>) -> Self {
        Draft {
            name,
            at,
            keys,
            lines: [0; KEYS_MAX],
            values: [None; KEYS_MAX],
        }
    }

    pub fn set(&mut self, key: &'a str, value: Value<'a>, at: At<'a>) -> Result<(), Problem> {
        let index = at.index_of_key(self.keys.names, key)?;
        if let Some(line) = self.lines.get_mut(index) {
            at.check_first(key, *line)?;
            *line = at.line;
        }
        let Some(&takes) = self.keys.takes.get(index) else {
            return Ok(());
        };
        let checked = check(at, takes, key, value)?;
        self.put(index, checked);
        Ok(())
    }

    fn put(&mut self, index: usize, value: Value<'a>) {
        if let Some(place) = self.values.get_mut(index) {
            *place = Some(value);
        }
    }

    /// A value of a preset, where the text says nothing; one that cannot be is none.
    pub fn set_default(&mut self, index: usize, text: &'a str) {
        if !self.is_said(index)
            && let Some(&takes) = self.keys.takes.get(index)
            && let Ok(value) = check(self.at, takes, "", Value::Text(text))
        {
            self.put(index, value);
        }
    }

    pub fn is_said(&self, index: usize) -> bool {
        self.lines.get(index).is_some_and(|&line| line != 0)
    }

    /// Where a key stands, or the table when it is not there.
    pub fn at_key(&self, index: usize) -> At<'a> {
        match self.lines.get(index) {
            Some(&line) if line != 0 => At { line, ..self.at },
            _ => self.at,
        }
    }

    fn value(&self, index: usize) -> Option<Value<'a>> {
        self.values.get(index).copied().flatten()
    }

    pub fn number(&self, index: usize) -> Option<u64> {
        match self.value(index) {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    pub fn text(&self, index: usize) -> Option<&'a str> {
        match self.value(index) {
            Some(Value::Text(text) | Value::List(text)) => Some(text),
            _ => None,
        }
    }

    pub fn flag(&self, index: usize) -> bool {
        self.value(index) == Some(Value::Flag(true))
    }
}

/// The value as it is kept.
fn check<'a>(at: At<'a>, takes: Takes, key: &str, value: Value<'a>) -> Result<Value<'a>, Problem> {
    let text = match (takes, value) {
        (Takes::Flag, Value::Flag(_))
        | (Takes::Numbers, Value::List(_))
        | (Takes::Size, Value::Number(_)) => return Ok(value),
        (Takes::Flag, Value::Text("true")) if key.is_empty() => return Ok(Value::Flag(true)),
        (Takes::Flag, _) => return Err(at.wrong_kind(key, value, "true or false")),
        (Takes::Numbers, _) => return Err(at.wrong_kind(key, value, "[1, 2]")),
        (_, Value::Text(text)) => text,
        (Takes::Size, _) => return Err(at.wrong_kind(key, value, "\"64K\"")),
        _ => return Err(at.wrong_kind(key, value, "\"...\"")),
    };
    let choices = match takes {
        Takes::Size => return size(at, key, text).map(Value::Number),
        Takes::Times => return times(at, key, text).map(Value::Number),
        Takes::Preset => return presets::check(at, text).map(|()| value),
        Takes::Name => return short(at, key, text, MTD_NAME_BYTES).map(|()| value),
        Takes::Device if !is_device(text) => {
            return Err(at.wrong_kind(key, value, "\"/sys/devices/...\""));
        }
        Takes::File | Takes::Device => {
            return short(at, key, text, FILE_NAME_BYTES).map(|()| value);
        }
        Takes::Kind => KINDS,
        Takes::Driver => DRIVERS,
        Takes::Ecc => ECCS,
        Takes::Lock => LOCKS,
        Takes::Marks => MARKS,
        _ => return Ok(value),
    };
    match scan::index_of(choices, text) {
        Some(index) => Ok(Value::Number(index as u64)),
        None => Err(at.problem(format_args!(
            "{key} = \"{text}\" is not known; possible are: {choices}"
        ))),
    }
}

pub fn flag(at: At<'_>, key: &str, value: Value<'_>) -> Result<bool, Problem> {
    check(at, Takes::Flag, key, value).map(|value| value == Value::Flag(true))
}

/// A directory below /sys/devices: no empty component, and none that a dot begins.
fn is_device(text: &str) -> bool {
    let mut pairs = text.as_bytes().windows(2);
    let is_clean = !pairs.any(|pair| matches!(pair, b"//" | b"/."));
    is_clean && text.starts_with("/sys/devices/") && !text.ends_with('/')
}

/// A text that is kept in `room` bytes with a zero behind it.
fn short(at: At<'_>, key: &str, text: &str, room: usize) -> Result<(), Problem> {
    if text.len() < room && !text.is_empty() {
        return Ok(());
    }
    Err(at.problem(format_args!(
        "{key} has {} bytes; 1 to {} are possible",
        text.len(),
        room - 1
    )))
}

fn size(at: At<'_>, key: &str, text: &str) -> Result<u64, Problem> {
    units::size(text).ok_or_else(|| {
        at.problem(format_args!(
            "{key} = \"{text}\" is no size; write a number, with K, M or G if you like: \"64K\""
        ))
    })
}

fn times(at: At<'_>, key: &str, text: &str) -> Result<u64, Problem> {
    match units::times(text) {
        Some((count, length))
            if length > 0 && u64::from(count) * u64::from(length) <= OTP_BYTES_MAX =>
        {
            Ok(u64::from(count) << 32 | u64::from(length))
        }
        _ => Err(at.problem(format_args!(
            "{key} cannot be read; write regions x bytes, at most 1M: \"3x256\""
        ))),
    }
}
