//! The side file: header, ledger, OTP areas.
//!
//! ```text
//! 0       header, 4096 bytes: magic, version, checksum, layout, geometry; then stamps of image and spare-area file
//! 4096    ledger (flash::ledger), padded to 4096
//! ...     user OTP area, padded to 4096
//! ...     factory OTP area, padded to 4096
//! ```
//! The words before the stamps never change and are covered by the checksum. Numbers are 32-bit words in the byte
//! order of the machine; the other order shows as a wrong magic.

use core::sync::atomic::{AtomicU32, Ordering};

use flash::Geometry;
use flash::ledger::Ledger;

use crate::geometry_words::{self, GEOMETRY_WORDS};
use crate::stamp::{STAMP_WORDS, Stamp, checksum};

pub const HEADER_BYTES: usize = 4096;
pub const HEADER_WORDS: usize = HEADER_BYTES / 4;
pub const VERSION: u32 = 1;
const MAGIC: [u32; 2] = [u32::from_ne_bytes(*b"MTDS"), u32::from_ne_bytes(*b"HIM1")];
const ALIGNMENT: u64 = 4096;

const CHECKSUM_AT: usize = 3;
const SIZE_AT: usize = 4;
const GEOMETRY_AT: usize = 16;
const FIXED_WORDS: usize = GEOMETRY_AT + GEOMETRY_WORDS;
const IMAGE_STAMP_AT: usize = 128;
const OOB_STAMP_AT: usize = IMAGE_STAMP_AT + STAMP_WORDS;

/// Where everything is in a side file of this chip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SideLayout {
    /// Header and ledger, which processes map.
    pub mapped_bytes: u64,
    pub otp_user_offset: u64,
    pub otp_factory_offset: u64,
    pub size: u64,
}

impl SideLayout {
    pub fn of(geometry: &Geometry) -> SideLayout {
        let mapped_bytes =
            (HEADER_BYTES as u64).saturating_add(padded(Ledger::bytes(geometry) as u64));
        let otp_factory_offset = mapped_bytes.saturating_add(padded(geometry.otp_user.length()));
        let size = otp_factory_offset.saturating_add(padded(geometry.otp_factory.length()));
        SideLayout {
            mapped_bytes,
            otp_user_offset: mapped_bytes,
            otp_factory_offset,
            size,
        }
    }
}

fn padded(length: u64) -> u64 {
    length.div_ceil(ALIGNMENT).saturating_mul(ALIGNMENT)
}

/// Why a side file cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SideFault {
    /// Not a side file, or one of a machine with the other byte order.
    Magic,
    Version(u32),
    Checksum,
    Size {
        expected: u64,
    },
    /// Written for a chip with other numbers: see `geometry_of`.
    Geometry,
}

fn fixed_words(geometry: &Geometry) -> [u32; FIXED_WORDS] {
    let size = SideLayout::of(geometry).size;
    let mut words = [0; FIXED_WORDS];
    let start = [
        MAGIC[0],
        MAGIC[1],
        VERSION,
        0,
        size as u32,
        (size >> 32) as u32,
    ];
    if let Some(front) = words.first_chunk_mut() {
        *front = start;
    }
    if let Some(behind) = words.last_chunk_mut() {
        *behind = geometry_words::encode(geometry);
    }
    let sum = checksum(words.iter().copied());
    if let Some(word) = words.get_mut(CHECKSUM_AT) {
        *word = sum;
    }
    words
}

pub fn write_header(words: &[AtomicU32], geometry: &Geometry) {
    for (word, value) in words.iter().zip(&fixed_words(geometry)) {
        word.store(*value, Ordering::Relaxed);
    }
}

/// The header against the chip it is used for; first whether it is the one that would be written today.
pub fn check_header(
    header: &[u32; FIXED_HEADER_WORDS],
    size: u64,
    geometry: &Geometry,
) -> Result<(), SideFault> {
    if *header == fixed_words(geometry) && size == SideLayout::of(geometry).size {
        return Ok(());
    }
    find_fault(header, size, geometry)
}

#[cold]
#[inline(never)]
fn find_fault(
    header: &[u32; FIXED_HEADER_WORDS],
    size: u64,
    geometry: &Geometry,
) -> Result<(), SideFault> {
    let [magic_0, magic_1, version, sum, ..] = *header;
    if [magic_0, magic_1] != MAGIC {
        return Err(SideFault::Magic);
    }
    if version != VERSION {
        return Err(SideFault::Version(version));
    }
    let mut summed = *header;
    summed[CHECKSUM_AT] = 0;
    if checksum(summed.iter().copied()) != sum {
        return Err(SideFault::Checksum);
    }
    if header.last_chunk() != Some(&geometry_words::encode(geometry)) {
        return Err(geometry_of(header).map_or(SideFault::Checksum, |_| SideFault::Geometry));
    }
    let expected = geometry_words::join(header[SIZE_AT], header[SIZE_AT + 1]);
    if size != expected || expected != SideLayout::of(geometry).size {
        return Err(SideFault::Size { expected });
    }
    Ok(())
}

/// The chip that the file was made for.
pub fn geometry_of(header: &[u32; FIXED_HEADER_WORDS]) -> Option<Geometry> {
    geometry_words::decode(header.last_chunk()?)
}

