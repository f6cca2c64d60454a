//! One line per operation, decoded like strace; off, it costs one load of a byte.
//!
//! MTDSHIM_TRACE is `stderr` or a file name (appended to); a leading `json:` makes JSON lines.

mod devices;

use crate::paths::Room;
use crate::settings;
use crate::sys;
use crate::world;
use chardev::Session;
use chardev::text::Text;
use core::fmt::Write;
use core::sync::atomic::{AtomicI32, AtomicU8, Ordering::Relaxed};
pub use devices::{answered, foreign_ioctl, missing, refused, refused_by_flash};
use mtd_abi::errno::Errno;

pub static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
static FILE: AtomicI32 = AtomicI32::new(2);

const UNKNOWN: u8 = 0;
pub const OFF: u8 = 1;
const TEXT: u8 = 2;
const JSON: u8 = 3;

#[inline(always)]
fn is_off() -> bool {
    match STATE.load(Relaxed) {
        OFF => true,
        UNKNOWN => start() == OFF,
        _ => false,
    }
}

/// The same without finding out, as a number: 0 if it is known to be off.
#[inline(always)]
pub fn unless_off() -> u32 {
    u32::from(STATE.load(Relaxed) ^ OFF)
}

pub fn find_out() {
    is_off();
}

/// When the library is loaded: what a program sets in its environment itself is for those that it starts.
#[inline(always)]
pub fn at_load(is_named: bool) {
    let named = STATE.load(Relaxed);
    STATE.store(if is_named { named } else { OFF }, Relaxed);
}

/// The guest wants the number of the file for itself; where there is no other, the trace goes to stderr.
pub fn leave(fd: i32) {
    use image::os::Os;
    if FILE.load(Relaxed) == fd {
        crate::descriptors::forget_private(fd);
        let moved = sys::Kernel.make_private(fd);
        FILE.store(if moved == fd { 2 } else { moved }, Relaxed);
    }
}

#[cold]
fn start() -> u8 {
    use image::os::Os;
    let state = match world::environment(settings::TRACE) {
        None => OFF,
        Some(value) => {
            let bytes = value.to_bytes();
            let target = settings::trace_target(bytes);
            let kind = if target.len() < bytes.len() {
                JSON
            } else {
                TEXT
            };
            if !settings::is_stderr(target) {
                let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
                let mut path = Room::new();
                let opened = path
                    .put(&[target])
                    .ok_or(libc::ENAMETOOLONG)
                    .and_then(|path| sys::openat(sys::AT_FDCWD, path.c_str(), flags, 0o666));
                match opened {
                    Ok(fd) => FILE.store(sys::Kernel.make_private(fd), Relaxed),
                    Err(errno) => sys::report(&[
                        b"MTDSHIM_TRACE: cannot open ",
                        target,
                        b": ",
                        image::os::errno_text(errno).as_bytes(),
                        b"; the trace goes to stderr",
                    ]),
                }
            }
            kind
        }
    };
    STATE.store(state, Relaxed);
    state
}

/// Seconds and microseconds of the wall clock.
fn now() -> (u32, u32) {
    let mut time = [0u32; 2];
    let _ = sys::call!(libc::SYS_gettimeofday, time.as_mut_ptr(), 0);
    (time[0], time[1])
}

/// Begins a line: time, process, device.
fn begin(line: &mut Text<'_>, device: Option<(u32, &[u8])>) {
    let (seconds, microseconds) = now();
    let pid = sys::getpid();
    // Writing to a Text cannot fail.
    let _ = if STATE.load(Relaxed) == JSON {
        write!(line, "{{\"time\":{seconds}.{microseconds:06},\"pid\":{pid}")
    } else {
        write!(line, "{seconds}.{microseconds:06} {pid} ")
    };
    if let Some((index, name)) = device {
        if STATE.load(Relaxed) == JSON {
            let _ = write!(line, ",\"mtd\":{index},\"name\":");
            json_string(line, name);
        } else {
            let _ = write!(line, "mtd{index} ");
            line.push(name);
            line.push(b" ");
        }
    }
}

fn json_string(line: &mut Text<'_>, bytes: &[u8]) {
    line.push(b"\"");
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => line.push(&[b'\\', byte]),
            0x20..=0x7e => line.push(&[byte]),
            other => {
                let _ = write!(line, "\\u{other:04x}");
            }
        }
    }
    line.push(b"\"");
}

fn end<T: Into<i64> + Copy>(line: &mut Text<'_>, result: &Result<T, Errno>) {
    let json = STATE.load(Relaxed) == JSON;
    let _ = match result {
        Ok(value) if json => write!(line, ",\"result\":{}}}", (*value).into()),
        Ok(value) => write!(line, " = {}", (*value).into()),
        Err(errno) => {
            let name = errno.name().unwrap_or("errno");
            if json {
                write!(
                    line,
                    ",\"result\":-1,\"errno\":\"{name}\",\"errno_number\":{}}}",
                    errno.0
                )
            } else {
                write!(line, " = -1 {name} ({})", errno.0)
            }
        }
    };
    line.push(b"\n");
    put(line.bytes());
}

fn put(bytes: &[u8]) {
    let _ = sys::call!(
        libc::SYS_write,
        FILE.load(Relaxed),
        bytes.as_ptr(),
        bytes.len()
    );
}

