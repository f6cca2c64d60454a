//! Ways out of the run: reboot in every form, signals to init, the watchdog, mounts. None reaches the host.
//!
//! MTDSHIM_REBOOT=exit (the default) reports the request and ends the run with status 88; MTDSHIM_REBOOT=ignore reports
//! it, and the call succeeds. Must not know: flash.

pub mod mounts;
pub mod run;
pub mod watchdog;

use crate::children::{self, Strings};
use crate::paths::is_among;
use crate::{files, sys, world};
use core::ffi::{CStr, c_char};
use mtd_abi::errno::Errno;
use run::{RUN_VARIABLE, Run};

const SETTING: &CStr = c"MTDSHIM_REBOOT";

fn ignores_reboot() -> bool {
    match world::environment(SETTING) {
        Some(value) => value == c"ignore",
        None => children::first_value(SETTING.to_bytes(), |value| value == Some(b"ignore")),
    }
}

/// Reports what was asked for; then the run ends, unless it is to go on.
fn request(what: &[u8]) {
    if ignores_reboot() {
        sys::report(&[what, b": ignored (MTDSHIM_REBOOT=ignore)"]);
        return;
    }
    sys::report(&[what, b": the run ends here with exit status 88"]);
    children::first_value(RUN_VARIABLE, Run::current).end()
}

/// `reboot(2)` by its command; what only sets a switch succeeds.
pub fn reboot(command: u32) -> Result<i32, Errno> {
    const CAD_ON: u32 = 0x89ab_cdef;
    const CAD_OFF: u32 = 0;
    let what: &[u8] = match command {
        CAD_ON | CAD_OFF => return Ok(0),
        0x0123_4567 => b"reboot",
        0xa1b2_c3d4 => b"reboot with an argument",
        0xcdef_0123 => b"halt",
        0x4321_fedc => b"power off",
        0x4558_4543 => b"reboot into another kernel",
        _ => return Err(Errno::EINVAL),
    };
    request(what);
    Ok(0)
}

/// The system call has two numbers to prove that it is meant.
pub fn syscall_reboot(words: &[usize; 6]) -> Result<i32, Errno> {
    const MAGIC_1: usize = 0xfee1_dead;
    const MAGICS_2: [usize; 4] = [0x2812_1969, 0x0512_1996, 0x1604_1998, 0x2011_2000];
    let [first, second, command, ..] = *words;
    if first != MAGIC_1 || !MAGICS_2.contains(&second) {
        return Err(Errno::EINVAL);
    }
    reboot(command as u32)
}

const INIT: i32 = 1;
const EVERYBODY: i32 = -1;
/// systemd takes SIGRTMIN+3 and the following for halt, power off, reboot, kexec, and +13 and the following for the same
/// at once. SIGRTMIN is 34 in glibc and 35 in musl.
const SYSTEMD_SIGNALS: [core::ops::RangeInclusive<i32>; 2] = [37..=41, 47..=51];

/// kill() of init and of everybody; None for all others.
///
/// busybox and sysvinit ask init for a reboot by a signal, and from an emulated root that would be the host's init.
pub fn kill(pid: i32, signal: i32) -> Option<Result<i32, Errno>> {
    if sys::getpid() == INIT as u32 {
        return None;
    }
    if pid == EVERYBODY {
        if signal != 0 {
            sys::report(&[b"kill(-1) would reach every process of the host: refused"]);
        }
        return Some(Err(Errno::EPERM));
    }
    if pid != INIT {
        return None;
    }
    let what: Option<&[u8]> = match signal {
        libc::SIGTERM | libc::SIGINT => Some(b"reboot (signal to init)"),
        libc::SIGUSR1 => Some(b"halt (signal to init)"),
        libc::SIGUSR2 => Some(b"power off (signal to init)"),
        other if SYSTEMD_SIGNALS.iter().any(|range| range.contains(&other)) => {
            Some(b"reboot (signal to systemd)")
        }
        _ => None,
    };
    if let Some(what) = what {
        request(what);
    }
    // init takes every other signal without a visible effect.
    Some(Ok(0))
}

