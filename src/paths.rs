//! Path -> virtual object: which names of the guest's file system are the shim's.
//!
//! Text work only; table-driven. Must not know: boards and chips (whether mtd7 exists is asked elsewhere).

use crate::descriptors::{Node, NodeKind};
use crate::glance::GLANCE;
use crate::{readable, sys};
use core::ffi::c_char;
use core::sync::atomic::Ordering::Relaxed;
use image::PathText;

mod buffer;
pub use buffer::{PATH_MAX, PathBuffer, Room};

/// Which of the directories below /sys an entry is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Virtual {
    Node(Node),
    /// The name of a node without a device: nothing is there, whatever the host has by that name.
    Absent,
    ProcMtd,
    ProcDevices,
    ProcPartitions,
    /// A place below /sys that is ours: offset of the rest behind "/sys".
    Sys,
}

/// Names that can lead to something of ours contain "mtd", "90:" or "31:", or end like two files of /proc; where the
/// configuration has rules, also those that contain "dev/", or all of them. One look at each byte: this stands before every open and
/// stat of the guest.
pub fn may_be_ours(path: &[u8]) -> bool {
    const THREE: u64 = 0xff_ffff;
    const MTD: u64 = word(b"mtd");
    const CHAR_MAJOR: u64 = word(b"90:");
    const BLOCK_MAJOR: u64 = word(b"31:");
    const DEV: u32 = word(b"dev/") as u32;
    const DEVICES: u64 = word(b"devices");
    const PARTITIONS: u64 = word(b"rtitions");
    // The last eight bytes, the first of them highest; there is no jump but the loop's.
    let (mut last, mut found, mut is_in_dev) = (0u64, false, false);
    for &byte in path {
        last = last << 8 | u64::from(byte);
        let three = last & THREE;
        found |= (three == MTD) | (three == CHAR_MAJOR) | (three == BLOCK_MAJOR);
        is_in_dev |= last as u32 == DEV;
    }
    found |= (last & !(0xff << 56) == DEVICES) | (last == PARTITIONS);
    if found {
        return true;
    }
    is_in_dev && crate::answers::any()
        || crate::answers::are_elsewhere()
        || path.starts_with(b"/sys/") && crate::shadow::any_hardware()
}

/// Up to eight letters, the first of them highest.
const fn word(letters: &[u8]) -> u64 {
    let (mut word, mut at) = (0, 0);
    while at < letters.len() {
        word = word << 8 | letters[at] as u64;
        at += 1;
    }
    word
}

// What the quickest test has to know of all names; nothing of it in the beginning.
/// No rules name files anywhere.
const NO_RULES: u8 = 1;
/// It was looked for flash of the host.
const ASKED: u8 = 2;
/// The host has flash of its own: then a link that leads to a name of ours would open that, and is followed by us first.
const HOST_FLASH: u8 = 4;
/// The processor cannot do it.
const NO_NEON: u8 = 8;
/// When the quickest test can be believed.
pub const CERTAIN: u8 = NO_RULES | ASKED;

/// Whether rules name files outside /dev.
pub fn note_rules(are_elsewhere: bool) {
    if are_elsewhere {
        GLANCE.known.fetch_and(!NO_RULES, Relaxed);
    } else {
        GLANCE.known.fetch_or(NO_RULES, Relaxed);
    }
}

/// Asked by this name, because the emulator puts the guest's root before all others.
#[cold]
#[inline(never)]
fn look_for_host_flash() {
    let names = [
        c"/proc/self/root/dev/mtd0",
        c"/proc/self/root/dev/mtdblock0",
    ];
    let there = names
        .iter()
        .any(|name| sys::access(name, libc::F_OK).is_ok());
    let mut found = ASKED;
    if there {
        found |= HOST_FLASH;
    }
    if !crate::runtime::has_neon() {
        found |= NO_NEON;
    }
    GLANCE.known.fetch_or(found, Relaxed);
}

/// 0 if it is known that neither rules nor flash of the host make names ours that do not look it.
#[inline(always)]
fn uncertain() -> u32 {
    u32::from(GLANCE.known.load(Relaxed) ^ CERTAIN)
}

pub fn are_certain() -> bool {
    uncertain() == 0
}

