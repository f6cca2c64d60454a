use std::vec::Vec;

use crate::testing::{
    Bench, GUEST, Random, nand_geometry, nand_geometry_of, nor_geometry, pattern,
};
use crate::*;

fn ram_geometry() -> Geometry {
    Geometry {
        kind: Kind::Ram,
        lock: LockScheme::None,
        ..nor_geometry()
    }
}

#[test]
fn nor_ands_and_ram_stores() {
    let mut nor = Bench::new(nor_geometry());
    let mut ram = Bench::new(ram_geometry());
    let mut expected = vec![0xffu8; 0x8000];
    let mut random = Random(3);
    for round in 0..60 {
        let at = random.below(0x6000);
        let data = pattern(round, random.below(0x2000) as usize);
        nor.program(at, &data).unwrap();
        ram.program(at, &data).unwrap();
        for (target, byte) in expected[at as usize..].iter_mut().zip(&data) {
            *target &= byte;
        }
        assert_eq!(nor.read(0, 0x8000), expected);
        assert_eq!(ram.read(at, data.len()), data);
        nor.check_clean_promise();
        ram.check_clean_promise();
    }
}

#[test]
fn an_erased_target_is_one_write_and_no_read() {
    let mut bench = Bench::new(nor_geometry());
    bench.medium.guest = pattern(1, 0x10_0000);
    let from = Source::Guest {
        address: GUEST,
        length: 0x10_0000,
    };
    bench
        .with(|chip| chip.program(0x100, from, OpMode::Place))
        .1
        .unwrap();
    assert_eq!((bench.medium.reads, bench.medium.writes), (0, 1));
    assert_eq!(bench.medium.main[0x100..0x10_0100], bench.medium.guest[..]);
    // Appending keeps the permission exact.
    bench.program(0x10_0100, &[1, 2, 3]).unwrap();
    bench.program(0x10_0103, &[4]).unwrap();
    assert_eq!((bench.medium.reads, bench.medium.writes), (0, 3));
    bench.program(0x10_0102, &[0, 0]).unwrap();
    assert_eq!(bench.medium.reads, 1);
    bench.check_clean_promise();
}

#[test]
fn a_write_over_used_and_erased_blocks_reads_only_the_used_ones() {
    let mut bench = Bench::new(nor_geometry());
    bench.program(0x10, &[0xf0; 16]).unwrap();
    let data = pattern(1, 0x8_0000);
    bench.program(0, &data).unwrap();
    assert_eq!((bench.medium.reads, bench.medium.writes), (1, 3));
    let read = bench.read(0, 0x8_0000);
    assert!(
        read.iter()
            .zip(&data)
            .enumerate()
            .all(|(at, (read, data))| {
                *read
                    == if (0x10..0x20).contains(&at) {
                        data & 0xf0
                    } else {
                        *data
                    }
            })
    );
}

#[test]
fn a_fault_in_the_source_changes_nothing() {
    for geometry in [nor_geometry(), ram_geometry()] {
        for used in [false, true] {
            let mut bench = Bench::new(geometry);
            if used {
                bench.program(0x1800, &[0x0f; 64]).unwrap();
            }
            bench.medium.guest = vec![0; 0x2000];
            let before = bench.medium.main.clone();
            let from = Source::Guest {
                address: GUEST,
                length: 0x3000,
            };
            let result = bench
                .with(|chip| chip.program(0x100, from, OpMode::Place))
                .1;
            assert_eq!(result, Err(FlashError::Fault));
            assert!(bench.medium.main == before);
            bench.check_clean_promise();
            bench.program(0x100, &[7]).unwrap();
            assert_eq!(bench.read(0x100, 2), [7, 0xff]);
        }
    }
}

#[test]
fn blocks_known_to_be_erased_are_counted_but_not_written() {
    let mut bench = Bench::new(nor_geometry());
    bench.program(0x5000, &[0]).unwrap();
    bench.with(|chip| chip.erase(0, 0x20_0000)).unwrap();
    assert_eq!(bench.medium.erases, 1);
    assert!((0..512).all(|block| bench.words.ledger().wear(block) == Ok(1)));
    bench.words.ledger().next_epoch(&nor_geometry());
    bench.with(|chip| chip.erase(0, 0x20_0000)).unwrap();
    assert_eq!(bench.medium.erases, 2, "a new epoch trusts nothing");
}

