//! What the text means, and what a mistake in it is answered with.

use super::*;
use crate::board::layout::{BOARD_BYTES, BoardWords};
use crate::board::{ChipConfig, SAMPLE_CONF};
use crate::mapping::Mapping;
use crate::testing::{Noise, TestDirectory, TestOs};
use flash::{BlockProtect, CommandSet, Ecc, EraseAlignment, Kind, LockScheme, MarkPages};

struct Compiled {
    mapping: Mapping,
    os: TestOs,
}

impl Compiled {
    fn chip(&self, index: usize) -> ChipConfig {
        BoardWords::new(self.mapping.words()).chip(index).unwrap()
    }

    fn rows(&self) -> Vec<String> {
        let words = BoardWords::new(self.mapping.words());
        let row = |index| {
            let device = words.devices().view(index)?;
            let (name, chip, offset, size) = (device.name, device.chip, device.offset, device.size);
            Some(format!(
                "{name}@{chip}:{offset:#x}+{size:#x} {:#x}",
                device.flags
            ))
        };
        (0..64).filter_map(row).collect()
    }
}

fn compile_in(directory: &TestDirectory, text: &[u8]) -> Result<Compiled, Problem> {
    let (mapping, os) = (Mapping::private(BOARD_BYTES).unwrap(), TestOs::new());
    let file = PathText::of(b"x.conf");
    let words = BoardWords::new(mapping.words());
    compile(&os, &file, &directory.path_text(), text, &words)?;
    Ok(Compiled { mapping, os })
}

fn compiled(text: &str) -> Compiled {
    compile_in(&TestDirectory::new(), text.as_bytes()).unwrap_or_else(|problem| panic!("{problem}"))
}

fn complaint(text: &str) -> String {
    match compile_in(&TestDirectory::new(), text.as_bytes()) {
        Err(problem) => problem.to_string(),
        Ok(_) => panic!("accepted: {text}"),
    }
}

fn nor(keys: &str) -> String {
    format!("[chip.nor0]\ntype = \"nor\"\nsize = \"1M\"\n{keys}\n")
}

#[test]
fn every_key_of_a_chip_reaches_its_geometry() {
    let text = "# board\r\n[chip.c]\r\ntype='nor'\nsize=0x10_0000 # bytes\nerasesize=\"64KiB\"\nwritesize=16\n\
                lock=\"block-protect\"\notp_user=\"3x256\"\notp_factory=\"1x16\"\notp_erase=true\n\
                name=\"flash\"\nimage=\"/a/b.bin\"\npower_up_lock=true";
    let chip = compiled(text).chip(0);
    let geometry = chip.geometry;
    assert_eq!(
        (geometry.kind, geometry.size, geometry.erasesize),
        (Kind::Nor, 1 << 20, 1 << 16)
    );
    assert_eq!(
        (geometry.writesize, geometry.lock),
        (16, LockScheme::BlockProtect(BlockProtect::TOP))
    );
    assert_eq!(
        (
            geometry.otp_user.region_count,
            geometry.otp_user.region_length
        ),
        (3, 256)
    );
    assert_eq!(
        (geometry.otp_factory.length(), geometry.otp_erasable),
        (16, true)
    );
    assert_eq!(geometry.erase_alignment, EraseAlignment::LengthOnly);
    assert_eq!((chip.mtd_flags, chip.mtd_name.as_str()), (0x2400, "flash"));
    assert_eq!(chip.image.as_str(), "/a/b.bin");
}