pub fn host_has_flash() -> bool {
    if GLANCE.known.load(Relaxed) & ASKED == 0 {
        look_for_host_flash();
    }
    GLANCE.known.load(Relaxed) & HOST_FLASH != 0
}

/// Asks what the quickest test has to know; whether it then knows enough.
#[cold]
#[inline(never)]
fn can_be_told(path: *const c_char) -> bool {
    if !readable::is_readable(path as usize) || !readable::is_readable_behind(path as usize) {
        return false;
    }
    // SAFETY: so many bytes can be read.
    let front = unsafe { path.cast::<u32>().read_unaligned() };
    // What looks like ours the quickest test leaves to others, who open the board for it: that answers more than the questions here.
    (front as u8 != b'/' || begins_like_ours(front) == 0)
        && !crate::answers::are_elsewhere()
        && !host_has_flash()
        && are_certain()
}

const fn sum(directory: &[u8; 2]) -> u32 {
    1 << ((directory[0] as u32 + directory[1] as u32) % u32::BITS)
}
/// Of the first two letters of /dev, /proc and /sys.
pub const OURS: u32 = sum(b"de") | sum(b"pr") | sum(b"sy");
/// Set in the second letter of an absolute name that is not "//", "/." or "/" itself.
pub const LETTER: u32 = 0x40 << 8;

/// 1 where the first letters of an absolute name are those of /dev, /proc and /sys, or others with their sum.
#[inline(always)]
fn begins_like_ours(front: u32) -> u32 {
    OURS.rotate_right((front >> 8).wrapping_add(front >> 16)) & 1
}

/// The first four bytes of a name.
#[derive(Clone, Copy)]
pub struct Front(pub u32);

/// The quickest test, before every open and stat of the guest, in few instructions and fewer jumps: a name without ".." that does
/// not begin in a directory where something of ours could be, nor, unless the emulator does that itself (`maps_root`), in one that
/// the guest's root has. False where that is not sure: also for a pointer into a page that nobody has read yet, and for one shortly
/// before such a page.
///
/// # Safety
/// The guest does not change what it passed to libc as a C string.
#[inline(never)]
pub unsafe fn is_elsewhere(path: *const c_char, directory: i32, maps_root: bool) -> bool {
    let (address, rest) = (path as usize, (path as usize).wrapping_add(readable::SHORT));
    if uncertain() | readable::unknown(address) | readable::unknown(rest) != 0 && !can_be_told(path)
    {
        return false;
    }
    // SAFETY: so many bytes can be read behind any name that comes here; those behind its end change nothing.
    let front = unsafe { path.cast::<u32>().read_unaligned() };
    let is_inside = !(maps_root | crate::root_names::is_outside(Front(front)));
    let against = front as u8 ^ b'/';
    // All that speaks against an absolute name, at once.
    let doubts =
        u32::from(against) | !front & LETTER | begins_like_ours(front) | u32::from(is_inside);
    let is_away = if doubts == 0 {
        true
    } else if against == 0 {
        false
    } else if directory == sys::AT_FDCWD {
        crate::shadow::is_away()
    } else {
        // Without a name it is the descriptor itself that is meant.
        front as u8 != 0 && crate::directories::is_plain(directory)
    };
    // SAFETY: the name is there, and `SHORT` bytes can be read whatever its length.
    is_away && unsafe { never_climbs(path) }
}

