//! Transfers that need nothing of a chip but its bytes, which the ledger tells at once: they do what `Chip::read` and
//! `Chip::program` do, without the steps in between. Whatever is not as it mostly is takes those.

use core::sync::atomic::AtomicU32;

use crate::chip::Chip;
use crate::geometry::{KEPT_PAGE_MAX, UNITS_MAX};
use crate::ledger::{is_cached, protection};
use crate::{Ecc, FlashError, Geometry, Kind, Known, LockScheme, Source};

const UNIT_SHIFT: u32 = 8;
const UNIT_INDEXES: u64 = 1 << (u32::BITS + UNIT_SHIFT);

/// What of a geometry is asked at each of them, so that it need not be found out each time. All zeros let nothing through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Straight {
    /// Of the chip, or of what can be counted here.
    end: u64,
    /// Bytes of an eraseblock, less one.
    block_mask: u32,
    /// In two steps: of 64 bits only a constant shift is cheap.
    block_shift: u32,
    /// Bytes that are programmed together, less one.
    unit_mask: u32,
    unit_shift: u32,
    /// How far into a block one may program, or read where blocks are sound: to its end, or nowhere.
    program_end: u32,
    sound_end: u32,
    /// Reading needs no code.
    is_plain: bool,
    /// Programming asks these bits of the block-protect word.
    protection: u32,
}

impl Straight {
    pub const NOTHING: Straight = Straight {
        end: 0,
        block_mask: 0,
        block_shift: 0,
        unit_mask: 0,
        unit_shift: 0,
        program_end: 0,
        sound_end: 0,
        is_plain: false,
        protection: 0,
    };

    #[inline(never)]
    pub fn of(geometry: &Geometry) -> Straight {
        let erasesize = geometry.erasesize;
        // Of kinds other than NAND nothing but `None` is said.
        let is_plain = matches!(geometry.ecc, Ecc::None | Ecc::OnDie);
        let unit = match (geometry.kind, geometry.lock) {
            (Kind::Nand | Kind::MlcNand, _) if is_plain => geometry.writesize,
            // NOR counts bytes, where its blocks are small enough for that.
            (Kind::Nor, LockScheme::None | LockScheme::NoEffect | LockScheme::BlockProtect(_))
                if erasesize <= UNITS_MAX as u32 =>
            {
                1
            }
            _ => 0,
        };
        let is_mask = erasesize.is_power_of_two() && erasesize.trailing_zeros() >= UNIT_SHIFT;
        let is_simple = is_mask && geometry.region_count == 0;
        let end_if = |is_good: bool| if is_simple && is_good { erasesize } else { 0 };
        Straight {
            end: geometry.size.min(UNIT_INDEXES),
            block_mask: erasesize.wrapping_sub(1),
            block_shift: erasesize.trailing_zeros().saturating_sub(UNIT_SHIFT),
            unit_mask: unit.wrapping_sub(1),
            unit_shift: unit.trailing_zeros(),
            program_end: end_if(unit.is_power_of_two()),
            sound_end: end_if(geometry.writesize > KEPT_PAGE_MAX && !is_plain),
            is_plain,
            protection: match geometry.lock {
                LockScheme::BlockProtect(_) => u32::MAX,
                _ => 0,
            },
        }
    }

    /// Whether pages have a code that reading looks at, unless it `reads` straight.
    #[inline(always)]
    pub fn has_code(&self) -> bool {
        !self.is_plain
    }

    /// The eraseblock that holds the byte at `at`, and where in it that is.
    #[inline(always)]
    fn block_of(&self, at: u64) -> (u32, u32) {
        let index = (at >> UNIT_SHIFT) as u32 >> (self.block_shift & 31);
        (index, at as u32 & self.block_mask)
    }

    /// Whether reading a range of the chip is nothing but a copy of its bytes: no code has to be looked at.
    #[inline(always)]
    pub fn reads(&self, words: &[AtomicU32], known: &Known, at: u64, length: u32) -> bool {
        if self.is_plain {
            return !is_cached(words) && at.saturating_add(length.into()) <= self.end;
        }
        let (block, from) = self.block_of(at);
        let is_outside = u32::from(from.saturating_add(length) > self.sound_end)
            | (u32::from(at >= self.end) << 1);
        is_outside == 0 && known.is_sound(words, block)
    }

    /// Whether programming a range of the chip is nothing but a write of its bytes, which are not ANDed to others and have no
    /// code. Then they are no longer known to be erased, and are to be stored: straight away or by `Chip::store_claimed`.
    #[inline(always)]
    pub fn claim(&self, words: &[AtomicU32], known: &Known, at: u64, length: u32) -> bool {
        let (block, from) = self.block_of(at);
        // Both are below 2^31, or refused.
        let to = from.wrapping_add(length);
        // By one test: behind the chip or the block, no whole units, nothing, or protected.
        let is_refused = u32::from(at >= self.end)
            | u32::from(to > self.program_end)
            | (from | length) & self.unit_mask
            | length.wrapping_sub(1) >> 31
            | protection(words) & self.protection;
        let shift = self.unit_shift & 31;
        is_refused == 0 && known.claim(words, block, from >> shift, to >> shift)
    }
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

    fn straight(
        bench: &mut Bench,
        known: &Known,
        at: u64,
        from: Source<'_>,
    ) -> Result<(), FlashError> {
        let (straight, length) = (Straight::of(&bench.geometry), from.length() as u32);
        bench.with(|chip| {
            if straight.claim(chip.ledger.words(), known, at, length) {
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
            let straight_of = Straight::of(&geometry);
            let known = &Known::nothing();
            let is_straight = straight_of.claim(alone.words.ledger().words(), known, 0, 2048);
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
                        _ if which == 0 => straight(bench, known, at, from),
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
                    let ledger = benches[0].words.ledger();
                    let straight = straight_of.reads(ledger.words(), known, at, 16);
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
