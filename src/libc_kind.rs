//! Which C library the guest has, where that changes how arguments arrive.
//!
//! In musl every off_t has 64 bits, so `pread(fd, buffer, count, offset)` gets its offset on the stack (a 64-bit value
//! needs an even register pair and r3 alone is left), while glibc and uClibc pass 32 bits in r3. Source: AAPCS.

use crate::runtime;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LibcKind {
    Glibc,
    Uclibc,
    Musl,
}

static KIND: AtomicU8 = AtomicU8::new(0);

pub fn kind() -> LibcKind {
    match KIND.load(Relaxed) {
        1 => LibcKind::Glibc,
        2 => LibcKind::Uclibc,
        3 => LibcKind::Musl,
        _ => detect(),
    }
}

#[cold]
fn detect() -> LibcKind {
    // uClibc-ng has gnu_get_libc_version too.
    let (kind, number) = if runtime::next_symbol(c"__uClibc_main").is_some() {
        (LibcKind::Uclibc, 2)
    } else if runtime::next_symbol(c"gnu_get_libc_version").is_some() {
        (LibcKind::Glibc, 1)
    } else {
        (LibcKind::Musl, 3)
    };
    KIND.store(number, Relaxed);
    kind
}

/// off_t of the unsuffixed functions has 64 bits.
pub fn wide_offsets() -> bool {
    kind() == LibcKind::Musl
}

/// uClibc's vector calls take 64 bits under the plain name, unlike its other calls.
pub fn wide_vector_offsets() -> bool {
    kind() != LibcKind::Glibc
}

/// The offset of preadv and pwritev.
pub fn vector_offset(narrow: i32, low: i32, high: i32) -> i64 {
    if wide_vector_offsets() {
        join(low, high)
    } else {
        i64::from(narrow)
    }
}

pub fn join(low: i32, high: i32) -> i64 {
    i64::from(high) << 32 | i64::from(low as u32)
}

/// An off_t that is in `narrow` or, where it is wide, in the pair.
pub fn offset(narrow: i32, low: i32, high: i32) -> i64 {
    if wide_offsets() {
        join(low, high)
    } else {
        i64::from(narrow)
    }
}
