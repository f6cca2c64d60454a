//! For tests only: does what a recording of a real kernel says was done, and compares what came out.
//!
//! Only lines that reach the chip are replayed; arguments that the char device refuses, and what it splits into
//! several calls, are its own tests.

use std::string::{String, ToString};
use std::vec::Vec;

mod recorded;
mod text;

use crate::testing::Bench;
use crate::*;
use text::{data_of, digest, hash, hex, number, recording, seeded};

pub struct Replay {
    pub bench: Bench,
    mode: OpMode,
    outcome: Outcome,
    bad: u32,
    pub checked: u32,
    raw_read_follows: bool,
}

impl Replay {
    pub fn new(geometry: Geometry) -> Replay {
        Replay {
            bench: Bench::new(geometry),
            mode: OpMode::Place,
            outcome: Outcome::default(),
            bad: 0,
            checked: 0,
            raw_read_follows: false,
        }
    }

    pub fn run(&mut self, name: &str) {
        for (index, line) in recording(name).lines().enumerate() {
            self.line(name, line);
            if index % 8 == 7 {
                self.bench.check_clean_promise_of_some();
            }
        }
        self.bench.check_clean_promise();
        self.final_digest(name);
    }

    /// The last line of a scenario: every byte of the chip and of its spare area.
    fn final_digest(&mut self, name: &str) {
        let text = recording(name);
        let Some(line) = text.lines().find(|line| line.starts_with("DIGEST")) else {
            return;
        };
        let field = |key: &str| line.split(key).nth(1).and_then(|text| text.get(..16));
        let main = format!("{:016x}", hash(&self.bench.medium.main));
        self.expect(Some(main.as_str()), field("raw="), name);
        let oob = format!("{:016x}", hash(&self.bench.medium.oob));
        self.expect(Some(oob.as_str()), field("oobecc="), name);
    }

    fn line(&mut self, name: &str, line: &str) {
        if line.contains("EPERM") || line.contains("EFAULT") {
            return;
        }
        let Some((_, operation)) = line.split_once(' ') else {
            return;
        };
        let Some((call, answer)) = operation.split_once(" = ") else {
            return;
        };
        let context = format!("{name}: {line}");
        if self.special(call) {
            return;
        }
        let Some((verb, arguments)) = call.split_once('(') else {
            return self.stats(call, answer, &context);
        };
        let arguments: Vec<&str> = arguments.trim_end_matches(')').split(',').collect();
        let numbers: Vec<u64> = arguments.iter().filter_map(|text| number(text)).collect();
        match (verb, numbers.as_slice()) {
            ("pwrite", [length, at, ..]) => {
                self.pwrite(*length, *at, arguments[2..].join(","), answer, &context)
            }
            // The form of the NOR probe: address first.
            ("pwrite", [at]) => {
                if let Some((length, byte)) = arguments[1].split_once(" x ") {
                    self.pwrite(
                        length.parse().unwrap(),
                        *at,
                        format!("byte {byte}"),
                        answer,
                        &context,
                    );
                }
            }
            ("pread", [first, second]) if answer.contains(" d=") => {
                self.pread(*second, *first, answer, &context)
            }
            ("pread", [at, length]) if !answer.starts_with('-') => {
                let bytes = self.bench.read(*at, *length as usize);
                self.expect(
                    answer.split(' ').nth(1),
                    Some(hex(&bytes).as_str()),
                    &context,
                );
            }
            ("MEMERASE" | "MEMERASE64", [at, length]) => {
                let result = self.bench.with(|chip| chip.erase(*at, *length));
                // Length 0 is a matter of the core.
                if *length != 0 {
                    self.expect_result(result, answer, &context);
                }
            }
            _ => self.nand_line(name, verb, &arguments, &numbers, answer, &context),
        }
    }

