//! Where bytes are and how they move: the four operations below the chip, and the guest's memory.
//!
//! Must not know: files, pointers, flash rules.

use core::ops::Range;

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
    Guest { address: usize, length: usize },
}

/// Where bytes to be stored come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    Bytes(&'a [u8]),
    Guest { address: usize, length: usize },
}

/// The byte range `[offset, offset + length)`, when it ends within `total`.
fn range(offset: usize, length: usize, total: usize) -> Option<core::ops::Range<usize>> {
    let end = offset.checked_add(length)?;
    (end <= total).then_some(offset..end)
}

impl Sink<'_> {
    pub fn length(&self) -> u64 {
        match self {
            Sink::Bytes(bytes) => bytes.len() as u64,
            Sink::Guest { length, .. } => *length as u64,
        }
    }

    /// A piece of the sink; nothing when it reaches past the end.
    pub fn part(&mut self, offset: usize, length: usize) -> Option<Sink<'_>> {
        match self {
            Sink::Bytes(bytes) => {
                let range = range(offset, length, bytes.len())?;
                bytes.get_mut(range).map(Sink::Bytes)
            }
            Sink::Guest {
                address,
                length: total,
            } => range(offset, length, *total).map(|range| Sink::Guest {
                address: address.wrapping_add(range.start),
                length,
            }),
        }
    }
}

impl<'a> Source<'a> {
    pub fn length(&self) -> u64 {
        match self {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Guest { length, .. } => *length as u64,
        }
    }

    /// Where this begins and how long it is with so many bytes of another one, if they lie behind it in the guest's memory.
    pub(crate) fn with_behind(&self, other: &Source<'_>, count: usize) -> Option<(usize, usize)> {
        match (self, other) {
            (
                Source::Guest { address, length },
                Source::Guest {
                    address: behind, ..
                },
            ) if address.wrapping_add(*length) == *behind => {
                Some((*address, length.saturating_add(count)))
            }
            _ => None,
        }
    }

    /// A piece of the source; nothing when it reaches past the end.
    pub fn part(&self, offset: usize, length: usize) -> Option<Source<'a>> {
        match self {
            Source::Bytes(bytes) => {
                let range = range(offset, length, bytes.len())?;
                bytes.get(range).map(Source::Bytes)
            }
            Source::Guest {
                address,
                length: total,
            } => range(offset, length, *total).map(|range| Source::Guest {
                address: address.wrapping_add(range.start),
                length,
            }),
        }
    }
}

/// The four operations, and one on memory. A transfer is whole or an error; `offset` and length lie inside the area.
///
/// And the second view that a write-back cache needs: the medium always holds what its owner has written, while everybody else
/// works on a copy of what was there before, until the owner ends that. Of a medium with one user nothing need be kept.
pub trait Medium {
    fn read(&mut self, area: Area, offset: u64, to: Sink<'_>) -> Result<(), MediumError>;
    /// Replaces bytes: no flash rule is applied here.
    fn write(&mut self, area: Area, offset: u64, from: Source<'_>) -> Result<(), MediumError>;
    /// Sets `length` bytes to 0xFF.
    fn erase(&mut self, area: Area, offset: u64, length: u64) -> Result<(), MediumError>;
    fn sync(&mut self) -> Result<(), MediumError>;
    /// `and_into`, for who can do it faster than on every processor.
    fn and(&self, new: &mut [u8], old: &[u8]) {
        and_into(new, old);
    }

    /// The range of the main area that is the caller's own; empty when there is none.
    fn kept(&self) -> Range<u64> {
        0..0
    }
    /// From now on this range, and the spare area of its pages, is the caller's own. Stays undone where nothing can be kept.
    fn keep(&mut self, _range: Range<u64>) {}
    /// Everybody sees the same again: what the caller made of it or, with `undo`, what the others did.
    fn end_keep(&mut self, _undo: bool) -> Result<(), MediumError> {
        Ok(())
    }
}

/// Programming: a bit once cleared stays cleared. Small rather than fast.
pub fn and_into(new: &mut [u8], old: &[u8]) {
    for (new, old) in new.iter_mut().zip(old) {
        *new &= old;
    }
}

/// The guest's memory: fallible copies, never a pointer.
pub trait GuestMemory {
    fn copy_in(&mut self, address: usize, to: &mut [u8]) -> Result<(), GuestFault>;
    fn copy_out(&mut self, address: usize, from: &[u8]) -> Result<(), GuestFault>;
    /// Whether a whole range can be read, asked before something is changed that a late fault would leave half done.
    fn check_readable(&mut self, address: usize, length: usize) -> Result<(), GuestFault>;
}

/// All that a chip works on. An object, so that there is one copy of the model in a program.
pub trait Store: Medium + GuestMemory {}
impl<T: Medium + GuestMemory> Store for T {}
