//! The version of the compiled board: a fingerprint of the sources that decide what is in it. A build in which any of them
//! changed, if only by a comment, compiles the board anew; one made by another layout can never be taken for its own.

macro_rules! sources {
    ($($path:literal,)*) => {
        [$(($path, include_bytes!($path)),)*]
    };
}

/// Everything that gives a text its compiled form; a test finds what is missing here.
const SOURCES: &[(&str, &[u8])] = &sources![
    "chip.rs",
    "device.rs",
    "hardware.rs",
    "layout.rs",
    "mod.rs",
    "open.rs",
    "words.rs",
    "../conf/answer.rs",
    "../conf/chip.rs",
    "../conf/chip/resolve.rs",
    "../conf/keys.rs",
    "../conf/lex.rs",
    "../conf/mod.rs",
    "../conf/mtdparts.rs",
    "../conf/partition.rs",
    "../conf/proc_mtd.rs",
    "../conf/scan.rs",
    "../conf/units.rs",
    "../../../answers/src/lib.rs",
    "../../../answers/src/pattern.rs",
    "../../../answers/src/place.rs",
    "../../../answers/src/read.rs",
    "../geometry_words.rs",
    "../presets.rs",
    "../../../flash/src/geometry.rs",
];

/// FNV-1a.
const fn fingerprint() -> u32 {
    let (mut hash, mut file) = (0x811c_9dc5u32, 0);
    while file < SOURCES.len() {
        let bytes = SOURCES[file].1;
        let mut at = 0;
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
            at += 1;
        }
        file += 1;
    }
    hash
}

pub const VERSION: u32 = fingerprint();

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    fn sources_below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources_below(&path, found);
            } else if !path.to_str().unwrap().ends_with("tests.rs") && !path.ends_with("version.rs")
            {
                found.push(path.canonicalize().unwrap());
            }
        }
    }

    #[test]
    fn every_source_of_the_compiled_form_is_in_its_version() {
        let board = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/board");
        let listed: Vec<PathBuf> = SOURCES
            .iter()
            .map(|(path, _)| board.join(path).canonicalize().unwrap())
            .collect();
        let mut needed = Vec::new();
        for folder in [".", "../conf", "../../../answers/src"] {
            sources_below(&board.join(folder), &mut needed);
        }
        for path in needed {
            assert!(
                listed.contains(&path),
                "{} is missing in SOURCES",
                path.display()
            );
        }
    }

    #[test]
    fn the_version_follows_every_byte_of_the_sources() {
        let text: Vec<u8> = SOURCES
            .iter()
            .flat_map(|(_, text)| text.iter().copied())
            .collect();
        let hash = |text: &[u8]| {
            let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
            text.iter().fold(0x811c_9dc5, step)
        };
        assert_eq!(hash(&text), VERSION);
        let mut changed = text.clone();
        changed[text.len() / 2] ^= 1;
        assert_ne!(hash(&changed), VERSION);
    }
}
