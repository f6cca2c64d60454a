//! Rules to paste (`[[answer]]`) for what a trace shows that nobody answered: refused ioctls, missing devices.
//!
//! Must not know: where rules are kept.

use answers::{Call, Place, Rules};
use serde::Serialize;
use serde_json::Value;

use crate::bytes;
use crate::trace::{Event, ioctl_words};

#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub path: String,
    /// None: the device itself is missing.
    pub command: Option<u32>,
    pub asked: usize,
    /// The rule as the configuration has it.
    pub rule: String,
}

/// Names that programs look for without needing them, and what no rule can stand in for; with a slash at the end, all below.
const NOT_PROPOSED: &[&str] = &[
    "/dev/console",
    "/dev/initctl",
    "/dev/log",
    "/dev/ptmx",
    "/dev/tty",
    "/dev/mtd",
    "/dev/shm/",
    "/dev/pts/",
    "/dev/fd/",
    "/dev/net/",
    "/proc/net/",
    "/proc/sys/",
    "/sys/class/ubi",
    "/sys/class/ubi/",
    "/sys/devices/system/",
    "/sys/firmware/",
    "/sys/fs/",
    "/sys/kernel/mm/",
    "/sys/kernel/security/",
    "/sys/module/",
];

fn is_proposed(path: &str) -> bool {
    let is_flash = path.strip_prefix("/dev/mtd").is_some_and(|rest| {
        rest.trim_start_matches("block")
            .starts_with(|first: char| first.is_ascii_digit())
    });
    let is_process = path
        .strip_prefix("/proc/")
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    let is_skipped = |name: &str| path == name || name.ends_with('/') && path.starts_with(name);
    !is_flash && !is_process && !NOT_PROPOSED.iter().copied().any(is_skipped) && can_be_ruled(path)
}

fn can_be_ruled(path: &str) -> bool {
    let can_be_written = |c: char| c.is_ascii_graphic() && !"\"\\!*".contains(c);
    answers::place(path.as_bytes()) == Place::Possible && path.chars().all(can_be_written)
}

fn subject(event: &Event) -> Option<(String, Option<u32>)> {
    let path = event.fields.get("path").and_then(Value::as_str);
    match event.op.as_str() {
        "missing-device" => path
            .filter(|path| is_proposed(path))
            .map(|path| (path.to_owned(), None)),
        _ if event.is_unanswered() => {
            let command = u32::try_from(event.number("command")?).ok()?;
            let path = match (path, event.mtd) {
                (Some(path), _) => path.to_owned(),
                (None, Some(index)) => format!("/dev/mtd{index}"),
                _ => return None,
            };
            (can_be_ruled(&path) && answers::is_worth_a_rule(path.as_bytes(), command))
                .then_some((path, Some(command)))
        }
        _ => None,
    }
}

/// Each kind once, in the order in which they were first needed; without those that have a rule by now.
pub fn of(events: &[Event], rules: Option<Rules<'_>>) -> Vec<Proposal> {
    let mut found: Vec<(String, Option<u32>, usize)> = Vec::new();
    for (path, command) in events.iter().filter_map(subject) {
        let is_ruled = rules.is_some_and(|rules| match command {
            None => rules.named(path.as_bytes()).is_some(),
            Some(number) => {
                let call = Call::Command {
                    number,
                    argument: 0,
                };
                rules.find(path.as_bytes(), call).is_some()
            }
        });
        if is_ruled {
            continue;
        }
        match found
            .iter_mut()
            .find(|(known, number, _)| *known == path && *number == command)
        {
            Some((.., asked)) => *asked += 1,
            None => found.push((path, command, 1)),
        }
    }
    found
        .into_iter()
        .map(|(path, command, asked)| Proposal {
            rule: rule(&path, command, asked),
            path,
            command,
            asked,
        })
        .collect()
}

const DATA_MAX: u32 = 64;

fn rule(path: &str, command: Option<u32>, asked: usize) -> String {
    let times = bytes::count(asked as u64, "time");
    let head = format!("[[answer]]\npath = \"{path}\"\n");
    let Some(command) = command else {
        return format!(
            "{head}command = \"open\"          # it is missing, and was looked for {times}\n"
        );
    };
    let words = ioctl_words(command.into());
    let data = match (command >> 31, command >> 16 & 0x3fff) {
        (1, size @ 1..=DATA_MAX) => format!("data = \"{}\"\n", vec!["00"; size as usize].join(" ")),
        _ => String::new(),
    };
    format!("{head}command = {command:#010x}      # {words}; asked {times}\nreturn = 0\n{data}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Event {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_refused_ioctl_and_missing_device_is_proposed_once() {
        let refused = event(
            r#"{"op":"refused-ioctl","path":"/dev/gpio","command":2147772161,"result":-1,"errno":"EINVAL"}"#,
        );
        let missing =
            event(r#"{"op":"missing-device","path":"/dev/nvram0","call":"open","errno":"ENOENT"}"#);
        let flash = event(r#"{"op":"ioctl","mtd":2,"command":26521,"result":-1,"errno":"ENOTTY"}"#);
        let others = [
            r#"{"op":"refused-ioctl","path":"/dev/gpio","command":21505,"errno":"ENOTTY"}"#,
            r#"{"op":"refused-ioctl","path":"/root/file","command":1074041865,"errno":"ENOTTY"}"#,
            r#"{"op":"refused-ioctl","path":"anon_inode:[eventfd]","command":26369,"errno":"ENOTTY"}"#,
            r#"{"op":"missing-device","path":"/proc/17/ctl","errno":"ENOENT"}"#,
            r#"{"op":"missing-device","path":"/sys/class/ubi","errno":"ENOENT"}"#,
            r#"{"op":"missing-device","path":"/dev/mtd9","errno":"ENOENT"}"#,
            r#"{"op":"missing-device","path":"/dev/log","errno":"ENOENT"}"#,
            r#"{"op":"MEMERASE","mtd":2,"errno":"EINVAL"}"#,
        ];
        let mut events: Vec<Event> = others.iter().map(|text| event(text)).collect();
        let socket =
            event(r#"{"op":"refused-ioctl","path":"socket:","command":35066,"errno":"ENODEV"}"#);
        events.extend([
            missing.clone(),
            refused.clone(),
            flash,
            refused,
            missing,
            socket,
        ]);
        let found = of(&events, None);
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.path.as_str(), one.command, one.asked))
            .collect();
        assert_eq!(
            told,
            [
                ("/dev/nvram0", None, 2),
                ("/dev/gpio", Some(0x8004_6701), 2),
                ("/dev/mtd2", Some(0x6799), 1),
                ("socket:", Some(0x88fa), 1)
            ]
        );
        assert!(found[0].rule.contains("command = \"open\""));
    }

    #[test]
    fn what_an_ioctl_reads_is_proposed_as_zeros() {
        let text = rule("/dev/gpio", Some(0x8004_6702), 1);
        assert!(text.contains("command = 0x80046702      # 'g' 2, reads 4 bytes; asked 1 time\n"));
        assert!(
            text.ends_with("return = 0\ndata = \"00 00 00 00\"\n"),
            "{text}"
        );
    }
}