#[test]
fn a_nand_has_the_defaults_of_the_kernel() {
    let chip =
        compiled("[chip.n]\ntype=\"nand\"\nsize=\"8M\"\nbad_blocks=[3, # three\n 10]").chip(0);
    let geometry = chip.geometry;
    assert_eq!(
        (geometry.writesize, geometry.oobsize, geometry.erasesize),
        (2048, 64, 128 << 10)
    );
    assert_eq!((geometry.ecc, geometry.subpage_size()), (Ecc::Hamming, 512));
    assert_eq!(
        (geometry.lock, chip.mtd_flags),
        (LockScheme::NandUnsupported, 0x400)
    );
    assert_eq!(chip.bad_blocks(), [3, 10]);
    let small =
        compiled("[chip.n]\ntype=\"nand\"\nsize=\"16M\"\nwritesize=512\ndriver=\"nandsim\"")
            .chip(0);
    let geometry = small.geometry;
    assert_eq!(
        (
            geometry.oobsize,
            geometry.erasesize,
            geometry.subpage_size()
        ),
        (16, 16384, 256)
    );
    assert_eq!(small.mtd_name.as_str(), "NAND simulator partition 0");
    let mlc = compiled("[chip.n]\ntype=\"mlc-nand\"\nsize=\"8M\"\necc=\"bch4\"").chip(0);
    assert_eq!(
        (mlc.geometry.subpage_shift, mlc.geometry.kind),
        (0, Kind::MlcNand)
    );
}

#[test]
fn type_and_driver_decide_flags_and_alignment() {
    let flags = |text: &str| compiled(text).chip(0).mtd_flags;
    assert_eq!(flags("[chip.r]\ntype=\"ram\"\nsize=\"4M\""), 0x1c00);
    assert_eq!(flags("[chip.r]\ntype=\"rom\"\nsize=\"4M\""), 0);
    assert_eq!(flags("[chip.r]\ndriver=\"cfi\"\nsize=\"4M\""), 0xc00);
    let alignment = |text: &str| compiled(text).chip(0).geometry.erase_alignment;
    assert_eq!(
        alignment(&nor("driver=\"cfi\"")),
        EraseAlignment::StartAndLength
    );
    assert_eq!(
        alignment(&nor("lock=\"per-block\"")),
        EraseAlignment::StartAndLength
    );
    assert_eq!(alignment(&nor("")), EraseAlignment::LengthOnly);
    let ram = compiled("[chip.r]\npreset=\"mtdram\"\nerasesize=\"64K\"").chip(0);
    assert_eq!(
        (ram.geometry.size, ram.geometry.erasesize),
        (4 << 20, 64 << 10)
    );
    assert_eq!(ram.mtd_name.as_str(), "mtdram test device");
}

#[test]
fn every_preset_is_a_possible_chip() {
    let mut count = 0;
    for name in crate::presets::names() {
        let chip = compiled(&format!("[chip.c]\npreset=\"{name}\"")).chip(0);
        assert_eq!(
            Some(chip.geometry),
            of_preset(name).map(|chip| chip.geometry)
        );
        let line = crate::presets::find(name).unwrap();
        let [_, driver, size, erasesize, rest @ ..] = &*line.split(' ').collect::<Vec<_>>() else {
            panic!("{line}");
        };
        assert_eq!(units::size(size), Some(chip.geometry.size), "{line}");
        let erasesize = units::size(erasesize).unwrap();
        assert_eq!(erasesize, chip.geometry.erasesize.into(), "{line}");
        assert_eq!(driver.contains("nand"), chip.geometry.is_nand(), "{line}");
        let said_lock = rest.first().filter(|lock| **lock != "-");
        let lock = super::lock_name(chip.geometry.lock);
        assert_eq!(said_lock.copied().unwrap_or("none"), lock, "{line}");
        if let [_, writesize, oobsize, rest @ ..] = rest
            && *writesize != "-"
        {
            let (page, spare) = (chip.geometry.writesize, chip.geometry.oobsize);
            assert_eq!(
                (page.to_string(), spare.to_string()),
                ((*writesize).into(), (*oobsize).into())
            );
            let ecc = match rest {
                [_, "bch4"] => Ecc::Bch { strength: 4 },
                _ if *driver == "spi-nand" => Ecc::OnDie,
                _ => Ecc::Hamming,
            };
            assert_eq!(chip.geometry.ecc, ecc, "{line}");
            let marks = match rest.first() {
                Some(&"first-second") => MarkPages::FirstSecond,
                Some(&"first-second-last") => MarkPages::FirstSecondLast,
                _ => MarkPages::First,
            };
            assert_eq!(chip.geometry.mark_pages, marks, "{line}");
        }
        count += 1;
    }
    assert!(count >= 38);
}

