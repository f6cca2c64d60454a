//! Whether the guest has signal handlers: only then do signals have to wait while a flash operation is under way.

use crate::process_lock::note_handler;
use libc::{c_int, c_void};

/// SIG_DFL and SIG_IGN are no handlers.
fn is_handler(handler: usize) -> bool {
    handler > 1
}

macro_rules! sigaction_hooks {
    ($($name:ident),*) => {$(
        hook! {
            fn $name(number: c_int, action: *const usize, old: *mut c_void) -> c_int {
                // SAFETY: the guest's own structure, which begins with the handler in every libc.
                if !action.is_null() && is_handler(unsafe { *action }) {
                    note_handler();
                }
                real!($name(number, action, old))
            }
        }
    )*};
}
sigaction_hooks!(sigaction, __sigaction, __libc_sigaction);

macro_rules! signal_hooks {
    ($($name:ident),*) => {$(
        hook! {
            fn $name(number: c_int, handler: usize) -> usize {
                if is_handler(handler) {
                    note_handler();
                }
                real!($name(number, handler))
            }
        }
    )*};
}
signal_hooks!(
    signal,
    bsd_signal,
    ssignal,
    sysv_signal,
    __sysv_signal,
    sigset
);
