//! /dev/watchdog: accepts keep-alives, never bites, and is never the host's.
//!
//! A memory file known by its name; what the ioctls answer is what the kernel's softdog answers. Sources:
//! `linux/watchdog.h`, Documentation/watchdog/watchdog-api.rst.

use crate::paths::{self, PATH_MAX};
use crate::{sys, world};
use image::os::Os;
use mtd_abi::errno::Errno;

const NAME: &core::ffi::CStr = c"mtdshim-watchdog";
pub const SHOWN_NAME: &[u8] = b"/memfd:mtdshim-watchdog (deleted)";
/// Where the memory file keeps the timeout: behind anything a guest writes.
const TIMEOUT_OFFSET: u64 = 1 << 40;
const TIMEOUT_DEFAULT: u32 = 60;
const TIMEOUT_MAX: u32 = 65535;

const WDIOC_GETSUPPORT: u32 = 0x8028_5700;
const WDIOC_GETSTATUS: u32 = 0x8004_5701;
const WDIOC_GETBOOTSTATUS: u32 = 0x8004_5702;
const WDIOC_SETOPTIONS: u32 = 0x8004_5704;
const WDIOC_KEEPALIVE: u32 = 0x8004_5705;
const WDIOC_SETTIMEOUT: u32 = 0xc004_5706;
const WDIOC_GETTIMEOUT: u32 = 0x8004_5707;
const WDIOC_SETPRETIMEOUT: u32 = 0xc004_5708;
const WDIOC_GETPRETIMEOUT: u32 = 0x8004_5709;
const WDIOC_GETTIMELEFT: u32 = 0x8004_570a;
const IOCTL_TYPE: u32 = b'W' as u32;

/// WDIOF_SETTIMEOUT, WDIOF_KEEPALIVEPING, WDIOF_MAGICCLOSE.
const OPTIONS: u32 = 0x80 | 0x8000 | 0x100;
const WDIOS_DISABLECARD: u32 = 1;
const WDIOS_ENABLECARD: u32 = 2;

/// A watchdog that no rule answers for.
pub fn is_own(path: &[u8]) -> bool {
    is_path(path) && crate::answers::named(path).is_none()
}

fn is_path(path: &[u8]) -> bool {
    let rest = path
        .strip_prefix(b"/dev/misc/watchdog".as_slice())
        .or_else(|| path.strip_prefix(b"/dev/watchdog"));
    rest.is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
}

pub fn open(flags: i32) -> Result<i32, Errno> {
    let fd = sys::memfd(NAME).map_err(Errno)?;
    if flags & libc::O_CLOEXEC == 0 {
        let _ = sys::fcntl(fd, libc::F_SETFD, 0);
    }
    crate::descriptors::enter_foreign(fd);
    Ok(fd)
}

/// Asked when nobody answered an ioctl. None: not a watchdog.
#[cold]
pub fn ioctl(fd: i32, command: u32, argument: usize) -> Option<Result<i32, Errno>> {
    if command >> 8 & 0xff != IOCTL_TYPE {
        return None;
    }
    let mut buffer = [0; PATH_MAX];
    (paths::descriptor_path(fd, &mut buffer)? == SHOWN_NAME)
        .then(|| answer(fd, command, argument).map(|()| 0))
}

fn timeout(fd: i32) -> u32 {
    let mut bytes = [0; 4];
    match sys::Kernel.pread(fd, &mut bytes, TIMEOUT_OFFSET) {
        Ok(4) => u32::from_le_bytes(bytes),
        _ => TIMEOUT_DEFAULT,
    }
}

fn answer(fd: i32, command: u32, argument: usize) -> Result<(), Errno> {
    let give = |value: u32| world::copy_out(argument, &value.to_le_bytes());
    let take = || {
        let mut bytes = [0; 4];
        world::copy_in(argument, &mut bytes).map(|()| u32::from_le_bytes(bytes))
    };
    match command {
        WDIOC_GETSUPPORT => {
            // struct watchdog_info: options, firmware_version, identity[32].
            let mut info = [0; 40];
            let identity = b"Software Watchdog";
            info[..4].copy_from_slice(&OPTIONS.to_le_bytes());
            info[8..8 + identity.len()].copy_from_slice(identity);
            world::copy_out(argument, &info)
        }
        WDIOC_GETSTATUS | WDIOC_GETBOOTSTATUS | WDIOC_GETPRETIMEOUT => give(0),
        WDIOC_SETOPTIONS if take()? & (WDIOS_DISABLECARD | WDIOS_ENABLECARD) == 0 => {
            Err(Errno::EINVAL)
        }
        WDIOC_SETOPTIONS | WDIOC_KEEPALIVE => Ok(()),
        WDIOC_SETTIMEOUT => {
            let seconds = take()?;
            if !(1..=TIMEOUT_MAX).contains(&seconds) {
                return Err(Errno::EINVAL);
            }
            sys::Kernel
                .pwrite(fd, &seconds.to_le_bytes(), TIMEOUT_OFFSET)
                .map_err(Errno)?;
            give(seconds)
        }
        WDIOC_GETTIMEOUT => give(timeout(fd)),
        WDIOC_SETPRETIMEOUT | WDIOC_GETTIMELEFT => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::ENOTTY),
    }
}
