//! Chips people meet, under the names of their datasheets.
//!
//! Sizes, pages and blocks are from the manufacturers' datasheets. For SPI NOR the eraseblock is the one Linux uses by
//! default: 4 KiB where its table of chips knows the 4 KiB erase command (CONFIG_MTD_SPI_NOR_USE_4K_SECTORS), else 64
//! KiB. Many vendor kernels switch that option off: then write `erasesize = "64K"` below the preset. Locks and OTP are
//! given where Linux 6.1 drives them on that chip: a chip it knows without the flag for locks answers "no such method".

use flash::{BlockProtect, Ecc, Kind, LockScheme, OtpArea};

use crate::conf::Driver;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preset {
    pub name: &'static str,
    pub kind: Kind,
    pub driver: Driver,
    pub size: u64,
    pub erasesize: u32,
    pub writesize: u32,
    pub oobsize: u32,
    pub ecc: Ecc,
    pub lock: LockScheme,
    pub otp_user: OtpArea,
    /// Erase regions as the configuration writes them; empty for blocks of one size.
    pub regions: &'static str,
}

const KIB: u32 = 1 << 10;
const MIB: u64 = 1 << 20;
const NO_LOCK: LockScheme = LockScheme::None;
const LOCK: LockScheme = LockScheme::BlockProtect(BlockProtect::TOP);
const LOCK_TB: LockScheme = LockScheme::BlockProtect(BlockProtect::TOP_BOTTOM);
const LOCK_4: LockScheme = LockScheme::BlockProtect(BlockProtect::TOP_4);
const LOCK_4_TB: LockScheme = LockScheme::BlockProtect(BlockProtect::TOP_BOTTOM_4);
/// As the recorded chip, QEMU's: protected sectors can be erased.
const LOCK_PROGRAMS: LockScheme = LockScheme::BlockProtect(BlockProtect::PROGRAMS_ONLY);
const NO_OTP: OtpArea = OtpArea {
    region_length: 0,
    region_count: 0,
};

const fn spi_nor(name: &'static str, size: u64, erasesize: u32, lock: LockScheme) -> Preset {
    Preset {
        name,
        kind: Kind::Nor,
        driver: Driver::SpiNor,
        size,
        erasesize,
        writesize: 1,
        oobsize: 0,
        ecc: Ecc::None,
        lock,
        otp_user: NO_OTP,
        regions: "",
    }
}

/// With the three security registers that Linux drives on some Winbond chips.
const fn winbond_otp(name: &'static str, size: u64) -> Preset {
    let otp_user = OtpArea {
        region_length: 256,
        region_count: 3,
    };
    Preset {
        otp_user,
        ..spi_nor(name, size, 4 * KIB, LOCK_TB)
    }
}

/// Intel StrataFlash: every block can be locked by itself.
const fn cfi_intel(name: &'static str, size: u64, erasesize: u32) -> Preset {
    Preset {
        driver: Driver::Cfi,
        ..spi_nor(name, size, erasesize, LockScheme::PerBlock)
    }
}

/// Sector protection that Linux does not drive without being told in the device tree.
const fn cfi_amd(name: &'static str, size: u64, erasesize: u32, regions: &'static str) -> Preset {
    Preset {
        driver: Driver::CfiAmd,
        regions,
        ..spi_nor(name, size, erasesize, NO_LOCK)
    }
}

const fn nand(
    name: &'static str,
    size: u64,
    erasesize: u32,
    writesize: u32,
    oobsize: u32,
    ecc: Ecc,
) -> Preset {
    Preset {
        name,
        kind: Kind::Nand,
        driver: Driver::Nand,
        size,
        erasesize,
        writesize,
        oobsize,
        ecc,
        lock: LockScheme::NandUnsupported,
        otp_user: NO_OTP,
        regions: "",
    }
}

const fn spi_nand(
    name: &'static str,
    size: u64,
    erasesize: u32,
    writesize: u32,
    oobsize: u32,
) -> Preset {
    let base = nand(name, size, erasesize, writesize, oobsize, Ecc::OnDie);
    Preset {
        driver: Driver::SpiNand,
        lock: LockScheme::None,
        ..base
    }
}

