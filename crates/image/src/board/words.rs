//! Reading and writing numbers and names in shared words.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::geometry_words::join;
use crate::text::Text;

/// A word outside reads as 0: a mapping is never shorter than it was checked to be.
pub fn get(words: &[AtomicU32], index: usize) -> u32 {
    words
        .get(index)
        .map_or(0, |word| word.load(Ordering::Relaxed))
}

pub fn put(words: &[AtomicU32], index: usize, value: u32) {
    if let Some(word) = words.get(index) {
        word.store(value, Ordering::Relaxed);
    }
}

pub fn get_u64(words: &[AtomicU32], index: usize) -> u64 {
    join(get(words, index), get(words, index + 1))
}

pub fn put_u64(words: &[AtomicU32], index: usize, value: u64) {
    put(words, index, value as u32);
    put(words, index + 1, (value >> 32) as u32);
}

/// `N` bytes, filled up with zeros.
pub fn get_text<const N: usize>(words: &[AtomicU32], index: usize) -> Text<N> {
    let mut text = Text::new();
    load_text(words, index, &mut text);
    text
}

pub fn load_text<const N: usize>(words: &[AtomicU32], index: usize, text: &mut Text<N>) {
    text.load(|bytes| load_bytes(words.get(index..).unwrap_or(&[]), bytes));
}

#[inline(never)]
fn load_bytes(words: &[AtomicU32], to: &mut [u8]) {
    for (bytes, word) in to.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = word.load(Ordering::Relaxed).to_le_bytes();
    }
}

/// All of them.
pub fn load_words(words: &[AtomicU32], to: &mut [u32]) {
    for (value, word) in to.iter_mut().zip(words) {
        *value = word.load(Ordering::Relaxed);
    }
}

/// Into `size` bytes, which the text fits.
#[inline(never)]
pub fn put_text(words: &[AtomicU32], index: usize, size: usize, text: &str) {
    let bytes = text.as_bytes();
    for position in 0..size / 4 {
        let mut chunk = [0; 4];
        for (byte, source) in chunk.iter_mut().zip(bytes.iter().skip(position * 4)) {
            *byte = *source;
        }
        put(words, index + position, u32::from_le_bytes(chunk));
    }
}
