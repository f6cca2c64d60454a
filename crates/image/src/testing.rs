//! For tests: a directory that goes away, and a system that fails when told to.
//!
//! Faults: no space after a number of written bytes (ENOSPC), a read-only place (EROFS), a path that may not be opened
//! (EACCES). Reports are collected, opened paths counted.

use core::cell::{Cell, RefCell};
use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, Ordering};
use std::ffi::CString;
use std::path::PathBuf;

use crate::host_os::HostOs;
use crate::os::{Fd, FileStatus, OpenMode, Os, errno};
use crate::text::PathText;

pub struct TestDirectory(pub PathBuf);

impl TestDirectory {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("mtdshim-image-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        TestDirectory(path)
    }

    pub fn with_conf(text: &str) -> Self {
        let directory = Self::new();
        directory.write("mtdshim.conf", text.as_bytes());
        directory
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn c_path(&self) -> CString {
        CString::new(self.0.to_str().unwrap()).unwrap()
    }

    pub fn path_text(&self) -> PathText {
        PathText::of(self.0.to_str().unwrap().as_bytes())
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

type Act = Box<dyn FnOnce()>;

pub struct TestOs {
    host: HostOs,
    pub space_left: Cell<u64>,
    pub free_bytes: Cell<u64>,
    pub is_read_only: Cell<bool>,
    pub forbidden_suffix: Cell<&'static str>,
    pub reports: RefCell<Vec<String>>,
    pub opened: RefCell<Vec<String>>,
    /// Done once, before a name with this ending is looked at: what another process did in between.
    pub before_stat: RefCell<Option<(&'static str, Act)>>,
}

impl TestOs {
    pub fn new() -> Self {
        TestOs {
            host: HostOs,
            space_left: Cell::new(u64::MAX),
            free_bytes: Cell::new(u64::MAX),
            is_read_only: Cell::new(false),
            forbidden_suffix: Cell::new("\0"),
            reports: RefCell::default(),
            opened: RefCell::default(),
            before_stat: RefCell::default(),
        }
    }

    fn check_writable(&self) -> Result<(), i32> {
        if self.is_read_only.get() {
            Err(errno::EROFS)
        } else {
            Ok(())
        }
    }
}

impl Os for TestOs {
    fn open(&self, path: &CStr, mode: OpenMode) -> Result<Fd, i32> {
        let name = path.to_str().unwrap();
        self.opened.borrow_mut().push(name.into());
        if name.ends_with(self.forbidden_suffix.get()) {
            return Err(errno::EACCES);
        }
        if mode != OpenMode::ReadOnly {
            self.check_writable()?;
        }
        self.host.open(path, mode)
    }

    fn close(&self, fd: Fd) {
        self.host.close(fd);
    }

    fn pread(&self, fd: Fd, to: &mut [u8], offset: u64) -> Result<usize, i32> {
        self.host.pread(fd, to, offset)
    }

    fn pwrite(&self, fd: Fd, from: &[u8], offset: u64) -> Result<usize, i32> {
        let length = from.len().min(self.space_left.get() as usize);
        if length == 0 && !from.is_empty() {
            return Err(errno::ENOSPC);
        }
        self.space_left.set(self.space_left.get() - length as u64);
        self.host.pwrite(fd, &from[..length], offset)
    }

    fn fstat(&self, fd: Fd) -> Result<FileStatus, i32> {
        self.host.fstat(fd)
    }

    fn stat(&self, path: &CStr) -> Result<FileStatus, i32> {
        let is_meant = |(ending, _): &mut (&str, _)| path.to_bytes().ends_with(ending.as_bytes());
        let other = self.before_stat.borrow_mut().take_if(is_meant);
        if let Some((_, act)) = other {
            act();
        }
        self.host.stat(path)
    }

    fn ftruncate(&self, fd: Fd, size: u64) -> Result<(), i32> {
        self.host.ftruncate(fd, size)
    }

    fn rename(&self, from: &CStr, to: &CStr) -> Result<(), i32> {
        self.check_writable()?;
        self.host.rename(from, to)
    }

    fn unlink(&self, path: &CStr) -> Result<(), i32> {
        self.check_writable()?;
        self.host.unlink(path)
    }

    fn mkdir(&self, path: &CStr) -> Result<(), i32> {
        self.check_writable()?;
        self.host.mkdir(path)
    }

    fn can_write(&self, path: &CStr) -> bool {
        !self.is_read_only.get() && self.host.can_write(path)
    }

    fn free_bytes(&self, _fd: Fd) -> Result<u64, i32> {
        Ok(self.free_bytes.get())
    }

    fn lock_byte(&self, fd: Fd, offset: u64, wait: bool) -> Result<(), i32> {
        self.host.lock_byte(fd, offset, wait)
    }

    fn unlock_byte(&self, fd: Fd, offset: u64) -> Result<(), i32> {
        self.host.unlock_byte(fd, offset)
    }

    fn byte_is_locked(&self, fd: Fd, offset: u64) -> Result<bool, i32> {
        self.host.byte_is_locked(fd, offset)
    }

    fn resume_holder(&self, fd: Fd, offset: u64) {
        self.host.resume_holder(fd, offset);
    }

    fn futex_wait(&self, word: &AtomicU32, expected: u32, timeout_ms: u32) {
        self.host.futex_wait(word, expected, timeout_ms);
    }

    fn futex_wake(&self, word: &AtomicU32, count: u32) {
        self.host.futex_wake(word, count);
    }

    fn touch(&self, word: &AtomicU32) -> Result<(), i32> {
        self.host.touch(word)
    }

    fn sleep_ms(&self, milliseconds: u32) {
        self.host.sleep_ms(milliseconds);
    }

    fn getpid(&self) -> u32 {
        self.host.getpid()
    }

    fn report(&self, line: &str) {
        self.reports.borrow_mut().push(line.into());
    }
}

/// A generator with a seed, for bytes nobody thought of (xorshift).
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// The text with some bytes changed, cut, doubled or replaced by pieces of it.
    pub fn mutate(&mut self, text: &[u8]) -> Vec<u8> {
        let mut bytes = text.to_vec();
        for _ in 0..1 + self.below(6) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] = self.next() as u8,
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                3 => bytes.insert(at, b"\"[]=#,-'x0\n@()"[self.below(14)]),
                _ => {
                    let start = self.below(text.len());
                    let end = (start + self.below(40)).min(text.len());
                    bytes.splice(at..at, text[start..end].iter().copied());
                }
            }
        }
        bytes
    }
}
