//! The one board of this process: found and opened on first use, then shared by all calls under the process lock.
//!
//! Must not know: what an ioctl means, what a chip does.

use crate::backing::{self, Files, Table};
use crate::block_cache::{self, NO_BLOCK_DEVICE};
use crate::cut_files;
use crate::descriptors::{self, Descriptor, Node, NodeKind};
use crate::guest_memory::Window;
use crate::late::Late;
use crate::paths::{PathBuffer, Room};
use crate::place::{Place, find_board};
use crate::process_lock::ProcessLock;
use crate::settings::BOARD as VARIABLE;
use crate::sys::Kernel;
use chardev::{Device, OpenFile, Session};
use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use flash::{Chip, Known, Ledger, Straight};
use image::board::{CHIPS_MAX, DEVICES_MAX};
use image::{Board, ChipFiles, DeviceView, Os};
use mtd_abi::errno::Errno;

pub mod quick;

/// Everything the process knows; only touched under the process lock.
pub struct State {
    pid: u32,
    window: Window,
    pub board: Late<Board>,
    /// The board could not be opened, and the person knows.
    hopeless: bool,
    /// The device used last, and the state of the device table that it was read in.
    last: Late<(DeviceView, u32)>,
    pub chips: [Late<ChipFiles>; CHIPS_MAX],
    /// How bytes of the open ones go straight.
    straight: [Straight; CHIPS_MAX],
    /// Chips that could not be opened, a bit each.
    broken: u32,
    /// Words of ledgers that were checked.
    known: Known,
}

struct Cell(UnsafeCell<State>);
// SAFETY: reached only through `with_state`, which holds the process lock.
unsafe impl Sync for Cell {}
static STATE: Cell = Cell(UnsafeCell::new(State {
    pid: 0,
    window: Window::new(),
    board: Late::none(),
    hopeless: false,
    last: Late::none(),
    chips: [const { Late::none() }; CHIPS_MAX],
    straight: [Straight::NOTHING; CHIPS_MAX],
    broken: 0,
    known: Known::nothing(),
}));

pub use crate::settings::get as environment;

pub fn with_state<R>(body: impl FnOnce(&mut State) -> R) -> R {
    let _lock = enter();
    // SAFETY: the process lock is held until the end of this function, and signals are blocked.
    body(unsafe { &mut *STATE.0.get() })
}

#[inline(never)]
fn enter() -> ProcessLock {
    let lock = ProcessLock::acquire();
    // SAFETY: the lock is held.
    let state = unsafe { &mut *STATE.0.get() };
    if state.pid != lock.pid {
        state.enter_child(lock.pid);
    }
    lock
}

/// What this process alone knows is written down before another can need it, or have it wrong.
pub fn before_fork() {
    crate::ways_out::run::note_first();
    descriptors::share();
    backing::forget_looks();
    crate::unseen::forget_ends();
    crate::process_lock::forget_pid();
}

impl State {
    /// A forked child shares the parent's window file, so it makes its own.
    #[cold]
    #[inline(never)]
    fn enter_child(&mut self, pid: u32) {
        self.window = Window::new();
        self.pid = pid;
    }

    /// `create`: a default board may be made when nothing is configured.
    pub fn board(&mut self, create: bool) -> Option<&Board> {
        if !self.board.is_some() && !self.hopeless {
            self.open_board(create);
        }
        self.board.as_ref()
    }

    #[inline(never)]
    fn open_board(&mut self, create: bool) {
        let mut path = PathBuffer::new();
        let place = find_board(&mut path);
        // Children find the same board, wherever they are started.
        let is_told = matches!(place, Some(Place::Named(_)));
        let opened = match place {
            Some(Place::Named(path) | Place::Found(path)) => Board::open(&Kernel, path),
            Some(Place::Default(path)) if create => {
                let _ = Kernel.mkdir(path);
                Board::open_default(&Kernel, path)
            }
            _ => return,
        };
        match opened {
            Ok(board) => {
                if !is_told {
                    let conf = board.conf_path();
                    crate::settings::set(VARIABLE, conf.as_cstr());
                }
                crate::answers::note(board.summary());
                let (words, fd) = board.mapped();
                cut_files::watch(0, words, fd);
                self.board.set(board);
            }
            Err(problem) => {
                self.hopeless = true;
                problem.report(&Kernel);
            }
        }
    }

    /// The rules of the configuration, and the way to the guest's memory. No board is made for them.
    pub fn rules(&mut self) -> Option<(answers::Rules<'_>, &mut Window)> {
        self.board(false)?;
        Some((self.board.as_ref()?.rules(), &mut self.window))
    }

