//! Making what is missing of a chip's files: all under temporary names first, so that a full disk leaves nothing.

use flash::ledger::Ledger;

use super::ChipPaths;
use super::fill::{NewFile, check_space};
use super::fits::{IMAGE, check_file};
use super::prepare::prepare;
use super::side::{self, HEADER_WORDS, SideLayout};
use crate::board::ChipConfig;
use crate::make_lock::MakeLock;
use crate::mapping::Mapping;
use crate::os::{Os, errno};
use crate::problem::Problem;
use crate::stamp::Stamp;
use crate::text::PathText;

#[derive(Clone, Copy, Debug, Default)]
pub struct Made {
    pub image: bool,
    pub oob: bool,
    pub side: bool,
}

#[inline(never)]
pub fn make_missing(
    os: &impl Os,
    board_directory: &PathText,
    chip: &ChipConfig,
    paths: &ChipPaths,
) -> Result<Made, Problem> {
    let first_look = missing(os, chip, paths);
    if matches!(first_look, Ok(None)) {
        return Ok(Made::default());
    }
    let _alone = match (MakeLock::take(os, board_directory), first_look) {
        (Err(_), Err(problem)) | (Err(problem), Ok(_)) => return Err(problem),
        (Ok(lock), _) => lock,
    };
    // Another process may have made them while we waited; one that was at it while we looked showed us some files and not
    // the others, so that a trouble counts only now.
    match missing(os, chip, paths)? {
        Some(needed) => make(os, chip, paths, needed).map(|()| needed),
        None => Ok(Made::default()),
    }
}

/// What has to be made; none when everything is there.
fn missing(os: &impl Os, chip: &ChipConfig, paths: &ChipPaths) -> Result<Option<Made>, Problem> {
    let has_oob = chip.geometry.oobsize > 0;
    let needed = Made {
        image: !exists(os, &paths.image, chip.geometry.size, IMAGE, chip)?,
        oob: has_oob
            && !exists(
                os,
                &paths.oob,
                chip.geometry.oob_file_size(),
                "spare-area file",
                chip,
            )?,
        side: !exists_any_size(os, &paths.side)?,
    };
    let side_name = paths.side.as_str();
    for (path, is_missing) in [(&paths.image, needed.image), (&paths.oob, needed.oob)] {
        if is_missing && !needed.side {
            return Err(Problem::new(
                path,
                0,
                format_args!(
                    "this file is missing but the chip's side file exists; \
                     put it back, or delete {side_name} to start with an erased chip"
                ),
            ));
        }
    }
    if needed.image && has_oob && !needed.oob {
        return Err(Problem::new(
            &paths.image,
            0,
            format_args!(
                "the image is missing but its spare-area file exists; put the image back, or delete {} too",
                paths.oob.as_str()
            ),
        ));
    }
    Ok((needed.image || needed.oob || needed.side).then_some(needed))
}

fn exists_any_size(os: &impl Os, path: &PathText) -> Result<bool, Problem> {
    match os.stat(path.as_cstr()) {
        Ok(_) => Ok(true),
        // A link that leads nowhere can be given its own name, which changes nothing.
        Err(errno::ENOENT)
            if path.is_valid() && os.rename(path.as_cstr(), path.as_cstr()).is_err() =>
        {
            Ok(false)
        }
        Err(errno) => Err(Problem::of_errno(
            path,
            "look at this file",
            errno,
            "correct the path, the link or the permissions",
        )),
    }
}

fn exists(
    os: &impl Os,
    path: &PathText,
    size: u64,
    what: &str,
    chip: &ChipConfig,
) -> Result<bool, Problem> {
    match os.stat(path.as_cstr()) {
        Ok(status) => check_file(path, status.kind, status.size, size, what, chip).map(|()| true),
        Err(_) => exists_any_size(os, path),
    }
}

