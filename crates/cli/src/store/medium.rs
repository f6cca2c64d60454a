//! The files of a chip as the store that `flash` works on. There is no guest: its addresses are always refused.

use std::ops::Range;

use flash::{Area, Geometry, GuestFault, GuestMemory, Medium, MediumError, Sink, Source};
use image::ChipFiles;
use image::host_os::HostOs;
use image::os::{errno_text, pread_exact, pwrite_all};

use super::settle::Cache;

const ERASE_CHUNK: usize = 1 << 16;

pub struct HostMedium<'a> {
    image_fd: i32,
    oob_fd: i32,
    side_fd: i32,
    otp_user_offset: u64,
    otp_factory_offset: u64,
    /// What failed last, in words.
    pub failure: Option<String>,
    /// What this is done for, if it is to end one.
    cache: Option<Cache<'a>>,
    geometry: Geometry,
}

impl<'a> HostMedium<'a> {
    pub fn of(files: &ChipFiles, cache: Option<Cache<'a>>) -> HostMedium<'a> {
        HostMedium {
            image_fd: files.image_fd,
            oob_fd: files.oob_fd,
            side_fd: files.side_fd,
            otp_user_offset: files.otp_user_offset,
            otp_factory_offset: files.otp_factory_offset,
            failure: None,
            cache,
            geometry: files.geometry,
        }
    }

    fn place(&self, area: Area, offset: u64) -> (i32, u64) {
        match area {
            Area::Main => (self.image_fd, offset),
            Area::Oob => (self.oob_fd, offset),
            Area::OtpUser => (self.side_fd, self.otp_user_offset + offset),
            Area::OtpFactory => (self.side_fd, self.otp_factory_offset + offset),
        }
    }

    fn done(&mut self, result: Result<(), i32>, what: &str) -> Result<(), MediumError> {
        result.map_err(|errno| {
            self.failure = Some(format!(
                "cannot {what} the image: {} (errno {errno})",
                errno_text(errno)
            ));
            MediumError::Store
        })
    }
}

impl Medium for HostMedium<'_> {
    fn read(&mut self, area: Area, offset: u64, to: Sink<'_>) -> Result<(), MediumError> {
        let Sink::Bytes(bytes) = to else {
            return Err(MediumError::Guest);
        };
        let (fd, offset) = self.place(area, offset);
        let result = pread_exact(&HostOs, fd, bytes, offset);
        self.done(result, "read")
    }

    fn write(&mut self, area: Area, offset: u64, from: Source<'_>) -> Result<(), MediumError> {
        let Source::Bytes(bytes) = from else {
            return Err(MediumError::Guest);
        };
        let (fd, offset) = self.place(area, offset);
        let result = pwrite_all(&HostOs, fd, bytes, offset);
        self.done(result, "write")
    }

    fn erase(&mut self, area: Area, offset: u64, length: u64) -> Result<(), MediumError> {
        let (fd, mut offset) = self.place(area, offset);
        let end = offset + length;
        let erased = vec![0xff; ERASE_CHUNK];
        while offset < end {
            let count = (end - offset).min(ERASE_CHUNK as u64);
            let result = pwrite_all(&HostOs, fd, &erased[..count as usize], offset);
            self.done(result, "erase")?;
            offset += count;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), MediumError> {
        Ok(())
    }

    fn kept(&self) -> Range<u64> {
        self.cache.as_ref().map_or(0..0, Cache::kept)
    }

    fn end_keep(&mut self, undo: bool) -> Result<(), MediumError> {
        let Some(cache) = self.cache.take() else {
            return Ok(());
        };
        let kept = cache.kept();
        let length = kept.end - kept.start;
        let spare = |at| self.geometry.page_at(at) * u64::from(self.geometry.oobsize);
        let spare = spare(kept.start)..spare(kept.end);
        if undo && let Ok(main) = cache.old(length, 0) {
            self.write(Area::Main, kept.start, Source::Bytes(&main))?;
            if let Ok(oob) = cache.old(spare.end - spare.start, length)
                && !spare.is_empty()
            {
                self.write(Area::Oob, spare.start, Source::Bytes(&oob))?;
            }
        }
        cache.end();
        Ok(())
    }
}

impl GuestMemory for HostMedium<'_> {
    fn copy_in(&mut self, _address: usize, _to: &mut [u8]) -> Result<(), GuestFault> {
        Err(GuestFault)
    }

    fn copy_out(&mut self, _address: usize, _from: &[u8]) -> Result<(), GuestFault> {
        Err(GuestFault)
    }

    fn check_readable(&mut self, _address: usize, _length: usize) -> Result<(), GuestFault> {
        Err(GuestFault)
    }
}
