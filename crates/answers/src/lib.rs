//! Rules that answer calls on devices nobody emulates: which rule fits a call, and which of its answers is next.
//!
//! The rules lie in words that all processes share, so a count made by one is seen by all:
//!
//! ```text
//! word 0    number of rules, number of steps, bytes of the pool
//!      4    live: how often each rule was asked
//!      ...  rules, then steps, then the pool: patterns and bytes of answers
//! ```
//! Must not know: files, descriptors, guest memory, how rules are written down.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod pattern;
mod place;
mod read;
#[cfg(test)]
mod tests;

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

pub use pattern::matches;
pub use place::{Place, is_worth_a_rule, known_name, may_be_a_device, place};
pub use read::{Next, position_behind};

pub const RULES_MAX: usize = 64;
pub const STEPS_MAX: usize = 256;
const POOL_WORDS: usize = 8192;
/// Bytes of all patterns and answers together.
pub const POOL_BYTES_MAX: usize = POOL_WORDS * 4;

/// Added to the number of rules in a summary.
const ELSEWHERE: u32 = 1 << 31;

/// Whether a summary is of rules that name files outside /dev.
pub fn is_elsewhere(summary: u32) -> bool {
    summary & ELSEWHERE != 0
}

const RULE_COUNT: usize = 0;
const STEP_COUNT: usize = 1;
const POOL_BYTES: usize = 2;
const COUNTS_AT: usize = 4;
const RULES_AT: usize = COUNTS_AT + RULES_MAX;
const STEPS_AT: usize = RULES_AT + RULES_MAX * RULE_WORDS;
const POOL_AT: usize = STEPS_AT + STEPS_MAX * STEP_WORDS;
pub const WORDS: usize = POOL_AT + POOL_WORDS;

/// Pattern, kind and flags, command, argument, first step, number of steps, line.
const RULE_WORDS: usize = 7;
/// Value, flags, bytes, offset.
const STEP_WORDS: usize = 4;

/// What a program does to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Open,
    Read,
    Write,
    Command { number: u32, argument: u32 },
}

/// What a rule answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Command(u32),
    /// Every command but those that ask for a terminal: a device must not be taken for one by accident.
    AnyCommand,
    Read,
    Write,
    Open,
}

const TERMINAL: u32 = b'T' as u32;
const KIND_MASK: u32 = 7;
const HAS_ARGUMENT: u32 = 8;
const CYCLES: u32 = 16;
const IS_ERRNO: u32 = 1;
const HAS_VALUE: u32 = 2;

impl Kind {
    fn code(self) -> u32 {
        match self {
            Kind::Command(_) => 0,
            Kind::AnyCommand => 1,
            Kind::Read => 2,
            Kind::Write => 3,
            Kind::Open => 4,
        }
    }

    fn of(code: u32, number: u32) -> Kind {
        match code & KIND_MASK {
            0 => Kind::Command(number),
            1 => Kind::AnyCommand,
            2 => Kind::Read,
            3 => Kind::Write,
            _ => Kind::Open,
        }
    }

    fn fits(self, call: Call) -> bool {
        match (self, call) {
            (Kind::Command(wanted), Call::Command { number, .. }) => wanted == number,
            (Kind::AnyCommand, Call::Command { number, .. }) => number >> 8 & 0xff != TERMINAL,
            (Kind::Read, Call::Read) | (Kind::Write, Call::Write) | (Kind::Open, Call::Open) => {
                true
            }
            _ => false,
        }
    }
}

/// A rule as it is written down, without its answers.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    pub path: &'a str,
    pub kind: Kind,
    /// Only calls with this argument.
    pub argument: Option<u32>,
    pub cycles: bool,
    /// Where it stands in its text.
    pub line: u32,
}

/// One answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Step {
    pub outcome: Outcome,
    /// Where the bytes go behind the pointer that the program gave.
    pub offset: u32,
    pub data: Data,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Outcome {
    /// What such a call returns when all is well.
    #[default]
    Usual,
    Value(u32),
    Errno(u32),
}

/// Bytes in the pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Data {
    start: u16,
    pub length: u16,
}

/// There is no room for more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// An answer that was taken: counted, and the next call gets the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    pub step: Step,
    /// Number of the step in its rule, from 0.
    pub index: u32,
    /// The same step answers all calls from now on.
    pub stays: bool,
    /// How often the rule has been asked, with this call.
    pub count: u32,
    pub line: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    words: &'a [AtomicU32],
}

