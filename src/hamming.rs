//! Software Hamming with NEON: what `flash::hamming_codes` computes, four steps at a time.
//!
//! In assembly, because to QEMU the shape decides: all registers are loaded before one is used (it loads halves of a
//! register, and the host's processor waits when it reads as one what was just written as two), and there is no call inside.

use core::arch::global_asm;

const STEP: usize = 256;
const CODE: usize = 3;
const AT_ONCE: usize = 4;

unsafe extern "C" {
    fn mtdshim_hamming(data: *const u8, codes: *mut u8, fours: usize);
}

/// For `flash::Code::quicken`, once NEON is known to be there.
pub fn codes(data: &[u8], codes: &mut [u8]) {
    let fours = data.len() / (AT_ONCE * STEP);
    let data_rest = data.get(fours * AT_ONCE * STEP..);
    if fours > 0 && codes.len() >= fours * AT_ONCE * CODE {
        // SAFETY: both are as long as that many steps.
        unsafe { mtdshim_hamming(data.as_ptr(), codes.as_mut_ptr(), fours) };
    }
    if let (Some(data @ [_, ..]), Some(codes)) =
        (data_rest, codes.get_mut(fours * AT_ONCE * CODE..))
    {
        flash::hamming_codes(data, codes);
    }
}

global_asm!(
    ".pushsection .text.mtdshim_hamming, \"ax\", %progbits",
    ".fpu neon",
    ".syntax unified",
    ".thumb",
    ".balign 4",
    ".hidden mtdshim_hamming",
    ".globl mtdshim_hamming",
    ".type mtdshim_hamming, %function",
    ".thumb_func",
    "mtdshim_hamming:",
    "push {{r4, r5, r6, lr}}",
    "vpush {{d8-d15}}",
    "sub sp, #128",
    "1:",
    "mov r3, sp",
    "add r12, sp, #64",
    "movs r4, #4",
    // One step. XOR of the registers whose number has a bit set: in pairs, sums in the even registers, odd ones beside them.
    "2:",
    "vldmia r0!, {{d0-d15}}",
    "vldmia r0!, {{d16-d31}}",
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
    "veor q1, q1, q5",
    "veor q9, q9, q13",
    "veor q1, q1, q9",
    // In fours, and in eights.
    "veor q0, q0, q2",
    "veor q4, q4, q6",
    "veor q8, q8, q10",
    "veor q12, q12, q14",
    "veor q2, q2, q6",
    "veor q10, q10, q14",
    "veor q2, q2, q10",
    "veor q0, q0, q4",
    "veor q8, q8, q12",
    "veor q4, q4, q12",
    "veor q0, q0, q8",
    // Folded to a word each: the address bits 4 and 5, 6 and 7, 3 and all data, and 2 (the upper word of all).
    "veor d2, d2, d3",
    "veor d3, d4, d5",
    "veor d4, d8, d9",
    "veor d5, d16, d17",
    "vtrn.32 d2, d3",
    "veor d2, d2, d3",
    "vtrn.32 d4, d5",
    "veor d3, d4, d5",
    "vst1.32 {{d2, d3}}, [r3]!",
    "veor d0, d0, d1",
    "vtrn.32 d1, d0",
    "veor d1, d1, d0",
    "vst1.32 {{d0, d1}}, [r12]!",
    "subs r4, #1",
    "bne 2b",
    // Four steps side by side: q0 to q3 the bits 4 to 7, q5 bit 2, q6 bit 3, q7 all data.
    "mov r3, sp",
    "vld4.32 {{d0, d2, d4, d6}}, [r3]!",
    "vld4.32 {{d1, d3, d5, d7}}, [r3]!",
    "vld4.32 {{d8, d10, d12, d14}}, [r3]!",
    "vld4.32 {{d9, d11, d13, d15}}, [r3]",
    // Bits 0 and 1 (q4, q8) are of the bytes of all data.
    "vmov.i32 q14, #0xffff",
    "vmov.i16 q15, #0xff00",
    "vand q4, q7, q15",
    "vbic q8, q7, q14",
    // Their parities: each step halves the words and packs two into one; that of bit k ends at bit 4k.
    "vshr.u32 q9, q4, #16",
    "veor q4, q4, q9",
    "vshl.i32 q10, q0, #16",
    "veor q0, q0, q10",
    "vbif q4, q0, q14",
    "vshr.u32 q9, q5, #16",
    "veor q5, q5, q9",
    "vshl.i32 q10, q2, #16",
    "veor q2, q2, q10",
    "vbif q5, q2, q14",
    "vshr.u32 q9, q8, #16",
    "veor q8, q8, q9",
    "vshl.i32 q10, q1, #16",
    "veor q1, q1, q10",
    "vbif q8, q1, q14",
    "vshr.u32 q9, q6, #16",
    "veor q6, q6, q9",
    "vshl.i32 q10, q3, #16",
    "veor q3, q3, q10",
    "vbif q6, q3, q14",
    "vshr.u32 q9, q4, #8",
    "veor q4, q4, q9",
    "vshl.i32 q10, q5, #8",
    "veor q5, q5, q10",
    "vbit q4, q5, q15",
    "vshr.u32 q9, q8, #8",
    "veor q8, q8, q9",
    "vshl.i32 q10, q6, #8",
    "veor q6, q6, q10",
    "vbit q8, q6, q15",
    "vmov.i8 q15, #0x0f",
    "vshr.u32 q9, q4, #4",
    "veor q4, q4, q9",
    "vshl.i32 q10, q8, #4",
    "veor q8, q8, q10",
    "vbif q4, q8, q15",
    "vshr.u32 q9, q4, #2",
    "veor q4, q4, q9",
    "vshr.u32 q9, q4, #1",
    "veor q4, q4, q9",
    "vmov.i8 q15, #0x11",
    "vand q4, q4, q15",
    // And from there to bit 2k.
    "vshr.u32 q9, q4, #2",
    "vorr q4, q4, q9",
    "vmov.i8 q15, #0x05",
    "vand q4, q4, q15",
    "vshr.u32 q9, q4, #4",
    "vorr q4, q4, q9",
    "vmov.i16 q15, #0xff",
    "vand q4, q4, q15",
    "vshr.u32 q9, q4, #8",
    "vorr q4, q4, q9",
    // The column, a byte: its fold to four bits (q10), and the parities of bits 1 3 5 7 (q11, bit 1), 2 3 6 7 (q10, bit 2), 4 to 7 (q12, bit 4).
    "vshr.u32 q9, q7, #16",
    "veor q7, q7, q9",
    "vshr.u32 q9, q7, #8",
    "veor q7, q7, q9",
    "vshr.u32 q9, q7, #4",
    "veor q10, q7, q9",
    "vshr.u32 q9, q10, #2",
    "veor q11, q10, q9",
    "vshr.u32 q9, q10, #1",
    "veor q10, q10, q9",
    "vshr.u32 q9, q7, #1",
    "veor q12, q7, q9",
    "vshr.u32 q9, q12, #2",
    "veor q12, q12, q9",
    // All ones in q13 where the parity of all data is 1.
    "vshr.u32 q9, q11, #1",
    "veor q13, q11, q9",
    "vmov.i32 q15, #1",
    "vtst.32 q13, q13, q15",
    // To bits 26, 28 and 30.
    "vshl.i32 q11, q11, #25",
    "vshl.i32 q10, q10, #26",
    "vshl.i32 q12, q12, #26",
    "vmov.i8 q15, #0x10",
    "vbit q11, q10, q15",
    "vmov.i8 q15, #0x40",
    "vbit q11, q12, q15",
    "vmov.i8 q15, #0x54",
    "vand q11, q11, q15",
    "vbif q4, q11, q14",
    // Of each bit also the parity where it is 0, which is that of all data without it; all inverted.
    "vshl.i32 q9, q4, #1",
    "vorr q4, q4, q9",
    "vmov.i8 q15, #0x55",
    "vand q13, q13, q15",
    "veor q4, q4, q13",
    "vmvn q4, q4",
    "vorr.i32 q4, #0x3000000",
    "vrev16.8 q4, q4",
    "vmov r3, r4, d8",
    "vmov r5, r6, d9",
    // Three bytes of each.
    "str r3, [r1]",
    "str r4, [r1, #3]",
    "str r5, [r1, #6]",
    "strh r6, [r1, #9]",
    "lsrs r6, r6, #16",
    "strb r6, [r1, #11]",
    "adds r1, #12",
    "subs r2, #1",
    "bne 1b",
    "add sp, #128",
    "vpop {{d8-d15}}",
    "pop {{r4, r5, r6, pc}}",
    ".popsection",
);
