//! Structures that travel through ioctl pointers, 32-bit EABI (u64 members are aligned to 8).
//!
//! Each is a plain Rust struct with its size, its field offsets and both directions of encoding; sizes and offsets are
//! checked at compile time against those a C compiler gives for `mtd-abi.h`.

/// Fixed-width integers in guest byte order.
pub trait Field: Copy {
    const SIZE: usize;
    fn get(bytes: &[u8], offset: usize) -> Self;
    fn put(self, bytes: &mut [u8], offset: usize);
}

macro_rules! fields {
    ($($t:ty),*) => {$(
        impl Field for $t {
            const SIZE: usize = size_of::<$t>();
            fn get(bytes: &[u8], offset: usize) -> Self {
                let mut raw = [0; size_of::<$t>()];
                if let Some(from) = bytes.get(offset..offset + Self::SIZE) {
                    raw.copy_from_slice(from);
                }
                <$t>::from_le_bytes(raw)
            }
            fn put(self, bytes: &mut [u8], offset: usize) {
                if let Some(to) = bytes.get_mut(offset..offset + Self::SIZE) {
                    to.copy_from_slice(&self.to_le_bytes());
                }
            }
        }
    )*};
}
fields!(u8, u16, u32, i32, u64, i64);

macro_rules! layouts {
    ($($(#[$doc:meta])* $name:ident[$size:expr] { $($field:ident: $t:ty = $offset:expr,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
        pub struct $name { $(pub $field: $t,)* }

        impl $name {
            pub const SIZE: usize = $size;
            pub fn decode(bytes: &[u8; $size]) -> Self {
                Self { $($field: <$t as Field>::get(bytes, $offset),)* }
            }
            /// Bytes that belong to no field are zero.
            pub fn encode(&self) -> [u8; $size] {
                let mut bytes = [0; $size];
                $(self.$field.put(&mut bytes, $offset);)*
                bytes
            }
        }
        const _: () = {
            let mut end = 0;
            $(
                assert!($offset >= end && ($offset as usize).is_multiple_of(<$t as Field>::SIZE));
                end = $offset + <$t as Field>::SIZE;
            )*
            assert!(end <= $size);
        };
    )*};
}

layouts! {
    MtdInfoUser[32] { kind: u8 = 0, flags: u32 = 4, size: u32 = 8, erasesize: u32 = 12, writesize: u32 = 16, oobsize: u32 = 20, }
    EraseInfoUser[8] { start: u32 = 0, length: u32 = 4, }
    EraseInfoUser64[16] { start: u64 = 0, length: u64 = 8, }
    /// Holds a pointer: 16 bytes on 64-bit.
    MtdOobBuf[12] { start: u32 = 0, length: u32 = 4, address: u32 = 8, }
    MtdOobBuf64[24] { start: u64 = 0, pad: u32 = 8, length: u32 = 12, address: u64 = 16, }
    RegionInfoUser[16] { offset: u32 = 0, erasesize: u32 = 4, numblocks: u32 = 8, regionindex: u32 = 12, }
    OtpInfo[12] { start: u32 = 0, length: u32 = 4, locked: u32 = 8, }
    MtdEccStats[16] { corrected: u32 = 0, failed: u32 = 4, badblocks: u32 = 8, bbtblocks: u32 = 12, }
    MtdWriteReq[48] { start: u64 = 0, len: u64 = 8, ooblen: u64 = 16, usr_data: u64 = 24, usr_oob: u64 = 32, mode: u8 = 40, }
    MtdReadReq[64] {
        start: u64 = 0, len: u64 = 8, ooblen: u64 = 16, usr_data: u64 = 24, usr_oob: u64 = 32, mode: u8 = 40,
        uncorrectable_errors: u32 = 48, corrected_bitflips: u32 = 52, max_bitflips: u32 = 56,
    }
    /// Holds a pointer: 24 bytes on 64-bit.
    BlkpgIoctlArg[16] { op: i32 = 0, flags: i32 = 4, datalen: i32 = 8, data: u32 = 12, }
    /// The names follow: devname at 20, volname at 84, 64 bytes each.
    BlkpgPartition[152] { start: i64 = 0, length: i64 = 8, pno: i32 = 16, }
}

pub const BLKPG_DEVNAME_OFFSET: usize = 20;
pub const BLKPG_NAME_SIZE: usize = 64;

/// `nand_oobinfo`: useecc, eccbytes, oobfree[8][2], eccpos[32].
pub mod nand_oobinfo {
    pub const SIZE: usize = 200;
    pub const USEECC: usize = 0;
    pub const ECCBYTES: usize = 4;
    pub const OOBFREE: usize = 8;
    pub const OOBFREE_COUNT: usize = 8;
    pub const ECCPOS: usize = 72;
    pub const ECCPOS_COUNT: usize = 32;
}

/// `nand_ecclayout_user`: eccbytes, eccpos[64], oobavail, oobfree[8].
pub mod nand_ecclayout {
    pub const SIZE: usize = 328;
    pub const ECCBYTES: usize = 0;
    pub const ECCPOS: usize = 4;
    pub const ECCPOS_COUNT: usize = 64;
    pub const OOBAVAIL: usize = 260;
    pub const OOBFREE: usize = 264;
    pub const OOBFREE_COUNT: usize = 8;
}
