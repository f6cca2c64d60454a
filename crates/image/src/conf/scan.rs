//! Reading a text from its front, byte by byte. Words are cut at ASCII bytes, so what was UTF-8 stays it.

#[derive(Clone, Copy)]
pub struct Scan<'a> {
    pub rest: &'a [u8],
}

pub fn str_of(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).unwrap_or("")
}

pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

impl<'a> Scan<'a> {
    /// Without white space around it.
    pub fn of(text: &'a str) -> Self {
        Scan {
            rest: text.as_bytes().trim_ascii(),
        }
    }

    pub fn whole(text: &'a str) -> Self {
        Scan {
            rest: text.as_bytes(),
        }
    }

    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or(&[]);
    }

    pub fn eat(&mut self, token: &str) -> bool {
        let found = self.rest.starts_with(token.as_bytes());
        if found {
            self.skip(token.len());
        }
        found
    }

    #[inline(never)]
    pub fn take_while(&mut self, test: &dyn Fn(u8) -> bool) -> &'a str {
        let end = self.rest.iter().position(|&byte| !test(byte));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        str_of(word)
    }

    pub fn skip_blanks(&mut self) {
        self.take_while(&is_blank);
    }

    /// What lies before `stop`, which is skipped; all when it is not there.
    pub fn take_until(&mut self, stop: u8) -> &'a str {
        let word = self.take_while(&|byte| byte != stop);
        self.skip(1);
        word
    }

    /// The number in front; none without a digit, or with too many.
    pub fn number(&mut self, base: u32) -> Option<u64> {
        self.number_after(0, base)
    }

    /// The same where `value` stands before it.
    #[inline(never)]
    pub fn number_after(&mut self, mut value: u64, base: u32) -> Option<u64> {
        let start = self.rest.len();
        while let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(base)) {
            value = value.checked_mul(base.into())?.checked_add(digit.into())?;
            self.skip(1);
        }
        (self.rest.len() < start).then_some(value)
    }

    /// 16 behind 0x, which is skipped.
    pub fn base(&mut self) -> u32 {
        if self.eat("0x") || self.eat("0X") {
            16
        } else {
            10
        }
    }
}

/// The place of a word in a list of words.
pub fn index_of(list: &str, word: &str) -> Option<usize> {
    list.split_ascii_whitespace()
        .position(|known| known == word)
}
