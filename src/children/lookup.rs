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
    pub fn ask(&mut self) {
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let Ok(fd) = sys::openat(sys::AT_FDCWD, c"/", flags, 0) else {
            return;
        };
        let mut buffer = [0; PATH_MAX];
        let found = paths::descriptor_path(fd, &mut buffer).filter(|path| *path != b"/");
        // One that is too long is none.
        if found.and_then(|path| self.0.set(&[path])).is_none() {
            self.0.truncate(0);
        }
        sys::close(fd);
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    pub fn is_given(&self) -> bool {
        !self.bytes().is_empty()
    }
}

/// One step of the walk: a name in the guest's view, and where it was found.
struct Walk<'a> {
    root: &'a Root,
    /// Clean name in the guest's view; empty for the root directory.
    current: PathBuffer,
    /// Components still to walk.
    pending: PathBuffer,
    /// The file of `current`, on the host.
    host: &'a mut PathBuffer,
    links: usize,
}

/// Follows every link of `path`, whose last component must exist. `host` becomes its name on the host. Whether it belongs to
/// the guest's root; without a root the host's files are the root.
pub fn find(root: &Root, path: &[u8], host: &mut PathBuffer) -> Result<bool, Errno> {
    let mut walk = Walk {
        root,
        current: PathBuffer::new(),
        pending: PathBuffer::new(),
        host,
        links: 0,
    };
    let mut buffer = [0; PATH_MAX];
    let directory = match path.first() {
        Some(b'/') => &[],
        _ => sys::getcwd(&mut buffer).map_err(Errno)?,
    };
    fits(walk.pending.set(&[directory, b"/", path]))?;
    walk.run()
}

fn fits(set: Option<()>) -> Result<(), Errno> {
    set.ok_or(Errno::ENAMETOOLONG)
}

impl Walk<'_> {
    #[inline(never)]
    fn run(&mut self) -> Result<bool, Errno> {
        let mut inside = self.root.is_given();
        let mut component = PathBuffer::new();
        while !self.pending.bytes().is_empty() {
            let pending = self.pending.bytes();
            let end = pending
                .iter()
                .position(|&byte| byte == b'/')
                .unwrap_or(pending.len());
            fits(component.set(&[pending.get(..end).unwrap_or(&[])]))?;
            self.pending.remove_front(end + 1);
            match component.bytes() {
                b"" | b"." => {}
                b".." => fits(self.current.push_component(b".."))?,
                name => inside = self.descend(name)?,
            }
        }
        self.name_host(inside)?;
        Ok(inside)
    }

    fn name_host(&mut self, inside: bool) -> Result<(), Errno> {
        let root = if inside { self.root.bytes() } else { &[] };
        fits(self.host.set(&[root, self.current.bytes()]))
    }

    /// One name deeper; whether it was found inside the root.
    #[inline(never)]
    fn descend(&mut self, name: &[u8]) -> Result<bool, Errno> {
        let above = self.current.bytes().len();
        fits(self.current.push_component(name))?;
        self.name_host(true)?;
        let mut inside = self.root.is_given();
        let mut status = sys::stat64(self.host.c_str(), false);
        if status.is_err() {
            inside = false;
            self.name_host(false)?;
            status = sys::stat64(self.host.c_str(), false);
        }
        if sys::stat_mode(&status.map_err(Errno)?) & libc::S_IFMT == libc::S_IFLNK {
            let mut buffer = [0; PATH_MAX];
            let target = sys::readlink(self.host.c_str(), &mut buffer).map_err(Errno)?;
            if !is_magic(self.current.bytes(), target) {
                self.current.truncate(above);
                self.follow(target)?;
                return Ok(inside);
            }
        }
        // A name on the host that leads into the root: from there on it is the guest's.
        if self.current.bytes() == self.root.bytes() {
            self.current.truncate(0);
        }
        Ok(inside || self.current.bytes().is_empty())
    }

    fn follow(&mut self, target: &[u8]) -> Result<(), Errno> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(Errno::ELOOP);
        }
        if target.first() == Some(&b'/') {
            self.current.truncate(0);
        }
        fits(self.pending.put_in_front(&[target, b"/"]))
    }
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

/// The root's program of the same name, for a name that was only found on the host; `host` becomes its name there.
pub fn has_twin(root: &Root, path: &[u8], host: &mut PathBuffer) -> bool {
    let slash = path.iter().rposition(|&byte| byte == b'/');
    let (directory, name) = path
        .split_at_checked(slash.map_or(0, |slash| slash + 1))
        .unwrap_or_default();
    root.is_given() && TWINS.contains(&directory) && {
        let mut candidate = PathBuffer::new();
        TWINS.iter().any(|directory| {
            candidate.set(&[directory, name]).is_some()
                && find(root, candidate.bytes(), host) == Ok(true)
        })
    }
}
