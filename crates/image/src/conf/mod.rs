//! The configuration text -> chips and devices of a compiled board.
//!
//! A TOML subset (see `lex`), so any TOML reader accepts what is accepted here:
//!
//! ```toml
//! [chip.nor0]                   # files nor0.bin, nor0.oob, nor0.mtdshim beside this text unless said otherwise
//! preset = "w25q128"            # a known chip (see presets.rs); the keys below change single numbers of it
//! type = "nor"                  # nor nand mlc-nand ram rom dataflash
//! driver = "spi-nor"            # spi-nor cfi mtdram nandsim spi-nand: erase alignment, default name
//! size = "16M"                  # K, M, G or bytes
//! erasesize = "64K"
//! writesize = 1                 # NAND: the page
//! oobsize = 0                   # spare bytes of a page
//! subpages = 1                  # NAND: writable parts of a page
//! ecc = "none"                  # none hamming on-die bch1 ... bch8
//! lock = "none"                 # per-block (CFI), block-protect (SPI NOR) with -tb (bit TB), -4bit (bit BP3),
//!                               # -4bit-tb, -programs (erases get through, as on QEMU's chips);
//!                               # no-effect: commands of CFI are taken, nothing is protected
//! power_up_lock = false         # the flag MTD_POWERUP_LOCK
//! otp_user = "3x256"            # regions x bytes
//! otp_factory = "1x16"
//! otp_factory_data = "0123abcd" # what the factory wrote there, at most 32 bytes; when the side file is made
//! otp_erase = false             # OTPERASE works
//! erase_regions = "8x8K,127x64K"
//! bad_blocks = [3, 10]          # marked by the maker, when the side file is made
//! bad_block_marks = "first"     # the pages that hold the mark: first first-second first-second-last last
//! name = "spi0.0"               # of the whole chip
//! image = "dump.bin"            # relative to this text
//! oob = "dump.oob"
//! mtdparts = "mtdparts=spi0.0:256k(u-boot)ro,64k(env),-(rootfs)"
//! proc_mtd = "captured.txt"     # a captured /proc/mtd: sizes in order
//! keep_master = false           # the whole chip has an mtdN beside its partitions
//! parent = "/sys/devices/x"     # the device that it hangs on in sysfs; none: it is a virtual one
//! parent_uevent = "DRIVER=y"    # the lines of its `uevent`, blanks between them
//! uevent = "OF_NAME=flash"      # what the chip's own `uevent` says of its node, where that is not its parent's
//!
//! [[chip.nor0.partition]]       # after [chip.nor0]; instead of mtdparts and proc_mtd
//! name = "u-boot"
//! offset = "0"                  # default: where the one before ended
//! size = "256K"                 # default: the rest
//! readonly = true
//! image = "mtd3.bin"            # bytes of this partition in a file of their own
//! uevent = "OF_NAME=partition"  # what its `uevent` says of its node in the device tree
//!
//! [[answer]]                    # what a program gets that uses something else than flash, at any path; see the crate `answers`
//! path = "/dev/gpio*"           # any absolute path, * is any part of one component; or "socket:", "pipe:"
//! command = 0x80046701          # a number, "*" (all but those for terminals), "read", "write" or "open"
//! argument = 5                  # only calls with this argument
//! return = 0                    # or errno = "EBUSY", a name or a number
//! data = "01 00 00 00"          # bytes behind the pointer, or of a read; text = "..." for text
//! offset = 0                    # where behind the pointer
//! cycle = false                 # behind the last answer comes the first again; else the last stays
//!
//! [[answer.step]]               # the answers to the next calls: return, errno, data, text, offset
//! errno = "EAGAIN"
//! ```
//! Numbers are given to devices in the order of the text, the whole chip before its partitions.
//!
//! Must not know: how the compiled form is stored beyond "a chip" and "a device".

mod answer;
#[cfg(test)]
mod answer_tests;
mod chip;
mod keys;
mod lex;
mod mtdparts;
mod partition;
mod proc_mtd;
pub(crate) mod scan;
#[cfg(test)]
mod tests;
mod units;

use core::fmt;

use answer::AnswerDraft;
pub use chip::{Driver, lock_name, of_preset};
use keys::Draft;
use lex::{Item, Lexer, Value};
use partition::ChipInWork;

use crate::board::layout::BoardWords;
use crate::os::Os;
use crate::problem::Problem;
use crate::text::PathText;

/// A line of a file: where a mistake is.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    pub file: &'a PathText,
    pub line: u32,
}

impl<'a> At<'a> {
    /// `what` is wrong, and behind a semicolon what to do.
    pub fn problem(&self, what: fmt::Arguments<'_>) -> Problem {
        Problem::new(self.file, self.line, what)
    }

    fn wrong_kind(&self, key: &str, value: Value<'_>, wanted: &str) -> Problem {
        self.problem(format_args!(
            "{key} is {}; write {key} = {wanted}",
            value.kind()
        ))
    }

