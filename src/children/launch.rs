//! What is really executed for a program that the guest names: the emulator with the same options, the guest's
//! arguments behind them, and an environment that arrives in the child as the guest passed it.

use super::arena::{Arena, List, Strings, pointers, strings};
use super::emulator::{self, Emulator, KEEP, PRELOAD};
use super::lookup::{self, Root};
use super::program::{Kind, Program};
use crate::paths::{PATH_MAX, PathBuffer, Room};
use crate::ways_out::run::{RUN_VARIABLE, Run};
use crate::{sys, world};
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use image::memory::Memory;
use mtd_abi::errno::Errno;

/// `BINPRM` follows an interpreter that is a script itself this often.
const INTERPRETERS_MAX: usize = 5;
/// Words of one interpreter line, and of all of them.
const PREFIX_MAX: usize = 3 * INTERPRETERS_MAX + 1;
/// Room for names, and for lists beside the guest's own.
const ARENA_EXTRA: usize = 256 << 10;
const LIST_EXTRA: usize = 256;

/// Ready for execve. The memory behind the pointers is the arena's and the guest's.
pub struct Launch {
    pub file: *const c_char,
    pub arguments: Strings,
    pub environment: Strings,
    /// It is a command that ends the system, and was answered (see `ways_out`): nothing is executed.
    pub answered: bool,
    _arena: Arena,
    /// Memory of arguments that are not the guest's own.
    pub more: Option<Arena>,
}

/// Why nothing is executed.
pub struct Refusal {
    pub errno: Errno,
    /// The host's program that was found instead: in memory of its own, so that what may fail returns few words.
    pub host: Option<Memory>,
    pub root_given: bool,
}

impl Refusal {
    fn of_host(errno: Errno, host: &PathBuffer, root: &Root) -> Refusal {
        let mut memory = Memory::new(PATH_MAX);
        if let Some(kept) = memory
            .as_mut()
            .and_then(|kept| kept.get_mut(..host.bytes().len()))
        {
            kept.copy_from_slice(host.bytes());
        }
        Refusal {
            errno,
            host: memory,
            root_given: root.is_given(),
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal {
            errno,
            host: None,
            root_given: false,
        }
    }
}

impl Refusal {
    /// One line, where the reason is not plain from errno.
    pub fn report(&self) {
        let Some(host) = &self.host else { return };
        let host = host.split(|&byte| byte == 0).next().unwrap_or(&[]);
        if !is_news(host) {
            return;
        }
        let hint: &[u8] = if self.root_given {
            b" is not a program of the guest's root and is not run"
        } else {
            b" is the host's program and is not run; qemu-arm -L ROOT names the guest's root"
        };
        sys::report(&[host, hint, b" (MTDSHIM_HOST_PROGRAMS=1 allows it)"]);
    }
}

/// A shell tries one name in every directory of PATH; one line is enough.
fn is_news(path: &[u8]) -> bool {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    let hash = name.iter().fold(2_166_136_261u32, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(16_777_619)
    });
    LAST.swap(hash, Relaxed) != hash
}

/// The program behind a name, and the interpreters before it.
struct Target {
    /// As the guest or the script before names it.
    name: PathBuffer,
    host: PathBuffer,
    /// Words between the program and the guest's arguments, in the order of the command line.
    prefix: [*const c_char; PREFIX_MAX],
    prefix_length: usize,
    foreign: bool,
    is_static: bool,
}

impl Target {
    fn prepend(&mut self, words: &[*const c_char]) -> Result<(), Errno> {
        let length = self.prefix_length + words.len();
        if length > PREFIX_MAX {
            return Err(Errno::E2BIG);
        }
        self.prefix.copy_within(..self.prefix_length, words.len());
        for (slot, word) in self.prefix.iter_mut().zip(words) {
            *slot = *word;
        }
        self.prefix_length = length;
        Ok(())
    }
}

fn allows_host_programs() -> bool {
    world::environment(c"MTDSHIM_HOST_PROGRAMS").is_some_and(|value| value.to_bytes() != b"0")
}

/// Finds a program; a name that only the host has is refused, because the device would not have it. `host` becomes its name on
/// the host.
#[inline(never)]
fn find(
    root: &Root,
    path: &[u8],
    host: &mut PathBuffer,
    program: &mut Program,
) -> Result<(), Refusal> {
    let inside = lookup::find(root, path, host)?;
    program.examine(host.c_str())?;
    if matches!(program.kind, Kind::Arm { .. }) || inside || allows_host_programs() {
        return Ok(());
    }
    let is_system = lookup::is_system(host.bytes());
    if is_system {
        let mut twin = PathBuffer::new();
        if lookup::has_twin(root, path, &mut twin) {
            *host = twin;
            return Ok(program.examine(host.c_str())?);
        }
    }
    if is_system && root.is_given() {
        return Err(Refusal::of_host(Errno::ENOENT, host, root));
    }
    if matches!(program.kind, Kind::Foreign) {
        let errno = if is_system {
            Errno::ENOENT
        } else {
            Errno::ENOEXEC
        };
        return Err(Refusal::of_host(errno, host, root));
    }
    Ok(())
}

