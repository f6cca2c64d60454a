//! A dump of a whole chip -> the chip it most likely came from: from its size, then from what is in it.

use anyhow::{Result, bail};

use super::draft::{BoardDraft, ChipDraft};
use crate::args::ChipArgs;
use crate::bytes;

/// Page and spare bytes of NAND chips that exist, with the pages of a block.
const PAGES: &[(u64, u64, u64)] = &[
    (512, 16, 32),
    (2048, 64, 64),
    (2048, 128, 64),
    (4096, 128, 64),
    (4096, 224, 64),
    (4096, 256, 64),
    (8192, 448, 128),
    (8192, 640, 128),
];
const SAMPLED_PAGES: usize = 4096;

pub fn board(dump: &[u8], file: &str, args: &ChipArgs) -> Result<BoardDraft> {
    args.check()?;
    let length = dump.len() as u64;
    let mut draft = BoardDraft::default();
    let given = args.writesize.zip(args.oobsize);
    let with_oob = match given {
        Some((page, oob)) if oob > 0 => {
            Some((page, oob, args.erasesize.unwrap_or(page * 64) / page.max(1)))
        }
        Some(_) => None,
        None => nand_with_spare(dump, &mut draft.remarks),
    };
    let mut chip = match with_oob {
        Some((page, oob, pages)) => {
            let size = length / (page + oob) * page;
            ChipDraft::nand("nand0", size, page * pages, page, oob)
        }
        None => without_spare(dump, file, args, &mut draft.remarks)?,
    };
    chip.source = format!(
        "from a dump of {length} bytes{}",
        if with_oob.is_some() {
            ", spare areas included"
        } else {
            ""
        }
    );
    match mtdparts(dump) {
        Some(text) => {
            draft.remarks.push(format!("partitions: '{text}' stands in the dump"));
            // The id of the text names the chip, so that both agree.
            let id = text.trim_start_matches("mtdparts=").split(':').next().unwrap_or("");
            chip.mtd_name = Some(id.to_owned()).filter(|id| !id.is_empty());
            chip.mtdparts = Some(text);
        }
        None => draft.remarks.push("no mtdparts= stands in the dump: the chip is one device; add partitions with --mtdparts or --proc-mtd".to_owned()),
    }
    draft.chips.push(chip);
    Ok(draft)
}

/// Page, spare bytes, pages of a block; judged by the bytes where each candidate expects the marks of bad blocks.
fn nand_with_spare(dump: &[u8], remarks: &mut Vec<String>) -> Option<(u64, u64, u64)> {
    let length = dump.len() as u64;
    let fits = |(page, oob, pages): &&(u64, u64, u64)| {
        length.is_multiple_of((page + oob) * pages)
            && (length / (page + oob) * page).is_power_of_two()
    };
    let candidates: Vec<_> = PAGES.iter().filter(fits).collect();
    let scored: Vec<(f64, &(u64, u64, u64))> = candidates
        .iter()
        .map(|one| (score(dump, one.0 as usize, one.1 as usize), *one))
        .collect();
    let best = scored
        .iter()
        .max_by(|one, other| one.0.total_cmp(&other.0))?;
    if scored.len() > 1 {
        let words: Vec<String> = scored
            .iter()
            .map(|(score, one)| format!("{}+{}: {:.0} %", one.0, one.1, score * 100.0))
            .collect();
        remarks.push(format!(
            "page + spare bytes by how clean the marks of bad blocks are: {}",
            words.join(", ")
        ));
    }
    Some(*best.1)
}

/// Of the pages that are not erased, how many have an unset mark and some erased spare bytes at the place expected.
fn score(dump: &[u8], page: usize, oob: usize) -> f64 {
    let stride = (dump.len() / (page + oob) / SAMPLED_PAGES).max(1);
    let (mut seen, mut good) = (0u32, 0u32);
    for whole in dump.chunks_exact(page + oob).step_by(stride) {
        let (data, spare) = whole.split_at(page);
        if whole.iter().all(|&byte| byte == 0xff) || data.iter().all(|&byte| byte == 0xff) {
            continue;
        }
        seen += 1;
        let mark = if page > 512 { 0 } else { 5 };
        let erased = spare.iter().filter(|&&byte| byte == 0xff).count();
        good += u32::from(spare[mark] == 0xff && erased * 8 >= spare.len() && erased < spare.len());
    }
    if seen == 0 {
        0.0
    } else {
        f64::from(good) / f64::from(seen)
    }
}

