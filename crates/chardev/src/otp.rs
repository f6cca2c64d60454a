//! OTPSELECT, OTPGETREGIONCOUNT, OTPGETREGIONINFO, OTPLOCK, OTPERASE and the OTP values of MTDFILEMODE.

use crate::{FileMode, Session, errno_of};
use flash::Area;
use mtd_abi::errno::Errno;
use mtd_abi::layout::OtpInfo;
use mtd_abi::{OTP_INFO_BYTES_MAX, otp};

impl Session<'_> {
    /// `otp_select_filemode`; the mode was reset before.
    pub(crate) fn select_otp(&mut self, selector: i32) -> Result<(), Errno> {
        let geometry = self.device.geometry;
        let (area, mode) = match selector {
            otp::FACTORY => (geometry.otp_factory, FileMode::OtpFactory),
            otp::USER => (geometry.otp_user, FileMode::OtpUser),
            otp::OFF => {
                self.file.mode = FileMode::Normal;
                return Ok(());
            }
            _ => return Err(Errno::EINVAL),
        };
        if !geometry.has_otp_methods(area) {
            return Err(Errno::EOPNOTSUPP);
        }
        self.file.mode = mode;
        Ok(())
    }

    fn otp_area(&self) -> Result<Area, Errno> {
        match self.file.mode {
            FileMode::OtpFactory => Ok(Area::OtpFactory),
            FileMode::OtpUser => Ok(Area::OtpUser),
            FileMode::Normal | FileMode::Raw => Err(Errno::EINVAL),
        }
    }

    pub(crate) fn otp_region_count(&mut self, address: usize) -> Result<(), Errno> {
        let area = self.otp_area()?;
        let count = (0..(OTP_INFO_BYTES_MAX / OtpInfo::SIZE) as u32)
            .take_while(|&index| self.chip.otp_region(area, index).is_some())
            .count() as u32;
        self.copy_out(address, &count.to_le_bytes())
    }

    pub(crate) fn otp_region_info(&mut self, address: usize) -> Result<(), Errno> {
        let area = self.otp_area()?;
        for index in 0..(OTP_INFO_BYTES_MAX / OtpInfo::SIZE) as u32 {
            let Some(region) = self.chip.otp_region(area, index) else {
                break;
            };
            let info = OtpInfo {
                start: region.start,
                length: region.length,
                locked: region.locked.into(),
            };
            self.copy_out(
                address.wrapping_add(index as usize * OtpInfo::SIZE),
                &info.encode(),
            )?;
        }
        Ok(())
    }

    /// OTPLOCK and OTPERASE test the mode before they look at the argument.
    pub(crate) fn otp_change(&mut self, address: usize, erase: bool) -> Result<(), Errno> {
        if self.file.mode != FileMode::OtpUser {
            return Err(Errno::EINVAL);
        }
        let info = OtpInfo::decode(&self.copy_in(address)?);
        if erase && !self.device.geometry.otp_erasable {
            return Err(Errno::EOPNOTSUPP);
        }
        if info.length == 0 {
            return Ok(());
        }
        let (start, length) = (u64::from(info.start), u64::from(info.length));
        if erase {
            self.chip.otp_erase(start, length)
        } else {
            self.chip.otp_lock(start, length)
        }
        .map_err(errno_of)
    }
}
