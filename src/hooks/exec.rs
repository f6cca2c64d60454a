//! The exec family, posix_spawn, system and popen. A body is decode and dispatch; see `children`.

use crate::calls::settle;
use crate::children::{self, Strings, actions, shell};
use libc::{FILE, c_char, c_int, c_void, mode_t};
use mtd_abi::errno::Errno;

fn failed(errno: Errno) -> c_int {
    settle(Err(errno), -1)
}

// SAFETY, here and below: the arguments are the guest's own, as the function documents them.
macro_rules! failing {
    ($call:expr) => {
        // SAFETY: the guest's own arguments, as the hooked function documents them.
        failed(unsafe { $call })
    };
}

family! {
    fn execve_any(path: *const c_char, arguments: Strings, environment: Strings) -> c_int |_next| {
        failing!(children::execute(path, arguments, environment))
    }
    execve, __execve
}

hook! {
    fn execv(path: *const c_char, arguments: Strings) -> c_int {
        failing!(children::execute(path, arguments, children::environment()))
    }
}
hook! {
    fn execvp(file: *const c_char, arguments: Strings) -> c_int {
        failing!(children::execute_in_path(file, arguments, children::environment()))
    }
}
family! {
    fn execvpe_any(file: *const c_char, arguments: Strings, environment: Strings) -> c_int |_next| {
        failing!(children::execute_in_path(file, arguments, environment))
    }
    execvpe, __execvpe
}

hook! {
    fn fexecve(fd: c_int, arguments: Strings, environment: Strings) -> c_int {
        failing!(children::execute_at(fd, c"".as_ptr(), arguments, environment, libc::AT_EMPTY_PATH))
    }
}
hook! {
    fn execveat(
        directory: c_int,
        path: *const c_char,
        arguments: Strings,
        environment: Strings,
        flags: c_int,
    ) -> c_int {
        failing!(children::execute_at(directory, path, arguments, environment, flags))
    }
}

// The list forms are variadic. Rust cannot define such a function, but on ARM the first four words lie in registers and
// the rest on the stack: pushed, they are one array that ends with the null the caller wrote.
macro_rules! variadic_hooks {
    ($($name:ident $target:ident;)*) => {$(
        /// The registers become the front of the array that the caller's stack continues.
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name() -> c_int {
            core::arch::naked_asm!(
                "push {{r0, r1, r2, r3}}",
                "mov r0, sp",
                "push {{r4, lr}}",
                "bl {target}",
                "pop {{r4, lr}}",
                "add sp, sp, #16",
                "bx lr",
                target = sym $target,
            )
        }
    )*};
}
variadic_hooks! { execl list; execlp list_in_path; execle list_with_environment; }

/// Path and array of a list form.
///
/// # Safety
/// `words` are the arguments of a list form: a path, then strings up to a null.
unsafe fn decode(words: Strings) -> (*const c_char, Strings) {
    // SAFETY: promised by the caller.
    unsafe { (*words, words.add(1)) }
}

unsafe extern "C" fn list(words: Strings) -> c_int {
    // SAFETY: what the trampoline passes.
    let (path, arguments) = unsafe { decode(words) };
    failing!(children::execute(path, arguments, children::environment()))
}

unsafe extern "C" fn list_in_path(words: Strings) -> c_int {
    // SAFETY: what the trampoline passes.
    let (file, arguments) = unsafe { decode(words) };
    failing!(children::execute_in_path(
        file,
        arguments,
        children::environment()
    ))
}

unsafe extern "C" fn list_with_environment(words: Strings) -> c_int {
    // SAFETY: what the trampoline passes: behind the null comes the environment.
    let (path, arguments, environment) = unsafe {
        let (path, arguments) = decode(words);
        let count = children::strings(arguments).count();
        (path, arguments, (*arguments.add(count + 1)).cast())
    };
    failing!(children::execute(path, arguments, environment))
}

hook! {
    fn posix_spawn(
        pid: *mut c_int,
        path: *const c_char,
        actions: *const c_void,
        attributes: *const c_void,
        arguments: Strings,
        environment: Strings,
    ) -> c_int {
        let real = |path, arguments, environment| {
            real!(posix_spawn(pid, path, actions, attributes, arguments, environment))
        };
        // SAFETY: the guest's own arguments.
        unsafe { children::spawn(path, arguments, environment, false, pid, real) }
    }
}

/// The search is over when the real function is called, and it is the same function without one.
type Spawn = unsafe extern "C" fn(
    *mut c_int,
    *const c_char,
    *const c_void,
    *const c_void,
    Strings,
    Strings,
) -> c_int;

hook! {
    fn posix_spawnp(
        pid: *mut c_int,
        file: *const c_char,
        actions: *const c_void,
        attributes: *const c_void,
        arguments: Strings,
        environment: Strings,
    ) -> c_int {
        let real = |path, arguments, environment| {
            let Some(address) = crate::runtime::next_symbol(c"posix_spawn") else { return libc::ENOSYS };
            // SAFETY: libc's function of this name has this type, and the arguments are the guest's own.
            unsafe {
                let spawn: Spawn = core::mem::transmute(address);
                spawn(pid, path, actions, attributes, arguments, environment)
            }
        };
        // SAFETY: the guest's own arguments.
        unsafe { children::spawn(file, arguments, environment, true, pid, real) }
    }
}

hook! {
    fn posix_spawn_file_actions_addopen(
        actions: *mut c_void,
        fd: c_int,
        path: *const c_char,
        flags: c_int,
        mode: mode_t,
    ) -> c_int {
        // SAFETY: the guest's own arguments.
        unsafe { actions::add_open(actions, fd, path, flags) }
            .unwrap_or_else(|| real!(posix_spawn_file_actions_addopen(actions, fd, path, flags, mode)))
    }
}
hook! {
    fn posix_spawn_file_actions_destroy(actions: *mut c_void) -> c_int {
        actions::release(actions as usize);
        real!(posix_spawn_file_actions_destroy(actions))
    }
}

family! {
    fn system_any(command: *const c_char) -> c_int |_next| {
        // SAFETY: the guest's own argument.
        settle(unsafe { shell::system(command) }, -1)
    }
    system, __libc_system
}

hook! {
    fn popen(command: *const c_char, mode: *const c_char) -> *mut FILE {
        // SAFETY: the guest's own arguments.
        settle(unsafe { shell::popen(command, mode) }, core::ptr::null_mut())
    }
}
hook! {
    fn pclose(stream: *mut FILE) -> c_int {
        // SAFETY: the guest's own argument.
        match unsafe { shell::pclose(stream) } {
            Some(result) => settle(result, -1),
            None => real!(pclose(stream)),
        }
    }
}
