use core::ops::Range;
use std::vec::Vec;

use crate::testing::{Bench, GUEST, nand_geometry, nand_geometry_of, pattern};
use crate::*;

fn write_oob(
    bench: &mut Bench,
    at: u64,
    data: Option<&[u8]>,
    oob: &[u8],
    mode: OpMode,
) -> (Outcome, Result<(), FlashError>) {
    let ops = WriteOps {
        mode,
        data: data.map(Source::Bytes),
        oob: Some(Source::Bytes(oob)),
        ooboffs: 0,
    };
    bench.with(|chip| chip.write_oob(at, ops))
}

fn read_oob(bench: &mut Bench, at: u64, length: usize, mode: OpMode) -> Vec<u8> {
    let mut oob = vec![0; length];
    let ops = ReadOps {
        mode,
        data: None,
        oob: Some(Sink::Bytes(&mut oob)),
        ooboffs: 0,
    };
    let (outcome, result) = bench.with(|chip| chip.read_oob(at, ops));
    assert_eq!((outcome.oobretlen, result), (length as u64, Ok(())));
    oob
}

#[test]
fn writes_must_be_whole_subpages() {
    let mut bench = Bench::new(nand_geometry());
    for (at, length) in [(1, 512), (0, 511), (256, 512), (512, 100)] {
        assert_eq!(
            bench.program(at, &vec![0; length]),
            Err(FlashError::Invalid),
            "{at} {length}"
        );
    }
    let data = pattern(1, 512);
    assert_eq!(bench.program(512, &data), Ok(()));
    assert_eq!(bench.read(512, 512), data);
    assert_eq!(bench.read(0, 512), [0xff; 512]);
    let more = pattern(2, 3072);
    assert_eq!(
        bench.program(1024, &more),
        Ok(()),
        "a write may end inside a page"
    );
    assert_eq!(bench.read(1024, 3072), more);
    bench.check_clean_promise();
}

#[test]
fn auto_mode_places_oob_in_the_free_bytes() {
    for (geometry, free) in [
        (nand_geometry(), 2..40),
        (nand_geometry_of(512, 16, Ecc::Hamming), 8..16),
    ] {
        let mut bench = Bench::new(geometry);
        let page = geometry.writesize as usize;
        let user = pattern(5, 2 * free.len());
        let data = pattern(6, 2 * page);
        let (outcome, result) = write_oob(&mut bench, 0, Some(&data), &user, OpMode::Auto);
        assert_eq!((result, outcome.oobretlen), (Ok(()), user.len() as u64));
        let first = read_oob(&mut bench, 0, geometry.oobsize as usize, OpMode::Place);
        assert_eq!(first[free.clone()], user[..free.len()]);
        assert_eq!(read_oob(&mut bench, 0, user.len(), OpMode::Auto), user);
        assert_eq!(bench.read(0, 2 * page), data);
    }
}

#[test]
fn oob_writes_stay_inside_one_page() {
    let mut bench = Bench::new(nand_geometry());
    assert_eq!(
        write_oob(&mut bench, 0, None, &[0; 65], OpMode::Place).1,
        Err(FlashError::Invalid)
    );
    assert_eq!(
        write_oob(&mut bench, 0, None, &[0; 39], OpMode::Auto).1,
        Err(FlashError::Invalid)
    );
    let ops = WriteOps {
        mode: OpMode::Place,
        data: Some(Source::Bytes(&[0; 4096])),
        oob: Some(Source::Bytes(&[0; 128])),
        ooboffs: 8,
    };
    assert_eq!(
        bench.with(|chip| chip.write_oob(0, ops)).1,
        Err(FlashError::Invalid)
    );
}

#[test]
fn a_cleanmarker_then_data_of_the_same_page_are_anded() {
    let mut bench = Bench::new(nand_geometry());
    write_oob(&mut bench, 0, None, &[0x85, 0x19, 0x03, 0x20], OpMode::Auto)
        .1
        .unwrap();
    let data = pattern(3, 2048);
    bench.program(0, &data).unwrap();
    assert_eq!(bench.read(0, 2048), data);
    assert_eq!(
        read_oob(&mut bench, 0, 4, OpMode::Auto),
        [0x85, 0x19, 0x03, 0x20]
    );
    bench.check_clean_promise();
}

