//! `mtdshim new`: every source makes a board that compiles and holds what the source held.

mod util;

use util::{Dir, noise};

#[test]
fn a_preset_becomes_a_board_with_an_erased_image() {
    let dir = Dir::new();
    dir.ok(&[
        "new",
        "b",
        "--preset",
        "w25q32",
        "--mtdparts",
        "spi0.0:256k(u-boot),-(rest)",
    ]);
    let image = dir.read("b/nor0.bin");
    assert_eq!(image.len(), 4 << 20);
    assert!(image.iter().all(|&byte| byte == 0xff));
    let devices = dir.json(&["ls", "b"]);
    assert_eq!(devices[0]["name"], "u-boot");
    assert_eq!(devices[1]["size"], (4 << 20) - (256 << 10));
    assert_eq!(devices[1]["content"], "erased");
}

#[test]
fn a_board_is_never_overwritten_and_nothing_half_made_stays() {
    let dir = Dir::new();
    dir.nor();
    assert!(
        dir.refused(&["new", "nor", "--size", "1M"])
            .contains("there is a board already")
    );
    let message = dir.refused(&["new", "bad", "--size", "1M", "--mtdparts", "x:1m(a),oops"]);
    assert!(message.contains("bad/mtdshim.conf"), "{message}");
    assert_eq!(dir.names(), ["nor"]);
}

#[test]
fn an_unknown_chip_is_refused_with_the_next_step() {
    let dir = Dir::new();
    assert!(
        dir.refused(&["new", "b", "--preset", "w25x"])
            .contains("--preset list")
    );
    assert!(dir.ok(&["new", "--preset", "list"]).out.contains("k9f1g08"));
    assert!(
        dir.json(&["new", "--preset", "list"])
            .as_array()
            .unwrap()
            .len()
            > 20
    );
    assert!(
        dir.refused(&["new", "--size", "1M"])
            .contains("name the directory")
    );
    assert!(
        dir.refused(&["new", "no/b", "--size", "1M"])
            .contains("no directory no; make it first")
    );
    assert!(dir.refused(&["new", "b"]).contains("--dump"));
}

#[test]
fn a_captured_proc_mtd_becomes_chips_by_eraseblock() {
    let dir = Dir::new();
    dir.write(
        "proc_mtd",
        "dev:    size   erasesize  name\nmtd0: 00040000 00010000 \"u-boot\"\nmtd1: 000c0000 00010000 \"fw\"\n\
         mtd2: 08000000 00020000 \"data\"\n",
    );
    let said = dir.ok(&["new", "b", "--proc-mtd", "proc_mtd", "--dry-run"]);
    assert!(
        said.out.contains("[chip.nor0]") && said.out.contains("[chip.nand0]"),
        "{said:?}"
    );
    assert!(!dir.exists("b"));
    dir.write("broken", "mtd0: zz\n");
    assert!(
        dir.refused(&["new", "b", "--proc-mtd", "broken"])
            .contains("broken:1:")
    );
}

#[test]
fn a_dump_with_spare_areas_is_understood_whole() {
    let dir = Dir::new();
    dir.nand();
    dir.write("data", noise(300_000));
    dir.ok(&["-b", "nand", "import", "rootfs", "data"]);
    dir.ok(&["-b", "nand", "export", "nand0", "dump", "--oob"]);
    let said = dir.ok(&[
        "new",
        "again",
        "--dump",
        "dump",
        "--mtdparts",
        "nand0:1m(boot),-(rootfs)",
    ]);
    assert!(said.err.contains("2048+64"), "{said:?}");
    let chips = dir.json(&["info", "again"]);
    assert_eq!(chips[0]["ecc"], "hamming");
    assert_eq!(chips[0]["bad_blocks"], serde_json::json!([1, 9]));
    assert_eq!(dir.read("again/nand0.bin"), dir.read("nand/nand0.bin"));
    assert_eq!(dir.read("again/nand0.oob"), dir.read("nand/nand0.oob"));
    dir.ok(&["check", "again"]);
}

