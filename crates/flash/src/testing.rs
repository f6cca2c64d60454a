//! For tests only: a chip in memory, with faults that can be asked for.

use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering};
use std::vec::Vec;

use crate::*;

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next().wrapping_mul(0x9e37_79b9_7f4a_7c15) % limit.max(1)
    }
}

pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
    (0..length).map(|_| (random.next() >> 24) as u8).collect()
}

pub fn nor_geometry() -> Geometry {
    Geometry {
        kind: Kind::Nor,
        size: 0x20_0000,
        erasesize: 0x1000,
        writesize: 1,
        oobsize: 0,
        subpage_shift: 0,
        ecc: Ecc::None,
        erase_alignment: EraseAlignment::LengthOnly,
        command_set: CommandSet::Other,
        lock: LockScheme::BlockProtect(BlockProtect::PROGRAMS_ONLY),
        mark_pages: MarkPages::First,
        otp_user: OtpArea {
            region_length: 256,
            region_count: 3,
        },
        otp_factory: OtpArea {
            region_length: 16,
            region_count: 1,
        },
        otp_erasable: true,
        region_count: 0,
        regions: [EraseRegion::default(); geometry::ERASE_REGIONS_MAX],
    }
}

/// A NAND of eight blocks with 64 pages each (32 where pages are small).
pub fn nand_geometry_of(writesize: u32, oobsize: u32, ecc: Ecc) -> Geometry {
    let erasesize = writesize * if writesize > 512 { 64 } else { 32 };
    Geometry {
        kind: Kind::Nand,
        size: u64::from(erasesize) * 8,
        erasesize,
        writesize,
        oobsize,
        subpage_shift: if writesize > 512 { 2 } else { 1 },
        ecc,
        erase_alignment: EraseAlignment::StartAndLength,
        lock: LockScheme::NandUnsupported,
        otp_user: OtpArea::default(),
        otp_factory: OtpArea::default(),
        otp_erasable: false,
        ..nor_geometry()
    }
}

pub fn nand_geometry() -> Geometry {
    nand_geometry_of(2048, 64, Ecc::Hamming)
}

pub struct TestWords(Vec<AtomicU32>);

impl TestWords {
    pub fn new(geometry: &Geometry) -> TestWords {
        TestWords(
            (0..Ledger::bytes(geometry) / 4)
                .map(|_| AtomicU32::new(0))
                .collect(),
        )
    }

    pub fn ledger(&self) -> Ledger<'_> {
        Ledger::new(&self.0)
    }

    pub fn flip(&self, word: usize, bit: u32) {
        self.0[word].fetch_xor(1 << bit, Ordering::Relaxed);
    }
}

/// Bytes in memory; guest memory is one buffer at address `GUEST`.
#[derive(Clone)]
pub struct TestMedium {
    pub main: Vec<u8>,
    pub oob: Vec<u8>,
    pub otp_user: Vec<u8>,
    pub otp_factory: Vec<u8>,
    pub guest: Vec<u8>,
    pub reads: u32,
    pub writes: u32,
    pub erases: u32,
    /// Changes that still succeed; the one after them does the first half and fails, then all fail.
    pub changes_left: Option<u32>,
    /// Another thread of the guest changes its bytes as soon as some were taken.
    pub restless: bool,
    /// What waits in the one write-back cache, and main and spare area as the others see them meanwhile.
    pub kept: Range<u64>,
    pub others: (Vec<u8>, Vec<u8>),
}

pub const GUEST: usize = 0x10_0000;

impl TestMedium {
    pub fn new(geometry: &Geometry) -> TestMedium {
        TestMedium {
            main: vec![0xff; geometry.size as usize],
            oob: vec![0xff; geometry.oob_file_size() as usize],
            otp_user: vec![0xff; geometry.otp_user.length() as usize],
            otp_factory: vec![0xff; geometry.otp_factory.length() as usize],
            guest: Vec::new(),
            reads: 0,
            writes: 0,
            erases: 0,
            changes_left: None,
            kept: 0..0,
            others: Default::default(),
            restless: false,
        }
    }

    fn stir(&mut self) {
        if self.restless {
            self.guest.iter_mut().for_each(|byte| *byte ^= 0x5a);
        }
    }

    fn area(&mut self, area: Area) -> &mut Vec<u8> {
        match area {
            Area::Main => &mut self.main,
            Area::Oob => &mut self.oob,
            Area::OtpUser => &mut self.otp_user,
            Area::OtpFactory => &mut self.otp_factory,
        }
    }

    fn change(&mut self, area: Area, offset: u64, bytes: &[u8]) -> Result<(), MediumError> {
        let offset = offset as usize;
        let count = match &mut self.changes_left {
            None => bytes.len(),
            Some(0) => return Err(MediumError::Store),
            Some(left) => {
                *left -= 1;
                if *left == 0 {
                    bytes.len() / 2
                } else {
                    bytes.len()
                }
            }
        };
        self.area(area)[offset..offset + count].copy_from_slice(&bytes[..count]);
        if count == bytes.len() {
            Ok(())
        } else {
            Err(MediumError::Store)
        }
    }
}

impl Medium for TestMedium {
    fn read(&mut self, area: Area, offset: u64, to: Sink<'_>) -> Result<(), MediumError> {
        self.reads += 1;
        let offset = offset as usize;
        match to {
            Sink::Bytes(bytes) => {
                bytes.copy_from_slice(&self.area(area)[offset..offset + bytes.len()])
            }
            Sink::Guest { address, length } => {
                let bytes = self.area(area)[offset..offset + length].to_vec();
                self.copy_out(address, &bytes)?;
            }
        }
        Ok(())
    }

