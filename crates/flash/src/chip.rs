//! One chip at work: its geometry, its ledger, its bytes, and room to compute in. Which rule applies where is decided
//! here; the rules are in `plain`, `nand`, `erase`, `lock`, `otp` and `replace`.
//!
//! Must not know: partitions, errno, who calls. The caller holds the chip's lock.

use crate::{Code, FlashError, Geometry, Ledger, Sink, Source, Store};

/// What happens to the spare area: `MTD_OPS_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpMode {
    /// At the place given, except where ECC is written.
    Place,
    /// Into the free bytes only.
    Auto,
    /// As it is, no ECC is computed or looked at.
    Raw,
}

/// How far an operation came and what ECC had to do. Data is delivered whatever `failed` says.
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub retlen: u64,
    pub oobretlen: u64,
    /// Bits set right.
    pub corrected: u32,
    /// ECC steps that could not be set right.
    pub failed: u32,
    /// The most bit flips found in one ECC step.
    pub max_bitflips: u32,
}

pub struct ReadOps<'a> {
    pub mode: OpMode,
    pub data: Option<Sink<'a>>,
    pub oob: Option<Sink<'a>>,
    pub ooboffs: u32,
}

pub struct WriteOps<'a> {
    pub mode: OpMode,
    pub data: Option<Source<'a>>,
    pub oob: Option<Source<'a>>,
    pub ooboffs: u32,
}

pub(crate) type Done = (Outcome, Result<(), FlashError>);

pub struct Chip<'a> {
    pub geometry: &'a Geometry,
    pub ledger: &'a Ledger<'a>,
    /// `Code::of` the geometry.
    pub code: Option<&'a Code>,
    pub medium: &'a mut (dyn Store + 'a),
    pub scratch: &'a mut Scratch,
}

/// Bytes of main area handled at once; the largest page must fit.
pub(crate) const DATA_CHUNK: usize = 128 * 1024;
/// Bytes of spare area handled at once; the largest spare area of a page must fit.
pub(crate) const OOB_CHUNK: usize = 16 * 1024;
pub const SCRATCH_SIZE: usize = 2 * (DATA_CHUNK + OOB_CHUNK);
/// Room to compute in. A size that the compiler knows, so that nothing is asked when it is cut up.
pub type Scratch = [u8; SCRATCH_SIZE];

/// The scratch area, cut up.
pub(crate) struct Buffers<'s> {
    pub data: &'s mut [u8],
    pub old: &'s mut [u8],
    pub oob: &'s mut [u8],
    pub old_oob: &'s mut [u8],
}

#[inline(always)]
pub(crate) fn buffers(scratch: &mut Scratch) -> Result<Buffers<'_>, FlashError> {
    let cut = |bytes, at| <[u8]>::split_at_mut_checked(bytes, at).ok_or(FlashError::Invalid);
    let (data, rest) = cut(scratch, DATA_CHUNK)?;
    let (old, rest) = cut(rest, DATA_CHUNK)?;
    let (oob, rest) = cut(rest, OOB_CHUNK)?;
    let (old_oob, _) = cut(rest, OOB_CHUNK)?;
    Ok(Buffers {
        data,
        old,
        oob,
        old_oob,
    })
}

/// The first `length` bytes of a buffer.
pub(crate) fn front(buffer: &mut [u8], length: usize) -> Result<&mut [u8], FlashError> {
    buffer.get_mut(..length).ok_or(FlashError::Invalid)
}

/// Copies from a source, from `offset` on, into a buffer.
pub(crate) fn fetch(
    medium: &mut dyn Store,
    from: &Source<'_>,
    offset: u64,
    to: &mut [u8],
) -> Result<(), FlashError> {
    match from
        .part(offset as usize, to.len())
        .ok_or(FlashError::Invalid)?
    {
        Source::Bytes(bytes) => to.copy_from_slice(bytes),
        Source::Guest { address, .. } => medium.copy_in(address, to)?,
    }
    Ok(())
}

/// Copies a buffer to a sink, from `offset` on.
pub(crate) fn deliver(
    medium: &mut dyn Store,
    to: &mut Sink<'_>,
    offset: u64,
    from: &[u8],
) -> Result<(), FlashError> {
    match to
        .part(offset as usize, from.len())
        .ok_or(FlashError::Invalid)?
    {
        Sink::Bytes(bytes) => bytes.copy_from_slice(from),
        Sink::Guest { address, .. } => medium.copy_out(address, from)?,
    }
    Ok(())
}

