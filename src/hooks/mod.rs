//! The libc symbols the shim answers, one file a family. A body is decode, dispatch, encode.
//!
//! Every symbol stands in a module of its own, because redhook names an item after it. Symbols that differ in little
//! but their name are a family: one body, and for each name a few instructions that lead to it.

/// One hooked symbol: its C signature and what it does. `real!(name)` inside is the next definition.
macro_rules! hook {
    ($(#[$attribute:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) -> $result:ty $body:block) => {
        hook! { @marked 0, fn $name($($argument: $kind),*) -> $result $body }
    };
    (@marked $mark:expr, fn $name:ident($($argument:ident: $kind:ty),*) -> $result:ty $body:block) => {
        pub mod $name {
            #[allow(unused_imports)]
            use super::*;
            #[allow(dead_code)]
            pub type Real = extern "C" fn($($kind),*) -> $result;
            #[allow(dead_code)]
            pub static NEXT: crate::runtime::HookedSymbol<{ stringify!($name).len() }> =
                crate::runtime::HookedSymbol::new(stringify!($name), $mark as u8);
            redhook::hook! {
                unsafe fn $name($($argument: $kind),*) -> $result => hook $body
            }
        }
    };
}

/// The next definition of a hooked symbol, called. (redhook's own `real!` goes through a `Once` for each symbol, which
/// takes more room and more time than `runtime::Next`.)
macro_rules! real {
    ($name:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: the next definition of this symbol has this signature; the arguments are the caller's own.
        let next: super::$name::Real = unsafe { super::$name::NEXT.next().function() };
        next($($argument),*)
    }};
}

/// Symbols with one body. `next` in `|next, mark|` is the next definition of the symbol that was called, and `mark` the
/// number that the symbol has in brackets. Where `quick (test)` is given and holds, a call goes to the next definition
/// without a frame: the test is a few instructions, and this is all that most calls of the guest ever meet. Names behind a
/// semicolon are hardly ever used by programs; they go without the test.
macro_rules! family {
    (
        fn $family:ident $arguments:tt -> $result:ty
        |$next:ident $(, $mark:ident)?| $body:block
        $($name:ident $(($value:expr))?),* $(,)?
    ) => {
        family! { @body fn $family $arguments -> $result, $next, $($mark)?, $body }
        $(family! { @name $name, 0 $(+ $value)?, (false), fn $family $arguments -> $result })*
    };
    (
        quick $test:tt
        fn $family:ident $arguments:tt -> $result:ty
        |$next:ident $(, $mark:ident)?| $body:block
        $($name:ident $(($value:expr))?),* $(; $($rare:ident $(($rare_value:expr))?),*)?
    ) => {
        family! { @body fn $family $arguments -> $result, $next, $($mark)?, $body }
        $(family! { @name $name, 0 $(+ $value)?, $test, fn $family $arguments -> $result })*
        $($(family! { @name $rare, 0 $(+ $rare_value)?, (false), fn $family $arguments -> $result })*)?
    };
    // The same for arguments that reach to the stack, by the first of them, a descriptor: they stay where they are. After "and":
    // instructions that make ip more than `TEXT` where something else is against it, what is done before the jump where nothing is, and
    // what they name.
    (quick where they lie fn $($rest:tt)*) => {
        family! { quick where they lie and [; "it ne";] fn $($rest)* }
    };
    (
        quick where they lie and $more:tt
        fn $family:ident $arguments:tt -> $result:ty
        |$next:ident $(, $mark:ident)?| $body:block
        $($name:ident $(($value:expr))?),* $(; $($rare:ident $(($rare_value:expr))?),*)?
    ) => {
        family! { @body fn $family $arguments -> $result, $next, $($mark)?, $body }
        $(family! { @stub $name, 0 $(+ $value)?, $more, fn $family $arguments -> $result })*
        $($(family! { @name $rare, 0 $(+ $rare_value)?, (false), fn $family $arguments -> $result })*)?
    };
    (
        @stub $name:ident, $mark:expr, [$($more:literal),* ; $($hit:literal),* ; $($operand:tt)*],
        fn $family:ident($($argument:ident: $kind:ty),* $(,)?) -> $result:ty
    ) => {
        pub mod $name {
            #[allow(unused_imports)]
            use super::*;
            static NEXT: crate::runtime::HookedSymbol<{ stringify!($name).len() }> =
                crate::runtime::HookedSymbol::new(stringify!($name), $mark as u8);
            extern "C" fn slowly($($argument: $kind),*) -> $result {
                $family($($argument,)* NEXT.next())
            }
            /// `descriptors::is_foreign` in the one register that is free, and the next definition if it is known, in one basic
            /// block, without comparisons: they set more flags. A number that the table does not have leaves the table's address.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    "lsrs ip, r0, #{table_bits}",
                    "movw ip, #:lower16:({table} - 2f - 4)",
                    "movt ip, #:upper16:({table} - 2f - 4)",
                    "2: add ip, pc",
                    "it eq",
                    "ldreq ip, [ip, r0, lsl #2]",
                    $($more,)*
                    "sub ip, ip, {foreign}",
                    "bics ip, ip, {text}",
                    "movw ip, #:lower16:({next} - 4f - 4)",
                    "movt ip, #:upper16:({next} - 4f - 4)",
                    "4: add ip, pc",
                    "ldr ip, [ip]",
                    "it ne",
                    "movne ip, #0",
                    "tst ip, ip",
                    $($hit,)*
                    "bxne ip",
                    "b {slowly}",
                    table = sym crate::descriptors::TABLE,
                    table_bits = const crate::descriptors::TABLE_SIZE.ilog2(),
                    foreign = const crate::descriptors::FOREIGN,
                    text = const {
                        assert!(crate::descriptors::TEXT == crate::descriptors::FOREIGN + 1);
                        crate::descriptors::TEXT - crate::descriptors::FOREIGN
                    },
                    next = sym NEXT,
                    slowly = sym slowly,
                    $($operand)*
                )
            }
        }
    };
    (@body fn $family:ident($($argument:ident: $kind:ty),* $(,)?) -> $result:ty, $next:ident, $($mark:ident)?, $body:block) => {
        #[inline(never)]
        fn $family($($argument: $kind,)* symbol: crate::runtime::Next) -> $result {
            let $next = |$($argument: $kind),*| {
                // SAFETY: the next definition of these symbols has this signature; the arguments are the caller's own.
                let next: extern "C" fn($($kind),*) -> $result = unsafe { symbol.function() };
                next($($argument),*)
            };
            $(let $mark = symbol.mark();)?
            $body
        }
    };
    (@name $name:ident, $mark:expr, ($test:expr), fn $family:ident($($argument:ident: $kind:ty),* $(,)?) -> $result:ty) => {
        hook! {
            @marked $mark,
            fn $name($($argument: $kind),*) -> $result {
                // SAFETY: `Real` is the type of this symbol.
                if $test && let Some(next) = unsafe { NEXT.known::<Real>() } {
                    return next($($argument),*);
                }
                $family($($argument,)* NEXT.next())
            }
        }
    };
}

#[macro_use]
mod names;

mod aio;
mod dir;
mod exec;
mod fd;
mod fork;
mod io;
mod ioctl;
mod open;
mod path;
mod power;
mod signal;
pub mod stat;
mod stdio;
mod syscall;
