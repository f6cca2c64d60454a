//! Raw system calls of 32-bit ARM EABI: the shim's own I/O never enters a hook.
//!
//! Must not know: flash, boards, hooks. Source: `arch/arm/tools/syscall.tbl`, `syscall(2)`.

use core::arch::asm;
use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, Ordering};
use image::os::{FileKind, FileStatus, OpenMode, Os, futex};

pub const AT_FDCWD: i32 = libc::AT_FDCWD;

/// The number of a call and up to six arguments; the kernel's answer as it is: a negative errno on failure. Registers without an
/// argument hold anything: all that the kernel looks at must be given.
///
/// # Safety
/// The call must be sound for the kernel to perform with these arguments.
#[inline(always)]
pub unsafe fn syscall(words: &[usize]) -> isize {
    let result: usize;
    macro_rules! trap {
        ($number:expr, $first:expr $(, $register:tt $argument:expr)*) => {
            // SAFETY: the EABI convention: number in r7, arguments in r0 to r5, result in r0; nothing else is changed. r7 may be
            // the frame pointer of Thumb code, so it is swapped in around the instruction.
            unsafe {
                asm!(
                    "mov {saved}, r7",
                    "mov r7, {number}",
                    "svc 0",
                    "mov r7, {saved}",
                    number = in(reg) $number,
                    saved = out(reg) _,
                    inlateout("r0") $first => result,
                    $(in($register) $argument,)*
                    options(nostack),
                )
            }
        };
    }
    match *words {
        [number, a] => trap!(number, a),
        [number, a, b] => trap!(number, a, "r1" b),
        [number, a, b, c] => trap!(number, a, "r1" b, "r2" c),
        [number, a, b, c, d] => trap!(number, a, "r1" b, "r2" c, "r3" d),
        [number, a, b, c, d, e] => trap!(number, a, "r1" b, "r2" c, "r3" d, "r4" e),
        [number, a, b, c, d, e, f] => trap!(number, a, "r1" b, "r2" c, "r3" d, "r4" e, "r5" f),
        _ => trap!(words.first().copied().unwrap_or(0), 0usize),
    }
    result as isize
}

macro_rules! call {
    ($number:expr $(, $argument:expr)*) => {
        // SAFETY: every pointer among the arguments comes from a live reference of sufficient size, or is a guest's
        // own address, which the kernel checks.
        unsafe { crate::sys::syscall(&[$number as usize $(, $argument as usize)*]) }
    };
}
pub(crate) use call;

/// The answer of a system call as a result.
pub fn checked(answer: isize) -> Result<usize, i32> {
    if (-4095..0).contains(&answer) {
        Err(-answer as i32)
    } else {
        Ok(answer as usize)
    }
}

fn retry(mut attempt: impl FnMut() -> isize) -> Result<usize, i32> {
    loop {
        match checked(attempt()) {
            Err(libc::EINTR) => {}
            other => return other,
        }
    }
}

pub fn openat(directory: i32, path: &CStr, flags: i32, mode: u32) -> Result<i32, i32> {
    retry(|| {
        call!(
            libc::SYS_openat,
            directory,
            path.as_ptr(),
            flags | libc::O_LARGEFILE,
            mode
        )
    })
    .map(|fd| fd as i32)
}

pub fn close(fd: i32) {
    let _ = call!(libc::SYS_close, fd);
}

pub fn pread(fd: i32, address: usize, length: usize, offset: u64) -> Result<usize, i32> {
    transfer_at(libc::SYS_pread64, fd, address, length, offset)
}

pub fn pwrite(fd: i32, address: usize, length: usize, offset: u64) -> Result<usize, i32> {
    transfer_at(libc::SYS_pwrite64, fd, address, length, offset)
}

/// pread or pwrite, by number. Both take guest addresses: a bad one is EFAULT.
pub fn transfer_at(
    number: libc::c_long,
    fd: i32,
    address: usize,
    length: usize,
    offset: u64,
) -> Result<usize, i32> {
    retry(|| {
        call!(
            number,
            fd,
            address,
            length,
            0,
            offset as u32,
            (offset >> 32) as u32
        )
    })
}

