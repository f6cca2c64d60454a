//! UBI as it lies on flash: which volumes there are, by the headers of its blocks and the volume table.
//!
//! Source: `drivers/mtd/ubi/ubi-media.h`. Must not know: chips, files.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::content::{self, crc32};

const HEADER_BYTES: usize = 64;
/// The volume that holds the volume table, twice.
const LAYOUT_VOLUME: u32 = 0x7fff_efff;
const RECORD_BYTES: usize = 172;
const RECORDS_MAX: usize = 128;
const NAME_BYTES_MAX: usize = 127;

#[derive(Serialize, Debug, PartialEq, Eq)]
pub struct Volume {
    pub id: u32,
    pub name: String,
    /// `dynamic` or `static`.
    pub r#type: &'static str,
    pub size: u64,
    /// Blocks that are set aside for it, and those that hold something.
    pub reserved_blocks: u32,
    pub used_blocks: u32,
    pub autoresize: bool,
    /// An update was begun and not ended.
    pub update_broken_off: bool,
    pub content: String,
}

/// One block of a volume: who wrote it last counts.
struct Latest {
    number: u64,
    bytes: Vec<u8>,
}

#[derive(Default)]
pub struct Scan {
    blocks: u32,
    /// Bytes of a block that a volume can use.
    usable: usize,
    /// The blocks that each volume has, by their number in it.
    used: BTreeMap<u32, BTreeSet<u32>>,
    /// By volume and number: the copies of the table, and the first bytes of every volume.
    kept: BTreeMap<(u32, u32), Latest>,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// UBI takes the sum without its last step.
fn is_whole(bytes: &[u8]) -> bool {
    let at = bytes.len().saturating_sub(4);
    word(bytes, at).is_some_and(|sum| sum == !crc32(&bytes[..at]))
}

fn header<'a>(block: &'a [u8], at: usize, magic: &[u8]) -> Option<&'a [u8]> {
    let found = block.get(at..at.checked_add(HEADER_BYTES)?)?;
    (found.starts_with(magic) && is_whole(found)).then_some(found)
}

impl Scan {
    /// The next eraseblock of the partition.
    pub fn block(&mut self, block: &[u8]) -> Option<()> {
        let erase_counter = header(block, 0, b"UBI#")?;
        let (volume_header, data) = (word(erase_counter, 16)? as usize, word(erase_counter, 20)?);
        self.blocks += 1;
        let data = block.get(data as usize..)?;
        self.usable = self.usable.max(data.len());
        let header = header(block, volume_header, b"UBI!")?;
        let (volume, number) = (word(header, 8)?, word(header, 12)?);
        self.used.entry(volume).or_default().insert(number);
        if volume != LAYOUT_VOLUME && number != 0 {
            return Some(());
        }
        let latest = u64::from_be_bytes(header.get(40..48)?.try_into().ok()?);
        let length = if volume == LAYOUT_VOLUME {
            RECORDS_MAX * RECORD_BYTES
        } else {
            content::HEAD_BYTES
        };
        let known = self.kept.get(&(volume, number));
        if known.is_none_or(|known| known.number <= latest) {
            let bytes = data[..data.len().min(length)].to_vec();
            let latest = Latest {
                number: latest,
                bytes,
            };
            self.kept.insert((volume, number), latest);
        }
        Some(())
    }

    pub fn is_empty(&self) -> bool {
        self.blocks == 0
    }

    /// None where no copy of the volume table is whole.
    pub fn volumes(&self) -> Option<Vec<Volume>> {
        if !self.used.contains_key(&LAYOUT_VOLUME) {
            return Some(Vec::new());
        }
        let copies = self.kept.range((LAYOUT_VOLUME, 0)..=(LAYOUT_VOLUME, 1));
        copies
            .map(|(_, copy)| self.table(&copy.bytes))
            .find(Option::is_some)
            .flatten()
    }

    fn table(&self, bytes: &[u8]) -> Option<Vec<Volume>> {
        let mut volumes = Vec::new();
        for (id, record) in bytes.chunks_exact(RECORD_BYTES).enumerate() {
            if !is_whole(record) {
                return None;
            }
            let reserved = word(record, 0)?;
            if reserved != 0 {
                volumes.push(self.volume(id as u32, reserved, record)?);
            }
        }
        Some(volumes)
    }