pub(crate) fn is_erased(bytes: &[u8]) -> bool {
    // Mostly told by the first byte, or of a spare area the last. Then many words at a time: an emulator counts the rounds.
    let (lines, rest) = bytes.as_chunks::<32>();
    let word = |bytes: &[u8; 4]| u32::from_ne_bytes(*bytes);
    bytes.first().is_none_or(|&byte| byte == 0xff)
        && bytes.last().is_none_or(|&byte| byte == 0xff)
        && lines.iter().all(|line| match line.as_chunks::<4>().0 {
            [a, b, c, d, e, f, g, h] => {
                let (a, b) = (word(a) & word(b), word(c) & word(d));
                let (c, d) = (word(e) & word(f), word(g) & word(h));
                a & b & c & d == u32::MAX
            }
            _ => false,
        })
        && rest.iter().all(|&byte| byte == 0xff)
}

impl Chip<'_> {
    /// Reads with ECC (unless RAW), any alignment.
    pub fn read(&mut self, at: u64, to: Sink<'_>, mode: OpMode) -> Done {
        let mut outcome = Outcome::default();
        let result = self.read_main(at, to, mode, &mut outcome);
        (outcome, result)
    }

    fn read_main(
        &mut self,
        at: u64,
        to: Sink<'_>,
        mode: OpMode,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        let length = to.length();
        self.check_range(at, length)?;
        if self.geometry.is_nand() {
            return self.nand_read(at, to, None, mode, 0, outcome);
        }
        self.medium.read(crate::Area::Main, at, to)?;
        outcome.retlen = length;
        Ok(())
    }

    /// Programs; NAND wants whole subpages and writes ECC with them (unless RAW).
    pub fn program(&mut self, at: u64, from: Source<'_>, mode: OpMode) -> Done {
        let mut outcome = Outcome::default();
        let result = self.program_main(at, from, mode, &mut outcome);
        (outcome, result)
    }

    fn program_main(
        &mut self,
        at: u64,
        from: Source<'_>,
        mode: OpMode,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        self.check_range(at, from.length())?;
        if self.geometry.is_nand() {
            self.nand_write(at, &from, None, mode, 0, outcome)
        } else {
            self.plain_write(at, from, outcome)
        }
    }

    /// The driver's `_read_oob`: data, spare area or both.
    pub fn read_oob(&mut self, at: u64, ops: ReadOps<'_>) -> Done {
        let mut outcome = Outcome::default();
        let result = self.read_both(at, ops, &mut outcome);
        (outcome, result)
    }

    fn read_both(
        &mut self,
        at: u64,
        ops: ReadOps<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        self.check_both(at, ops.data.as_ref().map_or(0, Sink::length))?;
        match (ops.data, ops.oob) {
            (Some(data), oob) => self.nand_read(at, data, oob, ops.mode, ops.ooboffs, outcome),
            (None, Some(oob)) => self.nand_read_oob(at, oob, ops.mode, ops.ooboffs, outcome),
            (None, None) => Ok(()),
        }
    }

    /// The driver's `_write_oob`: data, spare area or both.
    pub fn write_oob(&mut self, at: u64, ops: WriteOps<'_>) -> Done {
        let mut outcome = Outcome::default();
        let result = self.write_both(at, ops, &mut outcome);
        (outcome, result)
    }

    fn write_both(
        &mut self,
        at: u64,
        ops: WriteOps<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), FlashError> {
        self.check_both(at, ops.data.as_ref().map_or(0, Source::length))?;
        match (ops.data, ops.oob) {
            (Some(data), oob) => self.nand_write(at, &data, oob, ops.mode, ops.ooboffs, outcome),
            (None, Some(oob)) => self.nand_write_oob(at, &oob, ops.mode, ops.ooboffs, outcome),
            (None, None) => Ok(()),
        }
    }

    fn check_both(&self, at: u64, length: u64) -> Result<(), FlashError> {
        if self.geometry.is_nand() {
            self.check_range(at, length)
        } else {
            Err(FlashError::NotSupported)
        }
    }

    pub(crate) fn check_range(&self, at: u64, length: u64) -> Result<(), FlashError> {
        match at.checked_add(length) {
            Some(end) if end <= self.geometry.size => Ok(()),
            _ => Err(FlashError::Invalid),
        }
    }

    /// Whether a guest range can be read: asked where a late fault would leave an operation half done.
    pub(crate) fn check_source(&mut self, from: &Source<'_>) -> Result<(), FlashError> {
        match *from {
            Source::Guest { address, length } => Ok(self.medium.check_readable(address, length)?),
            Source::Bytes(_) => Ok(()),
        }
    }
}
