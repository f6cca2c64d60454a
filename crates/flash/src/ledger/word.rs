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
    const fn number(self) -> u32 {
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

    const fn epoch(self) -> u32 {
        match self {
            Kind::CleanFrom { epoch } | Kind::Sound { epoch } => epoch,
            _ => 0,
        }
    }
}

pub const fn encode(value: u32, index: usize, kind: Kind) -> u32 {
    let value = value & VALUE_MAX;
    value << 12 | check(value, index, kind)
}

/// A word that is known to be right, with another value: the check of a sum is the sum of the checks.
#[inline(always)]
pub const fn change(raw: u32, to: u32) -> u32 {
    to << 12 | (raw & CHECK_MASK) ^ crc(value(raw) ^ to)
}

/// What a word says that is known to be right.
#[inline(always)]
pub const fn value(raw: u32) -> u32 {
    raw >> 12
}

#[inline(always)]
pub fn is_right(raw: u32, index: usize, kind: Kind) -> bool {
    raw & CHECK_MASK == check(value(raw), index, kind)
}

pub fn decode(raw: u32, index: usize, kind: Kind) -> Option<u32> {
    is_right(raw, index, kind).then_some(value(raw))
}

const fn check(value: u32, index: usize, kind: Kind) -> u32 {
    crc(value) ^ mark(index, kind)
}

/// 1..=4095, never 0: the value 0 has CRC 0, and a word of zeros must not be valid.
const fn mark(index: usize, kind: Kind) -> u32 {
    let seed = (index as u32).wrapping_mul(16).wrapping_add(kind.number());
    let mixed = (seed ^ seed >> 15).wrapping_mul(0x9e37_79b1);
    let place = (mixed ^ mixed >> 13).wrapping_mul(0x85eb_ca6b) >> 8;
    // The remainder by `EPOCHS_TOLD_APART` = 2^12 - 1: the sum of a number's halves leaves the same. Of 25 bits, the second is at
    // most 2^12 + 1.
    let number = place + kind.epoch();
    let sum = (number >> 12) + (number & CHECK_MASK);
    let sum = (sum >> 12) + (sum & CHECK_MASK);
    1 + if sum >= EPOCHS_TOLD_APART {
        sum - EPOCHS_TOLD_APART
    } else {
        sum
    }
}

/// CRC-12 (polynomial 0x80f): the sum of those of the number's five nibbles.
#[inline(always)]
const fn crc(value: u32) -> u32 {
    (NIBBLES[0][(value & 0xf) as usize]
        ^ NIBBLES[1][(value >> 4 & 0xf) as usize]
        ^ NIBBLES[2][(value >> 8 & 0xf) as usize]
        ^ NIBBLES[3][(value >> 12 & 0xf) as usize]
        ^ NIBBLES[4][(value >> 16 & 0xf) as usize]) as u32
}

/// The CRC of every nibble at every place.
const NIBBLES: [[u16; 16]; (VALUE_BITS / 4) as usize] = {
    let mut table = [[0u16; 16]; (VALUE_BITS / 4) as usize];
    let mut place = 0;
    while place < table.len() {
        let mut nibble = 0;
        while nibble < 16 {
            // One bit after the other, from the top of the number on.
            let (mut register, mut bit) = (0, VALUE_BITS);
            while bit > 0 {
                bit -= 1;
                let next = (nibble as u32) << (4 * place) >> bit & 1;
                let carry = (register >> 11 & 1) ^ next;
                register = (register << 1 & CHECK_MASK) ^ (carry * 0x80f);
            }
            table[place][nibble] = register as u16;
            nibble += 1;
        }
        place += 1;
    }
    table
};
