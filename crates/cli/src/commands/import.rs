//! `mtdshim import`: a file into a partition or chip, as a flash programmer would: erase, program, skip what is bad.

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use flash::{Block, OpMode, Source, WriteOps};

use super::Context;
use crate::args::{Bad, ImportArgs};
use crate::bytes;
use crate::interrupt::Interrupted;
use crate::output;
use crate::progress::Progress;
use crate::reading::{self, Limit};
use crate::store::{Access, OpenChip, Target};

pub fn run(context: &Context, args: &ImportArgs) -> Result<ExitCode> {
    let store = context.open(None)?;
    let target = store.target(&args.target)?;
    let mut chip = store.open_chip(target.chip, Access::Change)?;
    let (mut file, length) = open(args, &chip, &target)?;
    if length == 0 && !args.erase_rest {
        bail!(
            "{}: there is nothing in it; to erase {} give --erase-rest as well",
            args.file.display(),
            target.name
        );
    }
    let bad = args
        .bad
        .unwrap_or(if args.oob { Bad::Keep } else { Bad::Skip });
    let plan = plan(&chip, &target, args, bad, length)?;
    let progress = Progress::new("programming", length, context.quiet);
    let mut imported = 0;
    for block in &plan.blocks {
        let unit = plan.file_bytes(&chip, block);
        let count = unit.min(length - imported);
        if count == 0 && !args.erase_rest {
            break;
        }
        let mut bytes = vec![0xff; count as usize];
        file.read_exact(&mut bytes)
            .with_context(|| format!("{}: cannot read this file", args.file.display()))?;
        put_block(&mut chip, block, &bytes, args.oob)?;
        verify(&mut chip, &target, block, &bytes, args.oob)?;
        imported += count;
        progress.advance(count).map_err(|_| {
            Interrupted::Half(format!(
                "{} has the first {imported} bytes of {}, the rest is as it was; import it again",
                target.name,
                args.file.display()
            ))
        })?;
    }
    if args.oob && bad == Bad::Keep {
        note_marks(&mut chip, &plan.blocks)?;
    }
    drop(progress);
    if context.json {
        output::json(&Imported {
            target: &target.name,
            bytes: imported,
            bad_blocks_skipped: plan.skipped,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let skipped = match plan.skipped {
        0 => String::new(),
        count => format!(", {} skipped", bytes::count(count.into(), "bad block")),
    };
    context.say(&format!(
        "{}: {imported} bytes from {}{skipped}",
        target.name,
        args.file.display()
    ));
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Imported<'a> {
    target: &'a str,
    bytes: u64,
    bad_blocks_skipped: u32,
}

/// The bytes and how many there are; what has no length beforehand (a pipe) is read whole first.
fn open(args: &ImportArgs, chip: &OpenChip, target: &Target) -> Result<(Box<dyn Read>, u64)> {
    let path = args.file.as_path();
    let file = if path.as_os_str() == "-" {
        reading::standard_input()?
    } else {
        let file = reading::open(path)?;
        let status = file.metadata()?;
        if status.is_dir() {
            bail!("{}: this is a directory; name a file", path.display());
        }
        if status.is_file() {
            return Ok((Box::new(file), status.len()));
        }
        file
    };
    let geometry = chip.geometry();
    let spare = if args.oob {
        target.size / u64::from(geometry.writesize.max(1)) * u64::from(geometry.oobsize)
    } else {
        0
    };
    let limit = Limit {
        bytes: target.size + spare,
        taker: &target.name,
    };
    let bytes = reading::rest(&file, path, &limit)?;
    let length = bytes.len() as u64;
    Ok((Box::new(std::io::Cursor::new(bytes)), length))
}

struct Plan {
    blocks: Vec<Block>,
    skipped: u32,
    with_oob: bool,
}

impl Plan {
    /// How many bytes of the file a block takes.
    fn file_bytes(&self, chip: &OpenChip, block: &Block) -> u64 {
        let geometry = chip.geometry();
        let data = u64::from(block.length);
        if self.with_oob {
            data + data / u64::from(geometry.writesize) * u64::from(geometry.oobsize)
        } else {
            data
        }
    }
}

/// Refuses before anything is erased.
fn plan(
    chip: &OpenChip,
    target: &Target,
    args: &ImportArgs,
    bad: Bad,
    length: u64,
) -> Result<Plan> {
    let geometry = chip.geometry();
    if args.oob && geometry.oobsize == 0 {
        bail!(
            "{}: this chip has no spare area; leave --oob out",
            target.name
        );
    }
    if args.offset > target.size {
        bail!(
            "{}: offset {:#x} lies behind its end",
            target.name,
            args.offset
        );
    }
    let all = chip.blocks(target.offset + args.offset, target.size - args.offset);
    let end = target.offset + target.size;
    if all
        .first()
        .is_some_and(|block| block.start != target.offset + args.offset)
        || all.last().is_some_and(|block| block.end() > end)
    {
        let size = bytes::exact(geometry.erasesize.into());
        if !args
            .offset
            .is_multiple_of(u64::from(geometry.erasesize.max(1)))
        {
            bail!(
                "--offset {:#x}: give a whole number of eraseblocks ({size})",
                args.offset
            );
        }
        bail!(
            "{}: it does not begin and end on whole eraseblocks ({size}); import to the whole chip",
            target.name
        );
    }
    let page = u64::from(geometry.writesize + geometry.oobsize);
    if args.oob && !length.is_multiple_of(page) {
        bail!(
            "{}: {length} bytes are no whole number of pages of {} + {}; is it a dump of this chip, with spare areas?",
            args.file.display(),
            geometry.writesize,
            geometry.oobsize
        );
    }
    let is_skipped = |block: &Block| bad == Bad::Skip && chip.is_bad(block.index);
    let skipped = all.iter().filter(|block| is_skipped(block)).count() as u32;
    let blocks: Vec<Block> = all.into_iter().filter(|block| !is_skipped(block)).collect();
    let plan = Plan {
        blocks,
        skipped,
        with_oob: args.oob,
    };
    let room: u64 = plan
        .blocks
        .iter()
        .map(|block| plan.file_bytes(chip, block))
        .sum();
    if length > room {
        let hint = if !args.oob && geometry.oobsize > 0 && length.is_multiple_of(page) {
            "; with --oob, if the file holds spare areas"
        } else {
            ""
        };
        bail!(
            "{}: its {length} bytes do not fit into {}, which takes {room}{hint}",
            args.file.display(),
            target.name
        );
    }
    if let Some(block) = plan
        .blocks
        .iter()
        .find(|block| chip.flags(block.index).locked)
    {
        bail!(
            "{}: block {} is locked; unlock it in a guest first (flash_unlock)",
            target.name,
            block.index
        );
    }
    Ok(plan)
}

fn put_block(chip: &mut OpenChip, block: &Block, bytes: &[u8], with_oob: bool) -> Result<()> {
    let (writesize, oobsize) = (
        chip.geometry().writesize as usize,
        chip.geometry().oobsize as usize,
    );
    let (start, length, is_bad) = (
        block.start,
        u64::from(block.length),
        chip.is_bad(block.index),
    );
    let can_erase = !matches!(chip.geometry().kind, flash::Kind::Rom);
    let is_nand = chip.geometry().is_nand();
    if is_bad && !with_oob {
        // Kept in the file, but a bad block takes nothing.
        return Ok(());
    }
    chip.run(|chip| {
        if is_bad {
            // Only a programmer that ignores the mark gets here: the bytes of a bad block come back as they were dumped.
            use flash::Area;
            let pages = start / writesize as u64;
            chip.medium.erase(Area::Main, start, length)?;
            chip.medium.erase(
                Area::Oob,
                pages * oobsize as u64,
                length / writesize as u64 * oobsize as u64,
            )?;
        } else if can_erase {
            chip.erase(start, length)?;
        }
        if !with_oob {
            // The last page is filled up as nandwrite --pad does; erased pages stay unprogrammed.
            let mut padded = bytes.to_vec();
            let unit = if is_nand {
                writesize
            } else {
                padded.len().max(1)
            };
            padded.resize(bytes.len().next_multiple_of(unit), 0xff);
            for (index, page) in padded.chunks(unit).enumerate() {
                if page.iter().any(|&byte| byte != 0xff) {
                    chip.program(
                        start + (index * unit) as u64,
                        Source::Bytes(page),
                        OpMode::Place,
                    )
                    .1?;
                }
            }
            return Ok(());
        }
        for (index, page) in bytes.chunks(writesize + oobsize).enumerate() {
            let (data, oob) = page.split_at(writesize);
            if page.iter().any(|&byte| byte != 0xff) {
                let at = start + (index * writesize) as u64;
                let ops = WriteOps {
                    mode: OpMode::Raw,
                    data: Some(Source::Bytes(data)),
                    oob: Some(Source::Bytes(oob)),
                    ooboffs: 0,
                };
                chip.write_oob(at, ops).1?;
            }
        }
        Ok(())
    })
}

/// A protected SPI NOR ignores what it is told, silently; a programmer looks.
fn verify(
    chip: &mut OpenChip,
    target: &Target,
    block: &Block,
    bytes: &[u8],
    with_oob: bool,
) -> Result<()> {
    let (writesize, oobsize) = (
        chip.geometry().writesize as usize,
        chip.geometry().oobsize as usize,
    );
    if chip.is_bad(block.index) {
        return Ok(());
    }
    let mut data = vec![0; block.length as usize];
    chip.read_raw(block.start, &mut data, None)?;
    let wanted: Vec<u8> = if with_oob {
        bytes
            .chunks(writesize + oobsize)
            .flat_map(|page| &page[..writesize])
            .copied()
            .collect()
    } else {
        bytes.to_vec()
    };
    if data[..wanted.len()] != wanted {
        bail!(
            "{}: block {} did not take the bytes; is it protected? unlock it in a guest first (flash_unlock)",
            target.name,
            block.index
        );
    }
    Ok(())
}

/// A dump brings its marks of bad blocks along; the ledger learns them.
fn note_marks(chip: &mut OpenChip, blocks: &[Block]) -> Result<()> {
    for block in blocks {
        let flags = flash::BlockFlags {
            bad: chip.run(|chip| chip.is_marked(block))?,
            ..chip.flags(block.index)
        };
        chip.ledger().set_flags(block.index, flags);
    }
    Ok(())
}
