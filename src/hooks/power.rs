//! reboot, kill of init, mount and umount. A body is decode and dispatch; see `ways_out`.

use crate::calls::settle;
use crate::ways_out;
use libc::{c_char, c_int, c_ulong, c_void};

hook! {
    fn reboot(command: c_int) -> c_int {
        settle(ways_out::reboot(command as u32), -1)
    }
}
hook! {
    fn kill(pid: c_int, signal: c_int) -> c_int {
        match ways_out::kill(pid, signal) {
            Some(result) => settle(result, -1),
            None => real!(kill(pid, signal)),
        }
    }
}
hook! {
    fn mount(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int {
        // SAFETY: the guest's own arguments.
        match unsafe { ways_out::mount(source, target, kind) } {
            Some(errno) => settle(Err(errno), -1),
            None => real!(mount(source, target, kind, flags, data)),
        }
    }
}
hook! {
    fn umount(target: *const c_char) -> c_int {
        // SAFETY: the guest's own argument.
        match unsafe { ways_out::umount(target) } {
            Some(errno) => settle(Err(errno), -1),
            None => real!(umount(target)),
        }
    }
}
hook! {
    fn umount2(target: *const c_char, flags: c_int) -> c_int {
        // SAFETY: the guest's own argument.
        match unsafe { ways_out::umount(target) } {
            Some(errno) => settle(Err(errno), -1),
            None => real!(umount2(target, flags)),
        }
    }
}
