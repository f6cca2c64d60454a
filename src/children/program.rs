//! What kind of program a file is, by its first bytes. Sources: `binfmt_elf.c` and `binfmt_script.c` by what they accept.
//!
//! Must not know: where the file was found.

use crate::paths::PathBuffer;
use crate::sys;
use core::ffi::CStr;
use image::os::Os;
use mtd_abi::errno::Errno;

/// `BINPRM_BUF_SIZE`: what the kernel looks at.
const HEADER_SIZE: usize = 256;

pub enum Program {
    /// For this processor.
    Arm,
    /// An ELF file for another one: the host's own, as a rule.
    Foreign,
    /// Lines for an interpreter, with at most one argument.
    Script { interpreter: PathBuffer, argument: Option<PathBuffer> },
    /// Anything else: ENOEXEC, upon which execvp and shells try /bin/sh.
    Unknown,
}

/// The checks of execve before it looks into the file, then the look.
pub fn examine(host: &CStr) -> Result<Program, Errno> {
    let status = sys::stat64(host, true).map_err(Errno)?;
    let executable = sys::checked(sys::call!(libc::SYS_faccessat, sys::AT_FDCWD, host.as_ptr(), libc::X_OK)).is_ok();
    if sys::stat_mode(&status) & libc::S_IFMT != libc::S_IFREG || !executable {
        return Err(Errno::EACCES);
    }
    let mut header = [0; HEADER_SIZE];
    let fd = sys::openat(sys::AT_FDCWD, host, libc::O_RDONLY | libc::O_CLOEXEC, 0).map_err(Errno)?;
    let length = sys::Kernel.pread(fd, &mut header, 0);
    sys::close(fd);
    classify(header.get(..length.map_err(Errno)?).unwrap_or(&[]))
}

fn classify(header: &[u8]) -> Result<Program, Errno> {
    const EM_ARM: u8 = 40;
    const CLASS_32_LITTLE: &[u8] = &[1, 1];
    if header.starts_with(b"\x7fELF") {
        let arm = header.get(4..6) == Some(CLASS_32_LITTLE) && header.get(18..20) == Some(&[EM_ARM, 0]);
        return Ok(if arm { Program::Arm } else { Program::Foreign });
    }
    match header.strip_prefix(b"#!") {
        Some(line) => script(line),
        None => Ok(Program::Unknown),
    }
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or(&[])
}

fn script(line: &[u8]) -> Result<Program, Errno> {
    let end = line.iter().position(|&byte| matches!(byte, b'\n' | 0)).unwrap_or(line.len());
    let line = trim(line.get(..end).unwrap_or(&[]));
    let split = line.iter().position(is_blank).unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(split).unwrap_or((line, &[]));
    if name.is_empty() {
        return Ok(Program::Unknown);
    }
    let rest = trim(rest);
    let text = |bytes: &[u8]| PathBuffer::of(&[bytes]).ok_or(Errno::ENAMETOOLONG);
    let argument = if rest.is_empty() { None } else { Some(text(rest)?) };
    Ok(Program::Script { interpreter: text(name)?, argument })
}
