//! One-time-programmable areas: regions of equal length, locked for ever one by one.
//!
//! Source: the OTP methods behind `mtdchar.c`, recorded from spi-nor, both CFI drivers and one with three user regions.

use crate::chip::{Buffers, Chip, DATA_CHUNK, buffers, fetch, front};
use crate::{Area, CommandSet, FlashError, OtpArea, Sink, Source};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OtpRegion {
    pub start: u32,
    pub length: u32,
    pub locked: bool,
}

impl Chip<'_> {
    fn otp_geometry(&self, area: Area) -> Result<OtpArea, FlashError> {
        let area = match area {
            Area::OtpUser => self.geometry.otp_user,
            Area::OtpFactory => self.geometry.otp_factory,
            Area::Main | Area::Oob => return Err(FlashError::Invalid),
        };
        if area.length() == 0 && !self.geometry.has_otp_methods(area) {
            Err(FlashError::NotSupported)
        } else {
            Ok(area)
        }
    }

    /// A region by number; none past the last one. A factory area counts as locked.
    pub fn otp_region(&self, area: Area, index: u32) -> Option<OtpRegion> {
        let regions = self.otp_geometry(area).ok()?;
        if index >= regions.region_count {
            return None;
        }
        let start = index.checked_mul(regions.region_length)?;
        // A region whose record is damaged cannot be programmed, so it is shown as locked.
        let locked = area == Area::OtpFactory || self.ledger.otp_locked(index).unwrap_or(true);
        Some(OtpRegion {
            start,
            length: regions.region_length,
            locked,
        })
    }

    /// Reads as far as the area reaches.
    pub fn otp_read(&mut self, area: Area, from: u64, mut to: Sink<'_>) -> Result<u64, FlashError> {
        let regions = self.otp_geometry(area)?;
        let count = regions.length().saturating_sub(from).min(to.length());
        if count > 0 {
            let part = to.part(0, count as usize).ok_or(FlashError::Invalid)?;
            self.medium.read(area, from, part)?;
        }
        Ok(count)
    }

    /// Programs (AND) as far as the area reaches.
    pub fn otp_write(&mut self, from: u64, source: Source<'_>) -> Result<u64, FlashError> {
        let regions = self.otp_geometry(Area::OtpUser)?;
        if source.length() == 0 {
            return Ok(0);
        }
        let count = regions.length().saturating_sub(from).min(source.length());
        if count == 0 {
            return Err(FlashError::NoSpace);
        }
        self.check_otp_open(regions, from, count)?;
        if count > DATA_CHUNK as u64 {
            self.check_source(&source)?;
        }
        let mut done = 0;
        while done < count {
            let piece = (count - done).min(DATA_CHUNK as u64);
            let Buffers { data, old, .. } = buffers(self.scratch)?;
            let (data, old) = (front(data, piece as usize)?, front(old, piece as usize)?);
            fetch(self.medium, &source, done, data)?;
            let at = from.saturating_add(done);
            self.medium.read(Area::OtpUser, at, Sink::Bytes(old))?;
            self.medium.and(data, old);
            self.medium.write(Area::OtpUser, at, Source::Bytes(data))?;
            done += piece;
        }
        Ok(count)
    }

    pub fn otp_lock(&mut self, from: u64, length: u64) -> Result<(), FlashError> {
        if self.geometry.command_set != CommandSet::Other {
            return self.otp_lock_walk(from, length);
        }
        for region in self.otp_whole_regions(from, length)? {
            self.ledger.lock_otp(region)?;
        }
        Ok(())
    }

    /// The CFI drivers take what fits of the range into each region; only a whole region can be locked. What lies
    /// behind the last region is nobody's.
    fn otp_lock_walk(&mut self, from: u64, length: u64) -> Result<(), FlashError> {
        let regions = self.otp_geometry(Area::OtpUser)?;
        let size = u64::from(regions.region_length);
        let (mut from, mut left) = (from, length);
        for region in 0..regions.region_count {
            if from >= size {
                from -= size;
                continue;
            }
            if left == 0 {
                break;
            }
            if from > 0 || left < size {
                return Err(FlashError::NotWholeRegion);
            }
            self.ledger.lock_otp(region)?;
            left -= size;
        }
        Ok(())
    }

    pub fn otp_erase(&mut self, from: u64, length: u64) -> Result<(), FlashError> {
        if !self.geometry.otp_erasable {
            return Err(FlashError::NotSupported);
        }
        let regions = self.otp_geometry(Area::OtpUser)?;
        self.otp_whole_regions(from, length)?;
        self.check_otp_open(regions, from, length)?;
        if length > 0 {
            self.medium.erase(Area::OtpUser, from, length)?;
        }
        Ok(())
    }

    /// The numbers of the regions that make up exactly this range.
    fn otp_whole_regions(
        &self,
        from: u64,
        length: u64,
    ) -> Result<core::ops::Range<u32>, FlashError> {
        let regions = self.otp_geometry(Area::OtpUser)?;
        let size = u64::from(regions.region_length);
        let end = from.checked_add(length).ok_or(FlashError::Invalid)?;
        if end > regions.length() || !from.is_multiple_of(size) || !length.is_multiple_of(size) {
            return Err(FlashError::Invalid);
        }
        let number = |at: u64| at.checked_div(size).unwrap_or(0) as u32;
        Ok(number(from)..number(end))
    }

    fn check_otp_open(&self, regions: OtpArea, from: u64, length: u64) -> Result<(), FlashError> {
        let size = u64::from(regions.region_length).max(1);
        let end = from
            .saturating_add(length)
            .div_ceil(size)
            .min(u64::from(regions.region_count));
        for region in from / size..end {
            if self.ledger.otp_locked(region as u32)? {
                return Err(FlashError::ReadOnly);
            }
        }
        Ok(())
    }
}