/// No ".." anywhere in a name of less than 240 bytes. Thirty bytes at a time, because each jump costs the emulator more than ten
/// instructions.
///
/// # Safety
/// `readable::SHORT` bytes can be read; the processor has NEON.
#[inline(always)]
unsafe fn never_climbs(path: *const c_char) -> bool {
    const STEP: u32 = 15;
    const ROUNDS: u32 = 8;
    let dots: u32;
    // SAFETY: reads 8 * 2 * 15 + 1 bytes at most. The compiler uses no register from d16 on in a library for processors with and
    // without them, so none needs to be named.
    unsafe {
        core::arch::asm!(
            ".fpu neon",
            "vmov.i8 q10, #0x2e",
            "2:",
            "vld1.8 {{d16, d17}}, [{at}], {step}",
            "vld1.8 {{d18, d19}}, [{at}], {step}",
            // Of sixteen bytes in q8, and sixteen in q9 that begin with q8's last: two dots side by side (q11), and the end (q8).
            "vceq.i8 q11, q8, q10",
            "vceq.i8 q12, q9, q10",
            "vext.8 q13, q11, q11, #1",
            "vext.8 q14, q12, q12, #1",
            "vand q11, q11, q13",
            "vand q12, q12, q14",
            "vorr q11, q11, q12",
            "vmin.u8 q8, q8, q9",
            "vceq.i8 q8, q8, #0",
            "vorr q8, q8, q11",
            "vorr d22, d22, d23",
            "vorr d16, d16, d17",
            "vmov {low}, {high}, d16",
            "orrs {low}, {high}",
            "bne 3f",
            "subs {rounds}, #1",
            "bne 2b",
            // It was too long.
            "vmov.i8 d22, #1",
            "3:",
            "vmov {low}, {high}, d22",
            "orr {low}, {high}",
            at = inout(reg) path => _,
            step = in(reg) STEP,
            rounds = inout(reg) ROUNDS => _,
            low = out(reg) dots,
            high = out(reg) _,
            options(readonly, nostack),
        );
    }
    dots == 0
}

/// Whether a list with blanks between its words has that word. (A table of slices takes sixteen bytes more for each.)
#[inline(never)]
pub fn is_among(list: &[u8], word: &[u8]) -> bool {
    list.split(|&byte| byte == b' ').any(|other| other == word)
}

/// Makes a path absolute and removes ".", ".." and "//". Symbolic links are not followed.
pub fn absolute<'a>(directory: i32, path: &[u8], room: &'a mut Room) -> Option<&'a mut PathBuffer> {
    let result = room.empty();
    result.make_absolute(directory, path)?;
    Some(result)
}

/// Directory and last component.
pub fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().rposition(|&byte| byte == b'/')?;
    Some((path.get(..slash)?, path.get(slash + 1..)?))
}

pub fn parent_of(path: &[u8]) -> &[u8] {
    split(path).map_or(b"/", |(parent, _)| parent)
}

/// The name behind a descriptor, as /proc shows it.
pub fn descriptor_path(fd: i32, buffer: &mut [u8]) -> Option<&[u8]> {
    let mut name = Room::new();
    let name = proc_fd_name(fd, &mut name)?;
    sys::readlink(name.c_str(), buffer).ok()
}

/// The name that opens the file behind a descriptor once more.
#[inline(never)]
pub fn proc_fd_name(fd: i32, room: &mut Room) -> Option<&mut PathBuffer> {
    let mut digits = [0; 10];
    let digits = decimal(u32::try_from(fd).ok()?, &mut digits);
    room.put(&[b"/proc/self/fd/", digits])
}

pub fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        // The compiler would call a division of a dozen jumps.
        let tenth = ((u64::from(number) * 0xcccc_cccd) >> 35) as u32;
        if let Some(digit) = digits.get_mut(start) {
            *digit = b'0' + (number - 10 * tenth) as u8;
        }
        number = tenth;
        if number == 0 || start == 0 {
            return digits.get(start..).unwrap_or(&[]);
        }
    }
}

pub fn parse_decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 5 || (digits.len() > 1 && digits.first() == Some(&b'0'))
    {
        return None;
    }
    digits.iter().try_fold(0, |number: u32, &byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + u32::from(byte - b'0'))
    })
}

/// "mtd3", "mtd3ro", "mtdblock3".
pub fn parse_node(name: &[u8]) -> Option<Node> {
    let rest = name.strip_prefix(b"mtd")?;
    if let Some(digits) = rest.strip_prefix(b"block") {
        return Some(Node {
            kind: NodeKind::Block,
            index: parse_decimal(digits)?,
        });
    }
    if let Some(digits) = rest.strip_suffix(b"ro") {
        return Some(Node {
            kind: NodeKind::CharReadOnly,
            index: parse_decimal(digits)?,
        });
    }
    Some(Node {
        kind: NodeKind::Char,
        index: parse_decimal(rest)?,
    })
}