/// Follows `#!` until there is a program that a processor runs.
#[inline(never)]
fn resolve(
    root: &Root,
    path: &[u8],
    arena: &mut Arena,
    target: &mut Target,
) -> Result<(), Refusal> {
    target.name.set(&[path]).ok_or(Errno::ENAMETOOLONG)?;
    let mut program = Program::new();
    for _ in 0..=INTERPRETERS_MAX {
        find(root, target.name.bytes(), &mut target.host, &mut program)?;
        match program.kind {
            Kind::Arm { is_static } => {
                target.is_static = is_static;
                return Ok(());
            }
            Kind::Foreign if allows_host_programs() => {
                target.foreign = true;
                return Ok(());
            }
            Kind::Foreign => return Err(Refusal::of_host(Errno::ENOEXEC, &target.host, root)),
            Kind::Unknown => return Err(Errno::ENOEXEC.into()),
            Kind::Script => {
                let (interpreter, argument) = program.interpreter();
                // The interpreter opens the script through the emulator; where that would fail, by its name on the host.
                let opened_by = if can_open(&target.name) {
                    &target.name
                } else {
                    &target.host
                };
                let script = arena.string(&[opened_by.bytes()])?;
                let first = arena.string(&[interpreter])?;
                if argument.is_empty() {
                    target.replace_program(&[first, script])?;
                } else {
                    target.replace_program(&[first, arena.string(&[argument])?, script])?;
                }
                target.name.set(&[interpreter]).ok_or(Errno::ENAMETOOLONG)?;
            }
        }
    }
    Err(Errno::ELOOP.into())
}

impl Target {
    /// A script's own argv[0] gives way to its name.
    fn replace_program(&mut self, words: &[*const c_char]) -> Result<(), Errno> {
        if self.prefix_length > 0 {
            self.prefix.copy_within(1..self.prefix_length, 0);
            self.prefix_length -= 1;
        }
        self.prepend(words)
    }
}

fn can_open(path: &PathBuffer) -> bool {
    match sys::openat(
        sys::AT_FDCWD,
        path.c_str(),
        libc::O_RDONLY | libc::O_CLOEXEC,
        0,
    ) {
        Ok(fd) => {
            sys::close(fd);
            true
        }
        Err(_) => false,
    }
}

/// # Safety
/// `arguments` and `environment` are the guest's arrays for execve, and stay as they are while the launch is used.
pub unsafe fn prepare(
    path: &[u8],
    arguments: Strings,
    environment: Strings,
) -> Result<Launch, Refusal> {
    let mut root = Root::none();
    root.ask();
    let mut target = Target {
        name: PathBuffer::new(),
        host: PathBuffer::new(),
        prefix: [core::ptr::null(); PREFIX_MAX],
        prefix_length: 0,
        foreign: false,
        is_static: false,
    };
    // SAFETY: promised by the caller.
    unsafe { prepare_target(&root, &mut target, path, arguments, environment) }
}

/// With a small frame of its own, which takes shorter instructions.
///
/// # Safety
/// As for `prepare`.
#[inline(never)]
unsafe fn prepare_target(
    root: &Root,
    target: &mut Target,
    path: &[u8],
    arguments: Strings,
    environment: Strings,
) -> Result<Launch, Refusal> {
    // SAFETY: promised by the caller.
    let (argument_count, entry_count) =
        unsafe { (pointers(arguments).count(), pointers(environment).count()) };
    let lists = (argument_count + 3 * entry_count) * size_of::<usize>();
    let mut arena = Arena::new(ARENA_EXTRA + lists)?;
    resolve(root, path, &mut arena, target)?;
    let emulator = Emulator::current();
    let extra = LIST_EXTRA + emulator.as_ref().map_or(0, Emulator::arguments_max);
    let mut words = arena.words(argument_count + 2 * entry_count + extra)?;
    let mut entries = arena.words(entry_count + LIST_EXTRA)?;
    let file = match &emulator {
        Some(emulator) if !target.foreign => {
            emulator.start_arguments(root, &mut arena, &mut words)?;
            let mut transfer = Environment {
                emulator,
                arena: &mut arena,
                words: Some(&mut words),
                entries: &mut entries,
            };
            // SAFETY: promised by the caller.
            unsafe { transfer.all(environment)? };
            emulator.file.as_ptr()
        }
        Some(emulator) => {
            let mut transfer = Environment {
                emulator,
                arena: &mut arena,
                words: None,
                entries: &mut entries,
            };
            // SAFETY: promised by the caller.
            unsafe { transfer.all(environment)? };
            arena.string(&[target.host.bytes()])?
        }
        None => {
            // Without /proc the system itself must know what to do with the program (binfmt_misc).
            // SAFETY: promised by the caller.
            for entry in unsafe { pointers(environment) } {
                entries.push(entry)?;
            }
            arena.string(&[target.host.bytes()])?
        }
    };
    // SAFETY: promised by the caller.
    unsafe { warn_of_static(target, arguments) };
    // SAFETY: promised by the caller.
    unsafe {
        program_words(
            target,
            emulator.is_some(),
            arguments,
            &mut arena,
            &mut words,
        )?
    };
    Ok(Launch {
        file,
        arguments: words.pointer(),
        environment: entries.pointer(),
        answered: false,
        _arena: arena,
        more: None,
    })
}

