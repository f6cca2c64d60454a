//! A run inside the sandbox: what the guest finds where.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use image::chip_files::ChipPaths;
use nix::unistd::AccessFlags;

use super::{Ended, Plan, REBOOT_STATUS, c_string, check_variables, trace_variable};
use crate::args::RunArgs;
use crate::commands::Context;
use crate::commands::run::flash::Flash;
use crate::runs::Run;
use crate::sandbox::{self, INSIDE, Spec};
use crate::scratch::Scratch;
use crate::store::Store;

const PATH: &str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
/// Of the host's environment, what a program may want and cannot be misled by.
const INHERITED: &[&str] = &["TERM", "LANG", "LC_ALL", "TZ", "COLUMNS", "LINES"];

/// The inner error says why there is no sandbox.
pub fn run(
    context: &Context,
    args: &RunArgs,
    plan: &Plan,
    flash: &Flash,
    run: &Run,
) -> Result<Result<Ended, String>> {
    let work = Scratch::new()?;
    let here = std::env::current_dir()?;
    let inside_root = here.strip_prefix(&plan.root).ok();
    let mut binds = binds(args)?;
    binds.extend(images_elsewhere(flash)?);
    if let Some(changes) = &args.changes {
        std::fs::create_dir_all(changes)
            .with_context(|| format!("{}: cannot make this directory", changes.display()))?;
    }
    if let Some(directory) = &args.cwd {
        check_directory(directory, plan, &binds)?;
    }
    let directory = match (&args.cwd, inside_root) {
        (Some(directory), _) => directory.clone(),
        (None, Some(inner)) => format!("/{}", inner.display()),
        (None, None) => format!("{INSIDE}/here"),
    };
    let spec = Spec {
        root: plan.root.clone(),
        work: work.path().to_owned(),
        qemu: plan.qemu.clone(),
        library: plan.library.clone(),
        board_directory: flash.directory(),
        read_only: read_only(flash)?,
        run_directory: run.directory.clone(),
        here: (args.cwd.is_none() && inside_root.is_none()).then_some(here),
        binds,
        network: args.net,
        changes: args
            .changes
            .as_deref()
            .map(std::fs::canonicalize)
            .transpose()?,
        program: plan.program.clone(),
        arguments: arguments(args, plan)?,
        environment: environment(args, plan, flash)?,
        directory,
    };
    let outcome = sandbox::run(&spec)?;
    if let Some(directory) = &spec.changes {
        tidy_changes(directory, &outcome.placed);
    }
    if let Some(reason) = outcome.refused {
        return Ok(Err(reason));
    }
    if let Some(errno) = outcome.exec_errno {
        let words = std::io::Error::from_raw_os_error(errno);
        bail!(
            "{}: cannot be started under {}: {words}",
            plan.program.guest_path,
            plan.qemu.path.display()
        );
    }
    if let Some(reason) = outcome.without_binfmt {
        context.say(&format!("mtdshim: no binfmt_misc in this sandbox ({reason}): static programs started by others do not run"));
    }
    if let Some(name) = foreign_entry(&plan.root) {
        context.say(&format!(
            "mtdshim: {} belongs to somebody else, so the program could not write there: make the root your own (cp -r copies it), or run as root",
            name.display()
        ));
    }
    Ok(Ok(Ended {
        status: if outcome.power.is_some() {
            REBOOT_STATUS
        } else {
            outcome.status
        },
        power: outcome.power,
        changes: Some(outcome.changes),
    }))
}

/// A directory at the top of the root that the sandbox's user is not the owner of: the program is root only among the user's
/// own files.
fn foreign_entry(root: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
    if user.is_root() {
        return None;
    }
    let entries = std::fs::read_dir(root).ok()?.flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths.into_iter().find(|path| {
        std::fs::symlink_metadata(path).is_ok_and(|status| {
            status.is_dir() && (status.uid() != user.as_raw() || status.gid() != group.as_raw())
        })
    })
}

/// Leaves of an overlay's upper directory what the program wrote: not the mount points, not the overlay's own workspace.
fn tidy_changes(directory: &Path, placed: &[String]) {
    use std::os::unix::fs::PermissionsExt;
    let work = directory.join("work");
    // The overlay leaves a directory that nobody may enter.
    let _ = std::fs::set_permissions(work.join("work"), std::fs::Permissions::from_mode(0o700));
    let _ = std::fs::remove_dir_all(&work);
    for name in placed.iter().rev() {
        let path = directory.join("files").join(name);
        let is_empty_file =
            std::fs::symlink_metadata(&path).is_ok_and(|file| file.is_file() && file.len() == 0);
        // Only what is empty: a program may have put something beside it.
        let _ = if is_empty_file {
            std::fs::remove_file(&path)
        } else {
            std::fs::remove_dir(&path)
        };
        // Directories of the root that were copied up only to hold it.
        let parents = Path::new(name).ancestors().skip(1);
        for parent in parents.filter(|parent| !parent.as_os_str().is_empty()) {
            let _ = std::fs::remove_dir(directory.join("files").join(parent));
        }
    }
}

