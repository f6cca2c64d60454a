//! The board as a whole: text on disk -> devices, shared and live.

use mtd_abi::flag;

use super::*;
use crate::testing::{Noise, TestDirectory, TestOs};

fn rows(board: &Board) -> Vec<String> {
    let row = |device: DeviceView| {
        let kind = if device.is_partition { "part" } else { "chip" };
        let DeviceView {
            index,
            name,
            offset,
            size,
            flags,
            ..
        } = device;
        format!("{index} {name} {offset:#x}+{size:#x} {flags:#x} {kind}")
    };
    board.devices().map(row).collect()
}

fn open(directory: &TestDirectory) -> (TestOs, Board) {
    let os = TestOs::new();
    let board = Board::open(&os, &directory.c_path()).unwrap();
    (os, board)
}

const NOR_8M: &str = "[chip.nor0]\ntype = \"nor\"\nsize = \"8M\"\n";

#[test]
fn a_directory_without_configuration_gets_the_sample_and_one_line_says_so() {
    let directory = TestDirectory::new();
    let os = TestOs::new();
    let board = Board::open_default(&os, &directory.c_path()).unwrap();
    assert_eq!(
        rows(&board),
        [
            "0 u-boot 0x0+0x40000 0xc00 part",
            "1 u-boot-env 0x40000+0x10000 0xc00 part",
            "2 kernel 0x50000+0x400000 0xc00 part",
            "3 rootfs 0x450000+0xbb0000 0xc00 part",
            "4 nand-kernel 0x0+0x800000 0x400 part",
            "5 nand-data 0x800000+0x1800000 0x400 part",
        ]
    );
    assert_eq!(os.reports.borrow().len(), 1);
    assert!(os.reports.borrow()[0].contains("mtdshim.conf"));
    let written = String::from_utf8(directory.read("mtdshim.conf")).unwrap();
    let (chips, _) = written.split_once("# More keys").unwrap();
    assert!(SAMPLE_CONF.starts_with(chips));
    let again = Board::open_default(&os, &directory.c_path()).unwrap();
    assert_eq!(os.reports.borrow().len(), 1);
    assert_eq!(rows(&again), rows(&board));
}

#[test]
fn an_unchanged_text_is_not_read_again() {
    let directory = TestDirectory::with_conf(NOR_8M);
    let (_, first) = open(&directory);
    let (os, second) = open(&directory);
    assert_eq!(rows(&second), rows(&first));
    let opened = os.opened.borrow();
    assert!(
        opened.iter().all(|path| !path.ends_with("mtdshim.conf")),
        "{opened:?}"
    );
}

#[test]
fn a_changed_text_is_compiled_anew() {
    let directory = TestDirectory::with_conf(NOR_8M);
    open(&directory);
    directory.write("mtdshim.conf", NOR_8M.replace("8M", "4M").as_bytes());
    assert_eq!(
        rows(&open(&directory).1),
        ["0 spi0.0 0x0+0x400000 0xc00 chip"]
    );
}

#[test]
fn texts_of_one_length_written_in_quick_succession_are_told_apart() {
    let directory = TestDirectory::new();
    for size in [1, 2, 4, 8, 1, 2, 4, 8] {
        directory.write(
            "mtdshim.conf",
            NOR_8M.replace("8M", &format!("{size}M")).as_bytes(),
        );
        let row = format!("0 spi0.0 0x0+{:#x} 0xc00 chip", size << 20);
        assert_eq!(rows(&open(&directory).1), [row]);
    }
}

#[test]
fn a_text_given_by_its_own_name_has_its_own_compiled_form() {
    let directory = TestDirectory::with_conf(NOR_8M);
    directory.write("other.conf", NOR_8M.replace("8M", "2M").as_bytes());
    let os = TestOs::new();
    let path = std::ffi::CString::new(format!("{}/other.conf", directory.0.display())).unwrap();
    let other = Board::open(&os, &path).unwrap();
    let (_, board) = open(&directory);
    assert_eq!(rows(&other), ["0 spi0.0 0x0+0x200000 0xc00 chip"]);
    assert_eq!(rows(&board), ["0 spi0.0 0x0+0x800000 0xc00 chip"]);
    assert_eq!(rows(&Board::open(&os, &path).unwrap()), rows(&other));
}

