//! One module a command. A command reads its arguments, works through `store`, and prints.

mod answer;
mod check;
mod diff;
mod doctor;
mod export;
mod import;
mod info;
pub(crate) mod log;
mod ls;
mod manual;
mod map;
pub(crate) mod new;
mod run;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::args::{Arguments, Command};
use crate::interrupt;
use crate::store::{Store, find_board};

/// What every command may want to know beside its own arguments.
pub struct Context {
    pub board: Option<std::path::PathBuf>,
    pub json: bool,
    pub quiet: bool,
}

impl Context {
    pub fn open(&self, place: Option<&Path>) -> Result<Store> {
        Store::open(&find_board(place.or(self.board.as_deref()))?)
    }

    /// A remark for people: not in the way of results.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}

pub const FOUND: u8 = 1;

pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let context = Context {
        board: arguments.board,
        json: arguments.json,
        quiet: arguments.quiet,
    };
    interrupt::install();
    match arguments.command {
        Command::New(args) => new::run(&context, &args),
        Command::Info(args) => info::run(&context, args.place.as_deref()),
        Command::Ls(args) => ls::run(&context, args.place.as_deref()),
        Command::Import(args) => import::run(&context, &args),
        Command::Export(args) => export::run(&context, &args),
        Command::Check(args) => check::run(&context, args.place.as_deref()),
        Command::Run(args) => run::run(&context, &args),
        Command::Diff(args) => diff::run(&context, &args),
        Command::Map(args) => map::run(&context, &args),
        Command::Log(args) => log::run(&context, &args),
        Command::Answer(args) => answer::run(&context, &args),
        Command::Doctor(args) => doctor::run(&context, &args),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { directory } => manual::pages(&directory),
    }
}
