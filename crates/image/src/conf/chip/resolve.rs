//! What the text says about a chip, made into a chip: preset, defaults of the type, and whether it can be.

use flash::geometry::ERASE_REGIONS_MAX;
use flash::{CommandSet, Ecc, EraseAlignment, EraseRegion, Geometry, Kind, LockScheme, OtpArea};
use mtd_abi::flag;

use super::super::lex::numbers;
use super::super::scan::Scan;
use super::super::units;
use super::*;
use crate::board::BAD_BLOCKS_MAX;
use crate::problem::Problem;

/// The chip. `size_of_image` is what lies there already, for the advice.
#[inline(never)]
pub fn resolve(
    draft: &mut Draft<'_>,
    order: usize,
    size_of_image: Option<u64>,
    chip: &mut ChipConfig,
) -> Result<(), Problem> {
    let preset = apply_preset(draft);
    let draft = &*draft;
    let (kind, driver) = kind_and_driver(draft, preset)?;
    let is_nand = matches!(kind, Kind::Nand | Kind::MlcNand);
    let geometry = &mut chip.geometry;
    geometry.kind = kind;
    regions(draft, geometry)?;
    let (mut end, mut largest) = (0, 0);
    for region in &geometry.regions {
        let length = u64::from(region.erasesize) * u64::from(region.block_count);
        end = end.max(region.offset.saturating_add(length));
        largest = largest.max(region.erasesize);
    }
    geometry.size = match draft.number(SIZE) {
        Some(size) => size,
        None if end > 0 => end,
        None => return Err(no_size(draft, size_of_image)),
    };
    let number = |key: usize, default: u64| {
        let value = draft.number(key).unwrap_or(default);
        u32::try_from(value).map_err(|_| {
            let name = KEYS.names.split_ascii_whitespace().nth(key).unwrap_or("");
            draft.at_key(key).problem(format_args!(
                "{name} = {value} is too large; see the chip's datasheet"
            ))
        })
    };
    geometry.writesize = number(WRITESIZE, if is_nand { 2048 } else { 1 })?;
    let page = u64::from(geometry.writesize);
    geometry.oobsize = number(OOBSIZE, if is_nand { page / 32 } else { 0 })?;
    geometry.erasesize = if largest > 0 && !draft.is_said(ERASESIZE) {
        largest
    } else {
        number(ERASESIZE, default_erasesize(kind, page))?
    };
    rules(draft, driver, geometry)?;
    if geometry.command_set != CommandSet::Other {
        add_whole_region(geometry);
    }
    check(draft, geometry)?;
    bad_blocks(draft, chip)?;
    factory_data(draft, chip)?;
    chip.name.set(draft.name);
    chip.image.set(draft.text(IMAGE).unwrap_or(""));
    chip.oob.set(draft.text(OOB).unwrap_or(""));
    chip.mtd_flags = mtd_flags(kind, page);
    if draft.flag(POWER_UP_LOCK) {
        chip.mtd_flags |= flag::POWERUP_LOCK;
    }
    let name = match driver {
        Driver::Mtdram => "mtdram test device",
        Driver::Nandsim => "NAND simulator partition 0",
        Driver::SpiNor | Driver::SpiNand => "",
        _ => draft.name,
    };
    chip.mtd_name.set(draft.text(NAME).unwrap_or(name));
    if chip.mtd_name.is_empty() {
        chip.mtd_name.write(format_args!("spi0.{order}"));
    }
    Ok(())
}

/// Type and driver, from whatever tells them.
#[inline(never)]
fn kind_and_driver(
    draft: &Draft<'_>,
    preset: Option<(Driver, Kind)>,
) -> Result<(Kind, Driver), Problem> {
    let said_kind = draft
        .number(TYPE)
        .and_then(|index| KINDS.get(index as usize));
    let said_driver = draft
        .number(DRIVER)
        .and_then(|index| DRIVERS.get(index as usize));
    let said_driver = said_driver.copied();
    let kind = match (said_kind, said_driver.or(preset)) {
        (Some(&kind), _) | (None, Some((_, kind))) => kind,
        (None, None) => {
            return Err(draft.at.problem(format_args!(
                "chip {} has neither a preset nor a type; \
                 write type = \"nor\" and size = \"16M\", or preset = \"w25q128\"",
                draft.name
            )));
        }
    };
    if let Some((driver, its_kind)) = said_driver.or(preset) {
        if its_kind == kind || its_kind == Kind::Nand && kind == Kind::MlcNand {
            return Ok((kind, driver));
        }
        let what = if said_driver.is_some() {
            "driver"
        } else {
            "preset"
        };
        return Err(draft.at_key(TYPE).problem(format_args!(
            "the {what} does not go with the type of chip {}; change one of them",
            draft.name
        )));
    }
    let per_block = Some(1);
    let on_die = Some(1);
    let looks_like_cfi = draft.is_said(ERASE_REGIONS) || draft.number(LOCK) == per_block;
    let driver = match kind {
        Kind::Nor if looks_like_cfi => Driver::Cfi,
        Kind::Nor => Driver::SpiNor,
        Kind::Nand | Kind::MlcNand if draft.number(ECC) == on_die => Driver::SpiNand,
        Kind::Nand | Kind::MlcNand => Driver::Nand,
        Kind::Ram => Driver::Mtdram,
        Kind::Rom | Kind::Dataflash => Driver::Other,
    };
    Ok((kind, driver))
}

