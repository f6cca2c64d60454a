//! Which board a run works on: the named one, the root's own, one made of a dump, or a throw-away copy.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Parser;
use image::Board;
use image::host_os::HostOs;

use crate::args::{Arguments, Command, RunArgs};
use crate::commands::{Context, new};
use crate::runs;
use crate::scratch::Scratch;
use crate::store::{Store, find_board, problem};

pub struct Flash {
    /// Directory or configuration, absolute.
    pub board: PathBuf,
    /// As the person named it.
    pub named: PathBuf,
    /// Gone at the end of the run.
    thrown_away: Option<Scratch>,
}

impl Flash {
    pub fn choose(context: &Context, args: &RunArgs) -> Result<Flash> {
        let named = named(context, args)?;
        let board = std::fs::canonicalize(&named)?;
        if !args.fresh && !args.copy {
            return Ok(Flash {
                board,
                named,
                thrown_away: None,
            });
        }
        let directory = Scratch::new()?;
        let store = Store::open(&board)?;
        if args.fresh {
            runs::copy_conf(&store, directory.path())?;
        } else {
            runs::copy_board(&store, directory.path())?;
        }
        Ok(Flash {
            board: directory.path().to_owned(),
            named,
            thrown_away: Some(directory),
        })
    }

    pub fn is_kept(&self) -> bool {
        self.thrown_away.is_none()
    }

    pub fn directory(&self) -> PathBuf {
        if self.board.is_dir() {
            self.board.clone()
        } else {
            self.board.parent().unwrap_or(Path::new("/")).to_owned()
        }
    }

    /// The name of the configuration inside the board's directory, when it is not the usual one.
    pub fn conf_name(&self) -> Option<String> {
        (!self.board.is_dir()).then(|| {
            self.board
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
    }
}

fn named(context: &Context, args: &RunArgs) -> Result<PathBuf> {
    if let Some(path) = args.flash.as_ref().or(context.board.as_ref()) {
        let is_conf = path.extension().is_some_and(|suffix| suffix == "conf");
        return if path.is_file() && !is_conf {
            from_dump(context, path)
        } else {
            find_board(Some(path))
        };
    }
    let own = args.rootfs.join("etc/mtdshim.conf");
    if own.exists() {
        return Ok(args.rootfs.join("etc"));
    }
    if let Ok(path) = find_board(None) {
        return Ok(path);
    }
    // The same that a guest without any configuration gets.
    let directory = PathBuf::from("mtdshim-flash");
    let c_path = CString::new(directory.as_os_str().as_bytes())?;
    Board::open_default(&HostOs, &c_path).map_err(problem)?;
    Ok(directory)
}

/// A dump becomes a board beside it, once.
fn from_dump(context: &Context, dump: &Path) -> Result<PathBuf> {
    let mut name = dump.as_os_str().to_owned();
    name.push(".board");
    let directory = PathBuf::from(name);
    if directory.join("mtdshim.conf").exists() {
        return Ok(directory);
    }
    context.say(&format!(
        "mtdshim: making a board of {} in {}",
        dump.display(),
        directory.display()
    ));
    let words = [
        Path::new("mtdshim"),
        Path::new("new"),
        &directory,
        Path::new("--dump"),
        dump,
        Path::new("--yes"),
    ];
    match Arguments::try_parse_from(words.map(Path::as_os_str))?.command {
        Command::New(args) => new::run(context, &args)?,
        _ => bail!("{}: cannot make a board of it", dump.display()),
    };
    Ok(directory)
}
