//! The codes that Linux computes in software over the steps of a NAND page.
//!
//! Must not know: pages, spare areas. A step goes in, code bytes come out.

mod bch;
mod hamming;

use crate::chip::is_erased;
use crate::{Ecc, Geometry, OobLayout};

/// More bits are wrong than the code can set right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Uncorrectable;

/// The longest code of one step: BCH, 8 bits.
pub(crate) const STEP_BYTES_MAX: usize = 13;
/// Writes the Hamming codes of data, 3 bytes for each 256; behind those of every `page` bytes `gap` bytes are left out.
pub type HammingCodes = fn(data: &[u8], codes: &mut [u8], page: usize, gap: usize);

/// One for every processor.
pub fn hamming_codes(data: &[u8], codes: &mut [u8], page: usize, gap: usize) {
    each_step(data, codes, 3, page, gap, |step: &[u8; 256], code| {
        hamming::calculate(step, code);
    });
}

#[inline(always)]
fn each_step<const STEP: usize>(
    data: &[u8],
    mut codes: &mut [u8],
    code_bytes: usize,
    page: usize,
    gap: usize,
    mut calculate: impl FnMut(&[u8; STEP], &mut [u8]),
) {
    let mut done = 0;
    for step in data.as_chunks::<STEP>().0 {
        let Some((code, rest)) = codes.split_at_mut_checked(code_bytes) else {
            return;
        };
        calculate(step, code);
        done += STEP;
        let skipped = if done & page.wrapping_sub(1) == 0 {
            gap
        } else {
            0
        };
        codes = rest.get_mut(skipped..).unwrap_or_default();
    }
}

/// The code of a chip and where it is in the spare areas, with the table it works from: made once, when a chip is opened.
#[derive(Debug)]
pub struct Code {
    pub(crate) layout: OobLayout,
    kind: Kind,
}

#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
enum Kind {
    Hamming(HammingCodes),
    Bch(bch::Bch),
}

impl Code {
    /// None for chips whose pages carry no code of ours.
    pub fn of(geometry: &Geometry) -> Option<Code> {
        let kind = match geometry.ecc {
            _ if geometry.ecc_steps() == 0 => return None,
            Ecc::None | Ecc::OnDie => return None,
            Ecc::Hamming => Kind::Hamming(hamming_codes),
            Ecc::Bch { strength } => Kind::Bch(bch::Bch::new(strength)?),
        };
        let layout = geometry.oob_layout().unwrap_or_default();
        Some(Code { layout, kind })
    }

    /// Hands in what computes Hamming codes faster on this processor.
    pub fn quicken(&mut self, codes: HammingCodes) {
        if let Kind::Hamming(compute) = &mut self.kind {
            *compute = codes;
        }
    }

    /// Writes the codes of steps that lie one behind the other; of every `page` bytes, a power of two, they lie one behind the
    /// other, too, and then `gap` bytes are left out. Erased bytes always have an erased code.
    pub(crate) fn calculate(&self, steps: &[u8], codes: &mut [u8], page: usize, gap: usize) {
        match &self.kind {
            Kind::Hamming(compute) => compute(steps, codes, page, gap),
            Kind::Bch(bch) => {
                let code_bytes = bch.code_bytes();
                each_step(
                    steps,
                    codes,
                    code_bytes,
                    page,
                    gap,
                    |step: &[u8; bch::STEP], code| {
                        if is_erased(step) {
                            code.fill(0xff);
                        } else {
                            bch.calculate(step, code);
                        }
                    },
                );
            }
        }
    }

    /// Compares a step with its stored code, sets it right in place and tells how many bits were wrong.
    pub(crate) fn correct(&self, step: &mut [u8], stored: &[u8]) -> Result<u32, Uncorrectable> {
        let mut buffer = [0u8; STEP_BYTES_MAX];
        let calculated = buffer.get_mut(..stored.len()).ok_or(Uncorrectable)?;
        self.calculate(step, calculated, step.len(), 0);
        if calculated == stored {
            return Ok(0);
        }
        match &self.kind {
            Kind::Hamming(_) => hamming::correct(step, stored, calculated),
            Kind::Bch(bch) => bch.correct(step, stored, calculated),
        }
    }
}
