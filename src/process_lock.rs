//! One flash call at a time in a process: guards the shim's own state, its scratch memory and its view of the board.
//!
//! While it is held, signals are blocked if the guest has handlers, so one that uses flash never meets it half way. After a fork the
//! child may inherit it locked by a thread it does not have: the word names the process, so that is seen.

use crate::sys::{self, Kernel, SignalSet};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use image::os::Os;

/// 0 is free; else the process number of the holder, and a bit when somebody waits.
static HOLDER: AtomicU32 = AtomicU32::new(0);
const WAITERS: u32 = 1 << 31;
/// Moves with every release; tells a slow holder from one that does not exist here.
static RELEASES: AtomicU32 = AtomicU32::new(0);

const WAIT_MS: u32 = 20;
/// A vfork child shares its parent's memory, so another process may really hold the lock for a while.
const PATIENCE: u32 = 10;

pub struct ProcessLock {
    /// None where the guest has no handlers that could run in between.
    signals: Option<SignalSet>,
    pub pid: u32,
}

/// A handler of the guest was installed: from now on signals wait while the lock is held.
static HANDLERS: AtomicBool = AtomicBool::new(false);

pub fn note_handler() {
    HANDLERS.store(true, Ordering::Relaxed);
}

/// Number of the process that holds the lock, without asking the system again.
static HOLDER_PID: AtomicU32 = AtomicU32::new(0);

/// The process number, known while the lock is held.
pub fn pid() -> u32 {
    match HOLDER_PID.load(Ordering::Relaxed) {
        0 => sys::getpid(),
        pid => pid,
    }
}

impl ProcessLock {
    pub fn acquire() -> ProcessLock {
        let signals = HANDLERS.load(Ordering::Relaxed).then(sys::block_signals);
        let pid = sys::getpid();
        if HOLDER
            .compare_exchange(0, pid, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            Self::wait(pid);
        }
        HOLDER_PID.store(pid, Ordering::Relaxed);
        ProcessLock { signals, pid }
    }

    #[cold]
    fn wait(pid: u32) {
        let mut waits = 0;
        let mut releases = RELEASES.load(Ordering::Relaxed);
        // Others may wait as well, so who gets the lock after waiting keeps the bit.
        while let Err(seen) =
            HOLDER.compare_exchange(0, pid | WAITERS, Ordering::Acquire, Ordering::Relaxed)
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
            let abandoned = seen & !WAITERS != pid && waits >= PATIENCE;
            let take = |seen| {
                HOLDER
                    .compare_exchange(seen, pid | WAITERS, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            };
            if abandoned && (take(marked) || take(seen)) {
                return;
            }
        }
    }
}

impl Drop for ProcessLock {
    fn drop(&mut self) {
        RELEASES.fetch_add(1, Ordering::Relaxed);
        HOLDER_PID.store(0, Ordering::Relaxed);
        if HOLDER.swap(0, Ordering::Release) & WAITERS != 0 {
            Kernel.futex_wake(&HOLDER, 1);
        }
        if let Some(signals) = &self.signals {
            sys::restore_signals(signals);
        }
    }
}
