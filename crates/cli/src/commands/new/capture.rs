//! A captured /proc/mtd -> chips. It tells sizes, eraseblocks and names; offsets, types and chips are inferred.

use anyhow::{Result, bail};

use super::draft::{BoardDraft, ChipDraft, PartitionDraft};

pub struct Row {
    pub size: u64,
    pub erasesize: u64,
    pub name: String,
}

pub fn parse(text: &str, file: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with("dev:") {
            continue;
        }
        match row(line) {
            Some(row) => rows.push(row),
            None => bail!(
                "{file}:{}: this is no line of /proc/mtd such as mtd0: 00040000 00010000 \"u-boot\"",
                index + 1
            ),
        }
    }
    if rows.is_empty() {
        bail!("{file}: there is no mtd in it");
    }
    let total = rows
        .iter()
        .try_fold(0u64, |sum, row| sum.checked_add(row.size));
    if total.is_none() {
        bail!("{file}: its sizes together are larger than any chip");
    }
    Ok(rows)
}

fn row(line: &str) -> Option<Row> {
    let (device, rest) = line.trim().split_once(':')?;
    device.strip_prefix("mtd")?.parse::<u32>().ok()?;
    let (size, rest) = rest.trim_start().split_once(' ')?;
    let (erasesize, name) = rest.trim_start().split_once(' ')?;
    let name = name.trim().strip_prefix('"')?.strip_suffix('"')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    Some(Row {
        size: hex(size)?,
        erasesize: hex(erasesize)?,
        name: name.to_owned(),
    })
}

/// Devices of one eraseblock size in a row are taken for one chip.
pub fn board(rows: &[Row], source: &str) -> BoardDraft {
    let mut draft = BoardDraft::default();
    let (mut nors, mut nands) = (0, 0);
    for group in rows.chunk_by(|one, next| one.erasesize == next.erasesize) {
        let (partitions, size) = place(group);
        let erasesize = group[0].erasesize;
        // A page of NAND never shows here; large blocks on a large chip are what speaks for NAND.
        let is_nand = erasesize >= 0x20000 && size > 64 << 20 || erasesize == 0x4000;
        let mut chip = if is_nand {
            nands += 1;
            let (writesize, oobsize) = if erasesize == 0x4000 {
                (512, 16)
            } else if erasesize > 0x20000 {
                (4096, 128)
            } else {
                (2048, 64)
            };
            ChipDraft {
                ecc: Some("hamming".to_owned()),
                ..ChipDraft::nand(
                    &format!("nand{}", nands - 1),
                    size,
                    erasesize,
                    writesize,
                    oobsize,
                )
            }
        } else {
            nors += 1;
            ChipDraft::nor(&format!("nor{}", nors - 1), size, erasesize)
        };
        chip.source = format!("from {source}; the chip may be larger than what has a partition");
        chip.partitions = partitions;
        draft.chips.push(chip);
    }
    draft.remarks.push("a /proc/mtd tells neither chips nor offsets: equal eraseblocks in a row became one chip, sizes were placed in order".to_owned());
    draft
}

/// In order, except for what is known to lie over others: a whole chip first, and OpenWrt's split firmware and rootfs.
pub fn place(rows: &[Row]) -> (Vec<PartitionDraft>, u64) {
    let mut placed: Vec<(u64, &Row)> = Vec::new();
    let (mut cursor, mut end) = (0, 0);
    for (index, row) in rows.iter().enumerate() {
        let rest: u64 = rows[index + 1..].iter().map(|other| other.size).sum();
        let over = |name: &str| {
            placed
                .iter()
                .rev()
                .find(|(_, other)| other.name == name)
                .map(|(offset, other)| (*offset, other.size))
        };
        let at = match (row.name.as_str(), over("firmware"), over("rootfs")) {
            ("rootfs_data", _, Some((offset, size))) if row.size <= size => {
                offset + size - row.size
            }
            ("kernel", Some((offset, size)), _) if row.size < size => offset,
            ("rootfs" | "ubi", Some((offset, size)), _)
                if over("kernel")
                    .is_some_and(|(at, kernel)| at == offset && kernel + row.size == size) =>
            {
                offset + size - row.size
            }
            _ => cursor,
        };
        placed.push((at, row));
        let is_whole_chip = index == 0 && rows.len() > 2 && row.size == rest;
        if !is_whole_chip && at == cursor {
            cursor = at + row.size;
        }
        end = end.max(at + row.size);
    }
    let mut previous_end = 0;
    let drafts = placed.iter().map(|(at, row)| {
        let offset = (*at != previous_end).then_some(*at);
        previous_end = at + row.size;
        PartitionDraft {
            name: row.name.clone(),
            offset,
            size: Some(row.size),
            ..PartitionDraft::default()
        }
    });
    (drafts.collect(), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(list: &[(&str, u64)]) -> Vec<Row> {
        list.iter()
            .map(|(name, size)| Row {
                size: *size,
                erasesize: 0x10000,
                name: (*name).to_owned(),
            })
            .collect()
    }

    #[test]
    fn openwrt_splits_lie_inside_what_they_split() {
        let (partitions, size) = place(&rows(&[
            ("u-boot", 0x30000),
            ("firmware", 0xfb0000),
            ("kernel", 0x200000),
            ("rootfs", 0xdb0000),
            ("rootfs_data", 0x900000),
            ("art", 0x10000),
        ]));
        let offsets: Vec<_> = partitions
            .iter()
            .map(|partition| partition.offset)
            .collect();
        assert_eq!(
            offsets,
            [None, None, Some(0x30000), None, Some(0x6e0000), None]
        );
        assert_eq!(size, 0xff0000);
    }

    #[test]
    fn a_first_device_as_large_as_all_others_is_the_whole_chip() {
        let (partitions, size) = place(&rows(&[("ALL", 0x30000), ("a", 0x10000), ("b", 0x20000)]));
        assert_eq!(partitions[1].offset, Some(0));
        assert_eq!(size, 0x30000);
    }
}
