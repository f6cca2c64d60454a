//! The text of a recording, and the bytes that the recording program made from a seed.

use std::fs;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

pub fn recording(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/recordings")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The bytes that the recording program wrote for a seed.
pub fn seeded(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// FNV-1a, 64 bits.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(14_695_981_039_346_656_037, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211)
        })
}

pub fn digest(bytes: &[u8]) -> u32 {
    let hash = hash(bytes);
    (hash ^ hash >> 32) as u32
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn number(text: &str) -> Option<u64> {
    let text = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// What an argument list means as data: `#7`, `#7t` or `byte f0`.
pub fn data_of(argument: &str, length: usize) -> Option<(Vec<u8>, bool)> {
    if let Some(byte) = argument.strip_prefix("byte ") {
        return Some((vec![u8::from_str_radix(byte, 16).ok()?; length], false));
    }
    let seed = argument.strip_prefix('#')?;
    let tame = seed.ends_with('t');
    Some((
        seeded(seed.trim_end_matches('t').parse().ok()?, length),
        tame,
    ))
}
