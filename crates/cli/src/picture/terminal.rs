//! The chart in letters; in colour on a terminal.

use std::fmt::Write;

use super::{Cell, Chart};

pub const LEGEND: &str = ". erased  - = # programmed, more and more  * touched  B bad  L locked";

fn letter(chart: &Chart, cell: &Cell) -> char {
    if cell.bad {
        'B'
    } else if chart.by_wear {
        match (cell.wear, chart.wear_max()) {
            (0, _) => '.',
            (wear, most) => {
                char::from(b'0' + (u64::from(wear) * 9 / u64::from(most.max(1))).clamp(1, 9) as u8)
            }
        }
    } else if cell.touched {
        '*'
    } else if cell.locked {
        'L'
    } else {
        match cell.programmed {
            0.0 => '.',
            share if share < 0.34 => '-',
            share if share < 0.67 => '=',
            _ => '#',
        }
    }
}

pub fn draw(chart: &Chart, in_colour: bool) -> String {
    let mut text = format!("{}\n", chart.title);
    let mut area = "";
    for row in chart.cells.chunks(chart.columns()) {
        // Writing to a String never fails.
        let _ = write!(text, "{:>10x}  ", row[0].offset);
        for cell in row {
            let letter = letter(chart, cell);
            if in_colour {
                let [red, green, blue] = if cell.touched {
                    super::TOUCHED
                } else {
                    chart.colour(cell)
                };
                let _ = write!(text, "\x1b[48;2;{red};{green};{blue}m{letter}");
            } else {
                text.push(letter);
            }
        }
        if in_colour {
            text.push_str("\x1b[0m");
        }
        let missing = chart.columns() - row.len();
        let _ = write!(text, "{:missing$}  ", "");
        let mut names = Vec::new();
        for cell in row {
            if cell.area != area {
                area = &cell.area;
                names.push(area);
            }
        }
        let _ = writeln!(text, "{}", names.join(" | "));
    }
    // Trailing blanks are nobody's friend.
    text.lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}
