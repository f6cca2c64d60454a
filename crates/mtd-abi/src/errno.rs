//! Error numbers as a 32-bit ARM guest sees them (asm-generic). A transparent number: unknown values must not be a trap.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident = $number:expr,)*) => {
        impl Errno {
            $(pub const $name: Errno = Errno($number);)*

            /// The symbolic name, for traces and configurations; one copy of this table is enough.
            #[inline(never)]
            pub fn name(self) -> Option<&'static str> {
                const NUMBERS: &[u16] = &[$($number),*];
                const NAMES: &str = concat!($(stringify!($name), " "),*);
                let index = NUMBERS.iter().position(|&number| i32::from(number) == self.0)?;
                crate::nth_word(NAMES, index)
            }
        }
    };
}

errnos! {
    EPERM = 1,
    ENOENT = 2,
    ESRCH = 3,
    EINTR = 4,
    EIO = 5,
    ENXIO = 6,
    E2BIG = 7,
    ENOEXEC = 8,
    EBADF = 9,
    EAGAIN = 11,
    ENOMEM = 12,
    EACCES = 13,
    EFAULT = 14,
    ENOTBLK = 15,
    EBUSY = 16,
    EEXIST = 17,
    EXDEV = 18,
    ENODEV = 19,
    ENOTDIR = 20,
    EISDIR = 21,
    EINVAL = 22,
    ENFILE = 23,
    EMFILE = 24,
    ENOTTY = 25,
    EFBIG = 27,
    ENOSPC = 28,
    ESPIPE = 29,
    EROFS = 30,
    EPIPE = 32,
    ERANGE = 34,
    ENAMETOOLONG = 36,
    ENOSYS = 38,
    ELOOP = 40,
    ENODATA = 61,
    ETIME = 62,
    EPROTO = 71,
    EOVERFLOW = 75,
    EBADMSG = 74,
    EOPNOTSUPP = 95,
    ETIMEDOUT = 110,
    EINPROGRESS = 115,
    EUCLEAN = 117,
    EREMOTEIO = 121,
    // Kernel-internal, but a few MTD paths let it out.
    ENOTSUPP = 524,
}
