//! One word of the ledger: 20 bits of value, 12 bits that tell whether it is this word and undamaged.
//!
//! The check is a CRC over the value (finds every change of one or two bits) moved by a number that depends on the
//! word's place and kind, so that a word copied to another place, or a file of zeros, is not taken for a record.

pub const VALUE_BITS: u32 = 20;
pub const VALUE_MAX: u32 = (1 << VALUE_BITS) - 1;
const CHECK_MASK: u32 = 0xfff;
/// Two epochs that differ by less than this give every word different check bits.
pub const EPOCHS_TOLD_APART: u32 = 4095;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    BlockProtect,
    OtpLock,
    Epoch,
    CachedPage,
    CachedBlock,
    CleanFrom { epoch: u32 },
    Wear,
    Flags,
    Sound { epoch: u32 },
}

impl Kind {
    fn number(self) -> u32 {
        match self {
            Kind::BlockProtect => 1,
            Kind::OtpLock => 2,
            Kind::Epoch => 3,
            Kind::CachedPage => 4,
            Kind::CachedBlock => 5,
            Kind::CleanFrom { .. } => 6,
            Kind::Wear => 7,
            Kind::Flags => 8,
            Kind::Sound { .. } => 9,
        }
    }

    fn epoch(self) -> u32 {
        match self {
            Kind::CleanFrom { epoch } | Kind::Sound { epoch } => epoch,
            _ => 0,
        }
    }
}

pub fn encode(value: u32, index: usize, kind: Kind) -> u32 {
    let value = value & VALUE_MAX;
    value << 12 | check(value, index, kind)
}

pub fn decode(raw: u32, index: usize, kind: Kind) -> Option<u32> {
    let value = raw >> 12;
    (raw & CHECK_MASK == check(value, index, kind)).then_some(value)
}

fn check(value: u32, index: usize, kind: Kind) -> u32 {
    crc(value) ^ mark(index, kind)
}

/// 1..=4095, never 0: the value 0 has CRC 0, and a word of zeros must not be valid.
fn mark(index: usize, kind: Kind) -> u32 {
    let seed = (index as u32).wrapping_mul(16).wrapping_add(kind.number());
    let mixed = (seed ^ seed >> 15).wrapping_mul(0x9e37_79b1);
    let place = (mixed ^ mixed >> 13).wrapping_mul(0x85eb_ca6b) >> 8;
    1 + (place % EPOCHS_TOLD_APART + kind.epoch() % EPOCHS_TOLD_APART) % EPOCHS_TOLD_APART
}

/// CRC-12 (polynomial 0x80f), four bits a step.
fn crc(value: u32) -> u32 {
    let mut remainder = 0u32;
    let mut shift = VALUE_BITS;
    while shift > 0 {
        shift -= 4;
        let nibble = (value >> shift & 0xf) ^ (remainder >> 8);
        remainder = (remainder << 4 & CHECK_MASK) ^ NIBBLES[(nibble & 0xf) as usize] as u32;
    }
    remainder
}

const NIBBLES: [u16; 16] = {
    let mut table = [0u16; 16];
    let mut nibble = 0;
    while nibble < 16 {
        let mut register = (nibble as u32) << 8;
        let mut bit = 0;
        while bit < 4 {
            register = if register & 0x800 != 0 {
                register << 1 ^ 0x80f
            } else {
                register << 1
            };
            bit += 1;
        }
        table[nibble] = (register & CHECK_MASK) as u16;
        nibble += 1;
    }
    table
};
