//! With NEON: what `flash::hamming_codes` computes, eight steps at a time, and what `flash::and_into` does.
//!
//! In assembly, because to QEMU the shape decides: it loads halves of a register, and the host's processor waits when it reads
//! as one what was just written as two. So all registers are loaded before one is used, or halves are used; no call is inside.
//! Eight, because each instruction waits for the one before it: in lanes of 16 bits the same ones do for twice the steps.

use crate::runtime::has_neon;
use core::arch::global_asm;

const STEP: usize = 256;
const CODE: usize = 3;
const AT_ONCE: usize = 8;

/// Bytes that are ANDed at once.
const LINE: usize = 64;

unsafe extern "C" {
    fn mtdshim_hamming(data: *const u8, codes: *mut u8, pages: usize, eights: usize, gap: usize);
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
    let (pages, eights) = (
        data.len() >> (page.trailing_zeros() & 31),
        page / (AT_ONCE * STEP),
    );
    let page_codes = eights * AT_ONCE * CODE;
    if eights == 0 || pages == 0 || (pages - 1) * (page_codes + gap) + page_codes > codes.len() {
        return flash::hamming_codes(data, codes, page, gap);
    }
    // SAFETY: the data is that many pages, and so many codes have room.
    unsafe { mtdshim_hamming(data.as_ptr(), codes.as_mut_ptr(), pages, eights, gap) };
}