    fn nand_line(
        &mut self,
        name: &str,
        verb: &str,
        arguments: &[&str],
        numbers: &[u64],
        answer: &str,
        context: &str,
    ) {
        match (verb, numbers) {
            ("MEMWRITEOOB" | "MEMWRITEOOB64", [at, length, ..]) => {
                self.write_oob(*at, *length, arguments[2], answer, context);
            }
            ("MEMREADOOB" | "MEMREADOOB64", [at, length]) if answer.starts_with('0') => {
                self.read_oob(*at, *length, answer, context);
            }
            ("MEMSETBADBLOCK", [at]) if answer == "0" => {
                self.bench.with(|chip| chip.mark_bad(*at)).unwrap();
                self.bad += 1;
            }
            ("MEMGETBADBLOCK", [at]) if !answer.starts_with('-') => {
                let bad = self.bench.with(|chip| chip.is_bad(*at)).unwrap();
                self.expect(
                    Some(u32::from(bad).to_string().as_str()),
                    Some(answer),
                    context,
                );
            }
            // A second file, read once after each change made through it.
            ("MTDFILEMODE", _) if name.ends_with("overwrite.txt") => {}
            ("MEMREAD", [at, ..]) => self.memread(*at, arguments, answer, context),
            ("MTDFILEMODE", [mode]) => {
                self.mode = if *mode == 3 {
                    OpMode::Raw
                } else {
                    OpMode::Place
                }
            }
            ("MEMWRITE", [at, ..]) if answer == "0" => self.memwrite(*at, arguments),
            _ => self.lock_line(verb, numbers, answer, context),
        }
    }

    fn lock_line(&mut self, verb: &str, numbers: &[u64], answer: &str, context: &str) {
        match (verb, numbers) {
            ("MEMLOCK", [at, length]) => {
                let result = self.bench.with(|chip| chip.lock(*at, *length));
                self.expect_lock(result, *at, *length, answer, context);
            }
            ("MEMUNLOCK", [at, length]) => {
                let result = self.bench.with(|chip| chip.unlock(*at, *length));
                self.expect_lock(result, *at, *length, answer, context);
            }
            ("MEMISLOCKED", [at, length]) => {
                if let (Ok(wanted), true) = (answer.parse::<u32>(), *length > 0) {
                    let locked = self
                        .bench
                        .with(|chip| chip.is_locked(*at, *length))
                        .unwrap();
                    self.expect(Some(u32::from(locked)), Some(wanted), context);
                }
            }
            _ => {}
        }
    }

    /// Steps that the recording program describes in words.
    fn special(&mut self, call: &str) -> bool {
        let geometry = self.bench.geometry;
        let page = geometry.writesize as usize;
        let (block2, block3) = (
            2 * u64::from(geometry.erasesize),
            3 * u64::from(geometry.erasesize),
        );
        let mut bytes = vec![0xff; if page == 1 { 64 } else { page }];
        match call {
            "pwrite 1 bit" | "pwrite 1 more bit" => {
                bytes[3] = if call.contains("more") { 0xfc } else { 0xfe };
                self.bench.program(block2, &bytes).unwrap();
            }
            "raw clear bit 0, MEMWRITE+oob" | "raw clear bit 1, MEMWRITE+oob" => {
                let old = seeded(40, page);
                let odd: Vec<usize> = (0..page)
                    .filter(|&index| old[index] & 1 == 1)
                    .take(2)
                    .collect();
                bytes[odd[usize::from(call.contains("bit 1"))]] = 0xfe;
                let oob = vec![0xff; geometry.oobsize as usize];
                self.write(block3, Some(&bytes), Some(&oob), OpMode::Raw, 0)
                    .1
                    .unwrap();
                self.raw_read_follows = true;
            }
            "write all-0 oob block 8 page 0" => {
                let oob = vec![0; geometry.oobsize as usize];
                self.write(
                    8 * u64::from(geometry.erasesize),
                    None,
                    Some(&oob),
                    OpMode::Raw,
                    0,
                )
                .1
                .unwrap();
            }
            // Two segments are two calls; the second meets the locked half.
            "writev across the lock edge" => {
                let edge = geometry.size / 2;
                self.bench.program(edge - 4, &[0; 4]).unwrap();
                let _ = self.bench.program(edge, &[0; 4]);
            }
            _ if call.starts_with("raw clear") => {}
            _ => return false,
        }
        true
    }

    fn write(
        &mut self,
        at: u64,
        data: Option<&[u8]>,
        oob: Option<&[u8]>,
        mode: OpMode,
        ooboffs: u32,
    ) -> (Outcome, Result<(), FlashError>) {
        let ops = WriteOps {
            mode,
            data: data.map(Source::Bytes),
            oob: oob.map(Source::Bytes),
            ooboffs,
        };
        self.bench.with(|chip| chip.write_oob(at, ops))
    }

