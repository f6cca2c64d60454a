//! An image that is new here gets what a probe and a programmer would have given it: its marked bad blocks are noted in
//! the ledger, and a NAND image without a spare area gets the codes that belong to its pages.
//!
//! All of it happens before the side file has its name: who dies on the way leaves a chip that is prepared again.
//! The rules are the chip's own (`flash`); here are only the files.

use flash::{Area, Chip, FlashError, GuestFault, GuestMemory, Ledger, Medium, MediumError, OpMode};
use flash::{SCRATCH_SIZE, Scratch, Sink, Source};

use super::ChipPaths;
use crate::board::ChipConfig;
use crate::mapping::buffer;
use crate::os::{Fd, OpenMode, Os, errno, pread_exact, pwrite_all};
use crate::problem::Problem;
use crate::text::PathText;

/// Main and spare area of a chip that nobody else uses yet.
struct NewMedium<'a, O: Os> {
    os: &'a O,
    image_fd: Fd,
    oob_fd: Fd,
    /// Why the files failed last.
    errno: i32,
}

impl<O: Os> NewMedium<'_, O> {
    fn fd(&self, area: Area) -> Result<Fd, MediumError> {
        match area {
            Area::Main => Ok(self.image_fd),
            Area::Oob => Ok(self.oob_fd),
            Area::OtpUser | Area::OtpFactory => Err(MediumError::Store),
        }
    }

    fn done(&mut self, result: Result<(), i32>) -> Result<(), MediumError> {
        result.map_err(|errno| {
            self.errno = errno;
            MediumError::Store
        })
    }
}

impl<O: Os> Medium for NewMedium<'_, O> {
    fn read(&mut self, area: Area, offset: u64, to: Sink<'_>) -> Result<(), MediumError> {
        let Sink::Bytes(bytes) = to else {
            return Err(MediumError::Guest);
        };
        let result = pread_exact(self.os, self.fd(area)?, bytes, offset);
        self.done(result)
    }

    fn write(&mut self, area: Area, offset: u64, from: Source<'_>) -> Result<(), MediumError> {
        let Source::Bytes(bytes) = from else {
            return Err(MediumError::Guest);
        };
        if area == Area::Main {
            // A page programmed onto itself stays what it is, so the image need not even be writable.
            return Ok(());
        }
        let result = pwrite_all(self.os, self.fd(area)?, bytes, offset);
        self.done(result)
    }

    /// Preparing never erases.
    fn erase(&mut self, _area: Area, _offset: u64, _length: u64) -> Result<(), MediumError> {
        Err(MediumError::Store)
    }

    fn sync(&mut self) -> Result<(), MediumError> {
        Ok(())
    }
}

impl<O: Os> GuestMemory for NewMedium<'_, O> {
    fn copy_in(&mut self, _address: usize, _to: &mut [u8]) -> Result<(), GuestFault> {
        Err(GuestFault)
    }

    fn copy_out(&mut self, _address: usize, _from: &[u8]) -> Result<(), GuestFault> {
        Err(GuestFault)
    }

    fn check_readable(&mut self, _address: usize, _length: usize) -> Result<(), GuestFault> {
        Err(GuestFault)
    }
}

/// A descriptor of ours, or one that somebody else closes.
struct Held<'a, O: Os> {
    os: &'a O,
    fd: Fd,
    is_ours: bool,
}

impl<'a, O: Os> Held<'a, O> {
    fn of(os: &'a O, new: Option<Fd>, path: &PathText, mode: OpenMode) -> Result<Self, Problem> {
        if let Some(fd) = new {
            return Ok(Held {
                os,
                fd,
                is_ours: false,
            });
        }
        let failed =
            |errno| Problem::of_errno(path, "open this file", errno, "give permission to it");
        let fd = os.open(path.as_cstr(), mode).map_err(failed)?;
        Ok(Held {
            os,
            fd,
            is_ours: true,
        })
    }
}

impl<O: Os> Drop for Held<'_, O> {
    fn drop(&mut self) {
        if self.is_ours {
            self.os.close(self.fd);
        }
    }
}

