//! Where a program that the guest names really lies: names are looked up in the guest's root first and outside it
//! then, link by link, so that an absolute link inside a root stays inside.
//!
//! The emulator does the same for whole names when a guest opens a file, but not for execve, and it lets the host
//! resolve links. Must not know: what is in a program.

use crate::paths::{self, PATH_MAX, PathBuffer};
use crate::sys;
use mtd_abi::errno::Errno;

const LINKS_MAX: usize = 40;

/// The directory that stands in for `/`: what the emulator was given with -L.
pub struct Root(PathBuffer);

impl Root {
    pub const fn none() -> Root {
        Root(PathBuffer::new())
    }

    /// Asked of the emulator itself: `/` is the name it maps most plainly. Empty where nothing is mapped.
    pub fn current() -> Root {
        let nothing = Root::none();
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let Ok(fd) = sys::openat(sys::AT_FDCWD, c"/", flags, 0) else {
            return nothing;
        };
        let mut buffer = [0; PATH_MAX];
        let found = paths::descriptor_path(fd, &mut buffer).filter(|path| *path != b"/");
        let root = found
            .and_then(|path| PathBuffer::of(&[path]))
            .map_or(nothing, Root);
        sys::close(fd);
        root
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    pub fn is_given(&self) -> bool {
        !self.bytes().is_empty()
    }
}

/// A file, and whether it belongs to the guest's root. Without a root the host's files are the root.
pub struct Found {
    /// The name on the host.
    pub host: PathBuffer,
    pub inside: bool,
}

/// One step of the walk: a name in the guest's view, and where it was found.
struct Walk<'a> {
    root: &'a Root,
    /// Clean name in the guest's view; empty for the root directory.
    current: PathBuffer,
    /// Components still to walk.
    pending: PathBuffer,
    links: usize,
}

/// Follows every link of `path`. The last component must exist.
pub fn find(root: &Root, path: &[u8]) -> Result<Found, Errno> {
    let mut pending = PathBuffer::new();
    if path.first() != Some(&b'/') {
        let mut buffer = [0; PATH_MAX];
        pending
            .push(sys::getcwd(&mut buffer).map_err(Errno)?)
            .ok_or(Errno::ENAMETOOLONG)?;
        pending.push(b"/").ok_or(Errno::ENAMETOOLONG)?;
    }
    pending.push(path).ok_or(Errno::ENAMETOOLONG)?;
    Walk {
        root,
        current: PathBuffer::new(),
        pending,
        links: 0,
    }
    .run()
}

impl Walk<'_> {
    #[inline(never)]
    fn run(&mut self) -> Result<Found, Errno> {
        let mut inside = self.root.is_given();
        while let Some(component) = self.next_component() {
            match component.bytes() {
                b"" | b"." => {}
                b".." => self.ascend(),
                name => inside = self.descend(name)?,
            }
        }
        let host = if inside {
            self.join(&[self.root.bytes(), self.current.bytes()])?
        } else {
            copy(&self.current)?
        };
        Ok(Found { host, inside })
    }

    fn next_component(&mut self) -> Option<PathBuffer> {
        let pending = self.pending.bytes();
        if pending.is_empty() {
            return None;
        }
        let end = pending
            .iter()
            .position(|&byte| byte == b'/')
            .unwrap_or(pending.len());
        let component = PathBuffer::of(&[pending.get(..end)?])?;
        self.pending = PathBuffer::of(&[pending.get(end + 1..).unwrap_or(&[])])?;
        Some(component)
    }

    fn ascend(&mut self) {
        let slash = self
            .current
            .bytes()
            .iter()
            .rposition(|&byte| byte == b'/')
            .unwrap_or(0);
        if let Some(parent) = PathBuffer::of(&[self.current.bytes().get(..slash).unwrap_or(&[])]) {
            self.current = parent;
        }
    }

    fn join(&self, parts: &[&[u8]]) -> Result<PathBuffer, Errno> {
        PathBuffer::of(parts).ok_or(Errno::ENAMETOOLONG)
    }

    /// One name deeper; whether it was found inside the root.
    #[inline(never)]
    fn descend(&mut self, name: &[u8]) -> Result<bool, Errno> {
        let candidate = self.join(&[self.current.bytes(), b"/", name])?;
        let inner = self.join(&[self.root.bytes(), candidate.bytes()])?;
        let (status, host, inside) = match sys::stat64(inner.c_str(), false) {
            Ok(status) => (status, inner, self.root.is_given()),
            Err(_) => (
                sys::stat64(candidate.c_str(), false).map_err(Errno)?,
                copy(&candidate)?,
                false,
            ),
        };
        if sys::stat_mode(&status) & libc::S_IFMT == libc::S_IFLNK {
            let mut buffer = [0; PATH_MAX];
            let target = sys::readlink(host.c_str(), &mut buffer).map_err(Errno)?;
            if !is_magic(candidate.bytes(), target) {
                self.follow(target)?;
                return Ok(inside);
            }
        }
        // A name on the host that leads into the root: from there on it is the guest's.
        self.current = if candidate.bytes() == self.root.bytes() {
            PathBuffer::new()
        } else {
            candidate
        };
        Ok(inside || self.current.bytes().is_empty())
    }

    fn follow(&mut self, target: &[u8]) -> Result<(), Errno> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::ELOOP);
        }
        if target.first() == Some(&b'/') {
            self.current = PathBuffer::new();
        }
        self.pending = self.join(&[target, b"/", self.pending.bytes()])?;
        Ok(())
    }
}

fn copy(path: &PathBuffer) -> Result<PathBuffer, Errno> {
    PathBuffer::of(&[path.bytes()]).ok_or(Errno::ENAMETOOLONG)
}

/// /proc/PID/fd/N of something without a name: only the link itself leads there.
fn is_magic(path: &[u8], target: &[u8]) -> bool {
    path.starts_with(b"/proc/")
        && (target.first() != Some(&b'/') || target.ends_with(b" (deleted)"))
        && {
            path.split(|&byte| byte == b'/')
                .any(|part| part == b"fd" || part == b"exe")
        }
}

/// Directories where a host keeps its own programs.
const SYSTEM_DIRECTORIES: &[&[u8]] = &[b"/bin/", b"/sbin/", b"/usr/", b"/lib", b"/opt/", b"/snap/"];

pub fn is_system(path: &[u8]) -> bool {
    SYSTEM_DIRECTORIES
        .iter()
        .any(|directory| path.starts_with(directory))
}

/// Directories that many systems have merged: a guest that sees the host's /usr/bin/ls may mean its own /bin/ls.
const TWINS: &[&[u8]] = &[b"/bin/", b"/usr/bin/", b"/sbin/", b"/usr/sbin/"];

/// The root's program of the same name, for a name that was only found on the host.
pub fn twin(root: &Root, path: &[u8]) -> Option<Found> {
    let slash = path.iter().rposition(|&byte| byte == b'/')?;
    let (directory, name) = (path.get(..=slash)?, path.get(slash + 1..)?);
    if !root.is_given() || !TWINS.contains(&directory) {
        return None;
    }
    TWINS.iter().find_map(|directory| {
        let candidate = PathBuffer::of(&[directory, name])?;
        find(root, candidate.bytes())
            .ok()
            .filter(|found| found.inside)
    })
}
