//! Sizes and counts inside texts: "64K", "0x1000", "8x8K".

use super::scan::Scan;

/// What K, M or G shift by.
pub fn shift_of_unit(unit: u8) -> Option<u32> {
    match unit | 0x20 {
        b'k' => Some(10),
        b'm' => Some(20),
        b'g' => Some(30),
        _ => None,
    }
}

/// Bytes: a number in decimal or 0x, with K, M, G (also KiB, MiB, GiB, k, m, g) behind it or not.
pub fn size(text: &str) -> Option<u64> {
    let mut scan = Scan::of(text);
    let base = scan.base();
    let value = scan.number(base)?;
    scan.skip_blanks();
    let shift = match *scan.rest {
        [] | [b'B'] => 0,
        [unit] | [unit @ b'A'..=b'Z', b'i', b'B'] => shift_of_unit(unit)?,
        _ => return None,
    };
    value.checked_mul(1 << shift)
}

/// "8x64K": how many of which size.
pub fn times(text: &str) -> Option<(u32, u32)> {
    let mut scan = Scan::of(text);
    let count = scan.number(10)?;
    scan.skip_blanks();
    // "0x1000" is a number, not zero pieces.
    let length = (scan.eat("x") && count > 0).then_some(scan.rest)?;
    let length = size(super::scan::str_of(length))?;
    Some((u32::try_from(count).ok()?, u32::try_from(length).ok()?))
}

/// How far two words are apart, as far as it matters for "did you mean".
pub fn is_similar(word: &str, known: &str) -> bool {
    const LONGEST: usize = 24;
    let (word, known) = (word.as_bytes(), known.as_bytes());
    if word.len() > LONGEST || known.len() > LONGEST || word.len().abs_diff(known.len()) > 2 {
        return false;
    }
    // One row of the edit distance table.
    let mut row = [0usize; LONGEST + 1];
    for (column, cell) in row.iter_mut().enumerate() {
        *cell = column;
    }
    for (line, &a) in word.iter().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, &b) in row.iter_mut().skip(1).zip(known) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
    }
    row.get(known.len()).is_some_and(|&distance| distance <= 2)
}

/// A number of bytes as people write it, exactly.
pub fn words_of_size(bytes: u64) -> (u64, &'static str) {
    let unit = |shift: u32| bytes != 0 && bytes.trailing_zeros() >= shift;
    match () {
        () if unit(30) => (bytes >> 30, "G"),
        () if unit(20) => (bytes >> 20, "M"),
        () if unit(10) => (bytes >> 10, "K"),
        () => (bytes, ""),
    }
}
