//! The chip against the plainest possible model of it: one page at a time, every byte read before it is programmed.

use std::vec::Vec;

use crate::ecc::Code;
use crate::testing::{Bench, GUEST, Random, nand_geometry_of, pattern};
use crate::*;

struct Model {
    geometry: Geometry,
    main: Vec<u8>,
    oob: Vec<u8>,
}

impl Model {
    fn program_page(&mut self, page: usize, data: &[u8], spare: &[u8]) {
        let (writesize, oobsize) = (
            self.geometry.writesize as usize,
            self.geometry.oobsize as usize,
        );
        let and =
            |old: &mut [u8], new: &[u8]| old.iter_mut().zip(new).for_each(|(old, new)| *old &= new);
        and(
            &mut self.main[page * writesize..(page + 1) * writesize],
            data,
        );
        and(&mut self.oob[page * oobsize..(page + 1) * oobsize], spare);
    }

    fn write(&mut self, at: usize, data: &[u8], user: Option<&[u8]>, mode: OpMode) {
        let (writesize, oobsize) = (
            self.geometry.writesize as usize,
            self.geometry.oobsize as usize,
        );
        let layout = self.geometry.oob_layout().unwrap();
        let free: Vec<usize> = match mode {
            OpMode::Auto => layout
                .free_positions(0)
                .map(|position| position as usize)
                .collect(),
            OpMode::Place | OpMode::Raw => (0..oobsize).collect(),
        };
        let mut user = user.unwrap_or(&[]).iter();
        for page in at / writesize..(at + data.len()).div_ceil(writesize) {
            let mut padded = vec![0xff; writesize];
            for (offset, byte) in padded.iter_mut().enumerate() {
                let place = page * writesize + offset;
                if (at..at + data.len()).contains(&place) {
                    *byte = data[place - at];
                }
            }
            let mut spare = vec![0xff; oobsize];
            for (position, byte) in free.iter().zip(user.by_ref().take(free.len())) {
                spare[*position] = *byte;
            }
            if let Some(code) = Code::of(&self.geometry).filter(|_| mode != OpMode::Raw) {
                let bytes = self.geometry.ecc_step_bytes() as usize;
                let mut codes = vec![];
                for step in padded.chunks(self.geometry.ecc_step_size() as usize) {
                    let mut buffer = vec![0; bytes];
                    code.calculate(step, &mut buffer, step.len(), 0);
                    codes.extend(buffer);
                }
                for (position, byte) in layout.ecc_positions().zip(codes) {
                    spare[position as usize] = byte;
                }
            }
            self.program_page(page, &padded, &spare);
        }
    }
}

fn compare(geometry: Geometry, seed: u64) {
    let mut bench = Bench::new(geometry);
    let mut model = Model {
        geometry,
        main: bench.medium.main.clone(),
        oob: bench.medium.oob.clone(),
    };
    let mut random = Random(seed);
    let (writesize, oobsize) = (geometry.writesize as usize, geometry.oobsize as usize);
    let subpage = geometry.subpage_size() as usize;
    for _ in 0..24 {
        let units = random.below(1 + 140_000 / subpage as u64) as usize + 1;
        let length = units.min(geometry.size as usize / subpage / 2) * subpage;
        let at = random.below((geometry.size as usize - length) as u64 / subpage as u64) as usize
            * subpage;
        let data = pattern(random.next(), length);
        let mode = [OpMode::Place, OpMode::Auto, OpMode::Raw][random.below(3) as usize];
        let pages = (at + length).div_ceil(writesize) - at / writesize;
        let available = if mode == OpMode::Auto {
            geometry.oobavail() as usize
        } else {
            oobsize
        };
        let user = (random.below(2) == 0).then(|| {
            pattern(
                random.next(),
                random.below((pages * available) as u64) as usize + 1,
            )
        });
        if random.below(4) == 0 {
            let block = geometry.erasesize as usize;
            let first = at / block * block;
            bench
                .with(|chip| chip.erase(first as u64, block as u64))
                .unwrap();
            model.main[first..first + block].fill(0xff);
            model.oob[first / writesize * oobsize..(first + block) / writesize * oobsize]
                .fill(0xff);
            continue;
        }
        // The guest's memory holds data, then OOB; half of the operations take them from there.
        bench.medium.guest = [&data[..], user.as_deref().unwrap_or(&[])].concat();
        let guest = random.below(2) == 0;
        let source = |offset: usize, bytes: &[u8]| Source::Guest {
            address: GUEST + offset,
            length: bytes.len(),
        };
        let ops = WriteOps {
            mode,
            data: Some(if guest {
                source(0, &data)
            } else {
                Source::Bytes(&data)
            }),
            oob: user.as_deref().map(|user| {
                if guest {
                    source(length, user)
                } else {
                    Source::Bytes(user)
                }
            }),
            ooboffs: 0,
        };
        assert_eq!(bench.with(|chip| chip.write_oob(at as u64, ops)).1, Ok(()));
        model.write(at, &data, user.as_deref(), mode);
        assert!(
            bench.medium.main == model.main,
            "{geometry:?} {at} {length} {mode:?}"
        );
        assert!(
            bench.medium.oob == model.oob,
            "{geometry:?} {at} {length} {mode:?}"
        );
        bench.check_clean_promise();
    }
    // Raw reads see exactly what is there, whatever the alignment.
    for _ in 0..10 {
        let length = random.below(100_000).min(geometry.size / 2) as usize;
        let at = random.below(geometry.size - length as u64) as usize;
        let mut read = vec![0; length];
        bench
            .with(|chip| chip.read(at as u64, Sink::Bytes(&mut read), OpMode::Raw))
            .1
            .unwrap();
        assert!(read == model.main[at..at + length]);
    }
}

#[test]
fn whatever_is_written_ends_up_as_in_the_plain_model() {
    for seed in 1..5 {
        compare(nand_geometry_of(2048, 64, Ecc::Hamming), seed);
        compare(nand_geometry_of(512, 16, Ecc::Hamming), seed + 10);
        compare(nand_geometry_of(2048, 64, Ecc::None), seed + 20);
        compare(
            nand_geometry_of(2048, 64, Ecc::Bch { strength: 8 }),
            seed + 30,
        );
        compare(nand_geometry_of(4096, 128, Ecc::OnDie), seed + 40);
    }
}
