//! Man pages and shell completions, from the definition that parses the command line.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::CommandFactory;

use crate::args::Arguments;
use crate::output;

pub fn completions(shell: clap_complete::Shell) -> Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "mtdshim", &mut text);
    output::print(&String::from_utf8(text)?)?;
    Ok(ExitCode::SUCCESS)
}

pub fn pages(directory: &Path) -> Result<ExitCode> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("{}: cannot make this directory", directory.display()))?;
    clap_mangen::generate_to(Arguments::command(), directory)
        .with_context(|| format!("{}: cannot write the man pages", directory.display()))?;
    Ok(ExitCode::SUCCESS)
}
