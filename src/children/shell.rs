//! system, popen and pclose: libc's own start the host's shell by a call that no hook sees.
//!
//! Source: POSIX; `sh` is the guest root's.

use super::{Strings, environment, execute, exit_group, fork, launch};
use crate::late::AtomicFd;
use crate::process_lock::ProcessLock;
use crate::sys;
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering::Relaxed};
use libc::FILE;
use mtd_abi::errno::Errno;

/// `struct sigaction` of the kernel on ARM: handler, flags, restorer, mask.
type Action = [usize; 5];
const IGNORE: Action = [libc::SIG_IGN, 0, 0, 0, 0];

fn set_action(signal: i32, action: &Action) -> Action {
    let mut old: Action = [0; 5];
    let _ = sys::call!(
        libc::SYS_rt_sigaction,
        signal,
        action.as_ptr(),
        old.as_mut_ptr(),
        8
    );
    old
}

fn set_mask(how: i32, mask: &[u32; 2]) -> [u32; 2] {
    let mut old = [0; 2];
    let _ = sys::call!(
        libc::SYS_rt_sigprocmask,
        how,
        mask.as_ptr(),
        old.as_mut_ptr(),
        8
    );
    old
}

/// What a wait for one child gives: its status, or why there is none.
fn wait_for(pid: i32) -> Result<i32, Errno> {
    let mut status = 0i32;
    loop {
        match sys::checked(sys::call!(libc::SYS_wait4, pid, &raw mut status, 0, 0)) {
            Ok(_) => return Ok(status),
            Err(libc::EINTR) => {}
            Err(errno) => return Err(Errno(errno)),
        }
    }
}

/// In the child: never returns.
fn become_shell(command: *const c_char) -> ! {
    let arguments = [c"sh".as_ptr(), c"-c".as_ptr(), command, core::ptr::null()];
    // SAFETY: an array of C strings ended by null, and libc's own environment.
    let _ = unsafe { execute(super::SHELL.as_ptr(), arguments.as_ptr(), environment()) };
    const NOT_FOUND: i32 = 127;
    exit_group(NOT_FOUND)
}

/// system() in several threads at once: the first ignores the signals, the last restores them.
static RUNNING: AtomicU32 = AtomicU32::new(0);
static SAVED: [AtomicUsize; 10] = [const { AtomicUsize::new(0) }; 10];
const INTERRUPTS: [i32; 2] = [libc::SIGINT, libc::SIGQUIT];

fn saved_actions() -> [Action; 2] {
    let mut actions = [[0; 5]; 2];
    for (word, saved) in actions.iter_mut().flatten().zip(&SAVED) {
        *word = saved.load(Relaxed);
    }
    actions
}

fn restore_interrupts() {
    for (signal, action) in INTERRUPTS.iter().zip(saved_actions()) {
        set_action(*signal, &action);
    }
}

fn ignore_interrupts() {
    let _lock = ProcessLock::acquire();
    if RUNNING.fetch_add(1, Relaxed) == 0 {
        let old = INTERRUPTS.map(|signal| set_action(signal, &IGNORE));
        for (word, saved) in old.iter().flatten().zip(&SAVED) {
            saved.store(*word, Relaxed);
        }
    }
}

fn heed_interrupts() {
    let _lock = ProcessLock::acquire();
    if RUNNING.fetch_sub(1, Relaxed) == 1 {
        restore_interrupts();
    }
}

/// Whether the guest's root has a shell at all.
fn has_shell() -> bool {
    // SAFETY: empty arrays.
    let nothing: Strings = core::ptr::null();
    // SAFETY: null stands for an empty array.
    unsafe { launch::prepare(super::SHELL.to_bytes(), nothing, nothing) }.is_ok()
}

/// system().
///
/// # Safety
/// `command` is null or a C string.
pub unsafe fn system(command: *const c_char) -> Result<i32, Errno> {
    if command.is_null() {
        return Ok(has_shell().into());
    }
    ignore_interrupts();
    let child_signal = 1u32 << (libc::SIGCHLD - 1);
    let mask = set_mask(libc::SIG_BLOCK, &[child_signal, 0]);
    let result = match fork() {
        Ok(0) => {
            restore_interrupts();
            set_mask(libc::SIG_SETMASK, &mask);
            become_shell(command)
        }
        Ok(pid) => wait_for(pid),
        Err(errno) => Err(errno),
    };
    heed_interrupts();
    set_mask(libc::SIG_SETMASK, &mask);
    result
}

