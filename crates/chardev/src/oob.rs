//! MEMREADOOB, MEMWRITEOOB and their 64-bit forms, MEMWRITE and MEMREAD.

use crate::Session;
use flash::{OpMode, ReadOps, Sink, Source, WriteOps};
use mtd_abi::errno::Errno;
use mtd_abi::layout::{MtdOobBuf, MtdOobBuf64, MtdReadReq, MtdWriteReq};
use mtd_abi::{OOB_TRANSFER_MAX, ops};

/// One OOB-only transfer as both widths of the ioctl describe it.
struct OobTransfer {
    start: u64,
    length: u32,
    buffer: usize,
    /// Where the transferred count is stored.
    count_address: usize,
}

/// Offsets of `length` and `start` in the argument structures.
const OOB32_START: usize = 0;
const OOB32_LENGTH: usize = 4;
const OOB64_LENGTH: usize = 12;

/// Spare areas are mostly not larger; a large buffer takes long to clear.
const SMALL: usize = 128;

/// Lengths of MEMREAD and MEMWRITE lose their upper half without a word.
const LENGTH_MASK: u64 = 0xffff_ffff;

fn op_mode(number: u8) -> Option<OpMode> {
    match number {
        ops::PLACE_OOB => Some(OpMode::Place),
        ops::AUTO_OOB => Some(OpMode::Auto),
        ops::RAW => Some(OpMode::Raw),
        _ => None,
    }
}

/// What is left of a MEMREAD or MEMWRITE.
struct Request {
    start: u64,
    length: u64,
    ooblen: u64,
    data: usize,
    oob: usize,
}

impl Request {
    /// Absent buffers have no length, and both lengths are cut to 32 bits; addresses to the guest's width.
    fn new(start: u64, length: u64, ooblen: u64, data: u64, oob: u64) -> Request {
        let (data, oob) = (data as usize, oob as usize);
        let cut = |length: u64, present: usize| {
            if present == 0 {
                0
            } else {
                length & LENGTH_MASK
            }
        };
        Request {
            start,
            length: cut(length, data),
            ooblen: cut(ooblen, oob),
            data,
            oob,
        }
    }

    fn unfinished(&self) -> bool {
        self.length > 0 || (self.data == 0 && self.ooblen > 0)
    }

    fn advance(&mut self, data_done: u64, oob_done: u64) {
        self.start += data_done;
        self.length -= data_done.min(self.length);
        self.data += if self.data == 0 {
            0
        } else {
            data_done as usize
        };
        self.ooblen -= oob_done.min(self.ooblen);
        self.oob += if self.oob == 0 { 0 } else { oob_done as usize };
    }
}

