//! A chart laid out: boxes and words with their places, the same for PNG and SVG.
//!
//! Each partition has rows of its own with its name before them, so that nobody has to look up where it lies.

use super::{BAD, Band, Chart, Colour, ERASED, LOCKED, PROGRAMMED, TOUCHED, Touch, WORN, blend};

/// Letters are this wide: the picture has a typewriter's, in SVG too.
pub const LETTER: usize = 7;
pub const LETTER_HEIGHT: usize = 13;

const SIDE: usize = 13;
const MARGIN: usize = 14;
const LINE: usize = 18;
const GAP: usize = 8;
const INK: Colour = [0x21, 0x25, 0x29];
const PALE: Colour = [0x86, 0x8e, 0x96];

pub enum Shape {
    Box {
        at: [usize; 2],
        size: [usize; 2],
        colour: Colour,
        /// What it is, where the picture can tell.
        told: String,
    },
    Words {
        /// Left, baseline.
        at: [usize; 2],
        colour: Colour,
        bold: bool,
        text: String,
    },
}

pub struct Scene {
    pub width: usize,
    pub height: usize,
    pub shapes: Vec<Shape>,
}

pub fn lay_out(charts: &[Chart]) -> Scene {
    let mut pen = Pen {
        shapes: Vec::new(),
        right: 0,
    };
    let mut top = MARGIN;
    for chart in charts {
        top = pen.chart(chart, top);
    }
    if let Some(chart) = charts.first() {
        let is_touched = charts.iter().any(|chart| chart.is_touched());
        pen.legend(chart, is_touched, top);
    }
    Scene {
        width: pen.right + MARGIN,
        height: top + SIDE + MARGIN,
        shapes: pen.shapes,
    }
}

struct Pen {
    shapes: Vec<Shape>,
    /// How far the picture reaches.
    right: usize,
}

impl Pen {
    fn fill(&mut self, at: [usize; 2], size: [usize; 2], colour: Colour, told: String) {
        self.right = self.right.max(at[0] + size[0]);
        self.shapes.push(Shape::Box {
            at,
            size,
            colour,
            told,
        });
    }

    fn words(&mut self, at: [usize; 2], colour: Colour, bold: bool, text: String) {
        self.right = self.right.max(at[0] + text.chars().count() * LETTER);
        self.shapes.push(Shape::Words {
            at,
            colour,
            bold,
            text,
        });
    }

    /// Returns where the next thing may begin.
    fn chart(&mut self, chart: &Chart, top: usize) -> usize {
        let mut y = top;
        self.words([MARGIN, y + LETTER_HEIGHT], INK, true, chart.title.clone());
        y += LINE;
        if !chart.subtitle.is_empty() {
            let text = chart.subtitle.clone();
            self.words([MARGIN, y + LETTER_HEIGHT], INK, false, text);
            y += LINE;
        }
        y += GAP;
        let bands = chart.bands();
        let longest = |width: fn(&Band<'_>) -> usize| bands.iter().map(width).max().unwrap_or(0);
        let name_width = (longest(|band| band.name.chars().count()) + 2) * LETTER;
        let place_width = (longest(|band| band.place().len()) + 2) * LETTER;
        let left = MARGIN + name_width + place_width;
        for band in &bands {
            let name = band.name.to_owned();
            self.words([MARGIN, y + LETTER_HEIGHT - 2], INK, false, name);
            let at = [MARGIN + name_width, y + LETTER_HEIGHT - 2];
            self.words(at, PALE, false, band.place());
            for (index, cell) in band.cells.iter().enumerate() {
                let x = left + index % chart.columns() * SIDE;
                let row = y + index / chart.columns() * SIDE;
                self.cell([x, row], chart.colour(cell), border(cell), cell.words());
            }
            y += band.cells.len().div_ceil(chart.columns()) * SIDE + GAP;
        }
        y + GAP
    }

    fn cell(&mut self, at: [usize; 2], colour: Colour, border: Option<Colour>, told: String) {
        let edge = if let Some(border) = border {
            self.fill(at, [SIDE - 1, SIDE - 1], border, told.clone());
            2
        } else {
            1
        };
        let inner = if edge > 1 { SIDE - 1 } else { SIDE } - 2 * edge;
        let at = at.map(|place| place + edge);
        self.fill(at, [inner, inner], colour, told);
    }

    fn legend(&mut self, chart: &Chart, is_touched: bool, top: usize) {
        let content = [
            (ERASED, None, "erased"),
            (blend(ERASED, PROGRAMMED, 0.4), None, "partly programmed"),
            (PROGRAMMED, None, "programmed"),
        ];
        let wear = [
            (ERASED, None, "never erased"),
            (blend(ERASED, WORN, 0.5), None, "half as often as"),
            (WORN, None, "the most worn block"),
        ];
        let mut entries: Vec<(Colour, Option<Colour>, &str)> = Vec::new();
        entries.extend(if chart.by_wear { wear } else { content });
        if is_touched {
            entries.push((ERASED, Some(TOUCHED), "erased by the run"));
            entries.push((PROGRAMMED, Some(TOUCHED), "written by the run"));
        }
        entries.push((ERASED, Some(LOCKED), "locked"));
        entries.push((BAD, None, "bad"));
        let mut x = MARGIN;
        for (colour, border, word) in entries {
            self.cell([x, top], colour, border, String::new());
            let at = [x + SIDE + 5, top + LETTER_HEIGHT - 2];
            self.words(at, INK, false, word.to_owned());
            x += SIDE + 5 + (word.len() + 2) * LETTER;
        }
    }
}

fn border(cell: &super::Cell) -> Option<Colour> {
    match (cell.touch, cell.locked) {
        (Touch::None, true) => Some(LOCKED),
        (Touch::None, false) => None,
        _ => Some(TOUCHED),
    }
}