/// A stream of popen.
struct Pipe {
    stream: AtomicUsize,
    fd: AtomicFd,
    pid: AtomicI32,
}
const PIPES_MAX: usize = 64;
const RESERVED: usize = 1;
static PIPES: [Pipe; PIPES_MAX] = [const {
    Pipe {
        stream: AtomicUsize::new(0),
        fd: AtomicFd::none(),
        pid: AtomicI32::new(0),
    }
}; PIPES_MAX];

unsafe extern "C" {
    // The shim's own hooks, so that its list of streams stays right.
    fn fdopen(fd: i32, mode: *const c_char) -> *mut FILE;
    fn fclose(stream: *mut FILE) -> i32;
}

/// The direction of a popen mode, and whether the parent's end closes on exec.
fn parse_mode(mode: &[u8]) -> Option<(bool, bool)> {
    let reads = mode.contains(&b'r');
    let known = mode
        .iter()
        .all(|letter| matches!(letter, b'r' | b'w' | b'e'));
    (known && reads != mode.contains(&b'w')).then_some((reads, mode.contains(&b'e')))
}

/// popen().
///
/// # Safety
/// Both are C strings.
pub unsafe fn popen(command: *const c_char, mode: *const c_char) -> Result<*mut FILE, Errno> {
    // SAFETY: promised by the caller.
    let (reads, closes) =
        parse_mode(unsafe { CStr::from_ptr(mode) }.to_bytes()).ok_or(Errno::EINVAL)?;
    let free = |pipe: &&Pipe| {
        pipe.stream
            .compare_exchange(0, RESERVED, Relaxed, Relaxed)
            .is_ok()
    };
    let pipe = PIPES.iter().find(free).ok_or(Errno::EMFILE)?;
    let opened = open_pipe(pipe, command, reads, closes);
    if opened.is_err() {
        pipe.stream.store(0, Relaxed);
    }
    opened
}

fn open_pipe(
    pipe: &Pipe,
    command: *const c_char,
    reads: bool,
    closes: bool,
) -> Result<*mut FILE, Errno> {
    let mut ends = [0i32; 2];
    sys::checked(sys::call!(
        libc::SYS_pipe2,
        ends.as_mut_ptr(),
        libc::O_CLOEXEC
    ))
    .map_err(Errno)?;
    let [read_end, write_end] = ends;
    for fd in ends {
        crate::descriptors::enter_foreign(fd);
    }
    let (own, childs, target) = if reads {
        (read_end, write_end, 1)
    } else {
        (write_end, read_end, 0)
    };
    // SAFETY: an open descriptor and a mode of fopen.
    let stream = unsafe { fdopen(own, if reads { c"r" } else { c"w" }.as_ptr()) };
    let abandon = |errno| {
        sys::close(childs);
        if stream.is_null() {
            sys::close(own);
        } else {
            // SAFETY: made above, and known to nobody else.
            unsafe { fclose(stream) };
        }
        Err(errno)
    };
    if stream.is_null() {
        return abandon(Errno::ENOMEM);
    }
    match fork() {
        Ok(0) => become_pipe_end(command, childs, target),
        Ok(pid) => {
            sys::close(childs);
            if !closes {
                let _ = sys::fcntl(own, libc::F_SETFD, 0);
            }
            pipe.fd.set(own);
            pipe.pid.store(pid, Relaxed);
            pipe.stream.store(stream as usize, Relaxed);
            Ok(stream)
        }
        Err(errno) => abandon(errno),
    }
}

/// In the child: never returns.
fn become_pipe_end(command: *const c_char, end: i32, target: i32) -> ! {
    // Streams of earlier popen calls are closed in the new child.
    for pipe in PIPES
        .iter()
        .filter(|pipe| pipe.stream.load(Relaxed) > RESERVED)
    {
        let fd = pipe.fd.get();
        if fd != target && fd != end {
            sys::close(fd);
        }
    }
    if end == target {
        let _ = sys::fcntl(end, libc::F_SETFD, 0);
    } else {
        let _ = sys::call!(libc::SYS_dup3, end, target, 0);
    }
    become_shell(command)
}

/// pclose(); None if the stream is not one of ours.
///
/// # Safety
/// `stream` is a stream that is open.
pub unsafe fn pclose(stream: *mut FILE) -> Option<Result<i32, Errno>> {
    let pipe = PIPES
        .iter()
        .find(|pipe| stream as usize > RESERVED && pipe.stream.load(Relaxed) == stream as usize)?;
    let pid = pipe.pid.load(Relaxed);
    pipe.stream.store(0, Relaxed);
    // SAFETY: promised by the caller.
    unsafe { fclose(stream) };
    Some(wait_for(pid))
}
