//! `Os` over libc, for programs that run on the host itself: the host tool and the tests.
//!
//! Must not know: boards, chips. Never part of the guest library.

// The widths of libc's types differ between hosts.
#![allow(clippy::unnecessary_cast)]

use core::ffi::CStr;
use core::sync::atomic::AtomicU32;

use crate::os::{Fd, FileKind, FileStatus, OpenMode, Os, futex};

/// The real name of a directory, and the name that people know.
static SHOWN_AS: std::sync::Mutex<Option<(String, String)>> = std::sync::Mutex::new(None);

/// Reports name the place where a directory will be, not where it is made.
pub fn show_as(real: &std::path::Path, shown: &std::path::Path) {
    if let Ok(mut names) = SHOWN_AS.lock() {
        *names = Some((real.display().to_string(), shown.display().to_string()));
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct HostOs;

fn last_errno() -> i32 {
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(crate::os::errno::EIO)
}

fn checked(result: i64) -> Result<i64, i32> {
    if result < 0 {
        Err(last_errno())
    } else {
        Ok(result)
    }
}

fn retried(mut call: impl FnMut() -> i64) -> Result<i64, i32> {
    loop {
        match checked(call()) {
            Err(libc::EINTR) => {}
            result => return result,
        }
    }
}

fn status_of(stat: &libc::stat) -> FileStatus {
    let nanoseconds =
        |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG => FileKind::Regular,
        libc::S_IFDIR => FileKind::Directory,
        _ => FileKind::Other,
    };
    FileStatus {
        kind,
        links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        size: stat.st_size as u64,
        stored: stat.st_blocks as u64 * 512,
        mtime_ns: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        ctime_ns: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        dev: stat.st_dev as u64,
        ino: stat.st_ino as u64,
    }
}

/// `fcntl.h`; the libc crate has it for some systems only.
const F_SETSIG: i32 = 10;

/// Whether somebody else may have a file open: a lease for writing is granted when nobody has.
pub fn is_open_elsewhere(path: &CStr) -> bool {
    let fd = match HostOs.open(path, OpenMode::ReadWrite) {
        Ok(fd) => fd,
        Err(errno) => return errno != libc::ENOENT,
    };
    // SAFETY: no pointer is given. The lease goes with the descriptor; who opens the file just now has its holder told by a
    // signal, which shall not be SIGIO.
    let answer = checked(i64::from(unsafe {
        libc::fcntl(fd, F_SETSIG, libc::SIGURG);
        libc::fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK)
    }));
    HostOs.close(fd);
    answer.is_err()
}

fn record_lock(fd: Fd, command: i32, kind: i32, offset: u64) -> Result<libc::flock, i32> {
    // SAFETY: flock is plain data for which zero bytes are valid.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = offset as libc::off_t;
    lock.l_len = 1;
    // SAFETY: `lock` outlives the call.
    retried(|| i64::from(unsafe { libc::fcntl(fd, command, &mut lock) }))?;
    Ok(lock)
}

impl Os for HostOs {
    fn open(&self, path: &CStr, mode: OpenMode) -> Result<Fd, i32> {
        let flags = match mode {
            OpenMode::ReadOnly => libc::O_RDONLY,
            OpenMode::ReadWrite => libc::O_RDWR,
            OpenMode::CreateNew => libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
            OpenMode::OpenOrCreate => libc::O_RDWR | libc::O_CREAT,
        };
        // A pipe in the place of a file is not waited for.
        let flags = flags | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
        // SAFETY: `path` ends with a zero byte.
        retried(|| i64::from(unsafe { libc::open(path.as_ptr(), flags, 0o666) })).map(|fd| fd as Fd)
    }

    fn close(&self, fd: Fd) {
        // SAFETY: the caller owns the descriptor.
        unsafe { libc::close(fd) };
    }

    fn pread(&self, fd: Fd, to: &mut [u8], offset: u64) -> Result<usize, i32> {
        // SAFETY: pointer and length are those of a live slice.
        retried(|| unsafe {
            libc::pread(fd, to.as_mut_ptr().cast(), to.len(), offset as libc::off_t)
        } as i64)
        .map(|count| count as usize)
    }

    fn pwrite(&self, fd: Fd, from: &[u8], offset: u64) -> Result<usize, i32> {
        // SAFETY: pointer and length are those of a live slice.
        retried(|| unsafe {
            libc::pwrite(fd, from.as_ptr().cast(), from.len(), offset as libc::off_t)
        } as i64)
        .map(|count| count as usize)
    }

    fn fstat(&self, fd: Fd) -> Result<FileStatus, i32> {
        // SAFETY: stat is plain data for which zero bytes are valid.
        let mut stat: libc::stat = unsafe { core::mem::zeroed() };
        // SAFETY: `stat` outlives the call.
        checked(i64::from(unsafe { libc::fstat(fd, &mut stat) })).map(|_| status_of(&stat))
    }