#[test]
fn a_clean_write_without_code_is_one_write_of_the_callers_bytes() {
    let mut bench = Bench::new(nand_geometry_of(2048, 64, Ecc::OnDie));
    bench.medium.guest = pattern(8, 300 * 1024);
    let from = Source::Guest {
        address: GUEST,
        length: 300 * 1024,
    };
    assert_eq!(
        bench.with(|chip| chip.program(0, from, OpMode::Place)).1,
        Ok(())
    );
    assert_eq!((bench.medium.reads, bench.medium.writes), (0, 1));
    assert_eq!(bench.medium.main[..300 * 1024], bench.medium.guest[..]);
    bench.check_clean_promise();
}

#[test]
fn code_and_data_of_many_pages_are_few_transfers() {
    let mut bench = Bench::new(nand_geometry());
    let data = pattern(8, 128 * 1024);
    bench.program(0, &data).unwrap();
    // The code is computed of what was stored.
    assert_eq!((bench.medium.reads, bench.medium.writes), (1, 2));
    // What was programmed with its code is not looked at again, and erased pages are not either.
    assert_eq!(bench.read(0, 128 * 1024), data);
    assert_eq!(bench.read(0x2_0000, 0x2_0000), vec![0xff; 0x2_0000]);
    assert_eq!(bench.medium.reads, 3);
    bench.image_changed_from_outside();
    assert_eq!(bench.read(0, 128 * 1024), data);
    assert_eq!(bench.medium.reads, 5);
}

#[test]
fn the_code_fits_the_data_even_if_the_caller_changes_it_meanwhile() {
    for used in [false, true] {
        let mut bench = Bench::new(nand_geometry());
        if used {
            bench.program(0, &[0xff; 2048]).unwrap();
        }
        bench.medium.guest = pattern(8, 4096);
        bench.medium.restless = true;
        let from = Source::Guest {
            address: GUEST,
            length: 4096,
        };
        assert_eq!(
            bench.with(|chip| chip.program(0, from, OpMode::Place)).1,
            Ok(())
        );
        bench.image_changed_from_outside();
        let mut read = vec![0; 4096];
        let (outcome, result) =
            bench.with(|chip| chip.read(0, Sink::Bytes(&mut read), OpMode::Place));
        assert_eq!(
            (result, outcome.corrected, outcome.failed),
            (Ok(()), 0, 0),
            "{used}"
        );
        assert_eq!(read, pattern(8, 4096));
    }
}

#[test]
fn a_page_whose_code_may_be_wrong_is_checked_when_it_is_read() {
    let data = pattern(8, 2048);
    let spare = [0u8; 64];
    let oob = |chip: &mut Chip<'_>, mode, ooboffs, length: usize| {
        let ops = WriteOps {
            mode,
            data: None,
            oob: Some(Source::Bytes(&spare[..length])),
            ooboffs,
        };
        chip.write_oob(0, ops).1
    };
    type Spoil<'a> = &'a dyn Fn(&mut Chip<'_>) -> Result<(), FlashError>;
    let spoils: [(&str, Spoil); 4] = [
        ("programmed again", &|chip| {
            chip.program(0, Source::Bytes(&pattern(9, 2048)), OpMode::Place)
                .1
        }),
        ("programmed again without a code", &|chip| {
            chip.program(0, Source::Bytes(&pattern(9, 2048)), OpMode::Raw)
                .1
        }),
        ("its code overwritten", &|chip| {
            oob(chip, OpMode::Place, 40, 24)
        }),
        ("its code overwritten raw", &|chip| {
            oob(chip, OpMode::Raw, 0, 64)
        }),
    ];
    for (what, spoil) in spoils {
        let mut bench = Bench::new(nand_geometry());
        bench.program(0, &data).unwrap();
        bench.with(|chip| spoil(chip)).unwrap();
        let mut read = vec![0; 2048];
        let outcome = bench
            .with(|chip| chip.read(0, Sink::Bytes(&mut read), OpMode::Place))
            .0;
        assert_ne!(outcome.failed + outcome.corrected, 0, "{what}");
        // The neighbouring page is as it was.
        assert_eq!(bench.read(2048, 2048), vec![0xff; 2048], "{what}");
    }
}

