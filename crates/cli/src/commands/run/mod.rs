//! `mtdshim run`: a firmware's program on a board, in one line.

mod flash;
mod plain;
mod report;
pub use report::flash_lines;
mod sandboxed;

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use super::Context;
use crate::args::RunArgs;
use crate::interrupt;
use crate::runs::{self, Run};
use crate::sandbox::{self, program::Program, qemu};
use crate::store::Store;
use flash::Flash;

/// Everything that is decided before anything starts.
pub struct Plan {
    root: PathBuf,
    program: Program,
    qemu: qemu::Qemu,
    library: PathBuf,
    trace: Trace,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trace {
    None,
    /// Text on stderr.
    Stderr,
    /// JSON lines into the run's directory, copied here afterwards if named.
    Recorded(Option<PathBuf>),
}

/// What the library ends a run with when the program asks for a reboot; the sandbox does the same.
const REBOOT_STATUS: i32 = 88;

/// How the program ended, whichever way it ran.
#[derive(Default)]
pub struct Ended {
    pub status: i32,
    pub power: Option<String>,
    /// None where nothing watched the root.
    pub changes: Option<Vec<sandbox::changes::Change>>,
}

pub fn run(context: &Context, args: &RunArgs) -> Result<ExitCode> {
    let plan = plan(args)?;
    if plan.program.is_static() {
        let name = &plan.program.guest_path;
        context.say(&format!("mtdshim: {name} is static: no library can be preloaded into it, so it sees no flash; programs that it starts may"));
    }
    let flash = Flash::choose(context, args)?;
    let store = Store::open(&flash.board)?;
    let run = runs::begin(&store).or_else(|error| {
        interrupt::check()?;
        context.say(&format!(
            "mtdshim: {error:#}; what flash was before is known until the end of this run only"
        ));
        runs::begin_elsewhere(&store)
    })?;
    run.note_command(&args.command);
    // Closing any descriptor of a board drops this process' locks on it; guests must find none of ours.
    drop(store);
    interrupt::check().inspect_err(|_| run.forget())?;
    let ended = start(context, args, &plan, &flash, &run).inspect_err(|_| run.forget())?;
    if let Trace::Recorded(Some(path)) = &plan.trace
        && run.trace().exists()
    {
        std::fs::copy(run.trace(), path)
            .with_context(|| format!("{}: cannot write the trace", path.display()))?;
    }
    if !args.no_report && !context.quiet {
        // The status is the program's, whatever became of the board meanwhile.
        if let Err(error) = report::show(context, &flash, &run, &ended) {
            context.say(&format!(
                "--- run {}: exit status {}; what changed cannot be told: {error:#}",
                run.number, ended.status
            ));
        }
    }
    Ok(ExitCode::from(ended.status as u8))
}

fn plan(args: &RunArgs) -> Result<Plan> {
    let root = std::fs::canonicalize(&args.rootfs)
        .with_context(|| format!("{}: cannot find this root", args.rootfs.display()))?;
    if !["bin", "sbin", "usr", "lib"]
        .iter()
        .any(|name| root.join(name).exists())
    {
        bail!(
            "{}: this is no firmware's root (no bin, sbin, usr or lib); name one with --rootfs",
            root.display()
        );
    }
    let program = Program::find(&root, &args.command[0])?;
    program.check(&root)?;
    let trace = match args.trace.as_deref() {
        None => Trace::Recorded(None),
        Some("none") => Trace::None,
        Some("stderr") => Trace::Stderr,
        Some(path) => {
            let path = PathBuf::from(path);
            let parent = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
                bail!(
                    "--trace {}: there is no directory {}; make it first",
                    path.display(),
                    parent.display()
                );
            }
            Trace::Recorded(Some(path))
        }
    };
    let library = sandbox::library::find(args.library.as_deref(), &root)?;
    Ok(Plan {
        program,
        qemu: qemu::find(args.qemu.as_deref())?,
        library,
        trace,
        root,
    })
}

fn start(
    context: &Context,
    args: &RunArgs,
    plan: &Plan,
    flash: &Flash,
    run: &Run,
) -> Result<Ended> {
    let wanted: Vec<&str> = [
        (args.cwd.is_some(), "--cwd"),
        (!args.bind.is_empty(), "--bind"),
        (args.changes.is_some(), "--changes"),
    ]
    .into_iter()
    .filter_map(|(is_given, option)| is_given.then_some(option))
    .collect();
    if args.no_sandbox {
        if !wanted.is_empty() {
            bail!(
                "{}: only a sandbox can do that; leave it out, or leave out --no-sandbox",
                wanted.join(", ")
            );
        }
        return plain::run(args, plan, flash, run);
    }
    match sandboxed::run(context, args, plan, flash, run)? {
        Ok(ended) => Ok(ended),
        Err(reason) => {
            context.say(&format!(
                "mtdshim: no sandbox here ({reason}); running under plain QEMU: writes outside of flash reach the host's files, static children find no QEMU, the network is open"
            ));
            if !wanted.is_empty() {
                context.say(&format!(
                    "mtdshim: {} has no effect here",
                    wanted.join(", ")
                ));
            }
            plain::run(args, plan, flash, run)
        }
    }
}

/// The trace variable, for a run directory that the guest finds at `directory`.
fn trace_variable(trace: &Trace, directory: &Path) -> Option<String> {
    match trace {
        Trace::None => None,
        Trace::Stderr => Some("MTDSHIM_TRACE=stderr".to_owned()),
        Trace::Recorded(_) => Some(format!(
            "MTDSHIM_TRACE=json:{}",
            directory.join("trace.jsonl").display()
        )),
    }
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).with_context(|| format!("'{text}' holds a zero byte"))
}

fn check_variables(args: &RunArgs) -> Result<()> {
    match args
        .variables
        .iter()
        .find(|variable| !variable.contains('='))
    {
        Some(variable) => bail!("--env {variable}: write NAME=VALUE"),
        None => Ok(()),
    }
}
