//! Whether the guest has signal handlers: only then do signals have to wait while a flash operation is under way.

use crate::process_lock::note_handler;
use libc::{c_int, c_void};

/// SIG_DFL and SIG_IGN are no handlers.
fn is_handler(handler: usize) -> bool {
    handler > 1
}

family! {
    fn sigaction_any(number: c_int, action: *const usize, old: *mut c_void) -> c_int |next| {
        // SAFETY: the guest's own structure, which begins with the handler in every libc.
        if !action.is_null() && is_handler(unsafe { *action }) {
            note_handler();
        }
        next(number, action, old)
    }
    sigaction, __sigaction, __libc_sigaction
}

family! {
    fn signal_any(number: c_int, handler: usize) -> usize |next| {
        if is_handler(handler) {
            note_handler();
        }
        next(number, handler)
    }
    signal, bsd_signal, ssignal, sysv_signal, __sysv_signal, sigset
}
