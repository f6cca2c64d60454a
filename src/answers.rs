//! Devices that are not flash, answered by the rules of the configuration (`[[answer]]`).
//!
//! A ruled name that does not exist opens as a character device, or as a file of /proc or /sys: its descriptor has a
//! node file open as flash has, so it survives dup, fork and exec; the node file's name is the device's. What exists and
//! is harmless (/dev/null and its kin) stays what it is, and the rules answer what it refuses; so does a socket, which
//! has no name. Must not know: which rule fits (`answers`).

use crate::calls::Direction;
use crate::descriptors::{self, Descriptor, MARK, Node, NodeKind};
use crate::guest_memory::Window;
use crate::paths::{self, PATH_MAX, PathBuffer, Room};
use crate::sys::{self, Kernel};
use crate::trace;
use crate::ways_out::watchdog::SHOWN_NAME as WATCHDOG;
use crate::world::{self, State, with_state};
use answers::{Call, Data, Next, Outcome, Rules, Step};
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use image::Os;
use mtd_abi::errno::Errno;

/// Whether the configuration has rules: asked once, and without rules never more than a load of a byte.
static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const NONE: u8 = 1;
const SOME: u8 = 2;
/// Also for names outside /dev.
const ELSEWHERE: u8 = 3;

const DEV: &[u8] = b"/dev/";
/// Longer patterns are refused by the configuration.
const PATTERN_MAX: usize = 200;
/// What stands for a slash in the name of a node file: `!gpio` is /dev/gpio, `!!proc!gpio` is /proc/gpio.
pub const SLASH: u8 = b'!';
const TERMINAL: u32 = b'T' as u32;

#[inline(always)]
fn state() -> u8 {
    match STATE.load(Relaxed) {
        UNKNOWN => ask(),
        state => state,
    }
}

#[inline(always)]
pub fn any() -> bool {
    state() != NONE
}

/// Whether rules name files outside /dev, so that no name can be told by its first letters.
pub fn are_elsewhere() -> bool {
    state() == ELSEWHERE
}

#[cold]
fn ask() -> u8 {
    note(world::rules_summary());
    STATE.load(Relaxed)
}

/// A board was opened: what it answers besides flash.
pub fn note(summary: u32) {
    crate::shadow::note_hardware(summary & image::board::HARDWARE != 0);
    let state = match summary & !image::board::HARDWARE {
        0 => NONE,
        rules if answers::is_elsewhere(rules) => ELSEWHERE,
        _ => SOME,
    };
    STATE.store(state, Relaxed);
    paths::note_rules(state == ELSEWHERE);
}

/// The device that an absolute, clean name names: rules say that it exists.
#[cold]
pub fn named(path: &[u8]) -> Option<Node> {
    let node = node_for(path)?;
    let mut name = Room::new();
    (!stays_real(name.put(&[path])?)).then_some(node)
}

/// Directories, links to something, sockets, memory devices and terminals stay what they are. A plain file is a
/// placeholder in an unpacked root, unless a rule with a star would take it outside /dev; and hardware of the host is none
/// of the guest's business.
fn stays_real(name: &PathBuffer) -> bool {
    let Ok(status) = sys::stat64(name.c_str(), false) else {
        return false;
    };
    match sys::stat_mode(&status) & libc::S_IFMT {
        libc::S_IFREG => {
            let is_exact = |state: &mut State| Some(state.rules()?.0.has_exactly(name.bytes()));
            !name.bytes().starts_with(DEV) && with_state(is_exact) != Some(true)
        }
        libc::S_IFBLK => false,
        libc::S_IFCHR => matches!(sys::stat_major(&status), 1 | 4 | 5 | 136..=143),
        libc::S_IFLNK => sys::stat64(name.c_str(), true).is_ok(),
        _ => true,
    }
}

/// The pattern of a rule.
#[inline(never)]
fn pattern_of(index: u32, room: &mut Room) -> Option<&mut PathBuffer> {
    let mut bytes = [0; PATTERN_MAX];
    let length = with_state(|state| {
        let (rules, _) = state.rules()?;
        let pattern = rules.rule(index as usize)?.path();
        Some(rules.copy(pattern, 0, &mut bytes))
    })?;
    room.put(&[bytes.get(..length)?])
}