#[test]
fn erase_alignment_follows_the_chip() {
    let mut bench = Bench::new(nor_geometry());
    bench.program(0x1000, &[0; 0x2000]).unwrap();
    assert_eq!(bench.with(|chip| chip.erase(0x1800, 0x1000)), Ok(()));
    assert_eq!(bench.read(0x1000, 0x1000), vec![0xff; 0x1000]);
    assert_eq!(bench.read(0x2000, 0x1000), vec![0; 0x1000]);
    assert_eq!(
        bench.with(|chip| chip.erase(0, 1)),
        Err(FlashError::Invalid)
    );
    assert_eq!(
        bench.with(|chip| chip.erase(u64::MAX, 0x1000)),
        Err(FlashError::Invalid)
    );
    let strict = Geometry {
        erase_alignment: EraseAlignment::StartAndLength,
        ..nor_geometry()
    };
    let mut bench = Bench::new(strict);
    assert_eq!(
        bench.with(|chip| chip.erase(0x1800, 0x1000)),
        Err(FlashError::Invalid)
    );
}

#[test]
fn regions_of_different_block_sizes_are_erased_by_their_own_size() {
    let mut geometry = Geometry {
        size: 0x4_0000,
        erasesize: 0x1_0000,
        erase_alignment: EraseAlignment::StartAndLength,
        lock: LockScheme::PerBlock,
        region_count: 2,
        ..nor_geometry()
    };
    geometry.regions[0] = EraseRegion {
        offset: 0,
        erasesize: 0x2000,
        block_count: 8,
    };
    geometry.regions[1] = EraseRegion {
        offset: 0x1_0000,
        erasesize: 0x1_0000,
        block_count: 3,
    };
    let mut bench = Bench::new(geometry);
    bench.program(0, &vec![0; 0x4_0000]).unwrap();
    assert_eq!(bench.with(|chip| chip.erase(0x2000, 0x2000)), Ok(()));
    assert_eq!(
        bench.with(|chip| chip.erase(0x1_2000, 0x2000)),
        Err(FlashError::Invalid)
    );
    assert_eq!(
        bench.with(|chip| chip.erase(0xe000, 0x1_2000)),
        Ok(()),
        "across both sizes"
    );
    assert_eq!(bench.with(|chip| chip.lock(0x4000, 0x2000)), Ok(()));
    assert_eq!(
        bench.with(|chip| chip.erase(0, 0x8000)),
        Err(FlashError::ReadOnly)
    );
    let erased: Vec<bool> = (0..32)
        .map(|index| bench.medium.main[index * 0x2000] == 0xff)
        .collect();
    let expected: Vec<bool> = (0..32)
        .map(|index| index < 2 || (7..16).contains(&index))
        .collect();
    assert_eq!(erased, expected);
    bench.check_clean_promise();
}

#[test]
fn otp_regions_are_programmed_once_and_locked() {
    let mut bench = Bench::new(nor_geometry());
    bench.medium.otp_factory.copy_from_slice(&pattern(1, 16));
    let region = |bench: &mut Bench, area, index| bench.with(|chip| chip.otp_region(area, index));
    assert_eq!(region(&mut bench, Area::OtpUser, 3), None);
    assert!(region(&mut bench, Area::OtpFactory, 0).unwrap().locked);
    let mut write =
        |from, bytes: &[u8]| bench.with(|chip| chip.otp_write(from, Source::Bytes(bytes)));
    assert_eq!(write(4, &[0x3c; 4]), Ok(4));
    assert_eq!(write(4, &[0xf0; 2]), Ok(2));
    assert_eq!(write(0x2fe, &[0x5a; 8]), Ok(2), "short at the end");
    assert_eq!(write(0x300, &[1]), Err(FlashError::NoSpace));
    assert_eq!(write(u64::MAX, &[1]), Err(FlashError::NoSpace));
    let mut bytes = [0; 8];
    assert_eq!(
        bench.with(|chip| chip.otp_read(Area::OtpUser, 2, Sink::Bytes(&mut bytes))),
        Ok(8)
    );
    assert_eq!(bytes, [0xff, 0xff, 0x30, 0x30, 0x3c, 0x3c, 0xff, 0xff]);
    assert_eq!(
        bench.with(|chip| chip.otp_read(Area::OtpUser, 0x301, Sink::Bytes(&mut bytes))),
        Ok(0)
    );
    for (from, length) in [(0, 16), (1, 256), (0, 0x400), (768, 16)] {
        assert_eq!(
            bench.with(|chip| chip.otp_lock(from, length)),
            Err(FlashError::Invalid)
        );
    }
    assert_eq!(bench.with(|chip| chip.otp_lock(256, 256)), Ok(()));
    assert!(region(&mut bench, Area::OtpUser, 1).unwrap().locked);
    assert!(!region(&mut bench, Area::OtpUser, 2).unwrap().locked);
    assert_eq!(
        bench.with(|chip| chip.otp_write(255, Source::Bytes(&[0; 2]))),
        Err(FlashError::ReadOnly)
    );
    assert_eq!(
        bench.with(|chip| chip.otp_erase(0, 768)),
        Err(FlashError::ReadOnly)
    );
    assert_eq!(bench.with(|chip| chip.otp_erase(0, 256)), Ok(()));
    assert_eq!(bench.medium.otp_user[..8], [0xff; 8]);
}

