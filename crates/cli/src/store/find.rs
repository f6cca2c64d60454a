//! Which board is meant when none, or a firmware's root, is named.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// What a guest without MTDSHIM would make in its working directory.
const DEFAULT_DIRECTORY: &str = "mtdshim-flash";
const CONF: &str = "mtdshim.conf";

pub fn find_board(named: Option<&Path>) -> Result<PathBuf> {
    match named {
        Some(path) => inside(path),
        None => {
            for place in [".", DEFAULT_DIRECTORY] {
                if Path::new(place).join(CONF).exists() {
                    return Ok(PathBuf::from(place));
                }
            }
            bail!(
                "no board is named, and there is no {CONF} here or in ./{DEFAULT_DIRECTORY}; name one with --board, or make one: mtdshim new"
            )
        }
    }
}

/// A firmware's root tree keeps its board under /etc.
fn inside(path: &Path) -> Result<PathBuf> {
    if !path.exists() {
        bail!(
            "{}: there is no such board; make it with: mtdshim new {}",
            path.display(),
            crate::output::shell_path(path)
        );
    }
    if path.is_dir() && !path.join(CONF).exists() && path.join("etc").join(CONF).exists() {
        return Ok(path.join("etc"));
    }
    Ok(path.to_owned())
}
