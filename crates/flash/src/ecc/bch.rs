//! Software BCH: 1 to 8 bits of 512 bytes corrected, over the field of 2^13 elements.
//!
//! A step is a polynomial, its first bit (bit 7 of byte 0) the highest power; the code is the remainder after division
//! by the generator, first bit first, padded with zeros to whole bytes, then inverted so that an erased step has an
//! erased code. Source: the description of `lib/bch.c` and `ecc-sw-bch.c`: primitive polynomial 0x201b.
//! No tables of the field are kept: they would be larger than the rest of this library.

use super::Uncorrectable;

const FIELD_BITS: u32 = 13;
const FIELD_POLYNOMIAL: u32 = 0x201b;
pub const STEP: usize = 512;
const STEP_BITS: u32 = STEP as u32 * 8;
const STRENGTH_MAX: usize = 8;

/// Times x (the primitive element).
const fn times_alpha(element: u32) -> u32 {
    let doubled = element << 1;
    if doubled >> FIELD_BITS & 1 == 1 {
        doubled ^ FIELD_POLYNOMIAL
    } else {
        doubled
    }
}

const fn multiply(left: u32, right: u32) -> u32 {
    let mut product = 0;
    let mut bit = FIELD_BITS;
    while bit > 0 {
        bit -= 1;
        product = times_alpha(product);
        if right >> bit & 1 == 1 {
            product ^= left;
        }
    }
    product
}

/// a^(2^13 - 2): the inverse of everything but 0.
const fn invert(element: u32) -> u32 {
    let mut result = 1;
    let mut square = element;
    let mut bit = 1;
    while bit < FIELD_BITS {
        square = multiply(square, square);
        result = multiply(result, square);
        bit += 1;
    }
    result
}

const fn alpha_to(power: u32) -> u32 {
    let mut element = 1;
    let mut step = 0;
    while step < power {
        element = times_alpha(element);
        step += 1;
    }
    element
}

/// The polynomial over bits whose roots are `root` and its conjugates (all of degree 13 here).
const fn minimal_polynomial(root: u32) -> u128 {
    let mut coefficients = [0u32; FIELD_BITS as usize + 1];
    coefficients[0] = 1;
    let mut conjugate = root;
    let mut degree = 0;
    while degree < FIELD_BITS as usize {
        // Times (x + conjugate).
        let mut index = degree + 1;
        while index > 0 {
            coefficients[index] =
                coefficients[index - 1] ^ multiply(coefficients[index], conjugate);
            index -= 1;
        }
        coefficients[0] = multiply(coefficients[0], conjugate);
        conjugate = multiply(conjugate, conjugate);
        degree += 1;
    }
    let mut polynomial = 0u128;
    let mut index = 0;
    while index <= FIELD_BITS as usize {
        polynomial |= (coefficients[index] as u128) << index;
        index += 1;
    }
    polynomial
}

const fn multiply_polynomials(left: u128, right: u128) -> u128 {
    let mut product = 0;
    let mut bit = 0;
    while bit < 128 {
        if right >> bit & 1 == 1 {
            product ^= left << bit;
        }
        bit += 1;
    }
    product
}

/// Generators for strengths 1..=8 (degree 13 each).
const GENERATORS: [u128; STRENGTH_MAX] = {
    let mut generators = [0; STRENGTH_MAX];
    let mut product = 1;
    let mut index = 0;
    while index < STRENGTH_MAX {
        let root = alpha_to(2 * index as u32 + 1);
        product = multiply_polynomials(product, minimal_polynomial(root));
        generators[index] = product;
        index += 1;
    }
    generators
};

/// A generator without its highest term, at the top of the word.
const fn divisor(generator: u128, code_bits: u32) -> u128 {
    (generator ^ 1 << code_bits) << (128 - code_bits)
}

/// Times x, in the ring of remainders at the top of the word.
const fn double(register: u128, divisor: u128) -> u128 {
    if register >> 127 == 1 {
        register << 1 ^ divisor
    } else {
        register << 1
    }
}

/// For every strength: the inverted remainder of an erased step.
const MASKS: [u128; STRENGTH_MAX] = {
    let mut masks = [0; STRENGTH_MAX];
    let mut index = 0;
    while index < STRENGTH_MAX {
        let divisor = divisor(GENERATORS[index], (index as u32 + 1) * FIELD_BITS);
        let mut register = 0u128;
        let mut bit = 0;
        while bit < STEP_BITS {
            register = double(register ^ 1 << 127, divisor);
            bit += 1;
        }
        masks[index] = !register;
        index += 1;
    }
    masks
};

#[derive(Debug)]
pub(crate) struct Bch {
    strength: usize,
    /// Remainders of every byte times x^(bits of code), at the top of the word.
    remainders: [u128; 256],
    /// What the code of an erased step is XORed with to become all ones.
    mask: u128,
}

impl Bch {
    pub fn new(strength: u8) -> Option<Bch> {
        let index = usize::from(strength).checked_sub(1)?;
        let divisor = divisor(*GENERATORS.get(index)?, u32::from(strength) * FIELD_BITS);
        let mut remainders = [0u128; 256];
        // Remainders add up: a byte's is that of its highest bit plus that of the rest.
        let mut register = 1 << 127;
        let mut filled = 1;
        while filled < 256 {
            register = double(register, divisor);
            let (known, rest) = remainders.split_at_mut_checked(filled)?;
            for (target, known) in rest.iter_mut().zip(known) {
                *target = *known ^ register;
            }
            filled *= 2;
        }
        Some(Bch {
            strength: usize::from(strength),
            remainders,
            mask: *MASKS.get(index)?,
        })
    }