#[test]
fn a_cfi_chip_of_equal_blocks_has_one_region() {
    for (driver, command_set) in [("cfi", CommandSet::Intel), ("cfi-amd", CommandSet::Amd)] {
        let chip = compiled(&nor(&format!("driver=\"{driver}\""))).chip(0);
        let geometry = chip.geometry;
        assert_eq!(
            (geometry.command_set, geometry.region_count),
            (command_set, 1)
        );
        let region = geometry.regions[0];
        assert_eq!(
            (region.offset, region.erasesize, region.block_count),
            (0, 64 << 10, 16)
        );
    }
    for driver in ["spi-nor", "other"] {
        let geometry = compiled(&nor(&format!("driver=\"{driver}\"")))
            .chip(0)
            .geometry;
        assert_eq!(
            (geometry.command_set, geometry.region_count),
            (CommandSet::Other, 0)
        );
    }
}

#[test]
fn presets_have_the_locks_of_linux_6_1() {
    let lock = |name: &str| {
        let geometry = compiled(&format!("[chip.c]\npreset=\"{name}\""))
            .chip(0)
            .geometry;
        super::lock_name(geometry.lock)
    };
    for (name, expected) in [
        ("w25q64", "none"),
        ("w25q128", "block-protect-tb"),
        ("gd25q128", "block-protect-tb"),
        ("m25p64", "block-protect"),
        ("n25q256a", "block-protect"),
        ("n25q128a", "block-protect-4bit-tb"),
        ("mx25l12805d", "block-protect-4bit"),
        ("mx25l6405d", "none"),
        ("28f640j3", "per-block"),
        ("s29gl128p", "none"),
    ] {
        assert_eq!(lock(name), expected, "{name}");
    }
    let otp = compiled("[chip.c]\npreset=\"w25q32dw\"").chip(0).geometry;
    assert_eq!((otp.otp_user.length(), otp.otp_erasable), (768, true));
}

#[test]
fn every_lock_has_one_name_and_survives_the_words_of_a_file() {
    for name in [
        "none",
        "block-protect",
        "block-protect-tb",
        "block-protect-4bit",
        "block-protect-4bit-tb",
        "block-protect-programs",
        "no-effect",
    ] {
        let geometry = compiled(&nor(&format!("lock=\"{name}\""))).chip(0).geometry;
        assert_eq!(super::lock_name(geometry.lock), name);
        let words = crate::geometry_words::encode(&geometry);
        assert_eq!(crate::geometry_words::decode(&words), Some(geometry));
    }
    for marks in ["first", "first-second", "first-second-last", "last"] {
        let text = format!("[chip.n]\npreset=\"k9f1g08\"\nbad_block_marks=\"{marks}\"");
        let geometry = compiled(&text).chip(0).geometry;
        let words = crate::geometry_words::encode(&geometry);
        assert_eq!(crate::geometry_words::decode(&words), Some(geometry));
    }
    for driver in ["cfi", "cfi-amd"] {
        let geometry = compiled(&nor(&format!("driver=\"{driver}\"\nlock=\"per-block\"")))
            .chip(0)
            .geometry;
        let words = crate::geometry_words::encode(&geometry);
        assert_eq!(crate::geometry_words::decode(&words), Some(geometry));
    }
}

#[test]
fn erase_regions_give_size_and_largest_block() {
    let chip = compiled("[chip.c]\ntype=\"nor\"\nerase_regions=\"8x8K, 127x64K\"").chip(0);
    assert_eq!(
        (chip.geometry.size, chip.geometry.erasesize),
        (8 << 20, 64 << 10)
    );
    assert_eq!(chip.geometry.regions[1].offset, 64 << 10);
}

