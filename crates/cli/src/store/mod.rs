//! A board, opened from the host: found, its chips and devices by name, its bytes under the chips' locks.
//!
//! Must not know: commands, how results are shown.

mod chip;
mod find;
mod medium;
mod settle;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use image::board::CHIPS_MAX;
use image::host_os::HostOs;
use image::{Board, ChipConfig, DeviceView};

pub use chip::{Access, OpenChip};
pub use find::find_board;
pub use medium::HostMedium;

/// Messages of the crates below name file, reason and remedy in one line already.
pub fn problem(problem: image::Problem) -> anyhow::Error {
    anyhow!("{problem}")
}

pub struct Store {
    pub board: Board,
    pub directory: PathBuf,
}

/// A board is closed by hand because the guest library must not close anything behind a program's back; here it may.
impl Drop for Store {
    fn drop(&mut self) {
        if self.board.fd() >= 0 {
            image::Os::close(&HostOs, self.board.fd());
        }
    }
}

/// A range of a chip that a person named.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    pub chip: usize,
    pub offset: u64,
    pub size: u64,
}

impl Store {
    pub fn open(path: &Path) -> Result<Store> {
        let c_path = CString::new(path.as_os_str().as_bytes())?;
        let board = Board::open(&HostOs, &c_path).map_err(problem)?;
        let directory = PathBuf::from(std::ffi::OsStr::from_bytes(board.directory().as_bytes()));
        let store = Store { board, directory };
        settle::settle(&store);
        Ok(store)
    }

    pub fn chips(&self) -> Vec<(usize, ChipConfig)> {
        (0..self.board.chip_count().min(CHIPS_MAX))
            .filter_map(|index| Some((index, self.board.chip(index)?)))
            .collect()
    }

    pub fn devices(&self) -> Vec<DeviceView> {
        self.board.devices().collect()
    }

    pub fn chip(&self, index: usize) -> Result<ChipConfig> {
        self.board.chip(index).ok_or_else(|| {
            anyhow!(
                "{}: the board has no chip number {index}",
                self.directory.display()
            )
        })
    }

    /// Whether the image or the side file of a chip is there; without both, the first program makes an erased chip.
    pub fn has_files(&self, index: usize) -> Result<bool> {
        let paths = image::chip_files::ChipPaths::of(self.board.directory(), &self.chip(index)?);
        let exists = |path: image::PathText| Path::new(path.as_str()).exists();
        Ok(exists(paths.image) || exists(paths.side))
    }

    pub fn open_chip(&self, index: usize, access: Access) -> Result<OpenChip> {
        if access == Access::Look && !self.has_files(index)? {
            let name = self.chip(index)?.name;
            bail!(
                "{}: chip {name} has no files yet: the first program that opens it makes an erased one",
                self.directory.display()
            );
        }
        OpenChip::open(self, index, access)
    }

    /// `mtd3`, `/dev/mtd3`, `3`, the name of a device, or the name of a chip, in this order.
    pub fn target(&self, name: &str) -> Result<Target> {
        let devices = self.devices();
        let short = name.trim_start_matches("/dev/");
        let number = short
            .trim_start_matches("mtdblock")
            .trim_start_matches("mtd")
            .parse::<u32>()
            .ok();
        let by_number = devices.iter().find(|device| Some(device.index) == number);
        let by_name: Vec<_> = devices
            .iter()
            .filter(|device| device.name.as_str() == name)
            .collect();
        if by_number.is_none() && by_name.len() > 1 {
            let numbers: Vec<String> = by_name
                .iter()
                .map(|device| format!("mtd{}", device.index))
                .collect();
            bail!(
                "'{name}' is the name of {}; give one of these",
                numbers.join(" and ")
            );
        }
        if let Some(device) = by_number.or(by_name.first().copied()) {
            return Ok(Target {
                name: format!("mtd{} \"{}\"", device.index, device.name),
                chip: device.chip,
                offset: device.offset,
                size: device.size,
            });
        }
        if let Some((index, chip)) = self
            .chips()
            .into_iter()
            .find(|(_, chip)| chip.name.as_str() == name)
        {
            return Ok(Target {
                name: format!("chip {}", chip.name),
                chip: index,
                offset: 0,
                size: chip.geometry.size,
            });
        }
        let mut known: Vec<String> = devices
            .iter()
            .map(|device| format!("mtd{} \"{}\"", device.index, device.name))
            .collect();
        known.extend(
            self.chips()
                .iter()
                .map(|(_, chip)| format!("chip {}", chip.name)),
        );
        bail!(
            "{}: nothing is called '{name}'; there are {}",
            self.directory.display(),
            known.join(", ")
        )
    }
}
