//! Files that are named: what is there already, what cannot be written, and that nothing but plain files is replaced.

mod util;

use std::os::unix::fs::FileTypeExt;

use util::Dir;

#[test]
fn an_export_to_a_pipe_or_device_writes_into_it_and_leaves_it_in_place() {
    let dir = Dir::new();
    dir.nor();
    let pipe = dir.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).unwrap()
    });
    dir.ok(&["-b", "nor", "import", "env", "nor/mtdshim.conf"]);
    dir.ok(&["-b", "nor", "export", "env", "pipe"]);
    assert_eq!(reader.join().unwrap().len(), 64 << 10);
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
}

#[test]
fn an_export_through_a_link_keeps_the_link() {
    let dir = Dir::new();
    dir.nor();
    dir.write("far/old", b"x");
    std::os::unix::fs::symlink("far/old", dir.path("link")).unwrap();
    dir.ok(&["-b", "nor", "import", "env", "nor/mtdshim.conf"]);
    dir.ok(&["-b", "nor", "export", "env", "link"]);
    assert_eq!(dir.read("far/old").len(), 64 << 10);
    assert!(dir.path("link").is_symlink());
}

#[test]
fn places_that_cannot_be_written_are_named_with_the_next_step() {
    let dir = Dir::new();
    dir.nor();
    dir.ok(&["-b", "nor", "import", "env", "nor/mtdshim.conf"]);
    let export = |to: &str| dir.refused(&["-b", "nor", "export", "env", to]);
    assert!(export("nor").contains("this is a directory; name a file in it"));
    assert!(export("no/x").contains("there is no directory no; make it first"));
    let map = dir.refused(&["-b", "nor", "map", "-o", "no/x.png"]);
    assert!(map.contains("make it first"), "{map}");
}

#[test]
fn an_offset_between_eraseblocks_is_named() {
    let dir = Dir::new();
    dir.nor();
    dir.write("x", b"x");
    let said = dir.refused(&["-b", "nor", "import", "rootfs", "x", "--offset", "100"]);
    assert!(
        said.contains("--offset 0x64: give a whole number of eraseblocks (64K)"),
        "{said}"
    );
}

#[test]
fn one_board_alone_and_a_file_that_is_no_trace_are_refused_with_the_next_step() {
    let dir = Dir::new();
    dir.nor();
    assert!(
        dir.refused(&["diff", "nor"])
            .contains("mtdshim diff nor --since last")
    );
    dir.write("text", "1.0 2 mtd0 MEMERASE\n");
    assert!(
        dir.refused(&["log", "text"])
            .contains("MTDSHIM_TRACE=json:FILE")
    );
}

#[test]
fn a_remark_about_a_new_board_names_the_place_where_it_will_be() {
    let dir = Dir::new();
    let said = dir.ok(&["new", "b", "--size", "1M", "--mtdparts", "x:2M(all)"]);
    assert!(said.err.contains("mtdshim: b/mtdshim.conf:"), "{said:?}");
    assert!(!said.err.contains(".mtdshim-new-"), "{said:?}");
}

#[test]
fn a_new_board_is_told_as_json() {
    let dir = Dir::new();
    let made = dir.json(&["new", "b", "--size", "1M"]);
    assert_eq!(made["board"], "b");
    assert_eq!(made["chips"][0], "nor0");
}
