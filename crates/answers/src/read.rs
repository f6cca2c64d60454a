//! What successive reads of an open device get.
//!
//! A read gets the next answer of the rule. An answer that is longer than the program's buffer goes on in the next read.
//! Behind the answer that stays, the file ends, once for each open file: so `cat` comes to an end, and whoever opens the
//! device again finds the bytes again. A rule that cycles never ends.

use crate::{Outcome, Rule, Step, Taken};

/// What an open file remembers fits in its 40 bits of position: the step it is in (from 1), and the place behind.
const PLACE_BITS: u32 = 24;

pub enum Next {
    /// `step` from byte `from` on; `taken` if the call was counted.
    Bytes {
        step: Step,
        index: u32,
        from: usize,
        taken: Option<Taken>,
    },
    /// The file ends.
    End,
    Errno(u32, Taken),
}

/// Where an open file stands behind `length` bytes of an answer.
pub fn position_behind(index: u32, from: usize, length: usize) -> u64 {
    u64::from(index + 1) << PLACE_BITS | (from + length) as u64
}

impl Rule<'_> {
    /// The answer to a read at this position of an open file.
    pub fn read(&self, position: u64) -> Next {
        let (current, place) = (
            (position >> PLACE_BITS) as u32,
            (position & ((1 << PLACE_BITS) - 1)) as usize,
        );
        if let Some(index) = current.checked_sub(1) {
            let step = self.step(index);
            if place < usize::from(step.data.length) {
                return Next::Bytes {
                    step,
                    index,
                    from: place,
                    taken: None,
                };
            }
        }
        let taken = self.take();
        match taken.step.outcome {
            Outcome::Errno(errno) => Next::Errno(errno, taken),
            _ if taken.stays && current == taken.index + 1 => Next::End,
            _ => Next::Bytes {
                step: taken.step,
                index: taken.index,
                from: 0,
                taken: Some(taken),
            },
        }
    }
}
