//! Where bytes are and how they move: the four operations below the chip, and the guest's memory.
//!
//! Must not know: files, pointers, flash rules.

use crate::FlashError;

/// One of the byte stores of a chip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Area {
    Main,
    /// Spare area, `oobsize` bytes a page, in page order.
    Oob,
    OtpUser,
    OtpFactory,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediumError {
    /// A guest address could not be read or written.
    Guest,
    /// The store failed (full disk, damaged file ...). Who implements the medium has told the user.
    Store,
}

/// A guest address that cannot be accessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GuestFault;

impl From<GuestFault> for MediumError {
    fn from(_: GuestFault) -> Self {
        MediumError::Guest
    }
}

impl From<MediumError> for FlashError {
    fn from(error: MediumError) -> Self {
        match error {
            MediumError::Guest => FlashError::Fault,
            MediumError::Store => FlashError::Store,
        }
    }
}

impl From<GuestFault> for FlashError {
    fn from(_: GuestFault) -> Self {
        FlashError::Fault
    }
}

/// Where read bytes go. A guest address is only a number here.
#[derive(Debug)]
pub enum Sink<'a> {
    Bytes(&'a mut [u8]),
    Guest { address: u64, length: u64 },
}

/// Where bytes to be stored come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    Bytes(&'a [u8]),
    Guest { address: u64, length: u64 },
}

/// The byte range `[offset, offset + length)` as indexes, or nothing when it does not fit this machine.
fn index_range(offset: u64, length: u64) -> Option<core::ops::Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    let count = usize::try_from(length).ok()?;
    Some(start..start.checked_add(count)?)
}

/// The same range of a guest buffer of `total` bytes at `address`.
fn guest_range(address: u64, total: u64, offset: u64, length: u64) -> Option<(u64, u64)> {
    if offset.checked_add(length)? > total {
        return None;
    }
    Some((address.wrapping_add(offset), length))
}

impl Sink<'_> {
    pub fn length(&self) -> u64 {
        match self {
            Sink::Bytes(bytes) => bytes.len() as u64,
            Sink::Guest { length, .. } => *length,
        }
    }

    /// A piece of the sink; nothing when it reaches past the end.
    pub fn part(&mut self, offset: u64, length: u64) -> Option<Sink<'_>> {
        match self {
            Sink::Bytes(bytes) => bytes.get_mut(index_range(offset, length)?).map(Sink::Bytes),
            Sink::Guest {
                address,
                length: total,
            } => {
                let (address, length) = guest_range(*address, *total, offset, length)?;
                Some(Sink::Guest { address, length })
            }
        }
    }
}

impl<'a> Source<'a> {
    pub fn length(&self) -> u64 {
        match self {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Guest { length, .. } => *length,
        }
    }

    /// A piece of the source; nothing when it reaches past the end.
    pub fn part(&self, offset: u64, length: u64) -> Option<Source<'a>> {
        match self {
            Source::Bytes(bytes) => bytes.get(index_range(offset, length)?).map(Source::Bytes),
            Source::Guest {
                address,
                length: total,
            } => {
                let (address, length) = guest_range(*address, *total, offset, length)?;
                Some(Source::Guest { address, length })
            }
        }
    }
}

/// The four operations. A transfer is whole or an error; `offset` and length lie inside the area.
pub trait Medium {
    fn read(&mut self, area: Area, offset: u64, to: Sink<'_>) -> Result<(), MediumError>;
    /// Replaces bytes: no flash rule is applied here.
    fn write(&mut self, area: Area, offset: u64, from: Source<'_>) -> Result<(), MediumError>;
    /// Sets `length` bytes to 0xFF.
    fn erase(&mut self, area: Area, offset: u64, length: u64) -> Result<(), MediumError>;
    fn sync(&mut self) -> Result<(), MediumError>;
}

/// The guest's memory: fallible copies, never a pointer.
pub trait GuestMemory {
    fn copy_in(&mut self, address: u64, to: &mut [u8]) -> Result<(), GuestFault>;
    fn copy_out(&mut self, address: u64, from: &[u8]) -> Result<(), GuestFault>;
    /// Whether a whole range can be read, asked before something is changed that a late fault would leave half done.
    fn check_readable(&mut self, address: u64, length: u64) -> Result<(), GuestFault>;
}

/// All that a chip works on. An object, so that there is one copy of the model in a program.
pub trait Store: Medium + GuestMemory {}
impl<T: Medium + GuestMemory> Store for T {}
