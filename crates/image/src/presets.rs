//! Chips people meet, under the names of their datasheets.
//!
//! Sizes, pages and blocks are from the manufacturers' datasheets. For SPI NOR the eraseblock is the one Linux uses by
//! default: 4 KiB where its table of chips knows the 4 KiB erase command (CONFIG_MTD_SPI_NOR_USE_4K_SECTORS), else 64
//! KiB. Many vendor kernels switch that option off: then write `erasesize = "64K"` below the preset. Locks and OTP are
//! given where Linux 6.1 drives them on that chip: a chip it knows without the flag for locks answers "no such method".
//!
//! * Linux takes every chip of Micron and ST to have block-protect bits.
//! * sst25vf016b is as the recorded chip, QEMU's: protected sectors can be erased.
//! * CFI of Intel's kind: every block can be locked by itself; of AMD's: Linux does not drive sector protection without
//!   being told in the device tree.
//! * am29lv320db boots from the bottom: eight 8 KiB parameter blocks below 64 KiB ones.
//! * Where marks of bad blocks are is the maker's: `nand_samsung.c`, `nand_micron.c`, `nand_amd.c` (Spansion, too) and
//!   `nand_toshiba.c` of Linux 6.1; ST has no file of its own there.
//! * mtdram is the kernel's with its default parameters.

use crate::conf::At;
use crate::conf::scan::Scan;
use crate::problem::Problem;

/// Name, driver, size, erasesize, lock, writesize, oobsize, bad_block_marks, ecc, otp_user, erase_regions, as the configuration writes them;
/// a dash is what the type has anyway.
pub const PRESETS: &str = "\
w25q32 spi-nor 4M 4K
w25q64 spi-nor 8M 4K
w25q128 spi-nor 16M 4K block-protect-tb
w25q256 spi-nor 32M 4K
w25q32dw spi-nor 4M 4K block-protect-tb - - - - 3x256
w25q32jwm spi-nor 4M 4K block-protect-tb - - - - 3x256
w25q64dw spi-nor 8M 4K block-protect-tb
w25q128jv spi-nor 16M 4K block-protect-tb
mx25l1606e spi-nor 2M 4K
mx25l6405d spi-nor 8M 4K
mx25l12805d spi-nor 16M 4K block-protect-4bit
mx25l25635e spi-nor 32M 4K
m25p64 spi-nor 8M 64K block-protect
n25q064a spi-nor 8M 4K block-protect
n25q128a spi-nor 16M 4K block-protect-4bit-tb
n25q256a spi-nor 32M 4K block-protect
s25fl128s spi-nor 16M 64K
s25fl256s spi-nor 32M 64K
sst25vf016b spi-nor 2M 4K block-protect-programs
gd25q64 spi-nor 8M 4K block-protect-tb
gd25q128 spi-nor 16M 4K block-protect-tb
en25q64 spi-nor 8M 4K
s29gl128p cfi-amd 16M 128K
s29gl256p cfi-amd 32M 128K
28f640j3 cfi 8M 128K per-block
28f128j3 cfi 16M 128K per-block
am29lv320db cfi-amd 4M 64K - - - - - - 8x8K,63x64K
nand256w3a nand 32M 16K - 512 16
k9f5608 nand 32M 16K - 512 16 first-second
k9f1208 nand 64M 16K - 512 16 first-second
k9f1g08 nand 128M 128K - 2048 64 first-second
k9f2g08 nand 256M 128K - 2048 64 first-second
mt29f2g08 nand 256M 128K - 2048 64 first-second bch4
s34ml01g1 nand 128M 128K - 2048 64 first-second-last
tc58nvg0s3e nand 128M 128K - 2048 64 first-second
w25n01gv spi-nand 128M 128K none 2048 64
gd5f1gq4u spi-nand 128M 128K none 2048 128
mtdram mtdram 4M 128K
";

fn lines() -> impl Iterator<Item = &'static str> {
    let mut scan = Scan::whole(PRESETS);
    core::iter::from_fn(move || (!scan.rest.is_empty()).then(|| scan.take_until(b'\n')))
}

fn name_of(line: &str) -> &str {
    line.split_ascii_whitespace().next().unwrap_or("")
}

pub fn names() -> impl Iterator<Item = &'static str> {
    lines().map(name_of)
}

/// The line of a preset.
pub fn find(name: &str) -> Option<&'static str> {
    lines().find(|line| name_of(line) == name)
}

/// Whether there is such a preset, and which is the nearest.
pub fn check(at: At<'_>, name: &str) -> Result<(), Problem> {
    if find(name).is_some() {
        return Ok(());
    }
    // A chip of the same family is more useful than one whose name looks alike elsewhere; the shortest of them.
    let mut near = ("", 0);
    for known in names() {
        let pairs = known.bytes().zip(name.bytes());
        let shared = pairs.take_while(|(a, b)| a == b).count();
        if shared > near.1 || shared == near.1 && known.len() <= near.0.len() {
            near = (known, shared);
        }
    }
    Err(match near {
        (near, 3..) => at.problem(format_args!(
            "no preset is called '{name}'; the nearest is '{near}'; else give type and size"
        )),
        _ => at.problem(format_args!(
            "no preset is called '{name}'; give type, size, erasesize ... instead"
        )),
    })
}
