//! Ctrl-C during long work: noted by a handler, asked for between steps, so that everything half made is taken back.
//!
//! While a program runs, `run` has its own: there the terminal's signals are the program's.

use std::fmt;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Result;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};

/// When somebody was told to end first, 0 for never.
pub struct Told(AtomicI64);

impl Told {
    /// `timeout` sends its signal twice at once, to the program and to the program's group: that is one.
    const APART_MS: i64 = 500;

    pub const fn never() -> Told {
        Told(AtomicI64::new(0))
    }

    /// Whether it is the first time, of which there may be several at once. May be called in a signal handler.
    pub fn for_the_first_time(&self) -> bool {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: may be called in a signal handler; the structure is there.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        let now = time.tv_sec * 1000 + time.tv_nsec / 1_000_000 + 1;
        match self
            .0
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => true,
            Err(first) => now - first < Self::APART_MS,
        }
    }

    fn ever(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

static NOTED: Told = Told::never();

extern "C" fn note(signal: i32) {
    if !NOTED.for_the_first_time() {
        // SAFETY: both may be called in a signal handler.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}

#[derive(Debug)]
pub enum Interrupted {
    /// Everything is as it was before.
    Undone,
    /// What cannot be taken back, in words.
    Half(String),
}

impl fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Interrupted::Undone => formatter.write_str("interrupted; nothing half made was left"),
            Interrupted::Half(what) => write!(formatter, "interrupted; {what}"),
        }
    }
}

impl std::error::Error for Interrupted {}

/// The status that a shell gives to a program ended by SIGINT.
pub const STATUS: u8 = 130;

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

pub fn install() {
    // A second signal ends the program at once.
    let action = SigAction::new(
        SigHandler::Handler(note),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    for signal in SIGNALS {
        // SAFETY: the handler only does what handlers may.
        let _ = unsafe { sigaction(signal, &action) };
    }
}

/// Waits until there is something to read, or its end; a signal meanwhile interrupts.
pub fn wait_for(file: &impl AsFd) -> Result<()> {
    let ours: SigSet = SIGNALS.into_iter().collect();
    // Between the look and the wait none may slip through: they are let in by the wait alone.
    let before = ours.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let result = loop {
        let waited = check().map(|()| {
            let wanted = PollFd::new(file.as_fd(), PollFlags::POLLIN);
            ppoll(&mut [wanted], None, Some(before))
        });
        match waited {
            Ok(Err(Errno::EINTR)) => {}
            Ok(Err(error)) => break Err(error.into()),
            Ok(Ok(_)) => break Ok(()),
            Err(interrupted) => break Err(interrupted),
        }
    };
    before.thread_set_mask()?;
    result
}

pub fn check() -> Result<()> {
    if NOTED.ever() {
        Err(Interrupted::Undone.into())
    } else {
        Ok(())
    }
}
