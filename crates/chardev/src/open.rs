//! The checks of `mtdchar_open`, in its order.

use crate::Device;
use mtd_abi::errno::Errno;

/// What access mode an open asked for. The fourth value of `O_ACCMODE` opens everywhere and allows nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Read,
    Write,
    ReadWrite,
    Neither,
}

impl Access {
    pub fn from_flags(flags: u32) -> Access {
        match flags & 3 {
            0 => Access::Read,
            1 => Access::Write,
            2 => Access::ReadWrite,
            _ => Access::Neither,
        }
    }

    pub fn reads(self) -> bool {
        matches!(self, Access::Read | Access::ReadWrite)
    }

    pub fn writes(self) -> bool {
        matches!(self, Access::Write | Access::ReadWrite)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OpenRequest {
    pub access: Access,
    /// The odd minor: /dev/mtdNro.
    pub read_only_node: bool,
}

/// `device` is None where the node exists but the device does not.
pub fn check_open(request: OpenRequest, device: Option<&Device<'_>>) -> Result<(), Errno> {
    if request.access.writes() && request.read_only_node {
        return Err(Errno::EACCES);
    }
    let device = device.ok_or(Errno::ENODEV)?;
    if request.access.writes() && !device.is_writeable() {
        return Err(Errno::EACCES);
    }
    Ok(())
}