impl<'a> Rules<'a> {
    /// Words that are not there read as 0: then there are no rules.
    pub fn new(words: &'a [AtomicU32]) -> Self {
        Rules { words }
    }

    fn get(&self, at: usize) -> u32 {
        self.words.get(at).map_or(0, |word| word.load(Relaxed))
    }

    fn put(&self, at: usize, value: u32) {
        if let Some(word) = self.words.get(at) {
            word.store(value, Relaxed);
        }
    }

    pub fn count(&self) -> usize {
        (self.get(RULE_COUNT) as usize).min(RULES_MAX)
    }

    /// The number of rules, and whether one of them names a file outside /dev: see `is_elsewhere`.
    pub fn summary(&self) -> u32 {
        let is_elsewhere = self.iter().any(|rule| {
            let mut front = [0; 5];
            self.copy(rule.path(), 0, &mut front);
            front[0] == b'/' && &front != b"/dev/"
        });
        self.count() as u32 | if is_elsewhere { ELSEWHERE } else { 0 }
    }

    /// Everything that a checksum has to cover: what does not live.
    pub fn fixed(&self) -> impl Iterator<Item = u32> + '_ {
        let used = |at: usize, length: usize| {
            let words = self.words.get(at..at + length).unwrap_or(&[]);
            words.iter().map(|word| word.load(Relaxed))
        };
        let steps = (self.get(STEP_COUNT) as usize).min(STEPS_MAX);
        let pool = (self.get(POOL_BYTES) as usize).min(POOL_BYTES_MAX);
        used(0, COUNTS_AT)
            .chain(used(RULES_AT, self.count() * RULE_WORDS))
            .chain(used(STEPS_AT, steps * STEP_WORDS))
            .chain(used(POOL_AT, pool.div_ceil(4)))
    }

    /// Rules without a step answer with the usual success.
    pub fn add(&self, draft: &Draft<'_>) -> Result<(), Full> {
        let index = self.count();
        if index >= RULES_MAX {
            return Err(Full);
        }
        let path = self.keep(draft.path.bytes())?;
        let number = match draft.kind {
            Kind::Command(number) => number,
            _ => 0,
        };
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let words = [
            pack(path),
            draft.kind.code()
                | flag(draft.argument.is_some(), HAS_ARGUMENT)
                | flag(draft.cycles, CYCLES),
            number,
            draft.argument.unwrap_or(0),
            self.get(STEP_COUNT),
            0,
            draft.line,
        ];
        self.put_all(RULES_AT + index * RULE_WORDS, &words);
        self.put(RULE_COUNT, index as u32 + 1);
        Ok(())
    }

    /// The next answer of the rule added last.
    pub fn add_step(&self, step: &Step) -> Result<(), Full> {
        let steps = self.get(STEP_COUNT) as usize;
        let Some(last) = self.count().checked_sub(1).filter(|_| steps < STEPS_MAX) else {
            return Err(Full);
        };
        let (value, flags) = match step.outcome {
            Outcome::Usual => (0, 0),
            Outcome::Value(value) => (value, HAS_VALUE),
            Outcome::Errno(errno) => (errno, IS_ERRNO),
        };
        self.put_all(
            STEPS_AT + steps * STEP_WORDS,
            &[value, flags, pack(step.data), step.offset],
        );
        self.put(STEP_COUNT, steps as u32 + 1);
        let count_at = RULES_AT + last * RULE_WORDS + 5;
        self.put(count_at, self.get(count_at) + 1);
        Ok(())
    }

    fn put_all(&self, at: usize, values: &[u32]) {
        for (index, value) in values.iter().enumerate() {
            self.put(at + index, *value);
        }
    }

    /// Puts bytes into the pool.
    pub fn keep(&self, bytes: impl Iterator<Item = u8>) -> Result<Data, Full> {
        let start = self.get(POOL_BYTES) as usize;
        let mut end = start;
        for byte in bytes {
            if end >= POOL_BYTES_MAX {
                return Err(Full);
            }
            let at = POOL_AT + end / 4;
            let shift = end % 4 * 8;
            let rest = self.get(at) & !(0xff << shift);
            self.put(at, rest | u32::from(byte) << shift);
            end += 1;
        }
        self.put(POOL_BYTES, end as u32);
        Ok(Data {
            start: start as u16,
            length: (end - start) as u16,
        })
    }

    pub fn byte(&self, data: Data, index: usize) -> Option<u8> {
        (index < usize::from(data.length)).then(|| {
            let at = usize::from(data.start) + index;
            (self.get(POOL_AT + at / 4) >> (at % 4 * 8)) as u8
        })
    }

    /// Copies from `from` on, as many bytes as there are and fit.
    pub fn copy(&self, data: Data, from: usize, to: &mut [u8]) -> usize {
        let mut copied = 0;
        for place in to {
            match self.byte(data, from + copied) {
                Some(byte) => *place = byte,
                None => break,
            }
            copied += 1;
        }
        copied
    }

    pub fn rule(&self, index: usize) -> Option<Rule<'a>> {
        (index < self.count()).then_some(Rule {
            rules: *self,
            index,
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = Rule<'a>> + '_ {
        (0..self.count()).filter_map(|index| self.rule(index))
    }

    /// The first rule for a name, whatever it answers: such a device exists.
    pub fn named(&self, path: &[u8]) -> Option<usize> {
        self.iter()
            .find(|rule| rule.is_for(path))
            .map(|rule| rule.index)
    }

    /// Whether a rule is for this name alone.
    pub fn has_exactly(&self, path: &[u8]) -> bool {
        self.iter().any(|rule| {
            let pattern = rule.path();
            usize::from(pattern.length) == path.len()
                && (0..path.len()).all(|at| self.byte(pattern, at) == path.get(at).copied())
        })
    }

    /// The first rule that answers this call, in the order of the text.
    pub fn find(&self, path: &[u8], call: Call) -> Option<Rule<'a>> {
        self.iter()
            .find(|rule| rule.fits(call) && rule.is_for(path))
    }

    /// Every rule starts with its first answer again.
    pub fn reset(&self) {
        for index in 0..RULES_MAX {
            self.put(COUNTS_AT + index, 0);
        }
    }
}

