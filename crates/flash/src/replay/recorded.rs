//! For tests only: which recordings are replayed on which chips.

use std::format;

use super::Replay;
use crate::*;

fn nand(size: u64, pages: u32, writesize: u32, oobsize: u32, ecc: Ecc) -> Geometry {
    let geometry = testing::nand_geometry_of(writesize, oobsize, ecc);
    Geometry {
        size,
        erasesize: pages * writesize,
        ..geometry
    }
}

#[test]
fn nand_answers_as_the_recorded_kernels_did() {
    const MIB: u64 = 1 << 20;
    let devices = [
        ("nand16m_512", nand(16 * MIB, 32, 512, 16, Ecc::Hamming)),
        ("nand8m_2k", nand(8 * MIB, 64, 2048, 64, Ecc::Hamming)),
        ("nand8m_4k", nand(8 * MIB, 64, 4096, 128, Ecc::Hamming)),
        (
            "nand8m_bch1",
            nand(8 * MIB, 64, 2048, 64, Ecc::Bch { strength: 1 }),
        ),
        (
            "nand8m_bch4",
            nand(8 * MIB, 64, 2048, 64, Ecc::Bch { strength: 4 }),
        ),
        (
            "nand8m_bch8",
            nand(8 * MIB, 64, 2048, 64, Ecc::Bch { strength: 8 }),
        ),
        (
            "nand8m_4k_bch4",
            nand(8 * MIB, 64, 4096, 128, Ecc::Bch { strength: 4 }),
        ),
    ];
    for (device, geometry) in devices {
        for scenario in ["oob", "overwrite", "bad", "erase"] {
            let mut replay = Replay::new(geometry);
            replay.run(&format!("{device}/scenario/{scenario}.txt"));
            assert!(
                replay.checked > 20,
                "{device} {scenario}: {}",
                replay.checked
            );
        }
    }
}

#[test]
fn chips_with_a_bottom_bit_are_locked_as_recorded() {
    let protect = |size, erasesize, protect| Geometry {
        size,
        erasesize,
        lock: LockScheme::BlockProtect(protect),
        ..testing::nor_geometry()
    };
    let devices = [
        (
            "spi4m_w25q32dw",
            protect(4 << 20, 4 << 10, BlockProtect::TOP_BOTTOM),
        ),
        (
            "spi8m_w25q64dw",
            protect(8 << 20, 4 << 10, BlockProtect::TOP_BOTTOM),
        ),
        (
            "spi8m_m25p64",
            protect(8 << 20, 64 << 10, BlockProtect::TOP),
        ),
    ];
    for (device, geometry) in devices {
        let mut replay = Replay::new(geometry);
        replay.run(&format!("{device}/extra/norx_lock.txt"));
        assert!(replay.checked > 100, "{device} {}", replay.checked);
    }
}

#[test]
fn cfi_chips_answer_as_recorded() {
    let cfi = |command_set, lock, size, erasesize| Geometry {
        erase_alignment: EraseAlignment::StartAndLength,
        command_set,
        lock,
        size,
        erasesize,
        ..testing::nor_geometry()
    };
    let (intel, amd) = (CommandSet::Intel, CommandSet::Amd);
    let devices = [
        (
            "cfi4m_32k_lock",
            cfi(intel, LockScheme::PerBlock, 4 << 20, 32 << 10),
        ),
        (
            "cfi8m_64k_amd",
            cfi(amd, LockScheme::None, 8 << 20, 64 << 10),
        ),
    ];
    for (device, geometry) in devices {
        for scenario in ["overwrite", "erase", "lock"] {
            let mut replay = Replay::new(geometry);
            replay.run(&format!("{device}/scenario/{scenario}.txt"));
            assert!(
                replay.checked > 10,
                "{device} {scenario} {}",
                replay.checked
            );
        }
    }
    // The AMD chip's goes on through the block device, which is not replayed here.
    Replay::new(devices[0].1).run("cfi4m_32k_lock/extra/norx_lock.txt");
}

#[test]
fn spi_nor_locks_and_programs_as_recorded() {
    let mut replay = Replay::new(testing::nor_geometry());
    replay.run("spinor/extra/norx_lock.txt");
    assert!(replay.checked > 100, "{}", replay.checked);
    for scenario in ["overwrite", "erase", "lock"] {
        Replay::new(testing::nor_geometry()).run(&format!("spinor/scenario/{scenario}.txt"));
    }
}

#[test]
fn ram_and_cfi_answer_as_recorded() {
    let plain = Geometry {
        erase_alignment: EraseAlignment::StartAndLength,
        lock: LockScheme::None,
        size: 4 << 20,
        erasesize: 64 << 10,
        ..testing::nor_geometry()
    };
    let ram = Geometry {
        kind: Kind::Ram,
        ..plain
    };
    let per_block = Geometry {
        lock: LockScheme::PerBlock,
        ..plain
    };
    for scenario in ["overwrite", "erase", "lock"] {
        Replay::new(ram).run(&format!("mtdram/scenario/{scenario}.txt"));
        Replay::new(per_block).run(&format!("nortest/scenario/{scenario}.txt"));
    }
    Replay::new(per_block).run("nortest/extra/norx_lock.txt");
}
