//! What lies below a chip here: its files, the guest's memory and the board's table, as the traits of the pure crates.

use crate::guest_memory::Window;
use crate::sys::{self, Kernel};
use chardev::{EccStats, Registry};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use flash::{Area, GuestFault, GuestMemory, Medium, MediumError, Sink, Source};
use image::board::CHIPS_MAX;
use image::os::errno_text;
use image::{Board, ChipFiles, PartitionError};
use mtd_abi::errno::Errno;

pub struct Files<'a> {
    pub window: &'a mut Window,
    pub board: &'a Board,
    pub files: &'a ChipFiles,
    /// Number of the chip on the board.
    pub chip: usize,
    /// Bytes that may be written without a look at the files.
    pub trust: &'static AtomicU32,
    /// Number of the block device that this is done for; `NO_BLOCK_DEVICE` for others.
    pub caller: u32,
    /// Below which number the block devices are that something of the chip waits in the caches of.
    pub cached: u32,
}

/// The board's live device table.
pub struct Table<'a> {
    pub board: &'a Board,
    pub chip: usize,
}

/// Bytes of 0xFF that erase writes from, made once, and behind them address and length of each piece, as the system takes them.
/// Few enough to stay in a processor's first cache: one call writes them many times. A call for each 128 KiB took a tenth more.
const ERASED_SIZE: usize = 16 * 1024;
const ERASED_PIECES: usize = 64;
type ErasedVector = [[usize; 2]; ERASED_PIECES];

fn erased_bytes() -> Result<usize, i32> {
    static ADDRESS: AtomicUsize = AtomicUsize::new(0);
    let known = ADDRESS.load(Relaxed);
    if known != 0 {
        return Ok(known);
    }
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let address = sys::checked(sys::call!(
        libc::SYS_mmap2,
        0,
        ERASED_SIZE + size_of::<ErasedVector>(),
        protection,
        flags,
        -1isize,
        0
    ))?;
    let vector = address + ERASED_SIZE;
    // SAFETY: a mapping of this size that was just made and that nobody else knows.
    unsafe {
        core::ptr::write_bytes(address as *mut u8, 0xff, ERASED_SIZE);
        (vector as *mut ErasedVector).write([[address, ERASED_SIZE]; ERASED_PIECES]);
    }
    ADDRESS.store(address, Relaxed);
    Ok(address)
}

impl Files<'_> {
    /// Descriptor and offset of a byte of an area.
    fn place(&self, area: Area, offset: u64) -> (i32, u64) {
        match area {
            Area::Main => (self.files.image_fd, offset),
            Area::Oob => (self.files.oob_fd, offset),
            Area::OtpUser => (self.files.side_fd, self.files.otp_user_offset + offset),
            Area::OtpFactory => (self.files.side_fd, self.files.otp_factory_offset + offset),
        }
    }

    /// Before anything is changed: whether the open files are still those that the board names.
    #[inline(always)]
    fn look_at(&mut self, area: Area, length: u64) -> Result<(), MediumError> {
        let is_trusted = matches!(area, Area::Main | Area::Oob)
            && u32::try_from(length).is_ok_and(|length| is_trusted(self.trust, length));
        if is_trusted { Ok(()) } else { self.look(area) }
    }

    #[inline(never)]
    fn look(&mut self, area: Area) -> Result<(), MediumError> {
        let areas = [Area::Main, Area::Oob, area];
        let count = if matches!(area, Area::Main | Area::Oob) {
            2
        } else {
            3
        };
        for &area in areas.iter().take(count) {
            if let Some(errno) = trouble(self.files, area) {
                return Err(self.failed(area, "write", errno, false));
            }
        }
        trust_for_now(self.trust);
        Ok(())
    }

    /// EFAULT is the guest's mistake; anything else is told to the person, once.
    pub fn failed(&self, area: Area, tried: &str, errno: i32, guest: bool) -> MediumError {
        if guest && errno == libc::EFAULT {
            return MediumError::Guest;
        }
        tell(self.board, self.chip, area, tried, errno);
        MediumError::Store
    }

    /// pread or pwrite of all bytes.
    fn transfer(
        &self,
        number: libc::c_long,
        area: Area,
        offset: u64,
        address: usize,
        length: usize,
        guest: bool,
    ) -> Result<(), MediumError> {
        let (tried, nothing) = match number {
            libc::SYS_pread64 => ("read", libc::ENODATA),
            _ => ("write", libc::ENOSPC),
        };
        let mut done = 0;
        while done < length {
            let (mut fd, mut at) = self.place(area, offset + done as u64);
            let mut count = length - done;
            let mut copy = None;
            if self.cached > 0 {
                (copy, count) = self.others_copy(area, offset + done as u64, count);
            }
            if let Some((copy, place)) = copy {
                (fd, at) = (copy, place);
            }
            let moved = sys::transfer_at(number, fd, address + done, count, at);
            if copy.is_some() {
                sys::close(fd);
            }
            match moved {
                Ok(0) => return Err(self.failed(area, tried, nothing, false)),
                Ok(count) => done += count,
                Err(errno) => return Err(self.failed(area, tried, errno, guest)),
            }
        }
        Ok(())
    }
}

