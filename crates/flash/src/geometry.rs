//! What a chip is: plain numbers, checked once when a board is compiled.

/// Technology of the chip; the numbers of `MTD_*` types are in `mtd-abi`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Stores whatever is written; no erase needed (mtdram, phram).
    Ram,
    /// Cannot be written.
    Rom,
    /// Programming clears bits, erase sets them.
    Nor,
    /// Pages, spare area, bad blocks (SLC).
    Nand,
    /// The same with multi-level cells: type 8, no subpage writes.
    MlcNand,
    Dataflash,
}

/// Error correction that the host computes for a NAND page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ecc {
    /// Data is stored as it is; read errors are nobody's business.
    None,
    /// The chip corrects by itself; the spare area holds no code that the host sees.
    OnDie,
    /// Software Hamming: 1 bit per 256-byte step, 3 bytes a step.
    Hamming,
    /// Software BCH: `strength` bits (1..=8) per 512-byte step.
    Bch { strength: u8 },
}

/// Which arguments of an erase must be multiples of the eraseblock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EraseAlignment {
    StartAndLength,
    /// SPI NOR: only the length is checked; the chip erases the sectors that hold the addresses.
    LengthOnly,
}

/// How blocks are protected against program and erase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockScheme {
    /// No lock method at all (EOPNOTSUPP).
    None,
    /// Raw NAND: the method exists and answers 524.
    NandUnsupported,
    /// A flag per eraseblock (CFI); programming or erasing a locked block fails with EROFS.
    PerBlock,
    /// The commands of `PerBlock` are taken and nothing is ever protected, as in QEMU's pflash.
    NoEffect,
    /// SPI NOR block protect: power-of-two fractions of the chip; it ignores commands on locked sectors.
    BlockProtect(BlockProtect),
}

/// The bits of a SPI NOR status register that protect sectors, as far as Linux drives them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockProtect {
    /// BP0 and up: 3, or 4 with BP3.
    pub bits: u8,
    /// The bit TB is there: fractions from the bottom as well as from the top.
    pub bottom: bool,
    /// Erases of protected sectors are ignored like programs. So do chips; QEMU's let an erase through.
    pub guards_erase: bool,
}

impl BlockProtect {
    pub const TOP: BlockProtect = BlockProtect {
        bits: 3,
        bottom: false,
        guards_erase: true,
    };
    pub const TOP_BOTTOM: BlockProtect = BlockProtect {
        bottom: true,
        ..Self::TOP
    };
    pub const TOP_4: BlockProtect = BlockProtect {
        bits: 4,
        ..Self::TOP
    };
    pub const TOP_BOTTOM_4: BlockProtect = BlockProtect {
        bits: 4,
        ..Self::TOP_BOTTOM
    };
    pub const PROGRAMS_ONLY: BlockProtect = BlockProtect {
        guards_erase: false,
        ..Self::TOP
    };
}

/// The command set of a CFI chip: what the driver checks, and what a program that cannot succeed answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommandSet {
    /// Not CFI.
    Other,
    /// 1 and 3: bits are ANDed, OTP registers are locked region by region.
    Intel,
    /// 2: the driver compares every word that it programmed; OTP methods are there without OTP.
    Amd,
}

/// In which pages of a block the mark of a bad one is written and looked for; each maker has its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MarkPages {
    #[default]
    First,
    FirstSecond,
    FirstSecondLast,
    Last,
}

/// One-time-programmable area: `region_count` regions of `region_length` bytes each; none if the count is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OtpArea {
    pub region_length: u32,
    pub region_count: u32,
}

impl OtpArea {
    pub fn length(&self) -> u64 {
        u64::from(self.region_length) * u64::from(self.region_count)
    }
}

/// Blocks of one size inside a chip whose blocks differ (CFI).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EraseRegion {
    pub offset: u64,
    pub erasesize: u32,
    pub block_count: u32,
}

pub const ERASE_REGIONS_MAX: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    pub kind: Kind,
    pub size: u64,
    pub erasesize: u32,
    pub writesize: u32,
    pub oobsize: u32,
    /// subpagesize = writesize >> subpage_shift
    pub subpage_shift: u8,
    pub ecc: Ecc,
    pub erase_alignment: EraseAlignment,
    pub command_set: CommandSet,
    pub lock: LockScheme,
    pub mark_pages: MarkPages,
    pub otp_user: OtpArea,
    pub otp_factory: OtpArea,
    /// OTPERASE is supported.
    pub otp_erasable: bool,
    pub region_count: u8,
    pub regions: [EraseRegion; ERASE_REGIONS_MAX],
}

