//! `mtdshim check`: do configuration, image, spare area and side file fit together, and can every page be read.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use image::DeviceView;
use mtd_abi::flag;
use serde::Serialize;

use super::Context;
use crate::bytes;
use crate::output;
use crate::progress::Progress;
use crate::store::{Access, OpenChip, Store};

#[derive(Serialize, PartialEq, Eq, Clone, Copy, Debug)]
#[serde(rename_all = "lowercase")]
enum Weight {
    Note,
    Warning,
    Error,
}

/// What was found, and what to do.
#[derive(Serialize)]
struct Finding {
    weight: Weight,
    place: String,
    what: String,
    advice: String,
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        weight: Weight,
        place: impl ToString,
        what: impl ToString,
        advice: impl ToString,
    ) {
        self.0.push(Finding {
            weight,
            place: place.to_string(),
            what: what.to_string(),
            advice: advice.to_string(),
        });
    }
}

/// An image without its spare area: where that and the side file are.
fn lost_spare_area(store: &Store, config: &image::ChipConfig) -> Option<(String, String)> {
    let paths = image::chip_files::ChipPaths::of(store.board.directory(), config);
    let exists = |path: &image::PathText| Path::new(path.as_str()).exists();
    let is_lost = config.geometry.oobsize > 0 && exists(&paths.image) && !exists(&paths.oob);
    is_lost.then(|| {
        (
            paths.oob.as_str().to_owned(),
            paths.side.as_str().to_owned(),
        )
    })
}

pub fn run(context: &Context, place: Option<&Path>) -> Result<ExitCode> {
    let store = context.open(place)?;
    let mut findings = Findings(Vec::new());
    let mut pages = 0;
    check_partitions(&store, &mut findings);
    for (index, config) in store.chips() {
        match store.open_chip(index, Access::Look) {
            Ok(mut chip) => pages += check_chip(context, &store, &mut chip, &mut findings)?,
            Err(error) => {
                if !store.has_files(index)? {
                    findings.add(
                        Weight::Note,
                        config.name.as_str(),
                        "its files are not made yet",
                        "nothing to do: the first program makes an erased chip",
                    );
                } else if let Some((oob, side)) = lost_spare_area(&store, &config) {
                    findings.add(
                        Weight::Error,
                        config.name.as_str(),
                        format!("{oob}: the spare-area file is missing"),
                        format!(
                            "put it back; if it is lost, delete {side} as well: the next program that opens the chip makes both, with the ECC of every page"
                        ),
                    );
                } else {
                    findings.add(
                        Weight::Error,
                        config.name.as_str(),
                        format!("{error:#}"),
                        "",
                    );
                }
            }
        }
    }
    report(context, &store, &findings.0, pages)?;
    let is_sound = findings
        .0
        .iter()
        .all(|finding| finding.weight == Weight::Note);
    Ok(if is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(super::FOUND)
    })
}

fn report(context: &Context, store: &Store, findings: &[Finding], pages: u64) -> Result<()> {
    if context.json {
        return output::json(&findings);
    }
    for finding in findings {
        let word = match finding.weight {
            Weight::Note => "note",
            Weight::Warning => "warning",
            Weight::Error => "error",
        };
        let advice = if finding.advice.is_empty() {
            String::new()
        } else {
            format!("; {}", finding.advice)
        };
        output::line(format!(
            "{word}: {}: {}{advice}",
            finding.place, finding.what
        ))?;
    }
    let count = |weight| {
        findings
            .iter()
            .filter(|finding| finding.weight == weight)
            .count() as u64
    };
    let verdict = match (count(Weight::Error), count(Weight::Warning)) {
        (0, 0) => "sound".to_owned(),
        (errors, warnings) => format!(
            "{}, {}",
            bytes::count(errors, "error"),
            bytes::count(warnings, "warning")
        ),
    };
    let read = if pages > 0 {
        format!(", {} verified", bytes::count(pages, "page"))
    } else {
        String::new()
    };
    output::line(format!(
        "{}: {} checked{read}: {verdict}",
        store.directory.display(),
        bytes::count(store.chips().len() as u64, "chip")
    ))
}

fn check_partitions(store: &Store, findings: &mut Findings) {
    let devices: Vec<DeviceView> = store.devices();
    for (position, device) in devices.iter().enumerate() {
        let Some(chip) = store.board.chip(device.chip) else {
            continue;
        };
        let place = format!("mtd{} \"{}\"", device.index, device.name);
        if device.is_partition
            && chip.mtd_flags & flag::WRITEABLE != 0
            && device.flags & flag::WRITEABLE == 0
        {
            let aligned = device.offset.is_multiple_of(device.erasesize.into())
                && device.size.is_multiple_of(device.erasesize.into());
            if !aligned {
                findings.add(
                    Weight::Warning,
                    &place,
                    "it is not on eraseblock boundaries, so it is read-only as in the kernel",
                    format!(
                        "make offset and size multiples of {}",
                        bytes::exact(device.erasesize.into())
                    ),
                );
            }
        }
        let overlaps = |other: &&DeviceView| {
            other.chip == device.chip
                && other.is_partition
                && device.is_partition
                && other.offset < device.offset + device.size
                && device.offset < other.offset + other.size
        };
        for other in devices[..position].iter().filter(overlaps) {
            findings.add(
                Weight::Note,
                &place,
                format!("it overlaps mtd{} \"{}\"", other.index, other.name),
                "fine if that is meant",
            );
        }
    }
}