pub fn read(fd: i32, address: usize, length: usize) -> Result<usize, i32> {
    retry(|| call!(libc::SYS_read, fd, address, length))
}

pub fn write(fd: i32, address: usize, length: usize) -> Result<usize, i32> {
    retry(|| call!(libc::SYS_write, fd, address, length))
}

/// `vector`: the address of `count` pairs of address and length.
pub fn pwritev(fd: i32, vector: usize, count: usize, offset: u64) -> Result<usize, i32> {
    let (low, high) = (offset as u32, (offset >> 32) as u32);
    retry(|| call!(libc::SYS_pwritev, fd, vector, count, low, high))
}

pub fn lseek(fd: i32, offset: i64, whence: i32) -> Result<u64, i32> {
    let mut result = 0u64;
    let (high, low) = ((offset >> 32) as u32, offset as u32);
    checked(call!(
        libc::SYS__llseek,
        fd,
        high,
        low,
        &raw mut result,
        whence
    ))?;
    Ok(result)
}

pub fn fcntl(fd: i32, command: i32, argument: usize) -> Result<usize, i32> {
    checked(call!(libc::SYS_fcntl64, fd, command, argument))
}

/// faccessat by an absolute name, with the process's real user.
pub fn access(path: &CStr, mode: i32) -> Result<(), i32> {
    checked(call!(libc::SYS_faccessat, AT_FDCWD, path.as_ptr(), mode)).map(|_| ())
}

pub fn getpid() -> u32 {
    call!(libc::SYS_getpid) as u32
}

pub fn readlink<'a>(path: &CStr, buffer: &'a mut [u8]) -> Result<&'a [u8], i32> {
    let length = checked(call!(
        libc::SYS_readlinkat,
        AT_FDCWD,
        path.as_ptr(),
        buffer.as_mut_ptr(),
        buffer.len()
    ))?;
    Ok(buffer.get(..length).unwrap_or(&[]))
}

pub fn getcwd(buffer: &mut [u8]) -> Result<&[u8], i32> {
    let length = checked(call!(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()))?;
    Ok(buffer.get(..length.saturating_sub(1)).unwrap_or(&[]))
}

/// Calls `body` with every name in a directory but "." and ".."; false if it cannot be read to its end.
#[inline(never)]
pub fn for_each_name(path: &CStr, body: &mut dyn FnMut(&[u8])) -> bool {
    // struct linux_dirent64: inode and offset, then length (16 bits), type, name.
    const LENGTH_AT: usize = 16;
    const NAME_AT: usize = 19;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let Ok(fd) = openat(AT_FDCWD, path, flags, 0) else {
        return false;
    };
    let mut buffer = [0u8; 2048];
    let complete = loop {
        let read = call!(libc::SYS_getdents64, fd, buffer.as_mut_ptr(), buffer.len());
        let mut rest = match checked(read) {
            Ok(0) => break true,
            Ok(length) => buffer.get(..length).unwrap_or(&[]),
            Err(_) => break false,
        };
        while rest.len() > NAME_AT {
            let length: u16 = mtd_abi::layout::Field::get(rest, LENGTH_AT);
            let length = usize::from(length).max(NAME_AT);
            let name = rest.get(NAME_AT..length.min(rest.len())).unwrap_or(&[]);
            let name = name.split(|&byte| byte == 0).next().unwrap_or(&[]);
            if !matches!(name, b"" | b"." | b"..") {
                body(name);
            }
            rest = rest.get(length..).unwrap_or(&[]);
        }
    };
    close(fd);
    complete
}

pub fn memfd(name: &CStr) -> Result<i32, i32> {
    checked(call!(
        libc::SYS_memfd_create,
        name.as_ptr(),
        libc::MFD_CLOEXEC
    ))
    .map(|fd| fd as i32)
}

/// `struct stat64` of ARM EABI, as bytes: fields are read by their offsets.
pub type Stat64 = [u8; 104];

pub fn fstat64(fd: i32) -> Result<Stat64, i32> {
    let mut bytes = [0; 104];
    checked(call!(libc::SYS_fstat64, fd, bytes.as_mut_ptr()))?;
    Ok(bytes)
}

