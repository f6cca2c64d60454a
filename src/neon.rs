//! With NEON: what `flash::hamming_codes` computes, and what `flash::and_into` does.
//!
//! In assembly, because to QEMU the shape decides. NEON's registers are memory to it, those of the processor are registers of the
//! host's; and the host's processor waits when it reads as one what was just written as two halves. So NEON only loads, all
//! before the first is used, or works on halves; and no call is inside.

use crate::runtime::has_neon;
use core::arch::global_asm;

const STEP: usize = 256;
const CODE: usize = 3;

/// Bytes that are ANDed at once.
const LINE: usize = 64;

unsafe extern "C" {
    fn mtdshim_hamming(data: *const u8, codes: *mut u8, pages: usize, steps: usize, gap: usize);
    fn mtdshim_and(new: *mut u8, old: *const u8, lines: usize);
}

/// For `flash::Medium::and`.
pub fn and(new: &mut [u8], old: &[u8]) {
    let lines = if has_neon() {
        new.len().min(old.len()) / LINE
    } else {
        0
    };
    if lines > 0 {
        // SAFETY: both are as long as that many lines.
        unsafe { mtdshim_and(new.as_mut_ptr(), old.as_ptr(), lines) };
    }
    if let (Some(new), Some(old)) = (new.get_mut(lines * LINE..), old.get(lines * LINE..)) {
        flash::and_into(new, old);
    }
}

/// For `flash::Code::quicken`, once NEON is known to be there.
pub fn hamming_codes(data: &[u8], codes: &mut [u8], page: usize, gap: usize) {
    let (pages, steps) = (data.len() >> (page.trailing_zeros() & 31), page / STEP);
    let page_codes = steps * CODE;
    if steps == 0 || pages == 0 || (pages - 1) * (page_codes + gap) + page_codes > codes.len() {
        return flash::hamming_codes(data, codes, page, gap);
    }
    // SAFETY: the data is that many pages, and so many codes have room.
    unsafe { mtdshim_hamming(data.as_ptr(), codes.as_mut_ptr(), pages, steps, gap) };
}

