//! Every reader of bytes that somebody else wrote, for the fuzzers in `fuzz/`: bytes in, a draft or a text out.

use crate::args::ChipArgs;
use crate::commands;

/// The configuration that `mtdshim new --dump` would propose; `given`: --erasesize, --writesize, --oobsize.
pub fn dump(bytes: &[u8], given: [Option<u64>; 3]) -> Option<String> {
    let [erasesize, writesize, oobsize] = given;
    let args = ChipArgs {
        erasesize,
        writesize,
        oobsize,
        ..ChipArgs::default()
    };
    commands::new::dump::board(bytes, "dump", &args)
        .ok()
        .map(|draft| draft.conf())
}

/// The configuration that `mtdshim new --dtb` would propose.
pub fn device_tree(bytes: &[u8]) -> Option<String> {
    commands::new::tree::board(bytes, "tree")
        .ok()
        .map(|draft| draft.conf())
}

/// The configuration that `mtdshim new --proc-mtd` would propose.
pub fn captured_proc_mtd(text: &str) -> Option<String> {
    let rows = commands::new::capture::parse(text, "captured").ok()?;
    Some(commands::new::capture::board(&rows, "captured").conf())
}

/// What `mtdshim log` prints of a trace.
pub fn trace(bytes: &[u8]) -> Vec<String> {
    let Ok((events, _)) = crate::trace::parse(bytes) else {
        return Vec::new();
    };
    let events: Vec<_> = events.iter().collect();
    [false, true]
        .into_iter()
        .flat_map(|all| commands::log::lines(&events, 0.0, all))
        .collect()
}

/// Whether `mtdshim run` takes this for a program.
pub fn program(bytes: &[u8]) -> bool {
    crate::sandbox::program::judge(bytes)
}

/// What `mtdshim ls` says about the content of a partition.
pub fn content(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(crate::content::HEAD_BYTES)];
    let mut scan = crate::ubi::Scan::default();
    for block in bytes.chunks(1 << 14) {
        scan.block(block);
    }
    let _ = scan.words();
    crate::content::classify(head, Some(bytes))
        .words()
        .to_owned()
}
