//! `syscall()`: programs that avoid libc's wrappers get the same answers for the same calls.

use crate::calls::{self, Direction, settle};
use crate::descriptors::{self, is_private};
use crate::{block_copies, files, libc_kind, sys};
use libc::{c_char, c_long};
use mtd_abi::errno::Errno;

/// Arguments as `syscall` passes them on: six words behind the number.
type Words = [usize; 6];

fn path<'a>(word: usize) -> Option<&'a [u8]> {
    // SAFETY: the guest's own argument to the kernel, a C string where it is one at all.
    unsafe { files::path_bytes(word as *const c_char) }
}

fn answer(result: Result<isize, Errno>) -> Option<c_long> {
    Some(settle(result.map(|value| value as c_long), -1))
}

fn refuse_either(a: usize, b: usize) -> Option<Errno> {
    let refuse = |fd: usize| calls::refuse(fd as i32, Errno::EINVAL, Errno::EINVAL);
    refuse(a).or_else(|| refuse(b))
}

fn vector(number: c_long, direction: Direction, words: &Words) -> Option<c_long> {
    let [fd, segments, count, low, high, flags] = *words;
    let is_plain = matches!(number, libc::SYS_readv | libc::SYS_writev);
    let has_flags = matches!(number, libc::SYS_preadv2 | libc::SYS_pwritev2);
    // The offset is given as two words, low and high, also on 64 bits.
    let at = libc_kind::join(low as i32, high as i32);
    answer(calls::transfer_vector(
        fd as i32,
        direction,
        segments,
        count as i32,
        Some(at).filter(|&at| !is_plain && at != -1),
        if has_flags { flags as i32 } else { 0 },
    )?)
}

