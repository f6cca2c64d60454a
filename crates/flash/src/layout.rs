//! Which bytes of a page's spare area hold ECC and which are free.
//!
//! Source: the default layouts of the Linux NAND core (small page, large page Hamming, large page).

use core::ops::Range;

use crate::{Ecc, Geometry};

/// A run of bytes in the spare area of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct OobRegion {
    offset: u32,
    length: u32,
}

impl OobRegion {
    fn end(&self) -> u32 {
        self.offset.saturating_add(self.length)
    }
}

/// At most two runs of each kind, in order. A free run may be empty: the kernel reports those too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OobLayout {
    ecc: [OobRegion; 2],
    free: [OobRegion; 2],
    free_count: usize,
}

impl Geometry {
    /// Bytes of the spare area that the user may place freely (mode AUTO).
    pub fn oobavail(&self) -> u32 {
        self.oob_layout().map_or(0, |layout| layout.available())
    }

    /// None where there is no spare area.
    pub fn oob_layout(&self) -> Option<OobLayout> {
        if !self.is_nand() || self.oobsize == 0 {
            return None;
        }
        let total = self.ecc_total_bytes();
        Some(match (self.oobsize, self.ecc) {
            // Software BCH asks for the plain layout whatever the size.
            (_, Ecc::Bch { .. }) => large_page(self.oobsize, total),
            (8, _) => small_page_8(total),
            (16, _) => small_page_16(total),
            (64, _) => large_page_hamming(64, 40, total),
            (128, _) => large_page_hamming(128, 80, total),
            _ => large_page(self.oobsize, total),
        })
    }
}

fn run(offset: u32, length: u32) -> OobRegion {
    OobRegion { offset, length }
}

/// Byte 5 is the bad block mark.
fn small_page_8(total: u32) -> OobLayout {
    let ecc = [run(0, total.min(3)), run(0, 0)];
    OobLayout {
        ecc,
        free: [run(3, 2), run(6, 2)],
        free_count: 2,
    }
}

/// Byte 5 is the bad block mark, byte 4 is left out with it.
fn small_page_16(total: u32) -> OobLayout {
    let ecc = [run(0, total.min(4)), run(6, total.saturating_sub(4).min(2))];
    OobLayout {
        ecc,
        free: [run(8, 8), run(0, 0)],
        free_count: 1,
    }
}

fn large_page_hamming(oobsize: u32, ecc_offset: u32, total: u32) -> OobLayout {
    let ecc_end = ecc_offset + total;
    let tail = run(ecc_end, oobsize.saturating_sub(ecc_end));
    OobLayout {
        ecc: [run(ecc_offset, total), run(0, 0)],
        free: [run(2, ecc_offset - 2), tail],
        free_count: 2,
    }
}

/// ECC at the very end, two bytes for the mark at the start, the rest free.
fn large_page(oobsize: u32, total: u32) -> OobLayout {
    let ecc_offset = oobsize.saturating_sub(total);
    let free = run(2, ecc_offset.saturating_sub(2));
    OobLayout {
        ecc: [run(ecc_offset, total), run(0, 0)],
        free: [free, run(0, 0)],
        free_count: 1,
    }
}

impl OobLayout {
    /// The runs of the ECC bytes, in the order of the code; the second one is empty but on pages of 512 bytes.
    pub(crate) fn ecc_runs(&self) -> [Range<usize>; 2] {
        self.ecc.map(|run| run.offset as usize..run.end() as usize)
    }

    /// Positions of the ECC bytes, in the order of the code.
    pub fn ecc_positions(&self) -> Positions {
        Positions {
            regions: self.ecc,
            index: 0,
            offset: 0,
        }
    }

    /// Offset and length of the runs that the user may fill, in order.
    pub fn free_regions(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        self.free
            .into_iter()
            .take(self.free_count)
            .map(|region| (region.offset, region.length))
    }

    pub(crate) fn available(&self) -> u32 {
        self.free_regions().map(|(_, length)| length).sum()
    }

    /// Positions of the free bytes from the `skip`th on; an unused run has no length.
    pub(crate) fn free_positions(&self, skip: u32) -> Positions {
        let mut positions = Positions {
            regions: self.free,
            index: 0,
            offset: 0,
        };
        if let Some(last) = skip.checked_sub(1) {
            positions.nth(last as usize);
        }
        positions
    }
}

#[derive(Clone, Debug)]
pub struct Positions {
    regions: [OobRegion; 2],
    index: usize,
    offset: u32,
}

impl Positions {
    /// How many are left.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        let all: u32 = self
            .regions
            .iter()
            .skip(self.index)
            .map(|region| region.length)
            .sum();
        all.saturating_sub(self.offset) as usize
    }

    /// One past the last position.
    pub(crate) fn end(&self) -> u32 {
        self.regions.iter().map(OobRegion::end).max().unwrap_or(0)
    }
}

impl Iterator for Positions {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            let region = self.regions.get(self.index)?;
            if self.offset < region.length {
                self.offset += 1;
                return Some(region.offset + self.offset - 1);
            }
            self.index += 1;
            self.offset = 0;
        }
    }
}
