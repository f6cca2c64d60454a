//! `mtdshim diff` and `map`, and what comes from the command line's definition: man pages and completions.

mod util;

use util::{Dir, noise};

fn two_boards() -> Dir {
    let dir = Dir::new();
    dir.nor();
    dir.ok(&[
        "new",
        "other",
        "--size",
        "1M",
        "--mtdparts",
        "spi0.0:256k(u-boot)ro,64k(env),-(rootfs)",
    ]);
    dir.write("data", noise(70_000));
    dir.ok(&["-b", "other", "import", "rootfs", "data"]);
    dir
}

#[test]
fn equal_boards_do_not_differ() {
    let dir = two_boards();
    assert!(
        dir.ok(&["diff", "nor", "nor"])
            .out
            .contains("no difference")
    );
}

#[test]
fn a_difference_is_told_by_partition_block_and_byte() {
    let dir = two_boards();
    let said = dir.run(&["diff", "nor", "other", "--hex", "--lines", "1"]);
    assert_eq!(said.status, 1);
    assert!(
        said.out
            .contains("mtd2 \"rootfs\": 2 blocks erased, 2 blocks written"),
        "{said:?}"
    );
    assert!(
        said.out.contains("block 5 at 0x50000: erased 1x"),
        "{said:?}"
    );
    let first: String = dir.read("data")[..4]
        .iter()
        .map(|byte| format!(" {byte:02x}"))
        .collect();
    assert!(
        said.out.contains("00050000 - ff ff ff") && said.out.contains(&format!("+{first}")),
        "{said:?}"
    );
    let areas = dir.json(&["diff", "nor", "other"]);
    assert_eq!(areas[0]["blocks"][0]["first"], 0x50000);
}

#[test]
fn boards_of_two_descriptions_are_not_compared() {
    let dir = two_boards();
    dir.ok(&["new", "large", "--size", "2M"]);
    assert!(
        dir.refused(&["diff", "nor", "large"])
            .contains("another geometry")
    );
    assert!(
        dir.refused(&["diff", "nor", "--since", "last"])
            .contains("no run")
    );
}

#[test]
fn a_map_shows_programmed_bad_and_worn_blocks() {
    let dir = two_boards();
    let said = dir.ok(&["-b", "other", "map"]);
    assert!(said.out.contains("mtd1 env       0x40000  .\n"), "{said:?}");
    assert!(
        said.out.contains("mtd2 rootfs    0x50000  #-....."),
        "{said:?}"
    );
    assert!(
        dir.ok(&["-b", "other", "map", "--wear"])
            .out
            .contains("mtd2 rootfs    0x50000  99.....")
    );
    dir.nand();
    dir.write("x", b"x");
    dir.ok(&["-b", "nand", "import", "boot", "x"]);
    let map = dir.ok(&["-b", "nand", "map"]).out;
    assert!(map.contains("mtd0 boot          0x0  -B......\n"), "{map}");
    assert!(map.contains("mtd1 rootfs   0x100000  .B......"), "{map}");
}

#[test]
fn a_map_is_a_picture_too() {
    let dir = two_boards();
    dir.ok(&["-b", "other", "map", "-o", "map.png"]);
    assert_eq!(dir.read("map.png")[..8], *b"\x89PNG\r\n\x1a\n");
    dir.ok(&["-b", "other", "map", "-o", "map.svg"]);
    let svg = dir.text("map.svg");
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("mtd2 rootfs"));
    assert!(
        dir.refused(&["-b", "other", "map", "-o", "map.gif"])
            .contains(".svg or .png")
    );
}

#[test]
fn man_pages_and_completions_know_every_command() {
    let dir = Dir::new();
    dir.ok(&["man", "man"]);
    for command in [
        "new", "info", "ls", "import", "export", "check", "run", "diff", "map", "log", "doctor",
    ] {
        assert!(dir.exists(&format!("man/mtdshim-{command}.1")), "{command}");
        assert!(dir.ok(&["completions", "bash"]).out.contains(command));
    }
}
