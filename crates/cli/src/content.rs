//! What a partition holds, by the signature at its start (and a few further in).
//!
//! Sources: the headers of the formats themselves: U-Boot image.h and env (CRC over the rest), squashfs, UBI, UBIFS, JFFS2,
//! cramfs, TRX, FDT, SEAMA, gzip, xz, LZMA, ELF, ext2, romfs, FAT.

/// Enough for every signature below; the ext2 one lies at 1080.
pub const HEAD_BYTES: usize = 4096;

struct Signature {
    offset: usize,
    magic: &'static [u8],
    name: &'static str,
}

const fn at(offset: usize, magic: &'static [u8], name: &'static str) -> Signature {
    Signature {
        offset,
        magic,
        name,
    }
}

/// The more telling first.
const SIGNATURES: &[Signature] = &[
    at(0, b"UBI#", "UBI"),
    at(0, &[0x31, 0x18, 0x10, 0x06], "UBIFS"),
    at(0, b"hsqs", "squashfs"),
    at(0, b"sqsh", "squashfs, big-endian"),
    at(0, b"shsq", "squashfs with LZMA"),
    at(0, &[0x45, 0x3d, 0xcd, 0x28], "cramfs"),
    at(0, &[0x28, 0xcd, 0x3d, 0x45], "cramfs, big-endian"),
    at(0, b"-rom1fs-", "romfs"),
    at(0, b"HDR0", "TRX"),
    at(0, &[0x27, 0x05, 0x19, 0x56], "uImage"),
    at(0, &[0x5e, 0xa3, 0xa4, 0x17], "SEAMA"),
    at(0, &[0x19, 0x85], "JFFS2, big-endian"),
    at(0, &[0x85, 0x19], "JFFS2"),
    at(0, &[0x1f, 0x8b, 0x08], "gzip"),
    at(0, &[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
    at(0, &[0x5d, 0, 0], "LZMA"),
    at(0, &[0x04, 0x22, 0x4d, 0x18], "LZ4"),
    at(0, &[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    at(0, b"BZh", "bzip2"),
    at(0, b"\x7fELF", "ELF program"),
    at(0, b"PK\x03\x04", "zip"),
    at(0, b"FLSH", "NVRAM (Broadcom)"),
    at(36, &[0x18, 0x28, 0x6f, 0x01], "zImage"),
    at(1080, &[0x53, 0xef], "ext2/3/4"),
    at(510, &[0x55, 0xaa], "boot sector"),
    at(257, b"ustar", "tar"),
];

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    Erased,
    Known(String),
    Unknown,
}

impl Content {
    pub fn words(&self) -> &str {
        match self {
            Content::Erased => "erased",
            Content::Known(name) => name,
            Content::Unknown => "data",
        }
    }
}

/// `head` is the start of a range of `length` bytes; `whole` the range itself when it is short enough to hold in memory.
pub fn classify(head: &[u8], whole: Option<&[u8]>) -> Content {
    if head.starts_with(&[0xd0, 0x0d, 0xfe, 0xed]) {
        return Content::Known(device_tree_kind(head));
    }
    if let Some(found) = SIGNATURES
        .iter()
        .find(|one| head.get(one.offset..one.offset + one.magic.len()) == Some(one.magic))
    {
        return Content::Known(found.name.to_owned() + &detail(found.name, head));
    }
    if let Some(text) = whole.and_then(environment) {
        return Content::Known(text);
    }
    let all = whole.unwrap_or(head);
    if all.iter().all(|&byte| byte == 0xff) {
        return Content::Erased;
    }
    if whole.is_some_and(|whole| contains(&whole[..whole.len().min(1 << 20)], b"U-Boot ")) {
        return Content::Known("U-Boot".to_owned());
    }
    Content::Unknown
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

/// FIT images are device trees with an /images node.
fn device_tree_kind(head: &[u8]) -> String {
    if contains(head, b"images\0") || contains(head, b"configurations\0") {
        "FIT image".to_owned()
    } else {
        "device tree".to_owned()
    }
}

fn detail(name: &str, head: &[u8]) -> String {
    let text = |from: usize, length: usize| {
        let bytes = head.get(from..from + length).unwrap_or(&[]);
        let end = bytes
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    let word = |at: usize| {
        head.get(at..at + 4)
            .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    match name {
        "uImage" => format!(" \"{}\"", text(32, 32)),
        "squashfs" => match (word(28), head.get(40..48)) {
            (Some(version), Some(size)) if version & 0xffff <= 4 => {
                let size = u64::from_le_bytes(size.try_into().unwrap_or_default());
                format!(" {}.{}, {size} bytes", version & 0xffff, version >> 16)
            }
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// U-Boot's environment: CRC-32 over the rest, with or without a flag byte for redundancy.
fn environment(whole: &[u8]) -> Option<String> {
    let crc = u32::from_le_bytes(whole.get(..4)?.try_into().ok()?);
    for (start, kind) in [(4, ""), (5, ", redundant")] {
        // The environment may be shorter than its partition.
        let mut size = whole.len();
        while size >= 1024 {
            if crc32(whole.get(start..size)?) == crc {
                let variables = whole[start..size]
                    .split(|&byte| byte == 0)
                    .take_while(|text| !text.is_empty())
                    .count();
                return Some(format!("U-Boot environment{kind}, {variables} variables"));
            }
            size /= 2;
        }
    }
    None
}

/// CRC-32 of IEEE 802.3, as zlib's.
pub fn crc32(bytes: &[u8]) -> u32 {
    static TABLE: [u32; 256] = crc_table();
    !bytes.iter().fold(!0, |crc, &byte| {
        TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
    })
}

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 != 0 {
                0xedb8_8320 ^ (value >> 1)
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_that_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn an_environment_is_known_by_its_sum_even_in_a_longer_partition() {
        let mut env = vec![0; 4096];
        env[4..20].copy_from_slice(b"bootdelay=3\0a=b\0");
        let sum = crc32(&env[4..]);
        env[..4].copy_from_slice(&sum.to_le_bytes());
        let mut partition = env.clone();
        partition.resize(65536, 0xff);
        assert_eq!(
            classify(&partition[..HEAD_BYTES], Some(&partition)).words(),
            "U-Boot environment, 2 variables"
        );
        env[100] ^= 1;
        assert_eq!(classify(&env, Some(&env)), Content::Unknown);
    }

    #[test]
    fn erased_needs_every_byte() {
        let mut bytes = vec![0xff; 8192];
        assert_eq!(classify(&bytes[..4096], Some(&bytes)), Content::Erased);
        bytes[8000] = 0;
        assert_eq!(classify(&bytes[..4096], Some(&bytes)), Content::Unknown);
    }
}
