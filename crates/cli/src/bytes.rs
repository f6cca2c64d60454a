//! Sizes as people write and read them.

/// `65536`, `0x10000`, `64K`, `64KiB`, `16M`, `1G`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let body = trimmed.strip_suffix("iB").unwrap_or(trimmed);
    let (digits, shift) = match body.as_bytes().last() {
        Some(b'k' | b'K') => (&body[..body.len() - 1], 10),
        Some(b'm' | b'M') => (&body[..body.len() - 1], 20),
        Some(b'g' | b'G') => (&body[..body.len() - 1], 30),
        _ => (body, 0),
    };
    let number = match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    number
        .ok()
        .and_then(|number: u64| number.checked_mul(1 << shift))
        .ok_or_else(|| format!("'{text}' is no size; write 65536, 0x10000, 64K, 16M or 1G"))
}

/// Exact with the largest unit that divides: `64K`, `16M`, `1000`.
pub fn exact(bytes: u64) -> String {
    for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] {
        if bytes > 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// For reading: exact when short, else rounded with one decimal.
pub fn human(bytes: u64) -> String {
    let short = exact(bytes);
    if short.len() <= 6 {
        return short;
    }
    let (shift, unit) = match bytes {
        0..0x10_0000 => (10, "K"),
        0x10_0000..0x4000_0000 => (20, "M"),
        _ => (30, "G"),
    };
    format!("{:.1}{unit}", bytes as f64 / f64::from(1 << shift))
}

pub fn count(number: u64, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, expected) in [
            ("65536", 65536),
            ("0x10000", 65536),
            ("64K", 65536),
            ("64KiB", 65536),
            ("1g", 1 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(expected), "{text}");
        }
        assert!(parse_size("many").is_err());
        assert!(parse_size("99999999999G").is_err());
    }

    #[test]
    fn exact_never_rounds() {
        assert_eq!(exact(0x50000), "320K");
        assert_eq!(exact(1000), "1000");
        assert_eq!(exact(0), "0");
        assert_eq!(human(1_234_567), "1.2M");
    }
}