    fn volume(&self, id: u32, reserved: u32, record: &[u8]) -> Option<Volume> {
        let padding = word(record, 8)? as usize;
        let length = usize::from(u16::from_be_bytes([record[14], record[15]]));
        let name = &record[16..16 + length.min(NAME_BYTES_MAX)];
        let head = self.kept.get(&(id, 0)).map(|first| &first.bytes[..]);
        Some(Volume {
            id,
            name: String::from_utf8_lossy(name).replace(char::is_control, "?"),
            r#type: if record[12] == 2 { "static" } else { "dynamic" },
            size: u64::from(reserved) * self.usable.saturating_sub(padding) as u64,
            reserved_blocks: reserved,
            used_blocks: self.used.get(&id).map_or(0, |blocks| blocks.len() as u32),
            autoresize: record[144] & 1 != 0,
            update_broken_off: record[13] != 0,
            content: head.map_or("empty".to_owned(), |head| {
                content::classify(head, None).words().to_owned()
            }),
        })
    }

    /// What a list of partitions says.
    pub fn words(&self) -> String {
        match self.volumes() {
            None => "UBI, volume table damaged".to_owned(),
            Some(volumes) if volumes.is_empty() => "UBI, no volumes".to_owned(),
            Some(volumes) => {
                let names: Vec<&str> = volumes.iter().map(|one| one.name.as_str()).collect();
                format!("UBI: {}", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summed(bytes: &mut [u8]) {
        let at = bytes.len() - 4;
        let sum = !crc32(&bytes[..at]);
        bytes[at..].copy_from_slice(&sum.to_be_bytes());
    }

    fn block(volume: u32, number: u32, latest: u64, data: &[u8]) -> Vec<u8> {
        let mut block = vec![0xff; 32768];
        block[..64].fill(0);
        block[..5].copy_from_slice(b"UBI#\x01");
        block[16..24].copy_from_slice(&[0, 0, 0, 64, 0, 0, 0, 128]);
        summed(&mut block[..64]);
        block[64..128].fill(0);
        block[64..70].copy_from_slice(b"UBI!\x01\x01");
        block[72..76].copy_from_slice(&volume.to_be_bytes());
        block[76..80].copy_from_slice(&number.to_be_bytes());
        block[104..112].copy_from_slice(&latest.to_be_bytes());
        summed(&mut block[64..128]);
        block[128..128 + data.len()].copy_from_slice(data);
        block
    }

    fn table(name: &[u8]) -> Vec<u8> {
        let mut table = vec![0; RECORD_BYTES * RECORDS_MAX];
        table[3] = 2;
        table[12] = 2;
        table[15] = name.len() as u8;
        table[16..16 + name.len()].copy_from_slice(name);
        table.chunks_exact_mut(RECORD_BYTES).for_each(summed);
        table
    }

    #[test]
    fn the_newest_whole_copy_of_the_table_counts() {
        let mut scan = Scan::default();
        let mut broken = table(b"x");
        broken[20] = 1;
        for block in [
            block(LAYOUT_VOLUME, 0, 7, &broken),
            block(LAYOUT_VOLUME, 1, 8, &table(b"new\n")),
            block(LAYOUT_VOLUME, 1, 3, &table(b"old")),
            block(0, 0, 1, b"hsqs"),
        ] {
            assert!(scan.block(&block).is_some());
        }
        assert_eq!(scan.words(), "UBI: new?");
        let volumes = scan.volumes().unwrap();
        let one = &volumes[0];
        assert_eq!(
            (one.r#type, one.size, one.used_blocks),
            ("static", 2 * 32640, 1)
        );
        assert!(one.content.starts_with("squashfs"), "{}", one.content);
    }

    #[test]
    fn a_damaged_table_and_none_are_told_apart() {
        let mut scan = Scan::default();
        let mut empty = block(0, 0, 0, &[]);
        empty[64..].fill(0xff);
        assert!(scan.block(&empty).is_none());
        assert_eq!(
            (scan.is_empty(), scan.words()),
            (false, "UBI, no volumes".to_owned())
        );
        scan.block(&block(LAYOUT_VOLUME, 0, 1, b"rubbish"));
        assert_eq!(scan.words(), "UBI, volume table damaged");
        assert!(Scan::default().block(b"UBI#").is_none());
    }
}