    fn pwrite(&mut self, length: u64, at: u64, argument: String, answer: &str, context: &str) {
        if answer.contains("ENOSPC") || length > self.bench.geometry.size {
            return;
        }
        let wanted: Option<u64> = answer.split(' ').next().and_then(|text| text.parse().ok());
        // The char device cuts at the end of the chip.
        let taken = length.min(self.bench.geometry.size - at);
        let Some((bytes, _)) = data_of(&argument, length as usize) else {
            return;
        };
        let mode = self.mode;
        let source = Source::Bytes(&bytes[..taken as usize]);
        let (outcome, result) = self.bench.with(|chip| chip.program(at, source, mode));
        match result {
            Ok(()) => self.expect(Some(outcome.retlen), wanted, context),
            Err(_) => self.expect_result(result, answer, context),
        }
    }

    fn pread(&mut self, at: u64, length: u64, answer: &str, context: &str) {
        let taken = answer
            .split(' ')
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(length);
        let mut bytes = vec![0; taken as usize];
        let mode = if core::mem::take(&mut self.raw_read_follows) {
            OpMode::Raw
        } else {
            self.mode
        };
        let (outcome, result) = self
            .bench
            .with(|chip| chip.read(at, Sink::Bytes(&mut bytes), mode));
        result.unwrap();
        self.outcome.corrected += outcome.corrected;
        self.outcome.failed += outcome.failed;
        let wanted = answer.split("d=").nth(1).and_then(|text| text.get(..8));
        self.expect(
            Some(format!("{:08x}", digest(&bytes)).as_str()),
            wanted,
            context,
        );
    }

    fn write_oob(&mut self, at: u64, length: u64, argument: &str, answer: &str, context: &str) {
        let geometry = self.bench.geometry;
        let ooboffs = at % u64::from(geometry.writesize);
        if length > u64::from(geometry.oobsize) || at >= geometry.size {
            return;
        }
        let Some((mut bytes, tame)) = data_of(argument, length as usize) else {
            return;
        };
        if tame {
            self.keep_free_bytes(&mut bytes, ooboffs as usize);
        }
        let mode = self.mode;
        let (outcome, result) = self.write(at, None, Some(&bytes), mode, ooboffs as u32);
        self.expect_result(result, answer, context);
        if result.is_ok() {
            self.expect(Some(outcome.oobretlen), Some(length), context);
        }
    }

    /// The recording program writes 0xFF wherever ECC lives.
    fn keep_free_bytes(&self, bytes: &mut [u8], ooboffs: usize) {
        let oobsize = self.bench.geometry.oobsize as usize;
        let layout = self.bench.geometry.oob_layout().unwrap();
        let free: Vec<u32> = layout.free_positions(0).collect();
        for (index, byte) in bytes.iter_mut().enumerate() {
            if !free.contains(&(((index + ooboffs) % oobsize) as u32)) {
                *byte = 0xff;
            }
        }
    }

    fn read_oob(&mut self, at: u64, length: u64, answer: &str, context: &str) {
        let mut bytes = vec![0; length as usize];
        let ooboffs = (at % u64::from(self.bench.geometry.writesize)) as u32;
        let ops = ReadOps {
            mode: self.mode,
            data: None,
            oob: Some(Sink::Bytes(&mut bytes)),
            ooboffs,
        };
        let (outcome, result) = self.bench.with(|chip| chip.read_oob(at, ops));
        self.expect(Some(result), Some(Ok(())), context);
        self.expect(Some(outcome.oobretlen), Some(length), context);
        let wanted = answer
            .split("oobecc[")
            .nth(1)
            .and_then(|text| text.split("]=").nth(1));
        if length <= 128 {
            self.expect(Some(hex(&bytes).as_str()), wanted, context);
        } else {
            let digest = format!("{}..{:08x}", hex(&bytes[..16]), digest(&bytes));
            self.expect(Some(digest.as_str()), wanted, context);
        }
    }

