//! The command line: what may be written. Parser, help, man pages and completions all come from these types.
//!
//! Must not know: what a command does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bytes::parse_size;

const AFTER: &str = "\
Exit status: 0 done, 1 found something (check, diff, doctor), 2 could not do it; `run` exits like its program.";

#[derive(Parser, Debug)]
#[command(name = "mtdshim", version, about = "Raw flash for programs under qemu-user: boards, images, runs",
          after_help = AFTER, propagate_version = true)]
pub struct Arguments {
    /// The board: its directory, its mtdshim.conf, or a firmware root with /etc/mtdshim.conf
    /// [default: here, then ./mtdshim-flash]
    #[arg(
        short,
        long,
        global = true,
        env = "MTDSHIM",
        value_name = "BOARD",
        hide_env_values = true
    )]
    pub board: Option<PathBuf>,
    /// Results as JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no remarks, errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

// Made once, so its size is nobody's concern.
#[allow(clippy::large_enum_variant)]
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a board from a chip, a partition table, a device tree or dumps
    New(NewArgs),
    /// Show chips: geometry, blocks, wear, locks
    Info(BoardPlace),
    /// List the mtd devices with what is in them
    Ls(BoardPlace),
    /// Write a file to a partition or chip, as a flash programmer would
    Import(ImportArgs),
    /// Read a partition or chip into a file
    Export(ExportArgs),
    /// Verify files, ledger, ECC and bad-block marks of a board
    Check(BoardPlace),
    /// Run a program of a firmware's root on the board, in a sandbox
    Run(RunArgs),
    /// Compare two boards, or a board with what it was before a run
    Diff(DiffArgs),
    /// Draw a chip: what is programmed, touched, bad, locked, worn
    Map(MapArgs),
    /// Tell what a trace recorded
    Log(LogArgs),
    /// Rules that answer for other devices than flash, and other files: list, propose, add
    Answer(AnswerArgs),
    /// Is this machine ready: QEMU, namespaces, binfmt_misc, the library
    Doctor(DoctorArgs),
    /// Print shell completions
    Completions { shell: clap_complete::Shell },
    /// Write the man pages to a directory
    Man {
        #[arg(default_value = ".")]
        directory: PathBuf,
    },
}

#[derive(Args, Debug)]
pub struct BoardPlace {
    /// The board, instead of --board
    #[arg(value_name = "BOARD")]
    pub place: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct NewArgs {
    /// Directory to make the board in
    pub directory: Option<PathBuf>,
    /// A chip by its name; `--preset list` shows all
    #[arg(long, value_name = "CHIP")]
    pub preset: Option<String>,
    /// Partitions as on a kernel's command line, e.g. `spi0.0:256k(u-boot)ro,-(rootfs)`
    #[arg(long, value_name = "TEXT", conflicts_with = "proc_mtd")]
    pub mtdparts: Option<String>,
    /// Partitions, and chips when none is named, from a captured /proc/mtd
    #[arg(long, value_name = "FILE")]
    pub proc_mtd: Option<PathBuf>,
    /// Chips and partitions from a device tree blob (fixed-partitions)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["preset", "mtdparts", "proc_mtd", "dump"])]
    pub dtb: Option<PathBuf>,
    /// A dump of a whole chip, with or without spare areas; its geometry is proposed from size and content
    #[arg(long, value_name = "FILE")]
    pub dump: Option<PathBuf>,
    /// One file for each mtd, in order: mtd0.bin mtd1.bin ...
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["dump", "dtb", "preset"])]
    pub parts: Vec<PathBuf>,
    #[command(flatten)]
    pub chip: ChipArgs,
    /// Show the configuration and make nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before using a proposal
    #[arg(short, long)]
    pub yes: bool,
}

/// Numbers that overrule a preset, a capture or a proposal.
#[derive(Args, Debug, Default, Clone)]
pub struct ChipArgs {
    /// nor, nand, mlc-nand, ram, rom, dataflash
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Bytes of main area
    #[arg(long, value_parser = parse_size, value_name = "BYTES")]
    pub size: Option<u64>,
    #[arg(long, value_parser = parse_size, value_name = "BYTES")]
    pub erasesize: Option<u64>,
    /// The page of a NAND
    #[arg(long, value_parser = parse_size, value_name = "BYTES")]
    pub writesize: Option<u64>,
    /// Spare bytes of a page
    #[arg(long, value_parser = parse_size, value_name = "BYTES")]
    pub oobsize: Option<u64>,
    /// none, hamming, on-die, bch1 ... bch8
    #[arg(long)]
    pub ecc: Option<String>,
}

