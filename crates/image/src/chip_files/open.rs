//! Opening the files of a chip that exist, and judging them.

use core::sync::atomic::Ordering;

use super::fits::{IMAGE, check_file};
use super::make::{Made, format_ledger};
use super::side::{self, FIXED_HEADER_WORDS, SideFault, SideLayout};
use super::{ChipFiles, ChipPaths};
use crate::board::ChipConfig;
use crate::lock::LockState;
use crate::mapping::Mapping;
use crate::os::{Fd, FileStatus, OpenMode, Os, errno, pread_exact};
use crate::problem::Problem;
use crate::text::PathText;

/// Descriptors opened so far, closed again when a later step fails.
struct Opened<'a, O: Os> {
    os: &'a O,
    fds: [Fd; 3],
}

impl<O: Os> Drop for Opened<'_, O> {
    fn drop(&mut self) {
        for &fd in &self.fds {
            if fd >= 0 {
                self.os.close(fd);
            }
        }
    }
}

#[inline(never)]
pub fn open_existing(
    os: &impl Os,
    chip: &ChipConfig,
    paths: &ChipPaths,
    made: Made,
    read_only: bool,
    keep: &mut dyn FnMut(ChipFiles),
) -> Result<(), Problem> {
    let geometry = chip.geometry;
    let mut opened = Opened { os, fds: [-1; 3] };
    let (image_fd, image_read_only) = open_file(os, &paths.image, read_only, IMAGE)?;
    opened.fds[0] = image_fd;
    check_open(os, image_fd, &paths.image, geometry.size, IMAGE, chip)?;
    let mut is_read_only = read_only || image_read_only;
    if geometry.oobsize > 0 {
        let (oob_fd, oob_read_only) = open_file(os, &paths.oob, read_only, "spare-area file")?;
        opened.fds[1] = oob_fd;
        check_open(
            os,
            oob_fd,
            &paths.oob,
            geometry.oob_file_size(),
            "spare-area file",
            chip,
        )?;
        is_read_only |= oob_read_only;
    }
    let (mapping, side_fd, is_private) = open_side(os, chip, paths, read_only, &mut opened)?;
    is_read_only |= is_private;
    let [image_fd, oob_fd, _] = opened.fds;
    opened.fds = [-1; 3];
    drop(opened);
    let layout = SideLayout::of(&geometry);
    let files = ChipFiles {
        code: flash::Code::of(&geometry),
        geometry,
        image_fd,
        oob_fd,
        side_fd,
        otp_user_offset: layout.otp_user_offset,
        otp_factory_offset: layout.otp_factory_offset,
        read_only: is_read_only,
        fresh: made.side,
        image_created: made.image,
        oob_created: made.oob && !made.image,
        lock_state: LockState::new(if mapping.is_shared() { side_fd } else { -1 }),
        mapping,
    };
    let voided = void_hints_of_changed_image(os, &files, made, &paths.side);
    if voided.is_ok() {
        keep(files);
    } else {
        files.close(os);
    }
    voided
}

fn open_file(
    os: &impl Os,
    path: &PathText,
    read_only: bool,
    what: &str,
) -> Result<(Fd, bool), Problem> {
    let mut is_read_only = read_only;
    let mut result = if read_only {
        Err(errno::EROFS)
    } else {
        os.open(path.as_cstr(), OpenMode::ReadWrite)
    };
    if result.is_err_and(errno::is_write_refusal) {
        is_read_only = true;
        result = os.open(path.as_cstr(), OpenMode::ReadOnly);
    }
    match result {
        Ok(fd) => Ok((os.make_private(fd), is_read_only)),
        Err(errno) => {
            let fix = match errno {
                errno::ENOENT if read_only => {
                    "it can only be made where the board's directory is writable"
                }
                errno::EISDIR => "name a file",
                _ => "give read permission, or correct the path",
            };
            let words = crate::os::errno_text(errno);
            let what = format_args!("cannot open the {what}: {words}");
            Err(Problem::of_words(path, what, fix))
        }
    }
}

fn check_open(
    os: &impl Os,
    fd: Fd,
    path: &PathText,
    expected: u64,
    what: &str,
    chip: &ChipConfig,
) -> Result<(), Problem> {
    let status = os
        .fstat(fd)
        .map_err(|errno| Problem::of_errno(path, "look at this file", errno, ""))?;
    check_file(path, status.kind, status.size, expected, what, chip)
}

/// The mapped header and ledger, the descriptor, and whether changes stay in this process.
#[inline(never)]
fn open_side<O: Os>(
    os: &O,
    chip: &ChipConfig,
    paths: &ChipPaths,
    read_only: bool,
    opened: &mut Opened<'_, O>,
) -> Result<(Mapping, Fd, bool), Problem> {
    let failed = |errno| {
        let fix = "free some space";
        Problem::of_errno(&paths.side, "map this file", errno, fix)
    };
    let out_of_memory = || failed(errno::ENOMEM);
    let length = usize::try_from(SideLayout::of(&chip.geometry).mapped_bytes)
        .map_err(|_| out_of_memory())?;
    match open_file(os, &paths.side, read_only, "side file") {
        Ok((fd, is_private)) => {
            opened.fds[2] = fd;
            let status = check_side(os, fd, chip, paths)?;
            if is_private {
                let mapping = private_copy(os, fd, length).ok_or_else(out_of_memory)?;
                Ok((mapping, fd, true))
            } else {
                let mapping = Mapping::stored(os, fd, length, &status).map_err(failed)?;
                Ok((mapping, fd, false))
            }
        }
        // Nothing may be written here, so the chip starts with a ledger of its own in every process.
        Err(_) if read_only && os.stat(paths.side.as_cstr()) == Err(errno::ENOENT) => {
            let mapping = Mapping::private(length).ok_or_else(out_of_memory)?;
            format_ledger(mapping.words(), chip, false);
            Ok((mapping, -1, true))
        }
        Err(problem) => Err(problem),
    }
}

