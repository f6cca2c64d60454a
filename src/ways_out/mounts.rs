//! mount and umount of flash: there is no file system driver behind the shim, and it says so.
//!
//! Every other mount is the system's own business.

use crate::paths;
use crate::sys;
use mtd_abi::errno::Errno;

/// What `mount -t jffs2` and its kin take for a source.
fn is_flash(source: &[u8]) -> bool {
    let name = source.strip_prefix(b"/dev/".as_slice()).unwrap_or(source);
    let volume = |rest: &[u8]| {
        rest.first()
            .is_some_and(|byte| byte.is_ascii_digit() || *byte == b':')
    };
    paths::parse_node(name).is_some()
        || name
            .strip_prefix(b"mtd".as_slice())
            .is_some_and(|rest| rest.first() == Some(&b':'))
        || name.strip_prefix(b"ubi".as_slice()).is_some_and(volume)
        || name
            .strip_prefix(b"ubiblock".as_slice())
            .is_some_and(volume)
}

const FLASH_FILE_SYSTEMS: &[u8] = b"jffs2 ubifs yaffs yaffs2";

/// The errno of a kernel that does not have the file system; None for mounts of other things.
pub fn refuse_mount(source: &[u8], target: &[u8], kind: &[u8]) -> Option<Errno> {
    if !is_flash(source) && !paths::is_among(FLASH_FILE_SYSTEMS, kind) {
        return None;
    }
    let kind = if kind.is_empty() {
        b"no type".as_slice()
    } else {
        kind
    };
    sys::report(&[
        b"mount of ",
        source,
        b" (",
        kind,
        b") on ",
        target,
        b": not done, there is no file system driver behind emulated flash; its bytes are in the board's image file",
    ]);
    Some(Errno::ENODEV)
}

/// Nothing of flash is ever mounted, so there is nothing to unmount.
pub fn refuse_umount(target: &[u8]) -> Option<Errno> {
    if !is_flash(target) {
        return None;
    }
    sys::report(&[
        b"umount of ",
        target,
        b": nothing of emulated flash is mounted",
    ]);
    Some(Errno::EINVAL)
}
