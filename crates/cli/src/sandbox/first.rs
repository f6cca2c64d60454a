//! The first process of the sandbox: enters the root, starts the program, and collects orphans until it ends.

use std::ffi::CString;
use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::mount::{MsFlags, mount};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, chdir, chroot, execve, fork, sethostname};

use super::mounts::{Mounted, Step, told};
use super::{INSIDE, Spec};
use crate::forward;

/// `to_failure` gets a step that was refused, or `exec` and an errno.
pub fn run(spec: &Spec, mounted: &Mounted, to_failure: OwnedFd) -> ! {
    let mut to_failure = fs::File::from(to_failure);
    let status = match enter(mounted).and_then(|()| start(spec, mounted, &mut to_failure)) {
        Ok(child) => {
            drop(to_failure);
            wait_for(child)
        }
        Err(reason) => {
            let _ = to_failure.write_all(reason.as_bytes());
            125
        }
    };
    // SAFETY: _exit is always allowed; the rest of the namespace goes with this process.
    unsafe { nix::libc::_exit(status) }
}

fn enter(mounted: &Mounted) -> Step<()> {
    told(prctl::set_pdeathsig(Signal::SIGKILL), "death signal")?;
    // Signals of the terminal are the program's; this process lives until it has ended.
    told(SigSet::all().thread_block(), "signals")?;
    let proc = mounted.root.join("proc");
    if mount(
        Some("proc"),
        &proc,
        Some("proc"),
        MsFlags::empty(),
        None::<&str>,
    )
    .is_err()
    {
        // Containers that hide parts of /proc forbid a new one; theirs shows more processes, but works.
        told(
            mount(
                Some("/proc"),
                &proc,
                None::<&str>,
                MsFlags::MS_BIND | MsFlags::MS_REC,
                None::<&str>,
            ),
            "/proc",
        )?;
    }
    let _ = sethostname("sandbox");
    told(chroot(&mounted.root), "chroot")?;
    told(chdir("/"), "chroot")
}

fn start(spec: &Spec, mounted: &Mounted, to_failure: &mut fs::File) -> Step<Pid> {
    // SAFETY: this process has one thread.
    match told(unsafe { fork() }, "process")? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            // Rust's programs ignore a broken pipe, and would hand that on.
            for signal in [
                Signal::SIGPIPE,
                Signal::SIGINT,
                Signal::SIGQUIT,
                Signal::SIGTERM,
                Signal::SIGHUP,
            ] {
                // SAFETY: the default action is no handler.
                let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
            }
            let _ = SigSet::all().thread_unblock();
            // A directory that is not in the root is no reason not to start.
            let _ = chdir(spec.directory.as_str());
            let errno = execute(spec, mounted);
            let _ = to_failure.write_all(format!("exec {errno}").as_bytes());
            // SAFETY: _exit is always allowed.
            unsafe { nix::libc::_exit(126) }
        }
    }
}

/// By binfmt_misc where that and a static QEMU are there, else QEMU by name: a dynamic one would take LD_PRELOAD for its own.
fn execute(spec: &Spec, mounted: &Mounted) -> i32 {
    let words = |text: &str| CString::new(text).unwrap_or_default();
    let preload = format!("LD_PRELOAD={INSIDE}/libmtdshim.so");
    let program = words(&spec.program.guest_path);
    let mut environment = spec.environment.clone();
    if spec.qemu.is_static && mounted.without_binfmt.is_none() {
        environment.push(words(&preload));
        return execve(&program, &spec.arguments, &environment)
            .err()
            .map_or(0, |errno| errno as i32);
    }
    let qemu = CString::new(spec.qemu.path.as_os_str().as_bytes()).unwrap_or_default();
    let mut arguments = vec![words("qemu-arm"), words("-E"), words(&preload)];
    match &spec.program.script_of {
        Some(interpreter) => {
            arguments.extend(interpreter.split_whitespace().map(words));
            arguments.push(program);
        }
        None => {
            arguments.extend([
                words("-0"),
                spec.arguments.first().cloned().unwrap_or_default(),
            ]);
            arguments.push(program);
        }
    }
    arguments.extend(spec.arguments.iter().skip(1).cloned());
    let file = if spec.qemu.is_static {
        words(&format!("{INSIDE}/qemu-arm"))
    } else {
        qemu
    };
    execve(&file, &arguments, &environment)
        .err()
        .map_or(0, |errno| errno as i32)
}

/// The program's status as a shell reports it.
fn wait_for(program: Pid) -> i32 {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == program => return code,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                return 128 + signal as i32;
            }
            Ok(WaitStatus::StillAlive) => {
                if let Some(signal) = forward::wait() {
                    // SAFETY: a number that the tool was sent.
                    unsafe { nix::libc::kill(program.as_raw(), signal) };
                }
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return 125,
        }
    }
}