#[test]
fn a_missing_board_and_a_missing_text_are_told_apart() {
    let directory = TestDirectory::new();
    let os = TestOs::new();
    let problem = Board::open(&os, &directory.c_path()).unwrap_err();
    assert!(
        problem
            .to_string()
            .contains("cannot find the configuration"),
        "{problem}"
    );
    let problem = Board::open(&os, c"/no/such/board").unwrap_err();
    assert!(
        problem.to_string().contains("cannot find the board"),
        "{problem}"
    );
    let problem = Board::open(&os, c"/dev/null").unwrap_err();
    assert!(
        problem.to_string().contains("neither a directory"),
        "{problem}"
    );
}

#[test]
fn a_mistake_in_the_text_leaves_no_compiled_board() {
    let directory = TestDirectory::with_conf("[chip.nor0]\nsise = 3\n");
    let problem = Board::open(&TestOs::new(), &directory.c_path()).unwrap_err();
    let line = problem.line();
    assert!(
        line.ends_with(".conf:2: there is no key 'sise' here; did you mean 'size'?"),
        "{line}"
    );
    assert_eq!(
        std::fs::read_dir(directory.0.join(".mtdshim"))
            .unwrap()
            .count(),
        1,
        "the lock file"
    );
}

#[test]
fn a_read_only_directory_gives_read_only_devices_from_private_memory() {
    let directory = TestDirectory::with_conf(NOR_8M);
    let os = TestOs::new();
    os.is_read_only.set(true);
    let board = Board::open(&os, &directory.c_path()).unwrap();
    assert!(board.is_read_only());
    assert_eq!(rows(&board), ["0 spi0.0 0x0+0x800000 0x800 chip"]);
    assert_eq!(directory.names(), ["mtdshim.conf"]);
    assert_eq!(
        board.add_partition(&os, 0, b"x", 0, 4096),
        Ok(1),
        "the table itself is private"
    );
}

#[test]
fn a_damaged_compiled_board_is_compiled_anew() {
    let directory = TestDirectory::with_conf(NOR_8M);
    let expected = rows(&open(&directory).1);
    let good = directory.read(".mtdshim/board");
    let mut noise = Noise(7);
    for round in 0..40 {
        let mut bytes = good.clone();
        let at = noise.below(64 + 256) * 4 + noise.below(4);
        if (128..256).contains(&at) {
            continue;
        }
        bytes[at] ^= 1 << noise.below(8);
        if round % 5 == 0 {
            bytes.truncate(noise.below(bytes.len()));
        }
        directory.write(".mtdshim/board", &bytes);
        assert_eq!(rows(&open(&directory).1), expected);
        assert_eq!(directory.read(".mtdshim/board")[..128], good[..128]);
    }
}

#[test]
fn any_bytes_as_compiled_board_never_panic() {
    let directory = TestDirectory::with_conf(NOR_8M);
    let (os, board) = open(&directory);
    let mut noise = Noise(3);
    for _ in 0..300 {
        for word in board
            .mapping
            .words()
            .iter()
            .skip(noise.below(5000))
            .step_by(1 + noise.below(9))
            .take(400)
        {
            word.store(noise.next() as u32, core::sync::atomic::Ordering::Relaxed);
        }
        // The lock words stay: another holder is a matter of the lock's tests.
        board.mapping.words()[32].store(0, core::sync::atomic::Ordering::Relaxed);
        board.mapping.words()[33].store(0, core::sync::atomic::Ordering::Relaxed);
        let words = board.words();
        let _ = (
            words.is_sound(),
            board.devices().count(),
            words.chip(noise.below(20)),
        );
        let _ = board.add_partition(
            &os,
            noise.below(70) as u32,
            b"\xff",
            noise.next() as i64,
            noise.next() as i64,
        );
        let _ = board.delete_partition(&os, noise.below(70) as u32, noise.below(70) as u32);
    }
}

