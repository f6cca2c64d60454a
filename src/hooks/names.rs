//! stat, open and fopen of a name that is not ours, as nearly all are. It is `paths::is_elsewhere` once more; where that is not sure at
//! once, the long way is gone.
//!
//! What counts is how many instructions of the host the emulator makes of it: behind a system call, which fills the caches with the
//! kernel, one takes about a cycle. So addresses are made of constants, which are known when it translates, and not loaded; nothing is
//! compared (four flags, each a word in memory) or pushed (each word's alignment is looked at); all is in few blocks, on one page, for only
//! there one block knows where the next is.

use crate::glance::{GLANCE, Glance};
use crate::hooks::{open, stat, stdio};
use crate::{descriptors, paths, root_names, runtime, shadow};
use core::mem::offset_of;

/// The marks of symbols that open; all others ask about a name.
pub const OPENS: u8 = HAS_FLAGS | HAS_FLAGS / 2 | 2 * WAY;
pub const OPENS_STREAM: u8 = HAS_FLAGS | HAS_FLAGS / 2 | WAY;
/// There are flags that may say that the file is to be made.
const HAS_FLAGS: u8 = libc::O_CREAT as u8;
/// One of the ways back from the next definition.
const WAY: u8 = 8;
/// So long is each way but the last.
const WAY_SIZE: u32 = 32;
/// So many bytes of a name are looked at.
const LOOK: u32 = 48;

/// The symbols of a name and up to two words more: a few instructions that lead to `by_name`, with flags in ip.
macro_rules! named {
    ($flags:literal; $($name:ident($mark:expr)),* $(,)?) => {$(
        pub mod $name {
            #[allow(unused_imports)]
            use super::*;
            static NEXT: crate::runtime::HookedSymbol<{ stringify!($name).len() }> =
                crate::runtime::HookedSymbol::new(stringify!($name), $mark);
            #[unsafe(naked)]
            #[unsafe(link_section = ".text.names")]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    $flags,
                    "movw r3, #:lower16:({next} - 2f - 4)",
                    "movt r3, #:upper16:({next} - 2f - 4)",
                    "2: add r3, pc",
                    "b {by_name}",
                    next = sym NEXT,
                    by_name = sym crate::hooks::names::by_name,
                )
            }
        }
    )*};
}