global_asm!(
    ".pushsection .text.mtdshim_hamming, \"ax\", %progbits",
    ".fpu neon",
    ".syntax unified",
    ".thumb",
    ".macro fold lane, shift, low, high, temp",
    "vmov \\temp, \\low",
    "vsli.\\lane \\low, \\high, #\\shift",
    "vsri.\\lane \\high, \\temp, #\\shift",
    "veor \\low, \\low, \\high",
    ".endm",
    ".macro four a, b, c, d",
    "fold 64, 32, \\a, \\b, q15",
    "fold 64, 32, \\c, \\d, q15",
    "fold 32, 16, \\a, \\c, q15",
    ".endm",
    ".balign 4",
    ".hidden mtdshim_hamming",
    ".globl mtdshim_hamming",
    ".type mtdshim_hamming, %function",
    ".thumb_func",
    "mtdshim_hamming:",
    "push {{r3-r11, lr}}",
    "vpush {{d8-d15}}",
    "sub sp, sp, #384",
    "mov r11, r3",
    "ldr lr, [sp, #488]",
    "0:",
    "mov r12, r11",
    "1:",
    // Eight steps, one after the other.
    "movs r4, #0",
    "2:",
    "vld1.64 {{d0-d3}}, [r0]!",
    "vld1.64 {{d4-d7}}, [r0]!",
    "vld1.64 {{d8-d11}}, [r0]!",
    "vld1.64 {{d12-d15}}, [r0]!",
    "vld1.64 {{d16-d19}}, [r0]!",
    "vld1.64 {{d20-d23}}, [r0]!",
    "vld1.64 {{d24-d27}}, [r0]!",
    "vld1.64 {{d28-d31}}, [r0]!",
    "add r3, sp, r4, lsl #3",
    // XOR of the registers whose number has a bit set: sums in pairs, eights and eights, odd ones beside them.
    "veor q0, q0, q1",
    "veor q2, q2, q3",
    "veor q4, q4, q5",
    "veor q6, q6, q7",
    "veor q8, q8, q9",
    "veor q10, q10, q11",
    "veor q12, q12, q13",
    "veor q14, q14, q15",
    "veor q1, q1, q3",
    "veor q5, q5, q7",
    "veor q9, q9, q11",
    "veor q13, q13, q15",
    "veor q0, q0, q2",
    "veor q4, q4, q6",
    "veor q8, q8, q10",
    "veor q12, q12, q14",
    "veor q2, q2, q6",
    "veor q10, q10, q14",
    "veor q1, q1, q5",
    "veor q9, q9, q13",
    "veor q3, q4, q12",
    "veor q0, q0, q4",
    "veor q8, q8, q12",
    "veor q2, q2, q10",
    "veor q1, q1, q9",
    "veor q0, q0, q8",
    // Folded to 64 bits each: the address bits 4 to 7, 3 (the upper half of all), and all data.
    "veor d2, d2, d3",
    "veor d4, d4, d5",
    "veor d6, d6, d7",
    "veor d16, d16, d17",
    "veor d0, d0, d1",
    "vstr d2, [r3]",
    "vstr d4, [r3, #64]",
    "vstr d6, [r3, #128]",
    "vstr d16, [r3, #192]",
    "vstr d1, [r3, #256]",
    "vstr d0, [r3, #320]",
    "adds r4, r4, #1",
    "cmp r4, #8",
    "bne 2b",
    // Now the eight steps side by side, in lanes of 16 bits: each fold halves the bits and packs two registers into one.
    "mov r3, sp",
    "vld1.64 {{d0-d3}}, [r3]!",
    "vld1.64 {{d4-d7}}, [r3]!",
    "vld1.64 {{d8-d11}}, [r3]!",
    "vld1.64 {{d12-d15}}, [r3]!",
    "vld1.64 {{d16-d19}}, [r3]!",
    "vld1.64 {{d20-d23}}, [r3]!",
    "four q0, q1, q2, q3",
    "vld1.64 {{d24-d27}}, [r3]!",
    "vld1.64 {{d4-d7}}, [r3]!",
    "four q4, q5, q6, q7",
    "four q8, q9, q10, q11",
    "vld1.64 {{d10-d13}}, [r3]!",
    "vld1.64 {{d18-d21}}, [r3]!",
    "four q12, q13, q2, q3",
    "vld1.64 {{d2-d5}}, [r3]!",
    "vld1.64 {{d26-d29}}, [r3]",
    "four q5, q6, q9, q10",
    // All data: what a fold leaves in its second register is of the upper halves, here the bits 2 (q2) and 1 (q13).
    "fold 64, 32, q1, q2, q15",
    "fold 64, 32, q13, q14, q15",
    "fold 32, 16, q2, q14, q15",
    "fold 32, 16, q1, q13, q15",
    // Bit 0 is of the upper bytes.
    "vshr.u16 q3, q1, #8",
    // The columns (q1): all data as one byte, twice.
    "vmov q6, q3",
    "vsli.16 q6, q1, #8",
    "veor q1, q1, q6",
    // The bits 4 with 0 to 7 with 3, a byte each; and the columns 0, 1, 2 and all of them, a nibble each in the end.
    "fold 16, 8, q0, q3, q15",
    "fold 16, 8, q4, q13, q9",
    "movw r5, #0xccaa",
    "vdup.16 q7, r5",
    "vmvn.i16 q11, #0x0f",
    "vand q7, q1, q7",
    "vand q1, q1, q11",
    "fold 16, 8, q8, q2, q15",
    "fold 16, 8, q12, q5, q9",
    "fold 8, 4, q7, q1, q11",
    "fold 8, 4, q0, q8, q15",
    "fold 8, 4, q4, q12, q9",
    // The parity of bit k ends at bit 2k (k + 4 of the address, for it comes first in the code), of the columns 0, 2, 1 and all at bits 0, 4, 8 and 12.
    "vshr.u16 q11, q7, #2",
    "vmov.i8 q14, #0x33",
    "vshr.u16 q1, q0, #2",
    "vshl.i16 q2, q4, #2",
    "veor q7, q7, q11",
    "veor q0, q0, q1",
    "veor q4, q4, q2",
    "vshr.u16 q11, q7, #1",
    "vbif q0, q4, q14",
    "veor q7, q7, q11",
    "vshr.u16 q1, q0, #1",
    "vshl.i16 q2, q7, #2",
    "vshr.u16 q3, q7, #4",
    "vshl.i16 q8, q7, #3",
    "veor q0, q0, q1",
    "vmov.i8 q14, #0x55",
    "vmov.i16 q5, #0x44",
    "vmov.i16 q6, #0x10",
    // All ones where the parity of all data is 1.
    "vshr.s16 q8, q8, #15",
    "vand q0, q0, q14",
    "vand q2, q2, q5",
    "vand q3, q3, q6",
    "vmov.i16 q9, #0x54",
    // Of each bit also the parity where it is 0, which is that of all data without it; all inverted.
    "vorr q2, q2, q3",
    "vshl.i16 q1, q0, #1",
    "vshl.i16 q3, q2, #1",
    "vand q14, q8, q14",
    "vand q9, q8, q9",
    "vorr q0, q0, q1",
    "vorr q2, q2, q3",
    "veor q0, q0, q14",
    "veor q2, q2, q9",
    "vmvn q0, q0",
    "vmvn q2, q2",
    // Three bytes of each: of the even steps in q0, of the odd ones in q2.
    "vmov q1, q0",
    "vsli.32 q0, q2, #16",
    "vsri.32 q2, q1, #16",
    "vmov r3, r4, d0",
    "vmov r5, r6, d1",
    "vmov r7, r8, d4",
    "vmov r9, r10, d5",
    "str r3, [r1]",
    "str r5, [r1, #3]",
    "str r4, [r1, #6]",
    "str r6, [r1, #9]",
    "str r7, [r1, #12]",
    "str r9, [r1, #15]",
    "str r8, [r1, #18]",
    "strh r10, [r1, #21]",
    "lsrs r10, r10, #16",
    "strb r10, [r1, #23]",
    "adds r1, r1, #24",
    "subs r12, r12, #1",
    "bne 1b",
    "add r1, lr",
    "subs r2, r2, #1",
    "bne 0b",
    "add sp, sp, #384",
    "vpop {{d8-d15}}",
    "pop {{r3-r11, pc}}",
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
    ".purgem fold",
    ".purgem four",
    ".popsection",
);