    /// A guest source that faults half way leaves the bytes before the fault written, as pwrite does.
    fn write(&mut self, area: Area, offset: u64, from: Source<'_>) -> Result<(), MediumError> {
        self.writes += 1;
        match from {
            Source::Bytes(bytes) => self.change(area, offset, bytes),
            Source::Guest { address, length } => {
                let start = address
                    .checked_sub(GUEST)
                    .ok_or(MediumError::Guest)?
                    .min(self.guest.len());
                let end = (start + length).min(self.guest.len());
                let bytes = self.guest[start..end].to_vec();
                self.stir();
                self.change(area, offset, &bytes)?;
                if bytes.len() < length {
                    Err(MediumError::Guest)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn erase(&mut self, area: Area, offset: u64, length: u64) -> Result<(), MediumError> {
        self.erases += 1;
        self.change(area, offset, &vec![0xff; length as usize])
    }

    fn sync(&mut self) -> Result<(), MediumError> {
        Ok(())
    }

    fn kept(&self) -> Range<u64> {
        self.kept.clone()
    }

    fn keep(&mut self, range: Range<u64>) {
        self.kept = range;
        self.others = (self.main.clone(), self.oob.clone());
    }

    fn end_keep(&mut self, undo: bool) -> Result<(), MediumError> {
        let (main, oob) = core::mem::take(&mut self.others);
        if undo {
            (self.main, self.oob) = (main, oob);
        }
        self.kept = 0..0;
        Ok(())
    }
}

impl GuestMemory for TestMedium {
    fn copy_in(&mut self, address: usize, to: &mut [u8]) -> Result<(), GuestFault> {
        let start = address.checked_sub(GUEST).ok_or(GuestFault)?;
        to.copy_from_slice(self.guest.get(start..start + to.len()).ok_or(GuestFault)?);
        self.stir();
        Ok(())
    }

    fn copy_out(&mut self, address: usize, from: &[u8]) -> Result<(), GuestFault> {
        let start = address.checked_sub(GUEST).ok_or(GuestFault)?;
        self.guest
            .get_mut(start..start + from.len())
            .ok_or(GuestFault)?
            .copy_from_slice(from);
        Ok(())
    }

    fn check_readable(&mut self, address: usize, length: usize) -> Result<(), GuestFault> {
        let start = address.checked_sub(GUEST).ok_or(GuestFault)?;
        if start + length <= self.guest.len() {
            Ok(())
        } else {
            Err(GuestFault)
        }
    }
}

/// A chip with everything it needs.
pub struct Bench {
    pub geometry: Geometry,
    pub words: TestWords,
    pub medium: TestMedium,
    pub scratch: Vec<u8>,
}

impl Bench {
    pub fn new(geometry: Geometry) -> Bench {
        assert_eq!(geometry.check(), Ok(()));
        let words = TestWords::new(&geometry);
        words.ledger().format(&geometry);
        words.ledger().declare_erased(&geometry);
        Bench {
            medium: TestMedium::new(&geometry),
            geometry,
            words,
            scratch: vec![0x5a; SCRATCH_SIZE],
        }
    }

    pub fn with<T>(&mut self, act: impl FnOnce(&mut Chip<'_>) -> T) -> T {
        let ledger = self.words.ledger();
        let code = Code::of(&self.geometry);
        let mut chip = Chip {
            geometry: &self.geometry,
            ledger: &ledger,
            code: code.as_ref(),
            medium: &mut self.medium,
            scratch: self.scratch.as_mut_slice().try_into().unwrap(),
        };
        act(&mut chip)
    }

    /// What is done when an image is opened that somebody else wrote.
    pub fn image_changed_from_outside(&mut self) {
        self.words.ledger().next_epoch(&self.geometry);
    }

    pub fn read(&mut self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.with(|chip| chip.read(at, Sink::Bytes(&mut bytes), OpMode::Place))
            .1
            .unwrap();
        bytes
    }

    pub fn program(&mut self, at: u64, bytes: &[u8]) -> Result<(), FlashError> {
        self.with(|chip| chip.program(at, Source::Bytes(bytes), OpMode::Place))
            .1
    }

    /// The same for the first blocks, where recordings do most of their work.
    pub fn check_clean_promise_of_some(&self) {
        self.check_clean_promise_up_to(
            6 * u64::from(self.geometry.erasesize).min(self.geometry.size / 8),
        );
    }

    pub fn check_clean_promise(&self) {
        self.check_clean_promise_up_to(self.geometry.size);
    }

    /// The promise of the ledger: what it calls erased is erased, in the spare area too.
    fn check_clean_promise_up_to(&self, end: u64) {
        let ledger = self.words.ledger();
        for piece in self.geometry.pieces(0, end) {
            let Some(clean_from) = ledger.clean_from(piece.block.index) else {
                continue;
            };
            let unit = self.geometry.clean_unit(piece.block.length);
            let from = (piece.block.start + u64::from(clean_from) * u64::from(unit))
                .min(piece.block.end());
            let main = &self.medium.main[from as usize..piece.block.end() as usize];
            assert!(crate::chip::is_erased(main), "block {}", piece.block.index);
            if self.geometry.oobsize > 0 {
                let page = |at: u64| {
                    (at / u64::from(self.geometry.writesize) * u64::from(self.geometry.oobsize))
                        as usize
                };
                let oob = &self.medium.oob[page(from)..page(piece.block.end())];
                assert!(
                    crate::chip::is_erased(oob),
                    "spare area of block {}",
                    piece.block.index
                );
            }
        }
    }
}