pub fn stat64(path: &CStr, follow: bool) -> Result<Stat64, i32> {
    let mut bytes = [0; 104];
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    checked(call!(
        libc::SYS_fstatat64,
        AT_FDCWD,
        path.as_ptr(),
        bytes.as_mut_ptr(),
        flags
    ))?;
    Ok(bytes)
}

fn word(bytes: &[u8], offset: usize) -> u32 {
    mtd_abi::layout::Field::get(bytes, offset)
}

fn double_word(bytes: &[u8], offset: usize) -> u64 {
    mtd_abi::layout::Field::get(bytes, offset)
}

pub fn stat_mode(bytes: &Stat64) -> u32 {
    word(bytes, 16)
}

pub fn stat_links(bytes: &Stat64) -> u32 {
    word(bytes, 20)
}

pub fn stat_size(bytes: &Stat64) -> u64 {
    double_word(bytes, 48)
}

/// Of a device's number.
pub fn stat_major(bytes: &Stat64) -> u8 {
    mtd_abi::layout::Field::get(bytes, 33)
}

fn file_status(bytes: &Stat64) -> FileStatus {
    let time = |offset: usize| {
        i64::from(word(bytes, offset)) * 1_000_000_000 + i64::from(word(bytes, offset + 4))
    };
    FileStatus {
        kind: match stat_mode(bytes) & libc::S_IFMT {
            libc::S_IFREG => FileKind::Regular,
            libc::S_IFDIR => FileKind::Directory,
            _ => FileKind::Other,
        },
        links: stat_links(bytes),
        size: stat_size(bytes),
        stored: double_word(bytes, 64) * 512,
        mtime_ns: time(80),
        ctime_ns: time(88),
        dev: double_word(bytes, 0),
        ino: double_word(bytes, 96),
    }
}

/// Writes to the standard error of the guest.
pub fn write_stderr(bytes: &[u8]) {
    let _ = call!(libc::SYS_write, 2, bytes.as_ptr(), bytes.len());
}

/// Set of blocked signals, as the kernel knows it.
pub type SignalSet = [u32; 2];

pub fn block_signals() -> SignalSet {
    // All but SIGBUS: a mapped file that is cut must not leave this thread without a way on (see cut_files).
    let all: SignalSet = [!(1 << (libc::SIGBUS - 1)), !0];
    let mut old: SignalSet = [0; 2];
    let _ = call!(
        libc::SYS_rt_sigprocmask,
        libc::SIG_SETMASK,
        all.as_ptr(),
        old.as_mut_ptr(),
        8
    );
    old
}

pub fn restore_signals(old: &SignalSet) {
    let _ = call!(
        libc::SYS_rt_sigprocmask,
        libc::SIG_SETMASK,
        old.as_ptr(),
        0,
        8
    );
}

/// `struct flock64` of ARM EABI.
#[repr(C)]
struct Flock64 {
    kind: i16,
    whence: i16,
    start: i64,
    length: i64,
    pid: i32,
}

fn record_lock(fd: i32, command: i32, kind: i32, offset: u64) -> Result<Flock64, i32> {
    let mut lock = Flock64 {
        kind: kind as i16,
        whence: 0,
        start: offset as i64,
        length: 1,
        pid: 0,
    };
    retry(|| call!(libc::SYS_fcntl64, fd, command, &raw mut lock))?;
    Ok(lock)
}

/// With what `touch` alone needs: the word again, and what is done to it.
fn futex(word: &AtomicU32, action: u32, value: u32, timeout: *const u32) -> isize {
    let word = word.as_ptr();
    let number = libc::SYS_futex;
    call!(number, word, action, value, timeout, word, futex::OR_ZERO)
}

// The 64-bit commands of the 32-bit kernel interface; libc's names depend on the build.
const F_GETLK64: i32 = 12;
const F_SETLK64: i32 = 13;
const F_SETLKW64: i32 = 14;

/// Private descriptors stay above what programs and shells reach by counting up or name, but below 64: a process begins with room for so
/// many, and Linux makes one that has threads, which every emulator has, wait a dozen milliseconds for more.
const PRIVATE_FD_BASE: usize = 53;

/// The system under the guest.
#[derive(Clone, Copy)]
pub struct Kernel;