/// How the chip behaves, once type and page are known.
#[inline(never)]
fn rules(draft: &Draft<'_>, driver: Driver, geometry: &mut Geometry) -> Result<(), Problem> {
    let is_nand = geometry.is_nand();
    geometry.ecc = match draft.number(ECC) {
        Some(0) => Ecc::None,
        Some(1) => Ecc::OnDie,
        Some(2) => Ecc::Hamming,
        Some(index) => Ecc::Bch {
            strength: index as u8 - 2,
        },
        None if driver == Driver::SpiNand => Ecc::OnDie,
        None if is_nand => Ecc::Hamming,
        None => Ecc::None,
    };
    geometry.erase_alignment = match driver {
        Driver::SpiNor => EraseAlignment::LengthOnly,
        _ => EraseAlignment::StartAndLength,
    };
    geometry.command_set = match driver {
        Driver::Cfi => CommandSet::Intel,
        Driver::CfiAmd => CommandSet::Amd,
        _ => CommandSet::Other,
    };
    geometry.lock = match draft.number(LOCK) {
        // The table has a scheme without a word at its second place.
        Some(index) => {
            let place = index as usize + usize::from(index > 0);
            *geometry_words::LOCKS
                .get(place)
                .unwrap_or(&LockScheme::None)
        }
        None if is_nand && driver != Driver::SpiNand => LockScheme::NandUnsupported,
        None => LockScheme::None,
    };
    if let Some(index) = draft.number(BAD_BLOCK_MARKS) {
        geometry.mark_pages = geometry_words::MARKS
            .get(index as usize)
            .copied()
            .unwrap_or_default();
    }
    let otp = |key: usize| {
        let area = draft.number(key).unwrap_or(0);
        OtpArea {
            region_length: area as u32,
            region_count: (area >> 32) as u32,
        }
    };
    geometry.otp_user = otp(OTP_USER);
    geometry.otp_factory = otp(OTP_FACTORY);
    geometry.otp_erasable = draft.flag(OTP_ERASE);
    geometry.subpage_shift = subpage_shift(draft, geometry)?;
    Ok(())
}

fn check(draft: &Draft<'_>, geometry: &Geometry) -> Result<(), Problem> {
    geometry.check().map_err(|what| {
        let Geometry {
            erasesize,
            writesize,
            oobsize,
            ..
        } = geometry;
        let (size, unit) = units::words_of_size(geometry.size);
        draft.at.problem(format_args!(
            "chip {} cannot be: {what}; it has size {size}{unit}, erasesize {erasesize}, \
             writesize {writesize}, oobsize {oobsize}",
            draft.name
        ))
    })
}

fn no_size(draft: &Draft<'_>, size_of_image: Option<u64>) -> Problem {
    match size_of_image.map(units::words_of_size) {
        Some((size, unit)) => draft.at.problem(format_args!(
            "chip {} has no size; its image fits size = \"{size}{unit}\"",
            draft.name
        )),
        None => draft.at.problem(format_args!(
            "chip {} has no size; write size = \"16M\", or a preset",
            draft.name
        )),
    }
}

/// Without `subpages`, what nand_base.c chooses: by the number of ECC steps, none for MLC.
fn subpage_shift(draft: &Draft<'_>, geometry: &Geometry) -> Result<u8, Problem> {
    if let Some(subpages) = draft.number(SUBPAGES) {
        return match subpages {
            1 | 2 | 4 | 8 => Ok(subpages.trailing_zeros() as u8),
            _ => Err(draft.at_key(SUBPAGES).problem(format_args!(
                "a page has no {subpages} subpages; write 1, 2, 4 or 8"
            ))),
        };
    }
    let steps = match geometry.ecc {
        _ if geometry.kind == Kind::MlcNand => 0,
        Ecc::Hamming => geometry.writesize / 256,
        Ecc::Bch { .. } => geometry.writesize / 512,
        Ecc::None | Ecc::OnDie => 0,
    };
    Ok(match steps {
        2 => 1,
        4 | 8 | 16 => 2,
        _ => 0,
    })
}