/// Why an open file is no longer the board's.
fn trouble(files: &ChipFiles, area: Area) -> Option<i32> {
    let fd = match area {
        Area::Main => files.image_fd,
        Area::Oob => files.oob_fd,
        Area::OtpUser | Area::OtpFactory => files.side_fd,
    };
    if fd < 0 {
        return None;
    }
    // As `sys::fstat64`, without a copy.
    let mut bytes: sys::Stat64 = [0; 104];
    sys::checked(sys::call!(libc::SYS_fstat64, fd, bytes.as_mut_ptr())).ok()?;
    let size = match area {
        Area::Main => files.geometry.size,
        Area::Oob => files.geometry.oob_file_size(),
        Area::OtpUser | Area::OtpFactory => 0,
    };
    match (sys::stat_links(&bytes), sys::stat_size(&bytes)) {
        (0, _) => Some(libc::ESTALE),
        (_, now) if now < size => Some(libc::ENODATA),
        _ => None,
    }
}

/// The same look for bytes of the main area; what is wrong is not told, only that something is.
#[cold]
#[inline(never)]
pub fn finds_nothing(files: &ChipFiles, trust: &AtomicU32) -> bool {
    let is_well = trouble(files, Area::Main).is_none() && trouble(files, Area::Oob).is_none();
    if is_well {
        trust_for_now(trust);
    }
    is_well
}

/// When a device is closed: what was written since the files were looked at last may be lost, and the side file is mapped, so
/// that nothing fails when it is gone.
pub fn look_once_more(board: &Board, chip: usize, files: &ChipFiles) {
    forget_looks();
    for &area in &[Area::Main, Area::Oob, Area::OtpUser] {
        if let Some(errno) = trouble(files, area) {
            tell(board, chip, area, "write", errno);
        }
    }
}

/// Bytes that may be written to a chip until its files are looked at again.
const TRUSTED: u32 = 1024 * 1024;
static TRUST: [AtomicU32; CHIPS_MAX] = [const { AtomicU32::new(0) }; CHIPS_MAX];

/// This process, or one that it was forked from, may have changed something of a chip.
static CHANGED: AtomicBool = AtomicBool::new(false);

#[inline(always)]
pub fn note_change() {
    CHANGED.store(true, Relaxed);
}

#[inline(always)]
pub fn is_anything_changed() -> bool {
    CHANGED.load(Relaxed)
}

/// The files were looked at, as they are before anything is written.
fn trust_for_now(trust: &AtomicU32) {
    note_change();
    trust.store(TRUSTED, Relaxed);
}

/// Somebody else may come to the files: a process was started, or time has passed.
pub fn forget_looks() {
    for trust in &TRUST {
        trust.store(0, Relaxed);
    }
}

