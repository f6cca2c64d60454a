//! Ctrl-C during long work: noted by a handler, asked for between steps, so that everything half made is taken back.
//!
//! `run` does not use this: there the terminal's signals are the program's.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static NOTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: i32) {
    NOTED.store(true, Ordering::Relaxed);
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

pub fn install() {
    // A second signal ends the program at once.
    let flags = SaFlags::SA_RESTART | SaFlags::SA_RESETHAND;
    let action = SigAction::new(SigHandler::Handler(note), flags, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic.
        let _ = unsafe { sigaction(signal, &action) };
    }
}

pub fn check() -> Result<()> {
    if NOTED.load(Ordering::Relaxed) {
        Err(Interrupted::Undone.into())
    } else {
        Ok(())
    }
}