impl ChipArgs {
    /// Numbers beyond every chip are refused before anything is computed with them.
    pub fn check(&self) -> anyhow::Result<()> {
        const SIZE_MAX: u64 = 1 << 40;
        const PART_MAX: u64 = 1 << 32;
        let given = [
            ("--size", self.size, SIZE_MAX),
            ("--erasesize", self.erasesize, PART_MAX),
            ("--writesize", self.writesize, PART_MAX),
            ("--oobsize", self.oobsize, PART_MAX),
        ];
        for (option, value, max) in given {
            if value.is_some_and(|value| value == 0 && option != "--oobsize" || value > max) {
                anyhow::bail!("{option} {}: no chip is like that", value.unwrap_or(0));
            }
        }
        Ok(())
    }
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Bad blocks take no part of the file: what follows moves on to the next good block
    Skip,
    /// Every block has its place in the file, bad ones too
    Keep,
}

#[derive(Args, Debug)]
pub struct ImportArgs {
    /// mtdN, a partition's name, or a chip's name
    pub target: String,
    /// `-` is standard input
    pub file: PathBuf,
    /// The file holds every page followed by its spare area; written as it is, marks of bad blocks too
    #[arg(long)]
    pub oob: bool,
    /// What happens at bad blocks [default: skip; keep with --oob]
    #[arg(long, value_enum)]
    pub bad: Option<Bad>,
    /// Where to begin in the target; a whole number of eraseblocks
    #[arg(long, value_parser = parse_size, default_value = "0", value_name = "BYTES")]
    pub offset: u64,
    /// Erase what lies behind the file's end in the target as well
    #[arg(long)]
    pub erase_rest: bool,
}

#[derive(Args, Debug)]
pub struct ExportArgs {
    /// mtdN, a partition's name, or a chip's name
    pub target: String,
    /// `-` is standard output
    pub file: PathBuf,
    /// Every page followed by its spare area, nothing corrected
    #[arg(long)]
    pub oob: bool,
    /// What happens at bad blocks [default: keep]
    #[arg(long, value_enum)]
    pub bad: Option<Bad>,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  mtdshim run --rootfs squashfs-root -- /usr/sbin/update firmware.bin\n  mtdshim run --rootfs root --fresh -- sh -c 'flash_erase /dev/mtd1 0 0; reboot'"
)]
pub struct RunArgs {
    /// The firmware's root directory; it is never changed [default: here]
    #[arg(
        long,
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    pub rootfs: PathBuf,
    /// A board, or a dump to make one from (beside it, FILE.board); like --board
    #[arg(long, value_name = "BOARD|FILE")]
    pub flash: Option<PathBuf>,
    /// On an erased flash of the same description, thrown away afterwards
    #[arg(long, group = "which")]
    pub fresh: bool,
    /// On a copy of the board, thrown away afterwards
    #[arg(long, group = "which")]
    pub copy: bool,
    /// On the board itself: changes stay (the default)
    #[arg(long, group = "which")]
    pub keep: bool,
    /// Where the trace goes: a file (JSON lines), `stderr` (text), or `none` [default: into the board, see `mtdshim log`]
    #[arg(long, value_name = "FILE|stderr|none")]
    pub trace: Option<String>,
    /// Leave the network of the host reachable
    #[arg(long)]
    pub net: bool,
    /// Make a file or directory of the host visible: HOST or HOST:GUEST
    #[arg(long, value_name = "HOST[:GUEST]")]
    pub bind: Vec<String>,
    /// Directory inside the root to start in [default: the current directory of the host, made visible]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// A variable for the program: NAME=VALUE
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    pub variables: Vec<String>,
    /// Keep what the program changed in the root in this directory
    #[arg(long, value_name = "DIR")]
    pub changes: Option<PathBuf>,
    /// The QEMU to use
    #[arg(
        long,
        env = "MTDSHIM_QEMU",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub qemu: Option<PathBuf>,
    /// The library to preload
    #[arg(
        long,
        env = "MTDSHIM_LIBRARY",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub library: Option<PathBuf>,
    /// Without a sandbox: plain QEMU, the host's own files in reach
    #[arg(long)]
    pub no_sandbox: bool,
    /// No summary afterwards
    #[arg(long)]
    pub no_report: bool,
    /// The program, as the guest names it, and its arguments
    #[arg(last = true, required = true, num_args = 1.., value_name = "PROGRAM")]
    pub command: Vec<String>,
}

