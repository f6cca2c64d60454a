//! `mtdshim check`, `info` and `ls`: what is wrong is found, named and comes with advice; what is right is quiet.

mod util;

use util::{Dir, noise, patch};

#[test]
fn a_new_board_is_sound() {
    let dir = Dir::new();
    dir.nor();
    dir.nand();
    assert!(dir.ok(&["check", "nor"]).out.contains("sound"));
    assert!(dir.ok(&["check", "nand"]).out.contains("not made yet"));
}

#[test]
fn uncorrectable_pages_are_found_with_their_partition() {
    let dir = Dir::new();
    dir.nand();
    dir.write("data", noise(50_000));
    dir.ok(&["-b", "nand", "import", "rootfs", "data"]);
    let old = dir.read("nand/nand0.bin");
    // Two bits of one step: one more than Hamming sets right.
    patch(&dir.path("nand/nand0.bin"), 0x100000, &[old[0x100000] ^ 3]);
    let said = dir.run(&["check", "nand"]);
    assert_eq!(said.status, 1, "{said:?}");
    assert!(
        said.out.contains("mtd1 \"rootfs\"") && said.out.contains("cannot be corrected"),
        "{said:?}"
    );
    let findings = dir.json(&["check", "nand"]);
    assert_eq!(findings[0]["weight"], "error");
}

#[test]
fn an_image_of_another_size_is_named_with_both_sizes() {
    let dir = Dir::new();
    dir.nor();
    dir.write("nor/nor0.bin", vec![0; 1000]);
    let said = dir.run(&["check", "nor"]);
    assert_eq!(said.status, 1);
    assert!(
        said.out.contains("nor0.bin") && said.out.contains("1000"),
        "{said:?}"
    );
}

#[test]
fn a_damaged_record_of_the_ledger_is_found() {
    let dir = Dir::new();
    dir.nor();
    dir.write("x", b"x");
    dir.ok(&["-b", "nor", "import", "env", "x"]);
    let side = dir.read("nor/nor0.mtdshim");
    // Somewhere behind the header every word is checked; flip one bit of each word in turn until the check speaks.
    let found = (64..side.len().min(4096)).step_by(4).any(|at| {
        patch(&dir.path("nor/nor0.mtdshim"), at, &[side[at] ^ 1]);
        let said = dir.run(&["check", "nor"]);
        dir.write("nor/nor0.mtdshim", &side);
        said.status == 1 && said.out.contains("damaged")
    });
    assert!(found);
}

#[test]
fn contents_are_told_by_their_signatures() {
    let dir = Dir::new();
    dir.nor();
    let mut squashfs = b"hsqs".to_vec();
    squashfs.resize(4096, 7);
    dir.write("fs", squashfs);
    dir.write(
        "boot",
        [
            &[0x27, 0x05, 0x19, 0x56][..],
            &[0; 28],
            b"Linux-5.4\0",
            &[0; 100],
        ]
        .concat(),
    );
    dir.ok(&["-b", "nor", "import", "rootfs", "fs"]);
    dir.ok(&["-b", "nor", "import", "u-boot", "boot"]);
    let devices = dir.json(&["ls", "nor"]);
    assert_eq!(devices[0]["content"], "uImage \"Linux-5.4\"");
    assert_eq!(devices[1]["content"], "erased");
    assert!(
        devices[2]["content"]
            .as_str()
            .unwrap()
            .starts_with("squashfs")
    );
}

#[test]
fn looking_changes_nothing() {
    let dir = Dir::new();
    dir.nand();
    for command in ["info", "ls", "check"] {
        dir.ok(&[command, "nand"]);
    }
    assert!(!dir.exists("nand/nand0.bin") && !dir.exists("nand/nand0.mtdshim"));
}

#[test]
fn a_firmware_root_is_a_board_too() {
    let dir = Dir::new();
    dir.write(
        "root/etc/mtdshim.conf",
        "[chip.nor0]\npreset = \"w25q32\"\n",
    );
    assert_eq!(dir.json(&["info", "root"])[0]["size"], 4 << 20);
}

#[test]
fn no_board_is_an_error_with_a_next_step() {
    let dir = Dir::new();
    assert!(dir.refused(&["info"]).contains("mtdshim new"));
    assert!(dir.refused(&["info", "nowhere"]).contains("nowhere"));
}

#[test]
fn a_lost_spare_area_comes_with_the_way_to_a_new_one() {
    let dir = Dir::new();
    dir.nand();
    dir.write("data", noise(50_000));
    dir.ok(&["-b", "nand", "import", "boot", "data"]);
    std::fs::remove_file(dir.path("nand/nand0.oob")).unwrap();
    let said = dir.run(&["check", "nand"]);
    assert_eq!(said.status, 1);
    assert!(
        said.out
            .contains("nand0.oob: the spare-area file is missing; put it back"),
        "{said:?}"
    );
    std::fs::remove_file(dir.path("nand/nand0.mtdshim")).unwrap();
    dir.ok(&["-b", "nand", "import", "rootfs", "data"]);
    assert!(dir.ok(&["check", "nand"]).out.contains("sound"));
}