    fn text(&self, key: &str, value: Value<'a>) -> Result<&'a str, Problem> {
        match value {
            Value::Text(text) => Ok(text),
            _ => Err(self.wrong_kind(key, value, "\"...\"")),
        }
    }

    fn index_of_key(&self, keys: &str, key: &str) -> Result<usize, Problem> {
        scan::index_of(keys, key).ok_or_else(|| {
            let mut keys = keys.split_ascii_whitespace();
            match keys.find(|known| units::is_similar(key, known)) {
                Some(known) => self.problem(format_args!(
                    "there is no key '{key}' here; did you mean '{known}'?"
                )),
                None => self.problem(format_args!(
                    "there is no key '{key}' here; see the comments in the sample mtdshim.conf"
                )),
            }
        })
    }

    fn check_first(&self, key: &str, earlier_line: u32) -> Result<(), Problem> {
        if earlier_line == 0 {
            return Ok(());
        }
        Err(self.problem(format_args!(
            "{key} is given twice; remove this one or the one in line {earlier_line}"
        )))
    }
}

/// Which table the keys belong to.
enum Table<'a> {
    None,
    Chip,
    Partition,
    Answer(AnswerDraft<'a>),
}

/// Compiles the text into an empty board.
#[inline(never)]
pub fn compile(
    os: &impl Os,
    file: &PathText,
    directory: &PathText,
    text: &[u8],
    board: &BoardWords<'_>,
) -> Result<(), Problem> {
    let start = At { file, line: 1 };
    let text = core::str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or(&[]);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count() as u32;
        At { line, ..start }.problem(format_args!(
            "this line is not UTF-8; save the text as UTF-8"
        ))
    })?;
    let mut compiler = Compiler {
        os,
        directory,
        board,
        table: Table::None,
        part: Draft::new(&partition::KEYS, "", start),
        chip: ChipInWork::new("", start),
    };
    compiler.take_all(text, start)?;
    if board.chip_count() == 0 && board.rules().count() == 0 {
        return Err(start.problem(format_args!("no chip is described; write [chip.nor0]")));
    }
    Ok(())
}

struct Compiler<'a, 'o, O: Os> {
    os: &'o O,
    directory: &'o PathText,
    board: &'o BoardWords<'o>,
    table: Table<'a>,
    part: Draft<'a>,
    /// The chip whose partitions may follow; without a name when there is none.
    chip: ChipInWork<'a>,
}

impl<'a, O: Os> Compiler<'a, '_, O> {
    #[inline(never)]
    fn take_all(&mut self, text: &'a str, start: At<'a>) -> Result<(), Problem> {
        let mut lexer = Lexer::new(text, start);
        while let Some((line, item)) = lexer.next_item()? {
            self.take(At { line, ..start }, item)?;
        }
        self.end_table()?;
        self.end_chip()
    }

    #[inline(never)]
    fn take(&mut self, at: At<'a>, item: Item<'a>) -> Result<(), Problem> {
        match (item, &mut self.table) {
            (Item::Entry { key, value }, Table::Chip) => self.chip.draft.set(key, value, at),
            (Item::Entry { key, value }, Table::Partition) => self.part.set(key, value, at),
            (Item::Entry { key, value }, Table::Answer(draft)) => {
                draft.set(key, value, at, &self.board.rules())
            }
            (Item::Entry { key, .. }, Table::None) => Err(at.problem(format_args!(
                "{key} stands before the first table; write [chip.nor0] above it"
            ))),
            (Item::Table { path, is_array }, _) => {
                self.end_table()?;
                self.begin_table(at, path, is_array)
            }
        }
    }

    #[inline(never)]
    fn begin_table(
        &mut self,
        at: At<'a>,
        path: [&'a str; 3],
        is_array: bool,
    ) -> Result<(), Problem> {
        match (path, is_array) {
            (["chip", name, ""], false) if !name.is_empty() => {
                self.end_chip()?;
                self.check_name(at, name)?;
                self.chip = ChipInWork::new(name, at);
                self.table = Table::Chip;
                Ok(())
            }
            (["chip", name, "partition"], true) => {
                if self.chip.name() != name {
                    return Err(at.problem(format_args!(
                        "this partition does not follow its chip; \
                         put it below [chip.{name}] and before the next chip"
                    )));
                }
                self.chip.begin_partition(at)?;
                self.part = Draft::new(&partition::KEYS, "", at);
                self.table = Table::Partition;
                Ok(())
            }
            (["chip", name, "partition"], false) => Err(at.problem(format_args!(
                "a chip has several partitions; write [[chip.{name}.partition]]"
            ))),
            (["answer", step @ ("" | "step"), ""], true) => {
                let is_step = !step.is_empty();
                if is_step && self.board.rules().count() == 0 {
                    return Err(at.problem(format_args!(
                        "this step does not follow its [[answer]]; write [[answer]] above it"
                    )));
                }
                self.table = Table::Answer(AnswerDraft::new(at, is_step));
                Ok(())
            }
            _ => Err(at.problem(format_args!(
                "this table is not known; write [chip.NAME], [[chip.NAME.partition]] or [[answer]]"
            ))),
        }
    }

    fn check_name(&self, at: At<'a>, name: &str) -> Result<(), Problem> {
        if name.len() >= crate::board::CHIP_NAME_BYTES - 4 {
            return Err(at.problem(format_args!(
                "the name of the chip is too long; {} bytes are possible",
                crate::board::CHIP_NAME_BYTES - 5
            )));
        }
        if self.board.has_chip(&|other| other.name.as_str() == name) {
            return Err(at.problem(format_args!(
                "chip {name} is described twice; give one of them another name"
            )));
        }
        Ok(())
    }

    /// The keys of a table are complete.
    fn end_table(&mut self) -> Result<(), Problem> {
        match core::mem::replace(&mut self.table, Table::None) {
            Table::None => Ok(()),
            Table::Chip => self.chip.begin(self.os, self.directory, self.board),
            Table::Partition => self.chip.add_draft(self.os, self.board, &self.part),
            Table::Answer(draft) => draft.end(&self.board.rules()),
        }
    }

    /// All partitions of the chip have been seen.
    fn end_chip(&mut self) -> Result<(), Problem> {
        match self.chip.name() {
            "" => Ok(()),
            _ => self.chip.end(self.board),
        }
    }
}
