//! ioctl, in every spelling. musl passes the command as int: it is matched as 32 bits.

use crate::calls::{self, settle};
use crate::descriptors::is_foreign;
use libc::{c_int, c_ulong, c_void};

/// Questions for terminals, which every stream asks, need no second look at a refusal, unless refusals are listed.
#[inline(always)]
fn is_for_a_terminal(fd: c_int, command: c_ulong) -> bool {
    const KIND: c_ulong = 0xffff_ff00;
    command & KIND == (b'T' as c_ulong) << 8 && is_foreign(fd) && crate::trace::is_known_off()
}

family! {
    quick (is_for_a_terminal(fd, command))
    fn ioctl_any(fd: c_int, command: c_ulong, argument: *mut c_void) -> c_int |next| {
        crate::trace::find_out();
        if !is_foreign(fd) && let Some(result) = calls::ioctl(fd, command as u32, argument as usize) {
            return settle(result, -1);
        }
        let result = next(fd, command, argument);
        if result < 0 {
            if let Some(result) = crate::answers::unanswered(fd, command as u32, argument as usize) {
                return settle(result, -1);
            }
            if let Some(result) = crate::ways_out::watchdog::ioctl(fd, command as u32, argument as usize) {
                return settle(result, -1);
            }
            crate::trace::foreign_ioctl(fd, command as u32);
            calls::correct_refusal(fd, command as u32);
        }
        result
    }
    ioctl, __ioctl_time64; __ioctl
}