#[test]
fn a_table_inside_a_dump_names_the_partitions() {
    let dir = Dir::new();
    let mut dump = vec![0xff; 1 << 20];
    let table = b"\0mtdparts=mtdparts=spi0.0:128k(boot),64k(env),-(fs)\0";
    dump[0x20000..0x20000 + table.len()].copy_from_slice(table);
    dir.write("dump", &dump);
    dir.ok(&["new", "b", "--dump", "dump"]);
    let names: Vec<String> = dir
        .json(&["ls", "b"])
        .as_array()
        .unwrap()
        .iter()
        .map(|device| device["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["boot", "env", "fs"]);
    assert_eq!(dir.read("b/nor0.bin"), dump);
}

#[test]
fn a_dump_of_no_possible_size_is_refused() {
    let dir = Dir::new();
    dir.write("dump", noise(12_345));
    assert!(
        dir.refused(&["new", "b", "--dump", "dump"])
            .contains("12345 bytes")
    );
    assert_eq!(dir.names(), ["dump"]);
}

#[test]
fn one_file_for_each_mtd_becomes_one_chip() {
    let dir = Dir::new();
    dir.write("mtd0_boot.bin", noise(65_536));
    dir.write("mtd1_env.bin", noise(100_000));
    dir.ok(&["new", "b", "--parts", "mtd0_boot.bin", "mtd1_env.bin"]);
    let devices = dir.json(&["ls", "b"]);
    assert_eq!(devices[0]["name"], "boot");
    assert_eq!(devices[1]["size"], 131_072);
    assert_eq!(
        dir.read("b/nor0.bin")[65_536..165_536],
        dir.read("mtd1_env.bin")[..]
    );
}

/// A flattened device tree, version 17, from (depth, name, properties).
type TreeNode<'a> = (usize, &'a str, &'a [(&'a str, &'a [u8])]);

fn device_tree(nodes: &[TreeNode<'_>]) -> Vec<u8> {
    let (mut structure, mut strings, mut depth) = (Vec::new(), Vec::new(), 0);
    let word = |to: &mut Vec<u8>, value: usize| to.extend((value as u32).to_be_bytes());
    let pad = |to: &mut Vec<u8>| to.resize(to.len().next_multiple_of(4), 0);
    for (level, name, properties) in nodes {
        while depth > *level {
            word(&mut structure, 2);
            depth -= 1;
        }
        word(&mut structure, 1);
        structure.extend(name.bytes().chain([0]));
        pad(&mut structure);
        depth += 1;
        for (key, value) in *properties {
            word(&mut structure, 3);
            word(&mut structure, value.len());
            word(&mut structure, strings.len());
            strings.extend(key.bytes().chain([0]));
            structure.extend(*value);
            pad(&mut structure);
        }
    }
    for _ in 0..depth {
        word(&mut structure, 2);
    }
    word(&mut structure, 9);
    let (reserve, start) = (40, 56);
    let mut blob = Vec::new();
    let total = start + structure.len() + strings.len();
    for value in [
        0xd00d_feed,
        total,
        start,
        start + structure.len(),
        reserve,
        17,
        16,
        0,
        strings.len(),
        structure.len(),
    ] {
        word(&mut blob, value);
    }
    blob.extend([0; 16]);
    blob.extend(structure);
    blob.extend(strings);
    blob
}

fn cells(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect()
}

#[test]
fn a_device_tree_gives_chips_and_partitions() {
    let (one, boot, fw) = (
        cells(&[1]),
        cells(&[0, 0x40000]),
        cells(&[0x40000, 0x7c0000]),
    );
    let zero = cells(&[0]);
    let registers = cells(&[0x1000, 0x100]);
    let tree = device_tree(&[
        (0, "", &[]),
        (1, "aliases", &[("spi2", b"/soc/spi@1000\0")]),
        (1, "soc", &[("ranges", b"")]),
        (
            2,
            "spi@1000",
            &[
                ("#address-cells", &one),
                ("#size-cells", &zero),
                ("reg", &registers),
            ],
        ),
        (
            3,
            "flash@0",
            &[
                ("compatible", b"winbond,w25q64\0jedec,spi-nor\0"),
                ("reg", &zero),
            ],
        ),
        (
            4,
            "partitions",
            &[
                ("compatible", b"fixed-partitions\0"),
                ("#address-cells", &one),
                ("#size-cells", &one),
            ],
        ),
        (
            5,
            "partition@0",
            &[("label", b"u-boot\0"), ("reg", &boot), ("read-only", b"")],
        ),
        (
            5,
            "partition@40000",
            &[("label", b"firmware\0"), ("reg", &fw)],
        ),
    ]);
    let dir = Dir::new();
    dir.write("board.dtb", tree);
    dir.ok(&["new", "b", "--dtb", "board.dtb"]);
    let devices = dir.json(&["ls", "b"]);
    assert_eq!(devices[0]["name"], "u-boot");
    assert_eq!(devices[0]["writable"], false);
    assert_eq!(devices[1]["offset"], 0x40000);
    assert_eq!(devices[1]["size"], 0x7c0000);
    let conf = dir.text("b/mtdshim.conf");
    for line in [
        "preset = \"w25q64\"",
        "parent = \"/sys/devices/platform/soc/1000.spi/spi_master/spi2/spi2.0\"",
        "parent_uevent = \"DRIVER=spi-nor OF_NAME=flash OF_FULLNAME=/soc/spi@1000/flash@0 OF_COMPATIBLE_0=winbond,w25q64 \
         OF_COMPATIBLE_1=jedec,spi-nor OF_COMPATIBLE_N=2 MODALIAS=spi:w25q64\"",
        "uevent = \"OF_NAME=partition OF_FULLNAME=/soc/spi@1000/flash@0/partitions/partition@40000 OF_COMPATIBLE_N=0\"",
    ] {
        assert!(conf.contains(line), "{line} is not in\n{conf}");
    }
    dir.write("no.dtb", b"no tree");
    assert!(
        dir.refused(&["new", "c", "--dtb", "no.dtb"])
            .contains("no.dtb")
    );
}

#[test]
fn a_nand_dump_without_spare_areas_is_known_by_its_ubi_headers() {
    let mut dump = vec![0xff; 4 << 20];
    for block in dump.chunks_exact_mut(0x20000).take(20) {
        block[..5].copy_from_slice(b"UBI#\x01");
        block[16..20].copy_from_slice(&2048u32.to_be_bytes());
        block[20..24].copy_from_slice(&4096u32.to_be_bytes());
    }
    let dir = Dir::new();
    dir.write("dump", &dump);
    let said = dir.ok(&["new", "b", "--dump", "dump"]);
    assert!(said.err.contains("128K apart"), "{said:?}");
    let chip = &dir.json(&["info", "b"])[0];
    assert_eq!(
        (
            &chip["type"],
            &chip["erasesize"],
            &chip["writesize"],
            &chip["oobsize"]
        ),
        (&"NAND".into(), &0x20000.into(), &2048.into(), &64.into())
    );
    assert_eq!(dir.json(&["ls", "b"])[0]["content"], "UBI");
    assert!(
        dir.ok(&["check", "b"])
            .out
            .contains("2048 pages verified: sound")
    );
}

#[test]
fn an_interrupted_new_leaves_nothing() {
    use std::os::unix::process::ExitStatusExt;
    let dir = Dir::new();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_mtdshim"))
        .args([
            "new",
            "b",
            "--size",
            "128M",
            "--type",
            "nand",
            "--oobsize",
            "64",
        ])
        .current_dir(dir.path("."))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // As soon as it has begun.
    while dir.names().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let interrupt = std::process::Command::new("kill")
        // Twice, as `timeout` does.
        .args(["-INT", &child.id().to_string(), &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    let status = child.wait().unwrap();
    assert!(
        status.code() == Some(130) && status.signal().is_none(),
        "{status:?}"
    );
    assert_eq!(dir.names(), [] as [&str; 0]);
}
