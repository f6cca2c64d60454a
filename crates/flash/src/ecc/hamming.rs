//! Software Hamming: 3 bytes over 256, one bit corrected, two detected.
//!
//! Every bit has an address of eight bits for its byte (line parity) and three for its place in it (column parity).
//! The code holds, for each address bit, the parity of all data bits where it is 1 and of those where it is 0, all
//! inverted. Byte 0: line parity of the upper four byte-address bits; byte 1: the lower four; byte 2: column parity and
//! two ones. Source: `ecc-sw-hamming.c` with `sm_order` off; bytes checked against recordings of a real kernel.

use super::Uncorrectable;

/// The parities of eight words, of word k in bit k: each step halves the words and packs two into one.
#[inline(always)]
fn parities([w0, w1, w2, w3, w4, w5, w6, w7]: [u32; 8]) -> u32 {
    let halves =
        |low: u32, high: u32| (low ^ low >> 16) & 0xffff | (high ^ high << 16) & 0xffff_0000;
    let quarters =
        |low: u32, high: u32| (low ^ low >> 8) & 0x00ff_00ff | (high ^ high << 8) & 0xff00_ff00;
    let even = quarters(halves(w0, w4), halves(w2, w6));
    let odd = quarters(halves(w1, w5), halves(w3, w7));
    // Word k is nibble k from here on.
    let nibbles = (even ^ even >> 4) & 0x0f0f_0f0f | (odd ^ odd << 4) & 0xf0f0_f0f0;
    let pairs = nibbles ^ nibbles >> 2;
    let bits = (pairs ^ pairs >> 1) & 0x1111_1111;
    let bits = (bits | bits >> 3) & 0x0303_0303;
    let bits = (bits | bits >> 6) & 0x000f_000f;
    (bits | bits >> 12) & 0xff
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

/// Eight words, as 32 bytes.
type Eight = [[u8; 4]; 8];

/// XOR of the words whose number has bit 0, 1 or 2 set, of eight words, added to what was gathered; and of all eight.
#[inline(always)]
fn gather(eight: &Eight, bits: (u32, u32, u32)) -> ((u32, u32, u32), u32) {
    let [w0, w1, w2, w3, w4, w5, w6, w7] = *eight;
    let word = u32::from_le_bytes;
    let (w1, w3, w5, w7) = (word(w1), word(w3), word(w5), word(w7));
    let odd = w1 ^ w3 ^ w5 ^ w7;
    let (p2, p6) = (word(w2) ^ w3, word(w6) ^ w7);
    let upper = word(w4) ^ w5 ^ p6;
    let all = word(w0) ^ w1 ^ p2 ^ upper;
    ((bits.0 ^ odd, bits.1 ^ p2 ^ p6, bits.2 ^ upper), all)
}

pub fn calculate(step: &[u8], code: &mut [u8]) {
    // Bits 2 to 4 of a byte's address tell the word among eight, bits 5 to 7 which eight.
    let (words, _) = step.as_chunks::<4>();
    let (eights, _) = words.as_chunks::<8>();
    let mut bits = (0, 0, 0);
    let (mut bit5, mut bit6, mut bit7, mut all) = (0, 0, 0, 0);
    // All ones where the number of a pair of eights has the bit.
    let (mut is_odd, mut is_upper) = (0u32, 0u32);
    for [first, second] in eights.as_chunks::<2>().0 {
        let (one, two);
        (bits, one) = gather(first, bits);
        (bits, two) = gather(second, bits);
        let both = one ^ two;
        bit5 ^= two;
        bit6 ^= both & is_odd;
        bit7 ^= both & is_upper;
        all ^= both;
        is_upper ^= is_odd;
        is_odd = !is_odd;
    }
    let (bit2, bit3, bit4) = bits;
    let (bit0, bit1) = (all & 0xff00_ff00, all & 0xffff_0000);
    let set = parities([bit0, bit1, bit2, bit3, bit4, bit5, bit6, bit7]);

    let column = all ^ all >> 16;
    let column = (column ^ column >> 8) & 0xff;
    let upper = column >> 4;
    let nibble = upper ^ column & 15;
    let odd = |nibble: u32| 0x6996 >> nibble & 1;
    let column_set = odd(nibble & 0xa) | odd(nibble & 0xc) << 1 | odd(upper) << 2;
    let total = odd(nibble);

    let lines = !pairs_of(set, total);
    let columns = !pairs_of(column_set, total) << 2 | 3;
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
