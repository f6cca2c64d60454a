//! What is done in every program, whether it will ever see flash or not: when it is loaded, and when it ends.
//!
//! Each basic block costs the emulator as much as a system call, so this is as little as can be, and one function.

use crate::children::Strings;
use crate::descriptors::{self, FOREIGN, MARK, MARK_MASK, TABLE, UNKNOWN};
use crate::{backing, settings, streams, sys, unseen, ways_out, world};
use core::hint::black_box;
use core::sync::atomic::Ordering::Relaxed;

/// After the look at the processor. Only glibc gives these arguments, those of main.
pub extern "C" fn at_load(count: usize, arguments: Strings, environment: Strings) {
    settings::make_files_absolute(count, arguments, environment);
    ways_out::run::wait_for_end();
    let found = find_inherited();
    if found != 0 {
        inherited(found);
    }
}

/// Which of the standard streams lead to a file with our mark, from the highest of three bits on. The others are known to be foreign
/// from now on.
#[inline(always)]
fn find_inherited() -> u32 {
    // The bit in front tells how many there are. A counter would make two blocks of the way back.
    let mut found = 1u32;
    loop {
        let fd = (found | 1).ilog2() as usize;
        let mut offset = [0u32; 2];
        let to = offset.as_mut_ptr();
        let answer = sys::call!(libc::SYS__llseek, fd, 0, 0, to, libc::SEEK_CUR);
        let differs = offset[1] & (MARK_MASK >> 32) as u32 ^ (MARK >> 32) as u32;
        let is_ours = answer as u32 | differs == 0;
        let is_unknown = is_ours | (answer == -libc::EBADF as isize);
        if let Some(slot) = TABLE.get(fd & 3) {
            slot.store(if is_unknown { UNKNOWN } else { FOREIGN }, Relaxed);
        }
        found = black_box(found << 1 | u32::from(is_ours));
        if found >= 8 {
            return found - 8;
        }
    }
}

#[cold]
#[inline(never)]
fn inherited(found: u32) {
    for fd in libc::STDIN_FILENO..=libc::STDERR_FILENO {
        if found << fd & 4 == 0 {
            continue;
        }
        if fd == libc::STDIN_FILENO {
            streams::replace_input();
        } else {
            unseen::note(fd);
        }
    }
}

/// The process ends without closing. Nearly all processes have never seen flash: they are left quickly.
extern "C" fn at_exit() {
    if !(descriptors::are_standard_foreign() & !backing::is_anything_changed()) {
        end();
    }
}

#[cold]
#[inline(never)]
fn end() {
    let mut fd = libc::STDIN_FILENO;
    while fd <= libc::STDERR_FILENO {
        world::before_close(fd);
        fd += 1;
    }
    world::record_stamps();
}

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;
