//! One flash call at a time in a process: guards the shim's own state, its scratch memory and its view of the board.
//!
//! All signals are blocked while it is held, so a handler that uses flash never meets it half way. After a fork the
//! child may inherit it locked by a thread it does not have: the word names the process, so that is seen.

use crate::sys::{self, Kernel, SignalSet};
use core::sync::atomic::{AtomicU32, Ordering};
use image::os::Os;

static HOLDER: AtomicU32 = AtomicU32::new(0);
/// Moves with every release; tells a slow holder from one that does not exist here.
static RELEASES: AtomicU32 = AtomicU32::new(0);

const WAIT_MS: u32 = 20;
/// A vfork child shares its parent's memory, so another process may really hold the lock for a while.
const PATIENCE: u32 = 10;

pub struct ProcessLock {
    signals: SignalSet,
    pub pid: u32,
}

impl ProcessLock {
    pub fn acquire() -> ProcessLock {
        let signals = sys::block_signals();
        let pid = sys::getpid();
        let mut waits = 0;
        let mut releases = RELEASES.load(Ordering::Relaxed);
        while let Err(holder) = HOLDER.compare_exchange(0, pid, Ordering::Acquire, Ordering::Relaxed) {
            Kernel.futex_wait(&HOLDER, holder, WAIT_MS);
            waits += 1;
            let now = RELEASES.load(Ordering::Relaxed);
            if now != releases {
                (waits, releases) = (0, now);
            }
            let abandoned = holder != pid && waits >= PATIENCE;
            if abandoned && HOLDER.compare_exchange(holder, pid, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                break;
            }
        }
        ProcessLock { signals, pid }
    }
}

impl Drop for ProcessLock {
    fn drop(&mut self) {
        RELEASES.fetch_add(1, Ordering::Relaxed);
        HOLDER.store(0, Ordering::Release);
        Kernel.futex_wake(&HOLDER, 1);
        sys::restore_signals(&self.signals);
    }
}
