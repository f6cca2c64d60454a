//! What the fuzz targets do with their bytes, and which claims they check beside "no panic".
//!
//! A claim that does not hold panics with a sentence. Must not know: which fuzzer runs it.

mod board;
mod memory_os;
mod operations;
mod reader;
mod side;
mod store;

pub use side::side_file;

use board::CompiledText;
use operations::Limits;
use reader::Reader;

/// A text of mtdshim.conf; what follows a zero byte is the captured /proc/mtd that it may name.
pub fn configuration(data: &[u8]) {
    let mut parts = data.splitn(2, |&byte| byte == 0);
    let (text, captured) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    if let Some(board) = CompiledText::of(text, captured) {
        board.check();
        board.operate(&mut Reader::new(captured), &Limits::BRIEF);
    }
}

/// The value of `mtdparts`, on chips with and without erase regions.
pub fn mtdparts(data: &[u8]) {
    let escaped: Vec<u8> = data
        .iter()
        .flat_map(|&byte| match byte {
            b'"' | b'\\' => vec![b'\\', byte],
            _ => vec![byte],
        })
        .collect();
    for chip in [
        "type = \"nor\"\nsize = \"256K\"\nerasesize = \"4K\"",
        "type = \"nor\"\nsize = \"512K\"\nerase_regions = \"8x8K,7x64K\"",
        "type = \"nand\"\nsize = \"1M\"\nerasesize = \"16K\"\nwritesize = 512\noobsize = 16\nkeep_master = true",
    ] {
        let mut text = format!("[chip.nor]\n{chip}\nmtdparts = \"").into_bytes();
        text.extend_from_slice(&escaped);
        text.extend_from_slice(b"\"\n");
        if let Some(board) = CompiledText::of(&text, b"") {
            board.check();
        }
    }
}

/// A captured /proc/mtd, for a board that names it and for `mtdshim new --proc-mtd`.
pub fn proc_mtd(data: &[u8]) {
    let text = b"[chip.nor]\ntype = \"nor\"\nsize = \"256K\"\nproc_mtd = \"captured.txt\"\n";
    if let Some(board) = CompiledText::of(text, data) {
        board.check();
    }
    if let Ok(text) = core::str::from_utf8(data) {
        compile_draft(cli::untrusted::captured_proc_mtd(text));
    }
}

/// A dump of a chip for `mtdshim new --dump`, and what `mtdshim ls` says about it. The last byte tells which numbers are
/// given, and those stand before it.
pub fn dump(data: &[u8]) {
    let (mut data, which) = data
        .split_last()
        .map_or((data, 0), |(last, rest)| (rest, *last));
    let mut given = [None; 3];
    for (index, number) in given.iter_mut().enumerate() {
        if which >> index & 1 != 0
            && let Some((rest, word)) = data.split_last_chunk()
        {
            *number = Some(u64::from_le_bytes(*word));
            data = rest;
        }
    }
    compile_draft(cli::untrusted::dump(data, given));
    cli::untrusted::content(data);
}

/// A device tree blob for `mtdshim new --dtb`.
pub fn device_tree(data: &[u8]) {
    compile_draft(cli::untrusted::device_tree(data));
}

/// A trace for `mtdshim log`.
pub fn trace(data: &[u8]) {
    for line in cli::untrusted::trace(data) {
        assert!(!line.contains('\0') || data.contains(&b'\\'), "{line:?}");
    }
}

/// A program for `mtdshim run`.
pub fn program(data: &[u8]) {
    cli::untrusted::program(data);
}

/// The compiled board as another process may have left it: patches over a good one, sealed again.
pub fn compiled_board(data: &[u8]) {
    board::patched(data);
}

/// Calls of a guest: ioctls, reads, writes, with arguments anywhere in its memory.
pub fn ioctl(data: &[u8]) {
    let mut reader = Reader::new(data);
    let board = board::fixed(reader.byte());
    board.operate(&mut reader, &Limits::LONG);
}

/// What `mtdshim new` proposes is a text that the library understands, or refuses with a line.
fn compile_draft(conf: Option<String>) {
    if let Some(board) = conf.and_then(|conf| CompiledText::of(conf.as_bytes(), b"")) {
        board.check();
    }
}
