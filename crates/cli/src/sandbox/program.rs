//! The program to run, as it lies in the firmware's root: found like the guest would, and judged before anything starts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

const PATH: &[&str] = &[
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
];
/// What the kernel looks at for `#!`.
const HEAD_BYTES: usize = 256;
const LINKS_MAX: usize = 40;

/// What an ELF file needs to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    pub machine: u16,
    pub is_64: bool,
    pub is_little: bool,
    /// None for a static program.
    pub loader: Option<String>,
}

impl Elf {
    /// What the library can be loaded into.
    pub fn is_arm(&self) -> bool {
        self.machine == elf::EM_ARM && !self.is_64 && self.is_little
    }
}

/// A program inside a root.
#[derive(Debug, Clone)]
pub struct Program {
    /// As the guest names it.
    pub guest_path: String,
    /// Where it really lies.
    pub host_path: PathBuf,
    /// The interpreter of a script with its argument, as the script names them.
    pub script_of: Option<String>,
    pub elf: Elf,
}

impl Program {
    pub fn find(root: &Path, name: &str) -> Result<Program> {
        let guest_path = locate(root, name)?;
        let host_path = resolve(root, Path::new(&guest_path))?;
        let status = fs::metadata(&host_path)
            .with_context(|| format!("{}: cannot look at it", host_path.display()))?;
        if status.is_dir() {
            bail!("{guest_path}: this is a directory, not a program");
        }
        if status.permissions().mode() & 0o111 == 0 {
            bail!(
                "{guest_path}: it is not executable; if unpacking lost that: chmod +x {}",
                host_path.display()
            );
        }
        let head = read_head(&host_path)?;
        if let Some(interpreter) = shebang(&head) {
            let first = interpreter.split_whitespace().next().unwrap_or_default();
            let lies = resolve(root, Path::new(first)).map_err(|_| {
                anyhow!(
                    "{guest_path}: its interpreter {first} is not in {}",
                    root.display()
                )
            })?;
            let elf = elf_of(&lies)?;
            return Ok(Program {
                guest_path,
                host_path,
                script_of: Some(interpreter),
                elf,
            });
        }
        let elf = elf_of(&host_path)?;
        Ok(Program {
            guest_path,
            host_path,
            script_of: None,
            elf,
        })
    }

    /// What cannot work at all, before QEMU says it in its own words.
    pub fn check(&self, root: &Path) -> Result<()> {
        let elf = &self.elf;
        if !elf.is_arm() {
            bail!(
                "{}: it is made for {}; libmtdshim.so is for 32-bit little-endian ARM",
                self.guest_path,
                machine_words(elf)
            );
        }
        let Some(loader) = &elf.loader else {
            return Ok(());
        };
        if resolve(root, Path::new(loader)).is_err() {
            bail!(
                "{}: its loader {loader} is not in {}; is this the whole root? (a musl or uClibc program needs its own)",
                self.guest_path,
                root.display()
            );
        }
        Ok(())
    }

    pub fn is_static(&self) -> bool {
        self.elf.loader.is_none()
    }
}

fn locate(root: &Path, name: &str) -> Result<String> {
    if name.starts_with('/') {
        if resolve(root, Path::new(name)).is_ok() {
            return Ok(name.to_owned());
        }
        // A path of the host that points into the root is what completion types.
        if let (Ok(whole), Ok(absolute)) = (fs::canonicalize(root), fs::canonicalize(name))
            && let Ok(inner) = absolute.strip_prefix(&whole)
        {
            return Ok(format!("/{}", inner.display()));
        }
        bail!(
            "{name}: not in {}; name the program as the guest does, e.g. /usr/sbin/update",
            root.display()
        );
    }
    if name.contains('/') {
        let whole = fs::canonicalize(root)?;
        let Ok(absolute) = fs::canonicalize(name) else {
            let inside = format!("/{name}");
            if resolve(root, Path::new(&inside)).is_ok() {
                return Ok(inside);
            }
            bail!(
                "{name}: neither here nor in {}; name the program as the guest does, e.g. /usr/sbin/update",
                root.display()
            );
        };
        let inner = absolute
            .strip_prefix(&whole)
            .map_err(|_| anyhow!("{name}: it lies outside {}", root.display()))?;
        return Ok(format!("/{}", inner.display()));
    }
    PATH.iter()
        .map(|directory| format!("{directory}/{name}"))
        .find(|path| resolve(root, Path::new(path)).is_ok())
        .ok_or_else(|| anyhow!("{name}: not in {} of {}", PATH.join(":"), root.display()))
}

