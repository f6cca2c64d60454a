//! The texts of /proc/mtd, /sys/class/mtd and the block entries, byte for byte.

use crate::{Device, EccStats, block};
use core::fmt::{self, Write};
use mtd_abi::{MTD_BLOCK_MAJOR, MTD_CHAR_MAJOR, kind};

/// Text in a buffer of the caller; what does not fit is cut.
pub struct Text<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl<'a> Text<'a> {
    pub fn new(buffer: &'a mut [u8]) -> Text<'a> {
        Text { buffer, length: 0 }
    }

    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or(&[])
    }

    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(slot) = self.buffer.get_mut(self.length) {
                *slot = byte;
                self.length += 1;
            }
        }
    }

    /// Without the formatting of the language, which is a hundred jumps when it is used first.
    fn push_decimal(&mut self, mut number: u64) {
        let mut digits = [0; 20];
        let mut length = 0;
        for digit in digits.iter_mut().rev() {
            let tenth = match u32::try_from(number) {
                // The compiler would call a division.
                Ok(small) => (u64::from(small) * 0xcccc_cccd) >> 35,
                Err(_) => number / 10,
            };
            *digit = b'0' + (number - 10 * tenth) as u8;
            length += 1;
            number = tenth;
            if number == 0 {
                break;
            }
        }
        self.push(digits.get(digits.len() - length..).unwrap_or(&[]));
    }

    /// At least so many digits.
    fn push_hexadecimal(&mut self, mut number: u64, digits: u32) {
        let mut started = false;
        for place in (0..16).rev() {
            number = number.rotate_left(4);
            let digit = (number & 15) as u8;
            started |= (digit != 0) | (place < digits);
            let letter = if digit < 10 { b'0' } else { b'a' - 10 };
            if started {
                self.push(&[letter + digit]);
            }
        }
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }

    /// Signs and what fills up, which is all that formatting writes by letters: one byte each.
    fn write_char(&mut self, letter: char) -> fmt::Result {
        self.push(&[letter as u8]);
        Ok(())
    }
}

pub const PROC_MTD_HEADER: &[u8] = b"dev:    size   erasesize  name\n";

/// One line of /proc/mtd.
pub fn proc_mtd_line(text: &mut Text<'_>, device: &Device<'_>) {
    text.push(b"mtd");
    text.push_decimal(device.index.into());
    text.push(b": ");
    text.push_hexadecimal(device.size, 8);
    text.push(b" ");
    text.push_hexadecimal(device.erasesize.into(), 8);
    text.push(b" \"");
    text.push(device.name);
    text.push(b"\"\n");
}

/// The file of an attribute in a directory of sysfs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Node {
    /// mtdN
    Char,
    /// mtdNro
    ReadOnly,
    /// mtdblockN
    Block,
}

/// The attributes of a directory and their texts, one a line: `;` is a line's end, `#` a further column with a zero, `%` and a
/// letter a value of the device.
const MTD_TEXTS: &[u8] = b"\
bad_blocks %B;
bbt_blocks %R;
bitflip_threshold %T;
corrected_bits %C;
dev 90:%m;
ecc_failures %F;
ecc_step_size %g;
ecc_strength %h;
erasesize %e;
flags %x;
name %n;
numeraseregions %l;
offset %p;
oobavail %a;
oobsize %o;
size %s;
subpagesize %u;
type %k;
uevent MAJOR=90;MINOR=%m;DEVNAME=mtd%i;DEVTYPE=mtd;
writesize %w;";
const MTD_RO_TEXTS: &[u8] = b"\
dev 90:%r;
uevent MAJOR=90;MINOR=%r;DEVNAME=mtd%iro;";
const BLOCK_TEXTS: &[u8] = b"\
alignment_offset 0;
capability 4;
dev 31:%i;
discard_alignment 0;
diskseq %d;
events \n\
events_async \n\
events_poll_msecs -1;
ext_range 1;
hidden 0;
inflight        0#;
range 1;
removable 0;
ro %y;
size %S;
stat        0################;
uevent MAJOR=31;MINOR=%i;DEVNAME=mtdblock%i;DEVTYPE=disk;DISKSEQ=%d;";
const _: () = assert!(MTD_CHAR_MAJOR == 90 && MTD_BLOCK_MAJOR == 31);

/// Names and texts of the attributes that a device has.
fn texts(
    is_partition: bool,
    node: Node,
) -> impl Iterator<Item = (&'static [u8], &'static [u8])> + use<> {
    let all = match node {
        Node::Char => MTD_TEXTS,
        Node::ReadOnly => MTD_RO_TEXTS,
        Node::Block => BLOCK_TEXTS,
    };
    let lines = all.split(|&byte| byte == b'\n').map(|line| {
        let blank = line.iter().position(|&byte| byte == b' ');
        let (name, text) = line.split_at(blank.unwrap_or(line.len()));
        (name, text.get(1..).unwrap_or(&[]))
    });
    lines.filter(move |(name, _)| *name != b"offset" || is_partition)
}

pub fn attributes(device: &Device<'_>, node: Node) -> impl Iterator<Item = &'static [u8]> + use<> {
    texts(device.is_partition, node).map(|(name, _)| name)
}

/// The text of an attribute, still with its letters; None if the directory has no such file.
#[inline(never)]
fn template(is_partition: bool, node: Node, name: &[u8]) -> Option<&'static [u8]> {
    texts(is_partition, node)
        .find(|(known, _)| *known == name)
        .map(|(_, text)| text)
}