    fn stat(&self, path: &CStr) -> Result<FileStatus, i32> {
        // SAFETY: stat is plain data for which zero bytes are valid.
        let mut stat: libc::stat = unsafe { core::mem::zeroed() };
        // SAFETY: `path` ends with a zero byte, `stat` outlives the call.
        checked(i64::from(unsafe { libc::stat(path.as_ptr(), &mut stat) }))
            .map(|_| status_of(&stat))
    }

    fn ftruncate(&self, fd: Fd, size: u64) -> Result<(), i32> {
        // SAFETY: no memory is passed.
        retried(|| i64::from(unsafe { libc::ftruncate(fd, size as libc::off_t) })).map(|_| ())
    }

    fn rename(&self, from: &CStr, to: &CStr) -> Result<(), i32> {
        // SAFETY: both paths end with a zero byte.
        checked(i64::from(unsafe {
            libc::rename(from.as_ptr(), to.as_ptr())
        }))
        .map(|_| ())
    }

    fn unlink(&self, path: &CStr) -> Result<(), i32> {
        // SAFETY: `path` ends with a zero byte.
        checked(i64::from(unsafe { libc::unlink(path.as_ptr()) })).map(|_| ())
    }

    fn mkdir(&self, path: &CStr) -> Result<(), i32> {
        // SAFETY: `path` ends with a zero byte.
        checked(i64::from(unsafe { libc::mkdir(path.as_ptr(), 0o777) })).map(|_| ())
    }

    fn can_write(&self, path: &CStr) -> bool {
        // SAFETY: `path` ends with a zero byte.
        unsafe { libc::access(path.as_ptr(), libc::W_OK) == 0 }
    }

    fn free_bytes(&self, fd: Fd) -> Result<u64, i32> {
        // SAFETY: statvfs is plain data for which zero bytes are valid.
        let mut status: libc::statvfs = unsafe { core::mem::zeroed() };
        // SAFETY: `status` outlives the call.
        checked(i64::from(unsafe { libc::fstatvfs(fd, &mut status) }))?;
        Ok((status.f_bavail as u64).saturating_mul(status.f_frsize as u64))
    }

    fn lock_byte(&self, fd: Fd, offset: u64, wait: bool) -> Result<(), i32> {
        let command = if wait { libc::F_SETLKW } else { libc::F_SETLK };
        record_lock(fd, command, libc::F_WRLCK, offset).map(|_| ())
    }

    fn unlock_byte(&self, fd: Fd, offset: u64) -> Result<(), i32> {
        record_lock(fd, libc::F_SETLK, libc::F_UNLCK, offset).map(|_| ())
    }

    fn byte_is_locked(&self, fd: Fd, offset: u64) -> Result<bool, i32> {
        let lock = record_lock(fd, libc::F_GETLK, libc::F_WRLCK, offset)?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    fn resume_holder(&self, fd: Fd, offset: u64) {
        // No number: nobody, or the holder is of another namespace.
        if let Ok(lock) = record_lock(fd, libc::F_GETLK, libc::F_WRLCK, offset)
            && i32::from(lock.l_type) != libc::F_UNLCK
            && lock.l_pid > 0
        {
            // SAFETY: takes no pointer.
            unsafe { libc::kill(lock.l_pid, libc::SIGCONT) };
        }
    }

    fn futex_wait(&self, word: &AtomicU32, expected: u32, timeout_ms: u32) {
        let timeout = libc::timespec {
            tv_sec: (timeout_ms / 1000) as libc::time_t,
            tv_nsec: ((timeout_ms % 1000) * 1_000_000) as libc::c_long,
        };
        // SAFETY: the word and the timeout outlive the call; the system only reads them.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAIT,
                expected,
                &raw const timeout,
            )
        };
    }

    fn futex_wake(&self, word: &AtomicU32, count: u32) {
        // SAFETY: the word outlives the call; the system only uses its address.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
    }

    fn touch(&self, word: &AtomicU32) -> Result<(), i32> {
        let (word, none) = (word.as_ptr(), 0usize);
        // SAFETY: the word outlives the call; the system stores what it holds.
        checked(unsafe {
            let (call, action) = (libc::SYS_futex, futex::WAKE_OP);
            libc::syscall(call, word, action, none, none, word, futex::OR_ZERO) as i64
        })
        .map(|_| ())
    }

    fn sleep_ms(&self, milliseconds: u32) {
        std::thread::sleep(core::time::Duration::from_millis(u64::from(milliseconds)));
    }

    fn getpid(&self) -> u32 {
        std::process::id()
    }

    fn report(&self, line: &str) {
        let shown = SHOWN_AS.lock().ok().and_then(|names| names.clone());
        match shown {
            Some((real, shown)) => eprintln!("mtdshim: {}", line.replace(&real, &shown)),
            None => eprintln!("mtdshim: {line}"),
        }
    }
}