/// One eraseblock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    pub index: u32,
    pub start: u64,
    pub length: u32,
}

impl Block {
    pub fn end(&self) -> u64 {
        self.start.saturating_add(u64::from(self.length))
    }
}

/// The part `from..to` of an eraseblock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub block: Block,
    pub from: u32,
    pub to: u32,
}

impl Piece {
    pub fn start(&self) -> u64 {
        self.block.start.saturating_add(u64::from(self.from))
    }

    pub fn end(&self) -> u64 {
        self.block.start.saturating_add(u64::from(self.to))
    }
}

const PAGE_MAX: u32 = 16 * 1024;
const OOB_MAX: u32 = 4096;
/// What a ledger word can count; one number less is left for "unknown".
pub(crate) const UNITS_MAX: u64 = 1 << 19;
/// The largest page that the driver keeps (`keeps_a_page`).
pub(crate) const KEPT_PAGE_MAX: u32 = 512;

impl Geometry {
    pub fn is_nand(&self) -> bool {
        matches!(self.kind, Kind::Nand | Kind::MlcNand)
    }

    /// Whether the driver has methods for this OTP area: the AMD one has them always.
    pub fn has_otp_methods(&self, area: OtpArea) -> bool {
        area.region_count > 0 || self.command_set == CommandSet::Amd
    }

    /// The regions of equal blocks, as a CFI chip reports them; empty when all blocks have `erasesize`.
    pub fn erase_regions(&self) -> &[EraseRegion] {
        self.regions
            .get(..usize::from(self.region_count))
            .unwrap_or(&[])
    }

    pub fn block_count(&self) -> u32 {
        let regions = self.erase_regions();
        if regions.is_empty() {
            return quotient(self.size, self.erasesize).unwrap_or(0) as u32;
        }
        regions
            .iter()
            .fold(0, |count, region| count.saturating_add(region.block_count))
    }

    /// The eraseblock that holds an address.
    pub fn block_at(&self, at: u64) -> Option<Block> {
        if at >= self.size {
            return None;
        }
        if self.region_count == 0 {
            return self.block_of_all(at);
        }
        let mut first = 0u32;
        for region in self.erase_regions() {
            let length = u64::from(region.erasesize).checked_mul(u64::from(region.block_count))?;
            if let Some(inner) = at
                .checked_sub(region.offset)
                .filter(|&inner| inner < length)
            {
                return block_in(region.offset, inner, region.erasesize, first);
            }
            first = first.checked_add(region.block_count)?;
        }
        None
    }

    /// The same where all have one size, nearly always a power of two.
    #[inline(always)]
    fn block_of_all(&self, at: u64) -> Option<Block> {
        let length = self.erasesize;
        let (Ok(low), true) = (u32::try_from(at), length.is_power_of_two()) else {
            return block_in(0, at, length, 0);
        };
        let index = low >> length.trailing_zeros();
        Some(Block {
            index,
            start: u64::from(low & !(length - 1)),
            length,
        })
    }

