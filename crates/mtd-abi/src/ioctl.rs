//! ioctl commands as 32-bit ARM encodes them. Match the full 32 bits: five of the direction fields are wrong in the
//! kernel's own headers, so nothing may be derived from them.

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $number:expr,)*) => {
        $($(#[$doc])* pub const $name: u32 = $number;)*

        /// The symbolic name, for traces.
        pub fn name(command: u32) -> Option<&'static str> {
            const NUMBERS: &[u32] = &[$($number),*];
            const NAMES: &str = concat!($(stringify!($name), " "),*);
            let index = NUMBERS.iter().position(|&number| number == command)?;
            crate::nth_word(NAMES, index)
        }
    };
}

commands! {
    MEMGETINFO = 0x8020_4d01,
    MEMERASE = 0x4008_4d02,
    /// Holds a pointer: 0xc0104d03 on 64-bit.
    MEMWRITEOOB = 0xc00c_4d03,
    /// Holds a pointer: 0xc0104d04 on 64-bit.
    MEMREADOOB = 0xc00c_4d04,
    MEMLOCK = 0x4008_4d05,
    MEMUNLOCK = 0x4008_4d06,
    MEMGETREGIONCOUNT = 0x8004_4d07,
    MEMGETREGIONINFO = 0xc010_4d08,
    MEMGETOOBSEL = 0x80c8_4d0a,
    MEMGETBADBLOCK = 0x4008_4d0b,
    MEMSETBADBLOCK = 0x4008_4d0c,
    OTPSELECT = 0x8004_4d0d,
    OTPGETREGIONCOUNT = 0x4004_4d0e,
    OTPGETREGIONINFO = 0x400c_4d0f,
    OTPLOCK = 0x800c_4d10,
    ECCGETLAYOUT = 0x8148_4d11,
    ECCGETSTATS = 0x8010_4d12,
    MTDFILEMODE = 0x0000_4d13,
    MEMERASE64 = 0x4010_4d14,
    MEMWRITEOOB64 = 0xc018_4d15,
    MEMREADOOB64 = 0xc018_4d16,
    MEMISLOCKED = 0x8008_4d17,
    MEMWRITE = 0xc030_4d18,
    OTPERASE = 0x400c_4d19,
    MEMREAD = 0xc040_4d1a,

    BLKPG = 0x1269,
    BLKROSET = 0x125d,
    BLKROGET = 0x125e,
    BLKRRPART = 0x125f,
    BLKGETSIZE = 0x1260,
    BLKFLSBUF = 0x1261,
    BLKRASET = 0x1262,
    BLKRAGET = 0x1263,
    BLKFRASET = 0x1264,
    BLKFRAGET = 0x1265,
    BLKSECTGET = 0x1267,
    BLKSSZGET = 0x1268,
    BLKDISCARD = 0x1277,
    BLKIOMIN = 0x1278,
    BLKIOOPT = 0x1279,
    BLKALIGNOFF = 0x127a,
    BLKPBSZGET = 0x127b,
    BLKDISCARDZEROES = 0x127c,
    BLKSECDISCARD = 0x127d,
    BLKROTATIONAL = 0x127e,
    BLKZEROOUT = 0x127f,
    BLKGETDISKSEQ = 0x8008_1280,
    BLKBSZGET = 0x8004_1270,
    BLKBSZSET = 0x4004_1271,
    /// The size field says 4 although a u64 is stored; 0x80081272 on 64-bit.
    BLKGETSIZE64 = 0x8004_1272,
    HDIO_GETGEO = 0x0301,
    CDROM_GET_CAPABILITY = 0x5331,

    TCGETS = 0x5401,
    FIONREAD = 0x541b,
    FIONBIO = 0x5421,
    FIONCLEX = 0x5450,
    FIOCLEX = 0x5451,
    FIOASYNC = 0x5452,
    FIOQSIZE = 0x5460,
    FIGETBSZ = 0x2,
    FIBMAP = 0x1,
    FS_IOC_GETFLAGS = 0x8004_6601,
}
