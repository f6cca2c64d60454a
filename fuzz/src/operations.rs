//! A guest's calls on one device, out of the fuzzer's bytes, with what must hold after each of them.

use core::cell::RefCell;
use core::sync::atomic::{AtomicU32, Ordering};

use chardev::text::{Node, Text};
use chardev::{Device, EccStats, FileMode, OpenFile, Registry, Session, block};
use flash::{Chip, Geometry, Kind, Ledger, SCRATCH_SIZE, Scratch};
use image::DeviceView;
use image::board::layout::BoardWords;
use mtd_abi::errno::Errno;
use mtd_abi::ioctl::*;

use crate::reader::Reader;
use crate::store::{GUEST, GUEST_BYTES, MemoryStore};

pub struct Limits {
    calls_max: u32,
}

impl Limits {
    pub const BRIEF: Limits = Limits { calls_max: 12 };
    pub const LONG: Limits = Limits { calls_max: 64 };
}

const COMMANDS: [u32; 27] = [
    MEMGETINFO,
    MEMERASE,
    MEMWRITEOOB,
    MEMREADOOB,
    MEMLOCK,
    MEMUNLOCK,
    MEMGETREGIONCOUNT,
    MEMGETREGIONINFO,
    MEMGETOOBSEL,
    MEMGETBADBLOCK,
    MEMSETBADBLOCK,
    OTPSELECT,
    OTPGETREGIONCOUNT,
    OTPGETREGIONINFO,
    OTPLOCK,
    ECCGETLAYOUT,
    ECCGETSTATS,
    MTDFILEMODE,
    MEMERASE64,
    MEMWRITEOOB64,
    MEMREADOOB64,
    MEMISLOCKED,
    MEMWRITE,
    OTPERASE,
    MEMREAD,
    BLKPG,
    BLKRRPART,
];
/// Those of the char device that may change the bytes of a chip.
const CHANGING: [u32; 5] = [MEMERASE, MEMERASE64, MEMWRITEOOB, MEMWRITEOOB64, MEMWRITE];
const BLOCK_COMMANDS: [u32; 12] = [
    BLKGETSIZE64,
    BLKGETSIZE,
    BLKSSZGET,
    BLKBSZSET,
    BLKROSET,
    BLKRAGET,
    BLKFLSBUF,
    BLKPG,
    BLKDISCARD,
    BLKSECDISCARD,
    BLKZEROOUT,
    BLKRRPART,
];

struct Counters<'a, 'b>(&'a BoardWords<'b>);

impl Registry for Counters<'_, '_> {
    fn ecc_stats(&self, device: u32) -> EccStats {
        let stats = self.0.devices().stats(device as usize);
        stats.map_or(EccStats::default(), |stats| EccStats {
            corrected: stats.corrected.load(Ordering::Relaxed),
            failed: stats.failed.load(Ordering::Relaxed),
            bad_blocks: stats.bad_blocks.load(Ordering::Relaxed),
            bbt_blocks: stats.bbt_blocks.load(Ordering::Relaxed),
        })
    }

    fn count_ecc(&self, device: u32, corrected: u32, failed: u32) {
        if let Some(stats) = self.0.devices().stats(device as usize) {
            stats.corrected.fetch_add(corrected, Ordering::Relaxed);
            stats.failed.fetch_add(failed, Ordering::Relaxed);
        }
    }