    /// The eraseblocks that a range touches, each with the part of it that is touched (offsets inside the block).
    pub(crate) fn pieces(&self, at: u64, length: u64) -> impl Iterator<Item = Piece> + use<'_> {
        let end = at.saturating_add(length);
        let mut cursor = at;
        core::iter::from_fn(move || self.piece(&mut cursor, end))
    }

    #[inline(never)]
    fn piece(&self, cursor: &mut u64, end: u64) -> Option<Piece> {
        let at = *cursor;
        if at >= end {
            return None;
        }
        let block = self.block_at(at)?;
        *cursor = block.end();
        Some(Piece {
            block,
            from: (at - block.start) as u32,
            to: (end.min(*cursor) - block.start) as u32,
        })
    }

    pub fn page_count(&self) -> u64 {
        self.page_at(self.size)
    }

    /// The number of the page that holds an address.
    pub fn page_at(&self, at: u64) -> u64 {
        quotient(at, self.writesize).unwrap_or(0)
    }

    /// Bytes of the spare-area file.
    pub fn oob_file_size(&self) -> u64 {
        if self.oobsize == 0 {
            0
        } else {
            self.page_count().saturating_mul(u64::from(self.oobsize))
        }
    }

    pub fn subpage_size(&self) -> u32 {
        self.writesize
            .checked_shr(u32::from(self.subpage_shift))
            .unwrap_or(0)
    }

    /// Bytes (NOR, RAM) or pages (NAND) that one step of the ledger's `clean_from` stands for.
    pub fn clean_unit(&self, block_length: u32) -> u32 {
        if self.is_nand() {
            self.writesize.max(1)
        } else {
            u64::from(block_length).div_ceil(UNITS_MAX).max(1) as u32
        }
    }

    pub fn ecc_strength(&self) -> u32 {
        match self.ecc {
            _ if !self.is_nand() => 0,
            Ecc::None | Ecc::OnDie => 0,
            Ecc::Hamming => 1,
            Ecc::Bch { strength } => u32::from(strength),
        }
    }

    /// Bytes that one code protects; the page where no code is computed.
    pub fn ecc_step_size(&self) -> u32 {
        match self.ecc {
            _ if !self.is_nand() => 0,
            Ecc::None | Ecc::OnDie => self.writesize,
            Ecc::Hamming => 256,
            Ecc::Bch { .. } => 512,
        }
    }

    /// Bytes of code for one step.
    pub fn ecc_step_bytes(&self) -> u32 {
        match self.ecc {
            _ if !self.is_nand() => 0,
            Ecc::None | Ecc::OnDie => 0,
            Ecc::Hamming => 3,
            Ecc::Bch { strength } => (u32::from(strength) * 13).div_ceil(8),
        }
    }

    pub fn ecc_steps(&self) -> u32 {
        if self.ecc_step_bytes() == 0 {
            return 0;
        }
        // The size of a step is a power of two.
        let shift = self.ecc_step_size().trailing_zeros();
        self.writesize.checked_shr(shift).unwrap_or(0)
    }

    /// All bytes of code in a page's spare area.
    pub fn ecc_total_bytes(&self) -> u32 {
        self.ecc_steps().saturating_mul(self.ecc_step_bytes())
    }

    /// From how many bit flips on a read answers EUCLEAN: three quarters of the strength, rounded up.
    pub fn bitflip_threshold_default(&self) -> u32 {
        (self.ecc_strength() * 3).div_ceil(4)
    }

    /// The pages of a block, counted from its beginning, whose spare areas hold the mark of a bad block.
    pub fn mark_pages(&self) -> impl Iterator<Item = u32> {
        let pages = self.erasesize.checked_div(self.writesize).unwrap_or(0);
        let last = pages.saturating_sub(1);
        let (places, count) = match self.mark_pages {
            MarkPages::First => ([0, 0, 0], 1),
            MarkPages::FirstSecond => ([0, 1, 0], 2),
            MarkPages::FirstSecondLast => ([0, 1, last], 3),
            MarkPages::Last => ([last, 0, 0], 1),
        };
        places.into_iter().take(count)
    }

    /// Where the mark of a bad block is in the spare area of such a page.
    pub fn bad_block_position(&self) -> u32 {
        if self.writesize > 512 { 0 } else { 5 }
    }

    /// A page is read whole and kept by the driver when only a part of it is wanted; large pages are read by steps.
    pub(crate) fn keeps_a_page(&self) -> bool {
        self.is_nand() && self.ecc_total_bytes() > 0 && self.writesize <= KEPT_PAGE_MAX
    }

    /// Whether the numbers fit together; everything else in this crate relies on it, but must not panic without it.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.size == 0 || self.erasesize == 0 || self.writesize == 0 {
            return Err("size, erasesize and writesize must not be 0");
        }
        if !self.size.is_multiple_of(u64::from(self.erasesize)) && self.region_count == 0 {
            return Err("size must be a multiple of erasesize");
        }
        if self
            .size
            .checked_div(u64::from(self.erasesize))
            .is_some_and(|blocks| blocks > u64::from(u32::MAX))
        {
            return Err("too many eraseblocks");
        }
        self.check_regions()?;
        if u64::from(self.block_count()) >= 2 * UNITS_MAX - 1 {
            return Err("too many eraseblocks");
        }
        if self.otp_user.region_count > crate::ledger::OTP_REGIONS_MAX {
            return Err("too many OTP regions");
        }
        if self.is_nand() {
            self.check_nand()
        } else {
            self.check_plain()
        }
    }

    fn check_regions(&self) -> Result<(), &'static str> {
        if usize::from(self.region_count) > ERASE_REGIONS_MAX {
            return Err("too many erase regions");
        }
        let mut end = 0u64;
        for region in self.erase_regions() {
            if region.erasesize == 0 || region.block_count == 0 || region.offset != end {
                return Err("erase regions must follow each other without a gap");
            }
            end = end.saturating_add(u64::from(region.erasesize) * u64::from(region.block_count));
        }
        if self.region_count > 0 && end != self.size {
            return Err("erase regions must cover the chip");
        }
        Ok(())
    }

    fn check_plain(&self) -> Result<(), &'static str> {
        let has_marks = self.mark_pages != MarkPages::First;
        if self.oobsize != 0 || self.ecc != Ecc::None || has_marks {
            return Err("only a NAND chip has a spare area, with ECC and marks of bad blocks");
        }
        if self.lock == LockScheme::NandUnsupported {
            return Err("this lock scheme belongs to NAND");
        }
        if let LockScheme::BlockProtect(protect) = self.lock
            && !(3..=4).contains(&protect.bits)
        {
            return Err("there are 3 or 4 block-protect bits");
        }
        Ok(())
    }

    fn check_nand(&self) -> Result<(), &'static str> {
        if self.region_count > 0 {
            return Err("a NAND chip has eraseblocks of one size");
        }
        if !self.writesize.is_power_of_two() || !self.erasesize.is_power_of_two() {
            return Err("writesize and erasesize of NAND must be powers of two");
        }
        if self.writesize < 256 || self.writesize > PAGE_MAX || self.erasesize < self.writesize {
            return Err("writesize of NAND must be 256..=16384 and not above erasesize");
        }
        if u64::from(self.erasesize / self.writesize) > UNITS_MAX {
            return Err("too many pages in an eraseblock");
        }
        if self.oobsize > OOB_MAX || self.subpage_size() == 0 {
            return Err("oobsize must be at most 4096 and the subpage not empty");
        }
        if let Ecc::Bch { strength } = self.ecc
            && !(1..=8).contains(&strength)
        {
            return Err("BCH corrects 1 to 8 bits a step");
        }
        if self.ecc_step_size() > self.writesize {
            return Err("the page is smaller than an ECC step");
        }
        let positions = self.oob_layout().unwrap_or_default().ecc_positions();
        if positions.len() as u32 != self.ecc_total_bytes() || positions.end() > self.oobsize {
            return Err("the ECC bytes do not fit into the spare area");
        }
        if self.oobsize > 0 && self.bad_block_position() >= self.oobsize {
            return Err("the spare area is too small for the bad block mark");
        }
        Ok(())
    }
}