/// Prepares a chip that gets its side file. `new`: image and spare-area file that do not have their names yet.
#[inline(never)]
pub fn prepare(
    os: &impl Os,
    config: &ChipConfig,
    paths: &ChipPaths,
    new: (Option<Fd>, Option<Fd>),
    ledger: &Ledger<'_>,
) -> Result<(), Problem> {
    let is_new_image = new.0.is_some();
    if config.geometry.oobsize == 0 || (is_new_image && config.bad_blocks().is_empty()) {
        return Ok(());
    }
    let marks = !config.bad_blocks().is_empty();
    let mode = if marks {
        OpenMode::ReadWrite
    } else {
        OpenMode::ReadOnly
    };
    let image = Held::of(os, new.0, &paths.image, OpenMode::ReadOnly)?;
    let oob = Held::of(os, new.1, &paths.oob, mode)?;
    if marks {
        mark_factory_bad_blocks(os, oob.fd, config).map_err(|errno| {
            let fix = "make this file writable";
            Problem::of_errno(&paths.oob, "mark factory bad blocks", errno, fix)
        })?;
    }
    let mut medium = NewMedium {
        os,
        image_fd: image.fd,
        oob_fd: oob.fd,
        errno: errno::ENOMEM,
    };
    let compute_codes = !is_new_image && new.1.is_some();
    if compute_codes && config.geometry.ecc_total_bytes() > 0 {
        let name = config.name.as_str();
        let what = format_args!(
            "chip {name} has an image and no spare area; making it, with the ECC of every page; this happens once"
        );
        Problem::new(&paths.oob, 0, what).report(os);
    }
    let result = prepare_chip(&mut medium, ledger, config, compute_codes);
    let errno = medium.errno;
    result.map_err(|_| {
        Problem::of_errno(
            &paths.oob,
            "prepare the spare area",
            errno,
            "look at this file",
        )
    })
}

/// The maker of a chip marks bad blocks in the spare area of their pages; nandsim, too, in all that are looked at.
fn mark_factory_bad_blocks(os: &impl Os, oob_fd: Fd, config: &ChipConfig) -> Result<(), i32> {
    let geometry = &config.geometry;
    let pages_per_block = geometry
        .erasesize
        .checked_div(geometry.writesize)
        .unwrap_or(0);
    for &block in config.bad_blocks() {
        let first = u64::from(block).saturating_mul(u64::from(pages_per_block));
        for page in geometry.mark_pages() {
            let start = (first + u64::from(page)).saturating_mul(u64::from(geometry.oobsize));
            let at = start.saturating_add(u64::from(geometry.bad_block_position()));
            let mut mark = [0xff];
            pread_exact(os, oob_fd, &mut mark, at)?;
            if mark == [0xff] {
                pwrite_all(os, oob_fd, &[0], at)?;
            }
        }
    }
    Ok(())
}

/// Notes marked blocks; with `compute_codes`, also programs every page onto itself, which adds its codes and changes
/// nothing else.
#[inline(never)]
fn prepare_chip<O: Os>(
    medium: &mut NewMedium<'_, O>,
    ledger: &Ledger<'_>,
    config: &ChipConfig,
    compute_codes: bool,
) -> Result<(), FlashError> {
    let geometry = &config.geometry;
    let mut memory = buffer(SCRATCH_SIZE).ok_or(FlashError::Store)?;
    let code = flash::Code::of(geometry);
    let mut chip = Chip {
        geometry,
        ledger,
        code: code.as_ref(),
        medium,
        scratch: <&mut Scratch>::try_from(&mut *memory).map_err(|_| FlashError::Store)?,
    };
    chip.scan_factory_bad_blocks()?;
    if !compute_codes || geometry.ecc_total_bytes() == 0 {
        return Ok(());
    }
    let page_length = geometry.writesize as usize;
    let mut page = buffer(page_length).ok_or(FlashError::Store)?;
    for number in 0..geometry.page_count() {
        let at = number.saturating_mul(u64::from(geometry.writesize));
        if chip.is_bad(at)? {
            continue;
        }
        let bytes = page.get_mut(..page_length).unwrap_or(&mut []);
        chip.medium.read(Area::Main, at, Sink::Bytes(bytes))?;
        // An erased page has erased codes.
        if bytes.iter().any(|&byte| byte != 0xff) {
            chip.program(at, Source::Bytes(bytes), OpMode::Place).1?;
        }
    }
    Ok(())
}