/// The emulated answer; None passes the call on.
fn emulate(number: c_long, words: &Words) -> Option<c_long> {
    let [a, b, c, d, e, _] = *words;
    let fd = a as i32;
    // 64-bit arguments lie in an even pair of registers: behind the count comes a gap.
    let offset = libc_kind::join(e as i32, words[5] as i32);
    let wide = |result: Option<Result<i32, Errno>>| {
        result.map(|result| result.map(|value| value as isize))
    };
    let direction = match number {
        libc::SYS_read
        | libc::SYS_pread64
        | libc::SYS_readv
        | libc::SYS_preadv
        | libc::SYS_preadv2 => Direction::Read,
        _ => Direction::Write,
    };
    match number {
        libc::SYS_open => answer(wide(files::open(sys::AT_FDCWD, path(a)?, b as i32))?),
        libc::SYS_openat => answer(wide(files::open(fd, path(b)?, c as i32))?),
        libc::SYS_openat2 => {
            // struct open_how: the flags are the lower half of its first word.
            let mut flags = [0; 4];
            crate::world::copy_in(c, &mut flags).ok()?;
            answer(wide(files::open(fd, path(b)?, i32::from_le_bytes(flags)))?)
        }
        libc::SYS_close if is_private(fd) => answer(Err(Errno::EBADF)),
        libc::SYS_close => {
            crate::world::before_close(fd);
            descriptors::forget(fd);
            None
        }
        libc::SYS_dup2 | libc::SYS_dup3 => {
            super::fd::make_room(b as i32);
            None
        }
        libc::SYS_close_range => {
            let close = &mut |from, to| {
                let done = sys::checked(sys::call!(libc::SYS_close_range, from, to, c));
                settle(done.map(|_| 0).map_err(Errno), -1)
            };
            Some(super::fd::close_range_by(a as u32, b as u32, c as i32, close).into())
        }
        libc::SYS_read | libc::SYS_write => answer(calls::transfer(fd, direction, b, c, None)?),
        libc::SYS_pread64 | libc::SYS_pwrite64 => {
            answer(calls::transfer(fd, direction, b, c, Some(offset))?)
        }
        libc::SYS_readv
        | libc::SYS_writev
        | libc::SYS_preadv
        | libc::SYS_pwritev
        | libc::SYS_preadv2
        | libc::SYS_pwritev2 => vector(number, direction, words),
        libc::SYS_ioctl => answer(wide(calls::ioctl(fd, b as u32, c))?),
        libc::SYS_lseek => {
            answer(calls::seek(fd, i64::from(b as i32), c as i32)?.map(|at| at as isize))
        }
        libc::SYS__llseek => {
            let position = calls::seek(fd, libc_kind::join(c as i32, b as i32), e as i32)?;
            answer(position.and_then(|position| {
                crate::world::copy_out(d, &position.to_le_bytes()).map(|()| 0)
            }))
        }
        libc::SYS_rt_sigaction => {
            crate::signals::block_from_now_on();
            None
        }
        libc::SYS_fork | libc::SYS_vfork | libc::SYS_clone | libc::SYS_clone3 => {
            crate::world::before_fork();
            None
        }
        libc::SYS_sendmsg | libc::SYS_sendmmsg => {
            descriptors::share();
            None
        }
        libc::SYS_fsync | libc::SYS_fdatasync => answer(wide(calls::sync(fd))?),
        libc::SYS_access => answer(wide(files::access(sys::AT_FDCWD, path(a)?, b as i32))?),
        libc::SYS_faccessat => answer(wide(files::access(fd, path(b)?, c as i32))?),
        libc::SYS_ftruncate | libc::SYS_ftruncate64 => {
            answer(Err(calls::refuse(fd, Errno::EINVAL, Errno::EINVAL)?))
        }
        libc::SYS_sendfile | libc::SYS_sendfile64 => {
            let width = if number == libc::SYS_sendfile { 4 } else { 8 };
            answer(block_copies::send(fd, b as i32, c, width, d)?)
        }
        libc::SYS_splice => answer(block_copies::splice(fd, b, c as i32, d, e)?),
        libc::SYS_copy_file_range => answer(Err(refuse_either(a, c)?)),
        libc::SYS_fallocate => answer(Err(calls::refuse(fd, Errno::ENODEV, Errno::EOPNOTSUPP)?)),
        libc::SYS_fstat64 => super::stat::emulate_fstat64(fd, b).map(|result| result as c_long),
        libc::SYS_statx => {
            let result = super::stat::emulate_statx(fd, b as *const c_char, c as i32, d as u32, e)?;
            Some(result as c_long)
        }
        // SAFETY: the guest's own arguments to the kernel.
        number => unsafe {
            match crate::children::syscall_exec(number, words) {
                Some(errno) => answer(Err(errno)),
                None => answer(wide(crate::ways_out::syscall(number, words))?),
            }
        },
    }
}

/// What a call that was passed on means for the table of descriptors.
fn follow(number: c_long, words: &Words, result: c_long) {
    let [a, b, ..] = *words;
    if result < 0 {
        return;
    }
    match number {
        libc::SYS_dup | libc::SYS_dup2 | libc::SYS_dup3 => descriptors::copy(a as i32, result),
        libc::SYS_fcntl | libc::SYS_fcntl64
            if matches!(b as i32, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) =>
        {
            descriptors::copy(a as i32, result);
        }
        libc::SYS_open | libc::SYS_openat | libc::SYS_openat2 => descriptors::forget(result),
        _ => {}
    }
}

hook! {
    fn syscall(
        number: c_long,
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        e: usize,
        f: usize,
    ) -> c_long {
        let words = [a, b, c, d, e, f];
        match emulate(number, &words) {
            Some(result) => result,
            None => {
                let result = real!(syscall(number, a, b, c, d, e, f));
                if result < 0
                    && number == libc::SYS_ioctl
                    && let Some(answer) = crate::answers::unanswered(a as i32, b as u32, c)
                {
                    return settle(answer, -1).into();
                }
                follow(number, &words, result);
                result
            }
        }
    }
}
