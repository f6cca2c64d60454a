//! `mtdshim new`: a board from a chip, a partition table, a device tree, or dumps.
//!
//! Every source makes a draft; the draft is shown, compiled by the same code that the guest library uses, filled, and only
//! then gets its name: nothing half made is ever left behind.

pub(crate) mod capture;
pub(crate) mod draft;
pub(crate) mod dump;
mod parts;
mod place;
mod split;
pub(crate) mod tree;

use std::fs::{self, File};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use anyhow::{Context as _, Result, anyhow, bail};
use mtd_abi::MTD_CHAR_MAJOR;
use nix::sys::stat::major;

use super::Context;
use crate::args::NewArgs;
use crate::bytes;
use crate::interrupt;
use crate::output;
use crate::reading::{self, Limit};
use crate::scratch::Scratch;
use crate::store::{Access, Store};
use draft::{BoardDraft, ChipDraft};

const DUMP: Limit<'_> = Limit {
    bytes: 1 << 33,
    taker: "a board",
};
const TREE: Limit<'_> = Limit {
    bytes: 1 << 26,
    taker: "a device tree",
};
const PROC_MTD: Limit<'_> = Limit {
    bytes: 1 << 20,
    taker: "a table of partitions",
};

pub fn run(context: &Context, args: &NewArgs) -> Result<ExitCode> {
    if args.preset.as_deref() == Some("list") {
        return list_presets(context);
    }
    args.chip.check()?;
    let Some(directory) = &args.directory else {
        bail!("name the directory to make the board in: mtdshim new board ...");
    };
    check_place(directory)?;
    let dump = match &args.dump {
        Some(path) => Some(read_dump(path)?),
        None => None,
    };
    let mut draft = draft_of(args, dump.as_deref())?;
    let work = Work::start(directory)?;
    fill_work(context, args, dump.as_deref(), &mut draft, &work)?;
    for remark in &draft.remarks {
        context.say(&format!("- {remark}"));
    }
    if args.dry_run {
        output::print(&draft.conf())?;
        return Ok(ExitCode::SUCCESS);
    }
    let is_proposal = args.dump.is_some() || !draft.remarks.is_empty();
    if is_proposal && !args.yes && std::io::stdin().is_terminal() && !agreed(&draft)? {
        context.say("nothing was made");
        return Ok(ExitCode::from(super::FOUND));
    }
    interrupt::check()?;
    work.make_chips()?;
    interrupt::check()?;
    work.finish(directory)?;
    let chips: Vec<String> = draft.chips.iter().map(|chip| chip.name.clone()).collect();
    if context.json {
        output::json(&Made {
            board: directory,
            chips,
            remarks: &draft.remarks,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    context.say(&format!(
        "{}: a board with {}; look at it: mtdshim ls {}",
        directory.display(),
        chips.join(", "),
        output::shell_path(directory)
    ));
    Ok(ExitCode::SUCCESS)
}

/// What is no plain file has no length beforehand; of the devices with characters only flash has an end.
fn read_dump(path: &Path) -> Result<Vec<u8>> {
    let file = reading::open(path)?;
    let status = file.metadata()?;
    if status.file_type().is_char_device() && major(status.rdev()) != u64::from(MTD_CHAR_MAJOR) {
        bail!(
            "{}: this device has no end; name a file, a pipe or flash",
            path.display()
        );
    }
    reading::rest(&file, path, &DUMP)
}

#[derive(Serialize)]
struct Made<'a> {
    board: &'a Path,
    chips: Vec<String>,
    remarks: &'a [String],
}

fn check_place(directory: &Path) -> Result<()> {
    if directory.join("mtdshim.conf").exists() {
        bail!(
            "{}: there is a board already; name another directory, or delete it",
            directory.display()
        );
    }
    if directory.exists()
        && fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
    {
        bail!(
            "{}: this directory is not empty; name a new one",
            directory.display()
        );
    }
    Ok(())
}

fn agreed(draft: &BoardDraft) -> Result<bool> {
    eprint!("\n{}\nUse this? [Y/n] ", draft.conf());
    std::io::stderr().flush()?;
    let mut answer = String::new();
    interrupt::wait_for(&std::io::stdin())?;
    let count = std::io::stdin().read_line(&mut answer)?;
    // The end of the input is no answer.
    Ok(count > 0 && !answer.trim().to_lowercase().starts_with('n'))
}

fn draft_of(args: &NewArgs, dump: Option<&[u8]>) -> Result<BoardDraft> {
    let rows = match &args.proc_mtd {
        Some(path) => {
            let text = String::from_utf8(reading::file(path, &PROC_MTD)?)
                .with_context(|| format!("{}: cannot read this file", path.display()))?;
            Some(capture::parse(&text, &path.display().to_string())?)
        }
        None => None,
    };
    let name = |path: &Path| path.display().to_string();
    let mut draft = if let Some(path) = &args.dtb {
        tree::board(&reading::file(path, &TREE)?, &name(path))?
    } else if let (Some(path), Some(dump)) = (&args.dump, dump) {
        dump::board(dump, &name(path), &args.chip)?
    } else if !args.parts.is_empty() {
        parts::board(&args.parts, rows.as_deref())?
    } else if args.preset.is_some() || args.chip.size.is_some() {
        BoardDraft {
            chips: vec![named_chip(args)?],
            ..BoardDraft::default()
        }
    } else if let Some(rows) = &rows {
        capture::board(rows, "a captured /proc/mtd")
    } else {
        bail!(
            "say what the board is made from: --preset CHIP (or 'list'), --size, --proc-mtd, --dtb, --dump or --parts"
        );
    };
    if let [chip] = &mut draft.chips[..] {
        chip.overrule(&args.chip);
        let owns_rows = args.dump.is_some() || args.preset.is_some() || args.chip.size.is_some();
        if let Some(rows) = rows.as_ref().filter(|_| owns_rows && args.parts.is_empty()) {
            chip.partitions = capture::place(rows).0;
            chip.mtdparts = None;
        }
        if let Some(text) = &args.mtdparts {
            chip.mtdparts = Some(text.clone());
            chip.partitions.clear();
            let id = text
                .trim_start_matches("mtdparts=")
                .split(':')
                .next()
                .unwrap_or("");
            chip.mtd_name = Some(id.to_owned()).filter(|id| !id.is_empty());
        }
        if args.mtdparts.is_some() || owns_rows && rows.is_some() {
            // Overruled.
            draft
                .remarks
                .retain(|remark| !remark.starts_with("partitions: "));
        }
        draft.remarks.retain(|remark| {
            !(remark.starts_with("no mtdparts=")
                && (!chip.partitions.is_empty() || chip.mtdparts.is_some()))
        });
    } else if args.mtdparts.is_some() {
        bail!(
            "--mtdparts needs one chip, and there are {}; edit the configuration afterwards",
            draft.chips.len()
        );
    }
    Ok(draft)
}

fn named_chip(args: &NewArgs) -> Result<ChipDraft> {
    let wants_nand = args
        .chip
        .kind
        .as_deref()
        .is_some_and(|kind| kind.contains("nand"))
        || args.chip.oobsize.is_some();
    let Some(name) = &args.preset else {
        let size = args.chip.size.unwrap_or(0);
        return Ok(if wants_nand {
            ChipDraft {
                ecc: Some("hamming".to_owned()),
                ..ChipDraft::nand("nand0", size, 0x20000, 2048, 64)
            }
        } else {
            ChipDraft::nor("nor0", size, 0x10000)
        });
    };
    let preset = image::conf::of_preset(name)
        .ok_or_else(|| anyhow!("no chip is known as '{name}'; see: mtdshim new --preset list"))?;
    let chip = if preset.geometry.oobsize > 0 {
        "nand0"
    } else {
        "nor0"
    };
    Ok(ChipDraft {
        name: chip.to_owned(),
        preset: Some(name.clone()),
        ..ChipDraft::default()
    })
}

#[derive(Serialize)]
struct Known {
    chip: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    size: u64,
    erasesize: u32,
    writesize: u32,
    oobsize: u32,
}

fn list_presets(context: &Context) -> Result<ExitCode> {
    if context.json {
        let known = image::presets::names().filter_map(|chip| {
            let preset = image::conf::of_preset(chip)?.geometry;
            Some(Known {
                chip,
                kind: super::info::kind_words(preset.kind),
                size: preset.size,
                erasesize: preset.erasesize,
                writesize: preset.writesize,
                oobsize: preset.oobsize,
            })
        });
        output::json(&known.collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = image::presets::names().filter_map(|name| {
        let preset = image::conf::of_preset(name)?.geometry;
        let page = if preset.oobsize > 0 {
            format!("{}+{}", preset.writesize, preset.oobsize)
        } else {
            String::new()
        };
        Some(vec![
            name.to_owned(),
            super::info::kind_words(preset.kind).to_owned(),
            bytes::exact(preset.size),
            bytes::exact(preset.erasesize.into()),
            page,
        ])
    });
    output::table(
        &["CHIP", "TYPE", ">SIZE", ">BLOCK", ">PAGE"],
        rows.collect(),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The board in the making: a directory beside its place, gone when dropped.
pub struct Work {
    directory: Scratch,
    target: String,
}

impl Work {
    fn start(target: &Path) -> Result<Work> {
        let parent = target
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        if !parent.is_dir() {
            bail!(
                "{}: there is no directory {}; make it first",
                target.display(),
                parent.display()
            );
        }
        let directory = Scratch::beside(parent)
            .with_context(|| format!("{}: cannot make the board here", parent.display()))?;
        image::host_os::show_as(directory.path(), target);
        Ok(Work {
            directory,
            target: target.display().to_string(),
        })
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn write_conf(&self, draft: &BoardDraft) -> Result<Store> {
        fs::write(self.path().join("mtdshim.conf"), draft.conf())?;
        Store::open(self.path()).map_err(|error| self.in_its_place(&error))
    }

    /// Messages name the place that the person knows.
    fn in_its_place(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow!(
            "{}",
            format!("{error:#}").replace(&self.path().display().to_string(), &self.target)
        )
    }

    fn make_chips(&self) -> Result<()> {
        let store = Store::open(self.path()).map_err(|error| self.in_its_place(&error))?;
        for (index, _) in store.chips() {
            store
                .open_chip(index, Access::Change)
                .map_err(|error| self.in_its_place(&error))?
                .run(|_| Ok(()))?;
        }
        Ok(())
    }

    fn finish(self, target: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o755))?;
        self.directory
            .give_name(target)
            .with_context(|| format!("{}: cannot give the board its name", target.display()))
    }
}

fn fill_work(
    context: &Context,
    args: &NewArgs,
    dump: Option<&[u8]>,
    draft: &mut BoardDraft,
    work: &Work,
) -> Result<()> {
    if let Some(dump) = dump {
        split::write(context, dump, draft, work)?;
    } else if !args.parts.is_empty() {
        parts::write_images(draft, &args.parts, work.path())?;
    }
    work.write_conf(draft).map(drop)
}

pub fn fill(file: &File, size: u64) -> Result<()> {
    let chunk = vec![0xff; 1 << 20];
    let mut left = size;
    while left > 0 {
        interrupt::check()?;
        let count = left.min(chunk.len() as u64);
        (&*file).write_all(&chunk[..count as usize])?;
        left -= count;
    }
    Ok(())
}
