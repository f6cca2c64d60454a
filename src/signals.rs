//! Signal handlers of the guest and flash calls. A handler that runs in the middle of a flash call and makes one itself
//! would wait for its own thread, and blocking signals around every call costs two system calls. So a function of ours
//! stands in front of each handler: in the middle of a call it notes the signal, which is raised again right after.
//!
//! Handlers of real-time signals, which are counted, are not touched, and when there is one, signals are blocked around
//! calls. Faults are neither: they must be answered where they happen.

use crate::{process_lock, sys};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// Ordinary signals are 1 to 31.
const COUNT: usize = 32;
/// What the guest installed: handler, flags, restorer, mask.
static ACTIONS: [[AtomicU32; ACTION_WORDS]; COUNT] =
    [const { [const { AtomicU32::new(0) }; ACTION_WORDS] }; COUNT];
/// The thread that a noted signal was meant for.
static HELD_BACK: [AtomicU32; COUNT] = [const { AtomicU32::new(0) }; COUNT];
/// What was sent along with it (siginfo_t), for handlers that are told.
static INFO: [[AtomicU32; INFO_WORDS]; COUNT] =
    [const { [const { AtomicU32::new(0) }; INFO_WORDS] }; COUNT];
static ANY_HELD_BACK: AtomicBool = AtomicBool::new(false);
static BLOCK: AtomicU32 = AtomicU32::new(0);

const FAULTS: [i32; 6] = [
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
];

/// `struct sigaction` of the kernel on 32-bit ARM: handler, flags, restorer, two words of mask.
type KernelAction = [u32; ACTION_WORDS];
const ACTION_WORDS: usize = 5;
const INFO_WORDS: usize = 32;
const MASK_BYTES: usize = 8;
const SA_RESETHAND: u32 = 0x8000_0000;

fn ask_kernel(number: i32) -> Option<KernelAction> {
    let mut action = [0; ACTION_WORDS];
    let answer = sys::call!(
        libc::SYS_rt_sigaction,
        number,
        0,
        action.as_mut_ptr(),
        MASK_BYTES
    );
    sys::checked(answer).is_ok().then_some(action)
}

/// Puts our function in front of the handler that the guest installed.
fn put_in_front(number: i32, [_, flags, restorer, low, high]: KernelAction) {
    let action = [in_front(), flags, restorer, low, high];
    let _ = sys::call!(
        libc::SYS_rt_sigaction,
        number,
        action.as_ptr(),
        0,
        MASK_BYTES
    );
}

fn noted(number: i32) -> KernelAction {
    let mut action = [0; ACTION_WORDS];
    if let Some(words) = ACTIONS.get(number as usize) {
        for (word, noted) in action.iter_mut().zip(words) {
            *word = noted.load(Relaxed);
        }
    }
    action
}

type Handler = unsafe extern "C" fn(i32, *mut c_void, *mut c_void);

/// Whether a flash call has to block signals.
pub fn must_be_blocked() -> bool {
    blocking() != 0
}

/// The same as a number, 0 if not.
#[inline(always)]
pub fn blocking() -> u32 {
    BLOCK.load(Relaxed)
}

/// A handler was installed in a way that cannot be followed.
pub fn block_from_now_on() {
    BLOCK.store(1, Relaxed);
}

fn in_front() -> u32 {
    deliver as *const () as usize as u32
}

unsafe extern "C" fn deliver(number: i32, info: *mut c_void, context: *mut c_void) {
    let [handler, flags, ..] = noted(number);
    if let Some(thread) = HELD_BACK.get(number as usize)
        && (process_lock::is_held_here() || waits_here(thread))
    {
        if flags & SA_RESETHAND != 0 {
            // The system has just taken it away.
            put_in_front(number, noted(number));
        }
        // As in the kernel, one that comes while another of its kind waits is that one.
        if thread.load(Relaxed) == 0 {
            if flags & libc::SA_SIGINFO as u32 != 0
                && let Some(words) = INFO.get(number as usize)
            {
                for (index, word) in words.iter().enumerate() {
                    // SAFETY: with SA_SIGINFO the system passes a siginfo_t, which is this long.
                    word.store(unsafe { info.cast::<u32>().add(index).read() }, Relaxed);
                }
            }
            thread.store(this_thread(), Relaxed);
        }
        ANY_HELD_BACK.store(true, Relaxed);
        return;
    }
    if is_handler(handler) {
        // SAFETY: the guest's own handler, called as the system called us.
        unsafe {
            let handler: Handler = core::mem::transmute(handler as usize);
            handler(number, info, context);
        }
    }
}

fn this_thread() -> u32 {
    sys::call!(libc::SYS_gettid) as u32
}

/// Whether one of its kind is noted that this thread has not raised again yet: it must not be overtaken.
fn waits_here(thread: &AtomicU32) -> bool {
    match thread.load(Relaxed) {
        0 => false,
        noted => noted == this_thread(),
    }
}

/// SIG_DFL and SIG_IGN are no handlers.
fn is_handler(handler: u32) -> bool {
    handler > 1
}

/// After a flash call.
#[inline(always)]
pub fn raise_held_back() {
    if ANY_HELD_BACK.load(Relaxed) {
        raise();
    }
}

#[cold]
fn raise() {
    // Those that come meanwhile wait behind the ones that are raised here.
    let blocked = sys::block_signals();
    ANY_HELD_BACK.store(false, Relaxed);
    for (number, (held_back, info)) in HELD_BACK.iter().zip(&INFO).enumerate() {
        if held_back.load(Relaxed) == 0 {
            continue;
        }
        // While it is noted, nobody else writes there.
        let info: [u32; INFO_WORDS] =
            core::array::from_fn(|index| info.get(index).map_or(0, |word| word.load(Relaxed)));
        let (pid, thread) = (process_lock::pid(), held_back.swap(0, Relaxed));
        let [_, flags, ..] = noted(number as i32);
        let queued = flags & libc::SA_SIGINFO as u32 != 0
            && sys::checked(sys::call!(
                libc::SYS_rt_tgsigqueueinfo,
                pid,
                thread,
                number,
                info.as_ptr()
            ))
            .is_ok();
        if !queued && thread != 0 {
            let _ = sys::call!(libc::SYS_tgkill, pid, thread, number);
        }
    }
    sys::restore_signals(&blocked);
}

/// What the guest must be told where it would see our function: `before` is what it had installed.
pub fn as_seen(seen: usize, before: usize) -> usize {
    if seen == in_front() as usize {
        before
    } else {
        seen
    }
}

/// The guest's handler as it was noted last.
pub fn current(number: i32) -> usize {
    let [handler, ..] = noted(number);
    handler as usize
}

/// After a handler was installed: ours goes in front of it.
pub fn installed(number: i32) {
    let Some(action) = ask_kernel(number) else {
        return;
    };
    let [handler, ..] = action;
    if !is_handler(handler) || handler == in_front() || FAULTS.contains(&number) {
        return;
    }
    let Some(words) = ACTIONS.get(number as usize) else {
        return block_from_now_on();
    };
    for (noted, word) in words.iter().zip(&action) {
        noted.store(*word, Relaxed);
    }
    put_in_front(number, action);
}