/// Answers how many pages were read.
fn check_chip(
    context: &Context,
    store: &Store,
    chip: &mut OpenChip,
    findings: &mut Findings,
) -> Result<u64> {
    let name = chip.config.name.as_str().to_owned();
    check_ledger(chip, &name, findings);
    if !chip.geometry().is_nand() {
        return Ok(0);
    }
    // Every page is to be looked at, also those that the ledger holds for erased; this ledger is a copy.
    let geometry = *chip.geometry();
    chip.ledger().next_epoch(&geometry);
    check_marks(chip, &name, findings)?;
    check_codes(context, store, chip, &name, findings)
}

fn check_ledger(chip: &OpenChip, name: &str, findings: &mut Findings) {
    let side = chip.paths.side.as_str();
    if !chip.has_side_file() {
        findings.add(
            Weight::Note,
            name,
            "it has no side file yet",
            "nothing to do: the first program makes it",
        );
    }
    let (mut from, ledger) = (0, chip.ledger());
    while let Some(damage) = ledger.damage(chip.geometry(), from) {
        let what = match damage.block {
            Some(block) => format!(
                "the record of block {block} in {side} is damaged (word {})",
                damage.word_index
            ),
            None => format!("word {} of {side} is damaged", damage.word_index),
        };
        let advice = "delete the side file to start with unknown wear and bad blocks scanned anew; bytes are not touched";
        findings.add(Weight::Error, name, what, advice);
        from = damage.word_index + 1;
    }
}

/// The mark in the spare area is what lasts, the ledger is what the kernel's table would say.
fn check_marks(chip: &mut OpenChip, name: &str, findings: &mut Findings) -> Result<()> {
    let geometry = *chip.geometry();
    for block in chip.blocks(0, geometry.size) {
        let is_marked = chip.run(|chip| chip.is_marked(&block))?;
        let place = format!("{name}: block {} at {:#x}", block.index, block.start);
        match (is_marked, chip.flags(block.index).bad) {
            (true, false) => findings.add(
                Weight::Warning,
                place,
                "it is marked bad in the spare area, and good in the side file",
                "delete the side file to have the marks scanned anew, or erase the block",
            ),
            // Raw NAND drivers mark the page of the address given, so a mark elsewhere in the block is usual.
            (false, true) => findings.add(
                Weight::Note,
                place,
                "it is bad in the side file, without a mark where one is looked for",
                "it becomes good when the side file is deleted",
            ),
            _ => {}
        }
    }
    Ok(())
}

fn check_codes(
    context: &Context,
    store: &Store,
    chip: &mut OpenChip,
    name: &str,
    findings: &mut Findings,
) -> Result<u64> {
    let geometry = *chip.geometry();
    if geometry.ecc_total_bytes() == 0 {
        return Ok(0);
    }
    let progress = Progress::new("verifying ECC", geometry.size, context.quiet);
    let mut pages = 0;
    for block in chip.blocks(0, geometry.size) {
        progress.advance(block.length.into())?;
        if chip.is_bad(block.index) {
            continue;
        }
        pages += u64::from(block.length / geometry.writesize);
        let mut data = vec![0; block.length as usize];
        let outcome = chip.read(block.start, &mut data)?;
        let place = || {
            let device = store.devices().into_iter().find(|device| {
                device.chip
                    == store
                        .chips()
                        .iter()
                        .position(|(_, config)| config.name.as_str() == name)
                        .unwrap_or(0)
                    && device.is_partition
                    && (device.offset..device.offset + device.size).contains(&block.start)
            });
            let device = device
                .map(|device| format!(" (mtd{} \"{}\")", device.index, device.name))
                .unwrap_or_default();
            format!(
                "{name}: block {} at {:#x}{device}",
                block.index, block.start
            )
        };
        if outcome.failed > 0 {
            let steps = bytes::count(outcome.failed.into(), "ECC step");
            findings.add(Weight::Error, place(), format!("{steps} cannot be corrected"),
                "if the dump was made without ECC, or with another one, set ecc in mtdshim.conf; else erase the block and import it again");
        } else if outcome.max_bitflips >= geometry.bitflip_threshold_default()
            && outcome.max_bitflips > 0
        {
            findings.add(
                Weight::Warning,
                place(),
                format!(
                    "{} corrected, up to {} in a step",
                    bytes::count(outcome.corrected.into(), "bit"),
                    outcome.max_bitflips
                ),
                "readers get EUCLEAN; export and import the block to refresh it",
            );
        } else if outcome.corrected > 0 {
            findings.add(
                Weight::Note,
                place(),
                format!(
                    "{} corrected",
                    bytes::count(outcome.corrected.into(), "bit")
                ),
                "",
            );
        }
    }
    Ok(pages)
}
