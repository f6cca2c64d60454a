//! A QEMU for ARM programs on this machine: the one named, else the best found.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow, bail};

use super::program::elf_of;

const NAMES: &[&str] = &["qemu-arm-static", "qemu-arm"];

#[derive(Debug, Clone)]
pub struct Qemu {
    pub path: PathBuf,
    pub version: String,
    pub is_static: bool,
    /// The loader and the libraries of a dynamic one, where they lie.
    pub libraries: Vec<PathBuf>,
}

/// A static QEMU wins: it needs nothing of the host inside the sandbox.
pub fn find(named: Option<&Path>) -> Result<Qemu> {
    if let Some(path) = named {
        return examine(path)
            .map_err(|error| anyhow!("{}: this QEMU does not work: {error:#}; install qemu-user-static, or name another with --qemu", path.display()));
    }
    let found: Vec<Qemu> = candidates()
        .iter()
        .filter_map(|path| examine(path).ok())
        .collect();
    let best = found.iter().find(|qemu| qemu.is_static).or(found.first());
    best.cloned().ok_or_else(|| {
        anyhow!("no working qemu-arm is in PATH; install qemu-user-static (Debian, Ubuntu) or qemu-user, or name one with --qemu")
    })
}

pub fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    NAMES
        .iter()
        .flat_map(|name| {
            directories
                .iter()
                .map(move |directory| directory.join(name))
        })
        .filter(|path| path.is_file())
        .collect()
}

pub fn examine(path: &Path) -> Result<Qemu> {
    let path = std::fs::canonicalize(path)?;
    let output = Command::new(&path).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // `qemu-arm version 7.2.22 (Debian ...)`
    let version = text
        .strip_prefix("qemu-arm version ")
        .and_then(|rest| rest.split_whitespace().next());
    let Some(version) = version.filter(|_| output.status.success()) else {
        bail!("it is no qemu-arm: it does not say which version of that it is")
    };
    let loader = elf_of(&path)?.loader;
    let libraries = match &loader {
        Some(loader) => libraries(&path, Path::new(loader))?,
        None => Vec::new(),
    };
    Ok(Qemu {
        version: version.to_owned(),
        is_static: loader.is_none(),
        libraries,
        path,
    })
}

/// Asked of the loader itself, as ldd does.
fn libraries(program: &Path, loader: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new(loader).arg("--list").arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let listed = text
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .filter(|path| path.is_file());
    let mut all: Vec<PathBuf> = listed.collect();
    all.push(loader.to_owned());
    all.sort();
    all.dedup();
    Ok(all)
}
