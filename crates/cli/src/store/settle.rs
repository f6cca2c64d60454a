//! What waits in the caches of a board's block devices when no program has them open any more: their last close has flushed it.
//! The next program would find that out; here the host tool does, so that it shows the flash as it is.

use std::ffi::CString;
use std::fs::File;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use image::host_os::is_open_elsewhere;
use image::{Board, DeviceView};

use super::{Access, Store};

/// One block device's cache, and the file that holds what its eraseblock was before (`src/block_cache.rs`).
pub struct Cache<'a> {
    board: &'a Board,
    device: DeviceView,
    copy: PathBuf,
}

impl Cache<'_> {
    pub fn kept(&self) -> Range<u64> {
        self.board.kept(self.device.index, self.device.chip)
    }

    pub fn end(&self) {
        self.board.set_kept(self.device.index, &(0..0));
    }

    /// Main area, then spare area.
    pub fn old(&self, length: u64, offset: u64) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        File::open(&self.copy)?.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// A board that cannot be written, or a chip that cannot be opened, stays as it is.
pub fn settle(store: &Store) {
    if store.board.is_read_only() {
        return;
    }
    for device in store.devices() {
        if store.board.kept(device.index, device.chip).is_empty() {
            continue;
        }
        let node = format!(".mtdshim/node/mtdblock{}", device.index);
        let copy = store.directory.join(format!("{node}.old"));
        let node = store.directory.join(node);
        let is_open =
            CString::new(node.as_os_str().as_bytes()).is_ok_and(|path| is_open_elsewhere(&path));
        let is_there = store.has_files(device.chip).unwrap_or(false);
        if is_there
            && !is_open
            && let Ok(mut chip) = store.open_chip(device.chip, Access::Change)
        {
            let cache = Cache {
                board: &store.board,
                device,
                copy,
            };
            if chip.is_as_recorded() {
                let _ = chip.flush(cache);
            } else {
                cache.end();
            }
        }
    }
}
