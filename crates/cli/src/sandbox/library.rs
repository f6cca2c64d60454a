//! Where libmtdshim.so is.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

const NAME: &str = "libmtdshim.so";

pub fn find(named: Option<&Path>, root: &Path) -> Result<PathBuf> {
    let places = match named {
        Some(path) => vec![path.to_owned()],
        None => usual_places(root),
    };
    match places.iter().find(|path| path.is_file()) {
        Some(path) => {
            check(path)?;
            Ok(std::fs::canonicalize(path)?)
        }
        None => {
            let names: Vec<String> = places
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            bail!(
                "{NAME} is not in {}; build it (make lib), or name it with --library",
                names.join(", ")
            )
        }
    }
}

/// The loader would only warn, and the program would run without flash.
fn check(path: &Path) -> Result<()> {
    let is_right = super::program::elf_of(path).is_ok_and(|elf| elf.is_arm());
    if !is_right {
        bail!(
            "{}: this is no library for 32-bit little-endian ARM; name libmtdshim.so with --library",
            path.display()
        );
    }
    Ok(())
}

fn usual_places(root: &Path) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(own) = std::env::current_exe()
        .ok()
        .and_then(|path| path.parent().map(Path::to_owned))
    {
        places.push(own.join(NAME));
        places.push(own.join("../lib/mtdshim").join(NAME));
    }
    places.push(root.join("usr/lib").join(NAME));
    places.push(Path::new("/usr/lib/mtdshim").join(NAME));
    places
}
