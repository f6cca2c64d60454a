//! One lock between all threads of all processes that share a file, which does not outlive its holder.
//!
//! The lock word lies in a shared mapping: 0 is free, else the holder's slot and a bit for "somebody waits". A slot is
//! a number of a process on one file, proven by a record lock on byte `SLOT_LOCK_BASE + slot` of that file: the system
//! drops it when the process ends in whatever way, or executes another program. So a waiter can ask whether the
//! holder lives, and take over from a dead one. One that is stopped in the middle is told to go on: in a kernel it would stop
//! behind the call, and whoever stopped it may be the one who waits. Uncontended, a lock costs one getpid and no other system call.
//!
//! The sequence word is odd while a holder is inside, for readers who take no lock.
//!
//! Rules for the caller: signals are blocked while the lock is held (a handler that took it again would wait for
//! itself), and no second descriptor of the same file is opened and closed in the process (closing any descriptor drops
//! all record locks of the process on that file).
//!
//! Must not know: what is protected.

use core::sync::atomic::{AtomicU32, Ordering, fence};

use crate::os::{Fd, Os, errno};

const SLOT_LOCK_BASE: u64 = 1 << 40;
const SLOT_BITS: u32 = 10;
/// Slots are 1..=SLOT_MAX: so many processes may use one chip at once.
const SLOT_MAX: u32 = (1 << SLOT_BITS) - 1;
const SLOT_MASK: u32 = SLOT_MAX;
const WAITERS: u32 = 1 << 31;
const WAIT_MS: u32 = 50;
const SPINS: u32 = 64;
/// Waits on an unchanged lock of our own slot that no thread of ours holds, before it counts as abandoned (1 s).
const ABANDONED_WAITS: u32 = 20;
/// A vfork child shares the parent's memory but is another process, so several registrations live side by side.
const REGISTRATIONS: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acquired {
    /// The previous holder released it.
    Clean,
    /// The previous holder died inside; what it left is as durable as the crash rules make it.
    Recovered,
}

/// The lock is unusable: the errno of the record lock that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockError(pub i32);

/// What one process remembers of a lock; lives as long as the mapping. `fd` < 0: not shared with anybody.
#[derive(Debug)]
pub struct LockState {
    fd: Fd,
    /// pid << SLOT_BITS | slot, 0 when unused. Linux process numbers have at most 22 bits.
    registrations: [AtomicU32; REGISTRATIONS],
    /// Process number of the thread that registers right now.
    registering: AtomicU32,
    /// Threads of this process between the attempt and the release.
    inside: AtomicU32,
}

impl LockState {
    pub const fn new(fd: Fd) -> Self {
        LockState {
            fd,
            registrations: [const { AtomicU32::new(0) }; REGISTRATIONS],
            registering: AtomicU32::new(0),
            inside: AtomicU32::new(0),
        }
    }
}

/// The lock: two words of the mapping and what this process knows about them.
#[derive(Clone, Copy, Debug)]
pub struct SharedLock<'a> {
    word: &'a AtomicU32,
    sequence: &'a AtomicU32,
    state: &'a LockState,
}

impl<'a> SharedLock<'a> {
    pub fn new(word: &'a AtomicU32, sequence: &'a AtomicU32, state: &'a LockState) -> Self {
        SharedLock {
            word,
            sequence,
            state,
        }
    }

    pub fn acquire(&self, os: &impl Os) -> Result<Acquired, LockError> {
        let slot = self.own_slot(os)?;
        let mut acquired = Acquired::Clean;
        if !self.try_take(0, slot) {
            acquired = self.wait_for(os, slot);
        }
        Ok(self.enter(acquired))
    }

    /// The same if nobody holds it and this process has its slot; otherwise nothing was done. For one thread of the process at
    /// a time, as `release_at_once`.
    #[inline(always)]
    pub fn acquire_at_once(&self, pid: u32) -> Option<Acquired> {
        let own = self.state.registrations.first()?.load(Ordering::Relaxed);
        if own >> SLOT_BITS != pid {
            return None;
        }
        let inside = self.state.inside.load(Ordering::Relaxed);
        self.state
            .inside
            .store(inside.wrapping_add(1), Ordering::Relaxed);
        if !self.takes(0, own & SLOT_MASK) {
            self.state.inside.store(inside, Ordering::Relaxed);
            return None;
        }
        Some(self.enter(Acquired::Clean))
    }