fn without_spare(
    dump: &[u8],
    file: &str,
    args: &ChipArgs,
    remarks: &mut Vec<String>,
) -> Result<ChipDraft> {
    let length = dump.len() as u64;
    let wants_nand = args.kind.as_deref().map(|kind| kind.contains("nand"));
    if let Some(ubi) = ubi_geometry(dump) {
        if ubi.page > 1 && wants_nand != Some(false) {
            remarks.push(format!(
                "NAND: UBI headers lie {} apart and say that a page has {} bytes",
                bytes::exact(ubi.block),
                ubi.page
            ));
            remarks.push(
                "the dump has no spare areas: their ECC is computed when the board is made"
                    .to_owned(),
            );
            let oob = if ubi.page == 512 { 16 } else { ubi.page / 32 };
            let chip = ChipDraft::nand("nand0", length, ubi.block, ubi.page, oob);
            return Ok(ChipDraft {
                ecc: Some("hamming".to_owned()),
                subpages: (ubi.subpages > 1).then_some(ubi.subpages),
                ..chip
            });
        }
        return Ok(ChipDraft::nor("nor0", length, ubi.block));
    }
    if wants_nand.unwrap_or(length > 64 << 20 && length.is_power_of_two()) {
        remarks.push("larger than usual for NOR: taken for NAND with pages of 2048; its spare areas are not in the dump, their ECC is computed".to_owned());
        return Ok(ChipDraft {
            ecc: Some("hamming".to_owned()),
            ..ChipDraft::nand("nand0", length, 0x20000, 2048, 64)
        });
    }
    if !length.is_multiple_of(0x1000) || length == 0 {
        bail!(
            "{file}: {length} bytes: no chip has this size, with or without spare areas; is the dump whole? Else give --writesize and --oobsize"
        );
    }
    if !length.is_power_of_two() {
        remarks.push(format!(
            "{length} bytes are no power of two: a part of a chip, or a dump that was cut"
        ));
    }
    let erasesize = if length.is_multiple_of(0x10000) {
        0x10000
    } else {
        0x1000
    };
    remarks.push(format!(
        "NOR by its size; {} eraseblocks are the most common, change them with --erasesize",
        bytes::exact(erasesize)
    ));
    Ok(ChipDraft::nor("nor0", length, erasesize))
}

struct Ubi {
    block: u64,
    page: u64,
    subpages: u64,
}

/// The distance of UBI's headers is the eraseblock; the headers say where the page begins.
fn ubi_geometry(dump: &[u8]) -> Option<Ubi> {
    let starts: Vec<usize> = (0..dump.len())
        .step_by(4096)
        .filter(|&at| dump[at..].starts_with(b"UBI#\x01"))
        .collect();
    let distance = starts.windows(2).map(|pair| pair[1] - pair[0]).min()?;
    let header = &dump[starts[0]..];
    let word = |at: usize| {
        header
            .get(at..at + 4)
            .map(|word| u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]])))
    };
    let (vid, data) = (word(16)?, word(20)?);
    // Data follows the second header on the next page; a header of its own subpage lies nearer.
    let page = if vid == 64 {
        1
    } else if data >= 2 * vid {
        data - vid
    } else {
        data
    };
    let subpages = if vid < page { page / vid.max(1) } else { 1 };
    let is_plain = distance.is_power_of_two() && page.is_power_of_two();
    is_plain.then_some(Ubi {
        block: distance as u64,
        page,
        subpages,
    })
}

/// A kernel's command line or a U-Boot environment in the dump.
fn mtdparts(dump: &[u8]) -> Option<String> {
    let key = b"mtdparts=";
    let mut from = 0;
    while let Some(found) = dump[from..]
        .windows(key.len())
        .position(|window| window == key)
    {
        let start = from + found;
        let end = dump[start..]
            .iter()
            .position(|&byte| !(0x21..0x7f).contains(&byte) || byte == b'"' || byte == b'\'')?
            + start;
        let text = std::str::from_utf8(&dump[start..end]).ok()?;
        // `mtdparts=mtdparts=` is how a U-Boot variable is written.
        let text = text
            .strip_prefix("mtdparts=mtdparts=")
            .map_or(text.to_owned(), |rest| format!("mtdparts={rest}"));
        if text.contains(':')
            && text.contains('(')
            && text.contains(')')
            && !text.contains('$')
            && !text.contains('%')
        {
            return Some(text);
        }
        from = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_table_is_found_in_an_environment() {
        let dump = b"\0\0bootargs=console=ttyS0 ${mtdparts}\0mtdparts=mtdparts=nor0:256k(u-boot),-(rest)\0x=1\0\0".to_vec();
        assert_eq!(
            mtdparts(&dump).as_deref(),
            Some("mtdparts=nor0:256k(u-boot),-(rest)")
        );
    }

    #[test]
    fn pages_are_told_apart_by_their_marks() {
        let mut dump = Vec::new();
        for page in 0..64 * 64u32 {
            dump.extend((0..2048u32).map(|byte| (byte * 7 + page) as u8));
            let mut spare = [0xff; 64];
            spare[40..].fill(page as u8);
            dump.extend(spare);
        }
        assert_eq!(
            nand_with_spare(&dump, &mut Vec::new()),
            Some((2048, 64, 64))
        );
    }
}