/// By less than 32: ARM has no instruction for it, but for what nearly all addresses are.
pub(crate) fn shifted(value: u64, by: u32) -> u64 {
    match u32::try_from(value) {
        Ok(value) => u64::from(value >> (by & 31)),
        Err(_) => value >> (by & 31),
    }
}

/// Division by what is nearly always a power of two: without one, ARM has no instruction for it.
pub(crate) fn quotient(value: u64, unit: u32) -> Option<u64> {
    if unit.is_power_of_two() {
        Some(shifted(value, unit.trailing_zeros()))
    } else {
        value.checked_div(u64::from(unit))
    }
}

/// The same for the question whether anything is left.
pub(crate) fn divides(value: u64, unit: u32) -> bool {
    if unit.is_power_of_two() {
        value & u64::from(unit - 1) == 0
    } else {
        value.is_multiple_of(u64::from(unit))
    }
}

fn block_in(offset: u64, inner: u64, erasesize: u32, first: u32) -> Option<Block> {
    let number = u32::try_from(quotient(inner, erasesize)?).ok()?;
    // Not above `offset + inner`, the address asked for.
    let start = offset.wrapping_add(u64::from(number) * u64::from(erasesize));
    Some(Block {
        index: first.checked_add(number)?,
        start,
        length: erasesize,
    })
}

#[cfg(test)]
#[path = "geometry_tests.rs"]
mod tests;
