//! A trace of the library (`MTDSHIM_TRACE=json:FILE`), read line by line. Fields that are not known here are kept.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
        is_ioctl
            && self
                .errno
                .as_deref()
                .is_some_and(|errno| UNANSWERED.contains(&errno))
    }

    /// `0x40044d07 on /dev/watchdog`.
    pub fn unanswered_words(&self) -> String {
        let command = self
            .number("command")
            .map_or_else(|| self.op.clone(), |command| format!("{command:#010x}"));
        let place = match (self.fields.get("path").and_then(Value::as_str), self.mtd) {
            (Some(path), _) => path.to_owned(),
            (None, Some(index)) => format!("mtd{index}"),
            (None, None) => "?".to_owned(),
        };
        format!("{command} on {place}")
    }

    pub fn device(&self) -> String {
        match self.mtd {
            Some(index) => format!("mtd{index} \"{}\"", self.name),
            None => String::new(),
        }
    }
}

/// Lines that are no JSON objects (a process died while it wrote) are counted, not fatal.
pub fn read(path: &Path) -> Result<(Vec<Event>, usize)> {
    let file =
        File::open(path).with_context(|| format!("{}: cannot open this trace", path.display()))?;
    let (mut events, mut broken) = (Vec::new(), 0);
    for line in BufReader::new(file).split(b'\n') {
        let line = line.with_context(|| format!("{}: cannot read this trace", path.display()))?;
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

/// Each kind once, with how often it was asked, the most asked first.
pub fn unanswered(events: &[Event]) -> Vec<(String, usize)> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for event in events.iter().filter(|event| event.is_unanswered()) {
        let words = event.unanswered_words();
        match counts.iter_mut().find(|(known, _)| *known == words) {
            Some((_, count)) => *count += 1,
            None => counts.push((words, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}
