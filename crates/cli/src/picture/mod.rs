//! A chip as a grid of cells: one for each eraseblock, or for several where there are many.
//!
//! Must not know: files, boards.

pub mod png;
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
    pub touched: bool,
    pub bad: bool,
    pub locked: bool,
    /// Name of the partition it begins in.
    pub area: String,
    /// A partition begins here.
    pub begins: bool,
}

#[derive(Clone, Debug)]
pub struct Chart {
    pub title: String,
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

    pub fn rows(&self) -> usize {
        self.cells.len().div_ceil(self.columns())
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
            (self.touched, ", touched"),
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
