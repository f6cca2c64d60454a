//! The structures that stat and its kin fill, and how a device node or a file of /proc and /sys is put into one.
//!
//! Layouts: `struct stat` and `struct stat64` of glibc, musl and uClibc on 32-bit ARM share all offsets up to st_rdev but the inode;
//! where that lies and where the size begins differs.

use crate::libc_kind;
use crate::stand_in::{self, StandIn};
use libc::c_void;

/// Where a structure keeps its size.
#[derive(Clone, Copy)]
pub enum Shape {
    /// glibc's and uClibc's `struct stat`; musl's is as `Stat64`.
    Plain,
    Stat64,
    /// glibc's `struct stat` for 64-bit time.
    Time64,
}

struct Layout {
    inode: usize,
    size: usize,
    wide: bool,
    block_size: usize,
    blocks: usize,
}

impl Shape {
    fn layout(self) -> Layout {
        match self {
            Shape::Plain if !libc_kind::wide_offsets() => Layout {
                inode: SHORT_INODE,
                size: 44,
                wide: false,
                block_size: 48,
                blocks: 52,
            },
            Shape::Plain | Shape::Stat64 => Layout {
                inode: 96,
                size: 48,
                wide: true,
                block_size: 56,
                blocks: 64,
            },
            Shape::Time64 => Layout {
                inode: 8,
                size: 40,
                wide: true,
                block_size: 48,
                blocks: 56,
            },
        }
    }
}

/// In front in all shapes; where the whole one has its place behind, too.
const SHORT_INODE: usize = 12;
const MODE: usize = 16;
pub const LINKS: usize = 20;
const USER: usize = 24;
const GROUP: usize = 28;
pub const DEVICE: usize = 32;

/// # Safety
/// So many bytes behind `buffer` there is room for the value.
#[inline(always)]
unsafe fn put<T>(buffer: *mut c_void, offset: usize, value: T) {
    // SAFETY: promised by the caller.
    unsafe {
        buffer
            .cast::<u8>()
            .add(offset)
            .cast::<T>()
            .write_unaligned(value)
    };
}

/// # Safety
/// `buffer` was filled by a successful stat of this shape.
pub unsafe fn patch(buffer: *mut c_void, shape: Shape, stand_in: &StandIn) {
    let layout = shape.layout();
    // SAFETY: the offset lies inside the structure, which the real call has just written.
    let put = |offset, value: u32| unsafe { put(buffer, offset, value) };
    put(MODE, stand_in.mode);
    put(LINKS, 1);
    put(USER, 0);
    put(GROUP, 0);
    put(DEVICE, stand_in.device_number());
    put(DEVICE + 4, 0);
    put(layout.size, stand_in.size);
    put(layout.block_size, stand_in::BLOCK_SIZE);
    put(layout.blocks, stand_in.blocks());
    if layout.wide {
        put(layout.size + 4, 0);
        put(layout.blocks + 4, 0);
    }
    if stand_in.inode != 0 {
        put(0, stand_in::FILE_SYSTEM);
        put(4, 0);
        put(SHORT_INODE, stand_in.inode);
        put(layout.inode, stand_in.inode);
        if layout.wide {
            put(layout.inode + 4, 0);
        }
    }
}

/// Offsets of `struct statx`, the same everywhere.
mod statx_field {
    pub const BLOCK_SIZE: usize = 4;
    pub const LINKS: usize = 16;
    pub const USER: usize = 20;
    pub const GROUP: usize = 24;
    /// 16 bits.
    pub const MODE: usize = 28;
    pub const INODE: usize = 32;
    pub const SIZE: usize = 40;
    pub const BLOCKS: usize = 48;
    pub const DEVICE_MAJOR: usize = 128;
    pub const DEVICE_MINOR: usize = 132;
    /// Of the file system.
    pub const MAJOR: usize = 136;
    pub const MINOR: usize = 140;
}

/// # Safety
/// `buffer` was filled by a successful statx.
pub unsafe fn patch_statx(buffer: *mut c_void, stand_in: &StandIn) {
    use statx_field::*;
    // SAFETY: the offset lies inside the structure, which the real call has just written.
    let put = |offset, value: u32| unsafe { put(buffer, offset, value) };
    put(BLOCK_SIZE, stand_in::BLOCK_SIZE);
    put(LINKS, 1);
    put(USER, 0);
    put(GROUP, 0);
    // SAFETY: as above.
    unsafe { self::put(buffer, MODE, stand_in.mode as u16) };
    put(SIZE, stand_in.size);
    put(SIZE + 4, 0);
    put(BLOCKS, stand_in.blocks());
    put(BLOCKS + 4, 0);
    put(DEVICE_MAJOR, stand_in.major);
    put(DEVICE_MINOR, stand_in.minor);
    if stand_in.inode != 0 {
        put(INODE, stand_in.inode);
        put(INODE + 4, 0);
        put(MAJOR, 0);
        put(MINOR, stand_in::FILE_SYSTEM);
    }
}