/// Does one operation with a number that decides which.
fn operate(bench: &mut Bench, random: &mut Random) -> Result<(), FlashError> {
    let geometry = bench.geometry;
    let unit = u64::from(geometry.subpage_size());
    let units = random.below(3 * u64::from(geometry.erasesize) / unit) + 1;
    let at = random.below(geometry.size / unit - units) * unit;
    let data = pattern(random.next(), (units * unit) as usize);
    let block = u64::from(geometry.erasesize);
    match random.below(6) {
        0 | 1 => bench.program(at, &data),
        2 => bench.with(|chip| {
            chip.erase(
                at / block * block,
                block
                    * (1 + random.below(2))
                        .min((geometry.size - at) / block)
                        .max(1),
            )
        }),
        3 => {
            let unit = at / block * block..at / block * block + block;
            let length = data.len().min((unit.end - at) as usize);
            let from = Source::Bytes(&data[..length]);
            bench
                .with(|chip| chip.replace(unit, at, from))
                .and(bench.with(|chip| chip.flush(true)))
        }
        4 if geometry.is_nand() => {
            let oob = pattern(random.next(), geometry.oobsize as usize);
            let ops = WriteOps {
                mode: OpMode::Raw,
                data: None,
                oob: Some(Source::Bytes(&oob)),
                ooboffs: 0,
            };
            bench.with(|chip| chip.write_oob(at, ops)).1
        }
        _ => bench.with(|chip| chip.mark_bad(at)).map(|_| ()).or(Ok(())),
    }
}

/// Every change of the image may be the last one, whole or half: what the ledger calls erased is erased, and the
/// chip works on afterwards.
#[test]
fn a_cut_at_any_change_keeps_the_promise_of_the_ledger() {
    let small = |geometry: Geometry| Geometry {
        size: 8 * u64::from(geometry.erasesize),
        ..geometry
    };
    let geometries = [
        small(nor_geometry()),
        small(ram_geometry()),
        small(nand_geometry_of(512, 16, Ecc::Hamming)),
        small(nand_geometry_of(512, 16, Ecc::None)),
        small(nand_geometry_of(2048, 64, Ecc::Bch { strength: 4 })),
        small(nand_geometry()),
    ];
    for geometry in geometries {
        for seed in 1..9 {
            let mut bench = Bench::new(Geometry {
                lock: LockScheme::None,
                ..geometry
            });
            let mut random = Random(seed * 7919);
            for cut in 0..6 {
                for _ in 0..3 {
                    let _ = operate(&mut bench, &mut random);
                }
                bench.medium.changes_left = Some(cut % 3);
                let _ = operate(&mut bench, &mut random);
                bench.check_clean_promise();
                bench.medium.changes_left = None;
                let result = operate(&mut bench, &mut random);
                assert_ne!(result, Err(FlashError::Store));
                bench.check_clean_promise();
            }
            assert_eq!(bench.words.ledger().damage(&bench.geometry, 0), None);
        }
    }
}

#[test]
fn damaged_records_are_reported_by_the_operation_that_needs_them() {
    let mut bench = Bench::new(nor_geometry());
    bench.words.flip(ledger::HEADER_WORDS + 4 * 3 + 1, 25);
    assert_eq!(bench.with(|chip| chip.erase(0x2000, 0x1000)), Ok(()));
    assert_eq!(
        bench.with(|chip| chip.erase(0x2000, 0x2000)),
        Err(FlashError::Store)
    );
    assert_eq!(
        bench
            .words
            .ledger()
            .damage(&nor_geometry(), 0)
            .and_then(|damage| damage.block),
        Some(3)
    );
    // A damaged permission only costs a read.
    bench.words.flip(ledger::HEADER_WORDS + 4 * 7, 3);
    bench.program(0x7000, &[0]).unwrap();
    assert_eq!(bench.read(0x7000, 2), [0, 0xff]);
}