/// Follows links as inside a chroot: an absolute link begins at the root, and `..` never leaves it.
pub fn resolve(root: &Path, path: &Path) -> Result<PathBuf> {
    let mut left: Vec<String> = words(path);
    left.reverse();
    let (mut inner, mut links) = (PathBuf::new(), 0);
    while let Some(word) = left.pop() {
        if word == ".." {
            inner.pop();
            continue;
        }
        let next = inner.join(&word);
        let status = fs::symlink_metadata(root.join(&next))?;
        if status.is_symlink() {
            links += 1;
            if links > LINKS_MAX {
                bail!("{}: too many links", path.display());
            }
            let target = fs::read_link(root.join(&next))?;
            if target.is_absolute() {
                inner = PathBuf::new();
            }
            left.extend(words(&target).into_iter().rev());
        } else {
            inner = next;
        }
    }
    Ok(root.join(inner))
}

fn words(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(word) => Some(word.to_string_lossy().into_owned()),
            Component::ParentDir => Some("..".to_owned()),
            _ => None,
        })
        .collect()
}

fn read_head(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut head = Vec::new();
    let file = fs::File::open(path)
        .with_context(|| format!("{}: cannot open this program", path.display()))?;
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn shebang(head: &[u8]) -> Option<String> {
    let line = head
        .strip_prefix(b"#!")?
        .split(|&byte| byte == b'\n')
        .next()?;
    let line = String::from_utf8_lossy(line).trim().to_owned();
    (!line.is_empty()).then_some(line)
}

pub fn elf_of(path: &Path) -> Result<Elf> {
    let bytes =
        fs::read(path).with_context(|| format!("{}: cannot read this program", path.display()))?;
    parse(&bytes).ok_or_else(|| {
        anyhow!(
            "{}: this is neither an ELF program nor a script",
            path.display()
        )
    })
}

/// Whether these are the bytes of a program or a script.
pub fn judge(bytes: &[u8]) -> bool {
    shebang(&bytes[..bytes.len().min(HEAD_BYTES)]).is_some() || parse(bytes).is_some()
}

fn parse(bytes: &[u8]) -> Option<Elf> {
    match bytes.get(..6)? {
        [0x7f, b'E', b'L', b'F', 1, _] => {
            parse_as::<elf::FileHeader32<object::Endianness>>(bytes, false)
        }
        [0x7f, b'E', b'L', b'F', 2, _] => {
            parse_as::<elf::FileHeader64<object::Endianness>>(bytes, true)
        }
        _ => None,
    }
}

fn parse_as<H: FileHeader<Endian = object::Endianness>>(bytes: &[u8], is_64: bool) -> Option<Elf> {
    let header = H::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, bytes).ok()?;
    let loader = segments
        .iter()
        .find_map(|segment| segment.interpreter(endian, bytes).ok().flatten());
    Some(Elf {
        machine: header.e_machine(endian),
        is_64,
        is_little: matches!(endian, object::Endianness::Little),
        loader: loader.map(|path| String::from_utf8_lossy(path).into_owned()),
    })
}

fn machine_words(elf: &Elf) -> String {
    let name = match elf.machine {
        elf::EM_ARM => "ARM",
        elf::EM_AARCH64 => "AArch64",
        elf::EM_MIPS => "MIPS",
        elf::EM_PPC => "PowerPC",
        elf::EM_386 => "x86",
        elf::EM_X86_64 => "x86-64",
        elf::EM_RISCV => "RISC-V",
        _ => "another processor",
    };
    format!(
        "{name} ({}-bit, {}-endian)",
        if elf.is_64 { 64 } else { 32 },
        if elf.is_little { "little" } else { "big" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_never_leave_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("bin")).unwrap();
        fs::create_dir_all(root.path().join("usr")).unwrap();
        fs::write(root.path().join("bin/busybox"), b"x").unwrap();
        std::os::unix::fs::symlink("/bin/busybox", root.path().join("bin/sh")).unwrap();
        std::os::unix::fs::symlink("../../../../bin", root.path().join("usr/bin")).unwrap();
        let found = resolve(root.path(), Path::new("/usr/bin/sh")).unwrap();
        assert_eq!(found, root.path().join("bin/busybox"));
        assert!(resolve(root.path(), Path::new("/etc/passwd")).is_err());
    }

    #[test]
    fn a_script_names_its_interpreter() {
        assert_eq!(
            shebang(b"#! /bin/sh -e\necho").as_deref(),
            Some("/bin/sh -e")
        );
        assert_eq!(shebang(b"\x7fELF"), None);
    }
}
