//! A processor older than ARMv7 (`qemu-arm -cpu arm926`) cannot run this library, which is Thumb-2 code: its first hook would
//! be an illegal instruction that explains nothing. So the first code that runs here says it, and ends the process.
//!
//! Else it goes on to `begin::at_load`. It keeps to ARMv4T, and asks uname, whose answer names the architecture on every kernel and emulator.

use core::arch::global_asm;

/// What a shell answers for a program that cannot be executed.
const STATUS: i32 = 126;

macro_rules! text {
    () => {
        "mtdshim: this processor is older than ARMv7, which libmtdshim.so needs; leave out -cpu (QEMU_CPU), or name cortex-a7\\n"
    };
}

global_asm!(
    ".pushsection .text.mtdshim_check_processor, \"ax\", %progbits",
    ".arm",
    ".balign 4",
    ".hidden mtdshim_check_processor",
    ".globl mtdshim_check_processor",
    ".type mtdshim_check_processor, %function",
    "mtdshim_check_processor:",
    "stmdb sp!, {{r0, r7, lr}}",
    "sub sp, sp, #{utsname}",
    "mov r0, sp",
    "mov r7, #{uname}",
    "svc #0",
    "ldrb r3, [sp, #{letter}]",
    "ldrb ip, [sp, #{digit}]",
    "add sp, sp, #{utsname}",
    "ldmia sp!, {{r0, r7, lr}}",
    // armv6l, armv7l, armv8l; a kernel of 64 bits that does not hide it says aarch64.
    "cmp r3, #'v'",
    "movne ip, #'7'",
    "cmp ip, #'7'",
    "adr ip, 2f",
    "ldr r3, [ip]",
    "add r3, r3, ip",
    // With what the loader gave.
    "bxhs r3",
    "mov r0, #2",
    "adr r1, 1f",
    "mov r2, #{length}",
    "mov r7, #{write}",
    "svc #0",
    "mov r0, #{status}",
    "mov r7, #{exit_group}",
    "svc #0",
    "2: .word {at_load} - 2b",
    "1:",
    concat!(".ascii \"", text!(), "\""),
    ".popsection",
    utsname = const 6 * 65 + 2,
    letter = const 4 * 65 + 3,
    digit = const 4 * 65 + 4,
    uname = const libc::SYS_uname,
    write = const libc::SYS_write,
    exit_group = const libc::SYS_exit_group,
    at_load = sym crate::begin::at_load,
    status = const STATUS,
    length = const text!().len() - 1, // \\n is one byte
);

unsafe extern "C" {
    fn mtdshim_check_processor();
}

#[used]
#[unsafe(link_section = ".init_array")]
static AT_FIRST: unsafe extern "C" fn() = mtdshim_check_processor;
