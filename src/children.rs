//! Programs that the guest starts: each runs under the same emulator, with the same root and options, and with this
//! library; never on the host.
//!
//! Without binfmt_misc the system cannot run the guest's programs, and what it can run (`/bin/sh`) is the host's. So
//! every exec is turned into an exec of the emulator. Must not know: flash. Runs in forked children of programs with
//! threads: no allocation, no locks.

// Names travel by value in results: there is no heap behind a fork.
#![allow(clippy::result_large_err, clippy::large_enum_variant)]

pub mod actions;
mod arena;
mod emulator;
mod launch;
pub mod lookup;
mod program;
pub mod shell;

pub use arena::{Strings, strings};

use crate::paths::{PATH_MAX, Room};
use crate::{files, paths, runtime, sys, ways_out, world};
use arena::Arena;
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use emulator::Emulator;
use launch::{Launch, Refusal};
use mtd_abi::errno::Errno;

const SHELL: &CStr = c"/bin/sh";
/// Where execvp looks when there is no PATH.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// How often this process has forked, as far as it matters.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// The fork before which the way to exec is rehearsed: who forks twice forks often.
const REHEARSED_FORK: u32 = 1;

/// The file name of the launch that the real posix_spawn was last given.
static SPAWNED: AtomicUsize = AtomicUsize::new(0);

/// The environment of this process, as libc's functions without an argument for it pass it on.
pub fn environment() -> Strings {
    static ADDRESS: AtomicUsize = AtomicUsize::new(0);
    let mut address = ADDRESS.load(Relaxed);
    if address == 0 {
        let symbol =
            runtime::global_symbol(c"__environ").or_else(|| runtime::global_symbol(c"environ"));
        let Some(found) = symbol else {
            return core::ptr::null();
        };
        ADDRESS.store(found, Relaxed);
        address = found;
    }
    // SAFETY: libc's variable of this name holds the array; the program's copy of it comes first in the search.
    unsafe { *(address as *const Strings) }
}

/// Walks the way to exec once, to a door that is none. A child inherits what the emulator has translated, and would else
/// translate some 700 basic blocks anew before its exec, three milliseconds of each command in a script.
pub fn rehearse() {
    let forks = FORKS.load(Relaxed);
    if forks > REHEARSED_FORK {
        return;
    }
    FORKS.store(forks + 1, Relaxed);
    if forks == REHEARSED_FORK {
        // One to spare: children take it.
        drop(Arena::new(0));
        let (mut buffer, mut room) = ([0; PATH_MAX], Room::new());
        let program = sys::readlink(c"/proc/self/exe", &mut buffer).ok();
        let [argument, _] = &REHEARSAL;
        argument.store(SHELL.as_ptr() as usize, Relaxed);
        if let Some(program) = program.and_then(|name| room.put(&[name])) {
            // SAFETY: a C string, an array of one, and libc's environment.
            unsafe {
                execute(
                    program.c_str().as_ptr(),
                    REHEARSAL.as_ptr().cast(),
                    environment(),
                )
            };
        }
    }
}

/// The arguments of an exec that is only rehearsed, told by where they lie.
static REHEARSAL: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

fn is_rehearsal(arguments: Strings) -> bool {
    core::ptr::eq(arguments.cast(), REHEARSAL.as_ptr())
}

/// # Safety
/// `path` is null or a C string; the arrays are as execve takes them.
unsafe fn prepare(
    path: *const c_char,
    arguments: Strings,
    environment: Strings,
) -> Result<Launch, Refusal> {
    // SAFETY: promised by the caller.
    let path = match unsafe { files::path_bytes(path) } {
        Some(path) => path,
        None if files::is_empty(path) => return Err(Errno::ENOENT.into()),
        // SAFETY: as above.
        None if unsafe { crate::readable::string(path, usize::MAX) }.is_some() => {
            return Err(Errno::ENAMETOOLONG.into());
        }
        None => return Err(Errno::EFAULT.into()),
    };
    // SAFETY: promised by the caller.
    unsafe {
        world::before_fork();
        let mut launch = launch::prepare(path, arguments, environment)?;
        if let Some(command) = ways_out::power_command(path, arguments) {
            launch.answered = !is_rehearsal(arguments) && answer(command);
        }
        Ok(launch)
    }
}

#[cold]
#[inline(never)]
fn answer(command: &[u8]) -> bool {
    ways_out::request_power_command(command);
    true
}

fn start(launch: &Launch) -> Errno {
    world::before_fork();
    if launch.answered {
        // What the command would have said.
        exit_group(0);
    }
    let answer = sys::call!(
        libc::SYS_execve,
        launch.file,
        launch.arguments,
        launch.environment
    );
    Errno(sys::checked(answer).err().unwrap_or(libc::ENOEXEC))
}

