//! What kind of program a file is, by its first bytes. Sources: `binfmt_elf.c` and `binfmt_script.c` by what they accept.
//!
//! Must not know: where the file was found.

use crate::sys;
use core::ffi::CStr;
use image::os::Os;
use mtd_abi::errno::Errno;
use mtd_abi::layout::Field;

/// `BINPRM_BUF_SIZE`: what the kernel looks at.
const HEADER_SIZE: usize = 256;

#[derive(Clone, Copy)]
pub enum Kind {
    /// For this processor. A static one names no loader, so nothing can be loaded into it.
    Arm { is_static: bool },
    /// An ELF file for another one: the host's own, as a rule.
    Foreign,
    /// Lines for an interpreter, with at most one argument.
    Script,
    /// Anything else: ENOEXEC, upon which execvp and shells try /bin/sh.
    Unknown,
}

pub struct Program {
    pub kind: Kind,
    header: [u8; HEADER_SIZE],
    length: usize,
}

impl Program {
    pub const fn new() -> Program {
        Program {
            kind: Kind::Unknown,
            header: [0; HEADER_SIZE],
            length: 0,
        }
    }

    /// The checks of execve before it looks into the file, then the look.
    pub fn examine(&mut self, host: &CStr) -> Result<(), Errno> {
        let status = sys::stat64(host, true).map_err(Errno)?;
        let executable = sys::access(host, libc::X_OK).is_ok();
        if sys::stat_mode(&status) & libc::S_IFMT != libc::S_IFREG || !executable {
            return Err(Errno::EACCES);
        }
        let fd =
            sys::openat(sys::AT_FDCWD, host, libc::O_RDONLY | libc::O_CLOEXEC, 0).map_err(Errno)?;
        let length = sys::Kernel.pread(fd, &mut self.header, 0);
        sys::close(fd);
        self.length = length.map_err(Errno)?;
        self.kind = self.classify();
        Ok(())
    }

    fn header(&self) -> &[u8] {
        self.header.get(..self.length).unwrap_or(&[])
    }

    #[inline(never)]
    fn classify(&self) -> Kind {
        const EM_ARM: u8 = 40;
        const CLASS_32_LITTLE: &[u8] = &[1, 1];
        let header = self.header();
        if header.starts_with(b"\x7fELF") {
            let arm = header.get(4..6) == Some(CLASS_32_LITTLE)
                && header.get(18..20) == Some(&[EM_ARM, 0]);
            return if arm {
                Kind::Arm {
                    is_static: !names_loader(header),
                }
            } else {
                Kind::Foreign
            };
        }
        if self.interpreter().0.is_empty() {
            Kind::Unknown
        } else {
            Kind::Script
        }
    }

    /// Name and argument of a script's interpreter; empty where there is none.
    pub fn interpreter(&self) -> (&[u8], &[u8]) {
        let line = self.header().strip_prefix(b"#!").unwrap_or(&[]);
        let end = line
            .iter()
            .position(|&byte| matches!(byte, b'\n' | 0))
            .unwrap_or(line.len());
        let line = trim(line.get(..end).unwrap_or(&[]));
        let split = line.iter().position(is_blank).unwrap_or(line.len());
        let (name, rest) = line.split_at_checked(split).unwrap_or((line, &[]));
        (name, trim(rest))
    }
}

/// Whether PT_INTERP is among the program headers, as far as the header shows them; linkers put it in front.
fn names_loader(header: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    const ENTRY_SIZE: usize = 32;
    let word = |at: usize| header.get(at..at + 4).map(|bytes| u32::get(bytes, 0));
    let start = word(28).unwrap_or(0) as usize;
    let count = header
        .get(44..46)
        .map_or(0, |bytes| u16::get(bytes, 0))
        .into();
    // What lies beyond the header is unknown, and then nothing is claimed.
    (0..count).any(|index: usize| {
        word(start.saturating_add(index * ENTRY_SIZE)).is_none_or(|kind| kind == PT_INTERP)
    })
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trim(text: &[u8]) -> &[u8] {
    let start = text
        .iter()
        .position(|byte| !is_blank(byte))
        .unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| !is_blank(byte))
        .map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or(&[])
}
