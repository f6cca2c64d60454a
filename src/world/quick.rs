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
use crate::process_lock::ProcessLock;
use crate::sys::{self, Kernel};
use crate::trace;
use core::sync::atomic::Ordering::Relaxed;
use flash::{Chip, Ledger, OpMode, Source};
use image::{Board, ChipFiles, DeviceView};

/// Longer ones are done in parts.
const LENGTH_MAX: u32 = mtd_abi::TRANSFER_CHUNK_MAX as u32;

/// Whether all `length` bytes were moved, and the position with them; otherwise nothing was done.
#[inline(always)]
pub fn transfer(fd: i32, direction: Direction, address: usize, length: usize) -> bool {
    let Some(position) = descriptors::position_of(fd, direction) else {
        return false;
    };
    trace::is_known_off()
        && with_state_at_once(|state, pid| {
            position.still()
                && transfer_at(
                    state,
                    pid,
                    &position,
                    direction,
                    address as u32,
                    length as u32,
                )
                .is_some()
        }) == Some(true)
}

/// A seek to a place of a device that was used last, where nobody else can see the position; None: nothing was done.
#[inline(always)]
pub fn seek(fd: i32, offset: i64, whence: i32) -> Option<i64> {
    let position = descriptors::position_of(fd, Direction::Read)?;
    let to = u64::try_from(offset).ok()?;
    with_state_at_once(|state, pid| {
        let (view, then) = state.last.as_ref()?;
        let is_known = state.pid == pid
            && view.index == position.index
            && state.board.as_ref()?.table_state() == Some(*then);
        let own = position.own.filter(|_| is_known && position.still())?;
        own.normal()?;
        if whence != libc::SEEK_SET || to > view.size {
            return None;
        }
        own.move_to(to);
        Some(offset)
    })?
}

/// `with_state` if it needs no waiting and nothing new; None: nothing was done.
#[inline(always)]
fn with_state_at_once<R>(body: impl FnOnce(&mut State, u32) -> R) -> Option<R> {
    let lock = ProcessLock::acquire_at_once()?;
    // SAFETY: the process lock is held until it is released below; handlers of the guest wait meanwhile.
    let state = unsafe { &mut *STATE.0.get() };
    let result = body(state, lock.pid);
    lock.release_at_once();
    Some(result)
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
    let State {
        window,
        board,
        last,
        chips,
        known,
        ..
    } = state;
    // The device that the process used last and that is still there, with its open chip.
    let board = board.as_ref()?;
    let (view, then) = last.as_ref()?;
    let files = chips.get(view.chip)?.as_ref()?;
    if state.pid != pid || view.index != position.index || board.table_state() != Some(*then) {
        return None;
    }
    let mut ledger = Ledger::knowing(files.ledger_words(), *known);
    let done = match (direction, position.own) {
        (Direction::Read, Some(own)) => read(board, view, files, &mut ledger, own, address, length),
        _ => write(
            window,
            board,
            view,
            files,
            &mut ledger,
            pid,
            position,
            address,
            length,
        ),
    };
    *known = ledger.known();
    done
}

/// Only of files whose position nobody else can see.
#[inline(always)]
fn read(
    board: &Board,
    view: &DeviceView,
    files: &ChipFiles,
    ledger: &mut Ledger<'_>,
    own: &OwnPosition,
    address: u32,
    length: u32,
) -> Option<()> {
    let position = own.normal()?;
    let end = position + u64::from(length);
    let at = view.offset + position;
    let lock = files.lock_at_once();
    // Without the lock: who writes meanwhile is noticed.
    let sequence = lock.begin_read()?;
    let is_straight = flash::reads_straight(&files.geometry, ledger, at, length);
    if length == 0 || end > view.size || !is_straight {
        return None;
    }
    if files.code.is_some() && board.bitflip_threshold(view.index)?.load(Relaxed) == 0 {
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
    if moved != length as isize || lock.must_retry(sequence) {
        return None;
    }
    own.move_to(end);
    Some(())
}

#[allow(clippy::too_many_arguments)]
#[inline(always)]
fn write(
    window: &mut Window,
    board: &Board,
    view: &DeviceView,
    files: &ChipFiles,
    ledger: &mut Ledger<'_>,
    pid: u32,
    position: &Position,
    address: u32,
    length: u32,
) -> Option<()> {
    if view.flags & mtd_abi::flag::WRITEABLE == 0 || length == 0 || length > LENGTH_MAX {
        return None;
    }
    let lock = files.acquire_at_once(&Kernel, pid)?;
    let before = position.advance(length);
    let done = before.is_some_and(|before| {
        let at = view.offset + before;
        if before + u64::from(length) > view.size {
            return false;
        }
        let is_claimed = flash::claim_straight(&files.geometry, ledger, at, length);
        is_claimed && store(files, view.chip, at, address, length)
            || store_with_care(
                window, board, view.chip, files, ledger, is_claimed, at, address, length,
            )
    });
    lock.release_at_once(&Kernel);
    match (before, position.own) {
        (Some(before), Some(own)) if done => own.move_to(before + u64::from(length)),
        (Some(_), None) if !done => position.take_back(length),
        _ => {}
    }
    done.then_some(())
}

/// Whether all bytes are in the image, whose file need not be looked at.
#[inline(always)]
fn store(files: &ChipFiles, chip: usize, at: u64, address: u32, length: u32) -> bool {
    backing::is_trusted(backing::trust(chip), length)
        && sys::call!(
            libc::SYS_pwrite64,
            files.image_fd,
            address,
            length,
            0,
            at as u32,
            (at >> 32) as u32
        ) == length as isize
}

/// The same with a look at the file, and with all that may go wrong; also what is more than bytes to the chip.
#[allow(clippy::too_many_arguments)]
#[cold]
#[inline(never)]
fn store_with_care(
    window: &mut Window,
    board: &Board,
    chip: usize,
    files: &ChipFiles,
    ledger: &Ledger<'_>,
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
    if ledger.is_cached() {
        return false;
    }
    let trust = backing::trust(chip);
    let mut medium = Files {
        window,
        board,
        files,
        chip,
        trust,
        caller: NO_BLOCK_DEVICE,
        cached: 0,
    };
    let mut chip = Chip {
        geometry: &files.geometry,
        ledger,
        code: files.code.as_ref(),
        medium: &mut medium,
        scratch,
    };
    let from = Source::Guest {
        address: address as usize,
        length: length as usize,
    };
    if is_claimed {
        return chip.store_claimed(at, from).is_ok();
    }
    let (outcome, result) = chip.program(at, from, OpMode::Place);
    result.is_ok() && outcome.retlen == length.into()
}
