//! The board: its chips, which never change while the text stays the same, and its live device table.
//!
//! The compiled form lies in `.mtdshim/board` beside the text and is mapped by every process. It is made anew when
//! the text changed, which is seen without reading it; that is the board's reboot: partitions added since are gone.
//! Where nothing may be written, the board is compiled into private memory and its devices are read-only.
//!
//! Must not know: how the text is written (`conf`), what a chip's files hold (`chip_files`).

mod chip;
mod device;
mod hardware;
pub mod layout;
mod open;
mod version;
mod words;

#[cfg(test)]
mod tests;

use core::ffi::CStr;
use core::ops::Range;
use core::sync::atomic::AtomicU32;

use mtd_abi::flag;

#[cfg(test)]
pub use crate::sample::SAMPLE_CONF;
pub use chip::{
    BAD_BLOCKS_MAX, CHIP_NAME_BYTES, CHIPS_MAX, ChipConfig, FACTORY_DIGITS, FILE_NAME_BYTES,
    MTD_NAME_BYTES,
};
pub use device::{DEVICES_MAX, DeviceStats, DeviceView, Placed, Request, master_request, place};
pub use hardware::{HARDWARE, Hardware, Place};
use layout::BoardWords;
pub use open::CONF_NAME;

use crate::lock::{LockState, SharedLock};
use crate::mapping::Mapping;
use crate::os::{Fd, Os};
use crate::problem::Problem;
use crate::text::{PathText, Text};

#[derive(Debug)]
pub struct Board {
    mapping: Mapping,
    /// Open as long as the board, for its record locks; -1 for a private board.
    fd: Fd,
    directory: PathText,
    conf: PathText,
    lock_state: LockState,
}

/// Why a partition cannot be added or deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartitionError {
    /// EINVAL.
    Invalid,
    /// All indices are taken.
    Full,
    /// The board could not be locked: the errno.
    Lock(i32),
}

/// How often a reader without a lock tries for a consistent copy before it takes what it has.
const READ_TRIES: u32 = 10_000;

impl Board {
    /// `path` is the board's directory or its text. Compiles when the text changed. From one thread at a time.
    pub fn open(os: &impl Os, path: &CStr) -> Result<Board, Problem> {
        open::open(os, path)
    }

    /// The board in `directory`; when it has no configuration at all, a sample is written and reported first.
    pub fn open_default(os: &impl Os, directory: &CStr) -> Result<Board, Problem> {
        open::write_sample_if_missing(os, directory)?;
        open::open(os, directory)
    }

    /// What the board at `path` answers besides flash, without opening it. None where only opening it tells.
    pub fn summary_of(os: &impl Os, path: &CStr) -> Option<u32> {
        open::summary_of(os, path)
    }

