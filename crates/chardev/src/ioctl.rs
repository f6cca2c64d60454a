//! The ioctls of the char device, in the kernel's order: permission, then copy, then core, then driver.

use crate::{FileMode, Session, errno_of};
use flash::LockScheme;
use mtd_abi::errno::Errno;
use mtd_abi::ioctl::*;
use mtd_abi::layout::{EraseInfoUser, EraseInfoUser64};
use mtd_abi::{file_mode, otp};

/// Commands that change something need a descriptor open for writing, tested before the argument is touched.
const CHANGING: [u32; 10] = [
    MEMERASE,
    MEMERASE64,
    MEMLOCK,
    MEMUNLOCK,
    MEMSETBADBLOCK,
    MEMWRITEOOB,
    MEMWRITEOOB64,
    MEMWRITE,
    OTPLOCK,
    OTPERASE,
];

/// A match by the lowest bits, in which all commands differ: one comparison and one jump, where the compiler makes chains of both.
macro_rules! by_number {
    ($command:ident, $($name:ident => $answer:expr,)*) => {{
        mod number {
            pub const MASK: u32 = 31;
            $(pub const $name: u32 = mtd_abi::ioctl::$name & MASK;)*
        }
        const COMMANDS: [u32; number::MASK as usize + 1] = {
            let mut commands = [0; _];
            $(commands[number::$name as usize] = $name;)*
            commands
        };
        let number = $command & number::MASK;
        if COMMANDS.get(number as usize) != Some(&$command) {
            return Err(Errno::ENOTTY);
        }
        match number {
            $(number::$name => $answer,)*
            _ => Err(Errno::ENOTTY),
        }
    }};
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LockOperation {
    Lock,
    Unlock,
    IsLocked,
}

/// Answers one command. `argument` is what the guest passed: an address, or for MTDFILEMODE a value.
#[inline(never)]
pub fn ioctl(session: &mut Session<'_>, command: u32, argument: usize) -> Result<i32, Errno> {
    if !session.file.writable && CHANGING.contains(&command) {
        return Err(Errno::EPERM);
    }
    let done = |result: Result<(), Errno>| result.map(|()| 0);
    by_number! { command,
        MEMGETINFO => done(session.get_info(argument)),
        MEMGETREGIONCOUNT => done(session.get_region_count(argument)),
        MEMGETREGIONINFO => done(session.get_region_info(argument)),
        MEMERASE => done(session.erase32(argument)),
        MEMERASE64 => done(session.erase64(argument)),
        MEMREADOOB => done(session.read_oob32(argument)),
        MEMREADOOB64 => done(session.read_oob64(argument)),
        MEMWRITEOOB => done(session.write_oob32(argument)),
        MEMWRITEOOB64 => done(session.write_oob64(argument)),
        MEMWRITE => done(session.mem_write(argument)),
        MEMREAD => done(session.mem_read(argument)),
        MEMLOCK => session.lock(argument, LockOperation::Lock),
        MEMUNLOCK => session.lock(argument, LockOperation::Unlock),
        MEMISLOCKED => session.lock(argument, LockOperation::IsLocked),
        MEMGETOOBSEL => done(session.get_oobsel(argument)),
        MEMGETBADBLOCK => session.get_bad_block(argument),
        MEMSETBADBLOCK => done(session.set_bad_block(argument)),
        ECCGETLAYOUT => done(session.get_ecclayout(argument)),
        ECCGETSTATS => done(session.get_stats(argument)),
        OTPSELECT => done(session.otp_select(argument)),
        OTPGETREGIONCOUNT => done(session.otp_region_count(argument)),
        OTPGETREGIONINFO => done(session.otp_region_info(argument)),
        OTPLOCK => done(session.otp_change(argument, false)),
        OTPERASE => done(session.otp_change(argument, true)),
        MTDFILEMODE => done(session.set_file_mode(argument as u32)),
        BLKPG => done(session.blkpg(argument)),
        BLKRRPART => Ok(0),
    }
}

impl Session<'_> {
    pub(crate) fn copy_in<const N: usize>(&mut self, address: usize) -> Result<[u8; N], Errno> {
        let mut bytes = [0; N];
        self.chip
            .medium
            .copy_in(address, &mut bytes)
            .map_err(|_| Errno::EFAULT)?;
        Ok(bytes)
    }

    pub(crate) fn copy_out(&mut self, address: usize, bytes: &[u8]) -> Result<(), Errno> {
        self.chip
            .medium
            .copy_out(address, bytes)
            .map_err(|_| Errno::EFAULT)
    }

    fn erase32(&mut self, address: usize) -> Result<(), Errno> {
        let range = EraseInfoUser::decode(&self.copy_in(address)?);
        self.core_erase(range.start.into(), range.length.into())
    }

    fn erase64(&mut self, address: usize) -> Result<(), Errno> {
        let range = EraseInfoUser64::decode(&self.copy_in(address)?);
        self.core_erase(range.start, range.length)
    }

    fn lock(&mut self, address: usize, operation: LockOperation) -> Result<i32, Errno> {
        let range = EraseInfoUser::decode(&self.copy_in(address)?);
        let has_method = match self.device.geometry.lock {
            LockScheme::None => false,
            // Raw NAND installs lock and unlock, which then refuse; it installs no query.
            LockScheme::NandUnsupported => operation != LockOperation::IsLocked,
            _ => true,
        };
        if !has_method {
            return Err(Errno::EOPNOTSUPP);
        }
        let (start, length) = (u64::from(range.start), u64::from(range.length));
        if start >= self.device.size || length > self.device.size - start {
            return Err(Errno::EINVAL);
        }
        if length == 0 {
            return Ok(0);
        }
        let at = self.device.offset + start;
        match operation {
            LockOperation::Lock => self.chip.lock(at, length).map(|()| 0),
            LockOperation::Unlock => self.chip.unlock(at, length).map(|()| 0),
            LockOperation::IsLocked => self.chip.is_locked(at, length).map(i32::from),
        }
        .map_err(errno_of)
    }

    /// A loff_t that lies inside the device.
    fn block_offset(&self, bytes: [u8; 8]) -> Result<u64, Errno> {
        match u64::try_from(i64::from_le_bytes(bytes)) {
            Ok(offset) if offset < self.device.size => Ok(offset),
            _ => Err(Errno::EINVAL),
        }
    }

    fn get_bad_block(&mut self, address: usize) -> Result<i32, Errno> {
        let bytes = self.copy_in(address)?;
        let offset = self.block_offset(bytes)?;
        if !self.device.has_oob() {
            return Ok(0);
        }
        Ok(self
            .chip
            .is_bad(self.device.offset + offset)
            .map_err(errno_of)?
            .into())
    }

    fn set_bad_block(&mut self, address: usize) -> Result<(), Errno> {
        let bytes = self.copy_in(address)?;
        if !self.device.has_oob() {
            return Err(Errno::EOPNOTSUPP);
        }
        let offset = self.block_offset(bytes)?;
        if !self.device.is_writeable() {
            return Err(Errno::EROFS);
        }
        let newly = self
            .chip
            .mark_bad(self.device.offset + offset)
            .map_err(errno_of)?;
        // The driver counts a block once; every level of partition above it counts each call.
        if newly || self.device.is_partition {
            self.registry.count_bad_block(self.device.index);
        }
        Ok(())
    }

    fn otp_select(&mut self, address: usize) -> Result<(), Errno> {
        let selector = i32::from_le_bytes(self.copy_in(address)?);
        self.file.mode = FileMode::Normal;
        let result = self.select_otp(selector);
        self.file.position = 0;
        result
    }

    fn set_file_mode(&mut self, mode: u32) -> Result<(), Errno> {
        self.file.mode = FileMode::Normal;
        let result = match mode {
            file_mode::NORMAL => Ok(()),
            file_mode::OTP_FACTORY => self.select_otp(otp::FACTORY),
            file_mode::OTP_USER => self.select_otp(otp::USER),
            file_mode::RAW => {
                // The one refusal that keeps the position.
                if !self.device.has_oob() {
                    return Err(Errno::EOPNOTSUPP);
                }
                self.file.mode = FileMode::Raw;
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        };
        self.file.position = 0;
        result
    }
}
