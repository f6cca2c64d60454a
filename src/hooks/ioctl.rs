//! ioctl, in every spelling. musl passes the command as int: it is matched as 32 bits.

use crate::calls::{self, settle};
use crate::descriptors::is_foreign;
use libc::{c_int, c_ulong, c_void};

family! {
    fn ioctl_any(fd: c_int, command: c_ulong, argument: *mut c_void) -> c_int |next| {
        if !is_foreign(fd) && let Some(result) = calls::ioctl(fd, command as u32, argument as usize) {
            return settle(result, -1);
        }
        let result = next(fd, command, argument);
        if result < 0 {
            if let Some(result) = crate::ways_out::watchdog::ioctl(fd, command as u32, argument as usize) {
                return settle(result, -1);
            }
            crate::trace::foreign_ioctl(fd, command as u32);
            calls::correct_refusal(fd, command as u32);
        }
        result
    }
    ioctl, __ioctl, __ioctl_time64
}
