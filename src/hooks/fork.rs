//! fork and its kin: what this process alone knew is written down before, and asked for again after.
//!
//! Also what sends descriptors away, and the two functions of libc that move the standard ones by themselves.

use crate::world::before_fork;
use crate::{children, descriptors, process_lock};
use libc::{c_int, c_uint, c_void, ssize_t};

/// In parent and child alike: another thread may have asked for the number in between.
fn after() {
    process_lock::forget_pid();
}

family! {
    fn fork_any() -> c_int |next| {
        before_fork();
        children::rehearse();
        let result = next();
        after();
        result
    }
    fork, __fork, __libc_fork, _Fork
}

// A child of vfork runs on its parent's stack: nothing may happen here after it.
family! {
    quick (is_ready())
    fn vfork_any() -> c_int |next| {
        next()
    }
    vfork, __vfork
}

fn is_ready() -> bool {
    before_fork();
    children::rehearse();
    true
}

hook! {
    // Variadic, with up to three words more than named in <sched.h>.
    fn clone(
        function: usize,
        stack: *mut c_void,
        flags: c_int,
        argument: *mut c_void,
        a: usize,
        b: usize,
        c: usize,
    ) -> c_int {
        before_fork();
        real!(clone(function, stack, flags, argument, a, b, c))
    }
}
hook! {
    fn daemon(keep_directory: c_int, keep_streams: c_int) -> c_int {
        before_fork();
        let result = real!(daemon(keep_directory, keep_streams));
        after();
        forget_standard();
        result
    }
}
hook! {
    fn forkpty(main: *mut c_int, name: *mut c_void, settings: *const c_void, size: *const c_void) -> c_int {
        before_fork();
        let result = real!(forkpty(main, name, settings, size));
        after();
        forget_standard();
        result
    }
}
hook! {
    fn login_tty(fd: c_int) -> c_int {
        descriptors::share();
        let result = real!(login_tty(fd));
        forget_standard();
        result
    }
}

fn forget_standard() {
    for fd in 0..=2 {
        descriptors::forget(fd);
    }
}

family! {
    quick (!descriptors::has_own())
    fn sendmsg_any(socket: c_int, message: *const c_void, flags: c_int) -> ssize_t |next| {
        descriptors::share();
        next(socket, message, flags)
    }
    sendmsg; __sendmsg
}
family! {
    fn sendmmsg_any(socket: c_int, messages: *mut c_void, count: c_uint, flags: c_int) -> c_int |next| {
        descriptors::share();
        next(socket, messages, count, flags)
    }
    sendmmsg, __sendmmsg
}
