//! The sample configuration, packed for the library, which writes it once in the life of a board: its chips, and where to
//! read on.
//!
//! A byte below 128 stands for itself. Two bytes 1LLLLDDD DDDDDDDD say: LLLL + 3 bytes again, from D + 1 bytes before.

use std::path::Path;

const TEXT: &str = "../../rootfs-overlay/etc/mtdshim.conf";
/// What the library leaves out begins so; every byte of it counts.
const REST: &str = "# [[answer]]";
const READ_ON: &str = "# More keys, and answers for devices that are not flash: rootfs-overlay/etc/mtdshim.conf of mtdshim.\n";
const LENGTH_MIN: usize = 3;
const LENGTH_MAX: usize = LENGTH_MIN + 15;
const DISTANCE_MAX: usize = 1 << 11;

fn main() {
    println!("cargo::rerun-if-changed={TEXT}");
    let text = std::fs::read_to_string(TEXT).expect("the sample configuration");
    assert!(text.is_ascii(), "{TEXT} is not ASCII");
    let (chips, _) = text.split_once(REST).expect("a part on answers");
    let text = format!("{chips}{READ_ON}");
    let packed = pack(text.as_bytes());
    let target = std::env::var_os("OUT_DIR").expect("OUT_DIR");
    std::fs::write(Path::new(&target).join("sample"), packed).expect("the packed sample");
    println!("cargo::rustc-env=SAMPLE_BYTES={}", text.len());
}

/// Distance and length of the longest piece before `at` that comes again there.
fn longest(text: &[u8], at: usize) -> (usize, usize) {
    let common = |from: usize| {
        let pairs = text[from..].iter().zip(&text[at..]);
        pairs.take(LENGTH_MAX).take_while(|(a, b)| a == b).count()
    };
    let earliest = at.saturating_sub(DISTANCE_MAX);
    let best = (earliest..at).max_by_key(|&from| common(from));
    best.map_or((0, 0), |from| (at - from - 1, common(from)))
}

/// The shortest way to say it, found from the end: a long piece is not always worth more than two that fit together.
fn pack(text: &[u8]) -> Vec<u8> {
    let mut costs = vec![0; text.len() + 1];
    let mut steps = vec![(0, 0); text.len()];
    for at in (0..text.len()).rev() {
        (costs[at], steps[at]) = (costs[at + 1] + 1, (0, 1));
        let (distance, longest) = longest(text, at);
        for length in LENGTH_MIN..=longest {
            if costs[at + length] + 2 < costs[at] {
                (costs[at], steps[at]) = (costs[at + length] + 2, (distance, length));
            }
        }
    }
    let mut packed = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match steps[at] {
            (distance, length) if length >= LENGTH_MIN => {
                let word = 0x8000 | (length - LENGTH_MIN) << 11 | distance;
                packed.extend((word as u16).to_be_bytes());
                at += length;
            }
            _ => {
                packed.push(text[at]);
                at += 1;
            }
        }
    }
    packed
}
