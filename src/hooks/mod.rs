//! The libc symbols the shim answers, one file a family. A body is decode, dispatch, encode.
//!
//! Every symbol stands in a module of its own, because redhook names an item after it.

/// One hooked symbol: its C signature and what it does. `real!(name)` inside is the next definition.
macro_rules! hook {
    ($(#[$attribute:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) -> $result:ty $body:block) => {
        pub mod $name {
            #[allow(unused_imports)]
            use super::*;
            redhook::hook! {
                unsafe fn $name($($argument: $kind),*) -> $result => hook $body
            }
        }
    };
}

/// The next definition of a hooked symbol, called.
macro_rules! real {
    ($name:ident($($argument:expr),* $(,)?)) => {
        // SAFETY: the next definition of this symbol has this signature, and the arguments are the caller's own.
        unsafe { redhook::real!($name)($($argument),*) }
    };
}

mod dir;
mod exec;
mod fd;
mod io;
mod ioctl;
mod open;
mod path;
mod power;
mod signal;
pub mod stat;
mod stdio;
mod syscall;
