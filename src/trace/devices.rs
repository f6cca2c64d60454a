//! What happened to devices that are not flash: answered by a rule, refused, missing. In the text form a rule to paste
//! into the configuration follows what nobody answered, once in a process.

use super::{JSON, STATE, begin, end, is_off, json_string};
use crate::answers::Event;
use crate::descriptors::Node;
use crate::paths::{self, PATH_MAX, Room};
use crate::{sys, world};
use answers::Taken;
use chardev::text::Text;
use core::fmt::Write;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use mtd_abi::errno::Errno;

/// The name of a path as a field, or at the beginning of what happened.
fn path_field(line: &mut Text<'_>, operation: &str, path: &[u8]) -> bool {
    let json = STATE.load(Relaxed) == JSON;
    if json {
        let _ = write!(line, ",\"op\":\"{operation}\",\"path\":");
        json_string(line, path);
    } else {
        line.push(path);
    }
    json
}

#[cold]
pub fn answered(path: &[u8], event: Event<'_>, taken: Option<&Taken>, result: &Result<u32, Errno>) {
    if is_off() {
        return;
    }
    let mut buffer = [0; 512];
    let mut line = Text::new(&mut buffer);
    begin(&mut line, None);
    let json = path_field(&mut line, "answered", path);
    let _ = match event {
        Event::Open if json => write!(line, ",\"call\":\"open\""),
        Event::Open => write!(line, " open()"),
        Event::Read { length } if json => write!(line, ",\"call\":\"read\",\"length\":{length}"),
        Event::Read { length } => write!(line, " read({length})"),
        Event::Write { length, front } => {
            let _ = if json {
                write!(line, ",\"call\":\"write\",\"length\":{length},\"data\":\"")
            } else {
                write!(line, " write({length}: ")
            };
            for byte in front {
                let _ = write!(line, "{byte:02x}");
            }
            line.write_str(if json { "\"" } else { ")" })
        }
        Event::Command { number, argument } if json => write!(
            line,
            ",\"call\":\"ioctl\",\"command\":{number},\"argument\":{argument}"
        ),
        Event::Command { number, argument } => {
            write!(line, " ioctl({number:#010x}, {argument:#x})")
        }
    };
    if let Some(Taken {
        line: at, count, ..
    }) = taken
    {
        let _ = if json {
            write!(line, ",\"line\":{at},\"count\":{count}")
        } else {
            write!(line, " by the rule in line {at}, call {count}")
        };
    }
    end(&mut line, result);
}

/// A command that nobody answered: what the firmware wants next.
#[cold]
pub fn refused(path: &[u8], command: u32, errno: Errno) {
    if is_off() {
        return;
    }
    let mut buffer = [0; 512];
    let mut line = Text::new(&mut buffer);
    begin(&mut line, None);
    let json = STATE.load(Relaxed) == JSON;
    if !json {
        line.push(b"refused ioctl on ");
    }
    path_field(&mut line, "refused-ioctl", path);
    let direction = match command >> 30 {
        0 => "none",
        1 => "write",
        2 => "read",
        _ => "read+write",
    };
    let (kind, number, size) = (command >> 8 & 0xff, command & 0xff, command >> 16 & 0x3fff);
    let _ = if json {
        write!(
            line,
            ",\"command\":{command},\"direction\":\"{direction}\",\"type\":{kind},\"number\":{number},\"size\":{size}"
        )
    } else {
        write!(
            line,
            ": {command:#010x} {direction} type={kind:#04x} nr={number} size={size}"
        )
    };
    end::<i32>(&mut line, &Err(errno));
    propose(path, Some(command));
}

/// An ioctl that flash does not know.
#[cold]
pub fn refused_by_flash(node: Node, command: u32) {
    if is_off() || mtd_abi::ioctl::name(command).is_some() {
        return;
    }
    if let Some(path) = paths::device_name(node, &mut Room::new()) {
        refused(path.bytes(), command, Errno::ENOTTY);
    }
}

/// The same by descriptor, after the system has refused it.
#[cold]
pub fn foreign_ioctl(fd: i32, command: u32) {
    if is_off() {
        return;
    }
    let errno = sys::errno();
    let mut name = [0; PATH_MAX];
    let name = crate::answers::name_of_foreign(fd, &mut name).unwrap_or(b"?");
    let is_refusal = match errno {
        libc::ENOTTY | libc::ENOSYS | libc::EINVAL => true,
        // A socket of a machine without that interface, or that may not be changed.
        libc::ENODEV | libc::EPERM | libc::EOPNOTSUPP => name == b"socket:",
        _ => false,
    };
    if is_refusal {
        refused(name, command, Errno(errno));
    }
    sys::set_errno(errno);
}

/// A device that is not there was looked for; `call` says how.
#[cold]
pub fn missing(directory: i32, path: &[u8], call: &str, errno: i32) {
    let is_told = !is_off() || world::is_mistaken();
    if !is_told || !matches!(errno, libc::ENOENT | libc::ENXIO | libc::ENODEV) {
        return;
    }
    let mut room = Room::new();
    if let Some(path) = paths::absolute(directory, path, &mut room)
        && answers::may_be_a_device(path.bytes())
    {
        if world::is_mistaken() {
            // That may be why; the line comes once.
            world::has_board();
        }
        tell_missing(path.bytes(), call, errno);
    }
    sys::set_errno(errno);
}

fn tell_missing(path: &[u8], call: &str, errno: i32) {
    if is_off() {
        return;
    }
    let mut buffer = [0; 512];
    let mut line = Text::new(&mut buffer);
    begin(&mut line, None);
    let json = STATE.load(Relaxed) == JSON;
    if !json {
        line.push(b"missing device ");
    }
    path_field(&mut line, "missing-device", path);
    let _ = if json {
        write!(line, ",\"call\":\"{call}\"")
    } else {
        write!(line, " ({call})")
    };
    end::<i32>(&mut line, &Err(Errno(errno)));
    propose(path, None);
}

/// Longest answer that is written out.
const DATA_MAX: u32 = 64;

/// A rule to paste, if this process has not shown it yet.
fn propose(path: &[u8], command: Option<u32>) {
    static SHOWN: [AtomicU32; 32] = [const { AtomicU32::new(0) }; 32];
    let is_device = command.is_none_or(|command| answers::is_worth_a_rule(path, command));
    let hash = path.iter().fold(command.unwrap_or(0), |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(16_777_619)
    });
    let bit = 1 << (hash & 31);
    let slot = SHOWN.get((hash >> 5 & 31) as usize);
    let is_new = slot.is_some_and(|slot| slot.fetch_or(bit, Relaxed) & bit == 0);
    if STATE.load(Relaxed) == JSON || !is_device || !is_new {
        return;
    }
    let mut buffer = [0; 1024];
    let mut text = Text::new(&mut buffer);
    text.push(b"[[answer]]\npath = \"");
    text.push(path);
    match command {
        None => text.push(b"\"\ncommand = \"open\"\n"),
        Some(command) => {
            let _ = write!(text, "\"\ncommand = {command:#010x}\n");
            let size = command >> 16 & 0x3fff;
            let reads = command >> 31 != 0;
            if reads && (1..=DATA_MAX).contains(&size) {
                text.push(b"data = \"00");
                for _ in 1..size {
                    text.push(b" 00");
                }
                text.push(b"\"\n");
            }
        }
    }
    super::put(text.bytes());
}