#[test]
fn a_raw_page_without_a_code_is_checked_when_it_is_read() {
    let mut bench = Bench::new(nand_geometry());
    let data = pattern(8, 2048);
    bench
        .with(|chip| chip.program(0, Source::Bytes(&data), OpMode::Raw).1)
        .unwrap();
    let mut read = vec![0; 2048];
    let outcome = bench
        .with(|chip| chip.read(0, Sink::Bytes(&mut read), OpMode::Place))
        .0;
    assert_ne!(outcome.failed + outcome.corrected, 0);
}

#[test]
fn a_fault_in_the_source_changes_nothing() {
    for ecc in [Ecc::None, Ecc::Hamming] {
        for used in [false, true] {
            let mut bench = Bench::new(nand_geometry_of(2048, 64, ecc));
            if used {
                bench.program(0, &pattern(1, 512)).unwrap();
            }
            bench.medium.guest = vec![0; 100 * 1024];
            let before = bench.medium.clone();
            let from = Source::Guest {
                address: GUEST,
                length: 128 * 1024,
            };
            let result = bench.with(|chip| chip.program(0, from, OpMode::Place)).1;
            assert_eq!(result, Err(FlashError::Fault));
            // Data and spare bytes, of which only the latter cannot be read.
            let ops = WriteOps {
                mode: OpMode::Auto,
                data: from.part(0, 2048),
                oob: from.part(126 * 1024, 8),
                ooboffs: 0,
            };
            let result = bench.with(|chip| chip.write_oob(0, ops)).1;
            assert_eq!(result, Err(FlashError::Fault));
            assert!(
                bench.medium.main == before.main && bench.medium.oob == before.oob,
                "{ecc:?} {used}"
            );
            bench.check_clean_promise();
        }
    }
}

#[test]
fn spare_bytes_behind_the_data_come_with_it() {
    for used in [false, true] {
        let mut benches = [(); 2].map(|()| Bench::new(nand_geometry()));
        let bytes = pattern(8, 2 * 2048 + 100);
        for (bench, gap) in benches.iter_mut().zip([0, 1]) {
            if used {
                bench.program(2048, &pattern(9, 2048)).unwrap();
            }
            bench.medium.guest = bytes.clone();
            bench.medium.guest.splice(2 * 2048..2 * 2048, vec![7; gap]);
            let part = |at, length| Source::Guest {
                address: GUEST + at,
                length,
            };
            let ops = WriteOps {
                mode: OpMode::Place,
                data: Some(part(0, 2 * 2048)),
                oob: Some(part(2 * 2048 + gap, 100)),
                ooboffs: 0,
            };
            let (outcome, result) = bench.with(|chip| chip.write_oob(2048, ops));
            assert_eq!(
                (outcome.retlen, outcome.oobretlen, result),
                (2 * 2048, 100, Ok(()))
            );
        }
        let [joint, apart] = &benches;
        assert!(joint.medium.main == apart.medium.main, "{used}");
        assert!(joint.medium.oob == apart.medium.oob, "{used}");
        assert_eq!(
            joint.medium.oob[64..104],
            bytes[2 * 2048..2 * 2048 + 40],
            "{used}: where no code is"
        );
    }
}

#[test]
fn flips_up_to_the_strength_are_counted_and_corrected() {
    for strength in 1..=8u8 {
        let mut bench = Bench::new(nand_geometry_of(2048, 64, Ecc::Bch { strength }));
        let data = pattern(21, 2048);
        bench.program(0, &data).unwrap();
        for bit in 0..usize::from(strength) {
            bench.medium.main[512 + 61 * bit] ^= 1 << (bit % 8);
        }
        bench.image_changed_from_outside();
        let mut read = vec![0; 2048];
        let (outcome, result) =
            bench.with(|chip| chip.read(0, Sink::Bytes(&mut read), OpMode::Place));
        assert_eq!((result, read == data), (Ok(()), true));
        let flips = u32::from(strength);
        assert_eq!(
            (outcome.corrected, outcome.failed, outcome.max_bitflips),
            (flips, 0, flips)
        );
        let (outcome, _) =
            bench.with(|chip| chip.read(0, Sink::Bytes(&mut read[..512]), OpMode::Place));
        assert_eq!(outcome.corrected, 0, "only the steps that were read count");
        let (outcome, _) = bench.with(|chip| chip.read(0, Sink::Bytes(&mut read), OpMode::Raw));
        assert_eq!((outcome.corrected, outcome.max_bitflips), (0, 0));
        assert_ne!(read, data);
    }
}

