//! The transfers that make up nearly all work on flash, read() and write() of bytes that are only bytes to the chip, without
//! anything that the others need: no session, no room to compute in, no trace, and hardly a call, since to QEMU each costs as
//! much as many instructions.
//!
//! Each test here has its reason in the long way, which is taken when one fails; a call that was done in part is done again there.

use super::{STATE, State};
use crate::backing::{self, Files};
use crate::block_cache::NO_BLOCK_DEVICE;
use crate::calls::{Direction, is_memory};
use crate::descriptors::{self, OwnPosition, Position};
use crate::guest_memory::Window;
use crate::late::Late;
use crate::process_lock::ProcessLock;
use crate::sys::{self, Kernel};
use crate::trace;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use flash::{Chip, Known, Ledger, OpMode, Source, Straight, ledger};
use image::board::CHIPS_MAX;
use image::{Board, ChipFiles, DeviceView};

/// Longer ones are done in parts.
const LENGTH_MAX: u32 = mtd_abi::TRANSFER_CHUNK_MAX as u32;
const _: () = assert!(LENGTH_MAX.is_power_of_two());

/// Whether all `length` bytes were moved, and the position with them; otherwise nothing was done.
#[inline(always)]
pub fn transfer(fd: i32, direction: Direction, address: usize, length: usize) -> bool {
    let Some(position) = descriptors::position_of(fd, direction) else {
        return false;
    };
    with_state_at_once(trace::unless_off(), |state, pid| {
        let (address, length) = (address as u32, length as u32);
        transfer_at(state, pid, &position, direction, address, length)
    })
    .is_some()
}

/// A seek to a place of a device that was used last, where nobody else can see the position; None: nothing was done.
#[inline(always)]
pub fn seek(fd: i32, offset: i64, whence: i32) -> Option<i64> {
    let position = descriptors::position_of(fd, Direction::Read)?;
    let to = u64::try_from(offset).ok()?;
    with_state_at_once(0, |state, pid| {
        let is_other = state.pid ^ pid;
        let (_, view) = device_used_last(&state.board, &state.last, is_other, &position)?;
        let own = position.own?;
        own.normal()?;
        if whence != libc::SEEK_SET || to > view.size {
            return None;
        }
        own.move_to(to);
        Some(offset)
    })
}

/// `with_state` if it needs no waiting and nothing new, and if `unless` is 0; None: nothing was done.
#[inline(always)]
fn with_state_at_once<R>(
    unless: u32,
    body: impl FnOnce(&mut State, u32) -> Option<R>,
) -> Option<R> {
    let lock = ProcessLock::acquire_at_once(unless)?;
    // SAFETY: the process lock is held until it is released below; handlers of the guest wait meanwhile.
    let state = unsafe { &mut *STATE.0.get() };
    let result = body(state, lock.pid)?;
    lock.release_at_once();
    Some(result)
}

/// The device that the process used last, if it is that of the file and still there; `unless` is 0.
#[inline(always)]
fn device_used_last<'a>(
    board: &'a Late<Board>,
    last: &'a Late<(DeviceView, u32)>,
    unless: u32,
    position: &Position,
) -> Option<(&'a Board, &'a DeviceView)> {
    let (board, (view, then)) = board.with(last)?;
    // By one test. An odd state is none, and only these chips are there.
    let now = board.table_sequence();
    let differs = view.index ^ position.index
        | position.moved()
        | now ^ *then
        | now & 1
        | (view.chip / CHIPS_MAX) as u32;
    (differs | unless == 0).then_some((board, view))
}

#[inline(always)]
fn transfer_at(
    state: &mut State,
    pid: u32,
    position: &Position,
    direction: Direction,
    address: u32,
    length: u32,
) -> Option<()> {
    let (board, view) = device_used_last(&state.board, &state.last, state.pid ^ pid, position)?;
    let chip = view.chip % CHIPS_MAX;
    let way = Way {
        board,
        view,
        files: state.chips.get(chip)?.as_ref()?,
        straight: state.straight.get(chip)?,
    };
    let (window, known) = (&mut state.window, &mut state.known);
    match (direction, position.own) {
        (Direction::Read, Some(own)) => way.read(known, own, address, length),
        _ => way.write(window, known, pid, position, address, length),
    }
}

/// What a transfer goes by.
struct Way<'a> {
    board: &'a Board,
    view: &'a DeviceView,
    files: &'a ChipFiles,
    straight: &'a Straight,
}