fn regions(draft: &Draft<'_>, geometry: &mut Geometry) -> Result<(), Problem> {
    let mut scan = Scan::of(draft.text(ERASE_REGIONS).unwrap_or(""));
    let mut offset = 0u64;
    while !scan.rest.is_empty() {
        let part = scan.take_until(b',').trim_ascii();
        if part.is_empty() {
            continue;
        }
        let place = geometry.regions.get_mut(usize::from(geometry.region_count));
        let Some(((block_count, erasesize), place)) = units::times(part).zip(place) else {
            return Err(draft.at_key(ERASE_REGIONS).problem(format_args!(
                "erase_regions cannot be read, or has more than {ERASE_REGIONS_MAX} regions; \
                 write \"8x8K,127x64K\""
            )));
        };
        *place = EraseRegion {
            offset,
            erasesize,
            block_count,
        };
        offset = offset.saturating_add(u64::from(erasesize) * u64::from(block_count));
        geometry.region_count += 1;
    }
    Ok(())
}

fn bad_blocks(draft: &Draft<'_>, chip: &mut ChipConfig) -> Result<(), Problem> {
    let at = draft.at_key(BAD_BLOCKS);
    let blocks = chip.geometry.block_count();
    for block in numbers(draft.text(BAD_BLOCKS).unwrap_or("")).flatten() {
        if !chip.geometry.is_nand() {
            return Err(at.problem(format_args!("only NAND has bad blocks; remove bad_blocks")));
        }
        if block >= u64::from(blocks) {
            return Err(at.problem(format_args!(
                "there is no block {block}; the chip has blocks 0 to {}",
                blocks.saturating_sub(1)
            )));
        }
        let Some(place) = chip.bad_block_list.get_mut(chip.bad_block_count as usize) else {
            return Err(at.problem(format_args!(
                "bad_blocks has more than {BAD_BLOCKS_MAX} blocks; mark more with the host tool"
            )));
        };
        *place = block as u32;
        chip.bad_block_count += 1;
    }
    Ok(())
}

/// The factory's bytes as hexadecimal digits; they stay digits until the side file is made.
fn factory_data(draft: &Draft<'_>, chip: &mut ChipConfig) -> Result<(), Problem> {
    let digits = draft.text(OTP_FACTORY_DATA).unwrap_or("");
    let area = chip.geometry.otp_factory.length();
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !digits.len().is_multiple_of(2) || digits.len() as u64 / 2 > area {
        return Err(draft.at_key(OTP_FACTORY_DATA).problem(format_args!(
            "otp_factory_data is not hexadecimal digits for at most {area} bytes; \
             write \"0123abcd\", and otp_factory = \"1x16\" for the area"
        )));
    }
    chip.otp_factory_data.set(digits);
    Ok(())
}

/// A CFI chip reports its blocks as regions also when they are all of one size.
fn add_whole_region(geometry: &mut Geometry) {
    let erasesize = u64::from(geometry.erasesize);
    if geometry.region_count == 0
        && geometry.size.is_multiple_of(erasesize)
        && let Some(first) = geometry.regions.first_mut()
    {
        first.erasesize = geometry.erasesize;
        first.block_count = geometry.size.checked_div(erasesize).unwrap_or(0) as u32;
        geometry.region_count = 1;
    }
}

fn default_erasesize(kind: Kind, writesize: u64) -> u64 {
    match kind {
        // 32 small or 64 large pages.
        Kind::Nand | Kind::MlcNand if writesize <= 512 => writesize * 32,
        Kind::Nand | Kind::MlcNand => writesize * 64,
        Kind::Dataflash => writesize,
        Kind::Nor | Kind::Ram | Kind::Rom => 64 << 10,
    }
}

fn mtd_flags(kind: Kind, writesize: u64) -> u32 {
    match kind {
        Kind::Ram => flag::CAP_RAM,
        Kind::Rom => flag::CAP_ROM,
        // A NOR that computes ECC over several bytes is not bit-writeable.
        Kind::Nor if writesize > 1 => flag::WRITEABLE,
        Kind::Nor => flag::CAP_NORFLASH,
        Kind::Nand | Kind::MlcNand => flag::CAP_NANDFLASH,
        Kind::Dataflash => flag::WRITEABLE,
    }
}
