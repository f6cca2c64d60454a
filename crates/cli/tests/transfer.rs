//! `mtdshim import` and `export`: bytes arrive where a programmer would put them, and come back the same.

mod util;

use util::{Dir, noise, patch};

#[test]
fn what_is_imported_is_exported() {
    let dir = Dir::new();
    dir.nor();
    dir.write("data", noise(100_000));
    dir.ok(&["-b", "nor", "import", "rootfs", "data"]);
    dir.ok(&["-b", "nor", "export", "rootfs", "back"]);
    let back = dir.read("back");
    assert_eq!(back.len(), 0xb0000);
    assert_eq!(back[..100_000], dir.read("data")[..]);
    assert!(back[100_000..].iter().all(|&byte| byte == 0xff));
    assert_eq!(
        dir.read("nor/nor0.bin")[0x50000..0x50000 + 100_000],
        dir.read("data")[..]
    );
}

#[test]
fn an_import_erases_what_it_covers_and_counts_the_wear() {
    let dir = Dir::new();
    dir.nor();
    dir.write("zeros", vec![0; 0x20000]);
    dir.write("short", b"short");
    dir.ok(&["-b", "nor", "import", "mtd2", "zeros"]);
    dir.ok(&["-b", "nor", "import", "/dev/mtd2", "short"]);
    let image = dir.read("nor/nor0.bin");
    assert_eq!(image[0x50000..0x50005], *b"short");
    assert!(image[0x50005..0x60000].iter().all(|&byte| byte == 0xff));
    assert!(
        image[0x60000..0x70000].iter().all(|&byte| byte == 0),
        "the next block was not to be touched"
    );
    assert_eq!(dir.json(&["ls", "nor"])[2]["wear_max"], 2);
}

#[test]
fn an_import_skips_bad_blocks_and_an_export_can_as_well() {
    let dir = Dir::new();
    dir.nand();
    dir.write("data", noise(300_000));
    let said = dir.ok(&["-b", "nand", "import", "boot", "data"]);
    assert!(said.err.contains("1 bad block skipped"), "{said:?}");
    let (image, data) = (dir.read("nand/nand0.bin"), dir.read("data"));
    assert_eq!(image[..0x20000], data[..0x20000]);
    assert_eq!(image[0x40000..0x60000], data[0x20000..0x40000]);
    dir.ok(&["-b", "nand", "export", "boot", "skipped", "--bad", "skip"]);
    assert_eq!(dir.read("skipped")[..300_000], data[..]);
    dir.ok(&["-b", "nand", "export", "boot", "kept"]);
    assert_eq!(dir.read("kept").len(), 1 << 20);
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_erased() {
    let dir = Dir::new();
    dir.nor();
    dir.write("data", vec![0; 0x10000]);
    dir.ok(&["-b", "nor", "import", "env", "data"]);
    dir.write("long", noise(0x10001));
    let before = dir.read("nor/nor0.bin");
    assert!(
        dir.refused(&["-b", "nor", "import", "env", "long"])
            .contains("do not fit")
    );
    assert!(
        dir.refused(&["-b", "nor", "import", "nothing", "long"])
            .contains("there are mtd0")
    );
    assert!(
        dir.refused(&["-b", "nor", "import", "env", "long", "--oob"])
            .contains("no spare area")
    );
    assert_eq!(dir.read("nor/nor0.bin"), before);
}

#[test]
fn an_export_corrects_one_flipped_bit_and_tells() {
    let dir = Dir::new();
    dir.nand();
    dir.write("data", noise(50_000));
    dir.ok(&["-b", "nand", "import", "rootfs", "data"]);
    let flipped = dir.read("nand/nand0.bin")[0x100000] ^ 4;
    patch(&dir.path("nand/nand0.bin"), 0x100000, &[flipped]);
    let said = dir.ok(&["-b", "nand", "export", "rootfs", "back"]);
    assert!(said.err.contains("1 bit corrected"), "{said:?}");
    assert_eq!(dir.read("back")[..50_000], dir.read("data")[..]);
}

#[test]
fn an_interrupted_export_leaves_no_file() {
    let dir = Dir::new();
    dir.nor();
    assert_eq!(
        dir.run(&["-b", "nor", "export", "env", "missing/file"])
            .status,
        2
    );
    assert_eq!(dir.names(), ["nor"]);
}

#[test]
fn a_dump_with_spare_areas_brings_marks_of_bad_blocks_along() {
    let dir = Dir::new();
    dir.nand();
    dir.write("data", noise(300_000));
    dir.ok(&["-b", "nand", "import", "boot", "data"]);
    dir.ok(&["-b", "nand", "export", "nand0", "dump", "--oob"]);
    let conf = dir
        .text("nand/mtdshim.conf")
        .replace("bad_blocks = [1, 9]\n", "");
    dir.write("other/mtdshim.conf", conf);
    dir.ok(&["-b", "other", "import", "nand0", "dump", "--oob"]);
    assert_eq!(
        dir.json(&["info", "other"])[0]["bad_blocks"],
        serde_json::json!([1, 9])
    );
    assert_eq!(dir.read("other/nand0.bin"), dir.read("nand/nand0.bin"));
    assert_eq!(dir.read("other/nand0.oob"), dir.read("nand/nand0.oob"));
    // Once more, onto blocks that are bad by now.
    dir.ok(&["-b", "other", "import", "nand0", "dump", "--oob"]);
    assert_eq!(dir.read("other/nand0.oob"), dir.read("nand/nand0.oob"));
    dir.ok(&["check", "other"]);
    dir.write("cut", noise(1000));
    assert!(
        dir.refused(&["-b", "other", "import", "nand0", "cut", "--oob"])
            .contains("2048 + 64")
    );
}
