//! Where a device hangs in the tree of devices, as the configuration says it: lines of a uevent have blanks between them.
//!
//! Must not know: how sysfs shows it.

use super::chip::FILE_NAME_BYTES;
use crate::text::Text;

/// Added to the summary of the rules where a chip has a place.
pub const HARDWARE: u32 = 1 << 30;

pub type Place = Text<FILE_NAME_BYTES>;

#[derive(Clone, Copy, Debug, Default)]
pub struct Hardware {
    /// The directory of the device that the chip hangs on; empty for none.
    pub parent: Place,
    /// What is in its `uevent`.
    pub parent_uevent: Place,
    /// What the device's own `uevent` says of its node in the device tree.
    pub uevent: Place,
}