    /// `MEMWRITE(at,len n[/NULL],oob n[/NULL],MODE,#seed[t])`; surplus OOB is cut by the char device.
    fn memwrite(&mut self, at: u64, arguments: &[&str]) {
        let geometry = self.bench.geometry;
        let [_, data, oob, mode, seed] = arguments else {
            return;
        };
        let length_of = |text: &str| {
            text.split(' ')
                .nth(1)
                .filter(|text| !text.ends_with("NULL"))
                .and_then(number)
        };
        let (data, oob) = (length_of(data), length_of(oob));
        let mode = match *mode {
            "PLACE" => OpMode::Place,
            "AUTO" => OpMode::Auto,
            _ => OpMode::Raw,
        };
        let seed_number: u32 = seed.trim_matches(['#', 't']).parse().unwrap();
        let available = if mode == OpMode::Auto {
            geometry.oobavail()
        } else {
            geometry.oobsize
        };
        let data = data
            .map(|length| seeded(seed_number, length as usize))
            .filter(|data| !data.is_empty());
        let mut oob = oob.map(|length| seeded(seed_number + 7, length as usize));
        if let (Some(data), Some(oob)) = (&data, &mut oob) {
            oob.truncate(data.len().div_ceil(geometry.writesize as usize) * available as usize);
        }
        if let (Some(oob), true) = (&mut oob, seed.ends_with('t') && mode != OpMode::Auto) {
            self.keep_free_bytes(oob, 0);
        }
        if data.is_some()
            || oob
                .as_ref()
                .is_some_and(|oob| oob.len() <= available as usize)
        {
            self.write(at, data.as_deref(), oob.as_deref(), mode, 0)
                .1
                .unwrap();
        }
    }

    /// `MEMREAD(at,len n,oob n,MODE)` of one whole page.
    fn memread(&mut self, at: u64, arguments: &[&str], answer: &str, context: &str) {
        let geometry = self.bench.geometry;
        let whole = format!("len {}", geometry.writesize);
        if arguments.get(1) != Some(&whole.as_str()) || answer.contains("EINVAL") {
            return;
        }
        let mode = if arguments.last() == Some(&"RAW") {
            OpMode::Raw
        } else {
            OpMode::Place
        };
        let (mut data, mut oob) = (
            vec![0; geometry.writesize as usize],
            vec![0; geometry.oobsize as usize],
        );
        let ops = ReadOps {
            mode,
            data: Some(Sink::Bytes(&mut data)),
            oob: Some(Sink::Bytes(&mut oob)),
            ooboffs: 0,
        };
        let (outcome, result) = self.bench.with(|chip| chip.read_oob(at, ops));
        result.unwrap();
        self.outcome.corrected += outcome.corrected;
        self.outcome.failed += outcome.failed;
        let ours = format!(
            "{},{},{}",
            outcome.failed, outcome.corrected, outcome.max_bitflips
        );
        let ecc = answer
            .split("ecc={")
            .nth(1)
            .and_then(|text| text.split('}').next());
        self.expect(Some(ours.as_str()), ecc, context);
        self.expect(
            Some(format!("{:08x}", digest(&data)).as_str()),
            answer.split("d=").nth(1).and_then(|text| text.get(..8)),
            context,
        );
        let spare = answer
            .split("oobecc[")
            .nth(1)
            .and_then(|text| text.split("]=").nth(1));
        if oob.len() <= 128 {
            self.expect(Some(hex(&oob).as_str()), spare, context);
        }
    }

    fn stats(&mut self, call: &str, answer: &str, context: &str) {
        if call == "ECCGETSTATS" {
            let ours = format!(
                "0 corrected={} failed={}",
                self.outcome.corrected, self.outcome.failed
            );
            self.expect(Some(ours.as_str()), answer.split(" bad=").next(), context);
        }
    }

    fn expect_lock(
        &mut self,
        result: Result<(), FlashError>,
        at: u64,
        length: u64,
        answer: &str,
        context: &str,
    ) {
        let refused_before = length == 0 || at >= self.bench.geometry.size;
        if !refused_before {
            self.expect_result(result, answer, context);
        }
    }

    fn expect_result(&mut self, result: Result<(), FlashError>, answer: &str, context: &str) {
        let wanted = match answer.split(' ').nth(1) {
            _ if !answer.starts_with('-') => Ok(()),
            Some("EINVAL") => Err(FlashError::Invalid),
            Some("EIO") => Err(FlashError::Io),
            Some("EROFS") => Err(FlashError::ReadOnly),
            Some("EOPNOTSUPP") => Err(FlashError::NotSupported),
            Some("ENOTSUPP524") => Err(FlashError::NotSupportedInternal),
            other => panic!("{context}: {other:?}"),
        };
        self.expect(Some(result), Some(wanted), context);
    }

    fn expect<T: PartialEq + core::fmt::Debug>(
        &mut self,
        ours: Option<T>,
        kernel: Option<T>,
        context: &str,
    ) {
        assert_eq!(ours, kernel, "ours, then the kernel's: {context}");
        self.checked += 1;
    }
}
