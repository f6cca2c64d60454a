//! The transfers that make up nearly all work on flash, read() and write() of bytes that are only bytes to the chip, without
//! anything that the others need: no session, no room to compute in, no trace.
//!
//! Each test here has its reason in the long way, which is taken when one fails; a call that was done in part is done again there.

use super::State;
use crate::backing::{self, Files};
use crate::descriptors::{self, Descriptor, NodeKind};
use crate::sys::{self, Kernel};
use crate::{late::Late, trace};
use chardev::FileMode;
use flash::{Chip, Ledger, Source};
use image::{ChipFiles, DeviceView};

/// read() of a file whose position nobody else can see. Whether all `length` bytes were moved, and the position with them;
/// otherwise nothing was done.
#[inline(always)]
pub fn read(fd: i32, address: usize, length: usize) -> bool {
    let Some(own) = descriptors::own_position(fd) else {
        return false;
    };
    if !trace::is_known_off() {
        return false;
    }
    super::with_state(|state| {
        let Some(position) = own.normal() else {
            return false;
        };
        let end = position + length as u64;
        let done = straight_read(state, own.index, position, end, address, length).is_some();
        if done {
            own.move_to(end);
        }
        done
    })
}

/// write(): the position is where `descriptor` found it. Whether all bytes were taken; the position is moved in either case.
#[inline(always)]
pub fn write(descriptor: Descriptor, address: usize, length: usize) -> bool {
    let file = descriptors::open_file(descriptor);
    trace::is_known_off()
        && descriptor.node.kind == NodeKind::Char
        && descriptor.writable
        && descriptor.advanced == length as u64
        && file.mode == FileMode::Normal
        && super::with_state(|state| {
            straight_write(state, descriptor.node.index, file.position, address, length)
        })
        .is_some()
}

/// A device that the process used last and that is still there, with its open chip, if it holds the whole range.
#[inline(always)]
fn used_last<'a>(
    last: &'a Late<(DeviceView, u32)>,
    chips: &'a [Late<ChipFiles>],
    table_state: Option<u32>,
    index: u32,
    end: u64,
) -> Option<(&'a DeviceView, &'a ChipFiles)> {
    let (view, then) = last.as_ref()?;
    let is_there = view.index == index && table_state == Some(*then) && end <= view.size;
    let files = chips.get(view.chip)?.as_ref()?;
    is_there.then_some((view, files))
}

#[inline(always)]
fn straight_read(
    state: &mut State,
    index: u32,
    position: u64,
    end: u64,
    address: usize,
    length: usize,
) -> Option<()> {
    let board = state.board.as_ref()?;
    let (view, files) = used_last(&state.last, &state.chips, board.table_state(), index, end)?;
    let at = view.offset + position;
    let lock = files.lock();
    // Without the lock: who writes meanwhile is noticed.
    let sequence = lock.begin_read()?;
    let ledger = Ledger::knowing(files.ledger_words(), state.known);
    let is_straight = flash::reads_straight(&files.geometry, &ledger, at, length as u32);
    state.known = ledger.known();
    if length == 0
        || !is_straight
        || files.geometry.ecc_strength() > 0 && backing::bitflip_threshold(board, index) == 0
        || sys::pread(files.image_fd, address, length, at) != Ok(length)
        || lock.must_retry(sequence)
    {
        return None;
    }
    Some(())
}

#[inline(always)]
fn straight_write(
    state: &mut State,
    index: u32,
    position: u64,
    address: usize,
    length: usize,
) -> Option<()> {
    let length = length as u64;
    let State {
        window,
        board,
        last,
        chips,
        known,
        ..
    } = state;
    let board = board.as_ref()?;
    let (view, files) = used_last(last, chips, board.table_state(), index, position + length)?;
    if view.flags & mtd_abi::flag::WRITEABLE == 0 {
        return None;
    }
    let lock = files.acquire(&Kernel).ok()?;
    let ledger = Ledger::knowing(files.ledger_words(), *known);
    let mut medium = Files {
        window,
        board,
        files,
        chip: view.chip,
        trust: backing::trust(view.chip),
    };
    let mut chip = Chip {
        geometry: &files.geometry,
        ledger: &ledger,
        code: None,
        medium: &mut medium,
        scratch: &mut [],
    };
    let from = Source::Guest {
        address: address as u64,
        length,
    };
    let done = chip.program_straight(view.offset + position, from);
    *known = ledger.known();
    lock.release(&Kernel);
    done?.ok()
}
