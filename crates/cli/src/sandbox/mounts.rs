//! The mounts of a sandbox, made by the keeper in its own mount namespace: nothing of them exists outside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::{INSIDE, Spec};

pub type Step<T> = Result<T, String>;

const NOTHING: Option<&str> = None;
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

pub fn told<T, E: std::fmt::Display>(result: Result<T, E>, step: &str) -> Step<T> {
    result.map_err(|error| format!("{step}: {error}"))
}

/// What was mounted where, and what of it would look like a change of the root.
pub struct Mounted {
    pub root: PathBuf,
    pub upper: PathBuf,
    pub lower: PathBuf,
    pub ours: Vec<String>,
    pub without_binfmt: Option<String>,
}

fn bind(from: &Path, to: &Path, step: &str) -> Step<()> {
    told(
        mount(
            Some(from),
            to,
            NOTHING,
            MsFlags::MS_BIND | MsFlags::MS_REC,
            NOTHING,
        ),
        step,
    )
}

/// Without touching what else holds for the mount, which only its owner may.
fn make_read_only(at: &Path) -> std::io::Result<()> {
    use nix::libc;
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(at.as_os_str().as_bytes())?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: a path and a structure of the size that is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            0,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

fn tmpfs(at: &Path, options: &str, step: &str) -> Step<()> {
    told(
        mount(
            Some("tmpfs"),
            at,
            Some("tmpfs"),
            MsFlags::empty(),
            Some(options),
        ),
        step,
    )
}

pub fn set_up(spec: &Spec) -> Step<Mounted> {
    told(
        mount(
            NOTHING,
            "/",
            NOTHING,
            MsFlags::MS_REC | MsFlags::MS_PRIVATE,
            NOTHING,
        ),
        "own mounts",
    )?;
    tmpfs(&spec.work, "mode=0755", "tmpfs")?;
    let inside = |name: &str| spec.work.join(name);
    for name in ["root", "lower", "binfmt", "upper", "overlay"] {
        told(fs::create_dir(inside(name)), "directories")?;
    }
    bind(&spec.root, &inside("lower"), "bind of the root")?;
    let mut mounted = Mounted {
        root: inside("root"),
        upper: inside("upper"),
        lower: inside("lower"),
        ours: Vec::new(),
        without_binfmt: None,
    };
    let mut places = ("upper", "overlay");
    if let Some(kept) = &spec.changes {
        for name in ["files", "work"] {
            told(fs::create_dir_all(kept.join(name)), "directory for changes")?;
        }
        told(fs::create_dir(inside("kept")), "directories")?;
        bind(kept, &inside("kept"), "bind of the directory for changes")?;
        places = ("kept/files", "kept/work");
        mounted.upper = kept.join("files");
    }
    if !spec.qemu.is_static {
        for path in spec.qemu.libraries.iter().chain([&spec.qemu.path]) {
            mounted.prepare(path)?;
        }
    }
    // Names in these options may hold no comma or colon: they are relative, and everything is bound to a plain one.
    let (upper, overlay_work) = places;
    let options = format!("lowerdir=lower,upperdir={upper},workdir={overlay_work},userxattr");
    told(nix::unistd::chdir(&spec.work), "overlay")?;
    told(
        mount(
            Some("overlay"),
            &mounted.root,
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        ),
        "overlay",
    )?;
    told(nix::unistd::chdir("/"), "overlay")?;
    own_things(spec, &mut mounted)?;
    devices(&mut mounted)?;
    system_files(&mut mounted)?;
    for (from, to) in &spec.binds {
        let at = mounted.place(to, from.is_dir())?;
        bind(from, &at, &format!("bind of {}", from.display()))?;
    }
    if spec.network && Path::new("/etc/resolv.conf").exists() {
        let at = mounted.place(Path::new("/etc/resolv.conf"), false)?;
        bind(Path::new("/etc/resolv.conf"), &at, "bind of resolv.conf")?;
    }
    if let Err(reason) = binfmt(spec, &inside("binfmt")) {
        mounted.without_binfmt = Some(reason);
    }
    Ok(mounted)
}

impl Mounted {
    /// Before the overlay is mounted: the way to a mount point, where the root has none of it. Later the overlay would have to
    /// copy the root's own directory, and that fails when it belongs to somebody whom an ordinary user's sandbox does not know.
    fn prepare(&mut self, guest_path: &Path) -> Step<()> {
        let inner = guest_path.strip_prefix("/").unwrap_or(guest_path);
        let mut is_new = false;
        let mut so_far = PathBuf::new();
        for word in inner.components() {
            so_far.push(word);
            let (below, above) = (self.lower.join(&so_far), self.upper.join(&so_far));
            match fs::symlink_metadata(&below) {
                Ok(status) if status.is_dir() => continue,
                // A link, or the root's own library: `place` knows what to do.
                Ok(_) => return Ok(()),
                Err(_) => {}
            }
            if !is_new {
                is_new = true;
                if let Some(parent) = so_far.parent() {
                    self.copy_directories(parent)?;
                }
            }
            if fs::symlink_metadata(&above).is_err() {
                self.ours.push(so_far.display().to_string());
                if so_far == inner {
                    told(fs::write(&above, b""), "mount point")?;
                } else {
                    told(fs::create_dir(&above), "mount point")?;
                }
            }
        }
        Ok(())
    }

    /// What the overlay does itself with directories of the sandbox's user.
    fn copy_directories(&self, inner: &Path) -> Step<()> {
        let mut so_far = PathBuf::new();
        for word in inner.components() {
            so_far.push(word);
            let (below, above) = (self.lower.join(&so_far), self.upper.join(&so_far));
            if fs::symlink_metadata(&above).is_err() {
                told(fs::create_dir(&above), "mount point")?;
                let permissions = told(fs::metadata(&below), "mount point")?.permissions();
                told(fs::set_permissions(&above, permissions), "mount point")?;
            }
        }
        Ok(())
    }

    /// A mount point in the root, made when missing and then kept out of the list of changes.
    fn place(&mut self, guest_path: &Path, is_directory: bool) -> Step<PathBuf> {
        let inner = guest_path.strip_prefix("/").unwrap_or(guest_path);
        let mut so_far = PathBuf::new();
        for word in inner.components() {
            so_far.push(word);
            let at = self.root.join(&so_far);
            if fs::symlink_metadata(&at).is_ok() {
                continue;
            }
            self.ours.push(so_far.display().to_string());
            if is_directory || so_far != inner {
                told(fs::create_dir(&at), "mount point")?;
            } else {
                told(fs::write(&at, b""), "mount point")?;
            }
        }
        let at = self.root.join(inner);
        if fs::symlink_metadata(&at).is_ok_and(|status| status.is_symlink()) {
            // A mount would follow the link out of the root.
            return told(
                super::program::resolve(&self.root, guest_path),
                "mount point",
            );
        }
        Ok(at)
    }
}

fn own_things(spec: &Spec, mounted: &mut Mounted) -> Step<()> {
    let own = mounted.place(Path::new(INSIDE), true)?;
    tmpfs(&own, "mode=0755", "tmpfs")?;
    let file = own.join("libmtdshim.so");
    told(fs::write(&file, b""), "library")?;
    bind(&spec.library, &file, "bind of the library")?;
    let mut directories = vec![
        ("flash", &spec.board_directory),
        ("run", &spec.run_directory),
    ];
    directories.extend(spec.here.as_ref().map(|here| ("here", here)));
    for (name, from) in directories {
        let at = own.join(name);
        told(fs::create_dir(&at), name)?;
        bind(from, &at, &format!("bind of {}", from.display()))?;
    }
    for name in &spec.read_only {
        let file = own.join("flash").join(name);
        bind(&file, &file, "bind of a file of the board")?;
        told(make_read_only(&file), "a file of the board, read-only")?;
    }
    if spec.qemu.is_static {
        let file = own.join("qemu-arm");
        told(fs::write(&file, b""), "QEMU")?;
        return bind(&spec.qemu.path, &file, "bind of QEMU");
    }
    // A dynamic QEMU wants its loader and libraries where they are on the host.
    for path in spec.qemu.libraries.iter().chain([&spec.qemu.path]) {
        let inner = path.strip_prefix("/").unwrap_or(path);
        if fs::symlink_metadata(mounted.lower.join(inner)).is_ok() {
            return Err(format!(
                "{} is dynamic, and the root has a {} of its own; install qemu-user-static",
                spec.qemu.path.display(),
                path.display()
            ));
        }
        let at = mounted.place(path, false)?;
        bind(path, &at, &format!("bind of {}", path.display()))?;
    }
    Ok(())
}

fn devices(mounted: &mut Mounted) -> Step<()> {
    let dev = mounted.place(Path::new("/dev"), true)?;
    tmpfs(&dev, "mode=0755", "tmpfs for /dev")?;
    for name in DEVICES {
        let host = Path::new("/dev").join(name);
        if host.exists() {
            told(fs::write(dev.join(name), b""), "/dev")?;
            bind(&host, &dev.join(name), "bind of a device")?;
        }
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
        ("console", "fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        told(symlink(target, dev.join(name)), "/dev")?;
    }
    for name in ["pts", "shm"] {
        told(fs::create_dir(dev.join(name)), "/dev")?;
    }
    // A sandbox without terminals of its own is a smaller loss than none.
    let _ = mount(
        Some("devpts"),
        &dev.join("pts"),
        Some("devpts"),
        MsFlags::empty(),
        Some("newinstance,ptmxmode=0666,mode=0620"),
    );
    tmpfs(&dev.join("shm"), "mode=1777", "tmpfs for /dev/shm")
}

/// /proc is mounted by the first process, whose it shows. The host's /sys speaks of the host's hardware: an empty one is truer.
fn system_files(mounted: &mut Mounted) -> Step<()> {
    mounted.place(Path::new("/proc"), true)?;
    let sys = mounted.place(Path::new("/sys"), true)?;
    tmpfs(&sys, "mode=0755", "tmpfs for /sys")?;
    for name in [
        "class",
        "class/mtd",
        "class/net",
        "block",
        "devices",
        "bus",
        "firmware",
        "kernel",
        "module",
    ] {
        told(fs::create_dir(sys.join(name)), "/sys")?;
    }
    let tmp = mounted.place(Path::new("/tmp"), true)?;
    tmpfs(&tmp, "mode=1777", "tmpfs for /tmp")
}

/// Since Linux 6.7 a user namespace has a binfmt_misc of its own. F opens QEMU now, so that it is found from inside any
/// root; P keeps argv[0]. Source: the kernel's admin-guide/binfmt-misc.
fn binfmt(spec: &Spec, at: &Path) -> Step<()> {
    told(
        mount(
            Some("binfmt_misc"),
            at,
            Some("binfmt_misc"),
            MsFlags::empty(),
            NOTHING,
        ),
        "binfmt_misc",
    )?;
    let magic = r"\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00";
    let mask = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
    let rule = format!(
        ":mtdshim-arm:M::{magic}:{mask}:{}:FP",
        spec.qemu.path.display()
    );
    told(fs::write(at.join("register"), rule), "binfmt_misc register")
}
