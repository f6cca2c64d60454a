//! opendir, readdir and their kin: directories of ours are real ones elsewhere; /dev and a few of /sys show the
//! system's entries and ours behind them.

use crate::calls::settle;
use crate::merged::{self, Shape};
use crate::paths::Room;
use crate::{files, paths, shadow, sys};
use libc::{DIR, c_char, c_int, c_void};
use mtd_abi::errno::Errno;

fn bytes<'a>(path: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the guest's own argument to libc.
    unsafe { files::path_bytes(path) }
}

hook! {
    fn opendir(path: *const c_char) -> *mut DIR {
        let Some(name) = bytes(path) else { return real!(opendir(path)) };
        if let Some(real_path) = shadow::directory(sys::AT_FDCWD, name, &mut Room::new()) {
            let directory = real!(opendir(real_path.c_str().as_ptr()));
            if !directory.is_null() {
                merged::enter(directory as usize, merged::Merged::Sysfs);
            }
            return directory;
        }
        if files::is_node(sys::AT_FDCWD, name) {
            return settle(Err(Errno::ENOTDIR), core::ptr::null_mut());
        }
        let directory = real!(opendir(path));
        if !directory.is_null() && let Some(which) = merged::of_path(name) {
            merged::enter(directory as usize, which);
        }
        directory
    }
}
hook! {
    fn fdopendir(fd: c_int) -> *mut DIR {
        let directory = real!(fdopendir(fd));
        let mut buffer = [0; paths::PATH_MAX];
        if !directory.is_null()
            && let Some(which) = paths::descriptor_path(fd, &mut buffer).and_then(merged::of_path)
        {
            merged::enter(directory as usize, which);
        }
        directory
    }
}
hook! {
    fn closedir(directory: *mut DIR) -> c_int {
        merged::leave(directory as usize);
        real!(closedir(directory))
    }
}
hook! {
    fn rewinddir(directory: *mut DIR) -> () {
        merged::rewind(directory as usize);
        real!(rewinddir(directory))
    }
}

/// The next entry of the system's directory, in the wide form that loses nothing.
fn next_wide(directory: *mut DIR) -> *mut c_void {
    type Readdir = unsafe extern "C" fn(*mut DIR) -> *mut c_void;
    let name = if crate::libc_kind::wide_offsets() {
        c"readdir"
    } else {
        c"readdir64"
    };
    match crate::runtime::next_symbol(name) {
        // SAFETY: libc's function of this name; the directory is the guest's, open.
        Some(address) => unsafe { core::mem::transmute::<usize, Readdir>(address)(directory) },
        None => core::ptr::null_mut(),
    }
}

/// readdir of a directory that shows entries of ours. The narrow form is made here: libc's own gives up on inode
/// numbers and offsets beyond 32 bits, which file systems of 64-bit hosts have.
fn next_entry(directory: *mut DIR, shape: Shape) -> *mut c_void {
    loop {
        let entry = next_wide(directory);
        if entry.is_null() {
            return merged::next(directory as usize, shape);
        }
        // SAFETY: libc has just returned this entry; its name ends with NUL.
        let name = unsafe {
            core::ffi::CStr::from_ptr(entry.cast::<c_char>().add(Shape::Wide.name_offset()))
        };
        if merged::hides(directory as usize, name.to_bytes()) {
            continue;
        }
        if shape == Shape::Wide {
            return entry;
        }
        // SAFETY: the type of an entry lies just before its name.
        let entry_type = unsafe { *entry.cast::<u8>().add(Shape::Wide.name_offset() - 1) };
        return merged::narrow(directory as usize, name.to_bytes(), entry_type);
    }
}

/// The mark of symbols with wide structures.
const WIDE: u8 = 1;

fn shape(mark: u8) -> Shape {
    if mark == WIDE {
        Shape::Wide
    } else {
        Shape::plain()
    }
}

family! {
    fn readdir_any(directory: *mut DIR) -> *mut c_void |next, mark| {
        if !merged::is_open(directory as usize) {
            return next(directory);
        }
        next_entry(directory, shape(mark))
    }
    readdir, readdir64(WIDE)
}

/// GLOB_ALTDIRFUNC: glob reads directories through functions of the caller.
#[cfg(target_pointer_width = "32")]
mod glob_layout {
    /// gl_flags and then gl_closedir, gl_readdir, gl_opendir, gl_lstat, gl_stat behind gl_pathc, gl_pathv, gl_offs.
    pub const FLAGS: usize = 3;
    pub const FUNCTIONS: usize = 4;
    pub const ALTDIRFUNC: i32 = 1 << 9;
}

/// Which stat functions glob is given, by the mark of the symbol.
const PLAIN_STAT: u8 = 0;
const STAT64: u8 = 1;
const TIME64: u8 = 2;

