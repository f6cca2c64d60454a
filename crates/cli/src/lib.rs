//! `mtdshim`, the host tool: makes, shows, checks and changes boards, and runs programs on them.

mod args;
mod bytes;
mod commands;
mod compare;
mod content;
mod forward;
mod interrupt;
mod output;
mod picture;
mod progress;
mod proposals;
mod reading;
mod runs;
mod sandbox;
mod scratch;
mod store;
mod trace;
mod ubi;
#[doc(hidden)]
pub mod untrusted;

use std::process::ExitCode;

use clap::Parser;

/// A variable that is set to nothing is not set, for the library as for the tool.
fn forget_empty_settings() {
    for name in ["MTDSHIM", "MTDSHIM_QEMU", "MTDSHIM_LIBRARY"] {
        if std::env::var_os(name).is_some_and(|value| value.is_empty()) {
            // SAFETY: the tool has one thread.
            unsafe { std::env::remove_var(name) };
        }
    }
}

pub fn main() -> ExitCode {
    forget_empty_settings();
    let arguments = args::Arguments::parse();
    commands::run(arguments).unwrap_or_else(|error| {
        if output::is_closed_pipe(&error) {
            return ExitCode::SUCCESS;
        }
        eprintln!("mtdshim: {error:#}");
        ExitCode::from(if error.is::<interrupt::Interrupted>() {
            interrupt::STATUS
        } else {
            2
        })
    })
}
