//! A captured /proc/mtd: the only description of its flash that many a device gives away. Sizes stand in order,
//! offsets run on.

use super::scan::{Scan, str_of};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row<'a> {
    pub size: u64,
    pub erasesize: u32,
    pub name: &'a str,
}

const FORM: &str = "this is no line of /proc/mtd such as mtd0: 00040000 00010000 \"u-boot\"";

/// None for a line that says nothing (empty, header), an error for one that cannot be understood.
pub fn row(line: &str) -> Result<Option<Row<'_>>, &'static str> {
    let scan = Scan::of(line);
    if scan.rest.is_empty() || scan.rest.starts_with(b"dev:") {
        return Ok(None);
    }
    columns(scan).map(Some).ok_or(FORM)
}

fn columns(mut scan: Scan<'_>) -> Option<Row<'_>> {
    let has_device = scan.eat("mtd") && scan.number(10).is_some() && scan.eat(":");
    scan.skip_blanks();
    let size = scan.number(16).filter(|_| has_device)?;
    scan.eat(" ").then_some(())?;
    scan.skip_blanks();
    let erasesize = u32::try_from(scan.number(16)?).ok()?;
    scan.eat(" ").then_some(())?;
    scan.skip_blanks();
    match scan.rest {
        [b'"', name @ .., b'"'] => Some(Row {
            size,
            erasesize,
            name: str_of(name),
        }),
        _ => None,
    }
}