fn pack(data: Data) -> u32 {
    u32::from(data.start) << 16 | u32::from(data.length)
}

fn unpack(word: u32) -> Data {
    Data {
        start: (word >> 16) as u16,
        length: word as u16,
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    rules: Rules<'a>,
    pub index: usize,
}

impl Rule<'_> {
    fn get(&self, at: usize) -> u32 {
        self.rules.get(RULES_AT + self.index * RULE_WORDS + at)
    }

    /// Where the pattern lies.
    pub fn path(&self) -> Data {
        unpack(self.get(0))
    }

    pub fn kind(&self) -> Kind {
        Kind::of(self.get(1), self.get(2))
    }

    pub fn argument(&self) -> Option<u32> {
        (self.get(1) & HAS_ARGUMENT != 0).then(|| self.get(3))
    }

    pub fn cycles(&self) -> bool {
        self.get(1) & CYCLES != 0
    }

    pub fn step_count(&self) -> u32 {
        self.get(5)
    }

    pub fn line(&self) -> u32 {
        self.get(6)
    }

    /// How often it was asked.
    pub fn asked(&self) -> u32 {
        self.rules.get(COUNTS_AT + self.index)
    }

    fn is_for(&self, path: &[u8]) -> bool {
        let pattern = self.path();
        pattern::matches(|index| self.rules.byte(pattern, index), path)
    }

    fn fits(&self, call: Call) -> bool {
        let same_argument =
            |wanted: u32| matches!(call, Call::Command { argument, .. } if argument == wanted);
        self.kind().fits(call) && self.argument().is_none_or(same_argument)
    }

    pub fn step(&self, index: u32) -> Step {
        if index >= self.step_count() {
            return Step::default();
        }
        let at = STEPS_AT + (self.get(4) as usize + index as usize) * STEP_WORDS;
        let value = self.rules.get(at);
        Step {
            outcome: match self.rules.get(at + 1) {
                IS_ERRNO => Outcome::Errno(value),
                HAS_VALUE => Outcome::Value(value),
                _ => Outcome::Usual,
            },
            offset: self.rules.get(at + 3),
            data: unpack(self.rules.get(at + 2)),
        }
    }

    /// The step that the call with this number, from 0, gets.
    pub fn step_of(&self, call: u32) -> u32 {
        match self.step_count() {
            0 => 0,
            steps if self.cycles() => call % steps,
            steps => call.min(steps - 1),
        }
    }

    /// Counts a call and answers it.
    pub fn take(&self) -> Taken {
        let before = self
            .rules
            .words
            .get(COUNTS_AT + self.index)
            .map_or(0, |word| word.fetch_add(1, Relaxed));
        let index = self.step_of(before);
        Taken {
            step: self.step(index),
            index,
            stays: !self.cycles() && index + 1 >= self.step_count(),
            count: before.wrapping_add(1),
            line: self.line(),
        }
    }
}
