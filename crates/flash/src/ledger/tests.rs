use super::*;
use crate::testing::{TestWords, nand_geometry, nor_geometry};

#[test]
fn a_ledger_of_zeros_or_ones_is_not_valid() {
    let geometry = nor_geometry();
    let words = TestWords::new(&geometry);
    let ledger = words.ledger();
    assert_eq!(ledger.wear(0), Err(FlashError::Store));
    assert_eq!(ledger.flags(5), Err(FlashError::Store));
    assert_eq!(ledger.clean_from(0), None);
    assert!(ledger.damage(&geometry, 0).is_some());
    ledger.format(&geometry);
    assert_eq!(ledger.damage(&geometry, 0), None);
    assert_eq!(ledger.wear(0), Ok(0));
    assert_eq!(
        ledger.clean_from(0),
        None,
        "a formatted ledger claims nothing"
    );
    ledger.declare_erased(&geometry);
    assert_eq!(ledger.clean_from(3), Some(0));
}

#[test]
fn every_flip_of_one_or_two_bits_is_found() {
    for value in [0, 1, 0x12345, VALUE_MAX] {
        let kind = Kind::Wear;
        let raw = word::encode(value, 77, kind);
        assert_eq!(word::decode(raw, 77, kind), Some(value));
        for other in [0, 7, 0xfffff, 0x54321] {
            assert_eq!(word::change(raw, other), word::encode(other, 77, kind));
        }
        for first in 0..32 {
            for second in first..32 {
                let flips = if first == second {
                    1 << first
                } else {
                    1u32 << first | 1 << second
                };
                assert_eq!(
                    word::decode(raw ^ flips, 77, kind),
                    None,
                    "{value:#x} {first} {second}"
                );
            }
        }
    }
}

#[test]
fn a_damaged_word_is_named() {
    let geometry = nor_geometry();
    let words = TestWords::new(&geometry);
    let ledger = words.ledger();
    ledger.format(&geometry);
    words.flip(place(9, FLAGS), 20);
    let damage = ledger.damage(&geometry, 0);
    assert_eq!(
        damage,
        Some(LedgerDamage {
            word_index: place(9, FLAGS),
            block: Some(9)
        })
    );
    assert_eq!(ledger.flags(9), Err(FlashError::Store));
    assert_eq!(ledger.damage(&geometry, place(9, FLAGS) + 1), None);
}

#[test]
fn a_new_epoch_voids_every_clean_from_even_after_the_check_bits_wrap() {
    let geometry = nor_geometry();
    let words = TestWords::new(&geometry);
    let ledger = words.ledger();
    ledger.format(&geometry);
    ledger.declare_erased(&geometry);
    for _ in 0..9000 {
        ledger.next_epoch(&geometry);
        for block in 0..geometry.block_count() {
            assert_eq!(ledger.clean_from(block), None);
        }
    }
    ledger.set_clean_from(2, Some(7));
    assert_eq!(ledger.clean_from(2), Some(7));
}

#[test]
fn a_damaged_epoch_claims_nothing_and_heals() {
    let geometry = nor_geometry();
    let words = TestWords::new(&geometry);
    let ledger = words.ledger();
    ledger.format(&geometry);
    ledger.declare_erased(&geometry);
    words.flip(EPOCH, 13);
    assert_eq!(ledger.clean_from(1), None);
    ledger.set_clean_from(1, Some(0));
    assert_eq!(ledger.clean_from(1), None);
    ledger.next_epoch(&geometry);
    assert_eq!(ledger.clean_from(1), None);
    ledger.set_clean_from(1, Some(0));
    assert_eq!(ledger.clean_from(1), Some(0));
}

#[test]
fn wear_saturates() {
    let geometry = nor_geometry();
    let words = TestWords::new(&geometry);
    let ledger = words.ledger();
    ledger.format(&geometry);
    ledger.store(place(0, WEAR), Kind::Wear, VALUE_MAX - 1);
    for _ in 0..3 {
        ledger.count_erase(0);
    }
    assert_eq!(ledger.wear(0), Ok(VALUE_MAX));
}

#[test]
fn the_cached_page_keeps_number_and_bitflips() {
    let geometry = nand_geometry();
    let words = TestWords::new(&geometry);
    let ledger = words.ledger();
    ledger.format(&geometry);
    assert_eq!(ledger.cached_page(), None);
    for cached in [(0, 0), (0x7_1234_5678, 8), (31, 1)] {
        ledger.set_cached_page(Some(cached));
        assert_eq!(ledger.cached_page(), Some(cached));
    }
    ledger.set_cached_page(None);
    assert_eq!(ledger.cached_page(), None);
}

#[test]
fn a_ledger_that_is_too_short_is_damage_not_a_panic() {
    let geometry = nor_geometry();
    let ledger = Ledger::new(&[]);
    ledger.format(&geometry);
    assert_eq!(ledger.wear(0), Err(FlashError::Store));
    assert_eq!(
        ledger.damage(&geometry, 0).map(|damage| damage.word_index),
        Some(BLOCK_PROTECT)
    );
    assert_eq!(ledger.block_protect(), Err(FlashError::Store));
}
