//! The guest's signal handlers: see `signals`.

use crate::signals;
use libc::c_int;

/// SIG_ERR.
const FAILED: usize = usize::MAX;

family! {
    fn sigaction_any(number: c_int, action: *const usize, old: *mut usize) -> c_int |next| {
        let before = signals::current(number);
        let result = next(number, action, old);
        if result == 0 {
            if !action.is_null() {
                signals::installed(number);
            }
            // SAFETY: the guest's own structure, just filled, which begins with the handler in every libc.
            unsafe {
                if !old.is_null() {
                    *old = signals::as_seen(*old, before);
                }
            }
        }
        result
    }
    sigaction, __sigaction, __libc_sigaction
}

family! {
    fn signal_any(number: c_int, handler: usize) -> usize |next| {
        let before = signals::current(number);
        let old = next(number, handler);
        if old == FAILED {
            return old;
        }
        signals::installed(number);
        signals::as_seen(old, before)
    }
    signal, bsd_signal, ssignal, sysv_signal, __sysv_signal, sigset
}
