//! A trace of the library (`MTDSHIM_TRACE=json:FILE`), read line by line. Fields that are not known here are kept.

use std::io::BufRead;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::reading::{self, Limit};

#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct Event {
    #[serde(default)]
    pub time: f64,
    #[serde(default)]
    pub pid: u32,
    pub mtd: Option<u32>,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub op: String,
    pub result: Option<i64>,
    pub errno: Option<String>,
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// Of an ioctl that nobody answered.
const UNANSWERED: &[&str] = &["ENOTTY", "ENOSYS"];

impl Event {
    pub fn number(&self, field: &str) -> Option<u64> {
        self.fields.get(field)?.as_u64()
    }

    pub fn failed(&self) -> bool {
        self.errno.is_some()
    }

    pub fn is_unanswered(&self) -> bool {
        let is_ioctl =
            self.op == "refused-ioctl" || self.op == "ioctl" || self.fields.contains_key("command");
        // What flash itself finds wrong is an answer; what the library calls refused is none.
        let is_refusal = |errno: &str| UNANSWERED.contains(&errno) || self.op == "refused-ioctl";
        is_ioctl && self.errno.as_deref().is_some_and(is_refusal)
    }

    /// `0x80045705 ('W' 5, reads 4 bytes) on /dev/watchdog`.
    pub fn unanswered_words(&self) -> String {
        let command = match self.number("command") {
            Some(command) => format!("{command:#010x} ({})", ioctl_words(command)),
            None => self.op.clone(),
        };
        let place = match (self.fields.get("path").and_then(Value::as_str), self.mtd) {
            (Some(path), _) => path.to_owned(),
            (None, Some(index)) => format!("mtd{index}"),
            (None, None) => "?".to_owned(),
        };
        format!("{command} on {place}")
    }

    /// Programs ask everything whether it is a terminal; that no one says yes is no news.
    pub fn asks_for_terminal(&self) -> bool {
        self.number("command")
            .is_some_and(|command| command >> 8 & 0xff == u64::from(b'T'))
    }

    /// A device was looked for that does not exist.
    pub fn is_missing(&self) -> bool {
        self.op == "missing-device"
    }

    pub fn path(&self) -> Option<&str> {
        self.fields.get("path")?.as_str()
    }

    pub fn device(&self) -> String {
        match self.mtd {
            Some(index) => format!("mtd{index} \"{}\"", self.name),
            None => String::new(),
        }
    }
}

const TRACE: Limit<'_> = Limit {
    bytes: 1 << 33,
    taker: "a trace",
};

/// Lines that are no JSON objects (a process died while it wrote) are counted, not fatal.
pub fn read(path: &Path) -> Result<(Vec<Event>, usize)> {
    let text = reading::file(path, &TRACE)?;
    parse(text.as_slice()).with_context(|| format!("{}: cannot read this trace", path.display()))
}

pub fn parse(text: impl BufRead) -> std::io::Result<(Vec<Event>, usize)> {
    let (mut events, mut broken) = (Vec::new(), 0);
    for line in text.split(b'\n') {
        let line = line?;
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(event) => events.push(event),
            Err(_) => broken += 1,
        }
    }
    Ok((events, broken))
}

/// The parts of an ioctl's number. Source: `asm-generic/ioctl.h`.
pub fn ioctl_words(command: u64) -> String {
    let (number, size) = (command & 0xff, command >> 16 & 0x3fff);
    let letter = match (command >> 8) as u8 {
        letter if letter.is_ascii_graphic() => format!("'{}'", letter as char),
        letter => format!("{letter:#04x}"),
    };
    let direction = match command >> 30 {
        1 => format!(", takes {size} bytes"),
        2 => format!(", reads {size} bytes"),
        3 => format!(", takes and reads {size} bytes"),
        _ => String::new(),
    };
    format!("{letter} {number}{direction}")
}

/// Each kind once, with how often it was asked, the most asked first.
pub fn unanswered(events: &[Event]) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for event in events
        .iter()
        .filter(|event| event.is_unanswered() && !event.asks_for_terminal())
    {
        let words = event.unanswered_words();
        match counts.iter_mut().find(|(known, _)| *known == words) {
            Some((_, count)) => *count += 1,
            None => counts.push((words, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Event {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn unanswered_ioctls_are_counted_by_kind_without_questions_for_terminals() {
        let watchdog = event(
            r#"{"op":"refused-ioctl","path":"/dev/watchdog","command":2147768069,"result":-1,"errno":"ENOTTY"}"#,
        );
        let terminal = event(
            r#"{"op":"refused-ioctl","path":"pipe","command":21505,"result":-1,"errno":"ENOTTY"}"#,
        );
        let answered = event(r#"{"op":"MEMERASE","mtd":1,"result":0}"#);
        let found = unanswered(&[watchdog.clone(), terminal, watchdog, answered]);
        assert_eq!(
            found,
            [(
                "0x80045705 ('W' 5, reads 4 bytes) on /dev/watchdog".to_owned(),
                2
            )]
        );
    }
}
