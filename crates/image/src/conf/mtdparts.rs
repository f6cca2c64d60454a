//! `mtdparts=` as the kernel's command line writes it (`drivers/mtd/parsers/cmdlinepart.c`, Linux 6.1):
//! `[mtdparts=]ID:size[@offset][(name)][ro][lk][slc],...[;ID:...]`, size `-` for the rest.

use super::units;

/// The kernel refuses partitions smaller than a page.
const SIZE_MIN: u64 = 4096;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part<'a> {
    /// None for the rest of the chip.
    pub size: Option<u64>,
    /// None: where the one before ended.
    pub offset: Option<u64>,
    /// Empty: the kernel calls it Partition_NNN.
    pub name: &'a str,
    pub is_read_only: bool,
    /// POWERUP_LOCK is taken away.
    pub keeps_lock: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Definition<'a> {
    pub id: &'a str,
    parts: &'a str,
}

/// All definitions of the text: one a chip.
pub fn definitions(text: &str) -> impl Iterator<Item = Result<Definition<'_>, &'static str>> {
    let text = text.trim();
    let text = text.strip_prefix("mtdparts=").unwrap_or(text);
    text.split(';')
        .filter(|definition| !definition.is_empty())
        .map(definition)
}

fn definition(text: &str) -> Result<Definition<'_>, &'static str> {
    // A name in brackets may hold a colon, and so may the ID.
    let before_names = text
        .find('(')
        .map_or(Some(text), |end| text.get(..end))
        .unwrap_or(text);
    let before_names = before_names
        .split_once(',')
        .map_or(before_names, |(first, _)| first);
    let colon = before_names
        .rfind(':')
        .ok_or("there is no ID: before the first partition")?;
    let id = text.get(..colon).unwrap_or("");
    let parts = text.get(colon + 1..).unwrap_or("");
    if id.is_empty() {
        return Err("there is no ID: before the first partition");
    }
    Ok(Definition { id, parts })
}

impl<'a> Definition<'a> {
    pub fn parts(&self) -> Parts<'a> {
        Parts {
            rest: Some(self.parts),
        }
    }
}

pub struct Parts<'a> {
    rest: Option<&'a str>,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = part(self.rest?);
        match result {
            Ok((part, rest)) => {
                let after = rest.strip_prefix(',');
                self.rest = after;
                if after.is_none() && !rest.is_empty() {
                    return Some(Err("after a partition a comma, ro or lk is expected"));
                }
                if part.size.is_none() && after.is_some() {
                    self.rest = None;
                    return Some(Err("no partition can follow the one that takes the rest"));
                }
                Some(Ok(part))
            }
            Err(what) => {
                self.rest = None;
                Some(Err(what))
            }
        }
    }
}

fn part(text: &str) -> Result<(Part<'_>, &str), &'static str> {
    let (size, text) = match text.strip_prefix('-') {
        Some(rest) => (None, rest),
        None => {
            let (size, rest) = amount(text).ok_or("a size is expected, such as 256k or -")?;
            (Some(size), rest)
        }
    };
    if size.is_some_and(|size| size < SIZE_MIN) {
        return Err("a partition is smaller than 4096 bytes, which the kernel refuses");
    }
    let (offset, text) = match text.strip_prefix('@') {
        Some(rest) => amount(rest)
            .map(|(at, rest)| (Some(at), rest))
            .ok_or("an offset is expected after @")?,
        None => (None, text),
    };
    let (name, mut text) = match text.strip_prefix('(') {
        Some(rest) => rest.split_once(')').ok_or("a name is not closed with )")?,
        None => ("", text),
    };
    let mut part = Part {
        size,
        offset,
        name,
        is_read_only: false,
        keeps_lock: false,
    };
    if let Some(rest) = text.strip_prefix("ro") {
        part.is_read_only = true;
        text = rest;
    }
    if let Some(rest) = text.strip_prefix("lk") {
        part.keeps_lock = true;
        text = rest;
    }
    if text.starts_with("slc") {
        return Err("slc (SLC mode on MLC) is not emulated");
    }
    Ok((part, text))
}

/// A number as the kernel reads it: 0x is hexadecimal, a leading 0 octal, k m g multiply.
fn amount(text: &str) -> Option<(u64, &str)> {
    let (digits, base) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let end = digits
        .find(|c: char| !c.is_digit(base))
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    let value = u64::from_str_radix(digits, base).ok()?;
    let unit = rest
        .get(..1)
        .filter(|unit| matches!(*unit, "k" | "K" | "m" | "M" | "g" | "G"))
        .unwrap_or("");
    Some((
        value.checked_mul(units::size_of_unit(unit))?,
        rest.get(unit.len()..)?,
    ))
}
