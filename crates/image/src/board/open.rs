//! Finding, compiling and mapping a board.

use core::ffi::CStr;
use core::sync::atomic::AtomicU32;

use super::Board;
use super::layout::{BOARD_BYTES, BoardWords, FRONT_WORDS};
use crate::chip_files::NewFile;
use crate::conf;
use crate::lock::LockState;
use crate::make_lock::{MakeLock, PRIVATE_DIRECTORY};
use crate::mapping::{Mapping, buffer};
use crate::os::{Fd, FileKind, OpenMode, Os, errno, pread_exact, pwrite_all};
use crate::problem::Problem;
use crate::stamp::Stamp;
use crate::text::PathText;

pub const CONF_NAME: &str = "mtdshim.conf";
const CONF_BELOW: &[u8] = b"/mtdshim.conf";
const COMPILED_NAME: &str = ".mtdshim/board";
const CONF_BYTES_MAX: u64 = 1 << 20;
const SHOWN_OF_TOO_LONG: usize = 80;

struct Place {
    directory: PathText,
    conf: PathText,
    compiled: PathText,
}

impl Place {
    const fn nowhere() -> Place {
        Place {
            directory: PathText::empty(),
            conf: PathText::empty(),
            compiled: PathText::empty(),
        }
    }

    fn set(&mut self, directory: &[u8]) {
        let slash: &[u8] = match directory.last() {
            Some(b'/') => b"",
            _ => b"/",
        };
        self.directory.set(&[directory]);
        self.conf.set(&[directory, slash, CONF_NAME.as_bytes()]);
        self.compiled
            .set(&[directory, slash, COMPILED_NAME.as_bytes()]);
    }

    /// What `find` finds nearly always, without a look: the board is a directory with a text of the usual name, or that text.
    fn set_usual(&mut self, path: &CStr) -> bool {
        let path = path.to_bytes();
        let directory = path.strip_suffix(CONF_BELOW).unwrap_or(path);
        self.set(directory);
        !directory.is_empty()
    }

    #[inline(never)]
    fn find(&mut self, os: &impl Os, path: &CStr) -> Result<(), Problem> {
        let mut given = PathText::of(path.to_bytes());
        let found = if given.is_valid() {
            os.stat(given.as_cstr())
        } else {
            let front = path.to_bytes().get(..SHOWN_OF_TOO_LONG);
            given = PathText::of(front.unwrap_or(&[]));
            Err(errno::ENAMETOOLONG)
        };
        let status = found.map_err(|errno| {
            let fix = "name the board's directory or its configuration";
            Problem::of_errno(&given, "find the board", errno, fix)
        })?;
        match status.kind {
            FileKind::Directory => self.set(given.as_bytes()),
            FileKind::Regular => {
                self.set(given.parent());
                self.conf = given;
                // Two texts may share a directory; each has its compiled form.
                if given.file_name() != CONF_NAME.as_bytes() {
                    let name = core::str::from_utf8(given.file_name()).unwrap_or("other");
                    self.compiled = self.compiled.with_suffix("-").with_suffix(name);
                }
            }
            FileKind::Other => return Err(no_plain_file(&given)),
        }
        Ok(())
    }
}

fn no_plain_file(path: &PathText) -> Problem {
    let fix = "name the board's directory or its configuration";
    Problem::of_words(
        path,
        format_args!("this is neither a directory nor a plain file"),
        fix,
    )
}

pub fn open(os: &impl Os, path: &CStr) -> Result<Board, Problem> {
    let mut place = Place::nowhere();
    if place.set_usual(path)
        && let Some(board) = open_compiled(os, &place)
    {
        return Ok(board);
    }
    place.find(os, path)?;
    open_at(os, &place)
}

#[inline(never)]
fn open_at(os: &impl Os, place: &Place) -> Result<Board, Problem> {
    let status = os.stat(place.conf.as_cstr()).map_err(|errno| {
        let fix = "write a configuration, or take the sample in rootfs-overlay/etc";
        Problem::of_errno(&place.conf, "find the configuration", errno, fix)
    })?;
    if status.kind == FileKind::Other {
        // A pipe would be waited for.
        return Err(no_plain_file(&place.conf));
    }
    if let Some(board) = open_compiled(os, place) {
        return Ok(board);
    }
    if !can_compile_here(os, place) {
        return open_private(os, place);
    }
    let _alone = MakeLock::take(os, &place.directory)?;
    // Another process may have compiled it while we waited.
    match open_compiled(os, place) {
        Some(board) => Ok(board),
        None => compile_to_file(os, place),
    }
}

