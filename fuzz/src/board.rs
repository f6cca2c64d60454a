//! Compiled boards in memory: from a text, from a few fixed texts, or patched.

use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::OnceLock;

use image::PathText;
use image::board::layout::{BOARD_WORDS, BoardWords};
use image::board::{DEVICES_MAX, DeviceView};
use image::stamp::Stamp;

use crate::memory_os::MemoryOs;
use crate::operations::{self, Limits};
use crate::reader::Reader;

/// Chips larger than this are looked at, but not worked with.
const WORKED_BYTES_MAX: u64 = 1 << 20;

pub struct CompiledText {
    words: Vec<AtomicU32>,
}

impl CompiledText {
    /// None when the text is refused, which must be with one line that names the file.
    pub fn of(text: &[u8], captured: &[u8]) -> Option<CompiledText> {
        let words: Vec<AtomicU32> = (0..BOARD_WORDS).map(|_| AtomicU32::new(0)).collect();
        let board = CompiledText { words };
        let os = MemoryOs { captured };
        let (file, directory) = (PathText::of(b"/b/mtdshim.conf"), PathText::of(b"/b"));
        match image::conf::compile(&os, &file, &directory, text, &board.board()) {
            Ok(()) => {
                board.board().seal(&Stamp::default());
                Some(board)
            }
            Err(problem) => {
                let line = problem.line();
                let (file, what) = line.split_once(": ").unwrap_or_default();
                assert!(file.starts_with("/b/"), "names no file: {line}");
                assert!(
                    !what.is_empty() && !line.contains('\n'),
                    "says nothing: {line}"
                );
                None
            }
        }
    }

    pub fn board(&self) -> BoardWords<'_> {
        BoardWords::new(&self.words)
    }

    /// What everything behind a compiled board relies on.
    pub fn check(&self) {
        let board = self.board();
        assert!(board.is_sound(), "a text compiles into an unsound board");
        assert!(board.chip_count() > 0);
        for index in 0..DEVICES_MAX {
            let Some(view) = board.devices().view(index) else {
                continue;
            };
            let chip = board.chip(view.chip).expect("a device without a chip");
            assert!(
                view.offset <= chip.geometry.size && view.size <= chip.geometry.size - view.offset
            );
            let words = image::geometry_words::encode(&chip.geometry);
            assert_eq!(image::geometry_words::decode(&words), Some(chip.geometry));
            operations::texts(&board, &view, &chip.geometry);
        }
    }

    pub fn operate(&self, reader: &mut Reader<'_>, limits: &Limits) {
        let board = self.board();
        let views: Vec<DeviceView> = (0..DEVICES_MAX)
            .filter_map(|index| board.devices().view(index))
            .collect();
        let Some(view) = views.get(usize::from(reader.byte()) % views.len().max(1)) else {
            return;
        };
        let Some(chip) = board.chip(view.chip) else {
            return;
        };
        let geometry = chip.geometry;
        if geometry.size > WORKED_BYTES_MAX
            || geometry.otp_user.length() + geometry.otp_factory.length() > WORKED_BYTES_MAX
        {
            return;
        }
        operations::run(&board, view, &geometry, reader, limits);
    }

    fn copy(&self) -> CompiledText {
        let words = self.words.iter();
        CompiledText {
            words: words
                .map(|word| AtomicU32::new(word.load(Ordering::Relaxed)))
                .collect(),
        }
    }
}

const FIXED: [&str; 5] = [
    "[chip.nor]\ntype = \"nor\"\ndriver = \"spi-nor\"\nsize = \"64K\"\nerasesize = \"4K\"\nlock = \"block-protect-tb\"\notp_user = \"3x256\"\notp_factory = \"1x16\"\notp_erase = true\nmtdparts = \"nor:16K(a),4100(odd),-(rest)\"\nkeep_master = true\n",
    "[chip.nor]\ntype = \"nor\"\ndriver = \"cfi\"\nsize = \"72K\"\nerase_regions = \"2x4K,1x64K\"\nlock = \"per-block\"\notp_user = \"2x64\"\nmtdparts = \"nor:8K(a),-(rest)\"\nkeep_master = true\n",
    "[chip.nand]\ntype = \"nand\"\nsize = \"64K\"\nerasesize = \"8K\"\nwritesize = 512\noobsize = 16\necc = \"hamming\"\nbad_blocks = [2]\nmtdparts = \"nand:16K(a),-(rest)\"\nkeep_master = true\n",
    "[chip.nand]\ntype = \"nand\"\nsize = \"128K\"\nerasesize = \"16K\"\nwritesize = 2048\noobsize = 64\nsubpages = 4\necc = \"bch4\"\nmtdparts = \"nand:48K(a),-(rest)\"\nkeep_master = true\n",
    "[chip.ram]\ntype = \"ram\"\nsize = \"32K\"\nerasesize = \"4K\"\n",
];

/// One of a few boards, each with devices of every kind of alignment.
pub fn fixed(which: u8) -> CompiledText {
    static BOARDS: OnceLock<Vec<CompiledText>> = OnceLock::new();
    let boards = BOARDS.get_or_init(|| {
        let compiled = FIXED
            .iter()
            .map(|text| CompiledText::of(text.as_bytes(), b""));
        compiled
            .map(|board| board.expect("a fixed board"))
            .collect()
    });
    boards[usize::from(which) % boards.len()].copy()
}

/// Patches are: word number (2 bytes), new value (4 bytes). The seal is put on again, so that the checksum hides nothing.
pub fn patched(data: &[u8]) {
    let mut reader = Reader::new(data);
    let board = fixed(reader.byte());
    for _ in 0..reader.byte() % 16 {
        let index = reader.number(2) as usize % BOARD_WORDS;
        board.words[index].store(reader.number(4) as u32, Ordering::Relaxed);
    }
    let words = board.board();
    let _ = words.is_sound();
    words.seal(&Stamp::default());
    for index in 0..DEVICES_MAX {
        if let Some(view) = words.devices().view(index)
            && let Some(chip) = words.chip(view.chip)
        {
            operations::texts(&words, &view, &chip.geometry);
        }
    }
    if words.is_sound() {
        board.operate(&mut reader, &Limits::BRIEF);
    }
}
