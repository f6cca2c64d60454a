//! Names: where rules may stand, and what is worth one. A descriptor without a name in the file system has the name that
//! the system shows behind it, without its number: `socket:`, `pipe:`.

/// What a rule's name is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A file below /dev, or anywhere else, or a descriptor without a name.
    Possible,
    /// Not an absolute, clean name.
    Odd,
    /// It stands for files that every program needs.
    TooWide,
    /// The library itself answers there.
    Own,
}

const NAMELESS: &[&[u8]] = &[b"socket:", b"pipe:"];
/// With everything below them.
const OWN: &[&[u8]] = &[
    b"/proc/self",
    b"/proc/thread-self",
    b"/proc/mtd",
    b"/sys/class/mtd",
];

/// Outside /dev a star needs a name before it: `/proc/*` would make a device of every file that a program looks for in
/// vain. An exclamation mark stands for a slash in names of node files, as in sysfs.
pub fn place(pattern: &[u8]) -> Place {
    let Some(rest) = pattern.strip_prefix(b"/") else {
        return if NAMELESS.contains(&pattern) {
            Place::Possible
        } else {
            Place::Odd
        };
    };
    let words = || rest.split(|&byte| byte == b'/');
    if rest.contains(&b'!') || words().any(|word| matches!(word, b"" | b"." | b"..")) {
        return Place::Odd;
    }
    let is_below = |own: &&[u8]| {
        let below = pattern.strip_prefix(*own);
        below.is_some_and(|below| matches!(below, [] | [b'/', ..]))
    };
    if OWN.iter().any(is_below) {
        return Place::Own;
    }
    let is_in_dev = words().next() == Some(b"dev");
    let is_star = |word: &[u8]| word.iter().all(|&byte| byte == b'*');
    if words().next().is_some_and(|word| word.contains(&b'*'))
        || !is_in_dev && words().nth(1).is_some_and(is_star)
    {
        return Place::TooWide;
    }
    Place::Possible
}

/// `socket:` of `socket:[4711]`; other names unchanged.
pub fn known_name(name: &[u8]) -> &[u8] {
    let nameless = NAMELESS.iter().find(|prefix| name.starts_with(prefix));
    nameless.unwrap_or(&name)
}

const TERMINAL: u32 = b'T' as u32;

/// Whether a rule should be proposed for a command that was refused. Questions for terminals go to everything, and what
/// programs ask of plain files (their flags, copies without copying) is no device's business.
pub fn is_worth_a_rule(path: &[u8], command: u32) -> bool {
    match command >> 8 & 0xff {
        TERMINAL => false,
        0 | 0x94 | 0x66 | 0x58 if !path.starts_with(b"/dev/") => false,
        _ => place(path) == Place::Possible,
    }
}

/// Whether a file that does not exist may be meant as a device.
pub fn may_be_a_device(path: &[u8]) -> bool {
    path.starts_with(b"/proc/")
        || path.starts_with(b"/sys/")
        || path.windows(5).any(|window| window == b"/dev/")
}
