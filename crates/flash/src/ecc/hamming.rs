//! Software Hamming: 3 bytes over 256, one bit corrected, two detected.
//!
//! Every bit has an address of eight bits for its byte (line parity) and three for its place in it (column parity).
//! The code holds, for each address bit, the parity of all data bits where it is 1 and of those where it is 0, all
//! inverted. Byte 0: line parity of the upper four byte-address bits; byte 1: the lower four; byte 2: column parity and
//! two ones. Source: `ecc-sw-hamming.c` with `sm_order` off; bytes checked against recordings of a real kernel.

use super::Uncorrectable;

/// The parity of a word.
fn odd(word: u32) -> u32 {
    let half = word ^ word >> 16;
    let byte = half ^ half >> 8;
    0x6996 >> ((byte ^ byte >> 4) & 15) & 1
}

/// Of each bit k the pair of the parity where it is 1, at bit 2k+1, and where it is 0, at bit 2k. The bits where an address
/// bit is 0 are all bits but those where it is 1.
#[inline(always)]
fn pairs_of(set: u32, total: u32) -> u32 {
    let spread = (set | set << 4) & 0x0f0f;
    let spread = (spread | spread << 2) & 0x3333;
    let spread = (spread | spread << 1) & 0x5555;
    (spread * 3) ^ (total * 0x5555)
}

/// Small rather than fast: where it matters, something faster is handed in (`Code::quicken`).
pub fn calculate(step: &[u8], code: &mut [u8]) {
    let (mut all, mut words) = (0, 0);
    for (number, word) in (0..).zip(step.as_chunks::<4>().0) {
        let word = u32::from_le_bytes(*word);
        all ^= word;
        words ^= odd(word) * number;
    }
    let set = words << 2 | odd(all & 0xffff_0000) << 1 | odd(all & 0xff00_ff00);
    let column_set =
        odd(all & 0xaaaa_aaaa) | odd(all & 0xcccc_cccc) << 1 | odd(all & 0xf0f0_f0f0) << 2;
    let lines = !pairs_of(set, odd(all));
    let columns = !pairs_of(column_set, odd(all)) << 2 | 3;
    if let [upper, lower, column] = code {
        (*upper, *lower, *column) = ((lines >> 8) as u8, lines as u8, columns as u8);
    }
}

/// The odd bits of a byte, put together: the address that the parities point at.
fn address(parities: u8) -> usize {
    (0..4).fold(0, |address, bit| {
        address | usize::from(parities >> (2 * bit + 1) & 1) << bit
    })
}

pub fn correct(step: &mut [u8], stored: &[u8], calculated: &[u8]) -> Result<u32, Uncorrectable> {
    let (&[upper, lower, column], &[upper_now, lower_now, column_now]) = (stored, calculated)
    else {
        return Err(Uncorrectable);
    };
    let (upper, lower, column) = (upper ^ upper_now, lower ^ lower_now, column ^ column_now);
    if upper | lower | column == 0 {
        return Ok(0);
    }
    // One wrong data bit changes exactly one parity of each pair.
    let one_of_each = |parities: u8, pairs: u8| (parities ^ parities >> 1) & pairs == pairs;
    if one_of_each(upper, 0x55) && one_of_each(lower, 0x55) && one_of_each(column, 0x54) {
        let byte = step
            .get_mut(address(upper) << 4 | address(lower))
            .ok_or(Uncorrectable)?;
        *byte ^= 1 << address(column >> 2);
        return Ok(1);
    }
    // One wrong bit in the code itself: the data is fine.
    if upper.count_ones() + lower.count_ones() + column.count_ones() == 1 {
        return Ok(1);
    }
    Err(Uncorrectable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pattern;

    fn code_of(step: &[u8]) -> [u8; 3] {
        let mut code = [0; 3];
        calculate(step, &mut code);
        code
    }

    /// Straight from the definition: the parity of every pair, bit by bit.
    fn code_by_definition(step: &[u8]) -> [u8; 3] {
        let parity = |address_bit: usize, wanted: usize| {
            let bits = step
                .iter()
                .enumerate()
                .flat_map(|(byte, value)| (0..8).map(move |bit| (byte, bit, value >> bit & 1)));
            bits.filter(|&(byte, bit, _)| (bit | byte << 3) >> address_bit & 1 == wanted)
                .fold(0, |sum, (_, _, bit)| sum ^ bit)
        };
        let pairs = |first: usize, count: usize| {
            (0..count).fold(0u8, |code, k| {
                code | parity(first + k, 1) << (2 * k + 1) | parity(first + k, 0) << (2 * k)
            })
        };
        [!pairs(7, 4), !pairs(3, 4), !(pairs(0, 3) << 2) | 3]
    }

    #[test]
    fn the_fast_code_is_the_code_of_the_definition() {
        for seed in 0..50 {
            let step = pattern(seed, 256);
            assert_eq!(code_of(&step), code_by_definition(&step), "{seed}");
        }
    }

    #[test]
    fn erased_bytes_have_an_erased_code() {
        assert_eq!(code_of(&[0xff; 256]), [0xff; 3]);
    }

    #[test]
    fn every_single_bit_is_corrected() {
        let step = pattern(9, 256);
        let stored = code_of(&step);
        for bit in 0..2048 {
            let mut read = step.clone();
            read[bit / 8] ^= 1 << (bit % 8);
            let now = code_of(&read);
            assert_eq!(correct(&mut read, &stored, &now), Ok(1));
            assert_eq!(read, step);
        }
    }

    #[test]
    fn one_wrong_bit_in_the_code_counts_and_changes_nothing() {
        let step = pattern(3, 256);
        let stored = code_of(&step);
        for bit in 0..24 {
            let mut wrong = stored;
            wrong[bit / 8] ^= 1 << (bit % 8);
            let mut read = step.clone();
            assert_eq!(correct(&mut read, &wrong, &stored), Ok(1), "{bit}");
            assert_eq!(read, step);
        }
    }

    #[test]
    fn two_wrong_bits_are_never_set_right_silently() {
        let step = pattern(4, 256);
        let stored = code_of(&step);
        for (first, second) in (0..2048)
            .zip((0..2048).map(|bit| (bit * 37 + 11) % 2048))
            .filter(|(a, b)| a != b)
        {
            let mut read = step.clone();
            read[first / 8] ^= 1 << (first % 8);
            read[second / 8] ^= 1 << (second % 8);
            let now = code_of(&read);
            assert_eq!(correct(&mut read, &stored, &now), Err(Uncorrectable));
        }
    }
}
