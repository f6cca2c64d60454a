//! The numbers and layouts of the Linux MTD user-space interface. No logic beyond encoding.
//!
//! Sources: `include/uapi/mtd/mtd-abi.h`, `include/uapi/linux/{blkpg,fs,hdreg,major}.h`, `asm-generic/errno*.h`.
//! The 32-bit little-endian guest is the instance that exists; what depends on pointer width is marked.
#![no_std]
#![forbid(unsafe_code)]

pub mod errno;
pub mod ioctl;
pub mod layout;

/// Names lie in one text, each with a blank behind it: a table of slices would be twice as large, and relocated.
fn nth_word(list: &'static str, mut index: usize) -> Option<&'static str> {
    let mut start = 0;
    for (at, byte) in list.bytes().enumerate() {
        if byte == b' ' {
            if index == 0 {
                return list.get(start..at);
            }
            index -= 1;
            start = at + 1;
        }
    }
    None
}

/// Character device major of /dev/mtdN and /dev/mtdNro.
pub const MTD_CHAR_MAJOR: u32 = 90;
/// Block device major of /dev/mtdblockN.
pub const MTD_BLOCK_MAJOR: u32 = 31;

/// `type` of `mtd_info_user`.
pub mod kind {
    pub const ABSENT: u8 = 0;
    pub const RAM: u8 = 1;
    pub const ROM: u8 = 2;
    pub const NORFLASH: u8 = 3;
    pub const NANDFLASH: u8 = 4;
    pub const DATAFLASH: u8 = 6;
    pub const UBIVOLUME: u8 = 7;
    pub const MLCNANDFLASH: u8 = 8;
}

/// `flags` of `mtd_info_user`.
pub mod flag {
    pub const WRITEABLE: u32 = 0x400;
    pub const BIT_WRITEABLE: u32 = 0x800;
    pub const NO_ERASE: u32 = 0x1000;
    pub const POWERUP_LOCK: u32 = 0x2000;
    pub const SLC_ON_MLC_EMULATION: u32 = 0x4000;

    pub const CAP_ROM: u32 = 0;
    pub const CAP_RAM: u32 = WRITEABLE | BIT_WRITEABLE | NO_ERASE;
    pub const CAP_NORFLASH: u32 = WRITEABLE | BIT_WRITEABLE;
    pub const CAP_NANDFLASH: u32 = WRITEABLE;
}

/// Modes of an open file (`MTDFILEMODE`).
pub mod file_mode {
    pub const NORMAL: u32 = 0;
    pub const OTP_FACTORY: u32 = 1;
    pub const OTP_USER: u32 = 2;
    pub const RAW: u32 = 3;
}

/// Selectors of `OTPSELECT`.
pub mod otp {
    pub const OFF: i32 = 0;
    pub const FACTORY: i32 = 1;
    pub const USER: i32 = 2;
}

/// Modes of one OOB operation (`MEMWRITE`, `MEMREAD`).
pub mod ops {
    pub const PLACE_OOB: u8 = 0;
    pub const AUTO_OOB: u8 = 1;
    pub const RAW: u8 = 2;
}

/// `useecc` that MEMGETOOBSEL reports.
pub const MTD_NANDECC_AUTOPLACE: u32 = 2;
/// Longest transfer of one MEMREADOOB or MEMWRITEOOB.
pub const OOB_TRANSFER_MAX: u32 = 4096;
/// The char device moves data in pieces of at most this size (`KMALLOC_MAX_SIZE`).
pub const TRANSFER_CHUNK_MAX: u64 = 4 << 20;
/// Largest buffer of OTP region records.
pub const OTP_INFO_BYTES_MAX: usize = 4096;

/// Operations of `BLKPG`.
pub mod blkpg {
    pub const ADD_PARTITION: i32 = 1;
    pub const DEL_PARTITION: i32 = 2;
    /// `start` values with a meaning of their own in mtdpart.c.
    pub const OFFSET_APPEND: i64 = -1;
    pub const OFFSET_NEXT_BLOCK: i64 = -2;
}

pub mod whence {
    pub const SET: u32 = 0;
    pub const CUR: u32 = 1;
    pub const END: u32 = 2;
    pub const DATA: u32 = 3;
    pub const HOLE: u32 = 4;
}
