//! What this crate asks of the system, as a trait: the guest library answers by raw system calls, the host tool by
//! libc, the tests by something that fails when told to.
//!
//! Must not know: flags and numbers of a particular architecture, except errno values, which are the same wherever
//! Linux programs of this project run.

use core::ffi::CStr;
use core::sync::atomic::AtomicU32;

/// A descriptor; negative means none.
pub type Fd = i32;

/// The errno values this crate tells apart.
pub mod errno {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const EINTR: i32 = 4;
    pub const EIO: i32 = 5;
    pub const EAGAIN: i32 = 11;
    pub const ENOMEM: i32 = 12;
    pub const EACCES: i32 = 13;
    pub const EEXIST: i32 = 17;
    pub const ENOTDIR: i32 = 20;
    pub const EISDIR: i32 = 21;
    pub const ENOSPC: i32 = 28;
    pub const EROFS: i32 = 30;
    pub const ENAMETOOLONG: i32 = 36;
    pub const ENOLCK: i32 = 37;
    pub const EDQUOT: i32 = 122;

    /// Whether the errno says that this place may be read but not written.
    pub fn is_write_refusal(errno: i32) -> bool {
        matches!(errno, EPERM | EACCES | EROFS)
    }
}

/// How a file is opened. Every descriptor is close-on-exec.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    ReadOnly,
    ReadWrite,
    /// Read and write; EEXIST when the name is taken. Mode 0666 before the umask.
    CreateNew,
    /// Read and write; made when missing.
    OpenOrCreate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    Regular,
    Directory,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileStatus {
    pub kind: FileKind,
    /// Names that the file has; none: it was deleted or replaced while somebody has it open.
    pub links: u32,
    pub size: u64,
    /// Bytes that have their place on the disk: fewer than the size where the file has holes.
    pub stored: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
    pub dev: u64,
    pub ino: u64,
}

/// `touch` is a FUTEX_WAKE_OP that ORs 0 (FUTEX_OP_OR << 28) to a word: the only atomic store whose fault is an errno.
pub mod futex {
    pub const WAIT: u32 = 0;
    pub const WAKE: u32 = 1;
    pub const WAKE_OP: u32 = 5;
    /// With FUTEX_PRIVATE_FLAG.
    pub const WAIT_PRIVATE: u32 = 128;
    pub const OR_ZERO: u32 = 2 << 28;
}

/// Errors are positive errno values. Offsets are 64 bits everywhere. EINTR is retried by the implementation.
pub trait Os {
    fn open(&self, path: &CStr, mode: OpenMode) -> Result<Fd, i32>;
    fn close(&self, fd: Fd);
    /// Moves a descriptor that will be kept to a number where guests do not stumble over it.
    fn make_private(&self, fd: Fd) -> Fd {
        fd
    }
    /// Bytes read; 0 at the end of the file.
    fn pread(&self, fd: Fd, to: &mut [u8], offset: u64) -> Result<usize, i32>;
    /// Bytes written, possibly fewer than given.
    fn pwrite(&self, fd: Fd, from: &[u8], offset: u64) -> Result<usize, i32>;
    fn fstat(&self, fd: Fd) -> Result<FileStatus, i32>;
    fn stat(&self, path: &CStr) -> Result<FileStatus, i32>;
    fn ftruncate(&self, fd: Fd, size: u64) -> Result<(), i32>;
    fn rename(&self, from: &CStr, to: &CStr) -> Result<(), i32>;
    fn unlink(&self, path: &CStr) -> Result<(), i32>;
    /// Mode 0777 before the umask.
    fn mkdir(&self, path: &CStr) -> Result<(), i32>;
    /// Whether this process may write to the file or directory.
    fn can_write(&self, path: &CStr) -> bool;
    /// Bytes that this process may still store on the file system of `fd`.
    fn free_bytes(&self, fd: Fd) -> Result<u64, i32>;

    /// A record lock for writing on one byte (F_SETLK, or F_SETLKW when `wait`). EAGAIN or EACCES: somebody has it.
    fn lock_byte(&self, fd: Fd, offset: u64, wait: bool) -> Result<(), i32>;
    fn unlock_byte(&self, fd: Fd, offset: u64) -> Result<(), i32>;
    /// Whether another process holds a lock on the byte (F_GETLK).
    fn byte_is_locked(&self, fd: Fd, offset: u64) -> Result<bool, i32>;
    /// Whoever holds that lock goes on, should it be stopped (SIGCONT).
    fn resume_holder(&self, fd: Fd, offset: u64);
    /// Sleeps while `word` is `expected`, at most `timeout_ms`; shared between processes. May return early.
    fn futex_wait(&self, word: &AtomicU32, expected: u32, timeout_ms: u32);
    fn futex_wake(&self, word: &AtomicU32, count: u32);
    /// Gives the page of a mapped file its place on the disk, as a store to it would; what it holds stays. An error where
    /// the store would be a SIGBUS.
    fn touch(&self, word: &AtomicU32) -> Result<(), i32>;
    fn sleep_ms(&self, milliseconds: u32);

    fn getpid(&self) -> u32;
    /// One line for the person who runs the program, without a newline at its end.
    fn report(&self, line: &str);
}

/// Reads until `to` is full; EIO when the file ends before.
pub fn pread_exact(os: &impl Os, fd: Fd, to: &mut [u8], offset: u64) -> Result<(), i32> {
    let mut done = 0;
    while let Some(rest) = to.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match os.pread(fd, rest, offset + done as u64)? {
            0 => return Err(errno::EIO),
            count => done += count,
        }
    }
    Ok(())
}

pub fn pwrite_all(os: &impl Os, fd: Fd, from: &[u8], offset: u64) -> Result<(), i32> {
    let mut done = 0;
    while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
        match os.pwrite(fd, rest, offset + done as u64)? {
            0 => return Err(errno::EIO),
            count => done += count,
        }
    }
    Ok(())
}

/// Words for an errno a person may meet here.
pub fn errno_text(errno: i32) -> &'static str {
    match errno {
        errno::EPERM => "operation not permitted",
        errno::ENOENT => "no such file or directory",
        errno::EIO => "input/output error",
        errno::ENOMEM => "out of memory",
        errno::EACCES => "permission denied",
        errno::EEXIST => "file exists",
        errno::ENOTDIR => "a part of the path is not a directory",
        errno::EISDIR => "it is a directory",
        errno::ENOSPC => "no space left on the device",
        errno::EROFS => "the file system is read-only",
        errno::ENAMETOOLONG => "the name is too long",
        errno::ENOLCK => "the file system has no record locks",
        errno::EDQUOT => "the disk quota is used up",
        _ => "the system refused",
    }
}
