//! One chip's open files, and the chip over them.

use anyhow::{Context as _, Result, anyhow, bail};
use flash::{
    Block, BlockFlags, Chip, FlashError, Geometry, Ledger, OpMode, Outcome, ReadOps, SCRATCH_SIZE,
    Scratch, Sink,
};
use image::chip_files::ChipPaths;
use image::host_os::HostOs;
use image::{ChipConfig, ChipFiles};

use super::settle::Cache;
use super::{HostMedium, Store, problem};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Nothing on disk changes; the ledger is a private copy.
    Look,
    /// Missing files are made, like at a guest's first access.
    Change,
}

pub struct OpenChip {
    pub config: ChipConfig,
    pub paths: ChipPaths,
    files: ChipFiles,
    scratch: Box<Scratch>,
    access: Access,
}

impl OpenChip {
    pub fn open(store: &Store, index: usize, access: Access) -> Result<OpenChip> {
        let config = store.chip(index)?;
        let directory = store.board.directory();
        let read_only = access == Access::Look || store.board.is_read_only();
        let mut files = None;
        let keep = &mut |new| files = Some(new);
        ChipFiles::open_chip(&HostOs, directory, &config, read_only, keep).map_err(problem)?;
        let files = files.context("the chip's files were not opened")?;
        let paths = ChipPaths::of(directory, &config);
        if access == Access::Change && files.read_only {
            bail!(
                "{}: the chip's files cannot be written; give permission, or work on a copy of the board",
                paths.image.as_str()
            );
        }
        let mut chip = OpenChip {
            config,
            paths,
            files,
            scratch: Box::new([0; SCRATCH_SIZE]),
            access,
        };
        if access == Access::Look && chip.files.side_fd < 0 && chip.geometry().is_nand() {
            // Without a side file the marks in the spare area are all there is to know.
            chip.run(|chip| chip.scan_factory_bad_blocks())?;
        }
        Ok(chip)
    }

    pub fn geometry(&self) -> &Geometry {
        &self.config.geometry
    }

    pub fn ledger(&self) -> Ledger<'_> {
        self.files.ledger()
    }

    pub fn has_side_file(&self) -> bool {
        self.files.side_fd >= 0
    }

    /// Works on the chip, alone if it may change.
    pub fn run<T>(
        &mut self,
        body: impl FnOnce(&mut Chip<'_>) -> Result<T, FlashError>,
    ) -> Result<T> {
        self.run_for(None, body)
    }

    /// Whether nobody has changed the image since a program did.
    pub fn is_as_recorded(&self) -> bool {
        self.files.is_as_recorded(&HostOs)
    }

    /// The last close of a block device.
    pub fn flush(&mut self, cache: Cache<'_>) -> Result<()> {
        self.run_for(Some(cache), |chip| chip.flush(true))
    }

    fn run_for<T>(
        &mut self,
        cache: Option<Cache<'_>>,
        body: impl FnOnce(&mut Chip<'_>) -> Result<T, FlashError>,
    ) -> Result<T> {
        let is_locked = self.access == Access::Change;
        if is_locked {
            self.files.acquire(&HostOs).map_err(|error| {
                anyhow!(
                    "{}: cannot lock the chip (errno {})",
                    self.paths.side.as_str(),
                    error.0
                )
            })?;
        }
        let ledger = self.files.ledger();
        let mut medium = HostMedium::of(&self.files, cache);
        let mut chip = Chip {
            geometry: &self.config.geometry,
            ledger: &ledger,
            code: self.files.code.as_ref(),
            medium: &mut medium,
            scratch: &mut self.scratch,
        };
        let result = body(&mut chip);
        if is_locked {
            self.files.record_stamp(&HostOs);
            self.files.lock().release(&HostOs);
        }
        result.map_err(|error| {
            let words = medium
                .failure
                .unwrap_or_else(|| flash_words(error).to_owned());
            anyhow!("{}: {words}", self.paths.image.as_str())
        })
    }

    pub fn blocks(&self, offset: u64, length: u64) -> Vec<Block> {
        blocks_of(self.geometry(), offset, length)
    }

    /// A block whose record is damaged counts as good here; `check` reports it.
    pub fn flags(&self, block: u32) -> BlockFlags {
        self.ledger().flags(block).unwrap_or_default()
    }

    pub fn is_bad(&self, block: u32) -> bool {
        let flags = self.flags(block);
        self.geometry().is_nand() && (flags.bad || flags.reserved)
    }

    pub fn wear(&self, block: u32) -> u32 {
        self.ledger().wear(block).unwrap_or(0)
    }

    /// Corrected bytes; uncorrectable ones as they are, which the outcome tells.
    pub fn read(&mut self, at: u64, to: &mut [u8]) -> Result<Outcome> {
        self.run(|chip| {
            let (outcome, result) = chip.read(at, Sink::Bytes(to), OpMode::Place);
            result.map(|()| outcome)
        })
    }

    /// The bytes of pages and of their spare areas as they lie in the files.
    pub fn read_raw(&mut self, at: u64, data: &mut [u8], oob: Option<&mut [u8]>) -> Result<()> {
        self.run(|chip| {
            let Some(oob) = oob else {
                return chip.read(at, Sink::Bytes(data), OpMode::Raw).1;
            };
            let ops = ReadOps {
                mode: OpMode::Raw,
                data: Some(Sink::Bytes(data)),
                oob: Some(Sink::Bytes(oob)),
                ooboffs: 0,
            };
            chip.read_oob(at, ops).1
        })
    }
}

impl Drop for OpenChip {
    fn drop(&mut self) {
        for fd in [self.files.image_fd, self.files.oob_fd, self.files.side_fd] {
            if fd >= 0 {
                image::Os::close(&HostOs, fd);
            }
        }
    }
}

pub fn blocks_of(geometry: &Geometry, offset: u64, length: u64) -> Vec<Block> {
    let end = offset.saturating_add(length).min(geometry.size);
    let mut blocks = Vec::new();
    let mut at = offset;
    while at < end {
        let Some(block) = geometry.block_at(at) else {
            break;
        };
        at = block.end();
        blocks.push(block);
    }
    blocks
}

fn flash_words(error: FlashError) -> &'static str {
    match error {
        FlashError::Invalid => "the range or its alignment does not fit the chip",
        FlashError::Io => "the chip refused: a bad block or a protected one",
        FlashError::ReadOnly => "the block is locked, or the chip is read-only",
        FlashError::NotSupported | FlashError::NotSupportedInternal => "this chip cannot do that",
        FlashError::NotWholeRegion => "only a whole OTP region can be locked",
        FlashError::NoSpace => "there is no room left",
        FlashError::Fault => "memory could not be accessed",
        FlashError::Store => "a record in the side file is damaged; run: mtdshim check",
    }
}
