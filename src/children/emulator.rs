//! The emulator that runs this guest: its file, its own options and its own environment, so that a child can be started
//! in the same way.
//!
//! QEMU hides itself behind /proc/self/exe and /proc/self/cmdline; the names below /proc/thread-self show it as it is
//! (7.2 to 11.1). Source of the options: `linux-user/main.c` by its --help.

use super::arena::{Arena, List, Strings, strings};
use super::lookup::Root;
use crate::paths::{PATH_MAX, is_among};
use crate::sys;
use crate::ways_out::run::RUN_VARIABLE;
use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicPtr, Ordering};
use mtd_abi::errno::Errno;

/// Options stand at the front of the command line; programs come with longer lists than this.
const COMMAND_LINE_MAX: usize = 64 << 10;
const ENVIRONMENT_MAX: usize = 256 << 10;
pub const SIZE_MAX: usize = COMMAND_LINE_MAX + ENVIRONMENT_MAX;

const LINK: &CStr = c"/proc/thread-self/exe";

/// What /proc shows of the emulator of this process: it is the same until an exec, so it is read once, and children of a fork
/// find it.
struct Shown {
    /// Where its file was when it started.
    name: *const c_char,
    command_line: &'static [u8],
    /// Only entries that `is_asked_for`.
    environment: Strings,
    /// The first values of variables that each start of a program asks about.
    preload: Option<&'static [u8]>,
    keep: Option<&'static [u8]>,
    run: Option<&'static [u8]>,
}
static SHOWN: AtomicPtr<Shown> = AtomicPtr::new(core::ptr::null_mut());

pub struct Emulator {
    pub file: &'static CStr,
    shown: &'static Shown,
}

pub const PRELOAD: &[u8] = b"LD_PRELOAD";
pub const KEEP: &[u8] = b"MTDSHIM_KEEP";

/// Options without a value. All others take one.
const SWITCHES: &[u8] = b"h help version singlestep one-insn-per-tb strace xtensa-abi-call0";
/// Options that a child does not repeat: the root is given anew, the environment is the guest's own affair by now, and
/// a debugger listens to one process.
const NOT_REPEATED: &[u8] = b"L E U 0 g";
/// Variables of the emulator that did their work when the first program started, without what all their names begin with.
const SPENT: &[u8] = b"SET_ENV UNSET_ENV ARGV0 GDB LD_PREFIX";

/// `text` is from `Arena::file`.
fn words(text: &'static [u8]) -> impl Iterator<Item = &'static [u8]> {
    let mut rest = text;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // SAFETY: there is a zero behind what the arena gives.
        let word = unsafe { CStr::from_ptr(rest.as_ptr().cast()) }.to_bytes();
        rest = rest.get(word.len() + 1..)?;
        Some(word)
    })
}

// Each start of a program goes over all entries of the environment more than once, and most are told by their first letter.

/// The name in NAME=VALUE.
pub fn name_of(entry: &[u8]) -> &[u8] {
    entry.split(|&byte| byte == b'=').next().unwrap_or(entry)
}

pub fn is_named(entry: &[u8], name: &[u8]) -> bool {
    entry.first() == name.first()
        && entry.starts_with(name)
        && matches!(entry.get(name.len()), None | Some(b'='))
}

pub fn is_spent(entry: &[u8]) -> bool {
    entry.first() == Some(&b'Q')
        && entry
            .strip_prefix(b"QEMU_".as_slice())
            .is_some_and(|rest| is_among(SPENT, name_of(rest)))
}

/// What the host's own loader and C library, or the emulator, would take as meant for them.
pub fn concerns_host(entry: &[u8]) -> bool {
    let prefix: &[u8] = match entry.first() {
        Some(b'L') => b"LD_",
        Some(b'G') => b"GLIBC_TUNABLES",
        Some(b'M') => b"MALLOC_",
        _ => return false,
    };
    entry.starts_with(prefix)
}

/// By the first two letters, whether anything here asks for a variable: LD_, GLIBC_TUNABLES, MALLOC_, MTDSHIM, QEMU_. An environment
/// has dozens of others, and nearly all are told by the first.
///
/// # Safety
/// A C string.
pub unsafe fn is_asked_for(entry: *const c_char) -> bool {
    // SAFETY: promised by the caller; behind a letter there is another byte.
    unsafe {
        let first = *entry.cast();
        matches!(first, b'G' | b'L' | b'M' | b'Q')
            && matches!(
                &[first, *entry.cast::<u8>().add(1)],
                b"GL" | b"LD" | b"MA" | b"MT" | b"QE"
            )
    }
}

