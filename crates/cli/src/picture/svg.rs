//! The chart as SVG, with a tooltip for every cell.

use std::fmt::Write;

use super::scene::{LETTER, LETTER_HEIGHT, Shape, lay_out};
use super::{Chart, Colour};

fn hex(colour: Colour) -> String {
    format!("#{:02x}{:02x}{:02x}", colour[0], colour[1], colour[2])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

pub fn draw(charts: &[Chart]) -> String {
    let scene = lay_out(charts);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"monospace\" font-size=\"{}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        scene.width,
        scene.height,
        LETTER_HEIGHT - 1
    );
    for shape in &scene.shapes {
        // Writing to a String never fails.
        let _ = match shape {
            Shape::Box {
                at: [x, y],
                size: [width, height],
                colour,
                told,
            } => writeln!(
                text,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{}\"><title>{}</title></rect>",
                hex(*colour),
                escaped(told)
            ),
            // The words keep the width that they were laid out with, whatever font there is.
            Shape::Words {
                at: [x, y],
                colour,
                bold,
                text: words,
            } => writeln!(
                text,
                "<text x=\"{x}\" y=\"{y}\" fill=\"{}\" xml:space=\"preserve\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\"{}>{}</text>",
                hex(*colour),
                words.chars().count() * LETTER,
                if *bold { " font-weight=\"bold\"" } else { "" },
                escaped(words)
            ),
        };
    }
    text.push_str("</svg>\n");
    text
}