fn private_copy(os: &impl Os, fd: Fd, length: usize) -> Option<Mapping> {
    let mapping = Mapping::private(length)?;
    let mut chunk = [0; 512];
    for (index, words) in mapping.words().chunks(chunk.len() / 4).enumerate() {
        let bytes = chunk.get_mut(..words.len() * 4)?;
        pread_exact(os, fd, bytes, (index * 512) as u64).ok()?;
        for (word, value) in words.iter().zip(bytes.as_chunks::<4>().0) {
            word.store(u32::from_ne_bytes(*value), Ordering::Relaxed);
        }
    }
    // A lock that somebody held while we copied is not ours to wait for.
    let ledger = mapping.words().get(side::HEADER_WORDS..)?;
    ledger
        .get(flash::ledger::LOCK_WORD)?
        .store(0, Ordering::Relaxed);
    Some(mapping)
}

#[inline(never)]
fn check_side(
    os: &impl Os,
    fd: Fd,
    chip: &ChipConfig,
    paths: &ChipPaths,
) -> Result<FileStatus, Problem> {
    let failed = |errno| {
        Problem::of_errno(
            &paths.side,
            "read this side file",
            errno,
            "delete it to start afresh",
        )
    };
    let status = os.fstat(fd).map_err(failed)?;
    let mut bytes = [0; FIXED_HEADER_WORDS * 4];
    let mut header = [0; FIXED_HEADER_WORDS];
    if status.size >= bytes.len() as u64 {
        os.pread(fd, &mut bytes, 0).map_err(failed)?;
    }
    for (word, value) in header.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_ne_bytes(*value);
    }
    side::check_header(&header, status.size, &chip.geometry)
        .map(|()| status)
        .map_err(|fault| side_problem(&paths.side, chip, fault, &header))
}

#[inline(never)]
fn side_problem(
    path: &PathText,
    chip: &ChipConfig,
    fault: SideFault,
    header: &[u32; FIXED_HEADER_WORDS],
) -> Problem {
    let delete = "delete it to start with unknown wear and bad blocks scanned anew";
    let (now, name) = (&chip.geometry, chip.name.as_str());
    let say =
        |what: core::fmt::Arguments<'_>| Problem::new(path, 0, format_args!("{what}; {delete}"));
    match fault {
        SideFault::Magic => say(format_args!("this is not a side file of mtdshim")),
        SideFault::Version(version) => say(format_args!(
            "version {version} of this side file is not known here"
        )),
        SideFault::Checksum => say(format_args!("the header of this side file is damaged")),
        SideFault::Size { expected } => say(format_args!(
            "this side file should have {expected} bytes: it was cut"
        )),
        SideFault::Geometry => {
            let then = side::geometry_of(header).unwrap_or(chip.geometry);
            let what = format_args!(
                "this side file was made for a chip of {} bytes in blocks of {}, pages of {} + {}; \
                 {name} has {}, {}, {} + {}{}; restore the configuration, or {delete}",
                then.size,
                then.erasesize,
                then.writesize,
                then.oobsize,
                now.size,
                now.erasesize,
                now.writesize,
                now.oobsize,
                if same_sizes(&then, now) {
                    ", with another type, ECC, lock or OTP"
                } else {
                    ""
                }
            );
            Problem::new(path, 0, what)
        }
    }
}

fn same_sizes(then: &flash::Geometry, now: &flash::Geometry) -> bool {
    let sizes = |geometry: &flash::Geometry| {
        (
            geometry.size,
            geometry.erasesize,
            geometry.writesize,
            geometry.oobsize,
        )
    };
    sizes(then) == sizes(now)
}

/// Somebody without this ledger wrote the image: every permission to skip reading is void.
#[inline(never)]
fn void_hints_of_changed_image(
    os: &impl Os,
    files: &ChipFiles,
    made: Made,
    path: &PathText,
) -> Result<(), Problem> {
    let failed = |errno| {
        Problem::of_errno(
            path,
            "lock this side file",
            errno,
            "use a file system with record locks",
        )
    };
    files.acquire(os).map_err(|error| failed(error.0))?;
    if !files.is_as_recorded(os) {
        let ledger = files.ledger();
        if !made.side {
            ledger.next_epoch(&files.geometry);
        }
        // Who comes to what waits for a flush must see, too, that the image was changed.
        if !ledger.is_cached() {
            files.record_stamp(os);
        }
    }
    files.lock().release(os);
    Ok(())
}
