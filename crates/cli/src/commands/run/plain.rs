//! A run under plain qemu-user: what remains where no sandbox can be had.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use std::os::unix::process::ExitStatusExt;

use super::{Ended, Plan, check_variables, trace_variable};
use crate::args::RunArgs;
use crate::commands::run::flash::Flash;
use crate::forward;
use crate::runs::Run;

pub fn run(args: &RunArgs, plan: &Plan, flash: &Flash, run: &Run) -> Result<Ended> {
    check_variables(args)?;
    let mut command = Command::new(&plan.qemu.path);
    command.arg("-L").arg(&plan.root);
    // QEMU splits -E at commas, so only what is known to have none goes there.
    command
        .arg("-E")
        .arg(format!("LD_PRELOAD={}", plan.library.display()));
    command.env("MTDSHIM", &flash.board);
    if let Some((name, value)) = trace_variable(&plan.trace, &run.directory)
        .as_deref()
        .and_then(|text| text.split_once('='))
    {
        command.env(name, value);
    }
    for (name, value) in args
        .variables
        .iter()
        .filter_map(|variable| variable.split_once('='))
    {
        command.env(name, value);
    }
    match &plan.program.script_of {
        Some(interpreter) => {
            let mut words = interpreter.split_whitespace();
            let lies = crate::sandbox::program::resolve(
                &plan.root,
                words.next().unwrap_or("/bin/sh").as_ref(),
            )?;
            command.arg(lies).args(words);
        }
        None => {
            command.arg("-0").arg(&args.command[0]);
        }
    }
    command
        .arg(&plan.program.host_path)
        .args(&args.command[1..])
        .stdin(Stdio::inherit());
    let mut program = command
        .spawn()
        .with_context(|| format!("{}: cannot start QEMU", plan.qemu.path.display()))?;
    forward::to(program.id() as i32, false);
    let status = program.wait();
    forward::to_nobody();
    let status = status.context("cannot wait for QEMU")?;
    let status = status
        .code()
        .or(status.signal().map(|signal| 128 + signal))
        .unwrap_or(125);
    Ok(Ended {
        status,
        ..Ended::default()
    })
}