fn can_compile_here(os: &impl Os, place: &Place) -> bool {
    let private = PathText::join(&place.directory, PRIVATE_DIRECTORY);
    let directory = if os.stat(private.as_cstr()).is_ok() {
        &private
    } else {
        &place.directory
    };
    os.can_write(directory.as_cstr())
}

/// The compiled form, when it is there, undamaged and of this text.
#[inline(never)]
fn open_compiled(os: &impl Os, place: &Place) -> Option<Board> {
    let fd = os
        .open(place.compiled.as_cstr(), OpenMode::ReadWrite)
        .ok()?;
    match map_compiled(os, place, fd) {
        Some(mapping) => Some(board_of(os, place, mapping, fd)),
        None => {
            os.close(fd);
            None
        }
    }
}

fn map_compiled(os: &impl Os, place: &Place, fd: Fd) -> Option<Mapping> {
    // First of all: the emulator forgets all code that it has translated when a file is shared for the first time.
    let mapping = Mapping::shared(fd, BOARD_BYTES)?;
    let status = os.fstat(fd).ok()?;
    let text = os.stat(place.conf.as_cstr()).ok()?;
    if status.size < BOARD_BYTES as u64 {
        return None;
    }
    // Where its holes cannot be filled, making it anew fails likewise, with a line.
    mapping.fill_holes(os, &status).ok()?;
    let words = BoardWords::new(mapping.words());
    (words.is_of(&Stamp::of(&text)) && words.is_whole()).then_some(mapping)
}

/// From the front of the compiled form, if it is there and of this text.
pub fn summary_of(os: &impl Os, path: &CStr) -> Option<u32> {
    let mut place = Place::nowhere();
    let usual = place
        .set_usual(path)
        .then(|| summary_at(os, &place))
        .flatten();
    if usual.is_none() {
        place.find(os, path).ok()?;
        return summary_at(os, &place);
    }
    usual
}

fn summary_at(os: &impl Os, place: &Place) -> Option<u32> {
    let text = Stamp::of(&os.stat(place.conf.as_cstr()).ok()?);
    let fd = os.open(place.compiled.as_cstr(), OpenMode::ReadOnly).ok()?;
    let mut front = [0; FRONT_WORDS * 4];
    let read = os.pread(fd, &mut front, 0);
    os.close(fd);
    let mut words = [const { AtomicU32::new(0) }; FRONT_WORDS];
    for (word, bytes) in words.iter_mut().zip(front.as_chunks::<4>().0) {
        *word.get_mut() = u32::from_ne_bytes(*bytes);
    }
    let board = BoardWords::new(&words);
    let is_it = read == Ok(front.len()) && board.is_known() && board.is_of(&text);
    is_it.then(|| board.front_summary())
}

fn board_of(os: &impl Os, place: &Place, mapping: Mapping, fd: Fd) -> Board {
    let fd = if fd < 0 { fd } else { os.make_private(fd) };
    Board {
        mapping,
        fd,
        directory: place.directory,
        conf: place.conf,
        lock_state: LockState::new(fd),
    }
}

#[inline(never)]
fn compile_to_file(os: &impl Os, place: &Place) -> Result<Board, Problem> {
    let file = NewFile::create(os, &place.compiled)?;
    file.fill(BOARD_BYTES as u64, 0)?;
    let mapping =
        Mapping::shared(file.fd(), BOARD_BYTES).ok_or_else(|| out_of_memory(&place.compiled))?;
    wait_until_old(os, place, file.fd());
    compile_into(os, place, &mapping)?;
    let fd = file.finish()?;
    Ok(board_of(os, place, mapping, fd))
}

/// A text that is changed twice within a tick of the file system's clock looks the same after both. So it is read only
/// when it is older than that; `now` is a file that was just written.
fn wait_until_old(os: &impl Os, place: &Place, now: Fd) {
    const TICK_MS: u32 = 20;
    if let (Ok(text), Ok(now)) = (os.stat(place.conf.as_cstr()), os.fstat(now))
        && now.mtime_ns.saturating_sub(text.mtime_ns) < i64::from(TICK_MS) * 1_000_000
    {
        os.sleep_ms(TICK_MS);
    }
}