impl Os for Kernel {
    fn open(&self, path: &CStr, mode: OpenMode) -> Result<i32, i32> {
        let flags = match mode {
            OpenMode::ReadOnly => libc::O_RDONLY,
            OpenMode::ReadWrite => libc::O_RDWR,
            OpenMode::CreateNew => libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
            OpenMode::OpenOrCreate => libc::O_RDWR | libc::O_CREAT,
        };
        openat(AT_FDCWD, path, flags | libc::O_CLOEXEC, 0o666)
    }

    fn close(&self, fd: i32) {
        crate::descriptors::forget_private(fd);
        close(fd);
    }

    fn make_private(&self, fd: i32) -> i32 {
        let moved = match fcntl(fd, libc::F_DUPFD_CLOEXEC, PRIVATE_FD_BASE) {
            Ok(moved) => {
                close(fd);
                moved as i32
            }
            // A low limit of open files: the number it has must do.
            Err(_) => fd,
        };
        crate::descriptors::remember_private(moved);
        moved
    }

    fn pread(&self, fd: i32, to: &mut [u8], offset: u64) -> Result<usize, i32> {
        pread(fd, to.as_mut_ptr() as usize, to.len(), offset)
    }

    fn pwrite(&self, fd: i32, from: &[u8], offset: u64) -> Result<usize, i32> {
        pwrite(fd, from.as_ptr() as usize, from.len(), offset)
    }

    fn fstat(&self, fd: i32) -> Result<FileStatus, i32> {
        fstat64(fd).map(|bytes| file_status(&bytes))
    }

    fn stat(&self, path: &CStr) -> Result<FileStatus, i32> {
        stat64(path, true).map(|bytes| file_status(&bytes))
    }

    fn ftruncate(&self, fd: i32, size: u64) -> Result<(), i32> {
        retry(|| {
            call!(
                libc::SYS_ftruncate64,
                fd,
                0,
                size as u32,
                (size >> 32) as u32
            )
        })
        .map(|_| ())
    }

    fn rename(&self, from: &CStr, to: &CStr) -> Result<(), i32> {
        checked(call!(
            libc::SYS_renameat,
            AT_FDCWD,
            from.as_ptr(),
            AT_FDCWD,
            to.as_ptr()
        ))
        .map(|_| ())
    }

    fn unlink(&self, path: &CStr) -> Result<(), i32> {
        checked(call!(libc::SYS_unlinkat, AT_FDCWD, path.as_ptr(), 0)).map(|_| ())
    }

    fn mkdir(&self, path: &CStr) -> Result<(), i32> {
        checked(call!(libc::SYS_mkdirat, AT_FDCWD, path.as_ptr(), 0o777)).map(|_| ())
    }

    fn can_write(&self, path: &CStr) -> bool {
        access(path, libc::W_OK).is_ok()
    }

    fn free_bytes(&self, fd: i32) -> Result<u64, i32> {
        // struct statfs64: block size at 4, available blocks (u64) at 24; 84 bytes, packed on ARM EABI.
        let mut bytes = [0u8; 88];
        checked(call!(libc::SYS_fstatfs64, fd, 84, bytes.as_mut_ptr()))?;
        Ok(double_word(&bytes, 24).saturating_mul(word(&bytes, 4).into()))
    }

    fn lock_byte(&self, fd: i32, offset: u64, wait: bool) -> Result<(), i32> {
        let command = if wait { F_SETLKW64 } else { F_SETLK64 };
        record_lock(fd, command, libc::F_WRLCK, offset).map(|_| ())
    }

    fn unlock_byte(&self, fd: i32, offset: u64) -> Result<(), i32> {
        record_lock(fd, F_SETLK64, libc::F_UNLCK, offset).map(|_| ())
    }

    fn byte_is_locked(&self, fd: i32, offset: u64) -> Result<bool, i32> {
        let lock = record_lock(fd, F_GETLK64, libc::F_WRLCK, offset)?;
        Ok(i32::from(lock.kind) != libc::F_UNLCK)
    }

