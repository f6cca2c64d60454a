//! Temporary directories and files. Each is locked by who made it, so what a tool that was killed has left is known by its
//! lock being free, and goes when the next one is made in the same place.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use nix::fcntl::{Flock, FlockArg};
use std::os::unix::fs::MetadataExt;
use tempfile::NamedTempFile;

/// Hidden, and followed by random letters: nobody names his own files so.
const RUN: &str = ".mtdshim-run-";
/// Beside the place that something is made for.
const NEW: &str = ".mtdshim-new-";
const LETTERS: usize = 6;

pub struct Scratch {
    directory: tempfile::TempDir,
    /// Closed, and so given up, with the last process of the tool.
    _lock: Option<Flock<File>>,
}

impl Scratch {
    pub fn new() -> Result<Scratch> {
        let parent = std::env::temp_dir();
        Scratch::made(&parent, RUN).with_context(|| {
            format!(
                "{}: cannot make a temporary directory here; name another place: TMPDIR=DIR",
                parent.display()
            )
        })
    }

    /// To be given another name in the same directory.
    pub fn beside(parent: &Path) -> io::Result<Scratch> {
        Scratch::made(parent, NEW)
    }

    fn made(parent: &Path, prefix: &str) -> io::Result<Scratch> {
        sweep(parent, prefix);
        loop {
            let directory = tempfile::Builder::new()
                .prefix(prefix)
                .rand_bytes(LETTERS)
                .tempdir_in(parent)?;
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

    /// It stays, under a name of its own.
    pub fn give_name(self, target: &Path) -> io::Result<()> {
        fs::rename(self.path(), target)?;
        let _ = self.directory.keep();
        Ok(())
    }
}

/// A file that gets its name when it is whole.
pub fn file_beside(parent: &Path) -> io::Result<NamedTempFile> {
    sweep(parent, NEW);
    loop {
        let file = tempfile::Builder::new()
            .prefix(NEW)
            .rand_bytes(LETTERS)
            .tempfile_in(parent)?;
        // Until the file is closed; the name may be gone as above.
        let _ = flock(file.as_file());
        if file.path().exists() {
            return Ok(file);
        }
    }
}

fn flock(file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: an open descriptor.
    let result = unsafe { nix::libc::flock(file.as_raw_fd(), nix::libc::LOCK_EX) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// None where somebody else has it, or where it is not there any more.
fn lock(path: &Path, how: FlockArg) -> Option<Flock<File>> {
    let lock = Flock::lock(File::open(path).ok()?, how).ok()?;
    let (held, named) = (lock.metadata().ok()?, fs::symlink_metadata(path).ok()?);
    ((held.dev(), held.ino()) == (named.dev(), named.ino())).then_some(lock)
}

fn sweep(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let own = nix::unistd::geteuid().as_raw();
        let letters = name.strip_prefix(prefix).unwrap_or("");
        letters.len() == LETTERS
            && letters.chars().all(|c| c.is_ascii_alphanumeric())
            && fs::symlink_metadata(path)
                .is_ok_and(|file| (file.is_dir() || file.is_file()) && file.uid() == own)
    };
    for path in entries.flatten().map(|entry| entry.path()).filter(is_ours) {
        if let Some(_lock) = lock(&path, FlockArg::LockExclusiveNonblock) {
            let _ = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
        }
    }
}