fn open_private(os: &impl Os, place: &Place) -> Result<Board, Problem> {
    let mapping = Mapping::private(BOARD_BYTES).ok_or_else(|| out_of_memory(&place.compiled))?;
    compile_into(os, place, &mapping)?;
    Ok(board_of(os, place, mapping, -1))
}

fn out_of_memory(path: &PathText) -> Problem {
    Problem::of_errno(
        path,
        "map the compiled board",
        errno::ENOMEM,
        "free some memory",
    )
}

#[cold]
#[inline(never)]
fn unreadable(place: &Place, errno: i32) -> Problem {
    Problem::of_errno(
        &place.conf,
        "read the configuration",
        errno,
        "give read permission",
    )
}

fn compile_into(os: &impl Os, place: &Place, mapping: &Mapping) -> Result<(), Problem> {
    let fd = os
        .open(place.conf.as_cstr(), OpenMode::ReadOnly)
        .map_err(|errno| unreadable(place, errno))?;
    let result = compile_text(os, place, mapping, fd);
    os.close(fd);
    result
}

#[inline(never)]
fn compile_text(os: &impl Os, place: &Place, mapping: &Mapping, fd: Fd) -> Result<(), Problem> {
    let failed = |errno| unreadable(place, errno);
    let status = os.fstat(fd).map_err(failed)?;
    if status.size > CONF_BYTES_MAX {
        return Err(Problem::new(
            &place.conf,
            0,
            format_args!(
                "the configuration is longer than {CONF_BYTES_MAX} bytes; is it the right file?"
            ),
        ));
    }
    let length = status.size as usize;
    let mut text = buffer(length).ok_or_else(|| failed(errno::ENOMEM))?;
    let text = text.get_mut(..length).unwrap_or(&mut []);
    pread_exact(os, fd, text, 0).map_err(failed)?;
    let words = BoardWords::new(mapping.words());
    words.clear();
    conf::compile(os, &place.conf, &place.directory, text, &words)?;
    words.seal(&Stamp::of(&status));
    Ok(())
}

#[inline(never)]
pub fn write_sample_if_missing(os: &impl Os, directory: &CStr) -> Result<(), Problem> {
    let directory = PathText::of(directory.to_bytes());
    let conf = PathText::join(&directory, CONF_NAME);
    write_sample(os, &directory, &conf)
}

#[inline(never)]
fn write_sample(os: &impl Os, directory: &PathText, conf: &PathText) -> Result<(), Problem> {
    let is_missing = || os.stat(conf.as_cstr()) == Err(errno::ENOENT);
    if !is_missing() {
        return Ok(());
    }
    match os.mkdir(directory.as_cstr()) {
        Ok(()) | Err(errno::EEXIST) => {}
        Err(errno) => {
            return Err(Problem::of_errno(
                directory,
                "make this directory",
                errno,
                "name another place",
            ));
        }
    }
    let _alone = MakeLock::take(os, directory)?;
    if !is_missing() {
        return Ok(());
    }
    let file = NewFile::create(os, conf)?;
    let written = match crate::sample::text() {
        Some(text) => pwrite_all(os, file.fd(), &text, 0),
        None => Err(errno::ENOMEM),
    };
    written.map_err(|errno| {
        Problem::of_errno(
            conf,
            "write the sample configuration",
            errno,
            "free some space",
        )
    })?;
    os.close(file.finish()?);
    Problem::new(
        conf,
        0,
        format_args!(
            "wrote a sample configuration: a 16 MiB SPI NOR and a 32 MiB NAND with partitions; \
             edit it to describe your board"
        ),
    )
    .report(os);
    Ok(())
}

pub fn discard_compiled(os: &impl Os, path: &CStr) -> Result<(), Problem> {
    let mut place = Place::nowhere();
    place.find(os, path)?;
    match os.unlink(place.compiled.as_cstr()) {
        Ok(()) | Err(errno::ENOENT) => Ok(()),
        Err(errno) => Err(Problem::of_errno(
            &place.compiled,
            "remove the compiled board",
            errno,
            "",
        )),
    }
}