impl Way<'_> {
    /// Those of the ledger, where none of its own is missing: that need not be asked then for each.
    #[inline(always)]
    fn words(&self) -> Option<&[AtomicU32]> {
        let words = self.files.ledger_words();
        (words.len() >= ledger::HEADER_WORDS).then_some(words)
    }

    /// Only of files whose position nobody else can see.
    #[inline(always)]
    fn read(&self, known: &mut Known, own: &OwnPosition, address: u32, length: u32) -> Option<()> {
        let (files, view) = (self.files, self.view);
        let position = own.normal()?;
        let end = position + u64::from(length);
        let at = view.offset + position;
        let words = self.words()?;
        let lock = files.lock_in(words);
        // Without the lock: who writes meanwhile is noticed.
        let sequence = lock.sequence();
        // Nothing, and too much; and a writer is inside.
        if length.wrapping_sub(1) >> 31 | sequence & 1 != 0 || end > view.size {
            return None;
        }
        if !self.straight.reads(words, known, at, length) {
            return None;
        }
        if self.straight.has_code() && self.board.bitflip_threshold(view.index)?.load(Relaxed) == 0
        {
            return None;
        }
        let moved = sys::call!(
            libc::SYS_pread64,
            files.image_fd,
            address,
            length,
            0,
            at as u32,
            (at >> 32) as u32
        );
        if moved as u32 ^ length | lock.sequence_after() ^ sequence != 0 {
            return None;
        }
        own.move_to(end);
        Some(())
    }

    #[inline(always)]
    fn write(
        &self,
        window: &mut Window,
        known: &mut Known,
        pid: u32,
        position: &Position,
        address: u32,
        length: u32,
    ) -> Option<()> {
        let (files, view) = (self.files, self.view);
        let refused = view.flags & mtd_abi::flag::WRITEABLE ^ mtd_abi::flag::WRITEABLE;
        if refused | length.wrapping_sub(1) / LENGTH_MAX != 0 {
            return None;
        }
        let words = self.words()?;
        let lock = files.acquire_at_once(words, &Kernel, pid)?;
        let before = position.advance(length);
        let done = before.is_some_and(|before| {
            let at = view.offset + before;
            if before + u64::from(length) > view.size {
                return false;
            }
            let is_claimed = self.straight.claim(words, known, at, length);
            is_claimed && self.store(at, address, length)
                || self.store_with_care(window, known, is_claimed, at, address, length)
        });
        lock.release_at_once(&Kernel);
        let before = before?;
        if !done {
            position.take_back(length);
            return None;
        }
        position.move_to(before + u64::from(length));
        Some(())
    }

    /// Whether all bytes are in the image, which is still the board's.
    #[inline(always)]
    fn store(&self, at: u64, address: u32, length: u32) -> bool {
        let trust = backing::trust(self.view.chip);
        let is_well =
            backing::is_trusted(trust, length) || backing::finds_nothing(self.files, trust);
        is_well
            && sys::call!(
                libc::SYS_pwrite64,
                self.files.image_fd,
                address,
                length,
                0,
                at as u32,
                (at >> 32) as u32
            ) == length as isize
    }

    /// The same with all that may go wrong; also what is more than bytes to the chip.
    #[cold]
    #[inline(never)]
    fn store_with_care(
        &self,
        window: &mut Window,
        known: &mut Known,
        is_claimed: bool,
        at: u64,
        address: u32,
        length: u32,
    ) -> bool {
        let Some(scratch) = window
            .scratch()
            .filter(|_| is_memory(address as usize, length.into()))
        else {
            return false;
        };
        let words = self.files.ledger_words();
        if ledger::is_cached(words) {
            return false;
        }
        let ledger = Ledger::knowing(words, known.clone());
        let mut medium = Files {
            window,
            board: self.board,
            files: self.files,
            chip: self.view.chip,
            trust: backing::trust(self.view.chip),
            caller: NO_BLOCK_DEVICE,
            cached: 0,
        };
        let mut chip = Chip {
            geometry: &self.files.geometry,
            ledger: &ledger,
            code: self.files.code.as_ref(),
            medium: &mut medium,
            scratch,
        };
        let from = Source::Guest {
            address: address as usize,
            length: length as usize,
        };
        let is_stored = if is_claimed {
            chip.store_claimed(at, from).is_ok()
        } else {
            let (outcome, result) = chip.program(at, from, OpMode::Place);
            result.is_ok() && outcome.retlen == length.into()
        };
        *known = ledger.into_known();
        is_stored
    }
}