/// The program is called as it was named: a multi-call binary looks at that.
fn arguments(args: &RunArgs, plan: &Plan) -> Result<Vec<CString>> {
    let first = if args.command[0].contains('/') {
        &plan.program.guest_path
    } else {
        &args.command[0]
    };
    std::iter::once(first)
        .chain(&args.command[1..])
        .map(|word| c_string(word))
        .collect()
}

fn environment(args: &RunArgs, plan: &Plan, flash: &Flash) -> Result<Vec<CString>> {
    check_variables(args)?;
    let board = Path::new(INSIDE)
        .join("flash")
        .join(flash.conf_name().unwrap_or_default());
    let mut all: Vec<String> = vec![
        PATH.to_owned(),
        "HOME=/root".to_owned(),
        "USER=root".to_owned(),
    ];
    all.push(format!(
        "MTDSHIM={}",
        board.display().to_string().trim_end_matches('/')
    ));
    all.extend(trace_variable(&plan.trace, &Path::new(INSIDE).join("run")));
    let inherited = INHERITED
        .iter()
        .filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)));
    all.extend(inherited);
    // Settings of the library that the person gave; the tool's own names are not among them.
    let is_setting = |name: &str| {
        name.starts_with("MTDSHIM_")
            && !["MTDSHIM_QEMU", "MTDSHIM_LIBRARY", "MTDSHIM_TRACE"].contains(&name)
    };
    all.extend(
        std::env::vars()
            .filter(|(name, _)| is_setting(name))
            .map(|(name, value)| format!("{name}={value}")),
    );
    for variable in &args.variables {
        let name = variable.split('=').next().unwrap_or("");
        all.retain(|known| known.split('=').next() != Some(name));
        all.push(variable.clone());
    }
    all.iter().map(|variable| c_string(variable)).collect()
}

/// Places that the sandbox makes itself.
const MADE: &[&str] = &["/tmp", "/dev", "/proc", "/sys"];

fn check_directory(directory: &str, plan: &Plan, binds: &[(PathBuf, PathBuf)]) -> Result<()> {
    let path = Path::new(directory);
    let is_made = MADE.iter().any(|made| path.starts_with(made))
        || binds.iter().any(|(_, guest)| path.starts_with(guest));
    let is_there = || sandbox::program::resolve(&plan.root, path).is_ok_and(|host| host.is_dir());
    if !path.is_absolute() || !(is_made || is_there()) {
        bail!(
            "--cwd {directory}: there is no such directory in {}",
            plan.root.display()
        );
    }
    Ok(())
}

fn binds(args: &RunArgs) -> Result<Vec<(PathBuf, PathBuf)>> {
    args.bind
        .iter()
        .map(|text| {
            let (host, guest) = text.split_once(':').unwrap_or((text, ""));
            let from = std::fs::canonicalize(host)
                .with_context(|| format!("--bind {text}: cannot find {host}"))?;
            let to = if guest.is_empty() {
                from.clone()
            } else {
                PathBuf::from(guest)
            };
            if !to.is_absolute() {
                bail!("--bind {text}: {guest} is no absolute path of the guest");
            }
            Ok((from, to))
        })
        .collect()
}

/// Files of chips in the board's directory that the person may not write.
fn read_only(flash: &Flash) -> Result<Vec<PathBuf>> {
    let store = Store::open(&flash.board)?;
    let directory = flash.directory();
    let mut found = Vec::new();
    for (_, config) in store.chips() {
        let paths = ChipPaths::of(store.board.directory(), &config);
        for path in [paths.image, paths.oob, paths.side] {
            let path = PathBuf::from(path.as_str());
            let is_refused =
                nix::unistd::access(&path, AccessFlags::W_OK) == Err(nix::errno::Errno::EACCES);
            if let Ok(inner) = path.strip_prefix(&directory)
                && is_refused
            {
                found.push(inner.to_owned());
            }
        }
    }
    Ok(found)
}

/// Images that the configuration names by an absolute path stay where it says.
fn images_elsewhere(flash: &Flash) -> Result<Vec<(PathBuf, PathBuf)>> {
    let store = Store::open(&flash.board)?;
    let mut found = Vec::new();
    for (_, config) in store.chips() {
        let paths = ChipPaths::of(store.board.directory(), &config);
        for path in [paths.image, paths.oob] {
            let path = PathBuf::from(path.as_str());
            if path.is_absolute() && path.exists() && !path.starts_with(&store.directory) {
                found.push((path.clone(), path));
            }
        }
    }
    Ok(found)
}
