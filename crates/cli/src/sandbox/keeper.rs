//! The keeper: makes the namespaces and mounts, starts the first process, waits, and reports.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result};
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{self, SigHandler, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getegid, geteuid, pipe2};

use super::mounts::{Step, set_up, told};
use super::{Outcome, Spec, changes, first};
use crate::forward;

/// Sets the sandbox up, runs the program, and tells how it ended. The tool has one thread.
pub fn run(spec: &Spec) -> Result<Outcome> {
    in_keeper(spec.network, || Ok(keep(spec)))
}

/// Only the namespaces and the mounts that every sandbox needs.
pub fn probe() -> std::result::Result<(), String> {
    let outcome = in_keeper(false, || {
        let step = told(
            nix::mount::mount(
                None::<&str>,
                "/",
                None::<&str>,
                nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE,
                None::<&str>,
            ),
            "own mounts",
        )
        .and_then(|()| {
            told(
                nix::mount::mount(
                    Some("tmpfs"),
                    "/tmp",
                    Some("tmpfs"),
                    nix::mount::MsFlags::empty(),
                    None::<&str>,
                ),
                "tmpfs",
            )
        })
        .and_then(|()| told(fs::create_dir("/tmp/binfmt"), "tmpfs"));
        let binfmt = || {
            nix::mount::mount(
                Some("binfmt_misc"),
                "/tmp/binfmt",
                Some("binfmt_misc"),
                nix::mount::MsFlags::empty(),
                None::<&str>,
            )
        };
        Ok(match step {
            Err(reason) => Outcome {
                refused: Some(reason),
                ..Outcome::default()
            },
            Ok(()) => Outcome {
                without_binfmt: told(binfmt(), "binfmt_misc").err(),
                ..Outcome::default()
            },
        })
    });
    match outcome {
        Err(error) => Err(format!("{error:#}")),
        Ok(outcome) => outcome
            .refused
            .or(outcome.without_binfmt)
            .map_or(Ok(()), Err),
    }
}

