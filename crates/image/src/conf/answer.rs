//! `[[answer]]` and `[[answer.step]]`: the keys of a rule, and the rule they make.

use answers::{Draft, Full, Kind, Outcome, POOL_BYTES_MAX, Place, RULES_MAX, Rules, Step};
use mtd_abi::errno::Errno;

use super::lex::Value;
use super::{At, keys};
use crate::problem::Problem;

/// Those of a step come first.
const KEYS: &str = "return errno data text offset path command argument cycle";
const STEP_KEYS: &str = "return errno data text offset";
const STEP_KEY_COUNT: usize = 5;
const KEY_COUNT: usize = 9;
const RETURN: usize = 0;
const ERRNO: usize = 1;
const DATA: usize = 2;
const TEXT: usize = 3;
const OFFSET: usize = 4;
const PATH: usize = 5;
const COMMAND: usize = 6;
const ARGUMENT: usize = 7;

const PATH_BYTES_MAX: usize = 200;
/// A return value above is an errno to every C library.
const RETURN_MAX: u64 = i32::MAX as u64;
const ERRNO_MAX: u64 = 4095;

pub struct AnswerDraft<'a> {
    at: At<'a>,
    is_step: bool,
    /// The line of each key, 0 when it is not there; in the order of `KEYS`.
    lines: [u32; KEY_COUNT],
    path: &'a str,
    kind: Kind,
    argument: u32,
    cycles: bool,
    step: Step,
}

impl<'a> AnswerDraft<'a> {
    pub fn new(at: At<'a>, is_step: bool) -> Self {
        AnswerDraft {
            at,
            is_step,
            lines: [0; KEY_COUNT],
            path: "",
            kind: Kind::AnyCommand,
            argument: 0,
            cycles: false,
            step: Step::default(),
        }
    }

    fn has(&self, key: usize) -> bool {
        self.lines.get(key).is_some_and(|&line| line != 0)
    }

    #[inline(never)]
    pub fn set(
        &mut self,
        key: &'a str,
        value: Value<'a>,
        at: At<'a>,
        rules: &Rules<'_>,
    ) -> Result<(), Problem> {
        let known = if self.is_step { STEP_KEYS } else { KEYS };
        let index = at.index_of_key(known, key)?;
        if let Some(line) = self.lines.get_mut(index) {
            at.check_first(key, *line)?;
            *line = at.line;
        }
        match index {
            RETURN => self.step.outcome = Outcome::Value(number(at, key, value, RETURN_MAX)?),
            ERRNO => self.step.outcome = Outcome::Errno(errno(at, value)?),
            DATA => self.step.data = kept(at, rules.keep(hex(at, at.text(key, value)?)?))?,
            TEXT => self.step.data = kept(at, rules.keep(at.text(key, value)?.bytes()))?,
            OFFSET => self.step.offset = number(at, key, value, u32::MAX.into())?,
            PATH => self.path = path(at, at.text(key, value)?)?,
            COMMAND => self.kind = kind(at, value)?,
            ARGUMENT => self.argument = number(at, key, value, u32::MAX.into())?,
            _ => self.cycles = keys::flag(at, key, value)?,
        }
        Ok(())
    }

    /// The keys are complete: a rule and its first answer, or a further one.
    #[inline(never)]
    pub fn end(&self, rules: &Rules<'_>) -> Result<(), Problem> {
        let excluded = [
            (self.has(DATA) && self.has(TEXT), "data and text"),
            (self.has(RETURN) && self.has(ERRNO), "return and errno"),
        ];
        if let Some((_, both)) = excluded.iter().find(|(both, _)| *both) {
            return Err(self.at.problem(format_args!(
                "{both} are given for one answer; remove one of them"
            )));
        }
        if !self.is_step {
            if !(self.has(PATH) && self.has(COMMAND)) {
                return Err(self.at.problem(format_args!(
                    "a rule needs path and command; write path = \"/dev/gpio\" and command = \"*\""
                )));
            }
            let draft = Draft {
                path: self.path,
                kind: self.kind,
                argument: self.has(ARGUMENT).then_some(self.argument),
                cycles: self.cycles,
                line: self.at.line,
            };
            kept(self.at, rules.add(&draft))?;
        }
        self.check_kind(rules)?;
        if self.is_step || (0..STEP_KEY_COUNT).any(|key| self.has(key)) {
            kept(self.at, rules.add_step(&self.step))?;
        }
        Ok(())
    }

