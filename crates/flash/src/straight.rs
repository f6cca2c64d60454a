//! Transfers that need nothing of a chip but its bytes, which the ledger tells at once: they do what `Chip::read` and
//! `Chip::program` do, without the steps in between. Whatever is not as it mostly is takes those.

use crate::chip::Chip;
use crate::geometry::{KEPT_PAGE_MAX, UNITS_MAX};
use crate::{Ecc, FlashError, Geometry, Kind, Ledger, LockScheme, Source};

const UNIT_SHIFT: u32 = 8;
const UNIT_INDEXES: u64 = 1 << (u32::BITS + UNIT_SHIFT);

/// The eraseblock that holds a whole range, and where in it the range begins; only where that is known without a division.
#[inline(always)]
fn block_of(geometry: &Geometry, at: u64, length: u32) -> Option<(u32, u32)> {
    let mask = geometry.erasesize.wrapping_sub(1);
    let from = at as u32 & mask;
    let is_one = geometry.erasesize.is_power_of_two()
        && geometry.region_count == 0
        && length.checked_add(from)? <= geometry.erasesize;
    // In two steps: of 64 bits only a constant shift is cheap.
    let shift = geometry
        .erasesize
        .trailing_zeros()
        .checked_sub(UNIT_SHIFT)?;
    let index = (at >> UNIT_SHIFT) as u32 >> shift;
    (is_one && at < geometry.size.min(UNIT_INDEXES)).then_some((index, from))
}

/// Only of NAND more than `None` is said.
#[inline(always)]
fn has_no_code(geometry: &Geometry) -> bool {
    matches!(geometry.ecc, Ecc::None | Ecc::OnDie)
}

/// Whether reading a range of the chip is nothing but a copy of its bytes: no code has to be looked at.
#[inline(always)]
pub fn reads_straight(geometry: &Geometry, ledger: &Ledger<'_>, at: u64, length: u32) -> bool {
    if has_no_code(geometry) {
        return !ledger.is_cached() && at.saturating_add(u64::from(length)) <= geometry.size;
    }
    geometry.writesize > KEPT_PAGE_MAX
        && block_of(geometry, at, length).is_some_and(|(block, _)| ledger.is_sound_still(block))
}

/// Whether programming a range of the chip is nothing but a write of its bytes, which are not ANDed to others and have no
/// code. Then they are no longer known to be erased, and are to be stored: straight away or by `Chip::store_claimed`.
#[inline(always)]
pub fn claim_straight(geometry: &Geometry, ledger: &Ledger<'_>, at: u64, length: u32) -> bool {
    let unit = match (geometry.kind, geometry.lock) {
        (Kind::Nand | Kind::MlcNand, _) if has_no_code(geometry) => geometry.writesize,
        (Kind::Nor, LockScheme::None | LockScheme::NoEffect) => 1,
        (Kind::Nor, LockScheme::BlockProtect(_)) if ledger.is_unprotected() => 1,
        _ => return false,
    };
    // NOR counts bytes, where its blocks are small enough for that.
    if unit == 1 && geometry.erasesize > UNITS_MAX as u32 {
        return false;
    }
    let Some((block, start)) = block_of(geometry, at, length) else {
        return false;
    };
    let shift = unit.trailing_zeros();
    length != 0
        && (start | length) & unit.wrapping_sub(1) == 0
        && ledger.claim(block, start >> shift, (start + length) >> shift)
}

impl Chip<'_> {
    /// Stores what was claimed; where the guest has no bytes, it is erased again.
    pub fn store_claimed(&mut self, at: u64, from: Source<'_>) -> Result<(), FlashError> {
        self.store_clean(at, from)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, GUEST, Random, nand_geometry, nor_geometry, pattern};
    use crate::*;

    fn straight(bench: &mut Bench, at: u64, from: Source<'_>) -> Result<(), FlashError> {
        bench.with(|chip| {
            if claim_straight(chip.geometry, chip.ledger, at, from.length() as u32) {
                chip.store_claimed(at, from)
            } else {
                chip.program(at, from, OpMode::Place).1
            }
        })
    }

    fn geometries() -> [Geometry; 5] {
        let protect = LockScheme::BlockProtect(BlockProtect::TOP);
        let nor = nor_geometry();
        let nand = nand_geometry();
        [
            Geometry {
                lock: LockScheme::None,
                ..nor
            },
            Geometry {
                lock: protect,
                ..nor
            },
            Geometry {
                lock: LockScheme::PerBlock,
                ..nor
            },
            Geometry {
                ecc: Ecc::None,
                ..nand
            },
            nand,
        ]
    }

    #[test]
    fn straight_programs_leave_what_others_leave() {
        for geometry in geometries() {
            let alone = Bench::new(geometry);
            let is_straight = claim_straight(&geometry, &alone.words.ledger(), 0, 2048);
            let stands_in_the_way =
                geometry.ecc_strength() > 0 || geometry.lock == LockScheme::PerBlock;
            assert_eq!(is_straight, !stands_in_the_way);
            let mut benches = [Bench::new(geometry), Bench::new(geometry)];
            let block = u64::from(geometry.erasesize);
            let unit = u64::from(geometry.writesize).max(16);
            let mut random = Random(11);
            for round in 0..600 {
                let at = random.below(3 * block / unit) * unit;
                let length = (1 + random.below(4)) * if random.below(9) == 0 { 7 } else { unit };
                let data = pattern(round, length as usize);
                let fault = random.below(8) == 0;
                let action = random.below(12);
                for (which, bench) in benches.iter_mut().enumerate() {
                    bench.medium.guest = if fault {
                        vec![0; length as usize / 2]
                    } else {
                        data.clone()
                    };
                    let from = Source::Guest {
                        address: GUEST,
                        length: length as usize,
                    };
                    let result = match action {
                        0 => bench.with(|chip| chip.erase(at / block * block, block)),
                        1 => bench.with(|chip| chip.lock(at / block * block, block)),
                        2 => bench.with(|chip| chip.unlock(0, geometry.size)),
                        3 => {
                            bench.image_changed_from_outside();
                            Ok(())
                        }
                        _ if which == 0 => straight(bench, at, from),
                        _ => bench.with(|chip| chip.program(at, from, OpMode::Place).1),
                    };
                    let _ = result;
                    bench.check_clean_promise_of_some();
                }
                let [ours, others] = &benches;
                assert!(
                    ours.medium.main == others.medium.main,
                    "{geometry:?} round {round}"
                );
                for block in 0..4 {
                    assert_eq!(
                        ours.words.ledger().clean_from(block),
                        others.words.ledger().clean_from(block)
                    );
                }
                for at in [0, block - 16, 2 * block, geometry.size - 8] {
                    let straight = reads_straight(&geometry, &benches[0].words.ledger(), at, 16);
                    if straight && at + 16 <= geometry.size {
                        let stored = benches[0].medium.main[at as usize..][..16].to_vec();
                        assert_eq!(benches[1].read(at, 16), stored);
                    }
                    assert!(!straight || at + 16 <= geometry.size);
                }
            }
        }
    }
}
