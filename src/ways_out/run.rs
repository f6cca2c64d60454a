//! The run: the first program with this library and everything it started. A reboot ends it as a whole, and nothing else.
//!
//! Its name, the first process and the time that process began, travels in MTDSHIM_RUN, so that orphans are known and a
//! number that has been used again is not mistaken.

use crate::children::{self, exit_group};
use crate::paths::{self, PATH_MAX, PathBuffer, Room};
use crate::{runtime, sys};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use image::os::Os;

pub const RUN_VARIABLE: &[u8] = b"MTDSHIM_RUN";

/// Exit status of a run that ended in a reboot: outside sysexits, below what shells use for signals.
pub const REBOOT_STATUS: i32 = 88;

/// The signal that ends the first process with that status. Programs use real-time signals from the lowest one up.
const SIGNAL: i32 = 59;

/// The process that loaded the library, known when it forks at the latest: its children have another number.
static LOADED_BY: AtomicU32 = AtomicU32::new(0);

/// Before a fork.
pub fn note_first() -> u32 {
    match LOADED_BY.load(Relaxed) {
        0 => {
            let pid = sys::getpid();
            LOADED_BY.store(pid, Relaxed);
            pid
        }
        pid => pid,
    }
}

/// When the library is loaded.
#[inline(always)]
pub fn wait_for_end() {
    set_handler(SIGNAL, on_end);
}

#[inline(always)]
fn set_handler(signal: i32, handler: extern "C" fn(i32)) {
    // Handler, flags, restorer, mask; the handlers here do not return.
    let action = [handler as usize, 0, 0, 0, 0];
    let _ = sys::call!(libc::SYS_rt_sigaction, signal, action.as_ptr(), 0, 8);
}

extern "C" fn on_end(_signal: i32) {
    finish();
}

extern "C" fn on_patience_end(_signal: i32) {
    exit_group(REBOOT_STATUS);
}

/// Ends this process. What the guest printed is not lost, unless stdio is busy.
pub fn finish() -> ! {
    const FLUSH_TIME: [u32; 4] = [0, 0, 0, 300_000];
    const ITIMER_REAL: i32 = 0;
    set_handler(libc::SIGALRM, on_patience_end);
    let mask = [1u32 << (libc::SIGALRM - 1), 0];
    let _ = sys::call!(
        libc::SYS_rt_sigprocmask,
        libc::SIG_UNBLOCK,
        mask.as_ptr(),
        0,
        8
    );
    let _ = sys::call!(libc::SYS_setitimer, ITIMER_REAL, FLUSH_TIME.as_ptr(), 0);
    if let Some(address) = runtime::global_symbol(c"fflush") {
        // SAFETY: libc's fflush; null means every stream.
        unsafe {
            let flush: unsafe extern "C" fn(*mut libc::c_void) -> i32 =
                core::mem::transmute(address);
            flush(core::ptr::null_mut());
        }
    }
    exit_group(REBOOT_STATUS)
}

/// What /proc/PID/stat says of a process.
struct Process {
    state: u8,
    parent: u32,
    start: u64,
}