/// Below /proc and /sys are no devices but files.
pub fn looks_like_file(index: u32) -> bool {
    pattern_of(index, &mut Room::new()).is_some_and(|pattern| {
        pattern.bytes().starts_with(b"/proc/") || pattern.bytes().starts_with(b"/sys/")
    })
}

fn node_for(path: &[u8]) -> Option<Node> {
    // Node files could not hold the name.
    if !any() || path.contains(&SLASH) {
        return None;
    }
    let index = with_state(|state| state.rules()?.0.named(path))?;
    Some(Node {
        kind: NodeKind::Answered,
        index: index as u32,
    })
}

/// The device whose node file has this name.
pub fn node_of_file(file_name: &[u8]) -> Option<Node> {
    node_for(guest_name(file_name, &mut Room::new())?.bytes())
}

fn guest_name<'a>(file_name: &[u8], room: &'a mut Room) -> Option<&'a mut PathBuffer> {
    let start = file_name.iter().position(|&byte| byte == SLASH)?;
    let name = file_name.get(start..)?;
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
    let (directory, name): (&[u8], _) = match name.get(1..) {
        Some(rest) if rest.first() == Some(&SLASH) => (b"", rest),
        _ => (b"/dev", name),
    };
    room.translate(directory, name, SLASH, b'/')
}

/// The name of its node file.
fn file_name<'a>(path: &[u8], room: &'a mut Room) -> Option<&'a mut PathBuffer> {
    let (mark, name): (&[u8], _) = match path.strip_prefix(b"/dev") {
        Some(below @ [b'/', ..]) => (b"", below),
        _ => (b"!", path),
    };
    room.translate(mark, name, b'/', SLASH)
}

/// The name that the guest opened.
pub fn name_behind(fd: i32, room: &mut Room) -> Option<&mut PathBuffer> {
    let mut buffer = [0; PATH_MAX];
    let path = paths::descriptor_path(fd, &mut buffer)?;
    guest_name(path.rsplit(|&byte| byte == b'/').next()?, room)
}

/// Opens a ruled device by its absolute name.
pub fn open(path: &[u8], node: Node, flags: i32) -> Result<i32, Errno> {
    crate::text_files::check_flags(flags)?;
    let path_only = flags & libc::O_PATH != 0;
    let refusal = if path_only {
        None
    } else {
        with_state(|state| Some(state.rules()?.0.find(path, Call::Open)?.take()))
    };
    if let Some(taken) = refusal {
        let result = outcome(&taken.step, 0);
        trace::answered(path, Event::Open, Some(&taken), &result);
        result?;
    }
    let fd = open_file(path, flags)?;
    let access = chardev::Access::from_flags(flags as u32);
    descriptors::enter(
        fd,
        Descriptor {
            node,
            readable: access.reads() && !path_only,
            writable: access.writes() && !path_only,
            path_only,
            offset: 0,
            advanced: 0,
        },
    );
    Ok(fd)
}

#[inline(never)]
fn open_file(path: &[u8], flags: i32) -> Result<i32, Errno> {
    let mut file = Room::new();
    let file = file_name(path, &mut file).ok_or(Errno::ENAMETOOLONG)?;
    crate::nodes::open_named(file.bytes(), flags)
}

/// What a call was, for the trace.
pub enum Event<'a> {
    Open,
    Read {
        length: u64,
    },
    /// With the first of the bytes.
    Write {
        length: u64,
        front: &'a [u8],
    },
    Command {
        number: u32,
        argument: u32,
    },
}

fn outcome(step: &Step, usual: u32) -> Result<u32, Errno> {
    match step.outcome {
        Outcome::Usual => Ok(usual),
        Outcome::Value(value) => Ok(value),
        Outcome::Errno(errno) => Err(Errno(errno as i32)),
    }
}

/// Copies bytes of an answer to the guest.
fn put_out(
    rules: &Rules<'_>,
    window: &mut Window,
    data: Data,
    from: usize,
    length: usize,
    address: usize,
) -> Result<(), Errno> {
    let mut piece = [0; 64];
    let mut done = 0;
    while done < length {
        let room = piece.get_mut(..(length - done).min(64)).unwrap_or(&mut []);
        let copied = rules.copy(data, from + done, room);
        if copied == 0 {
            break;
        }
        let bytes = room.get(..copied).unwrap_or(&[]);
        let target = address.checked_add(done).ok_or(Errno::EFAULT)?;
        window.copy_out(target, bytes).map_err(|_| Errno::EFAULT)?;
        done += copied;
    }
    Ok(())
}