#[test]
fn marking_erases_marks_and_remembers() {
    for (geometry, position) in [
        (nand_geometry(), 0),
        (nand_geometry_of(512, 16, Ecc::Hamming), 5),
    ] {
        let mut bench = Bench::new(geometry);
        let at = u64::from(geometry.erasesize);
        bench
            .program(at, &pattern(4, geometry.writesize as usize))
            .unwrap();
        assert_eq!(bench.with(|chip| chip.mark_bad(at)), Ok(true));
        assert_eq!(bench.with(|chip| chip.mark_bad(at)), Ok(false));
        assert_eq!(bench.with(|chip| chip.is_bad(at + 7)), Ok(true));
        assert_eq!(bench.with(|chip| chip.is_bad(0)), Ok(false));
        assert_eq!(bench.read(at, 16), [0xff; 16]);
        let mark: Vec<u8> = (0..geometry.oobsize)
            .map(|byte| if byte == position { 0 } else { 0xff })
            .collect();
        assert_eq!(
            read_oob(&mut bench, at, geometry.oobsize as usize, OpMode::Raw),
            mark
        );
        assert_eq!(
            bench.with(|chip| chip.erase(0, geometry.size)),
            Err(FlashError::Io)
        );
        // A second opening of the image finds the same block.
        bench.words.ledger().format(&geometry);
        assert_eq!(bench.with(|chip| chip.is_bad(at)), Ok(false));
        assert_eq!(bench.with(|chip| chip.scan_factory_bad_blocks()), Ok(1));
        assert_eq!(bench.with(|chip| chip.is_bad(at)), Ok(true));
    }
}

#[test]
fn an_erase_stops_at_the_first_bad_block_and_is_one_erase_of_the_rest() {
    let mut bench = Bench::new(nand_geometry());
    let block = 0x2_0000;
    for index in 0..8 {
        bench.program(index * block, &pattern(index, 2048)).unwrap();
    }
    bench.words.ledger().set_flags(
        5,
        BlockFlags {
            bad: true,
            ..BlockFlags::default()
        },
    );
    bench.medium.erases = 0;
    assert_eq!(
        bench.with(|chip| chip.erase(block, 7 * block)),
        Err(FlashError::Io)
    );
    assert_eq!(bench.medium.erases, 2, "main area and spare area");
    let wear: Vec<u32> = (0..8)
        .map(|index| bench.words.ledger().wear(index).unwrap())
        .collect();
    assert_eq!(wear, [0, 1, 1, 1, 1, 0, 0, 0]);
    assert_eq!(bench.read(4 * block, 2048), [0xff; 2048]);
    assert_eq!(bench.read(6 * block, 2048), pattern(6, 2048));
    bench.check_clean_promise();
}

#[test]
fn numbers_without_sense_are_refused_not_panicked_on() {
    let odd = [
        Geometry {
            writesize: 0,
            ..nand_geometry()
        },
        Geometry {
            oobsize: 0,
            ..nand_geometry()
        },
        Geometry {
            erasesize: 0,
            ..nand_geometry()
        },
        Geometry {
            ecc: Ecc::Bch { strength: 200 },
            ..nand_geometry()
        },
        Geometry {
            oobsize: 8,
            ..nand_geometry()
        },
        Geometry {
            writesize: 1 << 20,
            erasesize: 1 << 20,
            ..nand_geometry()
        },
        nand_geometry(),
    ];
    for geometry in odd {
        {
            let mut bench = Bench {
                geometry,
                ..Bench::new(nand_geometry())
            };
            let (mut data, mut oob) = (vec![0; 8192], vec![0; 300]);
            for at in [0, 512, 1 << 19, u64::MAX - 4096, u64::MAX] {
                let _ = bench.program(at, &data);
                let _ = bench.with(|chip| chip.read(at, Sink::Bytes(&mut data), OpMode::Place));
                let _ = bench.with(|chip| chip.erase(at, 0x2_0000));
                let _ = bench.with(|chip| chip.mark_bad(at));
                let _ = bench.with(|chip| {
                    chip.replace(at..at.saturating_add(4096), at, Source::Bytes(&data))
                });
                for mode in [OpMode::Place, OpMode::Auto, OpMode::Raw] {
                    for ooboffs in [0, 3, u32::MAX] {
                        let _ = write_oob(&mut bench, at, Some(&data), &oob, mode);
                        let (oob, data) =
                            (Some(Sink::Bytes(&mut oob)), Some(Sink::Bytes(&mut data)));
                        let ops = ReadOps {
                            mode,
                            data,
                            oob,
                            ooboffs,
                        };
                        let _ = bench.with(|chip| chip.read_oob(at, ops));
                    }
                }
            }
        }
    }
}

