use super::*;
use crate::testing::{Random, pattern};
use std::vec::Vec;

fn code_of(bch: &Bch, step: &[u8]) -> Vec<u8> {
    let mut code = vec![0; (bch.code_bits() as usize).div_ceil(8)];
    bch.calculate(step, &mut code);
    code
}

/// Flips distinct random bits of step and code together.
fn flip(random: &mut Random, step: &mut [u8], code: &mut [u8], code_bits: u32, count: usize) {
    let mut chosen = std::collections::BTreeSet::new();
    while chosen.len() < count {
        chosen.insert(random.below(u64::from(STEP_BITS + code_bits)) as usize);
    }
    for bit in chosen {
        match bit.checked_sub(STEP_BITS as usize) {
            None => step[bit / 8] ^= 0x80 >> (bit % 8),
            Some(inner) => code[inner / 8] ^= 0x80 >> (inner % 8),
        }
    }
}

#[test]
fn erased_steps_have_an_erased_code() {
    for strength in 1..=8 {
        let bch = Bch::new(strength).unwrap();
        assert!(
            code_of(&bch, &[0xff; 512]).iter().all(|&byte| byte == 0xff),
            "{strength}"
        );
    }
}

#[test]
fn up_to_strength_flips_are_corrected_wherever_they_are() {
    let mut random = Random(7);
    for strength in 1..=8u8 {
        let bch = Bch::new(strength).unwrap();
        for round in 0..24 {
            let data = pattern(round, 512);
            let code = code_of(&bch, &data);
            let count = round as usize % (usize::from(strength) + 1);
            let (mut read, mut stored) = (data.clone(), code.clone());
            flip(&mut random, &mut read, &mut stored, bch.code_bits(), count);
            let now = code_of(&bch, &read);
            assert_eq!(
                bch.correct(&mut read, &stored, &now),
                Ok(count as u32),
                "{strength} {round}"
            );
            assert_eq!(read, data);
        }
    }
}

/// A decoder that finds more errors than its strength either says so or lands on another valid code word: it must
/// never claim success over a step that its own code does not fit.
#[test]
fn one_flip_too_many_is_refused_or_lands_on_a_valid_code_word() {
    let mut random = Random(11);
    let mut refused = 0;
    for strength in 1..=8u8 {
        let bch = Bch::new(strength).unwrap();
        for round in 0..16 {
            let data = pattern(round + 100, 512);
            let (mut read, mut stored) = (data.clone(), code_of(&bch, &data));
            flip(
                &mut random,
                &mut read,
                &mut stored,
                bch.code_bits(),
                usize::from(strength) + 1,
            );
            let now = code_of(&bch, &read);
            match bch.correct(&mut read, &stored, &now) {
                Err(Uncorrectable) => refused += 1,
                Ok(count) => {
                    let fits = code_of(&bch, &read);
                    let left: u32 = fits
                        .iter()
                        .zip(&stored)
                        .map(|(a, b)| (a ^ b).count_ones())
                        .sum();
                    assert!(
                        left <= count && count <= u32::from(strength),
                        "{strength} {round}"
                    );
                }
            }
        }
    }
    assert!(refused > 64, "{refused}");
}

#[test]
fn the_field_is_the_kernels() {
    assert_eq!(multiply(invert(0x123), 0x123), 1);
    assert_eq!(alpha_to(13), 0x1b);
    assert_eq!(alpha_to(8191), 1);
    assert_eq!(GENERATORS[0], 0x201b);
}
