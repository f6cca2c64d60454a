//! Numbers out of the fuzzer's bytes; zeros when they are used up.

pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (front, rest) = self.bytes.split_at(count.min(self.bytes.len()));
        self.bytes = rest;
        front
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub fn number(&mut self, width: usize) -> u64 {
        self.take(width)
            .iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
    }

    /// A number that is mostly near something: the low bits chosen, scaled, a little off, or anything at all.
    pub fn near(&mut self, limit: u64) -> u64 {
        let how = self.byte();
        match how % 6 {
            0 => u64::from(self.byte()) * 512,
            1 => self.number(2) % limit.max(1),
            2 => (self.number(2) % limit.max(1)) & !511,
            3 => limit.wrapping_add(u64::from(self.byte())).wrapping_sub(16),
            4 => self.number(4),
            _ => self.number(8),
        }
    }
}