#[inline(always)]
pub fn is_trusted(trust: &AtomicU32, length: u32) -> bool {
    let left = trust.load(Relaxed);
    let is_trusted = length < left;
    if is_trusted {
        trust.store(left - length, Relaxed);
    }
    is_trusted
}

pub fn trust(chip: usize) -> &'static AtomicU32 {
    static NONE: AtomicU32 = AtomicU32::new(0);
    TRUST.get(chip).unwrap_or(&NONE)
}

/// A trouble with a file of a chip, to the person, once.
fn tell(board: &Board, chip: usize, area: Area, tried: &str, errno: i32) {
    static TOLD: AtomicU32 = AtomicU32::new(0);
    if TOLD.swap(errno as u32, Relaxed) != errno as u32 {
        let name = board.chip(chip).map(|config| config.name);
        let file = match area {
            Area::Main => "image",
            Area::Oob => "spare-area file",
            Area::OtpUser | Area::OtpFactory => "side file",
        };
        let remedy = match errno {
            libc::ENOSPC | libc::EDQUOT => "free some space; the flash keeps what it had",
            libc::ENODATA => {
                "the file was cut while it was in use; restore it or delete it to start anew"
            }
            libc::ESTALE => {
                "end the programs that use this board, and look which file is to be kept"
            }
            _ => "look at the file",
        };
        let reason = match errno {
            libc::ENODATA => "it ends too early",
            libc::ESTALE => "it was deleted or replaced while it was in use",
            _ => errno_text(errno),
        };
        let directory = board.directory();
        let name = name.as_ref().map_or("?", |name| name.as_str());
        sys::report(&[
            directory.as_bytes(),
            b": cannot ",
            tried.as_bytes(),
            b" the ",
            file.as_bytes(),
            b" of chip ",
            name.as_bytes(),
            b": ",
            reason.as_bytes(),
            b"; ",
            remedy.as_bytes(),
        ]);
    }
}

impl Medium for Files<'_> {
    fn read(&mut self, area: Area, offset: u64, to: Sink<'_>) -> Result<(), MediumError> {
        match to {
            Sink::Bytes(bytes) => {
                let (address, length) = (bytes.as_mut_ptr() as usize, bytes.len());
                self.transfer(libc::SYS_pread64, area, offset, address, length, false)
            }
            Sink::Guest { address, length } => {
                self.transfer(libc::SYS_pread64, area, offset, address, length, true)
            }
        }
    }

    fn write(&mut self, area: Area, offset: u64, from: Source<'_>) -> Result<(), MediumError> {
        self.look_at(area, from.length())?;
        match from {
            Source::Bytes(bytes) => {
                let (address, length) = (bytes.as_ptr() as usize, bytes.len());
                self.transfer(libc::SYS_pwrite64, area, offset, address, length, false)
            }
            Source::Guest { address, length } => {
                self.transfer(libc::SYS_pwrite64, area, offset, address, length, true)
            }
        }
    }

    fn erase(&mut self, area: Area, offset: u64, length: u64) -> Result<(), MediumError> {
        if area == Area::Main {
            self.look(area)?;
        }
        let bytes = erased_bytes().map_err(|errno| self.failed(area, "erase", errno, false))?;
        let mut done = 0;
        while done < length {
            let left = length - done;
            let pieces = (left / ERASED_SIZE as u64).min(ERASED_PIECES as u64) as usize;
            if self.cached > 0 || pieces == 0 {
                let piece = left.min(ERASED_SIZE as u64) as usize;
                let at = offset + done;
                self.transfer(libc::SYS_pwrite64, area, at, bytes, piece, false)?;
                done += piece as u64;
                continue;
            }
            let (fd, at) = self.place(area, offset + done);
            match sys::pwritev(fd, bytes + ERASED_SIZE, pieces, at) {
                Ok(0) => return Err(self.failed(area, "write", libc::ENOSPC, false)),
                Ok(count) => done += count as u64,
                Err(errno) => return Err(self.failed(area, "write", errno, false)),
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), MediumError> {
        self.look(Area::Main)?;
        match sys::checked(sys::call!(libc::SYS_fdatasync, self.files.image_fd)) {
            Ok(_) => Ok(()),
            Err(errno) => Err(self.failed(Area::Main, "sync", errno, false)),
        }
    }

    fn and(&self, new: &mut [u8], old: &[u8]) {
        crate::neon::and(new, old);
    }

    fn kept(&self) -> Range<u64> {
        self.kept_of(self.caller)
    }

    fn keep(&mut self, range: Range<u64>) {
        crate::block_cache::keep(self, range);
    }

    fn end_keep(&mut self, undo: bool) -> Result<(), MediumError> {
        crate::block_cache::end(self, undo)
    }
}

impl GuestMemory for Files<'_> {
    fn copy_in(&mut self, address: usize, to: &mut [u8]) -> Result<(), GuestFault> {
        self.window.copy_in(address, to)
    }

    fn copy_out(&mut self, address: usize, from: &[u8]) -> Result<(), GuestFault> {
        self.window.copy_out(address, from)
    }

    fn check_readable(&mut self, address: usize, length: usize) -> Result<(), GuestFault> {
        self.window.check_readable(address, length)
    }
}