    /// None when somebody holds it. Does not look whether that one lives.
    pub fn try_acquire(&self, os: &impl Os) -> Result<Option<Acquired>, LockError> {
        let slot = self.own_slot(os)?;
        Ok(self.try_take(0, slot).then(|| self.enter(Acquired::Clean)))
    }

    pub fn release(&self, os: &impl Os) {
        let before = self.free();
        self.leave();
        if before & WAITERS != 0 {
            self.wake(os);
        }
    }

    #[inline(always)]
    pub fn release_at_once(&self, os: &impl Os) {
        let before = self.free();
        let inside = self.state.inside.load(Ordering::Relaxed);
        self.state
            .inside
            .store(inside.saturating_sub(1), Ordering::Relaxed);
        if before & WAITERS != 0 {
            self.wake(os);
        }
    }

    #[inline(always)]
    fn free(&self) -> u32 {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence
            .store(sequence.wrapping_add(1), Ordering::Release);
        self.word.swap(0, Ordering::Release)
    }

    #[cold]
    #[inline(never)]
    fn wake(&self, os: &impl Os) {
        os.futex_wake(self.word, 1);
    }

    /// What `begin_read` looks at, odd while a holder is inside.
    #[inline(always)]
    pub fn sequence(&self) -> u32 {
        self.sequence.load(Ordering::Acquire)
    }

    /// The same for who reads nothing behind it: a barrier takes an emulator as long as many instructions.
    #[inline(always)]
    pub fn sequence_now(&self) -> u32 {
        self.sequence.load(Ordering::Relaxed)
    }

    /// What `must_retry` looks at.
    #[inline(always)]
    pub fn sequence_after(&self) -> u32 {
        fence(Ordering::Acquire);
        self.sequence.load(Ordering::Relaxed)
    }

    /// The sequence to give to `must_retry` later; None while a holder is inside.
    pub fn begin_read(&self) -> Option<u32> {
        let sequence = self.sequence();
        sequence.is_multiple_of(2).then_some(sequence)
    }

    /// Whether what was read since `begin_read` may be mixed.
    pub fn must_retry(&self, sequence: u32) -> bool {
        self.sequence_after() != sequence
    }

