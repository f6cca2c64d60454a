//! `mtdshim answer`: the rules that answer for devices other than flash; proposes some, adds them, counts.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use answers::{Data, Kind, Outcome, Rule, Rules, Step};
use anyhow::{Context as _, Result, bail};
use image::board::layout::{BOARD_BYTES, BoardWords};
use image::host_os::HostOs;
use image::mapping::Mapping;
use image::{PathText, conf};
use mtd_abi::errno::Errno;
use serde::Serialize;
use std::os::unix::ffi::OsStrExt;

use super::Context;
use crate::args::AnswerArgs;
use crate::bytes;
use crate::output;
use crate::proposals::{self, Proposal};
use crate::runs;
use crate::scratch;
use crate::store::{Store, problem};
use crate::trace;

#[derive(Serialize)]
struct Answer {
    #[serde(rename = "return", skip_serializing_if = "Option::is_none")]
    value: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<String>,
    /// Hexadecimal.
    #[serde(skip_serializing_if = "String::is_empty")]
    data: String,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Serialize)]
struct Shown {
    line: u32,
    path: String,
    command: String,
    argument: Option<u32>,
    calls: u32,
    cycle: bool,
    /// The number, from 1, of the answer that the next call gets.
    next: u32,
    answers: Vec<Answer>,
}

#[derive(Serialize)]
struct All {
    configuration: PathBuf,
    rules: Vec<Shown>,
    proposals: Vec<Proposal>,
    /// How many rules this call has added.
    added: usize,
}

#[derive(Serialize)]
struct Reset {
    /// How many rules.
    reset: usize,
}