struct Count(u64);
impl From<Count> for i64 {
    fn from(count: Count) -> i64 {
        count.0 as i64
    }
}
impl Clone for Count {
    fn clone(&self) -> Self {
        *self
    }
}
impl Copy for Count {}

pub fn transfer(
    session: &Session<'_>,
    operation: &str,
    position: u64,
    length: u64,
    result: &Result<u64, Errno>,
) {
    if is_off() {
        return;
    }
    let mut buffer = [0; 512];
    let mut line = Text::new(&mut buffer);
    begin(&mut line, Some((session.device.index, session.device.name)));
    let _ = if STATE.load(Relaxed) == JSON {
        write!(
            line,
            ",\"op\":\"{operation}\",\"offset\":{position},\"length\":{length}"
        )
    } else {
        write!(line, "{operation}({position:#x}, {length})")
    };
    end(&mut line, &result.map(Count));
}

pub fn ioctl(
    session: &mut Session<'_>,
    command: u32,
    argument: usize,
    result: &Result<i32, Errno>,
) {
    if is_off() {
        return;
    }
    let mut buffer = [0; 512];
    let mut line = Text::new(&mut buffer);
    begin(&mut line, Some((session.device.index, session.device.name)));
    let json = STATE.load(Relaxed) == JSON;
    let name = mtd_abi::ioctl::name(command);
    if name.is_none() && *result == Err(Errno::ENOTTY) {
        // `refused_by_flash` tells it, with a rule that would answer.
        return;
    }
    let _ = match (json, name) {
        (true, Some(name)) => write!(line, ",\"op\":\"{name}\""),
        (true, None) => write!(line, ",\"op\":\"ioctl\",\"command\":{command}"),
        (false, Some(name)) => write!(line, "{name}("),
        (false, None) => write!(line, "ioctl({command:#010x}, "),
    };
    fields(&mut line, session, command, argument, json);
    if !json {
        line.push(b")");
    }
    end(&mut line, result);
}

/// The argument as the call left it.
fn fields(
    line: &mut Text<'_>,
    session: &mut Session<'_>,
    command: u32,
    argument: usize,
    json: bool,
) {
    use mtd_abi::ioctl::*;
    use mtd_abi::layout::*;
    let mut bytes = [0; 64];
    let size = (command >> 16 & 0x3fff) as usize;
    let value = command == MTDFILEMODE;
    let known = !value && size > 0 && size <= bytes.len();
    let read = known
        && bytes
            .get_mut(..size)
            .is_some_and(|bytes| session.chip.medium.copy_in(argument, bytes).is_ok());
    if !read {
        let _ = match (json, value) {
            (true, _) => write!(line, ",\"argument\":{argument}"),
            (false, true) => write!(line, "{argument}"),
            (false, false) => write!(line, "{argument:#x}"),
        };
        return;
    }
    let word = |offset| u32::get(&bytes, offset);
    let wide = |offset| u64::get(&bytes, offset);
    let pair = |line: &mut Text<'_>, names: [&str; 2], values: [u64; 2]| {
        let _ = if json {
            write!(
                line,
                ",\"{}\":{},\"{}\":{}",
                names[0], values[0], names[1], values[1]
            )
        } else {
            write!(
                line,
                "{{{}={:#x}, {}={:#x}}}",
                names[0], values[0], names[1], values[1]
            )
        };
    };
    match command {
        MEMERASE | MEMLOCK | MEMUNLOCK | MEMISLOCKED | OTPLOCK | OTPERASE | MEMREADOOB
        | MEMWRITEOOB => {
            pair(line, ["start", "length"], [word(0).into(), word(4).into()]);
        }
        MEMERASE64 => pair(line, ["start", "length"], [wide(0), wide(8)]),
        MEMREADOOB64 | MEMWRITEOOB64 => pair(line, ["start", "length"], [wide(0), word(12).into()]),
        MEMGETBADBLOCK | MEMSETBADBLOCK => pair(line, ["offset", "offset_high"], [wide(0), 0]),
        MEMGETINFO => pair(
            line,
            ["size", "erasesize"],
            [word(8).into(), word(12).into()],
        ),
        MEMWRITE | MEMREAD => {
            pair(line, ["start", "len"], [wide(0), wide(8)]);
            pair(
                line,
                ["ooblen", "mode"],
                [wide(16), u64::from(u8::get(&bytes, 40))],
            );
        }
        ECCGETSTATS => pair(
            line,
            ["corrected", "failed"],
            [word(0).into(), word(4).into()],
        ),
        _ => {
            let _ = if json {
                write!(line, ",\"argument\":{argument}")
            } else {
                write!(line, "{argument:#x}")
            };
        }
    }
}

/// Bytes that a stream had written below the hooks.
pub fn taken_over(index: u32, length: u64) {
    if is_off() {
        return;
    }
    let mut buffer = [0; 256];
    let mut line = Text::new(&mut buffer);
    begin(&mut line, Some((index, b"")));
    let _ = if STATE.load(Relaxed) == JSON {
        write!(line, ",\"op\":\"write-by-stream\",\"length\":{length}")
    } else {
        write!(line, "write by a stream, {length} bytes")
    };
    end(&mut line, &Ok(Count(length)));
}