    /// Marks the lock as held inside: the sequence becomes odd, also after a holder that died with it odd.
    #[inline(always)]
    fn enter(&self, acquired: Acquired) -> Acquired {
        let sequence = self.sequence.load(Ordering::Relaxed);
        let died_inside = !sequence.is_multiple_of(2);
        let next = if died_inside {
            sequence.wrapping_add(2)
        } else {
            sequence.wrapping_add(1)
        };
        self.sequence.store(next, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if died_inside {
            Acquired::Recovered
        } else {
            acquired
        }
    }

    #[inline(always)]
    fn try_take(&self, expected: u32, value: u32) -> bool {
        self.state.inside.fetch_add(1, Ordering::Relaxed);
        let is_taken = self.takes(expected, value);
        if !is_taken {
            self.leave();
        }
        is_taken
    }

    #[inline(always)]
    fn takes(&self, expected: u32, value: u32) -> bool {
        self.word
            .compare_exchange(expected, value, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[inline(always)]
    fn leave(&self) {
        // Not below 0, which a forked child could come to: it inherits the number without the threads.
        let inside = &self.state.inside;
        let mut count = inside.load(Ordering::Relaxed);
        while count > 0 {
            let less =
                inside.compare_exchange(count, count - 1, Ordering::Relaxed, Ordering::Relaxed);
            match less {
                Ok(_) => return,
                Err(now) => count = now,
            }
        }
    }

    #[cold]
    fn wait_for(&self, os: &impl Os, slot: u32) -> Acquired {
        for _ in 0..SPINS {
            core::hint::spin_loop();
            if self.try_take(0, slot) {
                return Acquired::Clean;
            }
        }
        let mut unchanged_waits = 0;
        let mut stands_still = false;
        let mut last_sequence = self.sequence.load(Ordering::Relaxed);
        loop {
            // Others may wait as well, so who gets the lock after waiting keeps the bit.
            if self.try_take(0, slot | WAITERS) {
                return Acquired::Clean;
            }
            let seen = self.word.load(Ordering::Relaxed);
            if seen == 0 {
                continue;
            }
            let is_abandoned = unchanged_waits >= ABANDONED_WAITS;
            if (is_abandoned || !self.holder_lives(os, seen & SLOT_MASK, slot, stands_still))
                && self.try_take(seen, slot | WAITERS)
            {
                return Acquired::Recovered;
            }
            let marked = seen | WAITERS;
            let is_marked = seen == marked
                || self
                    .word
                    .compare_exchange(seen, marked, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            if is_marked {
                os.futex_wait(self.word, marked, WAIT_MS);
            }
            let sequence = self.sequence.load(Ordering::Relaxed);
            let ours_without_holder =
                seen & SLOT_MASK == slot && self.state.inside.load(Ordering::Relaxed) == 0;
            stands_still = sequence == last_sequence;
            let unchanged = stands_still && ours_without_holder;
            unchanged_waits = if unchanged { unchanged_waits + 1 } else { 0 };
            last_sequence = sequence;
        }
    }

    /// `stands_still`: nobody has come out for a whole wait, so the holder may be stopped. Others get no signal from us.
    fn holder_lives(&self, os: &impl Os, holder: u32, own: u32, stands_still: bool) -> bool {
        let fd = self.state.fd;
        if holder == own || fd < 0 {
            return true;
        }
        let byte = SLOT_LOCK_BASE + u64::from(holder);
        if stands_still {
            os.resume_holder(fd, byte);
        }
        // When the system cannot tell, waiting is the safe answer.
        os.byte_is_locked(fd, byte).unwrap_or(true)
    }

    fn own_slot(&self, os: &impl Os) -> Result<u32, LockError> {
        if self.state.fd < 0 {
            return Ok(1);
        }
        let pid = os.getpid();
        match self.registered_slot(pid) {
            Some(slot) => Ok(slot),
            None => self.register(os, pid),
        }
    }

    fn registered_slot(&self, pid: u32) -> Option<u32> {
        let entry = |registration: &AtomicU32| registration.load(Ordering::Acquire);
        let ours = |value: &u32| *value != 0 && *value >> SLOT_BITS == pid;
        self.state
            .registrations
            .iter()
            .map(entry)
            .find(ours)
            .map(|value| value & SLOT_MASK)
    }

    /// Registration is one thread's business at a time. After a fork the mark may be a copy of the parent's, with
    /// nobody behind it; after a vfork it may be a thread of the parent that is really at it: so it is stepped over
    /// after a while, never at once.
    #[cold]
    fn register(&self, os: &impl Os, pid: u32) -> Result<u32, LockError> {
        let registering = &self.state.registering;
        let mut waits = 0;
        loop {
            match registering.compare_exchange(0, pid, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(other) if other != pid && waits >= 100 => {
                    let _ = registering.compare_exchange(
                        other,
                        0,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                }
                Err(_) => {
                    waits += 1;
                    os.sleep_ms(1);
                }
            }
        }
        let result = match self.registered_slot(pid) {
            Some(slot) => Ok(slot),
            None => self.register_alone(os, pid),
        };
        let _ = registering.compare_exchange(pid, 0, Ordering::Release, Ordering::Relaxed);
        result
    }

    fn register_alone(&self, os: &impl Os, pid: u32) -> Result<u32, LockError> {
        let fd = self.state.fd;
        for attempt in 0..1 << SLOT_BITS {
            let slot = pid.wrapping_add(attempt) & SLOT_MASK;
            if slot == 0 {
                continue;
            }
            match os.lock_byte(fd, SLOT_LOCK_BASE + u64::from(slot), false) {
                Ok(()) => {
                    self.forget_dead_holder(slot);
                    self.remember(os, fd, pid << SLOT_BITS | slot);
                    return Ok(slot);
                }
                Err(errno::EAGAIN | errno::EACCES) => {}
                Err(errno) => return Err(LockError(errno)),
            }
        }
        Err(LockError(errno::EAGAIN))
    }

    /// A slot that was free yet is named in the lock word belonged to a process that died inside. From now on the
    /// slot looks alive, so it has to be cleared here. The odd sequence stays and tells the next holder.
    fn forget_dead_holder(&self, slot: u32) {
        let seen = self.word.load(Ordering::Acquire);
        if seen & SLOT_MASK == slot {
            let _ = self
                .word
                .compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    fn remember(&self, os: &impl Os, fd: Fd, value: u32) {
        let is_stale = |entry: u32| {
            let slot = u64::from(entry & SLOT_MASK);
            entry == 0 || os.byte_is_locked(fd, SLOT_LOCK_BASE + slot) == Ok(false)
        };
        // Of a chain of living forks longer than the table, the first entry is the farthest ancestor's, whose memory
        // this is not.
        let registrations = &self.state.registrations;
        let place = registrations
            .iter()
            .find(|place| is_stale(place.load(Ordering::Acquire)));
        if let Some(place) = place.or(registrations.first()) {
            place.store(value, Ordering::Release);
        }
    }
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