#[test]
fn partitions_added_live_are_seen_by_other_processes_and_gone_after_a_reboot() {
    let directory = TestDirectory::with_conf(NOR_8M);
    let (os, board) = open(&directory);
    let (_, other) = open(&directory);
    assert_eq!(board.add_partition(&os, 0, b"a", 0x10000, 0x20000), Ok(1));
    assert_eq!(
        board.add_partition(&os, 0, b"b", 0x30000, 0),
        Ok(2),
        "length 0 is the rest"
    );
    assert_eq!(
        rows(&other),
        [
            "0 spi0.0 0x0+0x800000 0xc00 chip",
            "1 a 0x10000+0x20000 0xc00 part",
            "2 b 0x30000+0x7d0000 0xc00 part",
        ]
    );
    other
        .stats(1)
        .unwrap()
        .corrected
        .store(5, core::sync::atomic::Ordering::Relaxed);
    let generation = other.device(1).unwrap().generation;
    other.delete_partition(&os, 0, 1).unwrap();
    assert!(board.device(1).is_none());
    assert_eq!(
        board.add_partition(&os, 0, b"c", 0, 4096),
        Ok(1),
        "the lowest free index"
    );
    assert_eq!(
        rows(&board)[1],
        "1 c 0x0+0x1000 0x800 part",
        "its end is unaligned"
    );
    assert_ne!(board.device(1).unwrap().generation, generation);
    assert_eq!(
        board
            .stats(1)
            .unwrap()
            .corrected
            .load(core::sync::atomic::Ordering::Relaxed),
        0
    );
    Board::discard_compiled(&os, &directory.c_path()).unwrap();
    assert_eq!(rows(&open(&directory).1).len(), 1);
}

#[test]
fn blkpg_refuses_what_the_kernel_refuses() {
    let directory = TestDirectory::with_conf(NOR_8M);
    let (os, board) = open(&directory);
    let invalid = Err(PartitionError::Invalid);
    assert_eq!(board.add_partition(&os, 0, b"append", -1, 4096), invalid);
    assert_eq!(board.add_partition(&os, 0, b"next", -2, 4096), invalid);
    assert_eq!(board.add_partition(&os, 0, b"negative", 0, -1), invalid);
    assert_eq!(board.add_partition(&os, 5, b"nowhere", 0, 4096), invalid);
    assert_eq!(
        board.add_partition(&os, 0, b"rest of nothing", 0x80_0000, 0),
        invalid
    );
    assert_eq!(
        board.add_partition(&os, 0, b"out of reach", 0x90_0000, 4096),
        Ok(1)
    );
    assert_eq!(rows(&board)[1], "1 out of reach 0x0+0x0 0xc00 part");
    assert_eq!(
        board.add_partition(&os, 1, b"child of a part", 0, 4096),
        invalid
    );
    assert_eq!(
        board.delete_partition(&os, 0, 0),
        Err(PartitionError::Invalid),
        "the master itself"
    );
    assert_eq!(
        board.delete_partition(&os, 1, 1),
        Err(PartitionError::Invalid),
        "not its own child"
    );
    for index in 2..DEVICES_MAX as u32 {
        assert_eq!(board.add_partition(&os, 0, b"fill", 0, 0), Ok(index));
    }
    assert_eq!(
        board.add_partition(&os, 0, b"one more", 0, 0),
        Err(PartitionError::Full)
    );
}

#[test]
fn placing_follows_mtdpart() {
    let directory = TestDirectory::with_conf(
        "[chip.c]\ntype = \"nor\"\nsize = \"512K\"\nerase_regions = \"8x8K,7x64K\"\n",
    );
    let (_, board) = open(&directory);
    let chip = board.chip(0).unwrap();
    let nor = chip.mtd_flags;
    let place = |offset, size| place(&chip.geometry, nor, offset, size);
    let locked = nor & !flag::WRITEABLE;
    assert_eq!(
        place(0, 0x4000),
        Placed {
            offset: 0,
            size: 0x4000,
            erasesize: 0x2000,
            flags: nor
        }
    );
    // The largest block covered decides, and then the end is not on its boundary.
    let over = Placed {
        offset: 0xe000,
        size: 0x4000,
        erasesize: 0x10000,
        flags: locked,
    };
    assert_eq!(place(0xe000, 0x4000), over);
    let cut = Placed {
        offset: 0x70000,
        size: 0x10000,
        erasesize: 0x10000,
        flags: nor,
    };
    assert_eq!(place(0x70000, u64::MAX), cut);
    assert_eq!(
        place(0x80000, 1),
        Placed {
            offset: 0,
            size: 0,
            erasesize: 0x10000,
            flags: nor
        }
    );
}

#[test]
fn the_bitflip_threshold_starts_at_three_quarters_of_the_strength() {
    let directory = TestDirectory::with_conf("[chip.n]\npreset = \"mt29f2g08\"\n");
    let (_, board) = open(&directory);
    let threshold = board.stats(0).unwrap().bitflip_threshold;
    assert_eq!(threshold.load(core::sync::atomic::Ordering::Relaxed), 3);
}