/// Ends the process at once.
pub fn exit_group(status: i32) -> ! {
    loop {
        let _ = sys::call!(libc::SYS_exit_group, status);
    }
}

/// fork without libc's handlers: the child only makes system calls.
fn fork() -> Result<i32, Errno> {
    world::before_fork();
    sys::checked(sys::call!(libc::SYS_fork))
        .map(|pid| pid as i32)
        .map_err(Errno)
}

/// A variable of the environment that this program was started with, whatever has become of it since.
pub fn first_value<R>(name: &[u8], body: impl FnOnce(Option<&[u8]>) -> R) -> R {
    body(Emulator::current().and_then(|emulator| emulator.first_value(name)))
}

/// Whether a file of NUL-terminated entries holds this one.
pub fn file_has_entry(path: &CStr, entry: &[u8]) -> bool {
    let Ok(mut arena) = Arena::new(emulator::SIZE_MAX) else {
        return false;
    };
    let text = arena.file(path, emulator::SIZE_MAX).unwrap_or(&[]);
    text.split(|&byte| byte == 0).any(|own| own == entry)
}

/// execve. Returns only if it failed.
///
/// # Safety
/// The arguments are a guest's for execve.
pub unsafe fn execute(path: *const c_char, arguments: Strings, environment: Strings) -> Errno {
    if path as usize == SPAWNED.load(Relaxed) && !path.is_null() {
        // uClibc's posix_spawn comes back here, with what is already prepared.
        world::before_fork();
        let answer = sys::call!(libc::SYS_execve, path, arguments, environment);
        return Errno(sys::checked(answer).err().unwrap_or(libc::ENOEXEC));
    }
    // SAFETY: promised by the caller.
    let prepared = unsafe { prepare(path, arguments, environment) };
    go(prepared, is_rehearsal(arguments))
}

/// Through the door, if it is open. A rehearsal comes by the same basic blocks, to a file that has no name.
#[inline(never)]
fn go(prepared: Result<Launch, Refusal>, is_rehearsal: bool) -> Errno {
    match prepared {
        Ok(mut launch) => {
            let kept = usize::from(is_rehearsal).wrapping_sub(1);
            launch.file = launch.file.map_addr(|address| address & kept);
            start(&launch)
        }
        Err(refusal) => {
            if !is_rehearsal {
                refusal.report();
            }
            refusal.errno
        }
    }
}

/// execvpe: a name without a slash is looked for in PATH, and a file that is no program is given to the shell.
///
/// # Safety
/// As for `execute`.
pub unsafe fn execute_in_path(
    file: *const c_char,
    arguments: Strings,
    environment: Strings,
) -> Errno {
    // SAFETY: promised by the caller.
    go(unsafe { search(file, arguments, environment) }, false)
}

/// Prepares the first program of that name that can be started.
///
/// # Safety
/// As for `execute`.
unsafe fn search(
    file: *const c_char,
    arguments: Strings,
    environment: Strings,
) -> Result<Launch, Refusal> {
    // SAFETY: promised by the caller.
    let Some(name) = (unsafe { files::path_bytes(file) }) else {
        return Err(Errno::ENOENT.into());
    };
    if name.contains(&b'/') {
        // SAFETY: promised by the caller.
        return unsafe { or_script(file, arguments, environment) };
    }
    let mut worst = Refusal::from(Errno::ENOENT);
    let path = world::environment(c"PATH").map_or(DEFAULT_PATH, CStr::to_bytes);
    for directory in path.split(|&byte| byte == b':') {
        let separator: &[u8] = if directory.is_empty() { b"" } else { b"/" };
        let mut candidate = Room::new();
        let Some(candidate) = candidate.put(&[directory, separator, name]) else {
            continue;
        };
        // SAFETY: promised by the caller.
        match unsafe { or_script(candidate.c_str().as_ptr(), arguments, environment) } {
            Err(refusal) if matches!(refusal.errno, Errno::ENOENT | Errno::ENOTDIR) => {
                if worst.errno == Errno::ENOENT && worst.host.is_none() {
                    worst.host = refusal.host;
                    worst.root_given = refusal.root_given;
                }
            }
            Err(refusal) if refusal.errno == Errno::EACCES => worst = refusal,
            other => return other,
        }
    }
    Err(worst)
}

