//! Runs on a board: what it was before each of the last ones, and their traces. They lie below the board's `.mtdshim/runs`.
//!
//! A state before a run is a board itself: the configuration and copies of the files.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use image::chip_files::ChipPaths;

use crate::interrupt;
use crate::output::shell_word;
use crate::scratch::Scratch;
use crate::store::Store;

const KEPT: usize = 3;

pub struct Run {
    pub number: u32,
    pub directory: PathBuf,
    /// Gone with the run.
    temporary: Option<Scratch>,
}

impl Run {
    pub fn before(&self) -> PathBuf {
        self.directory.join("before")
    }

    pub fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }

    /// Nothing ran: as if it had never begun.
    pub fn forget(&self) {
        let _ = fs::remove_dir_all(&self.directory);
    }

    fn command_file(&self) -> PathBuf {
        self.directory.join("command")
    }

    /// What is run, for those who look at it afterwards; a full disk must not stop a run.
    pub fn note_command(&self, command: &[String]) {
        let words: Vec<String> = command.iter().map(|word| shell_word(word)).collect();
        let _ = fs::write(self.command_file(), words.join(" ") + "\n");
    }

    /// Empty where it is not known.
    pub fn command(&self) -> String {
        let text = fs::read_to_string(self.command_file()).unwrap_or_default();
        text.trim_end().to_owned()
    }

    pub fn trace(&self) -> PathBuf {
        self.directory.join("trace.jsonl")
    }
}

fn directory(store: &Store) -> PathBuf {
    store.directory.join(".mtdshim/runs")
}

/// Every run that has begun, whole or not, by number.
fn numbered(store: &Store) -> Vec<Run> {
    let Ok(entries) = fs::read_dir(directory(store)) else {
        return Vec::new();
    };
    let number = |entry: fs::DirEntry| {
        entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
            .map(|number| Run {
                number,
                directory: entry.path(),
                temporary: None,
            })
    };
    let mut runs: Vec<Run> = entries.flatten().filter_map(number).collect();
    runs.sort_by_key(|run| run.number);
    runs
}

/// Runs whose beginning is known whole: a tool that is ended while it copies leaves one that is not.
pub fn all(store: &Store) -> Vec<Run> {
    let mut runs = numbered(store);
    runs.retain(|run| run.before().exists());
    runs
}

/// `last`, or a number.
pub fn find(store: &Store, name: &str) -> Result<Run> {
    let runs = all(store);
    let known: Vec<String> = runs.iter().map(|run| run.number.to_string()).collect();
    let found = if name == "last" {
        runs.into_iter().next_back()
    } else {
        runs.into_iter().find(|run| run.number.to_string() == name)
    };
    match found {
        Some(run) => Ok(run),
        None if known.is_empty() => bail!(
            "{}: there was no run on this board; use: mtdshim run",
            store.directory.display()
        ),
        None => bail!(
            "{}: there is no run '{name}'; kept are {}",
            store.directory.display(),
            known.join(", ")
        ),
    }
}

/// Keeps the present state, under the next number, and forgets the oldest.
pub fn begin(store: &Store) -> Result<Run> {
    let runs = numbered(store);
    let run = claim(store, runs.last().map_or(1, |run| run.number + 1))?;
    let part = run.directory.join("before.part");
    let made = copy_board(store, &part)
        .and_then(|()| fs::rename(&part, run.before()).map_err(anyhow::Error::from));
    if let Err(error) = made {
        run.forget();
        return Err(error);
    }
    for old in runs.iter().rev().skip(KEPT - 1) {
        old.forget();
    }
    Ok(run)
}

/// The first number from `number` on that no other tool has taken meanwhile.
fn claim(store: &Store, mut number: u32) -> Result<Run> {
    let failed = |path: &Path| format!("{}: cannot make this directory", path.display());
    let all = directory(store);
    fs::create_dir_all(&all).with_context(|| failed(&all))?;
    loop {
        let directory = all.join(number.to_string());
        match fs::create_dir(&directory) {
            Ok(()) => {
                return Ok(Run {
                    number,
                    directory,
                    temporary: None,
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error).with_context(|| failed(&directory)),
        }
    }
}

/// The same where the board takes no more files: known until the run ends.
pub fn begin_elsewhere(store: &Store) -> Result<Run> {
    let temporary = Scratch::new()?;
    let failed = || {
        format!(
            "{}: cannot keep here what flash was before; free some space, or name another place: TMPDIR=DIR",
            std::env::temp_dir().display()
        )
    };
    let run = Run {
        number: 0,
        directory: temporary.path().to_owned(),
        temporary: Some(temporary),
    };
    copy_board(store, &run.before()).with_context(failed)?;
    Ok(run)
}

/// The configuration, and the files of every chip that lie in the board's directory.
pub fn copy_board(store: &Store, to: &Path) -> Result<()> {
    copy_conf(store, to)?;
    for (_, config) in store.chips() {
        let paths = ChipPaths::of(store.board.directory(), &config);
        for path in [paths.image, paths.oob, paths.side] {
            let from = PathBuf::from(path.as_str());
            let Ok(inner) = from.strip_prefix(&store.directory) else {
                continue;
            };
            if from.exists() {
                let target = to.join(inner);
                fs::create_dir_all(target.parent().unwrap_or(to))?;
                copy_file(&from, &target)?;
            }
        }
    }
    Ok(())
}

/// As `fs::copy`, but it can be interrupted.
fn copy_file(from: &Path, to: &Path) -> Result<()> {
    const PIECE: u64 = 64 << 20;
    let failed = || format!("{}: cannot copy to {}", from.display(), to.display());
    let source = fs::File::open(from).with_context(failed)?;
    let mut target = fs::File::create(to).with_context(failed)?;
    while io::copy(&mut (&source).take(PIECE), &mut target).with_context(failed)? > 0 {
        interrupt::check()?;
    }
    let permissions = source.metadata().with_context(failed)?.permissions();
    target.set_permissions(permissions).with_context(failed)
}

/// Only the description: with it alone a board starts erased.
pub fn copy_conf(store: &Store, to: &Path) -> Result<()> {
    fs::create_dir_all(to)
        .with_context(|| format!("{}: cannot make this directory", to.display()))?;
    let conf = PathBuf::from(store.board.conf_path().as_str());
    fs::copy(&conf, to.join("mtdshim.conf"))
        .with_context(|| format!("{}: cannot copy it", conf.display()))?;
    // Captured tables that the configuration names.
    for entry in fs::read_dir(&store.directory)?.flatten() {
        let is_small = entry
            .metadata()
            .is_ok_and(|status| status.is_file() && status.len() < 1 << 16);
        if is_small
            && entry
                .path()
                .extension()
                .is_some_and(|suffix| suffix == "txt")
        {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