/// The name in /dev.
pub fn node_name(node: Node, room: &mut Room) -> Option<&mut PathBuffer> {
    let mut digits = [0; 10];
    let digits = decimal(node.index, &mut digits);
    let (front, digits, end): (&[u8], _, &[u8]) = match node.kind {
        NodeKind::Char => (b"mtd", digits, b""),
        NodeKind::CharReadOnly => (b"mtd", digits, b"ro"),
        NodeKind::Block => (b"mtdblock", digits, b""),
        NodeKind::Threshold => (b"bitflip_threshold", &[], b""),
        NodeKind::Answered => return None,
    };
    room.put(&[front, digits, end])
}

/// /dev/mtd/N and /dev/mtd/Nro, the names of devfs.
fn parse_devfs(name: &[u8]) -> Option<Node> {
    match name.strip_suffix(b"ro") {
        Some(digits) => Some(Node {
            kind: NodeKind::CharReadOnly,
            index: parse_decimal(digits)?,
        }),
        None => Some(Node {
            kind: NodeKind::Char,
            index: parse_decimal(name)?,
        }),
    }
}

const SYS_PREFIXES: &[&[u8]] = &[
    b"/sys/class/mtd",
    b"/sys/devices/virtual/mtd",
    b"/sys/block/mtdblock",
    b"/sys/class/block/mtdblock",
    b"/sys/dev/char/90:",
    b"/sys/dev/block/31:",
];

/// What an absolute, clean path names.
#[inline(never)]
pub fn classify(path: &[u8]) -> Option<Virtual> {
    match path {
        b"/proc/mtd" => return Some(Virtual::ProcMtd),
        b"/proc/devices" => return Some(Virtual::ProcDevices),
        b"/proc/partitions" => return Some(Virtual::ProcPartitions),
        _ => {}
    }
    if let Some(name) = path.strip_prefix(b"/dev/") {
        if let Some(node) = parse_node(name) {
            return Some(Virtual::Node(node));
        }
        return name
            .strip_prefix(b"mtd/")
            .and_then(parse_devfs)
            .map(Virtual::Node);
    }
    let in_sys = SYS_PREFIXES.iter().any(|prefix| {
        path.strip_prefix(*prefix).is_some_and(|rest| {
            !prefix.ends_with(b"mtd") || rest.is_empty() || rest.first() == Some(&b'/')
        })
    });
    in_sys.then_some(Virtual::Sys)
}

/// Directory, inside the private directory of a board, that holds the node files.
/// The file of a node in a board's directory, or one beside it.
#[inline(never)]
pub fn node_path<'a>(
    board: &PathText,
    node: Node,
    suffix: &[u8],
    room: &'a mut Room,
) -> Option<&'a mut PathBuffer> {
    let mut name = Room::new();
    let name = node_name(node, &mut name)?.bytes();
    room.put(&[board.as_bytes(), NODE_DIRECTORY, name, suffix])
}

/// The node's whole name, as the guest calls it.
#[inline(never)]
pub fn device_name(node: Node, room: &mut Room) -> Option<&mut PathBuffer> {
    let mut name = Room::new();
    let name = node_name(node, &mut name)?.bytes();
    room.put(&[b"/dev/", name])
}

pub const NODE_DIRECTORY: &[u8] = b"/.mtdshim/node/";
/// Name prefix of memory files that stand in for node files where the board's directory cannot be written.
pub const NODE_MEMORY: &[u8] = b"mtdshim-node:";

/// The node whose file is open behind `fd`, and the board's directory in `buffer`'s front where it is known.
pub fn node_behind(fd: i32, buffer: &mut [u8]) -> Option<Node> {
    node_of_file(descriptor_path(fd, buffer)?)
}

/// The node whose file has this name.
#[inline(never)]
pub fn node_of_file(path: &[u8]) -> Option<Node> {
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let name = path.rsplit(|&byte| byte == b'/').next()?;
    let directory = path.get(..path.len() - name.len())?;
    if let Some(board) = directory.strip_suffix(NODE_DIRECTORY) {
        let is_ruled = name.first() == Some(&crate::answers::SLASH);
        let node = if is_ruled {
            None
        } else {
            Some(parse_node(name)?)
        };
        crate::place::remember_board(board);
        return node.or_else(|| crate::answers::node_of_file(name));
    }
    let name = name.strip_prefix(b"memfd:").unwrap_or(name);
    let name = name.strip_prefix(NODE_MEMORY)?;
    parse_node(name).or_else(|| crate::answers::node_of_file(name))
}