pub fn run(context: &Context, args: &AnswerArgs) -> Result<ExitCode> {
    let store = context.open(None)?;
    let conf = PathBuf::from(store.board.conf_path().as_str());
    if args.reset {
        let rules = store.board.rules();
        rules.reset();
        let reset = rules.count();
        if context.json {
            output::json(&Reset { reset })?;
            return Ok(ExitCode::SUCCESS);
        }
        context.say(&format!(
            "{}: {} reset to the first answer",
            conf.display(),
            bytes::count(reset as u64, "rule")
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let proposals = match &args.path {
        Some(path) => vec![composed(args, path)?],
        None => proposed(&store, args)?,
    };
    let shown = rules(&store.board.rules());
    if args.add {
        return add(context, &conf, &store, proposals, shown);
    }
    if context.json {
        output::json(&All {
            configuration: conf,
            rules: shown,
            proposals,
            added: 0,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.path.is_none() {
        list(&conf, &shown)?;
    }
    for proposal in &proposals {
        output::line(format!("\n{}", proposal.rule.trim_end()))?;
    }
    if !proposals.is_empty() {
        context.say(&format!(
            "\nnot yet in {}: {}; the same with --add puts {} there",
            conf.display(),
            bytes::count(proposals.len() as u64, "rule"),
            if proposals.len() == 1 { "it" } else { "them" }
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn proposed(store: &Store, args: &AnswerArgs) -> Result<Vec<Proposal>> {
    let path = match &args.trace {
        Some(path) => path.clone(),
        None => {
            if runs::all(store).is_empty() && args.run.is_none() {
                return Ok(Vec::new());
            }
            let run = runs::find(store, args.run.as_deref().unwrap_or("last"))?;
            if !run.trace().exists() {
                return Ok(Vec::new());
            }
            run.trace()
        }
    };
    let (events, _) = trace::read(&path)?;
    Ok(proposals::of(&events, Some(store.board.rules())))
}

/// A rule from the command line.
fn composed(args: &AnswerArgs, path: &str) -> Result<Proposal> {
    let Some(command) = &args.command else {
        bail!(
            "{path}: which command? give a number, '*', read, write or open: mtdshim answer {path} '*'"
        );
    };
    let is_number = command.starts_with(|first: char| first.is_ascii_digit());
    let quote = |text: &str| {
        if text.contains('"') || text.contains('\\') {
            format!("'{text}'")
        } else {
            format!("\"{text}\"")
        }
    };
    let value = |text: &str| {
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            text.to_owned()
        } else {
            quote(text)
        }
    };
    let mut rule = format!("[[answer]]\npath = {}\n", quote(path));
    rule += &if is_number {
        format!("command = {command}\n")
    } else {
        format!("command = {}\n", quote(command))
    };
    // A string of the configuration is one line without escapes.
    let as_hex = args.text.as_ref().filter(|text| {
        text.chars().any(char::is_control) || quote(text).starts_with('\'') && text.contains('\'')
    });
    let as_hex = as_hex.map(|text| hex(text.as_bytes()));
    let text = if as_hex.is_some() {
        &as_hex
    } else {
        &args.text
    };
    let keys = [
        ("argument", &args.argument, false),
        ("return", &args.value, false),
        ("errno", &args.errno, false),
        ("data", &args.data, true),
        (if as_hex.is_some() { "data" } else { "text" }, text, true),
        ("offset", &args.offset, false),
    ];
    for (key, given, is_text) in keys {
        if let Some(given) = given {
            let written = if is_text { quote(given) } else { value(given) };
            rule += &format!("{key} = {written}\n");
        }
    }
    Ok(Proposal {
        path: path.to_owned(),
        command: None,
        asked: 0,
        rule,
    })
}

/// Appends to the configuration, which is replaced as a whole, and only by one that is right.
fn add(
    context: &Context,
    conf: &Path,
    store: &Store,
    proposals: Vec<Proposal>,
    before: Vec<Shown>,
) -> Result<ExitCode> {
    if proposals.is_empty() {
        context.say("nothing to add: the last trace shows nothing that no rule answers");
    } else {
        let target = std::fs::canonicalize(conf)?;
        let mut text = std::fs::read_to_string(&target)
            .with_context(|| format!("{}: cannot read it", target.display()))?;
        for proposal in &proposals {
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text.push('\n');
            text += &proposal.rule;
        }
        verify(conf, store, &text)?;
        replace(&target, &text)?;
    }
    let added = proposals.len();
    if context.json {
        output::json(&All {
            configuration: conf.to_owned(),
            rules: before,
            proposals,
            added,
        })?;
    } else if added > 0 {
        for proposal in &proposals {
            output::print(&format!("{}\n", proposal.rule))?;
        }
        context.say(&format!(
            "{}: {} added; the next program finds {}",
            conf.display(),
            bytes::count(added as u64, "rule"),
            if added == 1 { "it" } else { "them" }
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(conf: &Path, store: &Store, text: &str) -> Result<()> {
    let mapping = Mapping::private(BOARD_BYTES).context("out of memory")?;
    let words = BoardWords::new(mapping.words());
    let file = PathText::of(conf.as_os_str().as_bytes());
    conf::compile(
        &HostOs,
        &file,
        store.board.directory(),
        text.as_bytes(),
        &words,
    )
    .map_err(problem)
    .context("this rule cannot be added")
}

fn replace(target: &Path, text: &str) -> Result<()> {
    let directory = target.parent().unwrap_or(Path::new("/"));
    let failed = || format!("{}: cannot be replaced", target.display());
    let mut file = scratch::file_beside(directory).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    std::fs::set_permissions(file.path(), std::fs::metadata(target)?.permissions())
        .with_context(failed)?;
    file.persist(target).with_context(failed)?;
    Ok(())
}

fn text_of(rules: &Rules<'_>, data: Data) -> Vec<u8> {
    let mut bytes = vec![0; data.length.into()];
    rules.copy(data, 0, &mut bytes);
    bytes
}

fn command_words(rule: &Rule<'_>) -> String {
    match rule.kind() {
        Kind::Command(number) => match mtd_abi::ioctl::name(number) {
            Some(name) => format!("{number:#010x} {name}"),
            None => format!("{number:#010x}"),
        },
        Kind::AnyCommand => "*".to_owned(),
        Kind::Read => "read".to_owned(),
        Kind::Write => "write".to_owned(),
        Kind::Open => "open".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    let words: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    words.join(" ")
}

fn answer(rules: &Rules<'_>, step: Step) -> Answer {
    let data = text_of(rules, step.data);
    let (value, errno) = match step.outcome {
        Outcome::Usual => (None, None),
        Outcome::Value(value) => (Some(value), None),
        Outcome::Errno(errno) => (
            None,
            Some(
                Errno(errno as i32)
                    .name()
                    .map_or_else(|| errno.to_string(), str::to_owned),
            ),
        ),
    };
    Answer {
        value,
        errno,
        data: hex(&data),
        offset: step.offset,
    }
}

fn rules(rules: &Rules<'_>) -> Vec<Shown> {
    let shown = |rule: Rule<'_>| Shown {
        line: rule.line(),
        path: String::from_utf8_lossy(&text_of(rules, rule.path())).into_owned(),
        command: command_words(&rule),
        argument: rule.argument(),
        calls: rule.asked(),
        cycle: rule.cycles(),
        next: rule.step_of(rule.asked()) + 1,
        answers: (0..rule.step_count().max(1))
            .map(|index| answer(rules, rule.step(index)))
            .collect(),
    };
    rules.iter().map(shown).collect()
}

const DATA_SHOWN: usize = 8 * 3 - 1;

/// Bytes that are text, as text.
fn as_text(hex: &str) -> Option<String> {
    let bytes = hex.split(' ').map(|word| u8::from_str_radix(word, 16).ok());
    let is_text = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let text: Option<Vec<u8>> = bytes.map(|byte| byte.filter(is_text)).collect();
    text.and_then(|text| String::from_utf8(text).ok())
        .map(|text| format!("\"{text}\""))
}

fn words(answer: &Answer) -> String {
    let mut parts = Vec::new();
    match (&answer.errno, answer.value) {
        (Some(errno), _) => parts.push(errno.clone()),
        (None, Some(value)) => parts.push(value.to_string()),
        (None, None) if answer.data.is_empty() => parts.push("success".to_owned()),
        (None, None) => {}
    }
    if !answer.data.is_empty() {
        let mut shown = as_text(&answer.data).unwrap_or_else(|| answer.data.clone());
        if shown.len() > DATA_SHOWN {
            shown = shown.chars().take(DATA_SHOWN).collect::<String>() + " ...";
        }
        if answer.offset > 0 {
            shown += &format!(" at {}", answer.offset);
        }
        parts.push(shown);
    }
    parts.join(", ")
}

fn list(conf: &Path, shown: &[Shown]) -> Result<()> {
    if shown.is_empty() {
        return output::line(format!("{}: there are no rules yet", conf.display()));
    }
    let rows = shown.iter().map(|rule| {
        let next = match rule.answers.len() {
            1 => String::new(),
            all => format!("{} of {all}", rule.next),
        };
        vec![
            rule.line.to_string(),
            rule.path.clone(),
            rule.command.clone(),
            rule.argument
                .map_or_else(String::new, |number| number.to_string()),
            rule.calls.to_string(),
            next,
            rule.answers
                .get(rule.next as usize - 1)
                .map_or_else(String::new, words),
        ]
    });
    let columns = [
        ">LINE",
        "PATH",
        "COMMAND",
        ">ARGUMENT",
        ">CALLS",
        "NEXT",
        "ANSWER",
    ];
    output::table(&columns, rows.collect())
}