    fn resume_holder(&self, fd: i32, offset: u64) {
        // No number: nobody, or the holder is of another namespace.
        if let Ok(lock) = record_lock(fd, F_GETLK64, libc::F_WRLCK, offset)
            && i32::from(lock.kind) != libc::F_UNLCK
            && lock.pid > 0
        {
            let _ = call!(libc::SYS_kill, lock.pid, libc::SIGCONT);
        }
    }

    fn futex_wait(&self, word: &AtomicU32, expected: u32, timeout_ms: u32) {
        let timeout = [timeout_ms / 1000, timeout_ms % 1000 * 1_000_000];
        let _ = futex(word, futex::WAIT, expected, timeout.as_ptr());
    }

    fn futex_wake(&self, word: &AtomicU32, count: u32) {
        let _ = futex(word, futex::WAKE, count, core::ptr::null());
    }

    fn touch(&self, word: &AtomicU32) -> Result<(), i32> {
        checked(futex(word, futex::WAKE_OP, 0, core::ptr::null())).map(|_| ())
    }

    fn sleep_ms(&self, milliseconds: u32) {
        let time = [milliseconds / 1000, milliseconds % 1000 * 1_000_000];
        let _ = call!(libc::SYS_nanosleep, time.as_ptr(), 0);
    }

    fn getpid(&self) -> u32 {
        crate::process_lock::pid()
    }

    fn report(&self, line: &str) {
        report(&[line.as_bytes()]);
    }
}

/// One line to the person, in one write so that lines of several processes do not mix.
pub fn report(parts: &[&[u8]]) {
    const WHO: &[u8; 9] = b"mtdshim: ";
    let mut line = [0u8; 1200];
    let mut length = 0;
    let bytes = parts.iter().flat_map(|part| part.iter());
    for &byte in WHO.iter().chain(bytes).take(line.len() - 1) {
        if let Some(slot) = line.get_mut(length) {
            *slot = byte;
            length += 1;
        }
    }
    if let Some(slot) = line.get_mut(length) {
        *slot = b'\n';
    }
    write_stderr(line.get(..=length).unwrap_or(b"\n"));
}

/// errno of the calling thread, in whatever libc the program has.
pub fn set_errno(errno: i32) {
    unsafe extern "C" {
        safe fn __errno_location() -> *mut i32;
    }
    // SAFETY: every libc returns the address of the calling thread's errno.
    unsafe { *__errno_location() = errno };
}

pub fn errno() -> i32 {
    unsafe extern "C" {
        safe fn __errno_location() -> *mut i32;
    }
    // SAFETY: as above.
    unsafe { *__errno_location() }
}

/// A word that is only ever read and written whole.
pub fn load(word: &AtomicU32) -> u32 {
    word.load(Ordering::Relaxed)
}

const F_OFD_SETLK: i32 = 37;

/// A lock on one byte that belongs to the open file description: it goes when the last copy of `fd` goes.
pub fn lock_description_byte(fd: i32, offset: u64) -> Result<(), i32> {
    record_lock(fd, F_OFD_SETLK, libc::F_WRLCK, offset).map(|_| ())
}

// memmap2 maps and unmaps by these names, and the linker (--wrap) leads it here instead of into the hooks.

core::arch::global_asm!(".hidden __wrap_mmap64", ".hidden __wrap_munmap");

/// # Safety
/// As `mmap(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_mmap64(
    address: *mut libc::c_void,
    length: usize,
    protection: i32,
    flags: i32,
    fd: i32,
    offset: i64,
) -> *mut libc::c_void {
    const PAGE_UNIT_SHIFT: u32 = 12;
    let pages = (offset >> PAGE_UNIT_SHIFT) as u32;
    match checked(call!(
        libc::SYS_mmap2,
        address,
        length,
        protection,
        flags,
        fd,
        pages
    )) {
        Ok(mapped) => mapped as *mut libc::c_void,
        Err(errno) => {
            set_errno(errno);
            libc::MAP_FAILED
        }
    }
}

/// # Safety
/// As `munmap(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_munmap(address: *mut libc::c_void, length: usize) -> i32 {
    match checked(call!(libc::SYS_munmap, address, length)) {
        Ok(_) => 0,
        Err(errno) => {
            set_errno(errno);
            -1
        }
    }
}
