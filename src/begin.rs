//! What is done in every program, whether it will ever see flash or not: when it is loaded, and when it ends.
//!
//! Each basic block costs the emulator as much as a system call, so this is as little as can be, and one function.

use crate::{descriptors, settings, streams, unseen, ways_out, world};

/// After the look at the processor.
pub extern "C" fn at_load() {
    settings::make_files_absolute();
    let mut fd = libc::STDIN_FILENO;
    while fd <= libc::STDERR_FILENO {
        if descriptors::is_inherited(fd) {
            inherited(fd);
        }
        fd += 1;
    }
    ways_out::run::wait_for_end();
}

#[cold]
#[inline(never)]
fn inherited(fd: i32) {
    if fd == libc::STDIN_FILENO {
        streams::replace_input();
    } else {
        unseen::note(fd);
    }
}

/// The process ends without closing. Nearly all processes have never seen flash: they are left quickly.
extern "C" fn at_exit() {
    if !descriptors::are_standard_foreign() {
        close_standard();
    }
    world::record_stamps();
}

#[cold]
#[inline(never)]
fn close_standard() {
    let mut fd = libc::STDIN_FILENO;
    while fd <= libc::STDERR_FILENO {
        world::before_close(fd);
        fd += 1;
    }
}

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;
