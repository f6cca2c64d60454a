//! Names with `*`: any bytes within one component of a path, none too.

/// `pattern` gives its bytes by index, None behind the end.
pub fn matches(pattern: impl Fn(usize) -> Option<u8>, path: &[u8]) -> bool {
    let (mut at, mut taken) = (0, 0);
    // Where the last star stands, and how much it has taken up to now.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let byte = path.get(taken).copied();
        match (pattern(at), byte) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                star = Some((at, taken));
                at += 1;
            }
            (Some(wanted), Some(byte)) if wanted == byte => {
                at += 1;
                taken += 1;
            }
            _ => match star {
                // The star takes one more, but never a slash.
                Some((star_at, from)) if path.get(from).is_some_and(|&byte| byte != b'/') => {
                    star = Some((star_at, from + 1));
                    at = star_at + 1;
                    taken = from + 1;
                }
                _ => return false,
            },
        }
    }
}
