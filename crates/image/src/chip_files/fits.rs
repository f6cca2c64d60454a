//! Whether an existing file is what the chip needs, and what to do when it is not. Nothing is ever cut or extended.

use core::fmt;

use crate::board::ChipConfig;
use crate::os::FileKind;
use crate::problem::Problem;
use crate::text::PathText;

/// What the main area's file is called towards people.
pub const IMAGE: &str = "image";

/// `what` names the file: `IMAGE` or another.
pub fn check_file(
    path: &PathText,
    kind: FileKind,
    found: u64,
    expected: u64,
    what: &str,
    chip: &ChipConfig,
) -> Result<(), Problem> {
    if kind == FileKind::Regular && found == expected {
        return Ok(());
    }
    let name = chip.name.as_str();
    let advice = Advice {
        found,
        expected,
        is_image: what == IMAGE,
        chip,
    };
    let say = |wrong: fmt::Arguments<'_>| Err(Problem::new(path, 0, wrong));
    match kind {
        FileKind::Regular => say(format_args!(
            "the {what} of chip {name} has {found} bytes and the chip needs {expected}; {advice}"
        )),
        FileKind::Directory => say(format_args!(
            "this is a directory; name a file as the {what} of chip {name}"
        )),
        FileKind::Other => say(format_args!(
            "this is not a plain file; name a plain file as the {what} of chip {name}"
        )),
    }
}

/// Which size would fit, or what the file seems to be.
struct Advice<'a> {
    found: u64,
    expected: u64,
    is_image: bool,
    chip: &'a ChipConfig,
}

impl fmt::Display for Advice<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Advice {
            found,
            expected,
            is_image,
            chip,
        } = *self;
        let geometry = &chip.geometry;
        let erasesize = u64::from(geometry.erasesize.max(1));
        let page = u64::from(geometry.writesize) + u64::from(geometry.oobsize);
        if !is_image || geometry.region_count > 1 || found < erasesize {
            return write!(to, "use a file of exactly {expected} bytes");
        }
        if geometry.oobsize > 0 && found == geometry.page_count().saturating_mul(page) {
            return write!(
                to,
                "it holds pages with their spare bytes: split it into main and spare-area files"
            );
        }
        if found.is_multiple_of(erasesize) {
            let name = chip.name.as_str();
            return write!(
                to,
                "write size = {found} in [chip.{name}], or use a file of {expected} bytes"
            );
        }
        let below = found - found % erasesize;
        let above = below.saturating_add(erasesize);
        write!(
            to,
            "use a file of {expected} bytes; whole eraseblocks near it are {below} or {above}"
        )
    }
}