/// An ioctl by the device's name; None where no rule answers it.
fn command(name: &[u8], number: u32, argument: usize) -> Option<Result<i32, Errno>> {
    let (taken, result) = with_state(|state| {
        let (rules, window) = state.rules()?;
        let call = Call::Command {
            number,
            argument: argument as u32,
        };
        let taken = rules.find(name, call)?.take();
        let (data, offset) = (taken.step.data, taken.step.offset as usize);
        let target = argument.wrapping_add(offset);
        let put = put_out(&rules, window, data, 0, data.length.into(), target);
        Some((taken, put.and_then(|()| outcome(&taken.step, 0))))
    })?;
    let event = Event::Command {
        number,
        argument: argument as u32,
    };
    trace::answered(name, event, Some(&taken), &result);
    Some(result.map(|value| value as i32))
}

/// On a descriptor of a ruled device.
pub fn ioctl(fd: i32, number: u32, argument: usize) -> Result<i32, Errno> {
    let mut name = Room::new();
    let name = name_behind(fd, &mut name).ok_or(Errno::ENODEV)?;
    command(name.bytes(), number, argument).unwrap_or_else(|| {
        trace::refused(name.bytes(), number, Errno::ENOTTY);
        Err(Errno::ENOTTY)
    })
}

/// On flash, before flash itself is asked.
#[cold]
pub fn before_flash(node: Node, number: u32, argument: usize) -> Option<Result<i32, Errno>> {
    let mut name = Room::new();
    command(
        paths::device_name(node, &mut name)?.bytes(),
        number,
        argument,
    )
}

/// On anything else, when nobody answered.
#[cold]
pub fn unanswered(fd: i32, number: u32, argument: usize) -> Option<Result<i32, Errno>> {
    if number >> 8 & 0xff == TERMINAL || !any() {
        return None;
    }
    let mut buffer = [0; PATH_MAX];
    let name = name_of_foreign(fd, &mut buffer)?;
    let name = if name == WATCHDOG {
        b"/dev/watchdog"
    } else {
        name
    };
    command(name, number, argument)
}

/// The name, as rules have it, behind a descriptor that is not ours.
pub fn name_of_foreign(fd: i32, buffer: &mut [u8]) -> Option<&[u8]> {
    let name = paths::descriptor_path(fd, buffer)?;
    Some(answers::known_name(crate::root_names::guest_name(name)))
}

/// read, write and their kin; `at`: the place of pread.
#[inline(never)]
pub fn transfer(
    fd: i32,
    descriptor: Descriptor,
    direction: Direction,
    address: usize,
    length: usize,
    at: Option<i64>,
) -> Result<u64, Errno> {
    let mut name = Room::new();
    let name = name_behind(fd, &mut name).ok_or(Errno::ENODEV)?.bytes();
    let allowed = match direction {
        Direction::Read => descriptor.readable,
        Direction::Write => descriptor.writable,
    };
    if !allowed {
        return Err(Errno::EBADF);
    }
    match direction {
        Direction::Read => read(fd, name, descriptor, address, length, at),
        Direction::Write => write(name, address, length),
    }
}

#[inline(never)]
fn read(
    fd: i32,
    name: &[u8],
    descriptor: Descriptor,
    address: usize,
    length: usize,
    at: Option<i64>,
) -> Result<u64, Errno> {
    let file = descriptors::open_file(descriptor);
    let (position, skipped) = at.map_or((file.position, 0), |at| (0, at as usize));
    let (taken, behind, result) = with_state(|state| {
        let nothing = (None, None, Ok(0));
        let Some((rules, window)) = state.rules() else {
            return nothing;
        };
        let Some(rule) = rules.find(name, Call::Read) else {
            return nothing;
        };
        match rule.read(position) {
            Next::End => nothing,
            Next::Errno(errno, taken) => (Some(taken), None, Err(Errno(errno as i32))),
            Next::Bytes {
                step,
                index,
                from,
                taken,
            } => {
                let from = from.saturating_add(skipped);
                let length = usize::from(step.data.length)
                    .saturating_sub(from)
                    .min(length);
                let put = put_out(&rules, window, step.data, from, length, address);
                let behind = put
                    .is_ok()
                    .then(|| answers::position_behind(index, from, length));
                (taken, behind, put.map(|()| length as u32))
            }
        }
    });
    if let (Some(position), None) = (behind, at) {
        descriptors::store(fd, &chardev::OpenFile { position, ..file });
    }
    let length = length as u64;
    trace::answered(name, Event::Read { length }, taken.as_ref(), &result);
    result.map(u64::from)
}

