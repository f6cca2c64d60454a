//! The chart in letters; in colour on a terminal.

use std::fmt::Write;

use super::{Cell, Chart, Touch};

const CONTENT: &str = ". erased  - = # programmed, more and more";
const WEAR: &str = ". never erased  1 to 9: share of the most worn block";
const TOUCHED: &str = "  o erased, * written by the run";
const ALWAYS: &str = "  B bad  L locked";

fn letter(chart: &Chart, cell: &Cell) -> char {
    if cell.bad {
        return 'B';
    }
    if chart.by_wear {
        return match (cell.wear, chart.wear_max()) {
            (0, _) => '.',
            (wear, most) => {
                char::from(b'0' + (u64::from(wear) * 9 / u64::from(most.max(1))).clamp(1, 9) as u8)
            }
        };
    }
    match (cell.touch, cell.locked, cell.programmed) {
        (Touch::Erased, ..) => 'o',
        (Touch::Written, ..) => '*',
        (Touch::None, true, _) => 'L',
        (Touch::None, false, 0.0) => '.',
        (Touch::None, false, share) if share < 0.34 => '-',
        (Touch::None, false, share) if share < 0.67 => '=',
        _ => '#',
    }
}

pub fn legend(charts: &[Chart]) -> String {
    let mut text = String::new();
    let is_wear = charts.iter().any(|chart| chart.by_wear);
    text += if is_wear { WEAR } else { CONTENT };
    if !is_wear && charts.iter().any(Chart::is_touched) {
        text += TOUCHED;
    }
    text + ALWAYS
}

pub fn draw(chart: &Chart, in_colour: bool) -> String {
    let mut text = format!("{}\n", chart.title);
    if !chart.subtitle.is_empty() {
        text += &format!("{}\n", chart.subtitle);
    }
    let bands = chart.bands();
    let width = bands
        .iter()
        .map(|band| band.name.chars().count())
        .max()
        .unwrap_or(0);
    for band in &bands {
        for (number, row) in band.cells.chunks(chart.columns()).enumerate() {
            let name = if number == 0 { band.name } else { "" };
            let offset = format!("{:#x}", row.first().map_or(0, |cell| cell.offset));
            // Writing to a String never fails.
            let _ = write!(text, "  {name:<width$} {offset:>10}  ");
            for cell in row {
                let letter = letter(chart, cell);
                if in_colour {
                    let [red, green, blue] = if cell.touch == Touch::None {
                        chart.colour(cell)
                    } else {
                        super::TOUCHED
                    };
                    let _ = write!(text, "\x1b[48;2;{red};{green};{blue};30m{letter}");
                } else {
                    text.push(letter);
                }
            }
            text += if in_colour { "\x1b[0m\n" } else { "\n" };
        }
    }
    text
}
