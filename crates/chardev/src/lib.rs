//! What /dev/mtdN and /dev/mtdblockN answer: order of checks, errno, text of /proc/mtd and sysfs.
//!
//! Must not know: libc symbols, files, raw pointers, processes. Source: `mtdchar.c`, `mtdcore.c`, `mtdpart.c` and
//! `mtd_blkdevs.c` of Linux 6.1, and the recordings of real kernels that the tests compare with.
#![no_std]
#![forbid(unsafe_code)]

mod blkpg;
pub mod block;
mod core_ops;
mod ioctl;
mod oob;
mod open;
mod otp;
mod query;
pub mod text;
mod transfer;

pub use ioctl::ioctl;
pub use open::{Access, OpenRequest, check_open};
pub use transfer::{read, seek, write};

use flash::{Chip, FlashError, Geometry, Kind, OpMode};
use mtd_abi::errno::Errno;
use mtd_abi::{flag, kind};

/// Mode of an open file; shared by all descriptors of one open file description.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FileMode {
    #[default]
    Normal,
    OtpFactory,
    OtpUser,
    Raw,
}

impl FileMode {
    pub fn number(self) -> u32 {
        match self {
            FileMode::Normal => mtd_abi::file_mode::NORMAL,
            FileMode::OtpFactory => mtd_abi::file_mode::OTP_FACTORY,
            FileMode::OtpUser => mtd_abi::file_mode::OTP_USER,
            FileMode::Raw => mtd_abi::file_mode::RAW,
        }
    }

    pub fn from_number(number: u32) -> FileMode {
        match number {
            mtd_abi::file_mode::OTP_FACTORY => FileMode::OtpFactory,
            mtd_abi::file_mode::OTP_USER => FileMode::OtpUser,
            mtd_abi::file_mode::RAW => FileMode::Raw,
            _ => FileMode::Normal,
        }
    }

    /// Mode of an OOB operation made through this file.
    fn op_mode(self) -> OpMode {
        if self == FileMode::Raw {
            OpMode::Raw
        } else {
            OpMode::Place
        }
    }
}

/// What an open file description remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenFile {
    pub position: u64,
    pub mode: FileMode,
    pub readable: bool,
    pub writable: bool,
}

/// One mtd device: a chip, or a part of one.
#[derive(Clone, Copy, Debug)]
pub struct Device<'a> {
    pub index: u32,
    pub name: &'a [u8],
    /// Where it starts on the chip.
    pub offset: u64,
    /// Where it starts on its parent: the same, unless the partition has a file of its own.
    pub parent_offset: u64,
    pub size: u64,
    /// The largest of the eraseblocks it covers.
    pub erasesize: u32,
    /// Effective flags: WRITEABLE is missing where the partition is read-only or unaligned.
    pub flags: u32,
    /// A child of another device (the chip itself has no node then, unless it is kept).
    pub is_partition: bool,
    pub geometry: &'a Geometry,
}

impl Device<'_> {
    pub fn is_writeable(&self) -> bool {
        self.flags & flag::WRITEABLE != 0
    }

    /// The chip has methods for spare areas, so RAW mode, MEMWRITE and MEMREAD exist.
    pub fn has_oob(&self) -> bool {
        self.geometry.is_nand()
    }

    /// `type` as `mtd_info_user` reports it.
    pub fn kind_number(&self) -> u8 {
        match self.geometry.kind {
            Kind::Ram => kind::RAM,
            Kind::Rom => kind::ROM,
            Kind::Nor => kind::NORFLASH,
            Kind::Nand => kind::NANDFLASH,
            Kind::MlcNand => kind::MLCNANDFLASH,
            Kind::Dataflash => kind::DATAFLASH,
        }
    }
}

/// Error counters of one mtd device since it was registered.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct EccStats {
    pub corrected: u32,
    pub failed: u32,
    pub bad_blocks: u32,
    pub bbt_blocks: u32,
}

/// What is shared by all processes and belongs to devices, not to chips.
pub trait Registry {
    fn ecc_stats(&self, device: u32) -> EccStats;
    fn count_ecc(&self, device: u32, corrected: u32, failed: u32);
    fn count_bad_block(&self, device: u32);
    fn bitflip_threshold(&self, device: u32) -> u32;
    /// What programs set on the block device: the bits of `mask` become those of `value`, and all of them are told.
    fn block_settings(&self, device: u32, mask: u32, value: u32) -> u32;
    /// BLKPG: the checks of mtdpart.c; `parent` is a master.
    fn add_partition(&self, parent: u32, name: &[u8], start: i64, length: i64)
    -> Result<(), Errno>;
    /// BLKPG: removes the child `index` of `parent`; EBUSY while somebody has it open.
    fn delete_partition(&self, parent: u32, index: i32) -> Result<(), Errno>;
}

/// One call in progress: a device, its chip and the open file it came through.
pub struct Session<'a> {
    pub device: Device<'a>,
    pub chip: Chip<'a>,
    pub registry: &'a dyn Registry,
    pub file: &'a mut OpenFile,
}

/// The errno of a refusal by the chip.
pub(crate) fn errno_of(error: FlashError) -> Errno {
    match error {
        FlashError::Invalid => Errno::EINVAL,
        FlashError::Io | FlashError::Store => Errno::EIO,
        FlashError::ReadOnly => Errno::EROFS,
        FlashError::NotSupported => Errno::EOPNOTSUPP,
        FlashError::NotSupportedInternal => Errno::ENOTSUPP,
        FlashError::NotWholeRegion => Errno::EXDEV,
        FlashError::NoSpace => Errno::ENOSPC,
        FlashError::Fault => Errno::EFAULT,
    }
}
