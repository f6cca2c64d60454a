use std::vec::Vec;

use crate::testing::{Bench, nor_geometry};
use crate::*;

fn bench(protect: BlockProtect, size: u64) -> Bench {
    Bench::new(Geometry {
        size,
        lock: LockScheme::BlockProtect(protect),
        ..nor_geometry()
    })
}

/// From where to where the chip says that it is locked, in steps of the smallest sector.
fn locked(bench: &mut Bench) -> Option<(u64, u64)> {
    let size = bench.geometry.size;
    let blocks: Vec<u64> = (0..size)
        .step_by(0x1_0000)
        .filter(|&at| bench.with(|chip| chip.is_locked(at, 0x1_0000)).unwrap())
        .collect();
    Some((*blocks.first()?, blocks.last()? + 0x1_0000))
}

#[test]
fn without_the_bottom_bit_only_the_top_can_be_locked() {
    let mut top = bench(BlockProtect::TOP, 0x40_0000);
    assert_eq!(
        top.with(|chip| chip.lock(0, 0x2_0000)),
        Err(FlashError::Invalid)
    );
    assert_eq!(locked(&mut top), None);
    let mut both = bench(BlockProtect::TOP_BOTTOM, 0x40_0000);
    assert_eq!(both.with(|chip| chip.lock(0, 0x2_0000)), Ok(()));
    assert_eq!(locked(&mut both), Some((0, 0x2_0000)));
    assert_eq!(both.with(|chip| chip.lock(0x2_0000, 0x2_0000)), Ok(()));
    assert_eq!(locked(&mut both), Some((0, 0x4_0000)));
    assert_eq!(both.with(|chip| chip.unlock(0x2_0000, 0x2_0000)), Ok(()));
    assert_eq!(locked(&mut both), Some((0, 0x2_0000)));
    assert_eq!(
        both.with(|chip| chip.lock(0x20_0000, 0x1000)),
        Err(FlashError::Invalid),
        "neither end"
    );
}

#[test]
fn a_fourth_bit_makes_the_smallest_fraction_smaller() {
    for (protect, smallest) in [
        (BlockProtect::TOP, 0x4_0000),
        (BlockProtect::TOP_4, 0x1_0000),
    ] {
        let size = 0x100_0000;
        let mut bench = bench(protect, size);
        let half = bench.with(|chip| chip.lock(size - smallest / 2, smallest / 2));
        assert_eq!(half, Err(FlashError::Invalid));
        assert_eq!(
            bench.with(|chip| chip.lock(size - smallest, smallest)),
            Ok(())
        );
        assert_eq!(locked(&mut bench), Some((size - smallest, size)));
        assert_eq!(bench.with(|chip| chip.lock(0, size)), Ok(()));
        assert_eq!(locked(&mut bench), Some((0, size)));
        assert_eq!(bench.with(|chip| chip.unlock(0, size)), Ok(()));
        assert_eq!(locked(&mut bench), None);
    }
}

#[test]
fn a_chip_ignores_programs_and_erases_of_protected_sectors() {
    let mut bench = bench(BlockProtect::TOP_BOTTOM, 0x40_0000);
    bench.program(0x1_fff0, &[0x55; 32]).unwrap();
    bench.with(|chip| chip.lock(0, 0x2_0000)).unwrap();
    bench.program(0x1_fff8, &[0x11; 16]).unwrap();
    let expected = [
        [0x55; 16],
        [0x11, 0x55]
            .map(|byte| [byte; 8])
            .concat()
            .try_into()
            .unwrap(),
    ];
    assert_eq!(bench.read(0x1_fff0, 32), expected.concat());
    assert_eq!(bench.with(|chip| chip.erase(0x1_f000, 0x2000)), Ok(()));
    assert_eq!(bench.read(0x1_fff0, 16), [0x55; 16]);
    assert_eq!(bench.read(0x2_0000, 16), [0xff; 16]);
    assert_eq!(bench.words.ledger().wear(0x1f), Ok(0));
    bench.program(0x30_0000, &[0]).unwrap();
    assert_eq!(bench.with(|chip| chip.erase(0, 0x40_0000)), Ok(()));
    assert_eq!(
        bench.read(0x30_0000, 1),
        [0],
        "one command erases all or nothing"
    );
    bench.check_clean_promise();
}

