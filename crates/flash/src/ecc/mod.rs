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
/// Writes the Hamming codes of data, 3 bytes for each 256.
pub type HammingCodes = fn(data: &[u8], codes: &mut [u8]);

/// One for every processor.
pub fn hamming_codes(data: &[u8], codes: &mut [u8]) {
    let (steps, _) = data.as_chunks::<256>();
    for (step, code) in steps.iter().zip(codes.chunks_exact_mut(3)) {
        hamming::calculate(step, code);
    }
}

/// The code of a chip, with the table it works from: made once, when a chip is opened.
#[allow(clippy::large_enum_variant, private_interfaces)]
#[derive(Debug)]
pub enum Code {
    Hamming(HammingCodes),
    Bch(bch::Bch),
}

impl Code {
    /// None for chips whose pages carry no code of ours.
    pub fn of(geometry: &Geometry) -> Option<Code> {
        match geometry.ecc {
            _ if geometry.ecc_steps() == 0 => None,
            Ecc::None | Ecc::OnDie => None,
            Ecc::Hamming => Some(Code::Hamming(hamming_codes)),
            Ecc::Bch { strength } => bch::Bch::new(strength).map(Code::Bch),
        }
    }

    /// Hands in what computes Hamming codes faster on this processor.
    pub fn quicken(&mut self, codes: HammingCodes) {
        if let Code::Hamming(_) = self {
            *self = Code::Hamming(codes);
        }
    }

    /// Writes the codes of steps that lie one behind the other. Erased bytes always have an erased code.
    pub(crate) fn calculate(&self, steps: &[u8], codes: &mut [u8]) {
        match self {
            Code::Hamming(compute) => compute(steps, codes),
            Code::Bch(bch) => {
                let mut codes = codes;
                for step in steps.as_chunks::<{ bch::STEP }>().0 {
                    let (code, rest) = codes
                        .split_at_mut_checked(bch.code_bytes())
                        .unwrap_or_default();
                    codes = rest;
                    if is_erased(step) {
                        code.fill(0xff);
                    } else {
                        bch.calculate(step, code);
                    }
                }
            }
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
            Code::Hamming(_) => hamming::correct(step, stored, calculated),
            Code::Bch(bch) => bch.correct(step, stored, calculated),
        }
    }
}