#[inline(never)]
fn make(os: &impl Os, chip: &ChipConfig, paths: &ChipPaths, needed: Made) -> Result<(), Problem> {
    let geometry = &chip.geometry;
    let layout = SideLayout::of(geometry);
    let image = needed
        .image
        .then(|| NewFile::create(os, &paths.image))
        .transpose()?;
    let oob = needed
        .oob
        .then(|| NewFile::create(os, &paths.oob))
        .transpose()?;
    let side = needed
        .side
        .then(|| NewFile::create(os, &paths.side))
        .transpose()?;
    let bytes = |wanted: bool, size: u64| if wanted { size } else { 0 };
    let total = bytes(needed.image, geometry.size)
        .saturating_add(bytes(needed.oob, geometry.oob_file_size()))
        .saturating_add(bytes(needed.side, layout.size));
    if let Some(first) = image.as_ref().or(oob.as_ref()).or(side.as_ref()) {
        let name = if needed.image {
            &paths.image
        } else {
            &paths.side
        };
        check_space(os, first.fd(), name, total)?;
    }
    if let Some(image) = &image {
        image.fill(geometry.size, 0xff)?;
    }
    if let Some(oob) = &oob {
        oob.fill(geometry.oob_file_size(), 0xff)?;
    }
    let mapping = match &side {
        Some(side) => {
            let mapping = fill_side(side, paths, chip, &layout, needed.image)?;
            let ledger = mapping.words().get(HEADER_WORDS..).unwrap_or(&[]);
            let fds = (
                image.as_ref().map(NewFile::fd),
                oob.as_ref().map(NewFile::fd),
            );
            prepare(os, chip, paths, fds, &Ledger::new(ledger))?;
            Some(mapping)
        }
        None => None,
    };
    // The side file comes last: while it is missing, everything is looked at afresh.
    for file in [image, oob].into_iter().flatten() {
        os.close(file.finish()?);
    }
    if let (Some(side), Some(mapping)) = (side, mapping) {
        let stamp = |path: &PathText| {
            os.stat(path.as_cstr())
                .map_or(Stamp::default(), |status| Stamp::of(&status))
        };
        let oob_stamp = if geometry.oobsize > 0 {
            stamp(&paths.oob)
        } else {
            Stamp::default()
        };
        side::store_stamps(mapping.words(), &stamp(&paths.image), &oob_stamp);
        os.close(side.finish()?);
    }
    Ok(())
}

/// Header and ledger, mapped; the stamps are still missing.
#[inline(never)]
fn fill_side<O: Os>(
    side: &NewFile<'_, O>,
    paths: &ChipPaths,
    chip: &ChipConfig,
    layout: &SideLayout,
    is_erased: bool,
) -> Result<Mapping, Problem> {
    // Zero is no valid ledger word, 0xFF is unprogrammed OTP; header and ledger are written over it.
    side.fill(layout.size, 0xff)?;
    side.write_bytes(chip.factory_bytes(), layout.otp_factory_offset)?;
    let length = usize::try_from(layout.mapped_bytes).unwrap_or(usize::MAX);
    let mapping = Mapping::shared(side.fd(), length).ok_or_else(|| {
        Problem::of_errno(
            &paths.side,
            "map this file",
            errno::ENOMEM,
            "free some memory",
        )
    })?;
    for word in mapping.words() {
        word.store(0, core::sync::atomic::Ordering::Relaxed);
    }
    format_ledger(mapping.words(), chip, is_erased);
    side::write_header(mapping.words(), &chip.geometry);
    Ok(mapping)
}

/// A fresh ledger with the bad blocks of the configuration.
pub fn format_ledger(words: &[core::sync::atomic::AtomicU32], chip: &ChipConfig, is_erased: bool) {
    let ledger = Ledger::new(words.get(HEADER_WORDS..).unwrap_or(&[]));
    ledger.format(&chip.geometry);
    // A marked block is not erased: its mark would be programmed over.
    if is_erased && chip.bad_blocks().is_empty() {
        ledger.declare_erased(&chip.geometry);
    }
    for &block in chip.bad_blocks() {
        ledger.set_flags(
            block,
            flash::ledger::BlockFlags {
                bad: true,
                ..Default::default()
            },
        );
    }
}
