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
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

pub const PROC_MTD_HEADER: &[u8] = b"dev:    size   erasesize  name\n";

/// One line of /proc/mtd.
pub fn proc_mtd_line(text: &mut Text<'_>, device: &Device<'_>) {
    // Writing to a Text cannot fail.
    let _ = write!(
        text,
        "mtd{}: {:08x} {:08x} \"",
        device.index, device.size, device.erasesize
    );
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
    device: &Device<'_>,
    node: Node,
) -> impl Iterator<Item = (&'static [u8], &'static [u8])> + use<> {
    let is_partition = device.is_partition;
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
    texts(device, node).map(|(name, _)| name)
}

/// The text of an attribute, still with its letters; None if the directory has no such file.
#[inline(never)]
fn template(device: &Device<'_>, node: Node, name: &[u8]) -> Option<&'static [u8]> {
    texts(device, node)
        .find(|(known, _)| *known == name)
        .map(|(_, text)| text)
}

pub fn has_attribute(device: &Device<'_>, node: Node, name: &[u8]) -> bool {
    template(device, node, name).is_some()
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

/// Value of an attribute with its newline; None if the directory has no such file.
pub fn attribute(
    text: &mut Text<'_>,
    device: &Device<'_>,
    stats: EccStats,
    bitflip_threshold: u32,
    node: Node,
    name: &[u8],
) -> Option<()> {
    let mut rest = template(device, node, name)?.iter();
    while let Some(&byte) = rest.next() {
        let geometry = device.geometry;
        let number: u64 = match byte {
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
                    // Writing to a Text cannot fail.
                    let _ = write!(text, "{:#x}", device.flags);
                    continue;
                }
                b'i' => device.index.into(),
                b'm' => u64::from(device.index) * 2,
                b'r' => u64::from(device.index) * 2 + 1,
                b'd' => u64::from(device.index) + 1,
                b's' => device.size,
                b'S' => device.size / block::SECTOR_SIZE,
                b'y' => (!device.is_writeable()).into(),
                b'p' => device.parent_offset,
                b'e' => device.erasesize.into(),
                b'w' => geometry.writesize.into(),
                b'u' => (geometry.writesize >> geometry.subpage_shift).into(),
                b'o' => geometry.oobsize.into(),
                b'a' => geometry.oobavail().into(),
                b'l' if device.is_partition => 0,
                b'l' => geometry.region_count.into(),
                b'h' => geometry.ecc_strength().into(),
                b'g' => geometry.ecc_step_size().into(),
                b'T' => bitflip_threshold.into(),
                b'C' => stats.corrected.into(),
                b'F' => stats.failed.into(),
                b'B' => stats.bad_blocks.into(),
                _ => stats.bbt_blocks.into(),
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
        let _ = write!(text, "{number}");
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