pub const PRESETS: &[Preset] = &[
    spi_nor("w25q32", 4 * MIB, 4 * KIB, NO_LOCK),
    spi_nor("w25q64", 8 * MIB, 4 * KIB, NO_LOCK),
    spi_nor("w25q128", 16 * MIB, 4 * KIB, LOCK_TB),
    spi_nor("w25q256", 32 * MIB, 4 * KIB, NO_LOCK),
    winbond_otp("w25q32dw", 4 * MIB),
    winbond_otp("w25q32jwm", 4 * MIB),
    spi_nor("w25q64dw", 8 * MIB, 4 * KIB, LOCK_TB),
    spi_nor("w25q128jv", 16 * MIB, 4 * KIB, LOCK_TB),
    spi_nor("mx25l1606e", 2 * MIB, 4 * KIB, NO_LOCK),
    spi_nor("mx25l6405d", 8 * MIB, 4 * KIB, NO_LOCK),
    spi_nor("mx25l12805d", 16 * MIB, 4 * KIB, LOCK_4),
    spi_nor("mx25l25635e", 32 * MIB, 4 * KIB, NO_LOCK),
    // Linux takes every chip of Micron and ST to have block-protect bits.
    spi_nor("m25p64", 8 * MIB, 64 * KIB, LOCK),
    spi_nor("n25q064a", 8 * MIB, 4 * KIB, LOCK),
    spi_nor("n25q128a", 16 * MIB, 4 * KIB, LOCK_4_TB),
    spi_nor("n25q256a", 32 * MIB, 4 * KIB, LOCK),
    spi_nor("s25fl128s", 16 * MIB, 64 * KIB, NO_LOCK),
    spi_nor("s25fl256s", 32 * MIB, 64 * KIB, NO_LOCK),
    spi_nor("sst25vf016b", 2 * MIB, 4 * KIB, LOCK_PROGRAMS),
    spi_nor("gd25q64", 8 * MIB, 4 * KIB, LOCK_TB),
    spi_nor("gd25q128", 16 * MIB, 4 * KIB, LOCK_TB),
    spi_nor("en25q64", 8 * MIB, 4 * KIB, NO_LOCK),
    cfi_amd("s29gl128p", 16 * MIB, 128 * KIB, ""),
    cfi_amd("s29gl256p", 32 * MIB, 128 * KIB, ""),
    cfi_intel("28f640j3", 8 * MIB, 128 * KIB),
    cfi_intel("28f128j3", 16 * MIB, 128 * KIB),
    // Bottom boot: eight 8 KiB parameter blocks below 64 KiB ones.
    cfi_amd("am29lv320db", 4 * MIB, 64 * KIB, "8x8K,63x64K"),
    nand("nand256w3a", 32 * MIB, 16 * KIB, 512, 16, Ecc::Hamming),
    nand("k9f5608", 32 * MIB, 16 * KIB, 512, 16, Ecc::Hamming),
    nand("k9f1208", 64 * MIB, 16 * KIB, 512, 16, Ecc::Hamming),
    nand("k9f1g08", 128 * MIB, 128 * KIB, 2048, 64, Ecc::Hamming),
    nand("k9f2g08", 256 * MIB, 128 * KIB, 2048, 64, Ecc::Hamming),
    nand(
        "mt29f2g08",
        256 * MIB,
        128 * KIB,
        2048,
        64,
        Ecc::Bch { strength: 4 },
    ),
    nand("s34ml01g1", 128 * MIB, 128 * KIB, 2048, 64, Ecc::Hamming),
    nand("tc58nvg0s3e", 128 * MIB, 128 * KIB, 2048, 64, Ecc::Hamming),
    spi_nand("w25n01gv", 128 * MIB, 128 * KIB, 2048, 64),
    spi_nand("gd5f1gq4u", 128 * MIB, 128 * KIB, 2048, 128),
    // The kernel's mtdram with its default parameters.
    Preset {
        kind: Kind::Ram,
        driver: Driver::Mtdram,
        ..spi_nor("mtdram", 4 * MIB, 128 * KIB, NO_LOCK)
    },
];

pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}
