//! The chart as SVG, with a tooltip for every cell.

use std::fmt::Write;

use super::{BAD, Chart, Colour, ERASED, LOCKED, PROGRAMMED, TOUCHED};

const SIDE: usize = 14;
const MARGIN: usize = 10;
const HEAD: usize = 30;
const LINE: usize = 18;

fn hex(colour: Colour) -> String {
    format!("#{:02x}{:02x}{:02x}", colour[0], colour[1], colour[2])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

pub fn draw(charts: &[Chart]) -> String {
    let columns = charts.iter().map(Chart::columns).max().unwrap_or(1);
    let width = columns * SIDE + 2 * MARGIN;
    let heights = charts
        .iter()
        .map(|chart| HEAD + chart.rows() * SIDE + LINE * areas(chart).len().div_ceil(4) + MARGIN);
    let height: usize = MARGIN + heights.clone().sum::<usize>() + LINE + MARGIN;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let mut top = MARGIN;
    for (chart, height) in charts.iter().zip(heights) {
        draw_one(&mut text, chart, top);
        top += height;
    }
    legend(&mut text, top);
    text.push_str("</svg>\n");
    text
}

fn legend(text: &mut String, top: usize) {
    let entries = [
        (ERASED, "erased"),
        (PROGRAMMED, "programmed"),
        (TOUCHED, "touched"),
        (LOCKED, "locked"),
        (BAD, "bad"),
    ];
    for (index, (colour, word)) in entries.iter().enumerate() {
        let x = MARGIN + index * 6 * SIDE;
        // Writing to a String never fails.
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{top}\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" y=\"{}\">{word}</text>",
            hex(*colour),
            x + 16,
            top + 11
        );
    }
}

/// Partitions in order, each with the offset where it begins.
fn areas(chart: &Chart) -> Vec<String> {
    chart
        .cells
        .iter()
        .filter(|cell| cell.begins)
        .map(|cell| format!("{:#x} {}", cell.offset, cell.area))
        .collect()
}

fn draw_one(text: &mut String, chart: &Chart, top: usize) {
    // Writing to a String never fails.
    let _ = writeln!(
        text,
        "<text x=\"{MARGIN}\" y=\"{}\" font-weight=\"bold\">{}</text>",
        top + 14,
        escaped(&chart.title)
    );
    let grid = top + HEAD - 6;
    for (index, cell) in chart.cells.iter().enumerate() {
        let (x, y) = (
            MARGIN + index % chart.columns() * SIDE,
            grid + index / chart.columns() * SIDE,
        );
        let border = match (cell.touched, cell.locked) {
            (true, _) => format!(" stroke=\"{}\" stroke-width=\"2\"", hex(TOUCHED)),
            (_, true) => format!(" stroke=\"{}\" stroke-width=\"2\"", hex(LOCKED)),
            _ => String::new(),
        };
        let _ = writeln!(
            text,
            "<rect x=\"{}\" y=\"{}\" width=\"{w}\" height=\"{w}\" fill=\"{}\"{border}><title>{}</title></rect>",
            x + 1,
            y + 1,
            hex(chart.colour(cell)),
            escaped(&cell.words()),
            w = SIDE - 2
        );
        if cell.begins {
            let _ = writeln!(
                text,
                "<path d=\"M{x} {y}v{SIDE}\" stroke=\"#000\" stroke-width=\"2\"/>"
            );
        }
    }
    let below = grid + chart.rows() * SIDE + LINE - 4;
    for (index, area) in areas(chart).iter().enumerate() {
        let (x, y) = (
            MARGIN + index % 4 * (chart.columns() * SIDE / 4),
            below + index / 4 * LINE,
        );
        let _ = writeln!(text, "<text x=\"{x}\" y=\"{y}\">{}</text>", escaped(area));
    }
}
