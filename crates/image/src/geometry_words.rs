//! A geometry as words of a file, every number checked when it is read back.
//!
//! Must not know: which file.

use flash::geometry::ERASE_REGIONS_MAX;
use flash::{
    BlockProtect, CommandSet, Ecc, EraseAlignment, EraseRegion, Geometry, Kind, LockScheme,
    MarkPages, OtpArea,
};

pub const GEOMETRY_WORDS: usize = 52;
const REGIONS_AT: usize = 20;
const REGION_WORDS: usize = 4;

const KINDS: [Kind; 6] = [
    Kind::Ram,
    Kind::Rom,
    Kind::Nor,
    Kind::Nand,
    Kind::MlcNand,
    Kind::Dataflash,
];
pub const LOCKS: [LockScheme; 9] = [
    LockScheme::None,
    LockScheme::NandUnsupported,
    LockScheme::PerBlock,
    LockScheme::BlockProtect(BlockProtect::TOP),
    LockScheme::BlockProtect(BlockProtect::TOP_BOTTOM),
    LockScheme::BlockProtect(BlockProtect::TOP_4),
    LockScheme::BlockProtect(BlockProtect::TOP_BOTTOM_4),
    LockScheme::BlockProtect(BlockProtect::PROGRAMS_ONLY),
    LockScheme::NoEffect,
];
pub const MARKS: [MarkPages; 4] = [
    MarkPages::First,
    MarkPages::FirstSecond,
    MarkPages::FirstSecondLast,
    MarkPages::Last,
];
const COMMAND_SETS: [CommandSet; 3] = [CommandSet::Other, CommandSet::Intel, CommandSet::Amd];
const ALIGNMENTS: [EraseAlignment; 2] =
    [EraseAlignment::StartAndLength, EraseAlignment::LengthOnly];

// A value of these is its place in its table.
const _: () = {
    let mut place = 0;
    while place < KINDS.len() {
        assert!(KINDS[place] as usize == place);
        assert!(place >= MARKS.len() || MARKS[place] as usize == place);
        assert!(place >= COMMAND_SETS.len() || COMMAND_SETS[place] as usize == place);
        assert!(place >= ALIGNMENTS.len() || ALIGNMENTS[place] as usize == place);
        place += 1;
    }
};

fn lock_number(lock: LockScheme) -> u32 {
    LOCKS.iter().position(|&entry| entry == lock).unwrap_or(0) as u32
}

fn ecc_number(ecc: Ecc) -> u32 {
    match ecc {
        Ecc::None => 0,
        Ecc::OnDie => 1,
        Ecc::Hamming => 2,
        Ecc::Bch { strength } => 3 | u32::from(strength) << 8,
    }
}

fn ecc_of(number: u32) -> Option<Ecc> {
    match (number & 0xff, number >> 8) {
        (0, 0) => Some(Ecc::None),
        (1, 0) => Some(Ecc::OnDie),
        (2, 0) => Some(Ecc::Hamming),
        (3, strength @ 1..=8) => Some(Ecc::Bch {
            strength: strength as u8,
        }),
        _ => None,
    }
}

pub fn encode(geometry: &Geometry) -> [u32; GEOMETRY_WORDS] {
    let mut words = [0; GEOMETRY_WORDS];
    let fixed = [
        geometry.kind as u32,
        geometry.size as u32,
        (geometry.size >> 32) as u32,
        geometry.erasesize,
        geometry.writesize,
        geometry.oobsize,
        u32::from(geometry.subpage_shift),
        ecc_number(geometry.ecc),
        geometry.erase_alignment as u32,
        lock_number(geometry.lock),
        geometry.otp_user.region_length,
        geometry.otp_user.region_count,
        geometry.otp_factory.region_length,
        geometry.otp_factory.region_count,
        u32::from(geometry.otp_erasable),
        u32::from(geometry.region_count),
        geometry.command_set as u32,
        geometry.mark_pages as u32,
    ];
    if let Some(front) = words.first_chunk_mut() {
        *front = fixed;
    }
    let places = words.get_mut(REGIONS_AT..).unwrap_or(&mut []);
    let places = places.as_chunks_mut::<REGION_WORDS>().0;
    for (place, region) in places.iter_mut().zip(&geometry.regions) {
        let offset = region.offset;
        *place = [
            offset as u32,
            (offset >> 32) as u32,
            region.erasesize,
            region.block_count,
        ];
    }
    words
}

/// None when a number is outside its range: the words are not from `encode`.
pub fn decode(words: &[u32; GEOMETRY_WORDS]) -> Option<Geometry> {
    let [
        kind,
        size_low,
        size_high,
        erasesize,
        writesize,
        oobsize,
        subpage_shift,
        ecc,
        alignment,
        lock,
        rest @ ..,
    ] = words;
    let [
        user_length,
        user_count,
        factory_length,
        factory_count,
        otp_erasable,
        region_count,
        command_set,
        mark_pages,
        _,
        _,
        places @ ..,
    ] = rest;
    let mut regions = [EraseRegion::default(); ERASE_REGIONS_MAX];
    let places = places.as_chunks::<REGION_WORDS>().0;
    for (region, &[low, high, erasesize, block_count]) in regions.iter_mut().zip(places) {
        *region = EraseRegion {
            offset: join(low, high),
            erasesize,
            block_count,
        };
    }
    // One look at all of them.
    let in_range = ((*kind as usize) < KINDS.len())
        & (*subpage_shift < 8)
        & ((*alignment as usize) < ALIGNMENTS.len())
        & ((*lock as usize) < LOCKS.len())
        & ((*command_set as usize) < COMMAND_SETS.len())
        & ((*mark_pages as usize) < MARKS.len())
        & (*region_count as usize <= ERASE_REGIONS_MAX);
    if !in_range {
        return None;
    }
    Some(Geometry {
        kind: *KINDS.get(*kind as usize)?,
        size: join(*size_low, *size_high),
        erasesize: *erasesize,
        writesize: *writesize,
        oobsize: *oobsize,
        subpage_shift: *subpage_shift as u8,
        ecc: ecc_of(*ecc)?,
        erase_alignment: *ALIGNMENTS.get(*alignment as usize)?,
        command_set: *COMMAND_SETS.get(*command_set as usize)?,
        lock: *LOCKS.get(*lock as usize)?,
        mark_pages: *MARKS.get(*mark_pages as usize)?,
        otp_user: OtpArea {
            region_length: *user_length,
            region_count: *user_count,
        },
        otp_factory: OtpArea {
            region_length: *factory_length,
            region_count: *factory_count,
        },
        otp_erasable: *otp_erasable != 0,
        region_count: *region_count as u8,
        regions,
    })
}

pub fn join(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}
