//! A directory of its own for every test, and the real binary run in it.

// Every test file uses a part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub struct Dir {
    directory: tempfile::TempDir,
}

/// What the binary said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub out: String,
    pub err: String,
    pub status: i32,
}

impl Dir {
    pub fn new() -> Dir {
        Dir {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Names in the directory, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mtdshim"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_remove("MTDSHIM");
        said(command.output().unwrap())
    }

    /// Runs it and insists on success.
    pub fn ok(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.status, 0, "{arguments:?}: {said:?}");
        said
    }

    /// Runs it and insists that it could not do it; the message.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.status, 2, "{arguments:?}: {said:?}");
        said.err
    }

    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        serde_json::from_str(&self.run(&all).out).unwrap()
    }

    /// A NOR of 1 MiB with three partitions, in `nor`.
    pub fn nor(&self) {
        let parts = "spi0.0:256k(u-boot)ro,64k(env),-(rootfs)";
        self.ok(&["new", "nor", "--size", "1M", "--mtdparts", parts]);
    }

    /// A NAND of 4 MiB with two partitions and bad blocks 1 (in `boot`) and 9 (in `rootfs`), in `nand`.
    pub fn nand(&self) {
        let conf = "[chip.nand0]\ntype = \"nand\"\nsize = \"4M\"\nerasesize = \"128K\"\nwritesize = 2048\noobsize = 64\n\
                    ecc = \"hamming\"\nbad_blocks = [1, 9]\nmtdparts = \"nand0:1m(boot),-(rootfs)\"\n";
        self.write("nand/mtdshim.conf", conf);
    }
}

fn said(output: Output) -> Said {
    Said {
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        status: output.status.code().unwrap_or(-1),
    }
}

/// Bytes that look like nothing known and repeat at no power of two.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 251u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

pub fn patch(path: &Path, at: usize, bytes: &[u8]) {
    let mut whole = std::fs::read(path).unwrap();
    whole[at..at + bytes.len()].copy_from_slice(bytes);
    std::fs::write(path, whole).unwrap();
}
