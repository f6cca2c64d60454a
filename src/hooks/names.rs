//! stat and open of a name that is not ours, as nearly all are, in few basic blocks: each costs the emulator as much as ten
//! instructions. It is `paths::is_elsewhere` once more; where that is not sure at once, the long way is gone.

use crate::hooks::{open, stat};
use crate::{descriptors, paths, readable, root_names, runtime, shadow};

/// The mark of a symbol that opens; all others ask about a name.
pub const OPENS: u8 = 0x80;

/// The symbols of a name and up to two words more: a few instructions that lead to `by_name`.
macro_rules! named {
    ($($name:ident($mark:expr)),* $(,)?) => {$(
        pub mod $name {
            #[allow(unused_imports)]
            use super::*;
            static NEXT: crate::runtime::HookedSymbol<{ stringify!($name).len() }> =
                crate::runtime::HookedSymbol::new(stringify!($name), $mark);
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name() {
                core::arch::naked_asm!(
                    "ldr r3, 3f",
                    "2: add r3, pc",
                    "b {by_name}",
                    ".balign 4",
                    "3: .word {next} - 2b - 4",
                    next = sym NEXT,
                    by_name = sym crate::hooks::names::by_name,
                )
            }
        }
    )*};
}

/// r0: the name; r1 and r2: what else the call has; r3: what is known of the symbol.
#[unsafe(naked)]
pub unsafe extern "C" fn by_name() {
    core::arch::naked_asm!(
        ".fpu neon",
        "push {{r0, r1, r2, r3, r4, r5, r6, lr}}",
        // Whether the pages are known that a short name reaches into, and nothing else speaks against it.
        "add lr, r0, {short}",
        "ubfx r4, r0, #12, #6",
        "ubfx r5, lr, #12, #6",
        "ldr ip, 20f",
        "10: add ip, pc",
        "ldr r4, [ip, r4, lsl #2]",
        "ldr r5, [ip, r5, lsl #2]",
        "eor r4, r4, r0, lsr #12",
        "eor r5, r5, lr, lsr #12",
        "and r4, r4, r5",
        "ldr r5, 21f",
        "11: add r5, pc",
        "ldrb r5, [r5]",
        "orns r5, r5, r4",
        "bne 9f",
        // From here on r5 is what speaks against it. Of an absolute name: its letters.
        "ldr lr, [r0]",
        "ldrb r6, [r3, {mark}]",
        "lsr r6, r6, #7",
        "lsr r4, lr, #8",
        "add r5, r4, lr, lsr #16",
        "movw ip, {ours}",
        "ror r5, ip, r5",
        "and r5, r5, #1",
        "mvn ip, lr",
        "and ip, ip, {letter}",
        "orr r5, r5, ip",
        // When it is not to be opened: what is in the root.
        "eor r4, r4, lr, lsr #14",
        "and r4, r4, {slots} - 1",
        "ldr ip, 22f",
        "12: add ip, pc",
        "ldrb r4, [ip, r4]",
        "eor r4, r4, {nothing}",
        "cmp r6, #0",
        "it eq",
        "orreq r5, r5, r4",
        // Of a relative one: the directory it starts from.
        "ldr ip, 23f",
        "13: add ip, pc",
        "ldrb ip, [ip]",
        "eor ip, ip, {away}",
        "uxtb lr, lr",
        "cmp lr, #'/'",
        "it ne",
        "movne r5, ip",
        // Of one that is opened: whether it may be made.
        "and ip, r1, {create}",
        "cmp r6, #0",
        "it ne",
        "orrne r5, r5, ip",
        "mov r4, r0",
        // Thirty bytes: two dots side by side, and the end.
        "8: mov ip, #15",
        "vmov.i8 q10, #0x2e",
        "vld1.8 {{d16, d17}}, [r4], ip",
        "vld1.8 {{d18, d19}}, [r4], ip",
        crate::paths::two_dots_or_end!(),
        "vorr d22, d22, d23",
        "vorr d16, d16, d17",
        "vmov lr, ip, d22",
        "orr lr, lr, ip",
        "orr r5, r5, lr",
        "vmov lr, ip, d16",
        "orr lr, lr, ip",
        // "Lower" as long as r5 is zero, and neither the end nor the next definition is.
        "cmp r5, #1",
        "it lo",
        "rsbslo lr, lr, #0",
        "ldr ip, [r3]",
        "it lo",
        "rsbslo lr, ip, #0",
        "adr lr, 24f",
        "ldr lr, [lr, r6, lsl #2]",
        "14: add lr, pc",
        "it lo",
        "bxlo ip",
        "sub lr, r4, r0",
        "cmp r5, #1",
        "it lo",
        "cmplo lr, {rounds} * 30",
        "blo 8b",
        "9: add sp, sp, #16",
        "pop {{r4, r5, r6, lr}}",
        "ldrb ip, [r3, {mark}]",
        "tst ip, {opens}",
        "bne {open_slowly}",
        "mov r2, r3",
        "mov r3, {not_asked}",
        "b {stat_slowly}",
        // What stat said.
        "5: cmp r0, #0",
        "itt eq",
        "addeq sp, sp, #16",
        "popeq {{r4, r5, r6, pc}}",
        "pop {{r0, r1, r2, r3}}",
        "mov r2, r3",
        "mvn r3, #0",
        "pop {{r4, r5, r6, lr}}",
        "b {stat_slowly}",
        // A descriptor, which is foreign from now on where none of ours had the number.
        "6: ldr r1, 25f",
        "15: add r1, pc",
        "mov r3, {foreign}",
        "cmp r0, {size}",
        "itt lo",
        "ldrlo r2, [r1, r0, lsl #2]",
        "cmplo r2, {own}",
        "ittt lo",
        "strlo r3, [r1, r0, lsl #2]",
        "addlo sp, sp, #16",
        "poplo {{r4, r5, r6, pc}}",
        "mov r4, r0",
        "pop {{r0, r1, r2, r3}}",
        "mov r3, r4",
        "pop {{r4, r5, r6, lr}}",
        "b {opened}",
        ".balign 4",
        "20: .word {pages} - 10b - 4",
        "21: .word {uncertain} - 11b - 4",
        "22: .word {directories} - 12b - 4",
        "23: .word {inside} - 13b - 4",
        "24: .word 5b - 14b - 4 + 1",
        ".word 6b - 14b - 4 + 1",
        "25: .word {table} - 15b - 4",
        short = const readable::SHORT,
        pages = sym readable::PAGES,
        uncertain = sym paths::UNCERTAIN,
        mark = const runtime::MARK_AT,
        opens = const OPENS,
        ours = const paths::OURS,
        letter = const paths::LETTER,
        directories = sym root_names::DIRECTORIES,
        slots = const root_names::SLOTS,
        nothing = const root_names::NOTHING,
        inside = sym shadow::INSIDE,
        away = const shadow::AWAY,
        create = const libc::O_CREAT,
        rounds = const paths::ROUNDS,
        table = sym descriptors::TABLE,
        size = const descriptors::TABLE_SIZE,
        foreign = const descriptors::FOREIGN,
        own = const descriptors::OURS,
        not_asked = const stat::NOT_ASKED,
        stat_slowly = sym stat::slowly,
        open_slowly = sym open::slowly,
        opened = sym open::said,
    )
}