pub fn ecc_stats(board: &Board, device: u32) -> EccStats {
    board
        .stats(device)
        .map_or(EccStats::default(), |stats| EccStats {
            corrected: sys::load(stats.corrected),
            failed: sys::load(stats.failed),
            bad_blocks: sys::load(stats.bad_blocks),
            bbt_blocks: sys::load(stats.bbt_blocks),
        })
}

pub fn bitflip_threshold(board: &Board, device: u32) -> u32 {
    board.bitflip_threshold(device).map_or(0, sys::load)
}

pub fn block_settings(board: &Board, device: u32, mask: u32, value: u32) -> u32 {
    let Some(stats) = board.stats(device) else {
        return 0;
    };
    let old = sys::load(stats.block_settings);
    let new = old & !mask | value;
    if new != old {
        stats.block_settings.store(new, Relaxed);
    }
    new
}

impl Registry for Table<'_> {
    fn ecc_stats(&self, device: u32) -> EccStats {
        ecc_stats(self.board, device)
    }

    fn count_ecc(&self, device: u32, corrected: u32, failed: u32) {
        if let Some(stats) = self.board.stats(device) {
            stats.corrected.fetch_add(corrected, Relaxed);
            stats.failed.fetch_add(failed, Relaxed);
        }
    }

    fn count_bad_block(&self, device: u32) {
        if let Some(stats) = self.board.stats(device) {
            stats.bad_blocks.fetch_add(1, Relaxed);
        }
    }

    fn bitflip_threshold(&self, device: u32) -> u32 {
        bitflip_threshold(self.board, device)
    }

    fn block_settings(&self, device: u32, mask: u32, value: u32) -> u32 {
        block_settings(self.board, device, mask, value)
    }

    fn add_partition(
        &self,
        parent: u32,
        name: &[u8],
        start: i64,
        length: i64,
    ) -> Result<(), Errno> {
        match self
            .board
            .add_partition(&Kernel, parent, name, start, length)
        {
            Ok(_) => Ok(()),
            Err(error) => Err(partition_errno(error)),
        }
    }

    fn delete_partition(&self, parent: u32, index: i32) -> Result<(), Errno> {
        let index = u32::try_from(index).map_err(|_| Errno::EINVAL)?;
        let is_child = self
            .board
            .device(index)
            .is_some_and(|view| view.is_partition && view.chip == self.chip);
        if is_child && crate::node_files::is_open(self.board.directory(), index) {
            return Err(Errno::EBUSY);
        }
        self.board
            .delete_partition(&Kernel, parent, index)
            .map_err(partition_errno)
    }
}

fn partition_errno(error: PartitionError) -> Errno {
    match error {
        PartitionError::Invalid => Errno::EINVAL,
        PartitionError::Full => Errno::ENFILE,
        PartitionError::Lock(errno) => Errno(errno),
    }
}
