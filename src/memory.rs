//! memcpy and its kin, which the compiler calls: the library brings its own, as it may import none, and Rust's are written for
//! processors, where a jump costs nothing. An emulator pays for every jump, so each step here is as many words as fit.
//!
//! Every ARMv7 loads and stores single words at any address; only single ones are used.

use core::arch::global_asm;

macro_rules! functions {
    ($($name:literal: $($line:literal)*;)*) => {$(
        global_asm!(
            concat!(".pushsection .text.", $name, ", \"ax\", %progbits"),
            concat!(".globl ", $name),
            concat!(".hidden ", $name),
            concat!(".type ", $name, ", %function"),
            ".balign 4",
            ".thumb_func",
            concat!($name, ":"),
            $($line,)*
            ".popsection",
        );
    )*};
}

functions! {
    // The copy is made from the front, 32 bytes at a time, and is right for a target before its source as well. What is left
    // is told by the last five bits of the count, two of which a shift moves to the flags.
    "memcpy":
        "push {{r0, r4, lr}}"
        "subs r2, #32"
        "blo 2f"
        "1:"
        "ldr r3, [r1]"
        "ldr r4, [r1, #4]"
        "str r3, [r0]"
        "str r4, [r0, #4]"
        "ldr r3, [r1, #8]"
        "ldr r4, [r1, #12]"
        "str r3, [r0, #8]"
        "str r4, [r0, #12]"
        "ldr r3, [r1, #16]"
        "ldr r4, [r1, #20]"
        "str r3, [r0, #16]"
        "str r4, [r0, #20]"
        "ldr r3, [r1, #24]"
        "ldr r4, [r1, #28]"
        "str r3, [r0, #24]"
        "str r4, [r0, #28]"
        "adds r1, #32"
        "adds r0, #32"
        "subs r2, #32"
        "bhs 1b"
        "2:"
        "lsls r3, r2, #28"
        "itttt cs"
        "ldrcs r3, [r1], #4"
        "strcs r3, [r0], #4"
        "ldrcs r3, [r1], #4"
        "strcs r3, [r0], #4"
        "itttt cs"
        "ldrcs r3, [r1], #4"
        "strcs r3, [r0], #4"
        "ldrcs r3, [r1], #4"
        "strcs r3, [r0], #4"
        "itttt mi"
        "ldrmi r3, [r1], #4"
        "strmi r3, [r0], #4"
        "ldrmi r3, [r1], #4"
        "strmi r3, [r0], #4"
        "lsls r3, r2, #30"
        "itt cs"
        "ldrcs r3, [r1], #4"
        "strcs r3, [r0], #4"
        "itt mi"
        "ldrhmi r3, [r1], #2"
        "strhmi r3, [r0], #2"
        "lsls r3, r2, #31"
        "itt mi"
        "ldrbmi r3, [r1]"
        "strbmi r3, [r0]"
        "pop {{r0, r4, pc}}";

    // A target in its own source: from the end.
    "memmove":
        "subs r3, r0, r1"
        "cmp r3, r2"
        "bhs memcpy"
        "adds r3, r0, r2"
        "adds r1, r1, r2"
        "1:"
        "subs r2, #4"
        "ittt hs"
        "ldrhs r12, [r1, #-4]!"
        "strhs r12, [r3, #-4]!"
        "bhs 1b"
        "lsls r2, r2, #31"
        "itt cs"
        "ldrhcs r12, [r1, #-2]!"
        "strhcs r12, [r3, #-2]!"
        "itt mi"
        "ldrbmi r12, [r1, #-1]!"
        "strbmi r12, [r3, #-1]!"
        "bx lr";

    "memset":
        "uxtb r1, r1"
        "orr r1, r1, r1, lsl #8"
        "orr r1, r1, r1, lsl #16"
        "mov r3, r0"
        "subs r2, #32"
        "blo 2f"
        "1:"
        "str r1, [r3]"
        "str r1, [r3, #4]"
        "str r1, [r3, #8]"
        "str r1, [r3, #12]"
        "str r1, [r3, #16]"
        "str r1, [r3, #20]"
        "str r1, [r3, #24]"
        "str r1, [r3, #28]"
        "adds r3, #32"
        "subs r2, #32"
        "bhs 1b"
        "2:"
        "lsls r12, r2, #28"
        "itttt cs"
        "strcs r1, [r3], #4"
        "strcs r1, [r3], #4"
        "strcs r1, [r3], #4"
        "strcs r1, [r3], #4"
        "itt mi"
        "strmi r1, [r3], #4"
        "strmi r1, [r3], #4"
        "lsls r12, r2, #30"
        "it cs"
        "strcs r1, [r3], #4"
        "it mi"
        "strhmi r1, [r3], #2"
        "lsls r12, r2, #31"
        "it mi"
        "strbmi r1, [r3]"
        "bx lr";

    // Words that are alike are passed over, then bytes.
    "memcmp":
        "1:"
        "subs r2, #4"
        "blo 2f"
        "ldr r3, [r0], #4"
        "ldr r12, [r1], #4"
        "cmp r3, r12"
        "beq 1b"
        "subs r0, #4"
        "subs r1, #4"
        "2:"
        "adds r2, #4"
        "movs r3, #0"
        "3:"
        "subs r2, #1"
        "ittt hs"
        "ldrbhs r3, [r0], #1"
        "ldrbhs r12, [r1], #1"
        "subshs r3, r3, r12"
        "beq 3b"
        "mov r0, r3"
        "bx lr";

    "bcmp":
        "b memcmp";

    // An aligned word never reaches into another page than the byte of the string that it holds. What precedes the string
    // is made to be no zero.
    "strlen":
        "bic r1, r0, #3"
        "ldr r3, [r1], #4"
        "ands r2, r0, #3"
        "lsls r2, r2, #3"
        "mvn r12, #0"
        "lsl r12, r12, r2"
        "orn r3, r3, r12"
        "b 2f"
        "1:"
        "ldr r3, [r1], #4"
        "2:"
        "sub r2, r3, #0x01010101"
        "bic r2, r2, r3"
        "ands r2, r2, #0x80808080"
        "beq 1b"
        "rbit r2, r2"
        "clz r2, r2"
        "subs r0, r1, r0"
        "subs r0, #4"
        "add r0, r0, r2, lsr #3"
        "bx lr";
}