/// For fuzzers: puts the checksum of a header right, whatever the header says.
#[cfg(feature = "host")]
pub fn reseal(file: &mut [u8]) {
    let Some(header) = file.get_mut(..FIXED_WORDS * 4) else {
        return;
    };
    header[CHECKSUM_AT * 4..][..4].fill(0);
    let words = header.as_chunks::<4>().0.iter();
    let sum = checksum(words.map(|word| u32::from_ne_bytes(*word)));
    header[CHECKSUM_AT * 4..][..4].copy_from_slice(&sum.to_ne_bytes());
}

pub const FIXED_HEADER_WORDS: usize = FIXED_WORDS;

/// Whether both files look as they did when their stamps were recorded.
pub fn stamps_match(words: &[AtomicU32], image: &Stamp, oob: &Stamp) -> bool {
    let at = |start: usize| words.get(start..start + STAMP_WORDS).unwrap_or(&[]);
    image.equals(at(IMAGE_STAMP_AT)) && oob.equals(at(OOB_STAMP_AT))
}

pub fn store_stamps(words: &[AtomicU32], image: &Stamp, oob: &Stamp) {
    image.store(
        words
            .get(IMAGE_STAMP_AT..IMAGE_STAMP_AT + STAMP_WORDS)
            .unwrap_or(&[]),
    );
    oob.store(
        words
            .get(OOB_STAMP_AT..OOB_STAMP_AT + STAMP_WORDS)
            .unwrap_or(&[]),
    );
}

#[cfg(test)]
mod layout_tests {
    use super::*;
    use flash::geometry::ERASE_REGIONS_MAX;
    use flash::ledger::BlockFlags;
    use flash::{
        BlockProtect, CommandSet, Ecc, EraseAlignment, EraseRegion, Kind, LockScheme, MarkPages,
        OtpArea,
    };

    /// A side file of every kind of chip, as words.
    fn words_of(kind: Kind, index: u32) -> Vec<u32> {
        let is_nand = matches!(kind, Kind::Nand | Kind::MlcNand);
        let region = |offset, erasesize, block_count| EraseRegion {
            offset,
            erasesize,
            block_count,
        };
        let mut geometry = Geometry {
            kind,
            size: 0x5_0000,
            erasesize: 0x4000,
            writesize: if is_nand { 512 } else { 1 },
            oobsize: if is_nand { 16 } else { 0 },
            subpage_shift: u8::from(is_nand),
            ecc: if is_nand { Ecc::Hamming } else { Ecc::None },
            otp_user: OtpArea {
                region_length: 64,
                region_count: index,
            },
            otp_erasable: index.is_multiple_of(2),
            erase_alignment: [EraseAlignment::StartAndLength, EraseAlignment::LengthOnly]
                [index as usize % 2],
            command_set: [CommandSet::Other, CommandSet::Intel, CommandSet::Amd]
                [index as usize % 3],
            lock: [
                LockScheme::None,
                LockScheme::PerBlock,
                LockScheme::BlockProtect(BlockProtect::TOP),
                LockScheme::NandUnsupported,
                LockScheme::BlockProtect(BlockProtect::TOP_BOTTOM_4),
                LockScheme::BlockProtect(BlockProtect::PROGRAMS_ONLY),
            ][index as usize],
            mark_pages: MarkPages::First,
            otp_factory: OtpArea::default(),
            region_count: 0,
            regions: [EraseRegion::default(); ERASE_REGIONS_MAX],
        };
        if kind == Kind::Nor {
            geometry.region_count = 2;
            geometry.regions[0] = region(0, 0x2000, 8);
            geometry.regions[1] = region(0x1_0000, 0x1_0000, 4);
        }
        let size = SideLayout::of(&geometry).size as usize / 4;
        let words: Vec<AtomicU32> = (0..size).map(|_| AtomicU32::new(0)).collect();
        write_header(&words, &geometry);
        let ledger = Ledger::new(&words[HEADER_WORDS..]);
        ledger.format(&geometry);
        ledger.declare_erased(&geometry);
        ledger.next_epoch(&geometry);
        let flags = |bad, locked| BlockFlags {
            bad,
            locked,
            reserved: index == 2,
        };
        ledger.set_flags(1, flags(true, false));
        ledger.set_flags(2, flags(false, true));
        let stamp = Stamp {
            size: 1,
            mtime_ns: 2,
            ctime_ns: 3,
            ino: 4,
        };
        store_stamps(&words, &stamp, &stamp);
        words
            .iter()
            .map(|word| word.load(Ordering::Relaxed))
            .collect()
    }

    #[test]
    fn a_side_file_of_another_layout_has_another_version() {
        let kinds = [
            Kind::Ram,
            Kind::Rom,
            Kind::Nor,
            Kind::Nand,
            Kind::MlcNand,
            Kind::Dataflash,
        ];
        let words = kinds
            .into_iter()
            .zip(0..)
            .flat_map(|(kind, index)| words_of(kind, index));
        assert_eq!(
            (VERSION, checksum(words)),
            (1, 1_628_794_459),
            "the layout of side files changed: raise VERSION, and write both numbers here"
        );
    }
}
