//! Files that somebody names, read whole: never more than would do, and while nothing comes (a pipe, a terminal) a signal ends
//! the wait at once.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use nix::libc;

use crate::interrupt;

/// What is read of a file, and who says so.
pub struct Limit<'a> {
    pub bytes: u64,
    /// What takes no more: "a device tree".
    pub taker: &'a str,
}

/// Does not wait for who writes into a pipe.
pub fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .with_context(|| format!("{}: cannot open this file", path.display()))
}

pub fn file(path: &Path, limit: &Limit<'_>) -> Result<Vec<u8>> {
    rest(&open(path)?, path, limit)
}

/// What is left in an open file.
pub fn rest(mut file: &File, path: &Path, limit: &Limit<'_>) -> Result<Vec<u8>> {
    let length = file.metadata().map_or(0, |status| status.len());
    let mut bytes = Vec::with_capacity(length.min(limit.bytes) as usize);
    let mut part = vec![0; 1 << 18];
    loop {
        interrupt::wait_for(file)?;
        match file.read(&mut part) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("{}: cannot read this file", path.display()));
            }
        }
        if bytes.len() as u64 > limit.bytes {
            bail!(
                "{}: there are more than {} bytes in it, and {} takes no more",
                path.display(),
                limit.bytes,
                limit.taker
            );
        }
    }
}

/// Standard input as a file.
pub fn standard_input() -> Result<File> {
    Ok(File::from(std::io::stdin().as_fd().try_clone_to_owned()?))
}