pub fn has_attribute(is_partition: bool, node: Node, name: &[u8]) -> bool {
    template(is_partition, node, name).is_some()
}

/// `uevent` and a few others can be written by root.
pub fn is_writable(node: Node, name: &[u8]) -> bool {
    name == b"uevent" || (node == Node::Char && name == b"bitflip_threshold")
}

fn type_name(number: u8) -> &'static str {
    match number {
        kind::ABSENT => "absent",
        kind::RAM => "ram",
        kind::ROM => "rom",
        kind::NORFLASH => "nor",
        kind::NANDFLASH => "nand",
        kind::DATAFLASH => "dataflash",
        kind::UBIVOLUME => "ubi",
        kind::MLCNANDFLASH => "mlc-nand",
        _ => "unknown",
    }
}

/// The value behind a letter. Most are put into a list: to choose one first is a chain of as many jumps.
fn number_of(letter: u8, device: &Device<'_>, stats: EccStats, bitflip_threshold: u32) -> u64 {
    match letter {
        b's' => return device.size,
        b'S' => return device.size / block::SECTOR_SIZE,
        b'p' => return device.parent_offset,
        _ => {}
    }
    let geometry = device.geometry;
    let index = device.index;
    let regions = if device.is_partition {
        0
    } else {
        geometry.region_count
    };
    let numbers = [
        index,
        index * 2,
        index * 2 + 1,
        index + 1,
        (!device.is_writeable()).into(),
        device.erasesize,
        geometry.writesize,
        geometry.writesize >> geometry.subpage_shift,
        geometry.oobsize,
        geometry.oobavail(),
        regions.into(),
        geometry.ecc_strength(),
        geometry.ecc_step_size(),
        bitflip_threshold,
        stats.corrected,
        stats.failed,
        stats.bad_blocks,
        stats.bbt_blocks,
    ];
    let letters = b"imrdyewuoalhgTCFBR";
    let mut named = letters.iter().zip(numbers);
    let number = named.find(|(name, _)| **name == letter);
    number.map_or(0, |(_, number)| number.into())
}

/// Value of an attribute with its newline; None if the directory has no such file.
pub fn attribute(
    text: &mut Text<'_>,
    device: &Device<'_>,
    stats: EccStats,
    bitflip_threshold: u32,
    node: Node,
    name: &[u8],
) -> Option<()> {
    let mut rest = template(device.is_partition, node, name)?.iter();
    while let Some(&byte) = rest.next() {
        let number = match byte {
            b'%' => match rest.next()? {
                b'k' => {
                    text.push(type_name(device.kind_number()).as_bytes());
                    continue;
                }
                b'n' => {
                    text.push(device.name);
                    continue;
                }
                b'x' => {
                    text.push(b"0x");
                    text.push_hexadecimal(device.flags.into(), 1);
                    continue;
                }
                &letter => number_of(letter, device, stats, bitflip_threshold),
            },
            b';' => {
                text.push(b"\n");
                continue;
            }
            b'#' => {
                text.push(b"        0");
                continue;
            }
            byte => {
                text.push(&[byte]);
                continue;
            }
        };
        text.push_decimal(number);
    }
    Some(())
}

/// Lines of a `uevent` that are kept with blanks between them: those that begin so.
pub fn uevent_lines<'a>(kept: &'a [u8], beginning: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    kept.split(|&byte| byte == b' ')
        .filter(move |line| line.starts_with(beginning) && !line.is_empty())
}

/// What stands behind the beginning of the first such line; empty without one.
#[inline(never)]
pub fn uevent_value<'a>(kept: &'a [u8], beginning: &'a [u8]) -> &'a [u8] {
    let mut lines = uevent_lines(kept, beginning);
    let value = lines.next().and_then(|line| line.get(beginning.len()..));
    value.unwrap_or(&[])
}

/// The same lines as a file has them.
#[inline(never)]
pub fn push_uevent(text: &mut Text<'_>, kept: &[u8], beginning: &[u8]) {
    for line in uevent_lines(kept, beginning) {
        text.push(line);
        text.push(b"\n");
    }
}

/// The name of the bus in sysfs, by the alias that its devices have for their drivers.
pub fn bus(kept: &[u8]) -> &[u8] {
    let alias = uevent_value(kept, b"MODALIAS=");
    match alias.split(|&byte| byte == b':').next() {
        Some(b"of") => b"platform",
        bus => bus.unwrap_or(alias),
    }
}

/// What writing to `bitflip_threshold` means: any base, an optional newline, 32 bits.
pub fn parse_threshold(bytes: &[u8]) -> Result<u32, mtd_abi::errno::Errno> {
    use mtd_abi::errno::Errno;
    let digits = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let (digits, base) = match digits {
        [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (rest, 16),
        [b'0', rest @ ..] if !rest.is_empty() => (rest, 8),
        _ => (digits, 10),
    };
    if digits.is_empty() {
        return Err(Errno::EINVAL);
    }
    let mut value = 0u64;
    for &byte in digits {
        let digit = (byte as char).to_digit(base).ok_or(Errno::EINVAL)?;
        value = value
            .saturating_mul(base.into())
            .saturating_add(digit.into());
    }
    u32::try_from(value).map_err(|_| Errno::ERANGE)
}
