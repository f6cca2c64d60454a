//! The chart as PNG.

use std::convert::Infallible;
use std::io::Write;

use anyhow::Result;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::{FONT_7X13, FONT_7X13_BOLD};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::Text;

use super::scene::{Shape, lay_out};
use super::{Chart, Colour};

struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(at.x), usize::try_from(at.y)) else {
                continue;
            };
            if x < self.width && y < self.height {
                let place = (y * self.width + x) * 3;
                self.pixels[place..place + 3].copy_from_slice(&[
                    colour.r(),
                    colour.g(),
                    colour.b(),
                ]);
            }
        }
        Ok(())
    }
}

fn rgb([red, green, blue]: Colour) -> Rgb888 {
    Rgb888::new(red, green, blue)
}

fn point([x, y]: [usize; 2]) -> Point {
    Point::new(x as i32, y as i32)
}

pub fn draw(charts: &[Chart], to: &mut dyn Write) -> Result<()> {
    let scene = lay_out(charts);
    let (width, height) = (scene.width, scene.height);
    let mut canvas = Canvas {
        width,
        height,
        pixels: vec![0xff; width * height * 3],
    };
    for shape in &scene.shapes {
        match shape {
            Shape::Box {
                at, size, colour, ..
            } => Rectangle::new(point(*at), Size::new(size[0] as u32, size[1] as u32))
                .into_styled(PrimitiveStyle::with_fill(rgb(*colour)))
                .draw(&mut canvas)?,
            Shape::Words {
                at,
                colour,
                bold,
                text,
            } => {
                let font = if *bold { &FONT_7X13_BOLD } else { &FONT_7X13 };
                let style = MonoTextStyle::new(font, rgb(*colour));
                Text::new(text, point(*at), style).draw(&mut canvas)?;
            }
        }
    }
    let mut encoder = png::Encoder::new(to, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&canvas.pixels)?;
    Ok(())
}
