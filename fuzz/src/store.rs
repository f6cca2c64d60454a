//! A chip's bytes and the guest's memory, in memory. Whoever reaches outside has broken the contract of `flash::Medium`.

use flash::{Area, Geometry, GuestFault, GuestMemory, Medium, MediumError, Sink, Source};

/// Where the guest's memory begins, and a hole in the middle of it.
pub const GUEST: usize = 0x10000;
pub const GUEST_BYTES: usize = 0x8000;
const HOLE: core::ops::Range<usize> = GUEST + 0x4000..GUEST + 0x4800;

#[derive(Clone)]
pub struct MemoryStore {
    pub main: Vec<u8>,
    pub oob: Vec<u8>,
    otp_user: Vec<u8>,
    otp_factory: Vec<u8>,
    pub guest: Vec<u8>,
    /// How many more changes succeed; then the disk is full.
    pub changes_left: u32,
}

impl MemoryStore {
    pub fn new(geometry: &Geometry) -> MemoryStore {
        MemoryStore {
            main: vec![0xff; geometry.size as usize],
            oob: vec![0xff; geometry.oob_file_size() as usize],
            otp_user: vec![0xff; geometry.otp_user.length() as usize],
            otp_factory: vec![0xff; geometry.otp_factory.length() as usize],
            guest: vec![0; GUEST_BYTES as usize],
            changes_left: u32::MAX,
        }
    }

    fn area(&mut self, area: Area) -> &mut Vec<u8> {
        match area {
            Area::Main => &mut self.main,
            Area::Oob => &mut self.oob,
            Area::OtpUser => &mut self.otp_user,
            Area::OtpFactory => &mut self.otp_factory,
        }
    }

    /// As many bytes as can be touched from `address` on.
    fn reachable(address: usize, length: usize) -> usize {
        let limit = if !(GUEST..GUEST + GUEST_BYTES).contains(&address) || HOLE.contains(&address) {
            address
        } else if address < HOLE.start {
            HOLE.start
        } else {
            GUEST + GUEST_BYTES
        };
        length.min(limit - address)
    }

    fn guest_slice(&mut self, address: usize, length: usize) -> Result<&mut [u8], GuestFault> {
        if length > 0 && Self::reachable(address, length) < length {
            return Err(GuestFault);
        }
        let start = address.wrapping_sub(GUEST);
        if length == 0 {
            return Ok(&mut []);
        }
        Ok(&mut self.guest[start..start + length])
    }

    fn change(&mut self, area: Area, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
        let Some(left) = self.changes_left.checked_sub(1) else {
            return Err(MediumError::Store);
        };
        self.changes_left = left;
        let target = self.area(area);
        let end = offset as usize + bytes.len();
        assert!(
            end <= target.len(),
            "{area:?} written to {end:#x} of {:#x}",
            target.len()
        );
        target[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }
}

impl Medium for MemoryStore {
    fn read(&mut self, area: Area, offset: u64, to: Sink<'_>) -> Result<(), MediumError> {
        let length = to.length();
        let end = offset + length;
        let size = self.area(area).len() as u64;
        assert!(end <= size, "{area:?} read to {end:#x} of {size:#x}");
        let range = offset as usize..end as usize;
        match to {
            Sink::Bytes(bytes) => bytes.copy_from_slice(&self.area(area)[range]),
            Sink::Guest { address, length } => {
                // As the system does: what can be delivered is, then the fault.
                let reachable = Self::reachable(address, length);
                let bytes = self.area(area)[range][..reachable].to_vec();
                self.copy_out(address, &bytes)?;
                if reachable < length {
                    return Err(MediumError::Guest);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, area: Area, offset: u64, from: Source<'_>) -> Result<(), MediumError> {
        match from {
            Source::Bytes(bytes) => self.change(area, offset, bytes),
            Source::Guest { address, length } => {
                let reachable = Self::reachable(address, length);
                let mut bytes = vec![0; reachable];
                self.copy_in(address, &mut bytes)?;
                self.change(area, offset, &bytes)?;
                if reachable < length {
                    Err(MediumError::Guest)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn erase(&mut self, area: Area, offset: u64, length: u64) -> Result<(), MediumError> {
        let size = self.area(area).len() as u64;
        assert!(
            offset + length <= size,
            "{area:?} erased to {:#x} of {size:#x}",
            offset + length
        );
        self.change(area, offset, &vec![0xff; length as usize])
    }

    fn sync(&mut self) -> Result<(), MediumError> {
        Ok(())
    }
}

impl GuestMemory for MemoryStore {
    fn copy_in(&mut self, address: usize, to: &mut [u8]) -> Result<(), GuestFault> {
        to.copy_from_slice(self.guest_slice(address, to.len())?);
        Ok(())
    }

    fn copy_out(&mut self, address: usize, from: &[u8]) -> Result<(), GuestFault> {
        self.guest_slice(address, from.len())?.copy_from_slice(from);
        Ok(())
    }

    fn check_readable(&mut self, address: usize, length: usize) -> Result<(), GuestFault> {
        self.guest_slice(address, length).map(|_| ())
    }
}