#[test]
fn partitions_run_on_overlap_and_are_cut_like_the_kernel_does() {
    let text = nor(
        "[[chip.nor0.partition]]\nname=\"a\"\nsize=\"128K\"\nreadonly=true\n\
         [[chip.nor0.partition]]\nname=\"b\"\n\
         [[chip.nor0.partition]]\nname=\"c\"\noffset=\"64K\"\nsize=\"64K\"\n\
         [[chip.nor0.partition]]\nname=\"d\"\nsize=\"8M\"\n\
         [[chip.nor0.partition]]\nname=\"e\"\noffset=\"2M\"\nsize=\"64K\"\n\
         [[chip.nor0.partition]]\nname=\"f\"\noffset=1\nsize=\"64K\"",
    );
    let board = compiled(&text);
    assert_eq!(
        board.rows(),
        [
            "a@0:0x0+0x20000 0x800",
            "b@0:0x20000+0xe0000 0xc00",
            "c@0:0x10000+0x10000 0xc00",
            "d@0:0x20000+0xe0000 0xc00",
            "e@0:0x0+0x0 0xc00",
            "f@0:0x1+0x10000 0x800",
        ]
    );
    let reports = board.os.reports.borrow();
    assert_eq!(reports.len(), 3, "{reports:?}");
    assert!(
        reports[0].contains("\"d\" goes beyond the end")
            && reports[1].contains("\"e\" lies behind")
    );
    assert!(reports[2].contains("\"f\" does not lie on eraseblocks"));
}

#[test]
fn the_master_has_a_device_without_partitions_or_when_it_is_kept() {
    let part = "[[chip.nor0.partition]]\nname=\"a\"";
    assert_eq!(compiled(&nor("")).rows(), ["spi0.0@0:0x0+0x100000 0xc00"]);
    assert_eq!(compiled(&nor(part)).rows(), ["a@0:0x0+0x100000 0xc00"]);
    let kept = compiled(&nor(&format!("keep_master=true\n{part}")));
    assert_eq!(
        kept.rows(),
        ["spi0.0@0:0x0+0x100000 0xc00", "a@0:0x0+0x100000 0xc00"]
    );
    assert_eq!(compiled(&nor("keep_master=true")).rows().len(), 1);
}

#[test]
fn nandsim_has_one_partition_of_the_whole_chip() {
    let device = |text: &str| {
        let board = compiled(text);
        BoardWords::new(board.mapping.words())
            .devices()
            .view(0)
            .unwrap()
            .is_partition
    };
    assert!(device("[chip.n]\ndriver=\"nandsim\"\nsize=\"8M\""));
    assert!(!device("[chip.n]\ntype=\"nand\"\nsize=\"8M\""));
}

#[test]
fn a_partition_with_its_own_image_is_a_chip_of_its_size() {
    let part = "[[chip.nor0.partition]]\nname=\"a\"\nsize=\"64K\"\n[[chip.nor0.partition]]\nname=\"b\"\nimage=\"mtd1.bin\"";
    let board = compiled(&nor(part));
    assert_eq!(
        board.rows(),
        ["a@0:0x0+0x10000 0xc00", "b@1:0x0+0xf0000 0xc00"]
    );
    let own = board.chip(1);
    assert_eq!(
        (own.name.as_str(), own.image.as_str(), own.geometry.size),
        ("nor0.1", "mtd1.bin", 0xf0000)
    );
    let device = BoardWords::new(board.mapping.words())
        .devices()
        .view(1)
        .unwrap();
    assert_eq!(device.parent_offset, 0x10000);
}

#[test]
fn mtdparts_is_read_as_the_kernel_reads_it() {
    let parts = |parts: &str| compiled(&nor(&format!("mtdparts=\"{parts}\"")));
    let board = parts("mtdparts=1f000.spi:0x10000(u-boot)ro,64k@0x20000(env),64k,-(rootfs)lk");
    assert_eq!(
        board.rows(),
        [
            "u-boot@0:0x0+0x10000 0x800",
            "env@0:0x20000+0x10000 0xc00",
            "Partition_002@0:0x30000+0x10000 0xc00",
            "rootfs@0:0x40000+0xc0000 0xc00",
        ]
    );
    assert_eq!(
        board.chip(0).mtd_name.as_str(),
        "1f000.spi",
        "the only ID names the chip"
    );
    // Octal, a colon in the ID and in a name, and nothing left for the last one.
    let board = parts("a:b:0200000(x:y),1m@0(all),-(none)");
    assert_eq!(
        board.rows(),
        ["x:y@0:0x0+0x10000 0xc00", "all@0:0x0+0x100000 0xc00"]
    );
    let two = nor("name=\"spi1\"\nmtdparts=\"spi0:64k(no);spi1:64k(yes)\"");
    assert_eq!(compiled(&two).rows(), ["yes@0:0x0+0x10000 0xc00"]);
}

