//! A rootless sandbox for a firmware's program: own users, mounts, processes and network; an overlay over its root;
//! binfmt_misc of its own, so that every child and every script runs as ARM with the library.
//!
//! Three processes: the tool; the *keeper*, outside the new process namespace but inside the new mounts, which sets up
//! and afterwards reads what changed; the *first* process of the namespace, which starts the program and collects orphans.
//! Whoever dies takes the ones below along, and with them all mounts.
//!
//! Must not know: flash, boards.

pub mod changes;
mod first;
mod keeper;
pub mod library;
mod mounts;
pub mod program;
pub mod qemu;

use std::ffi::CString;
use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use keeper::run;

/// Where the sandbox keeps its own things, as the guest sees it.
pub const INSIDE: &str = "/.mtdshim";

pub struct Spec {
    pub root: PathBuf,
    /// An empty directory for the mounts.
    pub work: PathBuf,
    pub qemu: qemu::Qemu,
    pub library: PathBuf,
    pub board_directory: PathBuf,
    /// Files in it that the person may not write: inside, where everybody is root, they would be.
    pub read_only: Vec<PathBuf>,
    /// Where the trace goes.
    pub run_directory: PathBuf,
    /// The host's directory that the program starts in.
    pub here: Option<PathBuf>,
    /// Host path, guest path.
    pub binds: Vec<(PathBuf, PathBuf)>,
    pub network: bool,
    /// Where changes of the root are to stay; else they are gone with the sandbox.
    pub changes: Option<PathBuf>,
    pub program: program::Program,
    /// argv[0] and the rest.
    pub arguments: Vec<CString>,
    /// Without LD_PRELOAD.
    pub environment: Vec<CString>,
    /// As the guest names it.
    pub directory: String,
}

/// How it ended, sent by the keeper.
#[derive(Serialize, Deserialize, Debug, Default)]
pub struct Outcome {
    /// The step of the set-up that was refused, and why: nothing ran.
    pub refused: Option<String>,
    /// The program could not be started: errno.
    pub exec_errno: Option<i32>,
    /// As a shell reports it.
    pub status: i32,
    /// `reboot`, `halt`: the program ended the system.
    pub power: Option<String>,
    pub changes: Vec<changes::Change>,
    /// Mount points that were made in the root: none of the program's.
    pub placed: Vec<String>,
    /// binfmt_misc could not be had: children run by the library's own means.
    pub without_binfmt: Option<String>,
}

/// Whether this machine lets an ordinary user do all of it; the first step that fails, in words.
pub fn probe() -> Result<(), String> {
    keeper::probe()
}
