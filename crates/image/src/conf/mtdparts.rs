//! `mtdparts=` as the kernel's command line writes it (`drivers/mtd/parsers/cmdlinepart.c`, Linux 6.1):
//! `[mtdparts=]ID:size[@offset][(name)][ro][lk][slc],...[;ID:...]`, size `-` for the rest.

use super::scan::{Scan, str_of};
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
    parts: &'a [u8],
}

/// All definitions of the text: one a chip.
pub struct Definitions<'a>(Scan<'a>);

pub fn definitions(text: &str) -> Definitions<'_> {
    let mut scan = Scan::of(text);
    scan.eat("mtdparts=");
    Definitions(scan)
}

impl<'a> Iterator for Definitions<'a> {
    type Item = Result<Definition<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.0.rest.is_empty() {
            let text = self.0.take_until(b';');
            if !text.is_empty() {
                return Some(definition(text.as_bytes()));
            }
        }
        None
    }
}

fn definition(text: &[u8]) -> Result<Definition<'_>, &'static str> {
    // A name in brackets may hold a colon, and so may the ID.
    let mut scan = Scan { rest: text };
    let before_names = scan.take_while(&|byte| !matches!(byte, b'(' | b','));
    let colon = before_names.bytes().rposition(|byte| byte == b':');
    match colon.and_then(|colon| Some((text.get(..colon)?, text.get(colon + 1..)?))) {
        Some((id, parts)) if !id.is_empty() => Ok(Definition {
            id: str_of(id),
            parts,
        }),
        _ => Err("there is no ID: before the first partition"),
    }
}

impl<'a> Definition<'a> {
    pub fn parts(&self) -> Parts<'a> {
        Parts {
            scan: Scan { rest: self.parts },
            is_over: false,
        }
    }
}

pub struct Parts<'a> {
    scan: Scan<'a>,
    is_over: bool,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let result = part(&mut self.scan);
        let more = self.scan.eat(",");
        self.is_over = !more || result.is_err();
        Some(result.and_then(|part| {
            if !more && !self.scan.rest.is_empty() {
                return Err("after a partition a comma, ro or lk is expected");
            }
            if part.size.is_none() && more {
                self.is_over = true;
                return Err("no partition can follow the one that takes the rest");
            }
            Ok(part)
        }))
    }
}

fn part<'a>(scan: &mut Scan<'a>) -> Result<Part<'a>, &'static str> {
    let size = match scan.eat("-") {
        true => None,
        false => Some(amount(scan).ok_or("a size is expected, such as 256k or -")?),
    };
    if size.is_some_and(|size| size < SIZE_MIN) {
        return Err("a partition is smaller than 4096 bytes, which the kernel refuses");
    }
    let offset = match scan.eat("@") {
        true => Some(amount(scan).ok_or("an offset is expected after @")?),
        false => None,
    };
    let mut name = "";
    if scan.eat("(") {
        name = scan.take_while(&|byte| byte != b')');
        if !scan.eat(")") {
            return Err("a name is not closed with )");
        }
    }
    let part = Part {
        size,
        offset,
        name,
        is_read_only: scan.eat("ro"),
        keeps_lock: scan.eat("lk"),
    };
    if scan.eat("slc") {
        return Err("slc (SLC mode on MLC) is not emulated");
    }
    Ok(part)
}

/// A number as the kernel reads it: 0x is hexadecimal, a leading 0 octal, k m g multiply.
fn amount(scan: &mut Scan<'_>) -> Option<u64> {
    let base = match (scan.base(), scan.rest) {
        (10, [b'0', _, ..]) => 8,
        (base, _) => base,
    };
    let value = scan.number(base)?;
    let shift = scan.peek().and_then(units::shift_of_unit);
    if shift.is_some() {
        scan.skip(1);
    }
    value.checked_mul(1 << shift.unwrap_or(0))
}
