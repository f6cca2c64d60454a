//! What a run changed in the firmware's root, read from the overlay's upper directory.
//!
//! Source: the kernel's filesystems/overlayfs: a character device 0:0 is a deletion.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum How {
    Added,
    Changed,
    Removed,
}

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub path: String,
    pub how: How,
    pub bytes: u64,
}

/// `ours`: what the sandbox itself put there, by its name without the leading slash.
pub fn collect(upper: &Path, lower: &Path, ours: &[String]) -> Vec<Change> {
    let mut changes = Vec::new();
    walk(upper, lower, Path::new(""), ours, &mut changes);
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    changes
}

fn walk(upper: &Path, lower: &Path, inner: &Path, ours: &[String], changes: &mut Vec<Change>) {
    let Ok(entries) = fs::read_dir(upper.join(inner)) else {
        return;
    };
    for entry in entries.flatten() {
        let path = inner.join(entry.file_name());
        let Ok(status) = fs::symlink_metadata(entry.path()) else {
            continue;
        };
        let is_below = fs::symlink_metadata(lower.join(&path)).is_ok();
        let is_ours = ours.iter().any(|own| Path::new(own) == path);
        let mut add = |how, bytes| {
            changes.push(Change {
                path: format!("/{}", path.display()),
                how,
                bytes,
            })
        };
        if status.file_type().is_char_device() && status.rdev() == 0 {
            add(How::Removed, 0);
        } else if status.is_dir() {
            if !is_below && !is_ours {
                add(How::Added, 0);
            }
            walk(upper, lower, &path, ours, changes);
        } else if !is_ours {
            add(
                if is_below { How::Changed } else { How::Added },
                status.len(),
            );
        }
    }
}