fn in_keeper(network: bool, body: impl FnOnce() -> Result<Outcome>) -> Result<Outcome> {
    let (report, to_report) = pipe2(OFlag::O_CLOEXEC).context("cannot make a pipe")?;
    let (unshared, to_unshared) = pipe2(OFlag::O_CLOEXEC)?;
    let (mapped, to_mapped) = pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: the tool has one thread, so the child may do anything.
    match unsafe { fork() }.context("cannot start a process")? {
        ForkResult::Child => {
            drop((report, unshared, to_mapped));
            let outcome = enter(network, to_unshared, mapped).map_or_else(
                |reason| Outcome {
                    refused: Some(reason),
                    ..Outcome::default()
                },
                |()| {
                    body().unwrap_or_else(|error| Outcome {
                        refused: Some(format!("{error:#}")),
                        ..Outcome::default()
                    })
                },
            );
            let text = serde_json::to_vec(&outcome).unwrap_or_default();
            let _ = fs::File::from(to_report).write_all(&text);
            // Without what the tool itself would do at its end.
            // SAFETY: _exit is always allowed.
            unsafe { nix::libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            drop((to_report, to_unshared, mapped));
            wait_for(child, report, unshared, to_mapped)
        }
    }
}

fn wait_for(child: Pid, report: OwnedFd, unshared: OwnedFd, to_mapped: OwnedFd) -> Result<Outcome> {
    // Until the keeper can hand signals on, one ends it, and that the whole namespace.
    forward::to(child.as_raw(), true);
    let mut ready = [0; 1];
    let mapping = match fs::File::from(unshared).read(&mut ready) {
        Ok(1) => map_users(child),
        _ => Ok(()),
    };
    if mapping.is_ok() {
        let _ = fs::File::from(to_mapped).write_all(b"m");
    } else {
        drop(to_mapped);
    }
    let mut text = Vec::new();
    fs::File::from(report).read_to_end(&mut text)?;
    let _ = waitpid(child, None);
    forward::to_nobody();
    let mut outcome: Outcome = serde_json::from_slice(&text).unwrap_or(Outcome {
        status: 143,
        ..Outcome::default()
    });
    if let Err(reason) = mapping {
        outcome.refused = Some(reason);
    }
    Ok(outcome)
}

/// From outside: everybody may map himself to root; root may map everybody, so that chown works inside.
fn map_users(child: Pid) -> Step<()> {
    let file = |name: &str| format!("/proc/{child}/{name}");
    if geteuid().is_root() && fs::write(file("uid_map"), "0 0 4294967295").is_ok() {
        return told(
            fs::write(file("gid_map"), "0 0 4294967295"),
            "map of groups",
        );
    }
    told(fs::write(file("setgroups"), "deny"), "map of groups")?;
    told(
        fs::write(file("uid_map"), format!("0 {} 1", geteuid())),
        "map of users",
    )?;
    told(
        fs::write(file("gid_map"), format!("0 {} 1", getegid())),
        "map of groups",
    )
}

fn enter(network: bool, to_unshared: OwnedFd, mapped: OwnedFd) -> Step<()> {
    told(prctl::set_pdeathsig(Signal::SIGKILL), "death signal")?;
    let mut flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    flags.set(CloneFlags::CLONE_NEWNET, !network);
    told(unshare(flags), "namespaces")?;
    told(fs::File::from(to_unshared).write_all(b"u"), "namespaces")?;
    let mut go = [0; 1];
    match fs::File::from(mapped).read(&mut go) {
        // New credentials may have taken the death signal away.
        Ok(1) => told(prctl::set_pdeathsig(Signal::SIGKILL), "death signal"),
        _ => Err("map of users: refused".to_owned()),
    }
}

fn keep(spec: &Spec) -> Outcome {
    match try_keep(spec) {
        Ok(outcome) => outcome,
        Err(reason) => Outcome {
            refused: Some(reason),
            ..Outcome::default()
        },
    }
}

fn try_keep(spec: &Spec) -> Step<Outcome> {
    let mounted = set_up(spec)?;
    // What the terminal sends goes to the program, too; the keeper has to live on and report.
    for signal in [
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGHUP,
    ] {
        // SAFETY: no handler.
        let _ = unsafe { signal::signal(signal, SigHandler::SigIgn) };
    }
    forward::hold_messages();
    let (failure, to_failure) = told(pipe2(OFlag::O_CLOEXEC), "pipe")?;
    // SAFETY: this process has one thread.
    let child = match told(unsafe { fork() }, "first process")? {
        ForkResult::Child => {
            drop(failure);
            first::run(spec, &mounted, to_failure);
        }
        ForkResult::Parent { child } => child,
    };
    forward::pass_messages_to(child.as_raw());
    drop(to_failure);
    let mut text = String::new();
    let _ = fs::File::from(failure).read_to_string(&mut text);
    let status = told(waitpid(child, None), "wait")?;
    let mut outcome = Outcome {
        without_binfmt: mounted.without_binfmt.clone(),
        ..Outcome::default()
    };
    match text.split_once(' ') {
        Some(("exec", errno)) => outcome.exec_errno = errno.parse().ok(),
        Some(_) => return Err(text),
        None => {}
    }
    match status {
        WaitStatus::Exited(_, code) => outcome.status = code,
        // A reboot in a process namespace ends its first process with one of these. Source: reboot(2).
        WaitStatus::Signaled(_, Signal::SIGHUP, _) => outcome.power = Some("reboot".to_owned()),
        WaitStatus::Signaled(_, Signal::SIGINT, _) => outcome.power = Some("halt".to_owned()),
        WaitStatus::Signaled(_, signal, _) => outcome.status = 128 + signal as i32,
        _ => {}
    }
    outcome.placed = mounted.ours.clone();
    outcome.changes = changes::collect(&mounted.upper, &mounted.lower, &mounted.ours);
    Ok(outcome)
}
