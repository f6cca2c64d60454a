//! One flash call at a time in a process: guards the shim's own state, its scratch memory and its view of the board.
//!
//! A signal handler of the guest never meets a flash call half way: it waits until the lock is free (see `signals`). After a
//! fork the child may inherit the lock from a thread it does not have: the process number beside it tells.

use crate::signals;
use crate::sys::{self, Kernel, SignalSet};
use core::sync::atomic::{AtomicU32, Ordering};
use image::os::Os;

/// 0 is free; else who holds it, and a bit when somebody waits.
static HOLDER: AtomicU32 = AtomicU32::new(0);
const WAITERS: u32 = 1;
/// Process number of the holder; 0 for the moment in which it is not noted yet.
static HOLDER_PID: AtomicU32 = AtomicU32::new(0);
/// Moves with every release; tells a slow holder from one that does not exist here.
static RELEASES: AtomicU32 = AtomicU32::new(0);

const WAIT_MS: u32 = 20;
/// Waits on a holder of another process number: a parent, or a child that shares memory, may hold the lock for a while.
const PATIENCE: u32 = 10;
/// The same where the number is not known.
const LONG_PATIENCE: u32 = 50;

pub struct ProcessLock {
    /// Some where the guest has handlers that cannot be held back in another way.
    signals: Option<SignalSet>,
    pub pid: u32,
}

/// The number of this process, asked for once and again after every fork.
static PID: AtomicU32 = AtomicU32::new(0);

pub fn pid() -> u32 {
    match PID.load(Ordering::Relaxed) {
        0 => {
            let pid = sys::getpid();
            PID.store(pid, Ordering::Relaxed);
            pid
        }
        pid => pid,
    }
}

/// Before a fork, and after it in the child.
pub fn forget_pid() {
    PID.store(0, Ordering::Relaxed);
}

/// Who this thread is: the address of its thread area, which a forked child's thread keeps. Where a libc has none, all
/// threads are one.
#[inline(always)]
fn identity() -> u32 {
    const SOMEBODY: u32 = 2;
    let area: u32;
    // SAFETY: reads the thread register, which every ARMv7 lets user programs read.
    unsafe {
        core::arch::asm!("mrc p15, 0, {}, c13, c0, 3", out(reg) area, options(nomem, nostack, preserves_flags));
    }
    area & !WAITERS | SOMEBODY
}

/// Whether this thread is in the middle of a flash call.
pub fn is_held_here() -> bool {
    HOLDER.load(Ordering::Relaxed) & !WAITERS == identity()
}

impl ProcessLock {
    pub fn acquire() -> ProcessLock {
        let signals = signals::must_be_blocked().then(sys::block_signals);
        let own = identity();
        if HOLDER
            .compare_exchange(0, own, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            Self::wait(own);
        }
        let pid = pid();
        HOLDER_PID.store(pid, Ordering::Relaxed);
        ProcessLock { signals, pid }
    }

    /// The same if nobody has it and nothing else is to be done for it; `unless` is 0, or there is something.
    #[inline(always)]
    pub fn acquire_at_once(unless: u32) -> Option<ProcessLock> {
        let pid = PID.load(Ordering::Relaxed);
        // One test for all: of a number from 1 on, the one before is not negative.
        if pid.wrapping_sub(1) >> 31 | signals::blocking() | unless != 0 {
            return None;
        }
        HOLDER
            .compare_exchange(0, identity(), Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        HOLDER_PID.store(pid, Ordering::Relaxed);
        Some(ProcessLock { signals: None, pid })
    }

    /// Of a lock that was acquired at once.
    #[inline(always)]
    pub fn release_at_once(self) {
        core::mem::forget(self);
        set_free();
        signals::raise_held_back();
    }

    #[cold]
    fn wait(own: u32) {
        // A fork that no hook saw: now there is time to ask.
        let pid = sys::getpid();
        PID.store(pid, Ordering::Relaxed);
        let mut waits = 0;
        let mut releases = RELEASES.load(Ordering::Relaxed);
        // Others may wait as well, so who gets the lock after waiting keeps the bit.
        while let Err(seen) =
            HOLDER.compare_exchange(0, own | WAITERS, Ordering::Acquire, Ordering::Relaxed)
        {
            let marked = seen | WAITERS;
            if seen == marked
                || HOLDER
                    .compare_exchange(seen, marked, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
            {
                Kernel.futex_wait(&HOLDER, marked, WAIT_MS);
            }
            waits += 1;
            let now = RELEASES.load(Ordering::Relaxed);
            if now != releases {
                (waits, releases) = (0, now);
            }
            let abandoned = match HOLDER_PID.load(Ordering::Relaxed) {
                0 => waits >= LONG_PATIENCE,
                holder => holder != pid && waits >= PATIENCE,
            };
            let take = |seen| {
                HOLDER
                    .compare_exchange(seen, own | WAITERS, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            };
            if abandoned && (take(marked) || take(seen)) {
                return;
            }
        }
    }
}

#[inline(always)]
fn set_free() {
    // Only the holder moves it.
    RELEASES.store(
        RELEASES.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
    HOLDER_PID.store(0, Ordering::Relaxed);
    if HOLDER.swap(0, Ordering::Release) & WAITERS != 0 {
        wake();
    }
}

#[cold]
#[inline(never)]
fn wake() {
    Kernel.futex_wake(&HOLDER, 1);
}

impl Drop for ProcessLock {
    fn drop(&mut self) {
        set_free();
        if let Some(signals) = &self.signals {
            sys::restore_signals(signals);
        }
        signals::raise_held_back();
    }
}
