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
    /// SPI NOR block protect: power-of-two fractions from the top; the chip ignores commands on locked sectors.
    BlockProtect,
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
    pub lock: LockScheme,
    pub otp_user: OtpArea,
    pub otp_factory: OtpArea,
    /// OTPERASE is supported.
    pub otp_erasable: bool,
    pub region_count: u8,
    pub regions: [EraseRegion; ERASE_REGIONS_MAX],
}

impl Geometry {
    pub fn is_nand(&self) -> bool {
        matches!(self.kind, Kind::Nand | Kind::MlcNand)
    }

    pub fn block_count(&self) -> u32 {
        self.size.checked_div(u64::from(self.erasesize)).unwrap_or(0) as u32
    }

    pub fn page_count(&self) -> u64 {
        self.size.checked_div(u64::from(self.writesize)).unwrap_or(0)
    }

    /// Bytes of the spare-area file.
    pub fn oob_file_size(&self) -> u64 {
        if self.oobsize == 0 { 0 } else { self.page_count() * u64::from(self.oobsize) }
    }
}