family! {
    // glibc and uClibc read directories behind our back unless they are given functions; these are ours.
    fn glob_any(pattern: *const c_char, flags: c_int, on_error: *mut c_void, result: *mut usize) -> c_int |next, mark| {
        use glob_layout::*;
        let theirs = flags & ALTDIRFUNC != 0;
        let ours = bytes(pattern).is_some_and(|pattern| pattern.starts_with(b"/dev") || paths::may_be_ours(pattern));
        if theirs || !ours {
            return next(pattern, flags, on_error, result);
        }
        if crate::libc_kind::kind() == crate::libc_kind::LibcKind::Musl {
            // SAFETY: the guest's own glob_t.
            let answer = bytes(pattern).and_then(|text| unsafe { crate::globbing::expand(text, flags, result) });
            return answer.unwrap_or_else(|| next(pattern, flags, on_error, result));
        }
        type Stat = unsafe extern "C" fn(*const c_char, *mut c_void) -> c_int;
        let (readdir, lstat, stat): (_, Stat, Stat) = match mark {
            PLAIN_STAT => (c"readdir", lstat_plain, stat_plain),
            STAT64 => (c"readdir64", lstat_stat64, stat_stat64),
            _ => (c"readdir64", lstat_time64, stat_time64),
        };
        let functions =
            [symbol(c"closedir"), symbol(readdir), symbol(c"opendir"), lstat as usize, stat as usize];
        if functions.contains(&0) {
            return next(pattern, flags, on_error, result);
        }
        // SAFETY: the guest's own glob_t: three words, the flags, five functions.
        unsafe {
            for (index, function) in functions.iter().enumerate() {
                *result.add(FUNCTIONS + index) = *function;
            }
        }
        let outcome = next(pattern, flags | ALTDIRFUNC, on_error, result);
        // SAFETY: as above. The flag is the shim's, not the guest's.
        unsafe { *result.add(FLAGS) &= !(ALTDIRFUNC as usize) };
        outcome
    }
    glob(PLAIN_STAT), glob64(STAT64), __glob64_time64(TIME64)
}
use super::stat::{lstat_plain, lstat_stat64, lstat_time64, stat_plain, stat_stat64, stat_time64};

/// The hooked function of this name, as any other object would bind it; 0 if there is none.
fn symbol(name: &core::ffi::CStr) -> usize {
    crate::runtime::global_symbol(name).unwrap_or(0)
}

type Visit = unsafe extern "C" fn(*const c_char, *const c_void, c_int, *mut FtwPlace) -> c_int;

/// `struct FTW`.
#[repr(C)]
pub struct FtwPlace {
    base: c_int,
    level: c_int,
}

/// The guest's function of a walk under way over a directory of ours. Walks of two threads at once over /sys/class/mtd
/// would share it.
static VISIT: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);

/// Gives the guest its own name of what the walk has found.
unsafe extern "C" fn visit(
    path: *const c_char,
    stat: *const c_void,
    flag: c_int,
    place: *mut FtwPlace,
) -> c_int {
    // SAFETY: nftw passes a C string, and a place that lives during the call; the function was the guest's argument.
    unsafe {
        let real = core::ffi::CStr::from_ptr(path).to_bytes();
        let mut name = Room::new();
        let name = name.empty();
        let _ = name.set(&shadow::guest_name(real));
        // The walk itself goes on using its own place.
        let shorter = real.len() as c_int - name.bytes().len() as c_int;
        let mut own = match place.as_ref() {
            Some(place) => FtwPlace {
                base: place.base - shorter,
                level: place.level,
            },
            None => FtwPlace { base: 0, level: 0 },
        };
        let place = if place.is_null() { place } else { &raw mut own };
        let function: Visit =
            core::mem::transmute(VISIT.load(core::sync::atomic::Ordering::Relaxed));
        function(name.c_str().as_ptr(), stat, flag, place)
    }
}

family! {
    // A walk happens inside libc; over a directory of ours it is led through the tree that holds it.
    fn nftw_any(path: *const c_char, function: *mut c_void, depth: c_int, flags: c_int) -> c_int |next| {
        let mut room = Room::new();
        let Some(real_path) = bytes(path).and_then(|path| shadow::directory(sys::AT_FDCWD, path, &mut room)) else {
            return next(path, function, depth, flags);
        };
        VISIT.store(function as usize, core::sync::atomic::Ordering::Relaxed);
        next(real_path.c_str().as_ptr(), visit as *mut c_void, depth, flags)
    }
    nftw, nftw64, __nftw64_time64
}

type Select = Option<unsafe extern "C" fn(*const c_void) -> c_int>;
type Compare = Option<unsafe extern "C" fn(*const *const c_void, *const *const c_void) -> c_int>;

family! {
    fn scandir_any(path: *const c_char, list: *mut *mut *mut c_void, select: Select, compare: Compare) -> c_int |next, mark| {
        let ours = bytes(path).is_some_and(|name| {
            shadow::directory(sys::AT_FDCWD, name, &mut Room::new()).is_some() || merged::of_path(name).is_some()
        });
        if !ours {
            return next(path, list, select, compare);
        }
        scan(path, list, shape(mark), select, compare)
    }
    scandir, scandir64(WIDE)
}

/// scandir over the hooked directory functions.
fn scan(
    path: *const c_char,
    list: *mut *mut *mut c_void,
    shape: Shape,
    select: Select,
    compare: Compare,
) -> c_int {
    unsafe extern "C" {
        fn opendir(path: *const c_char) -> *mut DIR;
        fn closedir(directory: *mut DIR) -> c_int;
    }
    // SAFETY: the guest's own path; these are the hooks, which see that the directory is ours.
    let directory = unsafe { opendir(path) };
    if directory.is_null() {
        return -1;
    }
    let mut entries = merged::List::new();
    let mut result = Ok(());
    while result.is_ok() {
        let entry = next_entry(directory, shape);
        if entry.is_null() {
            break;
        }
        // SAFETY: the guest's own filter, given an entry of the shape it expects.
        if select.is_none_or(|select| unsafe { select(entry) } != 0) {
            result = entries.push(entry, shape);
        }
    }
    // SAFETY: opened above.
    unsafe { closedir(directory) };
    if let Err(errno) = result {
        return settle(Err(errno), -1);
    }
    // SAFETY: the place the guest gave for the list, and its own comparison.
    unsafe { entries.finish(list, compare) }
}
