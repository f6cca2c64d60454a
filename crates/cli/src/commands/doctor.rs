//! `mtdshim doctor`: is this machine ready for `run`, and if not, what to do.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;
use serde::Serialize;

use super::Context;
use crate::args::DoctorArgs;
use crate::output;
use crate::sandbox::{self, library, program, qemu};

#[derive(Serialize)]
struct Check {
    what: &'static str,
    /// None: it works, but less than it could.
    ok: Option<bool>,
    found: String,
    advice: String,
}

impl Check {
    fn new(
        what: &'static str,
        ok: Option<bool>,
        found: impl ToString,
        advice: impl ToString,
    ) -> Check {
        Check {
            what,
            ok,
            found: found.to_string(),
            advice: advice.to_string(),
        }
    }
}

pub fn run(context: &Context, args: &DoctorArgs) -> Result<ExitCode> {
    let root = args.rootfs.as_deref().unwrap_or(Path::new("."));
    let qemu = qemu::find(args.qemu.as_deref());
    let found = library::find(args.library.as_deref(), root);
    let mut checks = vec![
        kernel(),
        check_qemu(&qemu),
        check_sandbox(),
        check_library(&found),
    ];
    if let (Some(root), Ok(qemu), Ok(library)) = (&args.rootfs, &qemu, &found) {
        checks.push(check_loads(root, qemu, library));
    }
    if context.json {
        output::json(&checks)?;
    } else {
        for check in &checks {
            let mark = match check.ok {
                Some(true) => "ok  ",
                Some(false) => "NO  ",
                None => "less",
            };
            let advice = if check.advice.is_empty() {
                String::new()
            } else {
                format!("; {}", check.advice)
            };
            output::line(format!(
                "{mark}  {:<10} {}{advice}",
                check.what, check.found
            ))?;
        }
    }
    let is_ready = checks.iter().all(|check| check.ok != Some(false));
    Ok(if is_ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(super::FOUND)
    })
}

fn kernel() -> Check {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = text.trim();
    let mut numbers = release
        .split(['.', '-'])
        .map(|word| word.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (6, 7) {
        return Check::new(
            "kernel",
            Some(true),
            format!("Linux {release}: binfmt_misc of its own for every sandbox"),
            "",
        );
    }
    Check::new(
        "kernel",
        None,
        format!("Linux {release}"),
        "since 6.7 static children run as ARM in the sandbox, too",
    )
}

fn check_qemu(qemu: &Result<qemu::Qemu>) -> Check {
    match qemu {
        Ok(qemu) if qemu.is_static => Check::new(
            "QEMU",
            Some(true),
            format!("{} {}, static", qemu.path.display(), qemu.version),
            "",
        ),
        Ok(qemu) => Check::new(
            "QEMU",
            None,
            format!(
                "{} {}, dynamic: its {} libraries are mounted into the sandbox",
                qemu.path.display(),
                qemu.version,
                qemu.libraries.len()
            ),
            "a static one is quieter: install qemu-user-static",
        ),
        Err(error) => Check::new("QEMU", Some(false), format!("{error:#}"), ""),
    }
}

fn check_sandbox() -> Check {
    match sandbox::probe() {
        Ok(()) => Check::new(
            "sandbox",
            Some(true),
            "namespaces, mounts and binfmt_misc without privileges",
            "",
        ),
        Err(reason) if reason.starts_with("binfmt_misc") => Check::new(
            "sandbox",
            None,
            format!("without binfmt_misc ({reason})"),
            "static programs started by others do not run",
        ),
        Err(reason) => Check::new(
            "sandbox",
            None,
            format!("none ({reason}): run falls back to plain QEMU"),
            hint(&reason),
        ),
    }
}

/// Distributions switch user namespaces off in ways of their own.
fn hint(reason: &str) -> &'static str {
    let on = |path: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1");
    if on("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") {
        "AppArmor forbids it: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else if Path::new("/proc/sys/kernel/unprivileged_userns_clone").exists()
        && !on("/proc/sys/kernel/unprivileged_userns_clone")
    {
        "allow it: sysctl kernel.unprivileged_userns_clone=1"
    } else if reason.starts_with("namespaces") {
        "in a container, allow user namespaces; else: sysctl user.max_user_namespaces"
    } else {
        ""
    }
}

fn check_library(found: &Result<std::path::PathBuf>) -> Check {
    match found {
        Ok(path) => Check::new("library", Some(true), path.display(), ""),
        Err(error) => Check::new("library", Some(false), format!("{error:#}"), ""),
    }
}

/// Some program of the root, preloaded, asked for /proc/mtd: loading is seen by what it answers.
fn check_loads(root: &Path, qemu: &qemu::Qemu, library: &Path) -> Check {
    let candidates = ["/bin/busybox", "/bin/cat", "/usr/bin/cat", "/bin/sh"];
    let found = candidates
        .iter()
        .filter_map(|name| program::Program::find(root, name).ok())
        .find(|program| !program.is_static() && program.check(root).is_ok());
    let Some(program) = found else {
        return Check::new(
            "loads",
            None,
            format!(
                "{}: no dynamic busybox, cat or sh to try it with",
                root.display()
            ),
            "",
        );
    };
    let mut command = Command::new(&qemu.path);
    command
        .arg("-L")
        .arg(root)
        .arg("-E")
        .arg(format!("LD_PRELOAD={}", library.display()));
    let board = match tempfile::tempdir() {
        Ok(board) => board,
        Err(error) => return Check::new("loads", None, error, ""),
    };
    let conf = "[chip.nor0]\ntype = \"nor\"\nsize = \"64K\"\nerasesize = \"64K\"\n[[chip.nor0.partition]]\nname = \"doctor\"\n";
    if let Err(error) = std::fs::write(board.path().join("mtdshim.conf"), conf) {
        return Check::new("loads", None, error, "");
    }
    command.env("MTDSHIM", board.path()).arg(&program.host_path);
    match program.guest_path.as_str() {
        "/bin/busybox" => command.args(["cat", "/proc/mtd"]),
        "/bin/sh" => command.args(["-c", "while read line; do echo $line; done < /proc/mtd"]),
        _ => command.arg("/proc/mtd"),
    };
    match command.output() {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("doctor") => Check::new(
            "loads",
            Some(true),
            format!("in {} of {}", program.guest_path, root.display()),
            "",
        ),
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr)
                .lines()
                .next()
                .unwrap_or("it said nothing")
                .to_owned();
            Check::new(
                "loads",
                Some(false),
                format!("in {} of {}: {words}", program.guest_path, root.display()),
                "is the library built for this root's processor?",
            )
        }
        Err(error) => Check::new("loads", Some(false), error, ""),
    }
}