#[test]
fn mtdparts_mistakes_are_explained() {
    let complain = |parts: &str| complaint(&nor(&format!("mtdparts=\"{parts}\"")));
    assert!(complain("64k(a)").contains("no ID"));
    assert!(complain("x:64k(a").contains("not closed"));
    assert!(complain("x:-(a),64k(b)").contains("can follow"));
    assert!(complain("x:100(a)").contains("smaller than 4096"));
    assert!(complain("x:64k(a)rw").contains("comma, ro or lk"));
    assert!(complain("x:64k(a)slc").contains("slc"));
    assert!(complain("x:k(a)").contains("a size is expected"));
    assert!(complain("x:64k@(a)").contains("offset is expected"));
    assert!(complain("x:64k;y:64k").contains("does not name chip nor0 clearly"));
    assert!(complain("").contains("empty"));
    assert!(complain("x:99999999999999999999k").contains("a size is expected"));
}

#[test]
fn a_captured_proc_mtd_gives_running_offsets() {
    let directory = TestDirectory::new();
    let captured = "dev:    size   erasesize  name\nmtd0: 00020000 00010000 \"u-boot\"\nmtd1: 000e0000 00010000 \"a \"b\"\"\n";
    directory.write("captured.txt", captured.as_bytes());
    let text = nor("proc_mtd=\"captured.txt\"");
    let board =
        compile_in(&directory, text.as_bytes()).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(
        board.rows(),
        [
            "u-boot@0:0x0+0x20000 0xc00",
            "a \"b\"@0:0x20000+0xe0000 0xc00"
        ]
    );
    let complain = |captured: &str| {
        directory.write("captured.txt", captured.as_bytes());
        compile_in(&directory, text.as_bytes())
            .err()
            .unwrap()
            .to_string()
    };
    let problem = complain("dev:\nmtd0: 00020000 00001000 \"x\"\n");
    assert!(
        problem.contains("captured.txt:2") && problem.contains("write erasesize = 4096"),
        "{problem}"
    );
    assert!(complain("mtd0: 00200000 00010000 \"x\"\n").contains("make 2097152 bytes"));
    assert!(complain("mtdblock0: 1 2 \"x\"\n").contains("no line of /proc/mtd"));
}

#[test]
fn every_mistake_names_line_and_remedy() {
    let cases = [
        ("size = 3", "x.conf:1: size stands before the first table"),
        ("[board]", "this table is not known"),
        ("[chip.a", "not closed"),
        ("[chip.a]\n", "neither a preset nor a type"),
        ("[chip.a]\ntype=\"nor\"", "chip a has no size"),
        (
            "[chip.a]\ntype=\"flash\"",
            "possible are: nor nand mlc-nand ram rom dataflash",
        ),
        ("[chip.a]\nersesize=1", "did you mean 'erasesize'?"),
        ("[chip.a]\nwhatever=1", "no key 'whatever'"),
        (
            "[chip.a]\nsize=1\nsize=2",
            "x.conf:3: size is given twice; remove this one or the one in line 2",
        ),
        ("[chip.a]\nsize=\"16 megs\"", "is no size"),
        ("[chip.a]\nsize=true", "size is true or false"),
        ("[chip.a]\nsize=16M", "put \"...\" around"),
        ("[chip.a]\nsize=", "no whole number"),
        ("[chip.a]\nsize=1 2", "something follows"),
        ("[chip.a]\nsize", "neither a table nor a key"),
        ("[chip.a]\nname=\"a\\n\"", "backslash"),
        ("[chip.a]\nname=\"a", "not closed"),
        ("[chip.a]\nbad_blocks=[1,", "the list is not closed"),
        (
            "[chip.a]\nbad_blocks=[\"1\"]",
            "something else than numbers",
        ),
        ("[chip.a]\npreset=\"w25q129\"", "the nearest is 'w25q128'"),
        (
            "[chip.a]\ntype=\"nor\"\nsize=\"1M\"\n[chip.a]",
            "described twice",
        ),
        (
            "[chip.a]\ntype=\"nor\"\nsize=\"1M\"\n[chip.a.partition]",
            "write [[chip.a.partition]]",
        ),
        ("[[chip.a.partition]]", "does not follow its chip"),
        (
            "[chip.a]\ntype=\"nor\"\nsize=\"1M\"\ndriver=\"nandsim\"",
            "the driver does not go",
        ),
        (
            "[chip.a]\ntype=\"nor\"\nsize=100000",
            "size must be a multiple of erasesize",
        ),
        (
            "[chip.a]\ntype=\"nor\"\nsize=\"1M\"\nbad_blocks=[1]",
            "only NAND has bad blocks",
        ),
        (
            "[chip.a]\ntype=\"nand\"\nsize=\"1M\"\nbad_blocks=[8]",
            "the chip has blocks 0 to 7",
        ),
        (
            "[chip.a]\ntype=\"nand\"\nsize=\"1M\"\nsubpages=3",
            "no 3 subpages",
        ),
        (
            "[chip.a]\ntype=\"nor\"\nsize=\"1M\"\notp_user=\"256\"",
            "regions x bytes",
        ),
        (
            "[chip.a]\ntype=\"nor\"\nerase_regions=\"8\"",
            "erase_regions cannot be read",
        ),
        ("# only a comment", "no chip is described"),
    ];
    for (text, expected) in cases {
        let said = complaint(text);
        assert!(said.contains(expected), "{text:?}: {said}");
    }
    let problem = compile_in(&TestDirectory::new(), b"[chip.a]\nname=\"\xff\"")
        .err()
        .unwrap();
    let expected = "x.conf:2: this line is not UTF-8; save the text as UTF-8";
    assert_eq!(problem.line(), expected);
}

