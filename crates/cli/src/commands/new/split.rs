//! The bytes of a dump into the files of a new board, and the ECC that its spare areas follow, found by trying.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Result, bail};

use super::Work;
use super::draft::BoardDraft;
use crate::commands::Context;
use crate::interrupt;
use crate::store::Access;

/// Codes in the order in which they are tried; of equals the first wins.
const CODES: &[&str] = &[
    "hamming", "bch4", "bch8", "bch1", "bch2", "bch3", "bch5", "bch6", "bch7",
];
const SAMPLED_PAGES: usize = 200;
/// Pages copied between two looks for Ctrl-C.
const CHECKED_PAGES: usize = 1024;
/// More wrong steps than this and the spare areas follow none of our codes.
const WRONG_SHARE_MAX: f64 = 0.02;

pub fn write(context: &Context, dump: &[u8], draft: &mut BoardDraft, work: &Work) -> Result<()> {
    let Some(chip) = draft.chips.first() else {
        return Ok(());
    };
    let image = work.path().join(format!("{}.bin", chip.name));
    let (page, oob) = (
        chip.writesize.unwrap_or(0) as usize,
        chip.oobsize.unwrap_or(0) as usize,
    );
    let size = chip.size.unwrap_or(0) as usize;
    let with_spare = oob > 0 && page > 0 && dump.len() == size / page * (page + oob);
    if !with_spare {
        if dump.len() != size {
            bail!(
                "the dump has {} bytes and the chip {size}; leave --size out, or give a chip that fits",
                dump.len()
            );
        }
        std::fs::write(image, dump)?;
        return Ok(());
    }
    let mut data = BufWriter::with_capacity(1 << 20, File::create_new(image)?);
    let mut spare = BufWriter::with_capacity(
        1 << 20,
        File::create_new(work.path().join(format!("{}.oob", chip.name)))?,
    );
    for (number, whole) in dump.chunks_exact(page + oob).enumerate() {
        if number.is_multiple_of(CHECKED_PAGES) {
            interrupt::check()?;
        }
        data.write_all(&whole[..page])?;
        spare.write_all(&whole[page..])?;
    }
    data.flush()?;
    spare.flush()?;
    if chip.ecc.is_none() {
        find_code(context, draft, work)?;
    }
    Ok(())
}

fn find_code(context: &Context, draft: &mut BoardDraft, work: &Work) -> Result<()> {
    let mut best: Option<(f64, &str)> = None;
    for code in CODES {
        draft.chips[0].ecc = Some((*code).to_owned());
        interrupt::check()?;
        // A code that finds no room in the spare area is refused, and is not the one.
        let Ok(wrong) = wrong_share(draft, work) else {
            continue;
        };
        if best.is_none_or(|(least, _)| wrong < least) {
            best = Some((wrong, code));
        }
        if wrong == 0.0 {
            break;
        }
    }
    let found = best
        .filter(|(wrong, _)| *wrong <= WRONG_SHARE_MAX)
        .map_or("none", |(_, code)| code);
    draft.remarks.push(match best {
        Some((wrong, code)) if code == found => format!("ECC {code}: {:.1} % of the sampled steps are wrong under it", wrong * 100.0),
        Some((wrong, code)) => format!("ECC none: the spare areas follow none of the codes here (best {code}, {:.0} % wrong), so bytes are taken as they are", wrong * 100.0),
        None => "ECC none: no code fits into the spare area".to_owned(),
    });
    draft.chips[0].ecc = Some(found.to_owned());
    let _ = context;
    Ok(())
}

/// Of the ECC steps in sampled pages that hold data, how many cannot be corrected.
fn wrong_share(draft: &BoardDraft, work: &Work) -> Result<f64> {
    let store = work.write_conf(draft)?;
    let mut chip = store.open_chip(0, Access::Look)?;
    let geometry = *chip.geometry();
    let pages = geometry.page_count();
    let mut page = vec![0; geometry.writesize as usize];
    let (mut seen, mut wrong, mut number) = (0usize, 0u32, 0u64);
    // Programmed pages crowd at the start of most chips, so the step through the chip is small and grows.
    let mut stride = 1;
    while number < pages && seen < SAMPLED_PAGES {
        let at = number * u64::from(geometry.writesize);
        chip.read_raw(at, &mut page, None)?;
        let block = geometry.block_at(at).map_or(0, |block| block.index);
        if page.iter().any(|&byte| byte != 0xff) && !chip.is_bad(block) {
            wrong += chip.read(at, &mut page)?.failed;
            seen += 1;
            stride = (pages / (4 * SAMPLED_PAGES as u64)).max(1);
        }
        number += stride;
    }
    let steps = seen as u32 * geometry.ecc_steps();
    Ok(if steps == 0 {
        0.0
    } else {
        f64::from(wrong) / f64::from(steps)
    })
}
