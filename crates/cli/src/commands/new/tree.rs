//! A device tree blob -> chips and partitions: nodes with a `fixed-partitions` child, or with the older direct children.
//!
//! Source: the bindings mtd/partitions/fixed-partitions, mtd/jedec,spi-nor, mtd/nand-controller, mtd/mtd-physmap.

use anyhow::{Result, anyhow, bail};
use dtoolkit::fdt::{Fdt, FdtNode};
use dtoolkit::{Node, Property};

use super::draft::{BoardDraft, ChipDraft, PartitionDraft};
use super::place::Place;

pub fn board(blob: &[u8], file: &str) -> Result<BoardDraft> {
    let tree = Fdt::new(without_padding(blob)).map_err(|error| {
        anyhow!("{file}: this is no device tree blob: {error}; compile a .dts with dtc first")
    })?;
    let mut draft = BoardDraft::default();
    // In the order of the text, without recursion: how deep a tree goes is up to who wrote it.
    let mut left = vec![(tree.root(), Place::root())];
    while let Some((node, place)) = left.pop() {
        let children: Vec<_> = node.children().collect();
        let children = children.into_iter().rev();
        left.extend(children.map(|child| (child, place.below(&node, &child))));
        let Some(holder) = partition_holder(&node) else {
            continue;
        };
        let holder_place = if holder.name() == node.name() {
            place.clone()
        } else {
            place.below(&node, &holder)
        };
        let partitions = partitions(&holder, &holder_place);
        if partitions.is_empty() || is_disabled(&node) {
            continue;
        }
        let mut chip = chip(&node, &draft, partitions);
        chip.parent = place.parent(&node, &tree.root());
        if chip.preset.is_none() {
            draft.remarks.push(format!("{}: the tree does not say how large the chip is; its size is the end of the last partition, rounded up", chip.name));
        }
        draft.chips.push(chip);
    }
    if draft.chips.is_empty() {
        bail!(
            "{file}: no node in it has fixed-partitions; pass partitions with --mtdparts or --proc-mtd"
        );
    }
    Ok(draft)
}

/// A blob that was cut out of a partition has something behind it.
fn without_padding(blob: &[u8]) -> &[u8] {
    let size = blob.get(4..8).and_then(|word| cells(word, 1));
    size.and_then(|(size, _)| blob.get(..usize::try_from(size).ok()?))
        .unwrap_or(blob)
}

fn is_disabled(node: &FdtNode<'_>) -> bool {
    text(node, "status").is_some_and(|status| status == "disabled")
}

pub(super) fn compatibles(node: &FdtNode<'_>) -> Vec<String> {
    let list = node.property("compatible");
    let names = list
        .iter()
        .flat_map(|list| list.value().split(|&byte| byte == 0));
    names
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

/// The node whose children are the partitions of `node`.
fn partition_holder<'a>(node: &FdtNode<'a>) -> Option<FdtNode<'a>> {
    if compatibles(node)
        .iter()
        .any(|name| name == "fixed-partitions")
    {
        return None;
    }
    let fixed = node.children().find(|child| {
        compatibles(child)
            .iter()
            .any(|name| name == "fixed-partitions")
    });
    let is_flash = || {
        let names = compatibles(node);
        node.name().starts_with("nand")
            || names.iter().any(|name| {
                ["jedec,spi-nor", "cfi-flash", "spi-nand", "m25p80"].contains(&name.as_str())
            })
    };
    fixed.or_else(|| {
        let has_direct = is_flash()
            && node
                .children()
                .any(|child| child.name().starts_with("partition@"));
        has_direct.then_some(*node)
    })
}

fn partitions(holder: &FdtNode<'_>, place: &Place) -> Vec<PartitionDraft> {
    let (address_cells, size_cells) = (
        number(holder, "#address-cells").unwrap_or(1),
        number(holder, "#size-cells").unwrap_or(1),
    );
    let mut found: Vec<PartitionDraft> = holder
        .children()
        .filter_map(|child| {
            let reg = child.property("reg")?;
            let (offset, rest) = cells(reg.value(), address_cells)?;
            let (size, _) = cells(rest, size_cells)?;
            let name =
                text(&child, "label").unwrap_or_else(|| child.name_without_address().to_owned());
            Some(PartitionDraft {
                name,
                offset: Some(offset),
                size: Some(size),
                readonly: child.property("read-only").is_some(),
                image: None,
                uevent: place.below(holder, &child).uevent(&child),
            })
        })
        .collect();
    for partition in &mut found {
        // Size 0 means: to the end of the chip.
        partition.size = partition.size.filter(|&size| size > 0);
    }
    found
}