#[test]
fn a_missing_size_is_advised_from_the_image() {
    let directory = TestDirectory::new();
    directory.write("a.bin", &[0; 1 << 18]);
    let problem = compile_in(&directory, b"[chip.a]\ntype=\"nor\"")
        .err()
        .unwrap();
    assert!(
        problem.line().ends_with("; its image fits size = \"256K\""),
        "{problem}"
    );
}

#[test]
fn too_many_chips_and_devices_are_refused() {
    let chips: String = (0..17)
        .map(|n| format!("[chip.c{n}]\npreset=\"w25q32\"\n"))
        .collect();
    assert!(complaint(&chips).contains("more than 16 chips"));
    let parts: String = (0..65)
        .map(|n| format!("[[chip.nor0.partition]]\nname=\"p{n}\"\noffset=0\n"))
        .collect();
    assert!(complaint(&nor(&parts)).contains("more than 64 devices"));
}

#[test]
fn no_text_makes_the_compiler_panic() {
    let directory = TestDirectory::new();
    let seeds = [
        SAMPLE_CONF.to_string(),
        nor("mtdparts=\"mtdparts=a:64k@0x0(x)ro,0100k(y)lk,-(z)\"\nerase_regions=\"8x8K,7x64K\"\notp_user=\"3x256\""),
        "[chip.n]\npreset='k9f1g08'\nbad_blocks=[1,\n2]\n[[chip.n.partition]]\nname='a'\nimage='b'\nsize='1M'".into(),
    ];
    let mut noise = Noise(1);
    for round in 0..6000 {
        let bytes = noise.mutate(seeds[round % seeds.len()].as_bytes());
        let _ = compile_in(&directory, &bytes);
    }
    for _ in 0..3000 {
        let random: Vec<u8> = (0..noise.below(60)).map(|_| noise.next() as u8).collect();
        let _ = compile_in(&directory, &random);
        let text = String::from_utf8_lossy(&random).into_owned();
        let _ = proc_mtd::row(&text);
        let parts = noise.mutate(b"mtdparts=spi0.0:256k@0(u-boot)ro,64k(env)lk,-(rest);b:1m");
        for definition in mtdparts::definitions(&String::from_utf8_lossy(&parts)).flatten() {
            assert!(definition.parts().count() < 1000);
        }
        let row = noise.mutate(b"mtd0: 00020000 00010000 \"u-boot\"");
        let _ = proc_mtd::row(&String::from_utf8_lossy(&row));
    }
}
