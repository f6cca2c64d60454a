//! Temporary directories of runs. Each is locked by who made it, so what a tool that was killed has left is known by its
//! lock being free, and goes when the next one is made.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::fcntl::{Flock, FlockArg};
use std::os::unix::fs::MetadataExt;

const PREFIX: &str = "mtdshim-run-";

pub struct Scratch {
    directory: tempfile::TempDir,
    /// Closed, and so given up, with the last process of the tool.
    _lock: Option<Flock<File>>,
}

impl Scratch {
    pub fn new() -> Result<Scratch> {
        let parent = std::env::temp_dir();
        sweep(&parent);
        let failed = || format!("{}: cannot make a directory here", parent.display());
        loop {
            let directory = tempfile::Builder::new()
                .prefix(PREFIX)
                .tempdir_in(&parent)
                .with_context(failed)?;
            let lock = lock(directory.path(), FlockArg::LockExclusive);
            // Whoever sweeps may have been faster. Where nothing can be locked, nothing is swept.
            if directory.path().exists() {
                return Ok(Scratch {
                    directory,
                    _lock: lock,
                });
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// None where somebody else has it, or where it is not there any more.
fn lock(path: &Path, how: FlockArg) -> Option<Flock<File>> {
    let lock = Flock::lock(File::open(path).ok()?, how).ok()?;
    let (held, named) = (lock.metadata().ok()?, fs::symlink_metadata(path).ok()?);
    ((held.dev(), held.ino()) == (named.dev(), named.ino())).then_some(lock)
}

fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let own = nix::unistd::geteuid().as_raw();
        name.starts_with(PREFIX)
            && fs::symlink_metadata(path).is_ok_and(|file| file.is_dir() && file.uid() == own)
    };
    for path in entries.flatten().map(|entry| entry.path()).filter(is_ours) {
        if let Some(_lock) = lock(&path, FlockArg::LockExclusiveNonblock) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}
