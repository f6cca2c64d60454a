//! Signals of a run are its program's: what the tool alone is sent goes on to it, what a terminal sends it has already.
//!
//! A second SIGTERM ends what does not want to end.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::interrupt::{self, Told};

/// The process that gets the signals, 0 for none.
static TARGET: AtomicI32 = AtomicI32::new(0);
/// It hands them on itself: see `MESSAGE`.
static IS_MESSENGER: AtomicBool = AtomicBool::new(false);
static TOLD_TO_END: Told = Told::never();

/// Between the tool and its own processes: a signal's number travels as the value of this one.
pub const MESSAGE: Signal = Signal::SIGUSR1;

const FORWARDED: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGHUP,
];

fn send(target: i32, signal: i32, as_message: bool) {
    let value = libc::sigval {
        sival_ptr: signal as usize as *mut libc::c_void,
    };
    // SAFETY: both may be called in a signal handler.
    unsafe {
        if as_message {
            libc::sigqueue(target, MESSAGE as i32, value);
        } else {
            libc::kill(target, signal);
        }
    }
}

extern "C" fn on_signal(signal: i32, about: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let target = TARGET.load(Ordering::Relaxed);
    // SAFETY: the system has filled it in.
    let is_from_terminal = unsafe { (*about).si_code } == libc::SI_KERNEL;
    if target <= 0 || is_from_terminal {
        return;
    }
    if signal == libc::SIGTERM && !TOLD_TO_END.for_the_first_time() {
        send(target, libc::SIGKILL, false);
    } else {
        send(target, signal, IS_MESSENGER.load(Ordering::Relaxed));
    }
}

extern "C" fn on_message(_signal: i32, about: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the system has filled it in.
    if let Some(signal) = unsafe { content(&*about) } {
        send(TARGET.load(Ordering::Relaxed), signal, true);
    }
}

/// The signal that a message is about; others may send this number, too.
///
/// # Safety
/// The system has filled `about` in.
unsafe fn content(about: &libc::siginfo_t) -> Option<i32> {
    // SAFETY: a message is sent with a value.
    (about.si_code == libc::SI_QUEUE).then(|| unsafe { about.si_value() }.sival_ptr as usize as i32)
}

fn on(signal: Signal, handler: SigHandler) {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handlers installed here only load, store and send.
    let _ = unsafe { sigaction(signal, &action) };
}

/// From now on the tool's signals are those of `target`.
pub fn to(target: i32, is_messenger: bool) {
    IS_MESSENGER.store(is_messenger, Ordering::Relaxed);
    TARGET.store(target, Ordering::Relaxed);
    for signal in FORWARDED {
        on(signal, SigHandler::SigAction(on_signal));
    }
}

/// It has ended; the tool can be interrupted again.
pub fn to_nobody() {
    TARGET.store(0, Ordering::Relaxed);
    on(Signal::SIGQUIT, SigHandler::SigDfl);
    interrupt::install();
}

/// Held back until there is somebody who gets them.
pub fn hold_messages() {
    let _ = messages().thread_block();
}

/// Messages go on to `target`.
pub fn pass_messages_to(target: i32) {
    TARGET.store(target, Ordering::Relaxed);
    on(MESSAGE, SigHandler::SigAction(on_message));
    let _ = messages().thread_unblock();
}

fn messages() -> SigSet {
    let mut set = SigSet::empty();
    set.add(MESSAGE);
    set
}

/// Waits until a child has ended or a message has come from outside of the process namespace: the signal that it is about. All
/// signals are blocked.
pub fn wait() -> Option<i32> {
    let mut set = messages();
    set.add(Signal::SIGCHLD);
    // SAFETY: a structure of numbers that the system fills in.
    unsafe {
        let mut about: libc::siginfo_t = std::mem::zeroed();
        let signal = libc::sigwaitinfo(set.as_ref(), &raw mut about);
        // Who is outside has no number here; a program of the sandbox has one.
        (signal == MESSAGE as i32 && about.si_pid() == 0)
            .then(|| content(&about))
            .flatten()
    }
}