fn cells(bytes: &[u8], count: u64) -> Option<(u64, &[u8])> {
    let length = usize::try_from(count.checked_mul(4)?).ok()?;
    let (value, rest) = bytes.split_at_checked(length)?;
    // Of more than two cells the last two count, as in the kernel.
    let value = value
        .iter()
        .fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    Some((value, rest))
}

pub(super) fn number(node: &FdtNode<'_>, name: &str) -> Option<u64> {
    cells(node.property(name)?.value(), 1).map(|(value, _)| value)
}

pub(super) fn text(node: &FdtNode<'_>, name: &str) -> Option<String> {
    let property = node.property(name)?;
    let text = core::str::from_utf8(property.value()).ok()?;
    Some(text.trim_end_matches('\0').to_owned())
}

fn chip(node: &FdtNode<'_>, draft: &BoardDraft, partitions: Vec<PartitionDraft>) -> ChipDraft {
    let names = compatibles(node);
    let has = |what: &str| names.iter().any(|name| name.contains(what));
    let end = partitions
        .iter()
        .map(|one| {
            one.offset
                .unwrap_or(0)
                .saturating_add(one.size.unwrap_or(1))
        })
        .max()
        .unwrap_or(0);
    let is_nand = has("nand") || node.name().starts_with("nand");
    let same = draft
        .chips
        .iter()
        .filter(|chip| chip.is_nand() == is_nand)
        .count();
    let known = names
        .iter()
        .filter_map(|name| name.rsplit(',').next())
        .find_map(|name| Some((name.to_owned(), image::conf::of_preset(name)?.geometry)))
        .filter(|(_, preset)| preset.size >= end);
    let mut chip = if is_nand {
        let nand = ChipDraft::nand(
            &format!("nand{same}"),
            whole(end).max(16 << 20),
            0x20000,
            2048,
            64,
        );
        ChipDraft {
            ecc: Some(nand_ecc(node)),
            driver: has("spi-nand").then(|| "spi-nand".to_owned()),
            ..nand
        }
    } else {
        let mut nor = ChipDraft::nor(&format!("nor{same}"), whole(end).max(1 << 20), 0x10000);
        if has("cfi-flash") {
            nor.driver = Some("cfi".to_owned());
        } else {
            nor.mtd_name = Some(format!("spi{same}.{}", number(node, "reg").unwrap_or(0)));
        }
        nor
    };
    if let Some((known, preset)) = known {
        let (name, mtd_name) = (chip.name, chip.mtd_name);
        chip = ChipDraft {
            name,
            mtd_name,
            preset: Some(known),
            ..ChipDraft::default()
        };
        // Offsets in trees are written for the blocks that the vendor's kernel uses.
        let fits = |one: &PartitionDraft| {
            one.offset
                .unwrap_or(0)
                .is_multiple_of(u64::from(preset.erasesize))
        };
        if partitions.iter().all(fits) && !is_nand && preset.erasesize == 0x1000 {
            let coarse = |one: &PartitionDraft| {
                one.offset.unwrap_or(0).is_multiple_of(0x10000)
                    && one.size.unwrap_or(0).is_multiple_of(0x10000)
            };
            chip.erasesize = partitions.iter().all(coarse).then_some(0x10000);
        }
    }
    let compatible = names.join(", ");
    chip.source = format!("{} ({compatible})", node.name());
    chip.partitions = partitions;
    chip
}

/// The size of the chip that partitions up to `end` lie on.
fn whole(end: u64) -> u64 {
    end.checked_next_power_of_two().unwrap_or(end)
}

fn nand_ecc(node: &FdtNode<'_>) -> String {
    let mode = text(node, "nand-ecc-mode")
        .or_else(|| text(node, "nand-ecc-algo"))
        .unwrap_or_default();
    match (mode.as_str(), number(node, "nand-ecc-strength")) {
        ("none", _) => "none".to_owned(),
        ("on-die", _) => "on-die".to_owned(),
        (_, Some(strength @ 2..=8)) => format!("bch{strength}"),
        ("soft_bch" | "bch", _) => "bch4".to_owned(),
        _ => "hamming".to_owned(),
    }
}
