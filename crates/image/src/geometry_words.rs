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

fn number_of<T: PartialEq>(table: &[T], value: &T) -> u32 {
    table.iter().position(|entry| entry == value).unwrap_or(0) as u32
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
        number_of(&KINDS, &geometry.kind),
        geometry.size as u32,
        (geometry.size >> 32) as u32,
        geometry.erasesize,
        geometry.writesize,
        geometry.oobsize,
        u32::from(geometry.subpage_shift),
        ecc_number(geometry.ecc),
        number_of(&ALIGNMENTS, &geometry.erase_alignment),
        number_of(&LOCKS, &geometry.lock),
        geometry.otp_user.region_length,
        geometry.otp_user.region_count,
        geometry.otp_factory.region_length,
        geometry.otp_factory.region_count,
        u32::from(geometry.otp_erasable),
        u32::from(geometry.region_count),
        number_of(&COMMAND_SETS, &geometry.command_set),
        number_of(&MARKS, &geometry.mark_pages),
    ];
    for (word, value) in words.iter_mut().zip(fixed) {
        *word = value;
    }
    for (place, region) in words
        .chunks_exact_mut(REGION_WORDS)
        .skip(REGIONS_AT / REGION_WORDS)
        .zip(&geometry.regions)
    {
        let offset = region.offset;
        place.copy_from_slice(&[
            offset as u32,
            (offset >> 32) as u32,
            region.erasesize,
            region.block_count,
        ]);
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
    for (region, place) in regions.iter_mut().zip(places.chunks_exact(REGION_WORDS)) {
        if let [low, high, erasesize, block_count] = *place {
            *region = EraseRegion {
                offset: join(low, high),
                erasesize,
                block_count,
            };
        }
    }
    let region_count = u8::try_from(*region_count).ok()?;
    Some(Geometry {
        kind: *KINDS.get(*kind as usize)?,
        size: join(*size_low, *size_high),
        erasesize: *erasesize,
        writesize: *writesize,
        oobsize: *oobsize,
        subpage_shift: u8::try_from(*subpage_shift)
            .ok()
            .filter(|&shift| shift < 8)?,
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
        region_count: (usize::from(region_count) <= ERASE_REGIONS_MAX).then_some(region_count)?,
        regions,
    })
}

pub fn join(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}
