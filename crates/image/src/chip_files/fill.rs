//! Making files: under a temporary name, filled, then renamed; on any failure nothing is left.

use crate::board::FACTORY_DIGITS;
use crate::mapping::buffer;
use crate::os::{Fd, OpenMode, Os, errno, pwrite_all};
use crate::problem::Problem;
use crate::text::PathText;

/// The system keeps a file in pieces as large as it was written in. With these, transfers of an eraseblock are fastest; with much
/// larger ones, those of a page become slow.
const CHUNK_BYTES: u64 = 1 << 17;
const TEMPORARY_SUFFIX: &str = ".new";

fn temporary(target: &PathText) -> PathText {
    target.with_suffix(TEMPORARY_SUFFIX)
}

/// A file that does not have its final name yet; dropped before `finish`, it is gone.
pub struct NewFile<'a, O: Os> {
    os: &'a O,
    target: &'a PathText,
    fd: Fd,
    is_finished: bool,
}

impl<'a, O: Os> NewFile<'a, O> {
    /// The caller is alone (`MakeLock`), so a temporary file found here belongs to a process that died.
    pub fn create(os: &'a O, target: &'a PathText) -> Result<Self, Problem> {
        let temporary = temporary(target);
        let open = || os.open(temporary.as_cstr(), OpenMode::CreateNew);
        let result = match open() {
            Err(errno::EEXIST) => os.unlink(temporary.as_cstr()).and_then(|()| open()),
            result => result,
        };
        let fd = result
            .map_err(|errno| Problem::of_errno(target, "make this file", errno, remedy(errno)))?;
        Ok(NewFile {
            os,
            target,
            fd,
            is_finished: false,
        })
    }

    pub fn fd(&self) -> Fd {
        self.fd
    }

    /// Real bytes, not a hole: what is mapped later must not run out of space, and an erased chip is 0xFF.
    pub fn fill(&self, size: u64, value: u8) -> Result<(), Problem> {
        let failed = |errno| Problem::of_errno(self.target, "fill this file", errno, remedy(errno));
        let mut chunk =
            buffer(size.min(CHUNK_BYTES) as usize).ok_or_else(|| failed(errno::ENOMEM))?;
        chunk.fill(value);
        let mut offset = 0;
        while offset < size {
            let length = (size - offset).min(CHUNK_BYTES) as usize;
            let bytes = chunk.get(..length).unwrap_or(&[]);
            pwrite_all(self.os, self.fd, bytes, offset).map_err(failed)?;
            offset += length as u64;
        }
        Ok(())
    }

    /// A few bytes at `offset`.
    pub fn write_bytes(&self, bytes: impl Iterator<Item = u8>, offset: u64) -> Result<(), Problem> {
        let mut chunk = [0; FACTORY_DIGITS / 2];
        let mut length = 0;
        for (place, byte) in chunk.iter_mut().zip(bytes) {
            *place = byte;
            length += 1;
        }
        pwrite_all(self.os, self.fd, chunk.get(..length).unwrap_or(&[]), offset)
            .map_err(|errno| Problem::of_errno(self.target, "fill this file", errno, remedy(errno)))
    }

    /// Gives the file its name. The descriptor stays open and is the caller's.
    pub fn finish(mut self) -> Result<Fd, Problem> {
        self.os
            .rename(temporary(self.target).as_cstr(), self.target.as_cstr())
            .map_err(|errno| {
                Problem::of_errno(self.target, "give this file its name", errno, remedy(errno))
            })?;
        self.is_finished = true;
        Ok(self.fd)
    }
}

impl<O: Os> Drop for NewFile<'_, O> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.os.close(self.fd);
            // Nothing more can be done when even this fails; the next maker removes it.
            let _ = self.os.unlink(temporary(self.target).as_cstr());
        }
    }
}

/// Refuses before anything is written when the space cannot suffice.
pub fn check_space(os: &impl Os, fd: Fd, target: &PathText, needed: u64) -> Result<(), Problem> {
    match os.free_bytes(fd) {
        Ok(free) if free < needed => Err(Problem::new(
            target,
            0,
            format_args!(
                "No space: the chip's files need {needed} bytes and the file system has {free} left; \
                 free some space, or give a smaller 'size'"
            ),
        )),
        _ => Ok(()),
    }
}

fn remedy(errno: i32) -> &'static str {
    match errno {
        errno::ENOSPC | errno::EDQUOT => "free some space; nothing was left behind",
        errno::ENOENT | errno::ENOTDIR => "make the directory, or correct the path",
        _ if errno::is_write_refusal(errno) => {
            "make the directory writable, or copy the board to a place that is"
        }
        _ => "",
    }
}