    #[cold]
    fn summary_of_opened(&mut self, path: &CStr) -> u32 {
        if let Some(board) = self.board.as_ref() {
            return board.summary();
        }
        let Ok(board) = Board::open(&Kernel, path) else {
            MISTAKEN.store(true, Relaxed);
            return 0;
        };
        let rules = board.summary();
        if board.is_read_only() {
            self.board.set(board);
        } else {
            board.close(&Kernel);
        }
        rules
    }

    pub fn device(&mut self, index: u32) -> Result<DeviceView, Errno> {
        self.board(true)
            .and_then(|board| board.device(index))
            .ok_or(Errno::ENODEV)
    }

    /// The same, kept for the next call.
    pub fn view(&mut self, index: u32) -> Result<&DeviceView, Errno> {
        self.board(true).ok_or(Errno::ENODEV)?;
        let board = self.board.as_ref().ok_or(Errno::ENODEV)?;
        last_or_read(board, &mut self.last, index)
    }

    /// Opens the files of a chip, once; ENODEV if that failed, as for a chip that did not probe.
    pub fn open_chip(&mut self, chip: usize) -> Result<(), Errno> {
        let bit = 1u32.checked_shl(chip as u32).unwrap_or(0);
        let slot = self.chips.get_mut(chip).ok_or(Errno::ENODEV)?;
        if slot.is_some() {
            return Ok(());
        }
        let board = self.board.as_ref().ok_or(Errno::ENODEV)?;
        if self.broken & bit != 0 {
            return Err(Errno::ENODEV);
        }
        let opened = ChipFiles::open(&Kernel, board, chip, &mut |files| {
            slot.set(files);
        });
        match opened {
            Ok(()) => {
                let files = slot.as_mut().ok_or(Errno::ENODEV)?;
                if let Some(code) = &mut files.code
                    && crate::runtime::has_neon()
                {
                    code.quicken(crate::neon::hamming_codes);
                }
                let (words, fd) = files.mapped();
                cut_files::watch(1 + chip, words, fd);
                if let Some(straight) = self.straight.get_mut(chip) {
                    *straight = Straight::of(&files.geometry);
                }
                Ok(())
            }
            Err(problem) => {
                self.broken |= bit;
                problem.report(&Kernel);
                Err(Errno::ENODEV)
            }
        }
    }

    /// Calls `body` with a device and its chip, under the chip's lock, for the open file of a node.
    #[inline(never)]
    pub fn with_chip(
        &mut self,
        view: &DeviceView,
        caller: u32,
        file: &mut OpenFile,
        body: &mut dyn FnMut(&mut Session<'_>),
    ) -> Result<(), Errno> {
        self.open_chip(view.chip)?;
        let State {
            window,
            board,
            chips,
            known,
            ..
        } = self;
        let board = board.as_ref().ok_or(Errno::ENODEV)?;
        on_chip(window, known, board, chips, view, caller, file, body)
    }

    /// The bad blocks of a device are counted once, when it is first used.
    pub fn count_bad_blocks(&mut self, view: &DeviceView) -> Result<(), Errno> {
        let counted = self
            .board
            .as_ref()
            .and_then(|board| board.stats(view.index))
            .ok_or(Errno::ENODEV)?;
        if counted.counted.load(Relaxed) != 0 {
            return Ok(());
        }
        let (mut bad, mut reserved) = (0, 0);
        let file = &mut OpenFile::default();
        self.with_chip(view, NO_BLOCK_DEVICE, file, &mut |session| {
            let chip = &mut session.chip;
            let step = u64::from(chip.geometry.erasesize.max(1));
            if chip.geometry.is_nand() {
                let mut at = view.offset;
                while at < view.offset + view.size {
                    match (chip.is_reserved(at), chip.is_bad(at)) {
                        (Ok(true), _) => reserved += 1,
                        (_, Ok(true)) => bad += 1,
                        _ => {}
                    }
                    at += step;
                }
            }
        })?;
        if let Some(stats) = self
            .board
            .as_ref()
            .and_then(|board| board.stats(view.index))
            && stats
                .counted
                .compare_exchange(0, 1, Relaxed, Relaxed)
                .is_ok()
        {
            stats.bad_blocks.fetch_add(bad, Relaxed);
            stats.bbt_blocks.fetch_add(reserved, Relaxed);
        }
        Ok(())
    }
}

/// The device as `chardev` sees it.
pub fn device_of<'a>(view: &'a DeviceView, geometry: &'a flash::Geometry) -> Device<'a> {
    Device {
        index: view.index,
        name: view.name.as_bytes(),
        offset: view.offset,
        parent_offset: view.parent_offset,
        size: view.size,
        erasesize: view.erasesize,
        flags: view.flags,
        is_partition: view.is_partition,
        geometry,
    }
}

/// mtdN: the view read last, as long as the table has not changed since.
fn last_or_read<'a>(
    board: &Board,
    last: &'a mut Late<(DeviceView, u32)>,
    index: u32,
) -> Result<&'a DeviceView, Errno> {
    let state = board.table_state();
    let is_known =
        matches!(last.as_ref(), Some((view, then)) if view.index == index && Some(*then) == state);
    if !is_known {
        let view = board.device(index).ok_or(Errno::ENODEV)?;
        // Without a state, for this call alone: the number below never comes again while this one is odd.
        last.set((view, state.unwrap_or(u32::MAX)));
    }
    last.as_ref().map(|(view, _)| view).ok_or(Errno::ENODEV)
}

