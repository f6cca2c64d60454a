//! A system without a disk: one file, `captured.txt`. All else is missing.

use core::ffi::CStr;
use core::sync::atomic::AtomicU32;

use image::os::{Fd, FileKind, FileStatus, OpenMode, Os, errno};

pub struct MemoryOs<'a> {
    pub captured: &'a [u8],
}

const CAPTURED: Fd = 7;

impl MemoryOs<'_> {
    fn status(&self) -> FileStatus {
        FileStatus {
            kind: FileKind::Regular,
            links: 1,
            size: self.captured.len() as u64,
            stored: self.captured.len() as u64,
            mtime_ns: 0,
            ctime_ns: 0,
            dev: 1,
            ino: 1,
        }
    }
}

fn is_captured(path: &CStr) -> bool {
    path.to_bytes().ends_with(b"/captured.txt")
}

impl Os for MemoryOs<'_> {
    fn open(&self, path: &CStr, mode: OpenMode) -> Result<Fd, i32> {
        match mode {
            OpenMode::ReadOnly if is_captured(path) => Ok(CAPTURED),
            OpenMode::ReadOnly => Err(errno::ENOENT),
            _ => Err(errno::EROFS),
        }
    }

    fn close(&self, fd: Fd) {
        assert_eq!(fd, CAPTURED, "closed what was never opened");
    }

    fn pread(&self, _fd: Fd, to: &mut [u8], offset: u64) -> Result<usize, i32> {
        let rest = self.captured.get(offset as usize..).unwrap_or(&[]);
        let count = to.len().min(rest.len());
        to[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn pwrite(&self, _fd: Fd, _from: &[u8], _offset: u64) -> Result<usize, i32> {
        panic!("a reader of configurations wrote")
    }

    fn fstat(&self, _fd: Fd) -> Result<FileStatus, i32> {
        Ok(self.status())
    }

    fn stat(&self, path: &CStr) -> Result<FileStatus, i32> {
        if is_captured(path) {
            Ok(self.status())
        } else {
            Err(errno::ENOENT)
        }
    }

    fn ftruncate(&self, _fd: Fd, _size: u64) -> Result<(), i32> {
        Err(errno::EROFS)
    }

    fn rename(&self, _from: &CStr, _to: &CStr) -> Result<(), i32> {
        Err(errno::EROFS)
    }

    fn unlink(&self, _path: &CStr) -> Result<(), i32> {
        Err(errno::EROFS)
    }

    fn mkdir(&self, _path: &CStr) -> Result<(), i32> {
        Err(errno::EROFS)
    }

    fn can_write(&self, _path: &CStr) -> bool {
        false
    }

    fn free_bytes(&self, _fd: Fd) -> Result<u64, i32> {
        Ok(0)
    }

    fn lock_byte(&self, _fd: Fd, _offset: u64, _wait: bool) -> Result<(), i32> {
        Ok(())
    }

    fn unlock_byte(&self, _fd: Fd, _offset: u64) -> Result<(), i32> {
        Ok(())
    }

    fn byte_is_locked(&self, _fd: Fd, _offset: u64) -> Result<bool, i32> {
        Ok(false)
    }

    fn resume_holder(&self, _fd: Fd, _offset: u64) {}

    fn futex_wait(&self, _word: &AtomicU32, _expected: u32, _timeout_ms: u32) {}

    fn futex_wake(&self, _word: &AtomicU32, _count: u32) {}

    fn touch(&self, _word: &AtomicU32) -> Result<(), i32> {
        Ok(())
    }

    fn sleep_ms(&self, _milliseconds: u32) {}

    fn getpid(&self) -> u32 {
        1
    }

    fn report(&self, line: &str) {
        assert!(!line.contains('\n'), "a report of two lines: {line:?}");
    }
}
