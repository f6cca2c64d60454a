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

pub const MTD_ATTRIBUTES: &str = "bad_blocks bbt_blocks bitflip_threshold corrected_bits dev ecc_failures ecc_step_size \
    ecc_strength erasesize flags name numeraseregions offset oobavail oobsize size subpagesize type \
    uevent writesize";
pub const MTD_RO_ATTRIBUTES: &str = "dev uevent";
pub const BLOCK_ATTRIBUTES: &str = "alignment_offset capability dev discard_alignment diskseq events events_async events_poll_msecs \
    ext_range hidden inflight range removable ro size stat uevent";

/// Attributes that a device has at all: `offset` only on partitions.
pub fn attributes(node: Node) -> impl Iterator<Item = &'static str> {
    let names = match node {
        Node::Char => MTD_ATTRIBUTES,
        Node::ReadOnly => MTD_RO_ATTRIBUTES,
        Node::Block => BLOCK_ATTRIBUTES,
    };
    names.split_ascii_whitespace()
}

pub fn has_attribute(device: &Device<'_>, node: Node, name: &[u8]) -> bool {
    attributes(node).any(|known| known.as_bytes() == name)
        && (node != Node::Char || name != b"offset" || device.is_partition)
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
    if !has_attribute(device, node, name) {
        return None;
    }
    let name = core::str::from_utf8(name).ok()?;
    match node {
        Node::Char => mtd_attribute(text, device, stats, bitflip_threshold, name),
        Node::ReadOnly => ro_attribute(text, device, name),
        Node::Block => block_attribute(text, device, name),
    }
    .ok()
}

fn mtd_attribute(
    text: &mut Text<'_>,
    device: &Device<'_>,
    stats: EccStats,
    bitflip_threshold: u32,
    name: &str,
) -> fmt::Result {
    let geometry = device.geometry;
    let number = match name {
        "type" => return writeln!(text, "{}", type_name(device.kind_number())),
        "flags" => return writeln!(text, "{:#x}", device.flags),
        "name" => {
            text.push(device.name);
            text.push(b"\n");
            return Ok(());
        }
        "dev" => return writeln!(text, "{MTD_CHAR_MAJOR}:{}", device.index * 2),
        "uevent" => {
            let (index, minor) = (device.index, device.index * 2);
            return write!(
                text,
                "MAJOR={MTD_CHAR_MAJOR}\nMINOR={minor}\nDEVNAME=mtd{index}\nDEVTYPE=mtd\n"
            );
        }
        "size" => device.size,
        "offset" => device.parent_offset,
        "erasesize" => device.erasesize.into(),
        "writesize" => geometry.writesize.into(),
        "subpagesize" => (geometry.writesize >> geometry.subpage_shift).into(),
        "oobsize" => geometry.oobsize.into(),
        "oobavail" => geometry.oobavail().into(),
        "numeraseregions" if device.is_partition => 0,
        "numeraseregions" => geometry.region_count.into(),
        "ecc_strength" => geometry.ecc_strength().into(),
        "ecc_step_size" => geometry.ecc_step_size().into(),
        "bitflip_threshold" => bitflip_threshold.into(),
        "corrected_bits" => stats.corrected.into(),
        "ecc_failures" => stats.failed.into(),
        "bad_blocks" => stats.bad_blocks.into(),
        "bbt_blocks" => stats.bbt_blocks.into(),
        _ => return Err(fmt::Error),
    };
    writeln!(text, "{number}")
}

fn ro_attribute(text: &mut Text<'_>, device: &Device<'_>, name: &str) -> fmt::Result {
    let (index, minor) = (device.index, device.index * 2 + 1);
    match name {
        "dev" => writeln!(text, "{MTD_CHAR_MAJOR}:{minor}"),
        _ => write!(
            text,
            "MAJOR={MTD_CHAR_MAJOR}\nMINOR={minor}\nDEVNAME=mtd{index}ro\n"
        ),
    }
}

fn block_attribute(text: &mut Text<'_>, device: &Device<'_>, name: &str) -> fmt::Result {
    let index = device.index;
    let diskseq = index + 1;
    match name {
        "dev" => writeln!(text, "{MTD_BLOCK_MAJOR}:{index}"),
        "size" => writeln!(text, "{}", device.size / block::SECTOR_SIZE),
        "ro" => writeln!(text, "{}", u8::from(!device.is_writeable())),
        "capability" => writeln!(text, "4"),
        "diskseq" => writeln!(text, "{diskseq}"),
        "events" | "events_async" => Ok(()),
        "events_poll_msecs" => writeln!(text, "-1"),
        "ext_range" | "range" => writeln!(text, "1"),
        "inflight" => writeln!(text, "{:>8} {:>8}", 0, 0),
        "stat" => {
            for column in 0..17 {
                write!(text, "{}{:>8}", if column == 0 { "" } else { " " }, 0)?;
            }
            writeln!(text)
        }
        "uevent" => {
            let major = MTD_BLOCK_MAJOR;
            write!(
                text,
                "MAJOR={major}\nMINOR={index}\nDEVNAME=mtdblock{index}\nDEVTYPE=disk\nDISKSEQ={diskseq}\n"
            )
        }
        _ => writeln!(text, "0"),
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
