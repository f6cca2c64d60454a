//! ioctl, in every spelling. musl passes the command as int: it is matched as 32 bits.

use crate::calls::{self, settle};
use crate::descriptors::is_foreign;
use libc::{c_int, c_ulong, c_void};

family! {
    // Questions for terminals, which every stream asks, need no second look at a refusal, unless refusals are listed.
    quick where they lie and [
        "bic r3, r1, #0xff",
        "eor r3, r3, {terminal}",
        "orr ip, ip, r3",
        "movw r3, #:lower16:({trace} - 6f - 4)",
        "movt r3, #:upper16:({trace} - 6f - 4)",
        "6: add r3, pc",
        "ldrb r3, [r3]",
        "eor r3, r3, {off}",
        "orr ip, ip, r3, lsl #8";
        "it ne";
        terminal = const (b'T' as u32) << 8,
        trace = sym crate::trace::STATE,
        off = const crate::trace::OFF,
    ]
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
