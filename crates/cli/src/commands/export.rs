//! `mtdshim export`: a partition or chip into a file, like nanddump: corrected, or raw with spare areas.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use anyhow::{Context as _, Result, bail};

use super::Context;
use crate::args::{Bad, ExportArgs};
use crate::bytes;
use crate::output;
use crate::progress::Progress;
use crate::scratch;
use crate::store::{Access, OpenChip, Target};

#[derive(Default, Serialize)]
struct Summary {
    bytes: u64,
    bad_blocks: u32,
    corrected: u32,
    failed: u32,
}

pub fn run(context: &Context, args: &ExportArgs) -> Result<ExitCode> {
    let store = context.open(None)?;
    let target = store.target(&args.target)?;
    let mut chip = store.open_chip(target.chip, Access::Look)?;
    if args.oob && chip.geometry().oobsize == 0 {
        bail!(
            "{}: this chip has no spare area; leave --oob out",
            target.name
        );
    }
    let to_stdout = args.file == Path::new("-");
    let summary = if to_stdout {
        copy(
            context,
            &mut chip,
            &target,
            args,
            &mut std::io::stdout().lock(),
        )?
    } else {
        write_file(&args.file, |file| {
            copy(context, &mut chip, &target, args, file)
        })?
    };
    if context.json && !to_stdout {
        output::json(&summary)?;
    }
    let place = place(args);
    let mut remarks = vec![format!(
        "{}: {} bytes to {place}",
        target.name, summary.bytes
    )];
    let skipped = if args.bad == Some(Bad::Skip) {
        "skipped"
    } else {
        "kept"
    };
    if summary.bad_blocks > 0 {
        remarks.push(format!(
            "{} {skipped}",
            bytes::count(summary.bad_blocks.into(), "bad block")
        ));
    }
    if summary.corrected > 0 {
        remarks.push(format!(
            "{} corrected",
            bytes::count(summary.corrected.into(), "bit")
        ));
    }
    if !context.json {
        context.say(&remarks.join(", "));
    }
    if summary.failed > 0 {
        let steps = bytes::count(summary.failed.into(), "ECC step");
        eprintln!(
            "mtdshim: {}: {steps} could not be corrected and were exported as they are; see: mtdshim check",
            target.name
        );
        return Ok(ExitCode::from(super::FOUND));
    }
    Ok(ExitCode::SUCCESS)
}

fn place(args: &ExportArgs) -> String {
    if args.file == Path::new("-") {
        "standard output".to_owned()
    } else {
        args.file.display().to_string()
    }
}

/// Under a temporary name beside its place until it is whole: an interrupted export leaves no half image.
pub fn write_file<T>(path: &Path, body: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    let failed = || format!("{}: cannot write this file", path.display());
    // What a link leads to is meant, and a device or a pipe takes bytes but never gives up its name.
    let resolved = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = resolved.as_path();
    if path.is_dir() {
        bail!("{}: this is a directory; name a file in it", path.display());
    }
    if path.exists() && !path.is_file() {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .with_context(failed)?;
        return body(&mut file);
    }
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !directory.is_dir() {
        bail!(
            "{}: there is no directory {}; make it first",
            path.display(),
            directory.display()
        );
    }
    let mut file = scratch::file_beside(directory).with_context(failed)?;
    let result = {
        let mut buffered = std::io::BufWriter::with_capacity(1 << 20, file.as_file_mut());
        let result = body(&mut buffered)?;
        buffered.flush().with_context(failed)?;
        result
    };
    set_usual_mode(file.as_file()).with_context(failed)?;
    file.persist(path)
        .map_err(|error| error.error)
        .with_context(failed)?;
    Ok(result)
}

/// A temporary file is private; a file that was asked for has the mode that any program would give it.
fn set_usual_mode(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    nix::sys::stat::umask(mask);
    file.set_permissions(std::fs::Permissions::from_mode(0o666 & !mask.bits()))
}

fn copy(
    context: &Context,
    chip: &mut OpenChip,
    target: &Target,
    args: &ExportArgs,
    to: &mut dyn Write,
) -> Result<Summary> {
    let progress = Progress::new("reading", target.size, context.quiet);
    let failed = || format!("{}: cannot write to it", place(args));
    let mut summary = Summary::default();
    let (writesize, oobsize) = (
        chip.geometry().writesize as usize,
        chip.geometry().oobsize as usize,
    );
    for block in chip.blocks(target.offset, target.size) {
        let from = block.start.max(target.offset);
        let length = (block.end().min(target.offset + target.size) - from) as usize;
        let is_bad = chip.is_bad(block.index);
        summary.bad_blocks += u32::from(is_bad);
        if is_bad && args.bad == Some(Bad::Skip) {
            progress.advance(length as u64)?;
            continue;
        }
        let mut data = vec![0; length];
        if args.oob {
            let mut oob = vec![0; length / writesize * oobsize];
            chip.read_raw(from, &mut data, Some(&mut oob))?;
            for (page, spare) in data.chunks(writesize).zip(oob.chunks(oobsize)) {
                to.write_all(page).with_context(failed)?;
                to.write_all(spare).with_context(failed)?;
            }
            summary.bytes += (data.len() + oob.len()) as u64;
        } else {
            if is_bad {
                // Like nanddump's padding: what a bad block holds means nothing.
                data.fill(0xff);
            } else {
                let outcome = chip.read(from, &mut data)?;
                summary.corrected += outcome.corrected;
                summary.failed += outcome.failed;
            }
            to.write_all(&data).with_context(failed)?;
            summary.bytes += data.len() as u64;
        }
        progress.advance(length as u64)?;
    }
    Ok(summary)
}
