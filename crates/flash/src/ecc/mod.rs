//! The codes that Linux computes in software over the steps of a NAND page.
//!
//! Must not know: pages, spare areas. A step goes in, code bytes come out.

mod bch;
mod hamming;

use crate::chip::is_erased;
use crate::{Ecc, Geometry};

/// More bits are wrong than the code can set right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Uncorrectable;

/// The longest code of one step: BCH, 8 bits.
pub(crate) const STEP_BYTES_MAX: usize = 13;

/// The code of a chip, with the table it works from: made once, when a chip is opened.
#[allow(clippy::large_enum_variant, private_interfaces)]
#[derive(Debug)]
pub enum Code {
    Hamming,
    Bch(bch::Bch),
}

impl Code {
    /// None for chips whose pages carry no code of ours.
    pub fn of(geometry: &Geometry) -> Option<Code> {
        match geometry.ecc {
            _ if geometry.ecc_steps() == 0 => None,
            Ecc::None | Ecc::OnDie => None,
            Ecc::Hamming => Some(Code::Hamming),
            Ecc::Bch { strength } => bch::Bch::new(strength).map(Code::Bch),
        }
    }

    /// Writes the code of one step. Erased bytes always have an erased code.
    pub(crate) fn calculate(&self, step: &[u8], code: &mut [u8]) {
        if is_erased(step) {
            code.fill(0xff);
            return;
        }
        match self {
            Code::Hamming => hamming::calculate(step, code),
            Code::Bch(bch) => bch.calculate(step, code),
        }
    }

    /// Compares a step with its stored code, sets it right in place and tells how many bits were wrong.
    pub(crate) fn correct(&self, step: &mut [u8], stored: &[u8]) -> Result<u32, Uncorrectable> {
        let mut buffer = [0u8; STEP_BYTES_MAX];
        let calculated = buffer.get_mut(..stored.len()).ok_or(Uncorrectable)?;
        self.calculate(step, calculated);
        if calculated == stored {
            return Ok(0);
        }
        match self {
            Code::Hamming => hamming::correct(step, stored, calculated),
            Code::Bch(bch) => bch.correct(step, stored, calculated),
        }
    }
}