/// Bytes of a write that the trace shows.
const SHOWN: usize = 32;

#[inline(never)]
fn write(name: &[u8], address: usize, length: usize) -> Result<u64, Errno> {
    let mut front = [0; SHOWN];
    let front = front.get_mut(..length.min(SHOWN)).unwrap_or(&mut []);
    world::copy_in(address, front)?;
    let taken = with_state(|state| Some(state.rules()?.0.find(name, Call::Write)?.take()));
    let usual = length as u32;
    let result = taken.map_or(Ok(usual), |taken| outcome(&taken.step, usual));
    let event = Event::Write {
        length: length as u64,
        front,
    };
    trace::answered(name, event, taken.as_ref(), &result);
    result.map(u64::from)
}

/// Back to the start; nothing else means something here.
pub fn seek(fd: i32, descriptor: Descriptor, whence: i32) -> Result<i64, Errno> {
    let file = descriptors::open_file(descriptor);
    if whence == libc::SEEK_SET {
        descriptors::store(
            fd,
            &chardev::OpenFile {
                position: 0,
                ..file
            },
        );
    }
    Ok(0)
}

/// Bytes that a stream of libc wrote below the hooks: told, and gone.
pub fn before_close(fd: i32) {
    let mut name = Room::new();
    let Some(name) = name_behind(fd, &mut name) else {
        return;
    };
    let Ok(status) = Kernel.fstat(fd) else {
        return;
    };
    if let Some(length) = status.size.checked_sub(MARK).filter(|&length| length > 0) {
        let _ = Kernel.ftruncate(fd, 0);
        let event = Event::Write { length, front: &[] };
        trace::answered(name.bytes(), event, None, &Ok(length as u32));
    }
}

/// The rule that names something right below this directory, if it has one: it stands for the directory.
pub fn rule_below(directory: &[u8]) -> Option<u32> {
    if !are_elsewhere() {
        return None;
    }
    let is_below = |&index: &u32| {
        pattern_of(index, &mut Room::new())
            .is_some_and(|pattern| paths::parent_of(pattern.bytes()) == directory)
    };
    (0..answers::RULES_MAX as u32).find(is_below)
}

/// Whether lists of the directory of this rule, or of /dev, show this name as ours.
pub fn is_entry(directory: Option<u32>, name: &[u8]) -> bool {
    let mut room = Room::new();
    for number in 0.. {
        match nth_entry(directory, number, &mut room) {
            Some(entry) if entry.bytes() == name => return true,
            Some(_) => {}
            None => break,
        }
    }
    false
}

/// The rules that name one device right below the directory of this rule, or below /dev, in their order.
pub fn nth_entry(directory: Option<u32>, number: u32, room: &mut Room) -> Option<&mut PathBuffer> {
    if !any() {
        return None;
    }
    let (mut sibling, mut full) = (Room::new(), Room::new());
    let sibling = match directory {
        Some(rule) => pattern_of(rule, &mut sibling)?,
        None => sibling.put(&[DEV])?,
    };
    let directory = paths::parent_of(sibling.bytes());
    let mut left = number;
    for index in 0..answers::RULES_MAX as u32 {
        let full = pattern_of(index, &mut full)?;
        // A socket's name has none.
        let Some((parent, name)) = paths::split(full.bytes()) else {
            continue;
        };
        let is_entry = parent == directory
            && !name.contains(&b'*')
            && named(full.bytes()).is_some_and(|node| node.index == index)
            && (parent != b"/dev" || paths::parse_node(name).is_none());
        if is_entry {
            if left == 0 {
                return room.put(&[name]);
            }
            left -= 1;
        }
    }
    None
}
