//! `mtdshim log`: a trace as a story: repeated operations drawn together, failures told; or filtered as JSON lines.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use super::Context;
use crate::args::LogArgs;
use crate::output;
use crate::runs;
use crate::trace::{self, Event};

pub fn run(context: &Context, args: &LogArgs) -> Result<ExitCode> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => of_run(context, args)?,
    };
    let (events, broken) = trace::read(&path)?;
    if events.is_empty() && broken > 0 {
        anyhow::bail!(
            "{}: this is no trace of JSON lines; make one with MTDSHIM_TRACE=json:FILE, or mtdshim run",
            path.display()
        );
    }
    let wanted: Vec<&Event> = events
        .iter()
        .filter(|event| is_wanted(args, event))
        .collect();
    if context.json {
        for event in &wanted {
            output::line(serde_json::to_string(event)?)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let start = events.first().map_or(0.0, |event| event.time);
    for line in lines(&wanted, start, args.all) {
        output::line(line)?;
    }
    if broken > 0 {
        context.say(&format!(
            "{broken} lines of the trace are broken and were left out"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a person reads; `all`: nothing is drawn together.
pub fn lines<'a>(
    events: &'a [&Event],
    start: f64,
    all: bool,
) -> impl Iterator<Item = String> + use<'a> {
    let steps = if all {
        events.iter().map(|event| Step::of(event)).collect()
    } else {
        story(events)
    };
    steps.into_iter().map(move |step| step.words(start))
}

fn of_run(context: &Context, args: &LogArgs) -> Result<PathBuf> {
    let store = context.open(None)?;
    let run = runs::find(&store, args.run.as_deref().unwrap_or("last"))?;
    if !run.trace().exists() {
        anyhow::bail!(
            "run {} recorded no trace: no program touched flash, or --trace said otherwise",
            run.number
        );
    }
    Ok(run.trace())
}

fn short(path: &str) -> &str {
    path.trim_start_matches("/dev/")
}

fn is_wanted(args: &LogArgs, event: &Event) -> bool {
    let device = |wanted: &String| {
        event.name == *wanted
            || event
                .path()
                .is_some_and(|path| short(path) == short(wanted))
            || event
                .mtd
                .is_some_and(|index| format!("mtd{index}") == wanted.trim_start_matches("/dev/"))
    };
    args.device.as_ref().is_none_or(device)
        && args
            .op
            .as_ref()
            .is_none_or(|text| event.op.to_lowercase().contains(&text.to_lowercase()))
        && (!args.failed || event.failed())
        && (!args.unanswered || event.is_unanswered() || event.is_missing())
}

/// One operation, or several of a kind in a row.
struct Step<'a> {
    first: &'a Event,
    count: u64,
    /// What a run of transfers covers: from, to.
    range: Option<(u64, u64)>,
}

impl<'a> Step<'a> {
    fn of(event: &'a Event) -> Step<'a> {
        Step {
            first: event,
            count: 1,
            range: range(event),
        }
    }

    /// Joins the next operation if it is the same to a person: same process, device, operation and outcome, and for
    /// transfers the place where the last one ended.
    fn take(&mut self, event: &Event) -> bool {
        let one = self.first;
        let same = one.pid == event.pid
            && one.mtd == event.mtd
            && one.op == event.op
            && one.errno == event.errno;
        match (self.range, range(event)) {
            (Some((from, to)), Some((start, end))) if same && start == to && !one.failed() => {
                self.range = Some((from, end))
            }
            (None, None) if same && one.fields == event.fields => {}
            _ => return false,
        }
        self.count += 1;
        true
    }

    fn words(&self, start: f64) -> String {
        let event = self.first;
        let mut text = format!("{:9.3} {:>6}  ", event.time - start, event.pid);
        let device = event.device();
        if !device.is_empty() {
            text += &format!("{device:<20} ");
        }
        if event.is_unanswered() && event.op == "refused-ioctl" {
            text += &format!("nobody answered ioctl {}", event.unanswered_words());
        } else if event.is_missing() {
            text += &format!("there is no {}", event.path().unwrap_or("?"));
        } else if event.op == "answered" {
            text += &answered(event);
        } else {
            text += &event.op;
        }
        match self.range {
            Some((from, to)) => text += &format!(" {from:#x}..{to:#x} ({} bytes)", to - from),
            None if event.op == "answered" || event.is_missing() => {}
            None => text += &fields(event),
        }
        if self.count > 1 {
            text += &format!(", {} times", self.count);
        }
        match (&event.errno, event.result) {
            (Some(errno), _) => text += &format!("  -> {errno}"),
            (None, Some(result)) if result != 0 && self.range.is_none() => {
                text += &format!("  -> {result}")
            }
            _ => {}
        }
        text
    }
}

/// A call that a rule answered, or that a ruled device has no rule for.
fn answered(event: &Event) -> String {
    let path = event.path().unwrap_or("?");
    let call = event.fields.get("call").and_then(Value::as_str);
    let mut text = match (event.number("command"), event.number("length")) {
        (Some(command), _) => format!("{path} ioctl {command:#010x}"),
        (None, Some(length)) => format!("{path} {} of {length} bytes", call.unwrap_or("?")),
        (None, None) => format!("{path} {}", call.unwrap_or("?")),
    };
    let data = event.fields.get("data").and_then(Value::as_str);
    if let Some(data) = data.filter(|data| !data.is_empty()) {
        text += &format!(" ({data})");
    }
    if let Some(line) = event.number("line") {
        text += &format!(", answered by the rule in line {line}");
    }
    text
}

fn range(event: &Event) -> Option<(u64, u64)> {
    let from = event.number("offset").or(event.number("start"))?;
    let asked = event.number("length").or(event.number("len"))?;
    let is_transfer = ["read", "write"].iter().any(|name| event.op.contains(name));
    let length = event
        .result
        .filter(|result| is_transfer && *result >= 0)
        .map_or(asked, |result| result as u64);
    Some((from, from + length))
}

fn fields(event: &Event) -> String {
    let hidden = [
        "path",
        "direction",
        "type",
        "number",
        "errno_number",
        "command",
    ];
    let shown = event.fields.iter().filter(|(name, value)| {
        let says_nothing = value.is_null() || name.ends_with("_high") && value.as_u64() == Some(0);
        !says_nothing && !hidden.contains(&name.as_str())
    });
    shown
        .map(|(name, value)| match value.as_u64() {
            Some(number) if number > 9 => format!(" {name}={number:#x}"),
            _ => format!(" {name}={value}"),
        })
        .collect()
}

fn story<'a>(events: &[&'a Event]) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> = Vec::new();
    for event in events {
        if !steps.last_mut().is_some_and(|last| last.take(event)) {
            steps.push(Step::of(event));
        }
    }
    steps
}