impl Session<'_> {
    pub(crate) fn read_oob32(&mut self, address: usize) -> Result<(), Errno> {
        let arg = MtdOobBuf::decode(&self.copy_in(address)?);
        // This one clobbers start and leaves length; the 64-bit form is the other way round.
        self.read_oob_only(OobTransfer {
            start: arg.start.into(),
            length: arg.length,
            buffer: arg.address as usize,
            count_address: address.wrapping_add(OOB32_START),
        })
    }

    pub(crate) fn read_oob64(&mut self, address: usize) -> Result<(), Errno> {
        let arg = MtdOobBuf64::decode(&self.copy_in(address)?);
        self.read_oob_only(OobTransfer {
            start: arg.start,
            length: arg.length,
            buffer: arg.address as usize,
            count_address: address.wrapping_add(OOB64_LENGTH),
        })
    }

    pub(crate) fn write_oob32(&mut self, address: usize) -> Result<(), Errno> {
        let arg = MtdOobBuf::decode(&self.copy_in(address)?);
        self.write_oob_only(OobTransfer {
            start: arg.start.into(),
            length: arg.length,
            buffer: arg.address as usize,
            count_address: address.wrapping_add(OOB32_LENGTH),
        })
    }

    pub(crate) fn write_oob64(&mut self, address: usize) -> Result<(), Errno> {
        let arg = MtdOobBuf64::decode(&self.copy_in(address)?);
        self.write_oob_only(OobTransfer {
            start: arg.start,
            length: arg.length,
            buffer: arg.address as usize,
            count_address: address.wrapping_add(OOB64_LENGTH),
        })
    }

    /// The bits of an address that are inside a page; its size is a power of two.
    fn page_mask(&self) -> u64 {
        u64::from(self.device.geometry.writesize.max(1)) - 1
    }

    /// Page of `start` and offset in its spare area, as both directions check them.
    fn split_oob_start(&self, transfer: &OobTransfer) -> Result<(u64, u32), Errno> {
        let mask = self.page_mask();
        let ooboffs = (transfer.start & mask) as u32;
        // Unsigned 32-bit arithmetic: an offset beyond the spare area wraps and is left to the core's check.
        if ooboffs != 0 && transfer.length > self.device.geometry.oobsize.wrapping_sub(ooboffs) {
            return Err(Errno::EINVAL);
        }
        Ok((transfer.start & !mask, ooboffs))
    }

    fn read_oob_only(&mut self, transfer: OobTransfer) -> Result<(), Errno> {
        if transfer.length > OOB_TRANSFER_MAX {
            return Err(Errno::EINVAL);
        }
        if transfer.length <= SMALL as u32 {
            self.read_oob_by(&transfer, &mut [0; SMALL])
        } else {
            self.read_oob_by(&transfer, &mut [0; OOB_TRANSFER_MAX as usize])
        }
    }

    fn read_oob_by(&mut self, transfer: &OobTransfer, bytes: &mut [u8]) -> Result<(), Errno> {
        let (page, ooboffs) = self.split_oob_start(transfer)?;
        let buffer = bytes
            .get_mut(..transfer.length as usize)
            .ok_or(Errno::EINVAL)?;
        let mode = self.file.mode.op_mode();
        let read = self.core_read_oob(
            page,
            ReadOps {
                mode,
                data: None,
                oob: Some(Sink::Bytes(buffer)),
                ooboffs,
            },
        );
        let count = read.outcome.oobretlen as u32;
        self.copy_out(transfer.count_address, &count.to_le_bytes())?;
        if count > 0 {
            self.copy_out(
                transfer.buffer,
                bytes.get(..count as usize).ok_or(Errno::EINVAL)?,
            )?;
        }
        if read.delivered() {
            Ok(())
        } else {
            read.result
        }
    }

    fn write_oob_only(&mut self, transfer: OobTransfer) -> Result<(), Errno> {
        if transfer.length > OOB_TRANSFER_MAX {
            return Err(Errno::EINVAL);
        }
        if !self.device.has_oob() {
            return Err(Errno::EOPNOTSUPP);
        }
        let (page, ooboffs) = self.split_oob_start(&transfer)?;
        let mut bytes = [0; OOB_TRANSFER_MAX as usize];
        let buffer = bytes
            .get_mut(..transfer.length as usize)
            .ok_or(Errno::EINVAL)?;
        self.chip
            .medium
            .copy_in(transfer.buffer, buffer)
            .map_err(|_| Errno::EFAULT)?;
        let mode = self.file.mode.op_mode();
        let ops = WriteOps {
            mode,
            data: None,
            oob: Some(Source::Bytes(buffer)),
            ooboffs,
        };
        let (outcome, result) = self.core_write_oob(page, ops);
        self.copy_out(
            transfer.count_address,
            &(outcome.oobretlen as u32).to_le_bytes(),
        )?;
        result
    }

    /// How much one step of MEMREAD or MEMWRITE moves: at most an eraseblock, ending on a page.
    fn step(&self, request: &Request) -> (u64, u64) {
        let erasesize = u64::from(self.device.erasesize);
        let mut length = request.length.min(erasesize);
        if length == erasesize {
            length -= (request.start + length) & self.page_mask();
        }
        (length, request.ooblen.min(erasesize))
    }

    /// A write takes the spare bytes of just the pages it touches; a read leaves that to the driver.
    fn write_step(&self, request: &Request, mode: OpMode) -> (u64, u64) {
        let geometry = self.device.geometry;
        let (length, mut ooblen) = self.step(request);
        if length > 0 && ooblen > 0 {
            let per_page = self.oob_available(mode);
            if ooblen > per_page {
                let first = geometry.page_at(request.start);
                let last = geometry.page_at(request.start + length - 1);
                ooblen = ooblen.min((last - first + 1) * per_page);
            }
        }
        (length, ooblen)
    }

    fn check_request_range(&self, request: &Request) -> Result<(), Errno> {
        match request.start.checked_add(request.length) {
            Some(end) if end <= self.device.size => Ok(()),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(crate) fn mem_write(&mut self, address: usize) -> Result<(), Errno> {
        let arg = MtdWriteReq::decode(&self.copy_in(address)?);
        if !self.device.has_oob() {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut request = Request::new(arg.start, arg.len, arg.ooblen, arg.usr_data, arg.usr_oob);
        self.check_request_range(&request)?;
        while request.unfinished() {
            // The kernel itself loops for ever on an unknown mode; see the README's differences.
            let mode = op_mode(arg.mode).ok_or(Errno::EINVAL)?;
            let (length, ooblen) = self.write_step(&request, mode);
            let source = |address: usize, length: u64| {
                let length = length as usize;
                (address != 0).then_some(Source::Guest { address, length })
            };
            let ops = WriteOps {
                mode,
                data: source(request.data, length),
                oob: source(request.oob, ooblen),
                ooboffs: 0,
            };
            let (outcome, result) = self.core_write_oob(request.start, ops);
            if result.is_err() {
                // The kernel has copied both buffers before it looks at the request.
                self.check_readable(request.data, length)?;
                self.check_readable(request.oob, ooblen)?;
            }
            result?;
            request.advance(outcome.retlen, outcome.oobretlen);
            if outcome.retlen == 0 && outcome.oobretlen == 0 {
                break;
            }
        }
        Ok(())
    }

    fn check_readable(&mut self, address: usize, length: u64) -> Result<(), Errno> {
        if address == 0 || length == 0 {
            return Ok(());
        }
        self.chip
            .medium
            .check_readable(address, length as usize)
            .map_err(|_| Errno::EFAULT)
    }

    pub(crate) fn mem_read(&mut self, address: usize) -> Result<(), Errno> {
        let mut arg = MtdReadReq::decode(&self.copy_in(address)?);
        if !self.device.has_oob() {
            return Err(Errno::EOPNOTSUPP);
        }
        let mut request = Request::new(arg.start, arg.len, arg.ooblen, arg.usr_data, arg.usr_oob);
        (
            arg.uncorrectable_errors,
            arg.corrected_bitflips,
            arg.max_bitflips,
        ) = (0, 0, 0);
        // Both lengths are cut to 32 bits; absent buffers then count as read in full.
        let (length, ooblen) = (arg.len & LENGTH_MASK, arg.ooblen & LENGTH_MASK);
        let result = self
            .check_request_range(&request)
            .and_then(|()| self.mem_read_steps(&mut request, &mut arg));
        arg.start = request.start;
        arg.len = length - request.length.min(length);
        arg.ooblen = ooblen - request.ooblen.min(ooblen);
        self.copy_out(address, &arg.encode())?;
        result
    }

    fn mem_read_steps(&mut self, request: &mut Request, arg: &mut MtdReadReq) -> Result<(), Errno> {
        let mut last = Ok(());
        while request.unfinished() {
            let mode = op_mode(arg.mode).ok_or(Errno::ENOTSUPP);
            let mode = match mode {
                Ok(mode) => mode,
                // The core's range checks come first.
                Err(refusal) => return self.check_unknown_mode(request, refusal),
            };
            let (length, ooblen) = self.step(request);
            let sink = |address: usize, length: u64| {
                let length = length as usize;
                (address != 0).then_some(Sink::Guest { address, length })
            };
            let ops = ReadOps {
                mode,
                data: sink(request.data, length),
                oob: sink(request.oob, ooblen),
                ooboffs: 0,
            };
            let read = self.core_read_oob(request.start, ops);
            arg.uncorrectable_errors = arg.uncorrectable_errors.saturating_add(read.outcome.failed);
            arg.corrected_bitflips = arg
                .corrected_bitflips
                .saturating_add(read.outcome.corrected);
            // mtd_read_oob gives up before it notes the maximum of a step that failed.
            if read.outcome.failed == 0 {
                arg.max_bitflips = arg.max_bitflips.max(read.outcome.max_bitflips);
            }
            last = read.result;
            if !read.delivered() {
                return last;
            }
            request.advance(read.outcome.retlen, read.outcome.oobretlen);
            if read.outcome.retlen == 0 && read.outcome.oobretlen == 0 {
                break;
            }
        }
        match last {
            Ok(()) | Err(Errno::EUCLEAN) if arg.uncorrectable_errors > 0 => Err(Errno::EBADMSG),
            Ok(()) | Err(Errno::EUCLEAN) if arg.corrected_bitflips > 0 => Err(Errno::EUCLEAN),
            other => other,
        }
    }

    /// An unknown mode is refused by the driver, after the core has checked the range of the first step.
    fn check_unknown_mode(&mut self, request: &Request, refusal: Errno) -> Result<(), Errno> {
        let (length, ooblen) = self.step(request);
        self.check_oob_ops(request.start, length, ooblen, 0, OpMode::Raw)?;
        Err(refusal)
    }
}
