//! The configuration that a board gets that has none: the chips of the file that is copied over a firmware's root, packed
//! by build.rs.

use crate::memory::Memory;

const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sample"));
const BYTES: usize = parse(env!("SAMPLE_BYTES"));

const fn parse(digits: &str) -> usize {
    let mut number = 0;
    let mut at = 0;
    while at < digits.len() {
        number = number * 10 + (digits.as_bytes()[at] - b'0') as usize;
        at += 1;
    }
    number
}

/// The text.
pub fn text() -> Option<Memory> {
    let mut memory = Memory::new(BYTES)?;
    let mut end = 0;
    let mut packed = PACKED.iter();
    while let Some(&first) = packed.next() {
        if first < 0x80 {
            *memory.get_mut(end)? = first;
            end += 1;
            continue;
        }
        let word = u16::from_be_bytes([first, *packed.next()?]);
        let distance = usize::from(word & 0x7ff) + 1;
        for _ in 0..usize::from(word >> 11 & 15) + 3 {
            *memory.get_mut(end)? = *memory.get(end.checked_sub(distance)?)?;
            end += 1;
        }
    }
    Some(memory)
}

#[cfg(test)]
pub const SAMPLE_CONF: &str = include_str!("../../../rootfs-overlay/etc/mtdshim.conf");

#[cfg(test)]
mod tests {
    #[test]
    fn the_packed_sample_is_the_beginning_of_the_file_that_is_copied_over_a_root() {
        let text = super::text().unwrap();
        let (chips, read_on) = core::str::from_utf8(&text)
            .unwrap()
            .split_once("# More keys")
            .unwrap();
        assert!(super::SAMPLE_CONF.starts_with(chips) && chips.contains("[chip.nand0]"));
        assert!(read_on.ends_with('\n') && read_on.lines().count() == 1);
        assert!(super::PACKED.len() < text.len() * 2 / 3);
    }
}