/// Commands that do nothing but end the system.
const POWER_COMMANDS: &[u8] = b"reboot poweroff halt shutdown";
const POWER_VERBS: &[u8] = b"reboot poweroff halt kexec soft-reboot emergency rescue";
/// Arguments with which they do something else.
const HARMLESS: &[u8] = b"--help --version -w --wtmp-only -c -k";
const RUN_LEVELS: &[u8] = b"0 6";
const BOXES: &[u8] = b"busybox toybox";

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// Whether one of the arguments is a word of the list, or the systemd target of that name.
///
/// # Safety
/// `arguments` is an argument array of the guest.
#[inline(never)]
unsafe fn has_word(arguments: Strings, list: &[u8]) -> bool {
    // SAFETY: promised by the caller.
    let words = unsafe { children::strings(arguments) }.skip(1);
    let mut words = words.map(|word| {
        let word = word.to_bytes();
        word.strip_suffix(b".target").unwrap_or(word)
    });
    words.any(|word| is_among(list, word))
}

/// The name of a program that is started only to end the system. Such programs ask their service manager over a socket,
/// which would be the host's, so they are not even started.
///
/// # Safety
/// `arguments` is an argument array of the guest.
#[inline(never)]
pub unsafe fn power_command(path: &[u8], arguments: Strings) -> Option<&[u8]> {
    // SAFETY: promised by the caller.
    let mut words = unsafe { children::strings(arguments) }.map(CStr::to_bytes);
    let name = words.next().map_or(base_name(path), base_name);
    // SAFETY: promised by the caller.
    let has = |list: &[u8]| unsafe { has_word(arguments, list) };
    let command = match base_name(path) {
        file if !is_among(BOXES, file) => file,
        // An applet's name may be the first argument.
        _ if is_among(BOXES, name) => words.next().unwrap_or(b""),
        _ => name,
    };
    let ends = match command {
        b"systemctl" | b"loginctl" => has(POWER_VERBS),
        b"init" | b"telinit" => has(RUN_LEVELS),
        command => is_among(POWER_COMMANDS, command) && !has(HARMLESS),
    };
    ends.then_some(command)
}

/// A power command is taken as done where this returns.
pub fn request_power_command(name: &[u8]) {
    request(name);
}

/// Opens that are a way out; None for all others.
pub fn open(path: &[u8], flags: i32) -> Option<Result<i32, Errno>> {
    match path.get(..6)? {
        b"/dev/w" | b"/dev/m" if watchdog::is_own(path) => Some(watchdog::open(flags)),
        b"/proc/"
            if path == b"/proc/sysrq-trigger" && flags & libc::O_ACCMODE != libc::O_RDONLY =>
        {
            sys::report(&[b"/proc/sysrq-trigger is the host's: not opened"]);
            Some(Err(Errno::EPERM))
        }
        _ => None,
    }
}

/// # Safety
/// `text` is null or a C string.
unsafe fn bytes<'a>(text: *const c_char) -> &'a [u8] {
    // SAFETY: promised by the caller.
    unsafe { files::path_bytes(text) }.unwrap_or(&[])
}

/// mount(2).
///
/// # Safety
/// The arguments are null or C strings.
pub unsafe fn mount(
    source: *const c_char,
    target: *const c_char,
    kind: *const c_char,
) -> Option<Errno> {
    // SAFETY: promised by the caller.
    unsafe { mounts::refuse_mount(bytes(source), bytes(target), bytes(kind)) }
}

/// umount(2) and umount2(2).
///
/// # Safety
/// `target` is null or a C string.
pub unsafe fn umount(target: *const c_char) -> Option<Errno> {
    // SAFETY: promised by the caller.
    mounts::refuse_umount(unsafe { bytes(target) })
}

/// The calls of this module behind `syscall()`; None for every other number.
///
/// # Safety
/// `words` are the guest's arguments behind the number.
pub unsafe fn syscall(number: libc::c_long, words: &[usize; 6]) -> Option<Result<i32, Errno>> {
    let [a, b, c, ..] = *words;
    // SAFETY: promised by the caller.
    unsafe {
        match number {
            libc::SYS_reboot => Some(syscall_reboot(words)),
            libc::SYS_kill => kill(a as i32, b as i32),
            libc::SYS_mount => {
                mount(a as *const c_char, b as *const c_char, c as *const c_char).map(Err)
            }
            libc::SYS_umount2 => umount(a as *const c_char).map(Err),
            _ => None,
        }
    }
}