/// r0: the name; r1 and r2: what else the call has; ip: its flags; r3: what is known of the symbol.
#[unsafe(naked)]
#[unsafe(link_section = ".text.names")]
pub unsafe extern "C" fn by_name() {
    core::arch::naked_asm!(
        ".fpu neon",
        "sub sp, sp, #24",
        "str r0, [sp]",
        "str r1, [sp, #4]",
        "str r2, [sp, #8]",
        "str r3, [sp, #12]",
        "str lr, [sp, #16]",
        "ldrb lr, [r3, {mark}]",
        // From here on r3 is what speaks against it. Of one that is opened: whether it may be made.
        "and r3, lr, ip",
        "and r3, r3, {flags}",
        // Whether the page is known that the name begins in, and so much of it as is looked at lies there; a known page is all ones now.
        "movw ip, #:lower16:({glance} - 2f - 4)",
        "movt ip, #:upper16:({glance} - 2f - 4)",
        "2: add ip, pc",
        "ubfx r1, r0, #12, #6",
        "add r2, r0, {look} - 1",
        "ldr r1, [ip, r1, lsl #2]",
        "eor r1, r1, r2, lsr #12",
        "orn r3, r3, r1",
        // Whether nothing else speaks against all names, as a processor without NEON does.
        "ldrb r1, [ip, {known}]",
        "eor r1, r1, {certain}",
        "orrs r3, r3, r1",
        "bne 9f",
        "ldr r2, [r0]",
        // When it is not to be opened: what is in the root.
        "lsr r1, r2, #8",
        "eor r1, r1, r2, lsr #14",
        "and r1, r1, {slots} - 1",
        "add r1, ip",
        "ldrb r1, [r1, {directories}]",
        "ldrb ip, [ip, {current}]",
        "eor r1, r1, {nothing}",
        "bic r1, r1, lr, lsr #{opens_shift}",
        // The letters of an absolute name.
        "mvn lr, r2",
        "and lr, lr, {letter}",
        "orr r1, r1, lr",
        "lsr lr, r2, #8",
        "add lr, lr, r2, lsr #16",
        "uxtb r2, r2",
        "eors r2, r2, #'/'",
        "movw r2, {ours}",
        "ror r2, r2, lr",
        "and r2, r2, #1",
        "orr r1, r1, r2",
        // Of a relative one: the directory it starts from.
        "eor ip, ip, {away}",
        "it ne",
        "movne r1, ip",
        "orr r3, r3, r1",
        // Where a component is "..", two bytes at an even place are dots, or a slash and a dot: with dots XORed a number that is not
        // more than 1. What is there for another reason is looked at by others. And whether the end is there.
        "8: vmov.i8 q11, #0x2e",
        "vld1.8 {{d16, d17, d18, d19}}, [r0]!",
        "vld1.8 {{d20, d21}}, [r0]",
        "str r0, [sp, #20]",
        "vmin.u8 q12, q8, q9",
        "veor q8, q8, q11",
        "veor q9, q9, q11",
        "vmin.u8 q12, q12, q10",
        "vmin.u16 q8, q8, q9",
        "veor q10, q10, q11",
        "vmin.u8 d24, d24, d25",
        "vmin.u16 q8, q8, q10",
        "vceq.i8 d24, d24, #0",
        "vmin.u16 d16, d16, d17",
        "vshr.u16 d16, d16, #1",
        "vceq.i16 d16, d16, #0",
        "vmov r1, r2, d16",
        "orr r3, r3, r1",
        "orr r3, r3, r2",
        "vmov r1, r2, d24",
        "orr r1, r1, r2",
        // Neither the next definition nor, which is marked above all else, the end is zero.
        "ldr r2, [sp, #12]",
        "clz r1, r1",
        "lsr r1, r1, #5",
        "orr r3, r3, r1, lsl #31",
        "ldr ip, [r2]",
        "ldrb r1, [r2, {mark}]",
        "and r1, r1, {ways}",
        "adr.w lr, 5f + 1",
        "add lr, lr, r1, lsl #{way_shift}",
        "clz r1, ip",
        "lsr r1, r1, #5",
        "orr r3, r3, r1",
        "ldr r0, [sp]",
        "ldr r1, [sp, #4]",
        "ldr r2, [sp, #8]",
        "movs r3, r3",
        "it eq",
        "bxeq ip",
        // The name goes on, on the same page.
        "cmp r3, #0x80000000",
        "bne 9f",
        "ldr r0, [sp, #20]",
        "adds r0, {look} - 32",
        "add r2, r0, {look} - 1",
        "subs r1, r0, #1",
        "eors r1, r2",
        "lsrs r3, r1, #12",
        "beq 8b",
        "9:",
        "pop {{r0, r1, r2, r3}}",
        "ldr lr, [sp], #8",
        "ldrb ip, [r3, {mark}]",
        "tst ip, 2 * {way}",
        "bne {open_slowly}",
        "mov r2, r3",
        "tst ip, {way}",
        "bne {stream_slowly}",
        "movs r3, {not_asked}",
        "b {stat_slowly}",
        // What stat said.
        ".balign 4",
        "5: ldr lr, [sp, #16]",
        "movs r3, r0",
        "itt eq",
        "addeq sp, sp, #24",
        "bxeq lr",
        "pop {{r0, r1, r2, r3}}",
        "ldr lr, [sp], #8",
        "mov r2, r3",
        "mvn r3, #0",
        "b {stat_slowly}",
        // A stream.
        ".org 5b + {way_size}",
        "mov r3, r0",
        "pop {{r0, r1, r2}}",
        "ldr lr, [sp, #4]",
        "add sp, sp, #12",
        "mov r2, r3",
        "b {stream_opened}",
        // A descriptor, which is foreign from now on where none of ours had the number.
        ".org 5b + 2 * {way_size}",
        "movw r1, #:lower16:({table} - 2f - 4)",
        "movt r1, #:upper16:({table} - 2f - 4)",
        "2: add r1, pc",
        "ubfx ip, r0, #0, {table_bits}",
        "ldr r2, [r1, ip, lsl #2]",
        "mov r3, {foreign}",
        "ldr lr, [sp, #16]",
        "lsr r2, r2, {ours_shift}",
        "orrs r2, r2, r0, asr #{table_bits}",
        "ittt eq",
        "streq r3, [r1, ip, lsl #2]",
        "addeq sp, sp, #24",
        "bxeq lr",
        "mov r3, r0",
        "pop {{r0, r1, r2}}",
        "add sp, sp, #12",
        "b {opened}",
        mark = const runtime::MARK_AT,
        flags = const HAS_FLAGS,
        opens_shift = const HAS_FLAGS.ilog2() - 1,
        ways = const 3 * WAY,
        way = const WAY,
        way_size = const WAY_SIZE,
        way_shift = const WAY_SIZE.ilog2() - WAY.ilog2(),
        look = const LOOK,
        glance = sym GLANCE,
        known = const offset_of!(Glance, known),
        current = const offset_of!(Glance, current),
        directories = const offset_of!(Glance, directories),
        slots = const crate::glance::SLOTS,
        certain = const paths::CERTAIN,
        ours = const paths::OURS,
        letter = const paths::LETTER,
        nothing = const root_names::NOTHING,
        away = const shadow::AWAY,
        table = sym descriptors::TABLE,
        table_bits = const descriptors::TABLE_SIZE.ilog2(),
        foreign = const descriptors::FOREIGN,
        ours_shift = const descriptors::OURS.ilog2(),
        not_asked = const stat::NOT_ASKED,
        stat_slowly = sym stat::slowly,
        open_slowly = sym open::slowly,
        opened = sym open::said,
        stream_slowly = sym stdio::slowly,
        stream_opened = sym stdio::said,
    )
}