    /// An answer that the call cannot have is a misunderstanding.
    fn check_kind(&self, rules: &Rules<'_>) -> Result<(), Problem> {
        let Some(rule) = rules
            .count()
            .checked_sub(1)
            .and_then(|last| rules.rule(last))
        else {
            return Ok(());
        };
        let unfit = |keys: &[usize]| keys.iter().any(|&key| self.has(key));
        let possible = match rule.kind() {
            Kind::Open if unfit(&[RETURN, DATA, TEXT, OFFSET, ARGUMENT]) => "errno",
            Kind::Read if unfit(&[RETURN, OFFSET, ARGUMENT]) => "data, text or errno",
            Kind::Write if unfit(&[DATA, TEXT, OFFSET, ARGUMENT]) => "return or errno",
            _ => return Ok(()),
        };
        Err(self.at.problem(format_args!(
            "this kind of call cannot be answered so; give {possible}"
        )))
    }
}

fn kept<T>(at: At<'_>, result: Result<T, Full>) -> Result<T, Problem> {
    result.map_err(|Full| {
        at.problem(format_args!(
            "there are too many rules, steps or bytes; \
             at most {RULES_MAX} rules, {} steps and {POOL_BYTES_MAX} bytes are possible",
            answers::STEPS_MAX
        ))
    })
}

fn number(at: At<'_>, key: &str, value: Value<'_>, max: u64) -> Result<u32, Problem> {
    match value {
        Value::Number(number) if number <= max => Ok(number as u32),
        _ => Err(at.problem(format_args!(
            "{key} is no number up to {max:#x}; write {key} = 0; a failure is errno = \"EIO\""
        ))),
    }
}

fn errno(at: At<'_>, value: Value<'_>) -> Result<u32, Problem> {
    let found = match value {
        Value::Number(number) if (1..=ERRNO_MAX).contains(&number) => Some(number as u32),
        Value::Text(name) => {
            let is_it = |number: &i32| Errno(*number).name() == Some(name);
            (1..=ERRNO_MAX as i32)
                .find(is_it)
                .map(|number| number as u32)
        }
        _ => None,
    };
    found.ok_or_else(|| {
        at.problem(format_args!(
            "this errno is not known; write its number: errno = 5"
        ))
    })
}

fn kind(at: At<'_>, value: Value<'_>) -> Result<Kind, Problem> {
    match value {
        Value::Number(number) if number <= u32::MAX.into() => Ok(Kind::Command(number as u32)),
        Value::Text("*") => Ok(Kind::AnyCommand),
        Value::Text("read") => Ok(Kind::Read),
        Value::Text("write") => Ok(Kind::Write),
        Value::Text("open") => Ok(Kind::Open),
        _ => Err(at.problem(format_args!(
            "this is no command; write a number, \"*\", \"read\", \"write\" or \"open\""
        ))),
    }
}

fn path<'a>(at: At<'_>, path: &'a str) -> Result<&'a str, Problem> {
    let place = answers::place(path.as_bytes());
    let (wrong, remedy) = match place {
        Place::Possible if path.len() <= PATH_BYTES_MAX => return Ok(path),
        Place::TooWide => (
            "stands for files that programs need",
            "write more of the name: \"/proc/vendor*\"",
        ),
        Place::Own => (
            "is the library's own",
            "a rule can only answer for other names",
        ),
        _ => (
            "is no device",
            "write an absolute name, with * for any part: \"/dev/gpio*\", or \"socket:\"",
        ),
    };
    Err(at.problem(format_args!("path = \"{path}\" {wrong}; {remedy}")))
}

/// Pairs of hexadecimal digits, with blanks between bytes if one likes.
fn hex<'a>(at: At<'_>, text: &'a str) -> Result<impl Iterator<Item = u8> + 'a, Problem> {
    let digits = || text.chars().filter(|c| !matches!(c, ' ' | '\t'));
    if digits().any(|c| !c.is_ascii_hexdigit()) || digits().count() % 2 != 0 {
        return Err(at.problem(format_args!(
            "data holds something else than bytes; \
             write two hexadecimal digits a byte: data = \"01 00 ff\""
        )));
    }
    let mut digits = digits()
        .filter_map(|c| c.to_digit(16))
        .map(|digit| digit as u8);
    Ok(core::iter::from_fn(move || {
        Some(digits.next()? << 4 | digits.next()?)
    }))
}