    fn count_bad_block(&self, device: u32) {
        if let Some(stats) = self.0.devices().stats(device as usize) {
            stats.bad_blocks.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn bitflip_threshold(&self, device: u32) -> u32 {
        let stats = self.0.devices().stats(device as usize);
        stats.map_or(0, |stats| stats.bitflip_threshold.load(Ordering::Relaxed))
    }

    fn block_settings(&self, device: u32, mask: u32, value: u32) -> u32 {
        let Some(stats) = self.0.devices().stats(device as usize) else {
            return 0;
        };
        let new = stats.block_settings.load(Ordering::Relaxed) & !mask | value;
        stats.block_settings.store(new, Ordering::Relaxed);
        new
    }

    fn add_partition(&self, _: u32, _: &[u8], _: i64, _: i64) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn delete_partition(&self, _: u32, _: i32) -> Result<(), Errno> {
        Err(Errno::EBUSY)
    }
}

pub fn device_of<'a>(view: &'a DeviceView, geometry: &'a Geometry) -> Device<'a> {
    Device {
        index: view.index,
        name: view.name.as_str().as_bytes(),
        offset: view.offset,
        parent_offset: view.parent_offset,
        size: view.size,
        erasesize: view.erasesize,
        flags: view.flags,
        is_partition: view.is_partition,
        geometry,
    }
}

/// Every text that /proc and sysfs have of a device.
pub fn texts(board: &BoardWords<'_>, view: &DeviceView, geometry: &Geometry) {
    let device = device_of(view, geometry);
    let counters = Counters(board);
    let mut buffer = [0; 512];
    let mut line = Text::new(&mut buffer);
    chardev::text::proc_mtd_line(&mut line, &device);
    assert!(line.bytes().ends_with(b"\n"));
    for node in [Node::Char, Node::ReadOnly, Node::Block] {
        for name in chardev::text::attributes(&device, node) {
            let mut buffer = [0; 512];
            let mut text = Text::new(&mut buffer);
            let _ = chardev::text::attribute(
                &mut text,
                &device,
                counters.ecc_stats(view.index),
                counters.bitflip_threshold(view.index),
                node,
                name,
            );
        }
    }
}

/// The chip, made like one that was just unpacked.
struct Bench<'a> {
    view: &'a DeviceView,
    geometry: &'a Geometry,
    words: Vec<AtomicU32>,
    store: MemoryStore,
    before: MemoryStore,
}

pub fn run(
    board: &BoardWords<'_>,
    view: &DeviceView,
    geometry: &Geometry,
    reader: &mut Reader<'_>,
    limits: &Limits,
) {
    let words: Vec<AtomicU32> = (0..Ledger::bytes(geometry) / 4)
        .map(|_| AtomicU32::new(0))
        .collect();
    let ledger = Ledger::new(&words);
    ledger.format(geometry);
    ledger.declare_erased(geometry);
    let store = MemoryStore::new(geometry);
    let mut bench = Bench {
        view,
        geometry,
        words,
        before: store.clone(),
        store,
    };
    let mut file = OpenFile {
        readable: true,
        writable: true,
        ..OpenFile::default()
    };
    for _ in 0..limits.calls_max {
        if reader.is_empty() {
            break;
        }
        bench.one_call(board, &mut file, reader);
    }
}

thread_local! {
    static SCRATCH: RefCell<Box<Scratch>> = RefCell::new(Box::new([0; SCRATCH_SIZE]));
}

/// What a call may do to the bytes of the chip.
#[derive(PartialEq, Debug)]
enum Effect {
    Nothing,
    /// Clear bits only, where the chip is a flash.
    Program,
    Anything,
}

impl Bench<'_> {
    fn one_call(&mut self, board: &BoardWords<'_>, file: &mut OpenFile, reader: &mut Reader<'_>) {
        let size = self.view.size;
        match reader.byte() % 14 {
            0..=4 => {
                let command = COMMANDS[usize::from(reader.byte()) % COMMANDS.len()];
                let argument = self.argument(command, reader);
                let effect = match command {
                    // A block is erased before it is marked.
                    MEMERASE | MEMERASE64 | MEMSETBADBLOCK => Effect::Anything,
                    _ if CHANGING.contains(&command) => Effect::Program,
                    _ => Effect::Nothing,
                };
                self.call(board, file, effect, |session| {
                    let _ = chardev::ioctl(session, command, argument);
                });
            }
            5 => {
                let (command, argument) =
                    (reader.number(4) as u32, reader.near(GUEST as u64) as usize);
                if !CHANGING.contains(&command) && command != MEMSETBADBLOCK {
                    self.call(board, file, Effect::Nothing, |session| {
                        let _ = chardev::ioctl(session, command, argument);
                    });
                }
            }
            6 | 7 => {
                let (position, address, length) = transfer(size, reader);
                self.call(board, file, Effect::Nothing, |session| {
                    if let Ok(done) = chardev::read(session, position, address, length) {
                        assert!(
                            done <= length && position.saturating_add(done) <= size.max(position)
                        );
                    }
                });
            }
            8 | 9 => {
                let (position, address, length) = transfer(size, reader);
                self.call(board, file, Effect::Program, |session| {
                    if let Ok(done) = chardev::write(session, position, address, length) {
                        assert!(done <= length && position + done <= size);
                    }
                });
            }
            10 => {
                let (offset, origin) = (reader.near(size) as i64, u32::from(reader.byte() % 5));
                if let Ok(position) = chardev::seek(file, size, offset, origin) {
                    assert!(position <= size);
                    file.position = position;
                }
            }
            11 => self.block_call(board, file, reader),
            12 => {
                file.mode = FileMode::from_number(u32::from(reader.byte() % 4));
                file.writable = !reader.byte().is_multiple_of(8);
            }
            _ => self.decay(reader),
        }
    }

