//! Who makes files of a board does it alone: a record lock on `.mtdshim/lock`, which is never removed.
//!
//! It excludes processes, not threads: the caller opens boards and chips from one thread at a time.

use crate::os::{Fd, Os, errno};
use crate::problem::Problem;
use crate::text::PathText;

/// The directory of what the shim itself keeps, below the board's.
pub const PRIVATE_DIRECTORY: &str = ".mtdshim";

pub struct MakeLock<'a, O: Os> {
    os: &'a O,
    fd: Fd,
}

impl<'a, O: Os> MakeLock<'a, O> {
    pub fn take(os: &'a O, board_directory: &PathText) -> Result<Self, Problem> {
        let directory = PathText::join(board_directory, PRIVATE_DIRECTORY);
        match os.mkdir(directory.as_cstr()) {
            Ok(()) | Err(errno::EEXIST) => {}
            Err(errno) => {
                return Err(Problem::of_errno(
                    &directory,
                    "make this directory",
                    errno,
                    MAKE_WRITABLE,
                ));
            }
        }
        let path = PathText::join(&directory, "lock");
        let fd = os
            .open(path.as_cstr(), crate::os::OpenMode::OpenOrCreate)
            .map_err(|errno| {
                Problem::of_errno(&path, "open the lock file", errno, MAKE_WRITABLE)
            })?;
        let lock = MakeLock { os, fd };
        // Who has it and is stopped goes on.
        os.resume_holder(fd, 0);
        os.lock_byte(fd, 0, true).map_err(|errno| {
            Problem::of_errno(
                &path,
                "lock this file",
                errno,
                "use a file system with record locks",
            )
        })?;
        Ok(lock)
    }
}

const MAKE_WRITABLE: &str = "make the board's directory writable, or copy it to a place that is";

impl<O: Os> Drop for MakeLock<'_, O> {
    fn drop(&mut self) {
        self.os.close(self.fd);
    }
}