/// What execvp does with ENOEXEC: the file is a script for /bin/sh.
///
/// # Safety
/// As for `execute`.
unsafe fn or_script(
    path: *const c_char,
    arguments: Strings,
    environment: Strings,
) -> Result<Launch, Refusal> {
    // SAFETY: promised by the caller.
    unsafe {
        match prepare(path, arguments, environment) {
            Err(refusal) if refusal.errno == Errno::ENOEXEC && refusal.host.is_none() => {
                let count = strings(arguments).count();
                let mut arena = Arena::new((count + 4) * size_of::<usize>() + PATH_MAX)?;
                let mut words = arena.words(count + 3)?;
                words.push(SHELL.as_ptr())?;
                words.push(arena.string(&[CStr::from_ptr(path).to_bytes()])?)?;
                for word in strings(arguments).skip(1) {
                    words.push(word.as_ptr())?;
                }
                let mut launch = prepare(SHELL.as_ptr(), words.pointer(), environment)?;
                launch.more = Some(arena);
                Ok(launch)
            }
            other => other,
        }
    }
}

/// execveat and fexecve.
///
/// # Safety
/// As for `execute`.
pub unsafe fn execute_at(
    directory: i32,
    path: *const c_char,
    arguments: Strings,
    environment: Strings,
    flags: i32,
) -> Errno {
    let name = if path.is_null() {
        &[][..]
    } else {
        // SAFETY: promised by the caller.
        unsafe { CStr::from_ptr(path) }.to_bytes()
    };
    let from_descriptor = name.is_empty() && flags & libc::AT_EMPTY_PATH != 0;
    if name.first() == Some(&b'/') || (directory == sys::AT_FDCWD && !from_descriptor) {
        // SAFETY: promised by the caller.
        return unsafe { execute(path, arguments, environment) };
    }
    if !from_descriptor && name.is_empty() {
        return Errno::ENOENT;
    }
    let (mut buffer, mut whole) = ([0; PATH_MAX], Room::new());
    let whole = if from_descriptor {
        if sys::fcntl(directory, libc::F_GETFD, 0).is_err() {
            return Errno::EBADF;
        }
        let _ = keep_nameless(directory);
        paths::proc_fd_name(directory, &mut whole)
    } else {
        paths::descriptor_path(directory, &mut buffer)
            .and_then(|base| whole.put(&[base, b"/", name]))
    };
    match whole {
        // SAFETY: promised by the caller.
        Some(whole) => unsafe { execute(whole.c_str().as_ptr(), arguments, environment) },
        None => Errno::EBADF,
    }
}

/// A program without a name (a memory file, or deleted) is read by the new emulator through its descriptor.
fn keep_nameless(fd: i32) -> Result<(), i32> {
    let mut buffer = [0; PATH_MAX];
    let named = paths::descriptor_path(fd, &mut buffer)
        .is_some_and(|name| name.first() == Some(&b'/') && !name.ends_with(b" (deleted)"));
    if !named {
        let flags = sys::fcntl(fd, libc::F_GETFD, 0)?;
        sys::fcntl(fd, libc::F_SETFD, flags & !(libc::FD_CLOEXEC as usize))?;
    }
    Ok(())
}

/// posix_spawn and posix_spawnp: `real` gets what is really to be spawned, and answers with an errno or 0. `pid` is
/// where the child's number goes.
///
/// # Safety
/// As for `execute`.
pub unsafe fn spawn(
    path: *const c_char,
    arguments: Strings,
    environment: Strings,
    in_path: bool,
    pid: *mut i32,
    real: impl FnOnce(*const c_char, Strings, Strings) -> i32,
) -> i32 {
    // SAFETY: promised by the caller.
    let prepared = unsafe {
        if in_path {
            search(path, arguments, environment)
        } else {
            prepare(path, arguments, environment)
        }
    };
    match prepared {
        Ok(launch) if launch.answered => match fork() {
            Ok(0) => exit_group(0),
            Ok(child) => {
                if !pid.is_null() {
                    // SAFETY: the guest's own argument to posix_spawn.
                    unsafe { *pid = child };
                }
                0
            }
            Err(errno) => errno.0,
        },
        Ok(launch) => {
            SPAWNED.store(launch.file as usize, Relaxed);
            let error = real(launch.file, launch.arguments, launch.environment);
            SPAWNED.store(0, Relaxed);
            error
        }
        Err(refusal) => {
            refusal.report();
            refusal.errno.0
        }
    }
}

/// The calls of this module behind `syscall()`: the errno of a failed exec, or None for every other number.
///
/// # Safety
/// `words` are the guest's arguments behind the number.
pub unsafe fn syscall_exec(number: libc::c_long, words: &[usize; 6]) -> Option<Errno> {
    let [a, b, c, d, e, _] = *words;
    // SAFETY: promised by the caller.
    unsafe {
        match number {
            libc::SYS_execve => Some(execute(a as *const c_char, b as Strings, c as Strings)),
            libc::SYS_execveat => Some(execute_at(
                a as i32,
                b as *const c_char,
                c as Strings,
                d as Strings,
                e as i32,
            )),
            _ => None,
        }
    }
}