    /// Writes an argument structure into the guest's memory and tells where, or somewhere else.
    fn argument(&mut self, command: u32, reader: &mut Reader<'_>) -> usize {
        if command == MTDFILEMODE {
            return reader.number(1) as usize % 6;
        }
        let place = 0x40;
        let mut bytes = [0; 64];
        let addresses = [
            GUEST as u64 + 0x1000,
            GUEST as u64 + 0x3f00,
            GUEST as u64 + 0x5000,
            0,
            u64::MAX - 8,
        ];
        let mut put = |at: usize, width: usize, value: u64| {
            bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        };
        let size = self.view.size;
        match command {
            MEMWRITEOOB | MEMREADOOB => {
                put(0, 4, reader.near(size));
                put(4, 4, reader.near(u64::from(self.geometry.oobsize)));
                put(
                    8,
                    4,
                    addresses[usize::from(reader.byte()) % addresses.len()],
                );
            }
            MEMWRITEOOB64 | MEMREADOOB64 => {
                put(0, 8, reader.near(size));
                put(12, 4, reader.near(u64::from(self.geometry.oobsize)));
                put(
                    16,
                    8,
                    addresses[usize::from(reader.byte()) % addresses.len()],
                );
            }
            MEMWRITE | MEMREAD => {
                put(0, 8, reader.near(size));
                put(8, 8, reader.near(u64::from(self.geometry.writesize) * 3));
                put(16, 8, reader.near(u64::from(self.geometry.oobsize) * 3));
                put(
                    24,
                    8,
                    addresses[usize::from(reader.byte()) % addresses.len()],
                );
                put(
                    32,
                    8,
                    addresses[usize::from(reader.byte()) % addresses.len()],
                );
                put(40, 1, u64::from(reader.byte() % 4));
            }
            MEMERASE | MEMLOCK | MEMUNLOCK | MEMISLOCKED => {
                let unit = u64::from(self.view.erasesize.max(1));
                let whole = !reader.byte().is_multiple_of(4);
                for at in [0, 4] {
                    let value = reader.near(size);
                    put(at, 4, if whole { value / unit * unit } else { value });
                }
            }
            MEMERASE64 | MEMGETBADBLOCK | MEMSETBADBLOCK => {
                let unit = u64::from(self.view.erasesize.max(1));
                put(0, 8, reader.near(size) / unit * unit);
                put(8, 8, reader.near(size) / unit * unit);
            }
            _ => {
                let given = reader.take(24);
                bytes[..given.len()].copy_from_slice(given);
            }
        }
        self.store.guest[place..place + bytes.len()].copy_from_slice(&bytes);
        if reader.byte().is_multiple_of(16) {
            reader.near((GUEST + GUEST_BYTES) as u64) as usize
        } else {
            GUEST + place
        }
    }

