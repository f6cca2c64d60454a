//! Asynchronous transfers. The threads of libc that make them write below every hook, to the node file, so on flash a transfer is
//! done at once, and its control block says that it is over. Who wants to be told by a signal or a thread, or has a list of them, is
//! refused.
//!
//! Layout: `struct aiocb` of glibc, musl and uClibc on 32-bit ARM is the same but for the width of its offset.

use crate::calls::{self, Direction, settle};
use crate::descriptors::{self, is_foreign};
use crate::libc_kind;
use libc::{c_int, c_void};
use mtd_abi::errno::Errno;

#[repr(C)]
pub struct Control {
    fd: c_int,
    operation: c_int,
    priority: c_int,
    buffer: usize,
    count: usize,
    value: usize,
    signal: c_int,
    notify: c_int,
    rest_of_event: [c_int; 13],
    private: [c_int; 3],
    error: c_int,
    result: isize,
    offset: i64,
}
const _: () = assert!(core::mem::offset_of!(Control, offset) == 104);

/// The marks of the symbols: a direction, and whether the offset has 64 bits in every libc.
const WRITE: u8 = 1;
const WIDE: u8 = 2;

/// None: not ours.
fn at_once(control: &mut Control, mark: u8) -> Option<Result<c_int, Errno>> {
    let offset = if mark & WIDE == 0 && !libc_kind::wide_offsets() {
        i64::from(control.offset as i32)
    } else {
        control.offset
    };
    let direction = if mark & WRITE == 0 {
        Direction::Read
    } else {
        Direction::Write
    };
    // As it is in a block that is all zeros: signal 0.
    let is_silent = control.notify == libc::SIGEV_NONE || control.notify | control.signal == 0;
    if !is_silent {
        return refused(control);
    }
    let done = calls::transfer(
        control.fd,
        direction,
        control.buffer,
        control.count,
        Some(offset),
    )?;
    (control.result, control.error) = match done {
        Ok(count) => (count, 0),
        Err(Errno(errno)) => (-1, errno),
    };
    Some(Ok(0))
}

fn refused(control: &Control) -> Option<Result<c_int, Errno>> {
    descriptors::lookup(control.fd).map(|_| Err(Errno::ENOSYS))
}

family! {
    fn transfer_any(control: *mut Control) -> c_int |next, mark| {
        // SAFETY: the guest's own argument to libc.
        let block = unsafe { &mut *control };
        if !is_foreign(block.fd) && let Some(result) = at_once(block, mark) {
            return settle(result, -1);
        }
        next(control)
    }
    aio_read(0), aio_write(WRITE), aio_read64(WIDE), aio_write64(WIDE | WRITE)
}

family! {
    fn list_any(mode: c_int, list: *const *const Control, count: c_int, event: *mut c_void) -> c_int |next| {
        // SAFETY: the guest's own arguments to libc.
        let ours = (0..count as usize).find_map(|index| unsafe { (*list.add(index)).as_ref() }.and_then(refused));
        match ours {
            Some(result) => settle(result, -1),
            None => next(mode, list, count, event),
        }
    }
    lio_listio, lio_listio64
}
