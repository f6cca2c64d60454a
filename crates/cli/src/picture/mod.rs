//! A chip as cells, partition by partition: one for each eraseblock, or for several where there are many.
//!
//! Must not know: files, boards.

pub mod png;
mod scene;
pub mod svg;
pub mod terminal;

const COLUMNS_MAX: usize = 64;

#[derive(Clone, Debug, Default)]
pub struct Cell {
    pub first_block: u32,
    pub blocks: u32,
    pub offset: u64,
    /// Of the bytes, how many are not 0xFF: 0 to 1.
    pub programmed: f32,
    pub wear: u32,
    pub touch: Touch,
    pub bad: bool,
    pub locked: bool,
    /// Name of the partition it begins in.
    pub area: String,
}

/// What a run did to a block, as its end shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touch {
    #[default]
    None,
    Erased,
    Written,
}

/// The cells of one partition.
pub struct Band<'a> {
    pub name: &'a str,
    pub cells: &'a [Cell],
    /// Bytes up to the next one.
    pub size: u64,
}

impl Band<'_> {
    pub fn place(&self) -> String {
        let offset = self.cells.first().map_or(0, |cell| cell.offset);
        format!("{offset:#x} {}", crate::bytes::exact(self.size))
    }
}

#[derive(Clone, Debug)]
pub struct Chart {
    pub title: String,
    /// What is marked in it.
    pub subtitle: String,
    /// Bytes of the chip.
    pub size: u64,
    pub cells: Vec<Cell>,
    /// Colour by wear instead of content.
    pub by_wear: bool,
}

pub type Colour = [u8; 3];

pub const ERASED: Colour = [0xec, 0xee, 0xf0];
pub const PROGRAMMED: Colour = [0x1f, 0x5f, 0xa8];
pub const TOUCHED: Colour = [0xf0, 0x8c, 0x00];
pub const BAD: Colour = [0x20, 0x20, 0x20];
pub const LOCKED: Colour = [0x2b, 0x8a, 0x3e];
const WORN: Colour = [0xc9, 0x2a, 0x2a];

impl Chart {
    pub fn wear_max(&self) -> u32 {
        self.cells.iter().map(|cell| cell.wear).max().unwrap_or(0)
    }

    /// Small chips become squarer.
    pub fn columns(&self) -> usize {
        match self.cells.len() {
            0..=128 => 32,
            _ => COLUMNS_MAX,
        }
    }

    pub fn is_touched(&self) -> bool {
        self.cells.iter().any(|cell| cell.touch != Touch::None)
    }

    pub fn bands(&self) -> Vec<Band<'_>> {
        let mut bands: Vec<Band<'_>> = self
            .cells
            .chunk_by(|one, next| one.area == next.area)
            .map(|cells| Band {
                name: cells.first().map_or("", |cell| &cell.area),
                cells,
                size: 0,
            })
            .collect();
        let mut end = self.size;
        for band in bands.iter_mut().rev() {
            let start = band.cells.first().map_or(0, |cell| cell.offset);
            band.size = end - start;
            end = start;
        }
        bands
    }

    pub fn colour(&self, cell: &Cell) -> Colour {
        if cell.bad {
            BAD
        } else if self.by_wear {
            blend(
                ERASED,
                WORN,
                cell.wear as f32 / self.wear_max().max(1) as f32,
            )
        } else if cell.programmed == 0.0 {
            ERASED
        } else {
            // A block with one byte in it is to be told from an erased one.
            blend(ERASED, PROGRAMMED, 0.25 + 0.75 * cell.programmed)
        }
    }
}

pub fn blend(from: Colour, to: Colour, share: f32) -> Colour {
    let mix = |from: u8, to: u8| {
        (f32::from(from) + (f32::from(to) - f32::from(from)) * share.clamp(0.0, 1.0)).round() as u8
    };
    [
        mix(from[0], to[0]),
        mix(from[1], to[1]),
        mix(from[2], to[2]),
    ]
}

impl Cell {
    pub fn words(&self) -> String {
        let place = if self.blocks == 1 {
            format!("block {}", self.first_block)
        } else {
            format!(
                "blocks {}..{}",
                self.first_block,
                self.first_block + self.blocks - 1
            )
        };
        let mut text = format!(
            "{place} at {:#x}, {}: {:.0} % programmed, wear {}",
            self.offset,
            self.area,
            self.programmed * 100.0,
            self.wear
        );
        for (is_it, word) in [
            (self.touch == Touch::Erased, ", erased by the run"),
            (self.touch == Touch::Written, ", written by the run"),
            (self.bad, ", bad"),
            (self.locked, ", locked"),
        ] {
            if is_it {
                text += word;
            }
        }
        text
    }
}