/// A static program that is given a flash device would look for it on the host.
///
/// # Safety
/// As for `prepare`.
unsafe fn warn_of_static(target: &Target, arguments: Strings) {
    let name = target
        .host
        .bytes()
        .rsplit(|&byte| byte == b'/')
        .next()
        .unwrap_or(&[]);
    // The loader itself names no loader.
    if !target.is_static || name.starts_with(b"ld") {
        return;
    }
    // SAFETY: promised by the caller.
    if unsafe { strings(arguments) }
        .skip(1)
        .any(|word| contains(word.to_bytes(), b"/dev/mtd"))
    {
        sys::report(&[
            target.host.bytes(),
            b" is static: it cannot load the library and sees no emulated flash",
        ]);
    }
}

/// `-0 ARGV0 PROGRAM` for the emulator, then the interpreters' words, then the guest's arguments.
///
/// # Safety
/// As for `prepare`.
#[inline(never)]
unsafe fn program_words(
    target: &Target,
    emulated: bool,
    arguments: Strings,
    arena: &mut Arena,
    words: &mut List,
) -> Result<(), Errno> {
    let prefix = target.prefix.get(..target.prefix_length).unwrap_or(&[]);
    // SAFETY: promised by the caller.
    let mut rest = unsafe { pointers(arguments) };
    let own_name = rest.next().unwrap_or(c"".as_ptr());
    let name = prefix.first().copied().unwrap_or(own_name);
    if emulated && !target.foreign {
        words.push(c"-0".as_ptr())?;
        words.push(name)?;
        words.push(arena.string(&[target.host.bytes()])?)?;
    } else {
        words.push(name)?;
    }
    for word in prefix.iter().skip(1) {
        words.push(*word)?;
    }
    for word in rest {
        words.push(word)?;
    }
    Ok(())
}

/// Moves the guest's environment over. Variables that the host's loader would take for its own travel as -E, and those
/// that the emulator itself was started with stay with it.
struct Environment<'a> {
    emulator: &'a Emulator,
    arena: &'a mut Arena,
    /// Where -E and -U go; None for a program of the host.
    words: Option<&'a mut List>,
    entries: &'a mut List,
}

/// What the names of all settings begin with.
const SETTING: [u8; 2] = *b"MT";

fn is_setting(entry: &[u8]) -> bool {
    entry.starts_with(b"MTDSHIM") && matches!(entry.get(7), None | Some(b'=' | b'_'))
}

/// The entries of an environment that begin with two letters: most are told by them.
///
/// # Safety
/// As for `strings`.
unsafe fn entries_with<'a>(
    environment: Strings,
    [first, second]: [u8; 2],
) -> impl Iterator<Item = &'a [u8]> {
    // SAFETY: promised by the caller.
    unsafe { pointers(environment) }
        .filter(move |&entry| {
            let entry = entry.cast::<u8>();
            // SAFETY: as above; behind a letter there is another byte.
            unsafe { *entry == first && *entry.add(1) == second }
        })
        .map(|entry| {
            // SAFETY: as above.
            unsafe { CStr::from_ptr(entry) }.to_bytes()
        })
}

/// # Safety
/// As for `strings`.
unsafe fn entry_of<'a>(environment: Strings, name: &[u8]) -> Option<&'a [u8]> {
    let letters = *name.first_chunk()?;
    // SAFETY: promised by the caller.
    unsafe { entries_with(environment, letters) }.find(|entry| emulator::is_named(entry, name))
}