global_asm!(
    ".pushsection .text.mtdshim_hamming, \"ax\", %progbits",
    ".fpu neon",
    ".syntax unified",
    ".thumb",
    // The words of 16 bytes: all of them to one; to r2 those that the bit 2 of the address is set of, to r3 the bit 3.
    ".macro words to, low, high",
    "vmov \\to, r11, \\low",
    "vmov r12, lr, \\high",
    "eor \\to, \\to, r12",
    "eor r12, r12, lr",
    "eor r3, r3, r12",
    "eor r11, r11, lr",
    "eor r2, r2, r11",
    "eor \\to, \\to, r11",
    ".endm",
    // To r4, r5 and r6 what the bits 4, 5 and 6 are set of.
    ".macro pair to, a, b, c, d",
    "words \\to, \\a, \\b",
    "words r10, \\c, \\d",
    "eor r4, r4, r10",
    "eor \\to, \\to, r10",
    ".endm",
    ".macro four to, a, b, c, d, e, f, g, h",
    "pair \\to, \\a, \\b, \\c, \\d",
    "pair r9, \\e, \\f, \\g, \\h",
    "eor r5, r5, r9",
    "eor \\to, \\to, r9",
    ".endm",
    ".macro add_upper",
    "eor r6, r6, r8",
    "eor r7, r7, r8",
    ".endm",
    // Two words of two halves each: the parities of `a` are those of the lower half of the sum, those of `b` of the upper.
    ".macro halves to, a, b",
    "pkhbt r11, \\a, \\b",
    "pkhbt \\b, \\b, \\a",
    "eor \\to, r11, \\b, ror #16",
    ".endm",
    // The same of smaller fields, side by side; the masks are of the lower and the upper half of each.
    ".macro fields a, b, shift, lower, upper",
    "eor \\a, \\a, \\a, lsr #\\shift",
    "eor \\b, \\b, \\b, lsl #\\shift",
    "and \\a, \\a, #\\lower",
    "and \\b, \\b, #\\upper",
    "orr \\a, \\a, \\b",
    ".endm",
    ".balign 4",
    ".hidden mtdshim_hamming",
    ".globl mtdshim_hamming",
    ".type mtdshim_hamming, %function",
    ".thumb_func",
    "mtdshim_hamming:",
    // The place of r1 is the count of steps.
    "push {{r1-r11, lr}}",
    "vpush {{d8-d15}}",
    "0:",
    "ldr r3, [sp, #72]",
    "1:",
    "str r3, [sp, #64]",
    "vld1.64 {{d0-d3}}, [r0]!",
    "vld1.64 {{d4-d7}}, [r0]!",
    "vld1.64 {{d8-d11}}, [r0]!",
    "vld1.64 {{d12-d15}}, [r0]!",
    "vld1.64 {{d16-d19}}, [r0]!",
    "vld1.64 {{d20-d23}}, [r0]!",
    "vld1.64 {{d24-d27}}, [r0]!",
    "vld1.64 {{d28-d31}}, [r0]!",
    "movs r2, #0",
    "movs r3, #0",
    "movs r4, #0",
    "movs r5, #0",
    "movs r6, #0",
    "four r7, d0, d1, d2, d3, d4, d5, d6, d7",
    "four r8, d8, d9, d10, d11, d12, d13, d14, d15",
    "add_upper",
    "vmov s0, r7",
    "four r7, d16, d17, d18, d19, d20, d21, d22, d23",
    "four r8, d24, d25, d26, d27, d28, d29, d30, d31",
    "add_upper",
    // The bit 7 is set of the upper 128 bytes.
    "vmov r10, s0",
    "eor r10, r10, r7",
    "halves r4, r4, r5",
    "halves r6, r6, r7",
    "halves r8, r2, r3",
    // All data as one byte, four times; the bit 1 is of the upper half of their word, the bit 0 of the upper bytes.
    "eor r9, r10, r10, ror #16",
    "and r11, r9, #0xff00",
    "pkhbt r5, r11, r10",
    "eor r9, r9, r9, ror #8",
    "fields r4, r5, 8, 0x00ff00ff, 0xff00ff00",
    "fields r6, r8, 8, 0x00ff00ff, 0xff00ff00",
    "fields r4, r6, 4, 0x0f0f0f0f, 0xf0f0f0f0",
    "eor r4, r4, r4, lsr #2",
    "eor r4, r4, r4, lsr #1",
    "and r4, r4, #0x11111111",
    // The parity of bit k is now at bit 2k (k + 4 of the address, for it comes first in the code).
    "orr r4, r4, r4, lsr #14",
    "uxth r4, r4",
    // Of all data and of the columns 0, 1, 2, the last at the bits 18, 20 and 22.
    "movw r10, #0xaaff",
    "movt r10, #0xf0cc",
    "and r9, r9, r10",
    "eor r9, r9, r9, lsr #4",
    "eor r9, r9, r9, lsr #2",
    "eor r9, r9, r9, lsr #1",
    "and r9, r9, #0x01010101",
    "movw r11, #0x1041",
    "mul r5, r9, r11",
    "and r5, r5, #0x1500000",
    "orr r4, r4, r5, lsr #2",
    // Of each bit also the parity where it is 0, which is that of all data without it; all inverted.
    "orr r4, r4, r4, lsl #1",
    // That is by XOR with the inverse of 0x545555 or of 0.
    "movw r10, #0xaaab",
    "movt r10, #0xffab",
    "and r9, r9, #1",
    "mul r9, r9, r10",
    "sub r9, r9, #1",
    "eor r4, r4, r9",
    "strh r4, [r1], #2",
    "lsr r4, r4, #16",
    "strb r4, [r1], #1",
    "ldr r3, [sp, #64]",
    // One instruction would set twice as many flags.
    "sub r3, r3, #1",
    "tst r3, r3",
    "bne 1b",
    "ldr r3, [sp, #112]",
    "add r1, r1, r3",
    "ldr r2, [sp, #68]",
    "subs r2, r2, #1",
    "str r2, [sp, #68]",
    "bne 0b",
    "vpop {{d8-d15}}",
    "pop {{r1-r11, pc}}",
    ".hidden mtdshim_and",
    ".globl mtdshim_and",
    ".type mtdshim_and, %function",
    ".thumb_func",
    "mtdshim_and:",
    "3:",
    ".rept 2",
    "vld1.64 {{d16-d19}}, [r1]!",
    "vld1.64 {{d20-d23}}, [r0]",
    "vand d16, d16, d20",
    "vand d17, d17, d21",
    "vand d18, d18, d22",
    "vand d19, d19, d23",
    "vst1.64 {{d16-d19}}, [r0]!",
    ".endr",
    "subs r2, #1",
    "bne 3b",
    "bx lr",
    ".irp name, words, pair, four, add_upper, halves, fields",
    ".purgem \\name",
    ".endr",
    ".popsection",
);
