//! The files of a board: configuration, compiled board with the live device table, images and side files of chips,
//! and the lock between processes.
//!
//! ```text
//! Board::open(os, dir_or_conf)          -> Result<Board, Problem>    compiles the text when it changed
//! Board::open_default(os, dir)          -> Result<Board, Problem>    makes a sample configuration when there is none
//! board.chip(index)                     -> Option<ChipConfig>
//! board.devices() / board.device(index) -> DeviceView
//! board.stats(index)                    -> Option<DeviceStats>       live atomics
//! board.add_partition / delete_partition                             BLKPG
//! ChipFiles::open(os, &board, index, keep) -> Result<(), Problem>   hands the ChipFiles to `keep`
//! files.ledger_words(), files.lock(), files.image_fd, files.oob_fd, files.side_fd, files.otp_user_offset ...
//! files.record_stamp(os)                                             when the process ends or closes its last device
//! SharedLock::acquire(os) / release(os) / begin_read() / must_retry(sequence)
//! Problem: Display, one line; report(os)
//! ```
//!
//! Used inside a guest (32 bits, no allocator, no standard I/O, never a panic) and by the host tool. All system calls
//! go through the trait [`os::Os`], except the mapping of memory, which memmap2 and [`memory`] do.
//!
//! Must not know: what an ioctl is, what a guest is.

pub mod board;
pub mod chip_files;
pub mod conf;
pub mod geometry_words;
#[cfg(any(test, feature = "host"))]
pub mod host_os;
pub mod lock;
pub mod make_lock;
pub mod mapping;
pub mod memory;
pub mod os;
pub mod presets;
pub mod problem;
mod sample;
pub mod stamp;
#[cfg(test)]
mod testing;
pub mod text;

pub use board::{Board, ChipConfig, DeviceStats, DeviceView, PartitionError};
pub use chip_files::ChipFiles;
pub use lock::{Acquired, LockError, LockState, SharedLock};
pub use os::{FileKind, FileStatus, OpenMode, Os};
pub use problem::Problem;
pub use text::{PathText, Text};