    /// Rules that answer for devices other than flash.
    pub fn rules(&self) -> answers::Rules<'_> {
        self.words().rules()
    }

    /// The same of this one.
    pub fn summary(&self) -> u32 {
        self.words().summary()
    }

    /// Where a device hangs.
    pub fn hardware(&self, view: &DeviceView) -> Hardware {
        let mut hardware = Hardware::default();
        let words = self.words();
        words.load_hardware(view.chip, &mut hardware.parent, &mut hardware.parent_uevent);
        let table = words.devices();
        table.load_uevent(view.index as usize, &mut hardware.uevent);
        hardware
    }

    /// Forgets the compiled form, so that the next `open` starts like a reboot. Processes that have the board open
    /// keep what they have.
    pub fn discard_compiled(os: &impl Os, path: &CStr) -> Result<(), Problem> {
        open::discard_compiled(os, path)
    }

    /// The mapped words and the file they are from, -1 where they are this process's own.
    pub fn mapped(&self) -> (&[AtomicU32], Fd) {
        (self.mapping.words(), self.fd)
    }

    fn words(&self) -> BoardWords<'_> {
        BoardWords::new(self.mapping.words())
    }

    pub fn directory(&self) -> &PathText {
        &self.directory
    }

    pub fn conf_path(&self) -> &PathText {
        &self.conf
    }

    /// Nothing can be written beside the text: the table is this process's own, and no device is writeable.
    pub fn is_read_only(&self) -> bool {
        !self.mapping.is_shared()
    }

    /// The descriptor that must stay open for the board's lock; -1 for none.
    pub fn fd(&self) -> Fd {
        self.fd
    }

    pub fn close(self, os: &impl Os) {
        if self.fd >= 0 {
            os.close(self.fd);
        }
    }

    pub fn chip_count(&self) -> usize {
        self.words().chip_count()
    }

    pub fn chip(&self, index: usize) -> Option<ChipConfig> {
        self.words().chip(index)
    }

    /// Of a chip alone.
    pub fn geometry(&self, index: usize) -> Option<flash::Geometry> {
        self.words().geometry(index)
    }

    pub fn lock(&self) -> SharedLock<'_> {
        static NO_WORD: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(0);
        let (word, sequence) = self.words().lock_words().unwrap_or((&NO_WORD, &NO_WORD));
        SharedLock::new(word, sequence, &self.lock_state)
    }

    /// Which state of the device table is in force; none while somebody changes it. Who has seen a device under this number
    /// need not look at it again while the number stays.
    #[inline(always)]
    pub fn table_state(&self) -> Option<u32> {
        self.lock().begin_read()
    }

    /// The same as a number, odd while somebody changes it.
    #[inline(always)]
    pub fn table_sequence(&self) -> u32 {
        self.lock().sequence_now()
    }

    /// mtdN, read without a lock.
    pub fn device(&self, index: u32) -> Option<DeviceView> {
        let table = self.words().devices();
        let lock = self.lock();
        let mut view = None;
        for _ in 0..READ_TRIES {
            let sequence = lock.begin_read();
            view = table.view(index as usize);
            if sequence.is_some_and(|sequence| !lock.must_retry(sequence)) {
                break;
            }
            core::hint::spin_loop();
        }
        view.map(|mut view| {
            if self.is_read_only() {
                view.flags &= !flag::WRITEABLE;
            }
            view
        })
    }

    /// All devices in the order of their index.
    pub fn devices(&self) -> impl Iterator<Item = DeviceView> + '_ {
        (0..DEVICES_MAX as u32).filter_map(|index| self.device(index))
    }

    /// One of them alone.
    #[inline(always)]
    pub fn bitflip_threshold(&self, index: u32) -> Option<&AtomicU32> {
        self.words().bitflip_threshold(index as usize)
    }

    /// What of a chip waits in the write-back cache of mtdblockN. Under the chip's lock.
    pub fn kept(&self, index: u32, chip: usize) -> Range<u64> {
        self.words().devices().kept(index as usize, chip)
    }

    pub fn set_kept(&self, index: u32, range: &Range<u64>) {
        self.words().devices().set_kept(index as usize, range);
    }

    /// Also of an index that is not in use.
    pub fn stats(&self, index: u32) -> Option<DeviceStats<'_>> {
        self.words().devices().stats(index as usize)
    }

    /// BLKPG ADD: the checks of `mtd_add_partition`. `parent` must be a master.
    pub fn add_partition(
        &self,
        os: &impl Os,
        parent: u32,
        name: &[u8],
        start: i64,
        length: i64,
    ) -> Result<u32, PartitionError> {
        let lock = self.lock();
        lock.acquire(os)
            .map_err(|error| PartitionError::Lock(error.0))?;
        let result = self.add_partition_locked(parent, name, start, length);
        lock.release(os);
        result
    }

    fn add_partition_locked(
        &self,
        parent: u32,
        name: &[u8],
        start: i64,
        length: i64,
    ) -> Result<u32, PartitionError> {
        let words = self.words();
        let master = words
            .devices()
            .view(parent as usize)
            .ok_or(PartitionError::Invalid)?;
        let geometry = words.geometry(master.chip).ok_or(PartitionError::Invalid)?;
        // -1 and -2 mean "append" and "next block" inside the kernel, and are refused from outside.
        if master.is_partition || start == -1 || start == -2 {
            return Err(PartitionError::Invalid);
        }
        let length = if length == 0 {
            (master.size as i64).wrapping_sub(start)
        } else {
            length
        };
        if length <= 0 {
            return Err(PartitionError::Invalid);
        }
        let placed = place(&geometry, master.flags, start as u64, length as u64);
        let name = Text::<MTD_NAME_BYTES>::of_bytes(name);
        let request = Request {
            name: name.as_str(),
            chip: master.chip,
            offset: placed.offset,
            parent_offset: placed.offset,
            size: placed.size,
            erasesize: placed.erasesize,
            flags: placed.flags,
            is_partition: true,
            bitflip_threshold: geometry.bitflip_threshold_default(),
            uevent: "",
        };
        words
            .devices()
            .register(&request)
            .ok_or(PartitionError::Full)
    }

    /// BLKPG DEL: `index` must be a partition of `parent`. Whether somebody has it open is the caller's business.
    pub fn delete_partition(
        &self,
        os: &impl Os,
        parent: u32,
        index: u32,
    ) -> Result<(), PartitionError> {
        let lock = self.lock();
        lock.acquire(os)
            .map_err(|error| PartitionError::Lock(error.0))?;
        let table = self.words().devices();
        let result = match (table.view(parent as usize), table.view(index as usize)) {
            (Some(master), Some(child))
                if !master.is_partition && child.is_partition && child.chip == master.chip =>
            {
                table.remove(index as usize);
                Ok(())
            }
            _ => Err(PartitionError::Invalid),
        };
        lock.release(os);
        result
    }
}