#[test]
fn intel_otp_is_locked_by_whole_regions_from_where_it_is_told() {
    let geometry = Geometry {
        command_set: CommandSet::Intel,
        otp_user: OtpArea {
            region_length: 16,
            region_count: 3,
        },
        ..nor_geometry()
    };
    let mut bench = Bench::new(geometry);
    for (from, length, answer) in [
        (0, 15, Err(FlashError::NotWholeRegion)),
        (17, 16, Err(FlashError::NotWholeRegion)),
        (48, 16, Ok(())),
        (0, 0, Ok(())),
    ] {
        assert_eq!(bench.with(|chip| chip.otp_lock(from, length)), answer);
    }
    let open = |bench: &mut Bench| {
        [0, 1, 2].map(|index| {
            !bench
                .with(|chip| chip.otp_region(Area::OtpUser, index))
                .unwrap()
                .locked
        })
    };
    assert_eq!(open(&mut bench), [true, true, true]);
    // What does not fit is refused after the regions before it were locked.
    assert_eq!(
        bench.with(|chip| chip.otp_lock(0, 17)),
        Err(FlashError::NotWholeRegion)
    );
    assert_eq!(open(&mut bench), [false, true, true]);
    assert_eq!(bench.with(|chip| chip.otp_lock(32, 17)), Ok(()));
    assert_eq!(open(&mut bench), [false, true, false]);
}

#[test]
fn an_amd_chip_answers_for_otp_that_it_does_not_have() {
    let mut bench = Bench::new(Geometry {
        command_set: CommandSet::Amd,
        otp_user: OtpArea::default(),
        ..nor_geometry()
    });
    let mut byte = [0];
    assert_eq!(
        bench.with(|chip| chip.otp_read(Area::OtpUser, 0, Sink::Bytes(&mut byte))),
        Ok(0)
    );
    assert_eq!(
        bench.with(|chip| chip.otp_write(0, Source::Bytes(&[0]))),
        Err(FlashError::NoSpace)
    );
    assert_eq!(bench.with(|chip| chip.otp_lock(0, 16)), Ok(()));
    assert!(
        bench
            .with(|chip| chip.otp_region(Area::OtpUser, 0))
            .is_none()
    );
}

#[test]
fn an_amd_driver_gives_up_where_the_last_word_of_a_buffer_is_wrong() {
    let mut bench = Bench::new(Geometry {
        command_set: CommandSet::Amd,
        lock: LockScheme::None,
        ..nor_geometry()
    });
    bench.program(0, &[0xf0; 128]).unwrap();
    // Wrong inside a buffer: nobody looks.
    let mut data = [0xf0; 128];
    data[40] = 0x3c;
    assert_eq!(bench.program(0, &data), Ok(()));
    assert_eq!(bench.read(40, 1), [0x30]);
    data[62] = 0x3c;
    data[..32].fill(0xe0);
    data[100] = 0;
    assert_eq!(bench.program(0, &data), Err(FlashError::Io));
    assert_eq!(bench.read(0, 1), [0xe0]);
    assert_eq!(bench.read(62, 1), [0x30]);
    assert_eq!(
        bench.read(100, 1),
        [0xf0],
        "the buffers after it are not programmed"
    );
    assert_eq!(bench.program(101, &[0xff]), Err(FlashError::Io));
    assert_eq!(bench.read(101, 1), [0xf0]);
}

#[test]
fn a_lock_without_effect_is_taken_and_protects_nothing() {
    let mut bench = Bench::new(Geometry {
        command_set: CommandSet::Intel,
        lock: LockScheme::NoEffect,
        ..nor_geometry()
    });
    let block = u64::from(nor_geometry().erasesize);
    assert_eq!(bench.with(|chip| chip.lock(0, 2 * block)), Ok(()));
    assert_eq!(bench.with(|chip| chip.is_locked(0, block)), Ok(false));
    assert_eq!(bench.program(0, &[0]), Ok(()));
    assert_eq!(bench.read(0, 1), [0]);
    assert_eq!(bench.with(|chip| chip.erase(0, block)), Ok(()));
    // The driver is the same as where locks work, and so are its refusals.
    for refused in [
        bench.with(|chip| chip.lock(block / 2, block)),
        bench.with(|chip| chip.unlock(0, 1)),
    ] {
        assert_eq!(refused, Err(FlashError::Invalid));
    }
    assert_eq!(bench.with(|chip| chip.is_locked(0, 1)), Ok(true));
}