    fn code_bits(&self) -> u32 {
        self.strength as u32 * FIELD_BITS
    }

    fn remainder(&self, bytes: impl Iterator<Item = u8>) -> u128 {
        bytes.fold(0u128, |register, byte| {
            let index = (register >> 120) as u8 ^ byte;
            register << 8
                ^ self
                    .remainders
                    .get(usize::from(index))
                    .copied()
                    .unwrap_or(0)
        })
    }

    pub fn code_bytes(&self) -> usize {
        self.code_bits().div_ceil(8) as usize
    }

    pub fn calculate(&self, step: &[u8], code: &mut [u8]) {
        let bytes = (self.remainder(step.iter().copied()) ^ self.mask).to_be_bytes();
        for (target, byte) in code.iter_mut().zip(bytes) {
            *target = byte;
        }
    }

    #[cold]
    #[inline(never)]
    pub fn correct(
        &self,
        step: &mut [u8],
        stored: &[u8],
        calculated: &[u8],
    ) -> Result<u32, Uncorrectable> {
        let mut difference = [0u8; 16];
        for (target, (stored, calculated)) in
            difference.iter_mut().zip(stored.iter().zip(calculated))
        {
            *target = stored ^ calculated;
        }
        let syndromes = self.syndromes(u128::from_be_bytes(difference));
        if syndromes == [0; _] {
            // Only the padding bits behind the code differ.
            return Ok(0);
        }
        let mut locator = [0; LOCATOR_TERMS];
        let degree = self
            .find_locator(&syndromes, &mut locator)
            .ok_or(Uncorrectable)?;
        let mut positions = [0; STRENGTH_MAX];
        self.find_roots(&locator, degree, &mut positions)
            .ok_or(Uncorrectable)?;
        for &power in positions.iter().take(degree) {
            // Powers below the number of code bits are errors in the code itself.
            let Some(index) = (STEP_BITS + self.code_bits() - 1).checked_sub(power) else {
                return Err(Uncorrectable);
            };
            if index < STEP_BITS
                && let Some(byte) = step.get_mut((index / 8) as usize)
            {
                *byte ^= 0x80 >> (index % 8);
            }
        }
        Ok(degree as u32)
    }

    /// The error polynomial at alpha^1 ... alpha^(2t); the code's bits are the first of `difference`.
    fn syndromes(&self, difference: u128) -> [u32; 2 * STRENGTH_MAX] {
        let mut syndromes = [0; 2 * STRENGTH_MAX];
        let mut point = 1;
        for syndrome in syndromes.iter_mut().take(2 * self.strength) {
            point = times_alpha(point);
            let mut rest = difference;
            for _ in 0..self.code_bits() {
                *syndrome = multiply(*syndrome, point) ^ (rest >> 127) as u32;
                rest <<= 1;
            }
        }
        syndromes
    }

    /// Berlekamp-Massey: the shortest recurrence that gives the syndromes; its degree is the number of errors.
    fn find_locator(
        &self,
        syndromes: &[u32; 2 * STRENGTH_MAX],
        current: &mut Polynomial,
    ) -> Option<usize> {
        let mut previous = [0; LOCATOR_TERMS];
        *current.first_mut()? = 1;
        *previous.first_mut()? = 1;
        let (mut length, mut gap, mut previous_discrepancy) = (0usize, 1usize, 1u32);
        for step in 0..2 * self.strength {
            let discrepancy = (0..=length.min(step)).fold(0, |sum, index| {
                let factor = current.get(index).copied().unwrap_or(0);
                sum ^ multiply(factor, syndromes.get(step - index).copied().unwrap_or(0))
            });
            if discrepancy == 0 {
                gap += 1;
                continue;
            }
            let before = *current;
            let scale = multiply(discrepancy, invert(previous_discrepancy));
            for (target, &source) in current.iter_mut().skip(gap).zip(&previous) {
                *target ^= multiply(scale, source);
            }
            if 2 * length <= step {
                length = step + 1 - length;
                previous = before;
                previous_discrepancy = discrepancy;
                gap = 1;
            } else {
                gap += 1;
            }
        }
        (1..=self.strength).contains(&length).then_some(length)
    }

    /// Which powers are wrong: x^i is when alpha^-i is a root. All roots must lie inside step and code.
    fn find_roots(
        &self,
        locator: &Polynomial,
        degree: usize,
        found: &mut [u32; STRENGTH_MAX],
    ) -> Option<()> {
        let mut count = 0;
        let alpha_inverse = invert(2);
        let mut factors = [0; LOCATOR_TERMS];
        let mut factor = 1;
        for slot in factors.iter_mut() {
            *slot = factor;
            factor = multiply(factor, alpha_inverse);
        }
        let mut terms = *locator;
        for power in 0..STEP_BITS + self.code_bits() {
            if terms
                .iter()
                .take(degree + 1)
                .fold(0, |sum, term| sum ^ term)
                == 0
            {
                *found.get_mut(count)? = power;
                count += 1;
            }
            let used = terms.iter_mut().zip(&factors).take(degree + 1);
            for (term, &factor) in used {
                *term = multiply(*term, factor);
            }
        }
        (count == degree).then_some(())
    }
}

/// Room for every intermediate recurrence of 2t syndromes.
const LOCATOR_TERMS: usize = 2 * STRENGTH_MAX + 1;
type Polynomial = [u32; LOCATOR_TERMS];

#[cfg(test)]
#[path = "bch_tests.rs"]
mod tests;