#[test]
fn the_block_device_rewrites_a_block_with_fresh_codes() {
    for (ecc, writesize, oobsize) in [
        (Ecc::Hamming, 2048, 64),
        (Ecc::None, 2048, 64),
        (Ecc::Hamming, 512, 16),
    ] {
        let geometry = nand_geometry_of(writesize, oobsize, ecc);
        let mut bench = Bench::new(geometry);
        let block = geometry.erasesize as usize;
        let (unit, next) = (0..block as u64, block as u64..2 * block as u64);
        let next_spare = (geometry.oob_file_size() / 8) as usize;
        let mut expected = pattern(2, block);
        bench.program(0, &expected).unwrap();
        // One flip is set right by the write-back, as by any read.
        if ecc != Ecc::None {
            bench.medium.main[block - 1] ^= 4;
        }
        for at in [0usize, 512, 1024, block / 2] {
            let new = pattern(at as u64 + 50, 512);
            expected[at..at + 512].copy_from_slice(&new);
            assert_eq!(
                bench.with(|chip| chip.replace(unit.clone(), at as u64, Source::Bytes(&new))),
                Ok(())
            );
        }
        let mut read = vec![0; block];
        let (outcome, _) = bench.with(|chip| chip.read(0, Sink::Bytes(&mut read), OpMode::Place));
        assert!(
            read == expected && outcome.corrected == 0 && outcome.failed == 0,
            "{ecc:?} {outcome:?}"
        );
        assert_eq!(bench.words.ledger().wear(0), Ok(0));
        let change = |bench: &mut Bench, unit: &Range<u64>| {
            bench.with(|chip| chip.replace(unit.clone(), unit.start, Source::Bytes(&[0; 512])))
        };
        change(&mut bench, &next).unwrap();
        assert_eq!(
            bench.words.ledger().wear(0),
            Ok(1),
            "another block flushes, and neighbouring writes are one erase"
        );
        assert!(bench.words.ledger().is_sound(0));
        bench.with(|chip| chip.flush(false)).unwrap();
        assert_eq!(bench.words.ledger().wear(1), Ok(1));
        bench.check_clean_promise();
        let before = (bench.medium.main.clone(), bench.medium.oob.clone());
        change(&mut bench, &next).unwrap();
        change(&mut bench, &unit).unwrap();
        change(&mut bench, &next).unwrap();
        bench.words.ledger().set_flags(
            1,
            BlockFlags {
                bad: true,
                ..BlockFlags::default()
            },
        );
        assert_eq!(change(&mut bench, &unit), Err(FlashError::Io));
        assert_eq!(change(&mut bench, &unit), Ok(()));
        bench.with(|chip| chip.flush(true)).unwrap();
        assert!(bench.medium.main[block..] == before.0[block..]);
        assert!(bench.medium.oob[next_spare..] == before.1[next_spare..]);
    }
}

#[test]
fn a_mark_behind_the_end_of_the_chip_is_refused_and_the_table_learns_of_the_block() {
    for (marks, answer) in [
        (MarkPages::First, Ok(true)),
        (MarkPages::Last, Err(FlashError::Invalid)),
    ] {
        let geometry = Geometry {
            mark_pages: marks,
            ..nand_geometry()
        };
        let mut bench = Bench::new(geometry);
        let inside_the_last_block = geometry.size - 1;
        let marked = bench.with(|chip| chip.mark_bad(inside_the_last_block));
        assert_eq!(marked, answer);
        let is_bad = bench.with(|chip| chip.is_bad(inside_the_last_block));
        assert_eq!(is_bad, Ok(true));
    }
}