impl Environment<'_> {
    /// # Safety
    /// `given` is an environment array of the guest.
    unsafe fn all(&mut self, given: Strings) -> Result<(), Errno> {
        // SAFETY: promised by the caller.
        unsafe {
            self.hosts_own(given)?;
            let keep = self.keeps(given);
            let preload = self.emulator.preload();
            let preload = preload.filter(|value| keep && !value.is_empty());
            for entry in pointers(given) {
                if !emulator::is_asked_for(entry) {
                    self.entries.push(entry)?;
                    continue;
                }
                let entry = CStr::from_ptr(entry);
                let bytes = entry.to_bytes();
                match preload {
                    Some(first)
                        if emulator::is_named(bytes, PRELOAD) && !contains(bytes, first) =>
                    {
                        let others = bytes.get(PRELOAD.len() + 1..).unwrap_or(&[]);
                        let joined = self.arena.string(&[PRELOAD, b"=", first, b":", others])?;
                        self.push(CStr::from_ptr(joined))?;
                    }
                    _ => self.push(entry)?,
                }
            }
            if let Some(first) = preload.filter(|_| entry_of(given, PRELOAD).is_none()) {
                let entry = self.arena.string(&[PRELOAD, b"=", first])?;
                self.push(CStr::from_ptr(entry))?;
            }
            if keep { self.settings() } else { Ok(()) }
        }
    }

    /// What the emulator runs with on the host and the guest does not know, or no longer.
    ///
    /// # Safety
    /// As for `all`.
    unsafe fn hosts_own(&mut self, given: Strings) -> Result<(), Errno> {
        for own in self.emulator.host_environment() {
            let hosts = emulator::concerns_host(own);
            if !hosts && (!own.starts_with(b"QEMU_") || emulator::is_spent(own)) {
                continue;
            }
            let name = emulator::name_of(own);
            // SAFETY: promised by the caller.
            let guests = unsafe { entry_of(given, name) };
            let replaced =
                guests.is_some_and(|entry| entry == own || !hosts || entry.contains(&b','));
            if replaced {
                continue;
            }
            self.entries.push(own.as_ptr().cast())?;
            if let Some(words) = self.words.as_mut().filter(|_| guests.is_none()) {
                words.push(c"-U".as_ptr())?;
                words.push(self.arena.string(&[name])?)?;
            }
        }
        Ok(())
    }

    /// One variable as the guest shall have it.
    fn push(&mut self, entry: &CStr) -> Result<(), Errno> {
        let bytes = entry.to_bytes();
        // A board that is set and empty is none; `settings` hands on the one that was found.
        if emulator::is_spent(bytes) || bytes == b"MTDSHIM=" {
            return Ok(());
        }
        // -E splits its value at commas, so an entry with one can only travel openly.
        let open = !emulator::concerns_host(bytes)
            || self.emulator.host_has(bytes)
            || bytes.contains(&b',');
        match self.words.as_mut() {
            _ if open => self.entries.push(entry.as_ptr()),
            Some(words) => {
                words.push(c"-E".as_ptr())?;
                words.push(entry.as_ptr())
            }
            None => Ok(()),
        }
    }

    /// Whether a child keeps the shim when its parent cleared the environment.
    ///
    /// # Safety
    /// As for `all`.
    unsafe fn keeps(&self, given: Strings) -> bool {
        // SAFETY: promised by the caller.
        let said =
            unsafe { entry_of(given, KEEP).or_else(|| entry_of(super::environment(), KEEP)) };
        let said = said
            .and_then(|entry| entry.get(KEEP.len() + 1..))
            .or(self.emulator.keep());
        said != Some(b"0")
    }

    /// The shim's settings that the guest did not pass on, and the name of the run.
    fn settings(&mut self) -> Result<(), Errno> {
        // SAFETY: the environment of this process, which nobody changes during an exec.
        let current = unsafe { entries_with(super::environment(), SETTING) };
        for entry in current.chain(self.emulator.first_environment()) {
            if is_setting(entry) && !self.has(emulator::name_of(entry)) {
                self.entries.push(self.arena.string(&[entry])?)?;
            }
        }
        if !self.has(RUN_VARIABLE)
            && let run = Run::current(self.emulator.run())
            && let Some(text) = run.text(&mut Room::new())
        {
            self.entries
                .push(self.arena.string(&[RUN_VARIABLE, b"=", text.bytes()])?)?;
        }
        Ok(())
    }

    fn has(&self, name: &[u8]) -> bool {
        // SAFETY: the list that is being built: strings of the guest and of the arena.
        unsafe { entry_of(self.entries.pointer(), name) }.is_some()
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window == part)
}