    fn block_call(&mut self, board: &BoardWords<'_>, file: &mut OpenFile, reader: &mut Reader<'_>) {
        let (position, address, length) = transfer(self.view.size, reader);
        // A block device has no file modes, and the cache of mtdblock writes back whenever it likes.
        let mut block_file = OpenFile {
            mode: FileMode::Normal,
            ..*file
        };
        match reader.byte() % 4 {
            0 => self.call(board, &mut block_file, Effect::Nothing, |session| {
                let _ = block::read(session, position, address, length, length & 1 == 0);
            }),
            1 => self.call(board, &mut block_file, Effect::Anything, |session| {
                let _ = block::write(session, position, address, length, length & 1 == 0);
            }),
            2 => self.call(board, &mut block_file, Effect::Anything, |session| {
                let _ = block::sync(session);
            }),
            _ => {
                let command = BLOCK_COMMANDS[usize::from(reader.byte()) % BLOCK_COMMANDS.len()];
                let argument = self.argument(command, reader);
                self.call(board, &mut block_file, Effect::Anything, |session| {
                    let _ = block::ioctl(session, command, argument);
                });
            }
        }
    }

    /// What happens behind the guest's back: bits flip in the chip and in the side file, the disk fills up.
    fn decay(&mut self, reader: &mut Reader<'_>) {
        let at = reader.number(4) as usize;
        let bit = reader.byte();
        match bit >> 3 & 3 {
            0 => {
                let length = self.store.main.len();
                self.store.main[at % length] ^= 1 << (bit & 7);
            }
            1 if !self.store.oob.is_empty() => {
                let length = self.store.oob.len();
                self.store.oob[at % length] ^= 1 << (bit & 7);
            }
            2 => {
                // Two words are the lock and the sequence, which the model leaves alone.
                let index = 2 + at % (self.words.len() - 2);
                self.words[index].fetch_xor(1 << (bit & 31), Ordering::Relaxed);
            }
            _ => self.store.changes_left = u32::from(bit & 7),
        }
        // Whoever changed the image changed its stamp, and then the ledger's hints are void.
        Ledger::new(&self.words).next_epoch(self.geometry);
    }

    fn call(
        &mut self,
        board: &BoardWords<'_>,
        file: &mut OpenFile,
        effect: Effect,
        body: impl FnOnce(&mut Session<'_>),
    ) {
        self.before.main.copy_from_slice(&self.store.main);
        self.before.oob.copy_from_slice(&self.store.oob);
        let ledger = Ledger::new(&self.words);
        let registry = Counters(board);
        let code = flash::Code::of(self.geometry);
        SCRATCH.with_borrow_mut(|scratch| {
            body(&mut Session {
                device: device_of(self.view, self.geometry),
                chip: Chip {
                    geometry: self.geometry,
                    ledger: &ledger,
                    code: code.as_ref(),
                    medium: &mut self.store,
                    scratch,
                },
                registry: &registry,
                file,
            });
        });
        self.check_bytes(&effect);
    }

    fn check_bytes(&self, effect: &Effect) {
        let (view, geometry) = (self.view, self.geometry);
        let (start, end) = (view.offset as usize, (view.offset + view.size) as usize);
        let page = geometry.writesize.max(1) as usize;
        let spare = geometry.oobsize as usize;
        // As in the kernel, whose check wraps there: the spare area of the page right behind a partition can be reached.
        let behind = end.div_ceil(page) + 1;
        let inside = [start..end, start / page * spare..behind * spare];
        let areas = [
            (&self.before.main, &self.store.main),
            (&self.before.oob, &self.store.oob),
        ];
        let is_flash = !matches!(geometry.kind, Kind::Ram);
        for ((old, new), inside) in areas.into_iter().zip(inside) {
            if old == new {
                continue;
            }
            assert_ne!(
                *effect,
                Effect::Nothing,
                "a call that changes nothing changed bytes"
            );
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                assert!(
                    old == new || inside.contains(&at),
                    "a byte outside the device changed: {at:#x}"
                );
                assert!(
                    *effect == Effect::Anything || !is_flash || new & !old == 0,
                    "programming set a bit at {at:#x}: {old:#x} -> {new:#x}"
                );
            }
        }
    }
}

/// Position, address and length of a transfer; mostly such that it can work.
fn transfer(size: u64, reader: &mut Reader<'_>) -> (u64, usize, u64) {
    let position = reader.near(size);
    let address = match reader.byte() % 8 {
        0 => reader.near((GUEST + GUEST_BYTES) as u64) as usize,
        1 => GUEST + 0x3f00,
        2 => GUEST + GUEST_BYTES - 256,
        _ => GUEST + 0x800,
    };
    (position, address, reader.near(size).min(1 << 20))
}