impl Shown {
    fn get() -> Option<&'static Shown> {
        let mut shown = SHOWN.load(Ordering::Acquire);
        if shown.is_null() {
            shown = Shown::read().ok()?;
            SHOWN.store(shown, Ordering::Release);
        }
        // SAFETY: in memory that is never given back, and not written again.
        unsafe { shown.as_ref() }
    }

    #[cold]
    fn read() -> Result<*mut Shown, Errno> {
        let mut arena = Arena::new(2 * SIZE_MAX)?;
        let command_line = arena.file(c"/proc/thread-self/cmdline", COMMAND_LINE_MAX)?;
        let text = arena
            .file(c"/proc/thread-self/environ", ENVIRONMENT_MAX)
            .unwrap_or(&[]);
        // SAFETY: there is a zero behind each word.
        let asked_for =
            || words(text).filter(|entry| unsafe { is_asked_for(entry.as_ptr().cast()) });
        let mut environment = arena.words(asked_for().count() + 2)?;
        for entry in asked_for() {
            environment.push(entry.as_ptr().cast())?;
        }
        let mut buffer = [0; PATH_MAX];
        let name = sys::readlink(LINK, &mut buffer).map_err(Errno)?;
        let name = arena.string(&[name])?;
        let shown = arena.keep(Shown {
            name,
            command_line,
            environment: environment.pointer(),
            preload: None,
            keep: None,
            run: None,
        })?;
        // SAFETY: `keep` gave it, and nobody else has it yet.
        unsafe {
            let first = |name| {
                Emulator {
                    file: LINK,
                    shown: &*shown,
                }
                .first_value(name)
            };
            let (preload, keep, run) = (first(PRELOAD), first(KEEP), first(RUN_VARIABLE));
            (*shown).preload = preload;
            (*shown).keep = keep;
            (*shown).run = run;
        }
        Ok(shown)
    }
}

impl Emulator {
    /// None where /proc does not show it; then this is no emulator whose options one could repeat.
    pub fn current() -> Option<Emulator> {
        let shown = Shown::get()?;
        // SAFETY: a string of `Shown::read`.
        let name = unsafe { CStr::from_ptr(shown.name) };
        Some(Emulator {
            file: file_of(name)?,
            shown,
        })
    }

    /// The options of this process: name without dashes, value if it takes one.
    fn options(&self) -> impl Iterator<Item = (&'static [u8], Option<&'static [u8]>)> {
        let mut words = words(self.shown.command_line).skip(1);
        core::iter::from_fn(move || {
            let word = words.next()?;
            let name = word.strip_prefix(b"-")?;
            let name = name.strip_prefix(b"-").unwrap_or(name);
            if name.is_empty() {
                return None;
            }
            let value = if is_among(SWITCHES, name) {
                None
            } else {
                Some(words.next()?)
            };
            Some((name, value))
        })
    }

    /// argv[0] and options of a child.
    pub fn start_arguments(
        &self,
        root: &Root,
        arena: &mut Arena,
        arguments: &mut List,
    ) -> Result<(), Errno> {
        let own_name = words(self.shown.command_line)
            .next()
            .unwrap_or(b"qemu-arm\0");
        arguments.push(own_name.as_ptr().cast())?;
        if root.is_given() {
            arguments.push(c"-L".as_ptr())?;
            arguments.push(arena.string(&[root.bytes()])?)?;
        }
        for (name, value) in self
            .options()
            .filter(|(name, _)| !is_among(NOT_REPEATED, name))
        {
            arguments.push(arena.string(&[b"-", name])?)?;
            if let Some(value) = value {
                arguments.push(arena.string(&[value])?)?;
            }
        }
        Ok(())
    }

    /// Words that `start_arguments` pushes at most.
    pub fn arguments_max(&self) -> usize {
        4 + 2 * self.options().count()
    }

    /// The environment the emulator was started with, on the host, as far as it `is_asked_for`.
    pub fn host_environment(&self) -> impl Iterator<Item = &'static [u8]> {
        // SAFETY: the list of `Shown::read`.
        unsafe { strings(self.shown.environment) }.map(CStr::to_bytes)
    }

    pub fn host_has(&self, entry: &[u8]) -> bool {
        self.host_environment().any(|own| own == entry)
    }

    /// NAME=VALUE entries of the environment this guest started with: the host's, then those of -E and QEMU_SET_ENV.
    pub fn first_environment(&self) -> impl Iterator<Item = &'static [u8]> {
        let set = self
            .host_environment()
            .filter_map(|entry| entry.strip_prefix(b"QEMU_SET_ENV="));
        let options = self
            .options()
            .filter(|(name, _)| *name == b"E")
            .filter_map(|(_, value)| value);
        let settings = set
            .chain(options)
            .flat_map(|list| list.split(|&byte| byte == b','));
        self.host_environment().chain(settings)
    }

    pub fn preload(&self) -> Option<&'static [u8]> {
        self.shown.preload
    }

    pub fn keep(&self) -> Option<&'static [u8]> {
        self.shown.keep
    }

    pub fn run(&self) -> Option<&'static [u8]> {
        self.shown.run
    }

    /// The last value a variable had there.
    pub fn first_value(&self, name: &[u8]) -> Option<&'static [u8]> {
        let entries = self
            .first_environment()
            .filter(|entry| is_named(entry, name));
        entries.last().and_then(|entry| entry.get(name.len() + 1..))
    }
}

/// The name, where it still leads to the file of the link: it may be the name of another root. Inside a container the emulator may
/// have no name; then only the link leads to it.
fn file_of(name: &'static CStr) -> Option<&'static CStr> {
    use image::os::Os;
    let linked = sys::Kernel.stat(LINK).ok()?;
    let is_same = |named: image::os::FileStatus| (named.dev, named.ino) == (linked.dev, linked.ino);
    let named = sys::Kernel.stat(name);
    Some(if named.is_ok_and(is_same) { name } else { LINK })
}
