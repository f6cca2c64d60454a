//! The flash chip, pure: what NOR, NAND and RAM do to bytes, and what they refuse.
//!
//! Must not know: libc, errno, files, pointers, partitions, processes, who calls.
//! Source: the drivers below the MTD core of Linux 6.1 (`nand_base.c`, `spi-nor/core.c`, `mtdram.c`), as recorded
//! from real kernels under `tests/recordings`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
#[macro_use]
extern crate std;

mod chip;
mod clean;
mod ecc;
mod erase;
pub mod geometry;
mod layout;
pub mod ledger;
mod lock;
pub mod medium;
mod nand;
mod otp;
mod plain;
mod replace;
mod straight;

#[cfg(test)]
mod replay;
#[cfg(test)]
mod testing;

pub use chip::{Chip, OpMode, Outcome, ReadOps, SCRATCH_SIZE, Scratch, WriteOps};
pub use ecc::{Code, HammingCodes, hamming_codes};
pub use geometry::{
    Block, BlockProtect, CommandSet, Ecc, EraseAlignment, EraseRegion, Geometry, Kind, LockScheme,
    MarkPages, OtpArea,
};
pub use layout::OobLayout;
pub use ledger::{BlockFlags, Known, Ledger, LedgerDamage};
pub use medium::{
    Area, GuestFault, GuestMemory, Medium, MediumError, Sink, Source, Store, and_into,
};
pub use otp::OtpRegion;
pub use straight::Straight;

/// What a chip answers when it does not do what was asked. The kernel's errno for each is in `chardev`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlashError {
    /// Alignment, range or argument (EINVAL).
    Invalid,
    /// The operation failed in the chip: bad block, write protect (EIO).
    Io,
    /// Locked or read-only (EROFS).
    ReadOnly,
    /// No such method (EOPNOTSUPP).
    NotSupported,
    /// The kernel-internal ENOTSUPP (524) that a few drivers leak.
    NotSupportedInternal,
    /// Only a whole OTP region can be locked (EXDEV).
    NotWholeRegion,
    /// The area is full (ENOSPC).
    NoSpace,
    /// A guest address could not be accessed (EFAULT).
    Fault,
    /// The files below failed; the user has been told (EIO).
    Store,
}