fn process(pid: u32) -> Option<Process> {
    let mut digits = [0; 10];
    let digits = paths::decimal(pid, &mut digits);
    // Below task/ the emulator shows a process itself as the others see it.
    let mut path = Room::new();
    let path = path.put(&[b"/proc/", digits, b"/task/", digits, b"/stat"])?;
    let mut buffer = [0; PATH_MAX];
    let text = read(path, &mut buffer);
    let end_of_name = text.iter().rposition(|&byte| byte == b')')?;
    let mut fields = text.get(end_of_name + 2..)?.split(|&byte| byte == b' ');
    let state = *fields.next()?.first()?;
    let parent = number(fields.next()?)? as u32;
    const FIELDS_BETWEEN: usize = 17;
    let start = number(fields.nth(FIELDS_BETWEEN)?)?;
    Some(Process {
        state,
        parent,
        start,
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

fn read<'a>(path: &PathBuffer, buffer: &'a mut [u8]) -> &'a [u8] {
    let Ok(fd) = sys::openat(
        sys::AT_FDCWD,
        path.c_str(),
        libc::O_RDONLY | libc::O_CLOEXEC,
        0,
    ) else {
        return &[];
    };
    let length = sys::Kernel.pread(fd, buffer, 0).unwrap_or(0);
    sys::close(fd);
    buffer.get(..length).unwrap_or(&[])
}

#[derive(Clone, Copy)]
pub struct Run {
    pub first: u32,
    start: u64,
}

impl Run {
    /// `named`: the value of MTDSHIM_RUN that this process was started with.
    pub fn current(named: Option<&[u8]>) -> Run {
        named.and_then(Run::parse).unwrap_or_else(|| {
            // Children of a fork find it, with the number.
            static START: AtomicU64 = AtomicU64::new(0);
            let first = note_first();
            let mut start = START.load(Relaxed);
            if start == 0 {
                start = process(first).map_or(0, |process| process.start);
                START.store(start, Relaxed);
            }
            Run { first, start }
        })
    }

    /// None if that process is gone.
    fn parse(text: &[u8]) -> Option<Run> {
        let dot = text.iter().position(|&byte| byte == b'.')?;
        let (first, start) = (
            number(text.get(..dot)?)? as u32,
            number(text.get(dot + 1..)?)?,
        );
        (process(first)?.start == start).then_some(Run { first, start })
    }

    /// "PID.START"
    pub fn text<'a>(&self, room: &'a mut Room) -> Option<&'a mut PathBuffer> {
        use core::fmt::Write;
        let mut buffer = [0; 40];
        let mut text = chardev::text::Text::new(&mut buffer);
        write!(text, "{}.{}", self.first, self.start).ok()?;
        room.put(&[text.bytes()])
    }

    /// Ends every process of the run; the first, and this one, with the status of a reboot.
    pub fn end(&self) -> ! {
        let own = sys::getpid();
        let mut others = Pids::new();
        self.collect(&mut others);
        if self.first != own {
            kill(self.first, SIGNAL);
            // It must be gone before it could see its children die and draw conclusions.
            const STEPS: u32 = 150;
            const STEP_MS: u32 = 10;
            for _ in (0..STEPS).take_while(|_| self.first_runs()) {
                sys::Kernel.sleep_ms(STEP_MS);
            }
            kill(self.first, libc::SIGKILL);
        }
        for &pid in others
            .list
            .iter()
            .take(others.length)
            .filter(|pid| **pid != own && **pid != self.first)
        {
            kill(pid, libc::SIGKILL);
        }
        finish()
    }

    fn first_runs(&self) -> bool {
        match process(self.first) {
            Some(first) => first.start == self.start && first.state != b'Z',
            // /proc of another PID namespace knows no start; then only the number is left.
            None => {
                self.start == 0 && sys::checked(sys::call!(libc::SYS_kill, self.first, 0)).is_ok()
            }
        }
    }

    /// Descendants of the first process, and orphans that carry the run's name.
    #[inline(never)]
    fn collect(&self, found: &mut Pids) {
        let mut all = Pids::new();
        for_each_pid(|pid| all.push(pid));
        found.push(self.first);
        let mut grown = true;
        while grown {
            grown = false;
            for &pid in all.list.iter().take(all.length) {
                let joins = !found.has(pid)
                    && process(pid).is_some_and(|process| found.has(process.parent));
                if joins || (!found.has(pid) && self.is_named_by(pid)) {
                    found.push(pid);
                    grown = true;
                }
            }
        }
    }

    fn is_named_by(&self, pid: u32) -> bool {
        let mut digits = [0; 10];
        let (mut path, mut text, mut entry) = (Room::new(), Room::new(), Room::new());
        if let Some(path) = path.put(&[b"/proc/", paths::decimal(pid, &mut digits), b"/environ"])
            && let Some(text) = self.text(&mut text)
            && let Some(entry) = entry.put(&[RUN_VARIABLE, b"=", text.bytes()])
        {
            return children::file_has_entry(path.c_str(), entry.bytes());
        }
        false
    }
}

fn kill(pid: u32, signal: i32) {
    let _ = sys::call!(libc::SYS_kill, pid, signal);
}

const PIDS_MAX: usize = 2048;

/// A set of processes.
struct Pids {
    list: [u32; PIDS_MAX],
    length: usize,
}

impl Pids {
    fn new() -> Pids {
        Pids {
            list: [0; PIDS_MAX],
            length: 0,
        }
    }

    fn push(&mut self, pid: u32) {
        if let Some(slot) = self.list.get_mut(self.length) {
            *slot = pid;
            self.length += 1;
        }
    }

    fn has(&self, pid: u32) -> bool {
        self.list
            .iter()
            .take(self.length)
            .any(|known| *known == pid)
    }
}

fn for_each_pid(mut body: impl FnMut(u32)) {
    // Not /proc itself: a root directory may have an empty one, which the emulator would prefer.
    sys::for_each_name(c"/proc/self/../", &mut |name| {
        if let Some(pid) = number(name) {
            body(pid as u32);
        }
    });
}
