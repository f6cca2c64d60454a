//! The chart as PNG.

use std::io::Write;

use anyhow::Result;

use super::{Chart, Colour, LOCKED, TOUCHED};

const SIDE: usize = 12;
const MARGIN: usize = 8;

struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: Colour) {
        for row in y..(y + height).min(self.height) {
            for column in x..(x + width).min(self.width) {
                let at = (row * self.width + column) * 3;
                self.pixels[at..at + 3].copy_from_slice(&colour);
            }
        }
    }
}

pub fn draw(charts: &[Chart], to: &mut dyn Write) -> Result<()> {
    let columns = charts.iter().map(Chart::columns).max().unwrap_or(1);
    let width = columns * SIDE + 2 * MARGIN;
    let height = MARGIN
        + charts
            .iter()
            .map(|chart| chart.rows() * SIDE + 2 * MARGIN)
            .sum::<usize>();
    let mut canvas = Canvas {
        width,
        height,
        pixels: vec![0xff; width * height * 3],
    };
    let mut top = MARGIN;
    for chart in charts {
        for (index, cell) in chart.cells.iter().enumerate() {
            let (x, y) = (
                MARGIN + index % chart.columns() * SIDE,
                top + index / chart.columns() * SIDE,
            );
            let border = if cell.touched {
                Some(TOUCHED)
            } else {
                cell.locked.then_some(LOCKED)
            };
            if let Some(colour) = border {
                canvas.fill(x, y, SIDE, SIDE, colour);
            }
            let edge = if border.is_some() { 2 } else { 1 };
            canvas.fill(
                x + edge,
                y + edge,
                SIDE - 2 * edge,
                SIDE - 2 * edge,
                chart.colour(cell),
            );
            if cell.begins {
                canvas.fill(x, y, 1, SIDE, [0; 3]);
            }
        }
        top += chart.rows() * SIDE + 2 * MARGIN;
    }
    let mut encoder = png::Encoder::new(to, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&canvas.pixels)?;
    Ok(())
}