/// Calls `body` with an open chip under its lock.
#[allow(clippy::too_many_arguments)]
#[inline(never)]
fn on_chip(
    window: &mut Window,
    known: &mut Known,
    board: &Board,
    chips: &[Late<ChipFiles>],
    view: &DeviceView,
    caller: u32,
    file: &mut OpenFile,
    body: &mut dyn FnMut(&mut Session<'_>),
) -> Result<(), Errno> {
    let files = chips
        .get(view.chip)
        .and_then(Late::as_ref)
        .ok_or(Errno::ENODEV)?;
    let scratch = window.scratch().ok_or(Errno::ENOMEM)?;
    files.acquire(&Kernel).map_err(|error| Errno(error.0))?;
    let ledger = Ledger::knowing(files.ledger_words(), known.clone());
    let mut medium = Files {
        window,
        board,
        files,
        chip: view.chip,
        trust: backing::trust(view.chip),
        caller,
        cached: ledger.cached().min(DEVICES_MAX as u32),
    };
    if file.writable {
        // Perhaps only in the ledger.
        backing::note_change();
    }
    if medium.cached > 0 {
        backing::note_change();
        medium.end_orphans(&ledger, scratch);
    }
    let table = Table {
        board,
        chip: view.chip,
    };
    body(&mut Session {
        device: device_of(view, &files.geometry),
        chip: Chip {
            geometry: &files.geometry,
            ledger: &ledger,
            code: files.code.as_ref(),
            medium: &mut medium,
            scratch,
        },
        registry: &table,
        file,
    });
    if medium.cached > 0 {
        medium.void_kept(&ledger);
    }
    *known = ledger.into_known();
    files.lock().release(&Kernel);
    Ok(())
}

/// One call on an open flash file: board, chip, lock, position; then `body`; then the position is stored.
pub fn with_session<R>(
    fd: i32,
    descriptor: Descriptor,
    body: impl FnOnce(&mut Session<'_>) -> R,
) -> Result<R, Errno> {
    // What lies below is there once, for whatever `body` is.
    let (mut body, mut result) = (Some(body), None);
    on_open_file(fd, descriptor, &mut |session| {
        result = body.take().map(|body| body(session));
    })?;
    result.ok_or(Errno::ENODEV)
}

#[inline(never)]
fn on_open_file(
    fd: i32,
    descriptor: Descriptor,
    body: &mut dyn FnMut(&mut Session<'_>),
) -> Result<(), Errno> {
    let mut file = descriptors::open_file(descriptor);
    with_state(|state| {
        let chip = state.view(descriptor.node.index)?.chip;
        state.open_chip(chip)?;
        let State {
            window,
            board,
            last,
            chips,
            known,
            ..
        } = state;
        let board = board.as_ref().ok_or(Errno::ENODEV)?;
        let view = last.as_ref().map(|(view, _)| view).ok_or(Errno::ENODEV)?;
        let caller = block_cache::caller(descriptor.node);
        let result = on_chip(window, known, board, chips, view, caller, &mut file, body);
        descriptors::settle(fd, descriptor, &file);
        result
    })
}

/// The same for calls that need no chip.
pub fn with_device<R>(
    fd: i32,
    descriptor: Descriptor,
    body: impl FnOnce(&Device<'_>, &mut OpenFile) -> R,
) -> Result<R, Errno> {
    let mut file = descriptors::open_file(descriptor);
    with_state(|state| {
        let view = *state.view(descriptor.node.index)?;
        let board = state.board.as_ref().ok_or(Errno::ENODEV)?;
        let result = match state.chips.get(view.chip).and_then(Late::as_ref) {
            Some(files) => body(&device_of(&view, &files.geometry), &mut file),
            None => {
                let geometry = board.geometry(view.chip).ok_or(Errno::ENODEV)?;
                body(&device_of(&view, &geometry), &mut file)
            }
        };
        descriptors::settle(fd, descriptor, &file);
        Ok(result)
    })
}

pub fn copy_in(address: usize, to: &mut [u8]) -> Result<(), Errno> {
    with_state(|state| state.window.copy_in(address, to).map_err(|_| Errno::EFAULT))
}

pub fn copy_out(address: usize, from: &[u8]) -> Result<(), Errno> {
    with_state(|state| {
        state
            .window
            .copy_out(address, from)
            .map_err(|_| Errno::EFAULT)
    })
}

/// What rules there are: asked in every program, and nearly always a few bytes of a file tell it. The board does not stay open for
/// that, and mistakes in it are told to who needs it.
pub fn rules_summary() -> u32 {
    let mut path = PathBuffer::new();
    let Some(Place::Named(path) | Place::Found(path)) = find_board(&mut path) else {
        return 0;
    };
    Board::summary_of(&Kernel, path)
        .unwrap_or_else(|| with_state(|state| state.summary_of_opened(path)))
}

/// Rules could not be read, and nobody was told.
static MISTAKEN: AtomicBool = AtomicBool::new(false);

pub fn is_mistaken() -> bool {
    MISTAKEN.load(Relaxed)
}

/// Whether there is any flash, without making some.
pub fn has_board() -> bool {
    with_state(|state| state.board(false).is_some())
}

/// A name of flash was used: now there is some.
pub fn has_board_or_make_one() -> bool {
    with_state(|state| state.board(true).is_some())
}

pub fn node_exists(node: Node) -> bool {
    with_state(|state| {
        state
            .board(true)
            .is_some_and(|board| board.device(node.index).is_some())
    })
}

pub fn nth_device(number: u32) -> Option<u32> {
    with_state(|state| {
        state
            .board(true)?
            .devices()
            .nth(number as usize)
            .map(|view| view.index)
    })
}

pub fn set_bitflip_threshold(index: u32, threshold: u32) -> Result<(), Errno> {
    with_state(|state| {
        let board = state.board(true).ok_or(Errno::ENODEV)?;
        board
            .stats(index)
            .ok_or(Errno::ENODEV)?
            .bitflip_threshold
            .store(threshold, Relaxed);
        Ok(())
    })
}

/// A file that exists, for stat to fill in times and the like.
pub fn any_file(path: &mut PathBuffer) -> Option<()> {
    with_state(|state| path.set(&[state.board(true)?.conf_path().as_bytes()]))
}

impl State {
    fn record_stamp(&mut self, chip: usize) {
        if let (Some(files), Some(board)) = (
            self.chips.get(chip).and_then(Late::as_ref),
            self.board.as_ref(),
        ) {
            if files.acquire(&Kernel).is_ok() {
                files.record_stamp(&Kernel);
                files.lock().release(&Kernel);
            }
            backing::look_once_more(board, chip, files);
        }
    }
}

/// The last moment to remember how the image looks, so that the next process trusts the ledger's hints.
pub fn before_close(fd: i32) {
    if descriptors::is_foreign(fd) {
        return;
    }
    let Some(descriptor) = descriptors::lookup(fd) else {
        return;
    };
    if !descriptor.writable || descriptor.node.kind == NodeKind::Threshold {
        return;
    }
    if descriptor.node.kind == NodeKind::Answered {
        return crate::answers::before_close(fd);
    }
    crate::unseen::take_over_behind(fd, &descriptor);
    if !backing::is_anything_changed() {
        // How it was opened is remembered.
        return;
    }
    with_state(|state| {
        if let Ok(view) = state.device(descriptor.node.index) {
            state.record_stamp(view.chip);
        }
    });
}

/// The guest wants a number for itself that something has which is open here: all of it is closed, and opened under other numbers
/// when it is used next.
#[cold]
#[inline(never)]
pub fn let_go() {
    record_stamps();
    with_state(|state| {
        for (chip, slot) in state.chips.iter_mut().enumerate() {
            cut_files::forget(1 + chip);
            if let Some(files) = slot.take() {
                files.close(&Kernel);
            }
        }
        cut_files::forget(0);
        if let Some(board) = state.board.take() {
            board.close(&Kernel);
        }
        state.window.close();
    });
}

/// Takes over what a stream has written below the hooks.
pub fn take_over_unseen(node: Node) {
    with_state(|state| {
        if let Some(path) = crate::nodes::node_path(state, node, &mut Room::new()) {
            crate::unseen::take_over(state, node, path);
        }
    });
}

/// Before the process ends: what this process did to the images is known to be the board's own.
pub fn record_stamps() {
    if backing::is_anything_changed() {
        record_all_stamps();
    }
}

#[inline(never)]
fn record_all_stamps() {
    with_state(|state| {
        for chip in 0..state.chips.len() {
            state.record_stamp(chip);
        }
    });
}
