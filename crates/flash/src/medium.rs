//! Where bytes are and how they move: the four operations below the chip, and the guest's memory.

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

impl Sink<'_> {
    pub fn length(&self) -> u64 {
        match self {
            Sink::Bytes(bytes) => bytes.len() as u64,
            Sink::Guest { length, .. } => *length,
        }
    }
}

impl Source<'_> {
    pub fn length(&self) -> u64 {
        match self {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Guest { length, .. } => *length,
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
