//! What the text says about a chip, made into a chip: preset, defaults of the type, and whether it can be.

use flash::geometry::ERASE_REGIONS_MAX;
use flash::{CommandSet, Ecc, EraseAlignment, EraseRegion, Geometry, Kind, LockScheme};
use mtd_abi::flag;

use super::{ChipDraft, Driver, numbers, units};
use crate::board::{BAD_BLOCKS_MAX, ChipConfig, MTD_NAME_BYTES};
use crate::presets::Preset;
use crate::problem::Problem;
use crate::text::Text;

impl ChipDraft<'_> {
    /// Type and driver, from whatever tells them.
    fn kind_and_driver(&self) -> Result<(Kind, Driver), Problem> {
        let said = self
            .kind
            .or(self.driver.map(|(_, kind)| kind))
            .or(self.preset.map(|preset| preset.kind));
        let kind = said.ok_or_else(|| {
            let what = format_args!("chip {} has neither a preset nor a type", self.name);
            self.at.problem(
                what,
                format_args!("write type = \"nor\" and size = \"16M\", or preset = \"w25q128\""),
            )
        })?;
        let conflict = |what: &str| {
            let what = format_args!("{what} does not go with the type of chip {}", self.name);
            Err(self
                .at_key("type")
                .problem(what, format_args!("change one of them")))
        };
        if let Some((driver, driver_kind)) = self.driver {
            let fits = driver_kind == kind || driver_kind == Kind::Nand && kind == Kind::MlcNand;
            return if fits {
                Ok((kind, driver))
            } else {
                conflict("the driver")
            };
        }
        if let Some(preset) = self.preset {
            let fits = preset.kind == kind || preset.kind == Kind::Nand && kind == Kind::MlcNand;
            return if fits {
                Ok((kind, preset.driver))
            } else {
                conflict("the preset")
            };
        }
        let looks_like_cfi =
            self.erase_regions.is_some() || self.lock == Some(LockScheme::PerBlock);
        let driver = match kind {
            Kind::Nor if looks_like_cfi => Driver::Cfi,
            Kind::Nor => Driver::SpiNor,
            Kind::Nand | Kind::MlcNand if self.ecc == Some(Ecc::OnDie) => Driver::SpiNand,
            Kind::Nand | Kind::MlcNand => Driver::Nand,
            Kind::Ram => Driver::Mtdram,
            Kind::Rom | Kind::Dataflash => Driver::Other,
        };
        Ok((kind, driver))
    }

    /// The chip. `size_of_image` is what lies there already, for the advice.
    pub fn resolve(&self, order: usize, size_of_image: Option<u64>) -> Result<ChipConfig, Problem> {
        let (kind, driver) = self.kind_and_driver()?;
        let is_nand = matches!(kind, Kind::Nand | Kind::MlcNand);
        let from = |said: Option<u64>, preset: fn(&Preset) -> u64| said.or(self.preset.map(preset));
        let (region_count, regions) = self.regions()?;
        let regions_end = regions.iter().map(|region| {
            region
                .offset
                .saturating_add(u64::from(region.erasesize) * u64::from(region.block_count))
        });
        let regions_end = regions_end.max().filter(|&end| end > 0);
        let largest = regions
            .iter()
            .map(|region| u64::from(region.erasesize))
            .max()
            .filter(|&size| size > 0);
        let size = from(self.size, |preset| preset.size)
            .or(regions_end)
            .ok_or_else(|| self.no_size(size_of_image))?;
        let writesize = from(self.writesize, |preset| preset.writesize.into())
            .unwrap_or(if is_nand { 2048 } else { 1 });
        let oobsize = from(self.oobsize, |preset| preset.oobsize.into());
        let oobsize = oobsize.unwrap_or(if is_nand { writesize / 32 } else { 0 });
        let erasesize = from(self.erasesize.or(largest), |preset| preset.erasesize.into());
        let erasesize = erasesize.unwrap_or(default_erasesize(kind, writesize));
        let mut geometry = Geometry {
            kind,
            size,
            erasesize: self.number("erasesize", erasesize)?,
            writesize: self.number("writesize", writesize)?,
            oobsize: self.number("oobsize", oobsize)?,
            region_count,
            regions,
            ..self.rules(kind, driver, writesize)?
        };
        if geometry.command_set != CommandSet::Other {
            add_whole_region(&mut geometry);
        }
        self.check(&geometry)?;
        let (bad_block_list, bad_block_count) = self.bad_blocks(&geometry)?;
        Ok(ChipConfig {
            name: Text::of(self.name),
            mtd_name: self.master_name(driver, order),
            geometry,
            mtd_flags: mtd_flags(kind, writesize)
                | if self.power_up_lock {
                    flag::POWERUP_LOCK
                } else {
                    0
                },
            image: Text::of(self.image.unwrap_or("")),
            oob: Text::of(self.oob.unwrap_or("")),
            bad_block_list,
            bad_block_count,
        })
    }

    fn number(&self, key: &str, value: u64) -> Result<u32, Problem> {
        let too_large = || {
            let what = format_args!("{key} = {value} is too large");
            self.at_key(key)
                .problem(what, format_args!("see the chip's datasheet"))
        };
        u32::try_from(value).map_err(|_| too_large())
    }

    /// How the chip behaves; the sizes are still missing.
    fn rules(&self, kind: Kind, driver: Driver, writesize: u64) -> Result<Geometry, Problem> {
        let is_nand = matches!(kind, Kind::Nand | Kind::MlcNand);
        let ecc = self.ecc(driver, is_nand);
        let otp_user = self.otp_user.or(self.preset.map(|preset| preset.otp_user));
        let erase_alignment = match driver {
            Driver::SpiNor => EraseAlignment::LengthOnly,
            _ => EraseAlignment::StartAndLength,
        };
        let command_set = match driver {
            Driver::Cfi => CommandSet::Intel,
            Driver::CfiAmd => CommandSet::Amd,
            _ => CommandSet::Other,
        };
        Ok(Geometry {
            kind,
            size: 0,
            erasesize: 0,
            writesize: 0,
            oobsize: 0,
            subpage_shift: self.subpage_shift(kind, ecc, writesize)?,
            ecc,
            erase_alignment,
            command_set,
            lock: self.lock_scheme(driver, is_nand),
            otp_user: otp_user.unwrap_or_default(),
            otp_factory: self.otp_factory.unwrap_or_default(),
            // The SPI NOR chips whose OTP area Linux drives are those whose area can be erased.
            otp_erasable: self.otp_erase
                || self
                    .preset
                    .is_some_and(|preset| preset.otp_user.region_count > 0),
            region_count: 0,
            regions: Default::default(),
        })
    }

    fn check(&self, geometry: &Geometry) -> Result<(), Problem> {
        geometry.check().map_err(|what| {
            let what = format_args!("chip {} cannot be: {what}", self.name);
            let Geometry {
                size,
                erasesize,
                writesize,
                oobsize,
                ..
            } = geometry;
            let (size, unit) = units::words_of_size(*size);
            let sizes = format_args!("size {size}{unit}, erasesize {erasesize}");
            let fix = format_args!("it has {sizes}, writesize {writesize}, oobsize {oobsize}");
            self.at.problem(what, fix)
        })
    }

    fn no_size(&self, size_of_image: Option<u64>) -> Problem {
        let what = format_args!("chip {} has no size", self.name);
        match size_of_image.map(units::words_of_size) {
            Some((size, unit)) => self
                .at
                .problem(what, format_args!("its image fits size = \"{size}{unit}\"")),
            None => self
                .at
                .problem(what, format_args!("write size = \"16M\", or a preset")),
        }
    }

    fn ecc(&self, driver: Driver, is_nand: bool) -> Ecc {
        let default = match driver {
            Driver::SpiNand => Ecc::OnDie,
            _ if is_nand => Ecc::Hamming,
            _ => Ecc::None,
        };
        self.ecc
            .or(self.preset.map(|preset| preset.ecc))
            .unwrap_or(default)
    }

    fn lock_scheme(&self, driver: Driver, is_nand: bool) -> LockScheme {
        let default = if is_nand && driver != Driver::SpiNand {
            LockScheme::NandUnsupported
        } else {
            LockScheme::None
        };
        self.lock
            .or(self.preset.map(|preset| preset.lock))
            .unwrap_or(default)
    }

    /// Without `subpages`, what nand_base.c chooses: by the number of ECC steps, none for MLC.
    fn subpage_shift(&self, kind: Kind, ecc: Ecc, writesize: u64) -> Result<u8, Problem> {
        if let Some(subpages) = self.subpages {
            let fits = subpages.is_power_of_two() && subpages <= 8;
            let fix = format_args!("write 1, 2, 4 or 8");
            let wrong = || {
                self.at_key("subpages")
                    .problem(format_args!("a page has no {subpages} subpages"), fix)
            };
            return if fits {
                Ok(subpages.trailing_zeros() as u8)
            } else {
                Err(wrong())
            };
        }
        let step = match ecc {
            Ecc::Hamming => 256,
            Ecc::Bch { .. } => 512,
            Ecc::None | Ecc::OnDie => return Ok(0),
        };
        Ok(match writesize / step {
            _ if kind == Kind::MlcNand => 0,
            2 => 1,
            4 | 8 | 16 => 2,
            _ => 0,
        })
    }

    fn regions(&self) -> Result<(u8, [EraseRegion; ERASE_REGIONS_MAX]), Problem> {
        let mut regions = [EraseRegion::default(); ERASE_REGIONS_MAX];
        let text = self
            .erase_regions
            .unwrap_or(self.preset.map_or("", |preset| preset.regions));
        let (mut count, mut offset) = (0, 0u64);
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let region = units::times(part).zip(regions.get_mut(usize::from(count)));
            let Some(((block_count, erasesize), place)) = region else {
                let what = format_args!(
                    "erase_regions cannot be read, or has more than {ERASE_REGIONS_MAX} regions"
                );
                return Err(self
                    .at_key("erase_regions")
                    .problem(what, format_args!("write \"8x8K,127x64K\"")));
            };
            *place = EraseRegion {
                offset,
                erasesize,
                block_count,
            };
            offset = offset.saturating_add(u64::from(erasesize) * u64::from(block_count));
            count += 1;
        }
        Ok((count, regions))
    }

    fn bad_blocks(&self, geometry: &Geometry) -> Result<([u32; BAD_BLOCKS_MAX], u32), Problem> {
        let mut list = [0; BAD_BLOCKS_MAX];
        let mut count = 0;
        let at = self.at_key("bad_blocks");
        let blocks = geometry.block_count();
        for block in numbers(self.bad_blocks.unwrap_or("")).flatten() {
            if !geometry.is_nand() {
                return Err(at.problem(
                    format_args!("only NAND has bad blocks"),
                    format_args!("remove bad_blocks"),
                ));
            }
            if block >= u64::from(blocks) {
                let fix = format_args!("the chip has blocks 0 to {}", blocks.saturating_sub(1));
                return Err(at.problem(format_args!("there is no block {block}"), fix));
            }
            let Some(place) = list.get_mut(count) else {
                let fix = format_args!("mark more with the host tool");
                return Err(at.problem(
                    format_args!("bad_blocks has more than {BAD_BLOCKS_MAX} blocks"),
                    fix,
                ));
            };
            *place = block as u32;
            count += 1;
        }
        Ok((list, count as u32))
    }

    fn master_name(&self, driver: Driver, order: usize) -> Text<MTD_NAME_BYTES> {
        let mut name = Text::new();
        // Writing to a Text never fails.
        let _ = match (self.mtd_name, driver) {
            (Some(said), _) => core::fmt::Write::write_str(&mut name, said),
            (None, Driver::SpiNor | Driver::SpiNand) => {
                core::fmt::Write::write_fmt(&mut name, format_args!("spi0.{order}"))
            }
            (None, Driver::Mtdram) => core::fmt::Write::write_str(&mut name, "mtdram test device"),
            (None, Driver::Nandsim) => {
                core::fmt::Write::write_str(&mut name, "NAND simulator partition 0")
            }
            (None, _) => core::fmt::Write::write_str(&mut name, self.name),
        };
        name
    }
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
        Kind::Nand | Kind::MlcNand if writesize <= 512 => writesize.saturating_mul(32),
        Kind::Nand | Kind::MlcNand => writesize.saturating_mul(64),
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
