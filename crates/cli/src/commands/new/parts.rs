//! One file for each mtd -> one chip whose image is the files in a row, or a chip for each kind of eraseblock.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::capture::{self, Row};
use super::draft::{BoardDraft, ChipDraft, PartitionDraft};
use crate::reading::{self, Limit};

const ERASESIZE: u64 = 0x10000;

/// Each file keeps being a file of its own in the board: the partition's image.
pub fn board(files: &[PathBuf], rows: Option<&[Row]>) -> Result<BoardDraft> {
    if let Some(rows) = rows
        && rows.len() != files.len()
    {
        bail!(
            "{} and {} files: give one file for each mtd, in order",
            rows.len(),
            files.len()
        );
    }
    let mut draft = match rows {
        Some(rows) => capture::board(rows, "a captured /proc/mtd"),
        None => BoardDraft {
            chips: vec![ChipDraft {
                source: "one file for each mtd".to_owned(),
                ..ChipDraft::nor("nor0", 0, ERASESIZE)
            }],
            ..BoardDraft::default()
        },
    };
    let mut offset = 0;
    if rows.is_none() {
        for path in files {
            let size = length(path)?;
            draft.chips[0].partitions.push(PartitionDraft {
                name: name_of(path),
                offset: Some(offset),
                size: Some(size.next_multiple_of(ERASESIZE)),
                ..PartitionDraft::default()
            });
            offset += size.next_multiple_of(ERASESIZE);
        }
        draft.chips[0].size = Some(offset);
        if offset > 64 << 20 {
            draft.remarks.push("together the files are larger than usual for NOR; for NAND give --type nand --erasesize 128K --writesize 2048 --oobsize 64".to_owned());
        }
    }
    Ok(draft)
}

fn length(path: &Path) -> Result<u64> {
    let status = std::fs::metadata(path)
        .with_context(|| format!("{}: cannot look at this file", path.display()))?;
    if !status.is_file() || status.len() == 0 {
        bail!("{}: this is no file with bytes in it", path.display());
    }
    Ok(status.len())
}

/// `mtd3_rootfs.bin` and `mtd3-rootfs` are `rootfs`; `mtd3.bin` stays `mtd3`.
fn name_of(path: &Path) -> String {
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let inner = stem
        .strip_prefix("mtd")
        .map(|rest| rest.trim_start_matches(|letter: char| letter.is_ascii_digit()));
    let inner = inner
        .map(|rest| rest.trim_start_matches(['_', '-', '.', ' ']))
        .filter(|rest| !rest.is_empty());
    inner.unwrap_or(&stem).to_owned()
}

/// The images of the draft's chips, in order of the files; gaps and the rest are 0xFF.
pub fn write_images(draft: &BoardDraft, files: &[PathBuf], directory: &Path) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let mut files = files.iter();
    for chip in &draft.chips {
        let path = directory.join(format!("{}.bin", chip.name));
        let image = File::create_new(&path)?;
        super::fill(&image, chip.size.unwrap_or(0))?;
        let mut cursor = 0;
        for partition in &chip.partitions {
            let Some(file) = files.next() else { break };
            let at = partition.offset.unwrap_or(cursor);
            let size = partition.size.unwrap_or(0);
            let limit = Limit {
                bytes: size,
                taker: &format!("\"{}\"", partition.name),
            };
            let bytes = reading::file(file, &limit)?;
            image.write_all_at(&bytes, at)?;
            cursor = at + size;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_names_come_from_file_names() {
        for (file, name) in [
            ("mtd3_rootfs.bin", "rootfs"),
            ("dumps/mtd0-u-boot.img", "u-boot"),
            ("mtd7.bin", "mtd7"),
            ("kernel", "kernel"),
        ] {
            assert_eq!(name_of(Path::new(file)), name);
        }
    }
}
