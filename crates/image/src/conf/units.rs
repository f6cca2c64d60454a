//! Sizes and counts inside texts: "64K", "0x1000", "8x8K".

/// Bytes: a number in decimal or 0x, with K, M, G (also KiB, MiB, GiB, k, m, g) behind it or not.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, base) = hex.map_or((text, 10), |digits| (digits, 16));
    let end = digits
        .find(|c: char| !c.is_digit(base))
        .unwrap_or(digits.len());
    let (digits, unit) = digits.split_at_checked(end)?;
    let value = u64::from_str_radix(digits, base).ok()?;
    let shift = match unit.trim_start() {
        "" | "B" => 0,
        "K" | "k" | "KiB" => 10,
        "M" | "m" | "MiB" => 20,
        "G" | "g" | "GiB" => 30,
        _ => return None,
    };
    value.checked_mul(1 << shift)
}

/// What K, M or G multiply by; 1 for anything else.
pub fn size_of_unit(unit: &str) -> u64 {
    match unit {
        "K" | "k" => 1 << 10,
        "M" | "m" => 1 << 20,
        "G" | "g" => 1 << 30,
        _ => 1,
    }
}

/// "8x64K": how many of which size.
pub fn times(text: &str) -> Option<(u32, u32)> {
    let (count, length) = text.trim().split_once('x')?;
    // "0x1000" is a number, not zero pieces.
    let count = count.trim().parse().ok().filter(|&count: &u32| count > 0)?;
    Some((count, u32::try_from(size(length)?).ok()?))
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
    for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return (bytes >> shift, unit);
        }
    }
    (bytes, "")
}