#[derive(Args, Debug)]
pub struct DiffArgs {
    /// The board before, or with --since the board
    pub before: Option<PathBuf>,
    /// The board after
    pub after: Option<PathBuf>,
    /// Compare with the state before this run; `last` is the most recent one
    #[arg(long, value_name = "RUN")]
    pub since: Option<String>,
    /// List every block that changed
    #[arg(long)]
    pub blocks: bool,
    /// Show the bytes
    #[arg(long)]
    pub hex: bool,
    /// Lines of bytes for each block
    #[arg(long, default_value_t = 8, value_name = "LINES")]
    pub lines: usize,
}

#[derive(Args, Debug)]
pub struct MapArgs {
    /// A chip's name [default: all]
    pub chip: Option<String>,
    /// Write a picture: .png or .svg
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Wear as heat instead of content
    #[arg(long)]
    pub wear: bool,
    /// Mark what changed since this run; `last` is the most recent one
    #[arg(long, value_name = "RUN")]
    pub since: Option<String>,
}

#[derive(Args, Debug)]
pub struct LogArgs {
    /// A trace (JSON lines) [default: the one of the last run on the board]
    pub file: Option<PathBuf>,
    /// Of which run on the board
    #[arg(long, value_name = "RUN", conflicts_with = "file")]
    pub run: Option<String>,
    /// Only this device: mtdN or its name
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Only operations whose name contains this, e.g. MEMERASE or write
    #[arg(long, value_name = "TEXT")]
    pub op: Option<String>,
    /// Only what failed
    #[arg(long)]
    pub failed: bool,
    /// Only ioctls that nobody answered
    #[arg(long)]
    pub unanswered: bool,
    /// Every line by itself, nothing drawn together
    #[arg(long)]
    pub all: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Without PATH: the rules of the board with their counts, and rules for what the last run was refused.\n\n\
Examples:\n  mtdshim answer                                    # what is there, what is proposed\n  mtdshim answer --add                              # take all proposals\n  \
mtdshim answer /dev/gpio 0x80046702 --data '01 00 00 00' --add\n  mtdshim answer /dev/nvram0 read --text 'mac=00:11:22:33:44:55' --add"
)]
pub struct AnswerArgs {
    /// A device or another file, with * for any part of a name; `socket:` and `pipe:`
    pub path: Option<String>,
    /// What is answered: the number of an ioctl, `*` for every ioctl, read, write, open
    pub command: Option<String>,
    /// Only an ioctl with this number as its argument
    #[arg(long, value_name = "NUMBER", requires = "command")]
    pub argument: Option<String>,
    /// What the call returns [default: success]
    #[arg(long = "return", value_name = "NUMBER", requires = "command")]
    pub value: Option<String>,
    /// The call fails with this error: a name or a number
    #[arg(
        long,
        value_name = "ERRNO",
        requires = "command",
        conflicts_with = "value"
    )]
    pub errno: Option<String>,
    /// Bytes behind the pointer, or of a read: '01 00 ff'
    #[arg(long, value_name = "HEX", requires = "command")]
    pub data: Option<String>,
    /// The same as text
    #[arg(
        long,
        value_name = "TEXT",
        requires = "command",
        conflicts_with = "data"
    )]
    pub text: Option<String>,
    /// Where behind the pointer the bytes go
    #[arg(long, value_name = "NUMBER", requires = "command")]
    pub offset: Option<String>,
    /// Put the rule, or all that are proposed, into the board's configuration
    #[arg(long)]
    pub add: bool,
    /// All rules start with their first answer and a count of 0 again
    #[arg(long, conflicts_with_all = ["add", "path"])]
    pub reset: bool,
    /// Propose from this trace (JSON lines) [default: the one of the last run]
    #[arg(long, value_name = "FILE", conflicts_with = "path")]
    pub trace: Option<PathBuf>,
    /// Propose from this run
    #[arg(long, value_name = "RUN", conflicts_with_all = ["path", "trace"])]
    pub run: Option<String>,
}

#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Also: does the library load in this root
    #[arg(long, value_name = "DIR")]
    pub rootfs: Option<PathBuf>,
    #[arg(
        long,
        env = "MTDSHIM_QEMU",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub qemu: Option<PathBuf>,
    #[arg(
        long,
        env = "MTDSHIM_LIBRARY",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub library: Option<PathBuf>,
}
