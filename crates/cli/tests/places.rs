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

#[test]
fn an_import_takes_a_pipe_whole_and_refuses_what_is_empty() {
    let dir = Dir::new();
    dir.nor();
    let pipe = dir.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let bytes = util::noise(100_000);
    let writer = std::thread::spawn({
        let bytes = bytes.clone();
        move || std::fs::write(pipe, bytes).unwrap()
    });
    let told = dir.json(&["-b", "nor", "import", "rootfs", "pipe"]);
    writer.join().unwrap();
    assert_eq!(told["bytes"], 100_000);
    let told = dir.json(&["-b", "nor", "export", "rootfs", "out"]);
    assert_eq!(told["bytes"], 704 << 10);
    assert_eq!(dir.read("out")[..100_000], bytes);
    dir.write("empty", b"");
    assert!(
        dir.refused(&["-b", "nor", "import", "env", "empty"])
            .contains("there is nothing in it")
    );
    assert!(
        dir.refused(&["-b", "nor", "import", "env", "nor"])
            .contains("this is a directory")
    );
}

#[test]
fn an_interrupted_import_says_how_far_it_came() {
    let dir = Dir::new();
    dir.ok(&[
        "new",
        "big",
        "--size",
        "64M",
        "--type",
        "nand",
        "--erasesize",
        "128K",
        "--writesize",
        "2048",
        "--oobsize",
        "64",
    ]);
    dir.write("data", util::noise(60 << 20));
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_mtdshim"))
        .args(["-b", "big", "import", "nand0", "data"])
        .current_dir(dir.path("."))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(60));
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // A fast machine may have been done, a slow one not yet begun.
    match output.status.code() {
        Some(130) => assert!(said.contains("import it again"), "{said}"),
        Some(0) => assert!(said.contains("bytes from data"), "{said}"),
        _ => assert!(
            std::os::unix::process::ExitStatusExt::signal(&output.status).is_some(),
            "{said}"
        ),
    }
    assert!(dir.ok(&["check", "big"]).out.contains("sound"));
}

#[test]
fn a_setting_that_is_empty_is_none() {
    let dir = Dir::new();
    dir.nor();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mtdshim"))
        .args(["-b", "nor", "ls"])
        .current_dir(dir.path("."))
        .envs([
            ("MTDSHIM", ""),
            ("MTDSHIM_QEMU", ""),
            ("MTDSHIM_LIBRARY", ""),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn what_cannot_be_written_is_named() {
    let dir = Dir::new();
    dir.nor();
    let said = dir.refused(&["-b", "nor", "export", "env", "/dev/full"]);
    assert!(said.contains("/dev/full: cannot write to it"), "{said}");
    let said = dir.refused(&["ls", "no such"]);
    assert!(
        said.contains("make it with: mtdshim new 'no such'"),
        "{said}"
    );
    let said = dir.refused(&["ls", "--", "-x"]);
    assert!(said.contains("mtdshim new ./-x"), "{said}");
    assert_eq!(dir.json(&["-b", "nor", "answer", "--reset"])["reset"], 0);
}

#[test]
fn what_never_ends_is_refused_before_it_fills_the_memory() {
    let dir = Dir::new();
    dir.nor();
    for arguments in [
        ["-b", "nor", "import", "env", "/dev/zero"],
        ["new", "b", "--yes", "--dtb", "/dev/zero"],
        ["new", "b", "--yes", "--proc-mtd", "/dev/zero"],
    ] {
        assert!(dir.refused(&arguments).contains("takes no more"));
    }
    let zeros = ["new", "b", "--yes", "--dump", "/dev/zero"];
    assert!(dir.refused(&zeros).contains("has no end"));
    dir.write("table", b"mtd0: 00010000 00010000 \"env\"\n");
    let parts = [
        "new",
        "b",
        "--yes",
        "--proc-mtd",
        "table",
        "--parts",
        "/dev/zero",
    ];
    assert!(dir.refused(&parts).contains("\"env\" takes no more"));
    std::fs::remove_file(dir.path("table")).unwrap();
    assert_eq!(dir.names(), ["nor"]);
}

/// Its exit status, None if a signal ended it. Nobody waits longer than a slow machine needs.
fn end_of(child: &mut std::process::Child) -> Option<i32> {
    for _ in 0..400 {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let _ = child.kill();
    panic!("it waits on");
}

#[test]
fn a_signal_ends_the_wait_for_a_pipe() {
    let dir = Dir::new();
    dir.nor();
    nix::unistd::mkfifo(&dir.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for arguments in [
        &["-b", "nor", "import", "env", "pipe"][..],
        &["-b", "nor", "import", "env", "-"],
        &["new", "b", "--dump", "pipe"],
        &["new", "b", "--proc-mtd", "pipe"],
        &["new", "b", "--dtb", "pipe"],
        &["log", "pipe"],
        &["-b", "nor", "answer", "--trace", "pipe"],
    ] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_mtdshim"))
            .args(arguments)
            .current_dir(dir.path("."))
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        let pid = nix::unistd::Pid::from_raw(child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        // On a machine that is very slow the tool had not yet begun, and the signal did what it does to any program.
        let ended = end_of(&mut child);
        assert!(
            matches!(ended, Some(130) | None),
            "{arguments:?}: {ended:?}"
        );
    }
    assert_eq!(dir.names(), ["nor", "pipe"]);
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for() {
    for name in ["nor0.bin", "nor0.mtdshim", "mtdshim.conf"] {
        let dir = Dir::new();
        dir.nor();
        dir.ok(&["-b", "nor", "check"]);
        let path = dir.path("nor").join(name);
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_mtdshim"))
            .args(["-b", "nor", "check"])
            .current_dir(dir.path("."))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let ended = end_of(&mut child);
        assert!(matches!(ended, Some(1 | 2)), "{name}: {ended:?}");
    }
}
