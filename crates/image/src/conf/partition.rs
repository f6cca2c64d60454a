//! Partitions of a chip, from tables, `mtdparts` or a captured /proc/mtd, as devices of the board.
//!
//! Like the kernel, nothing is refused for lying outside, overlapping or being unaligned; like the kernel's log, a
//! line tells of it when the board is compiled.

use mtd_abi::flag;

use super::keys::{Draft, Keys, Takes};
use super::scan::Scan;
use super::{At, chip, mtdparts, proc_mtd};
use crate::board::layout::BoardWords;
use crate::board::{ChipConfig, Hardware, MTD_NAME_BYTES, Placed, Request, master_request, place};
use crate::mapping::buffer;
use crate::os::{OpenMode, Os, errno, pread_exact};
use crate::problem::Problem;
use crate::text::{PathText, Text};

const NAME: usize = 0;
const OFFSET: usize = 1;
const SIZE: usize = 2;
const READONLY: usize = 3;
const IMAGE: usize = 4;
const OOB: usize = 5;
const UEVENT: usize = 6;

pub static KEYS: Keys = Keys {
    names: "name offset size readonly image oob uevent",
    takes: &[
        Takes::Name,
        Takes::Size,
        Takes::Size,
        Takes::Flag,
        Takes::File,
        Takes::File,
        Takes::File,
    ],
};
const PROC_MTD_BYTES_MAX: u64 = 1 << 16;

/// One `[[chip.NAME.partition]]`, or a part from elsewhere.
#[derive(Clone, Copy)]
struct Part<'a> {
    at: At<'a>,
    part: mtdparts::Part<'a>,
    image: Option<&'a str>,
    oob: Option<&'a str>,
    uevent: Option<&'a str>,
}

/// A chip whose partitions are being collected.
pub struct ChipInWork<'a> {
    pub draft: Draft<'a>,
    index: usize,
    chip: ChipConfig,
    hardware: Hardware,
    /// Where the last partition ended.
    end: u64,
    partition_count: u32,
}

impl<'a> ChipInWork<'a> {
    pub fn new(name: &'a str, at: At<'a>) -> Self {
        ChipInWork {
            draft: Draft::new(&chip::KEYS, name, at),
            index: 0,
            chip: ChipConfig::empty(),
            hardware: Default::default(),
            end: 0,
            partition_count: 0,
        }
    }

    /// The chip's own keys are complete.
    #[inline(never)]
    pub fn begin(
        &mut self,
        os: &impl Os,
        directory: &PathText,
        board: &BoardWords<'_>,
    ) -> Result<(), Problem> {
        let draft = &mut self.draft;
        let definition = find_definition(draft)?;
        let proc_mtd = draft.text(chip::PROC_MTD);
        if definition.is_some() && proc_mtd.is_some() {
            return Err(draft.at_key(chip::PROC_MTD).problem(format_args!(
                "chip {} has both mtdparts and proc_mtd; keep one of them",
                draft.name
            )));
        }
        let size_of_image = size_of_image(os, directory, draft);
        chip::resolve(draft, board.chip_count(), size_of_image, &mut self.chip)?;
        if let Some(definition) = &definition
            && !draft.is_said(chip::NAME)
        {
            self.chip.mtd_name.set(definition.id);
        }
        let parent_uevent = draft.text(chip::PARENT_UEVENT).unwrap_or("");
        // Most drivers give a chip the node of the device that it hangs on.
        let uevent = draft.text(chip::UEVENT).unwrap_or(parent_uevent);
        let hardware = &mut self.hardware;
        hardware.parent.set(draft.text(chip::PARENT).unwrap_or(""));
        hardware.parent_uevent.set(parent_uevent);
        hardware.uevent.set(uevent);
        self.index = self.add_chip(board, &self.chip, self.draft.at)?;
        if self.draft.flag(chip::KEEP_MASTER) {
            let mut request = master_request(self.index, &self.chip);
            request.uevent = self.hardware.uevent.as_str();
            register(board, &request, self.draft.at)?;
        }
        if let Some(definition) = definition {
            self.add_mtdparts(os, board, definition)?;
        }
        match proc_mtd {
            Some(name) => self.add_proc_mtd(os, board, directory, name),
            None => Ok(()),
        }
    }

    pub fn name(&self) -> &'a str {
        self.draft.name
    }

    pub fn begin_partition(&self, at: At<'_>) -> Result<(), Problem> {
        if !self.draft.is_said(chip::MTDPARTS) && !self.draft.is_said(chip::PROC_MTD) {
            return Ok(());
        }
        Err(at.problem(format_args!(
            "chip {} already has its partitions from mtdparts or proc_mtd; remove one of the two",
            self.draft.name
        )))
    }

    /// Without partitions, the chip itself is the device.
    pub fn end(&self, board: &BoardWords<'_>) -> Result<(), Problem> {
        if self.partition_count == 0 && !self.draft.flag(chip::KEEP_MASTER) {
            let mut request = master_request(self.index, &self.chip);
            request.uevent = self.hardware.uevent.as_str();
            // The simulator makes one partition of the whole chip when nobody asks for others.
            request.is_partition = chip::is_simulator(&self.draft);
            register(board, &request, self.draft.at)?;
        }
        Ok(())
    }

    /// A table of the text.
    pub fn add_draft(
        &mut self,
        os: &impl Os,
        board: &BoardWords<'_>,
        draft: &Draft<'_>,
    ) -> Result<(), Problem> {
        let part = Part {
            at: draft.at,
            part: mtdparts::Part {
                size: draft.number(SIZE),
                offset: draft.number(OFFSET),
                name: draft.text(NAME).unwrap_or(""),
                is_read_only: draft.flag(READONLY),
                keeps_lock: false,
            },
            image: draft.text(IMAGE),
            oob: draft.text(OOB),
            uevent: draft.text(UEVENT),
        };
        self.add(os, board, &part)
    }

    fn add_part(
        &mut self,
        os: &impl Os,
        board: &BoardWords<'_>,
        at: At<'_>,
        part: mtdparts::Part<'_>,
    ) -> Result<(), Problem> {
        let part = Part {
            at,
            part,
            image: None,
            oob: None,
            uevent: None,
        };
        self.add(os, board, &part)
    }

    #[inline(never)]
    fn add(
        &mut self,
        os: &impl Os,
        board: &BoardWords<'_>,
        &Part {
            at,
            ref part,
            image,
            oob,
            uevent,
        }: &Part<'_>,
    ) -> Result<(), Problem> {
        let mut name = Text::<MTD_NAME_BYTES>::of(part.name);
        if name.is_empty() {
            let ordinal = self.partition_count;
            name.write(format_args!("Partition_{ordinal:03}"));
        }
        let offset = part.offset.unwrap_or(self.end);
        let geometry = &self.chip.geometry;
        let wanted = part.size.unwrap_or(geometry.size.saturating_sub(offset));
        let locked_flags = if part.keeps_lock {
            flag::POWERUP_LOCK
        } else {
            0
        };
        let cleared = locked_flags
            | if part.is_read_only {
                flag::WRITEABLE
            } else {
                0
            };
        let parent_flags = self.chip.mtd_flags & !cleared;
        let placed = place(geometry, parent_flags, offset, wanted);
        self.warn(
            os,
            at,
            name.as_str(),
            wanted,
            placed.size,
            parent_flags != placed.flags,
        );
        let mut request = Request {
            name: name.as_str(),
            chip: self.index,
            offset: placed.offset,
            parent_offset: placed.offset,
            size: placed.size,
            erasesize: placed.erasesize,
            flags: placed.flags,
            is_partition: true,
            bitflip_threshold: geometry.bitflip_threshold_default(),
            uevent: uevent.unwrap_or(""),
        };
        if let Some(image) = image {
            let files = (image, oob.unwrap_or(""));
            request.chip = self.add_own_chip(board, at, files, &name, &placed)?;
            request.offset = 0;
        }
        register(board, &request, at)?;
        self.end = offset.saturating_add(placed.size);
        self.partition_count += 1;
        Ok(())
    }

    #[inline(never)]
    fn warn(
        &self,
        os: &impl Os,
        at: At<'_>,
        name: &str,
        wanted: u64,
        size: u64,
        is_unaligned: bool,
    ) {
        let chip = self.draft.name;
        let total = self.chip.geometry.size;
        if size == 0 && wanted != 0 {
            at.problem(format_args!(
                "partition \"{name}\" lies behind the end of chip {chip}, which has {total} bytes; \
                 like the kernel, it is kept with size 0"
            ))
            .report(os);
        } else if size < wanted {
            at.problem(format_args!(
                "partition \"{name}\" goes beyond the end of chip {chip}, which has {total} bytes; \
                 like the kernel, it is cut to {size} bytes"
            ))
            .report(os);
        }
        if is_unaligned {
            at.problem(format_args!(
                "partition \"{name}\" does not lie on eraseblocks of chip {chip}; like the kernel, it is read-only"
            ))
            .report(os);
        }
    }

    fn add_chip(
        &self,
        board: &BoardWords<'_>,
        chip: &ChipConfig,
        at: At<'_>,
    ) -> Result<usize, Problem> {
        let image = &chip.image;
        if !image.is_empty() && board.has_chip(&|other| other.image == *image) {
            return Err(at.problem(format_args!(
                "the image {image} is another chip's already; name another file"
            )));
        }
        let index = board.add_chip(chip).ok_or_else(|| {
            at.problem(format_args!(
                "the board has more than {} chips; \
                 partitions with a file of their own count as chips",
                crate::board::CHIPS_MAX
            ))
        })?;
        let place = &self.hardware;
        if !place.parent.is_empty() {
            board.put_hardware(index, &place.parent, &place.parent_uevent);
        }
        Ok(index)
    }

    /// A partition with a file of its own is a chip of its size with the same rules.
    #[inline(never)]
    fn add_own_chip(
        &self,
        board: &BoardWords<'_>,
        at: At<'_>,
        (image, oob): (&str, &str),
        name: &Text<MTD_NAME_BYTES>,
        placed: &Placed,
    ) -> Result<usize, Problem> {
        let mut chip = self.chip.clone();
        chip.name.write(format_args!(".{}", self.partition_count));
        chip.mtd_name = *name;
        chip.image.set(image);
        chip.oob.set(oob);
        chip.bad_block_count = 0;
        chip.otp_factory_data.set("");
        let geometry = &mut chip.geometry;
        geometry.size = placed.size;
        geometry.erasesize = placed.erasesize;
        geometry.region_count = 0;
        geometry.regions = Default::default();
        geometry.otp_user = Default::default();
        geometry.otp_factory = Default::default();
        geometry.check().map_err(|what| {
            at.problem(format_args!(
                "partition \"{name}\" with a file of its own cannot be: {what}; \
                 make its size a multiple of {}",
                placed.erasesize
            ))
        })?;
        self.add_chip(board, &chip, at)
    }

    #[inline(never)]
    fn add_mtdparts(
        &mut self,
        os: &impl Os,
        board: &BoardWords<'_>,
        definition: mtdparts::Definition<'_>,
    ) -> Result<(), Problem> {
        let at = self.draft.at_key(chip::MTDPARTS);
        for part in definition.parts() {
            let part = part.map_err(|what| mtdparts_problem(at, what))?;
            if part.name.len() >= MTD_NAME_BYTES {
                return Err(mtdparts_problem(at, "a name is longer than 63 bytes"));
            }
            // The rest of a chip that is used up: the kernel skips it.
            if part.size.is_some() || part.offset.unwrap_or(self.end) != self.chip.geometry.size {
                self.add_part(os, board, at, part)?;
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn add_proc_mtd(
        &mut self,
        os: &impl Os,
        board: &BoardWords<'_>,
        directory: &PathText,
        name: &str,
    ) -> Result<(), Problem> {
        let path = &PathText::join(directory, name);
        let failed = |errno| {
            Problem::of_errno(
                path,
                "read the captured /proc/mtd",
                errno,
                "correct proc_mtd",
            )
        };
        let fd = os
            .open(path.as_cstr(), OpenMode::ReadOnly)
            .map_err(failed)?;
        let size = os
            .fstat(fd)
            .map(|status| status.size.min(PROC_MTD_BYTES_MAX))
            .unwrap_or(0) as usize;
        let mut bytes = buffer(size);
        let read = match bytes.as_mut().and_then(|bytes| bytes.get_mut(..size)) {
            Some(bytes) => pread_exact(os, fd, bytes, 0),
            None => Err(errno::ENOMEM),
        };
        os.close(fd);
        read.map_err(failed)?;
        let bytes = bytes
            .as_deref()
            .and_then(|bytes| bytes.get(..size))
            .unwrap_or(&[]);
        self.add_rows(os, board, path, bytes)
    }

    #[inline(never)]
    fn add_rows(
        &mut self,
        os: &impl Os,
        board: &BoardWords<'_>,
        path: &PathText,
        text: &[u8],
    ) -> Result<(), Problem> {
        let start = At {
            file: path,
            line: 1,
        };
        let text = core::str::from_utf8(text).map_err(|_| {
            start.problem(format_args!(
                "this is not UTF-8; is it a captured /proc/mtd?"
            ))
        })?;
        let erasesize = self.chip.geometry.erasesize;
        let mut total = 0u64;
        let mut scan = Scan::whole(text);
        let mut at = At { line: 0, ..start };
        while !scan.rest.is_empty() {
            let line = scan.take_until(b'\n');
            at.line += 1;
            let again = "capture it again with: cat /proc/mtd";
            let Some(row) =
                proc_mtd::row(line).map_err(|what| at.problem(format_args!("{what}; {again}")))?
            else {
                continue;
            };
            if row.erasesize != erasesize && self.chip.geometry.region_count <= 1 {
                return Err(at.problem(format_args!(
                    "\"{}\" has erasesize {}, chip {} {erasesize}; write erasesize = {} there",
                    row.name, row.erasesize, self.draft.name, row.erasesize
                )));
            }
            total = total.saturating_add(row.size);
            if row.name.len() >= MTD_NAME_BYTES {
                return Err(
                    at.problem(format_args!("the name is longer than 63 bytes; shorten it"))
                );
            }
            let part = mtdparts::Part {
                size: Some(row.size),
                offset: None,
                name: row.name,
                is_read_only: false,
                keeps_lock: false,
            };
            self.add_part(os, board, at, part)?;
        }
        if total > self.chip.geometry.size {
            let (name, size) = (self.draft.name, self.chip.geometry.size);
            return Err(start.problem(format_args!(
                "these sizes make {total} bytes and chip {name} has {size}; keep the lines of this chip; \
                 overlapping ones need [[chip.{name}.partition]]"
            )));
        }
        Ok(())
    }
}

/// Of what is there before the chip is made.
#[inline(never)]
fn size_of_image(os: &impl Os, directory: &PathText, draft: &Draft<'_>) -> Option<u64> {
    let image = match draft.text(chip::IMAGE) {
        Some(name) => PathText::join(directory, name),
        None => PathText::join(directory, draft.name).with_suffix(".bin"),
    };
    Some(os.stat(image.as_cstr()).ok()?.size)
}

/// The definition of `mtdparts` that is meant for this chip.
#[inline(never)]
fn find_definition<'a>(draft: &Draft<'a>) -> Result<Option<mtdparts::Definition<'a>>, Problem> {
    let Some(text) = draft.text(chip::MTDPARTS) else {
        return Ok(None);
    };
    let at = draft.at_key(chip::MTDPARTS);
    let name = draft.text(chip::NAME);
    let mut only = None;
    let mut count = 0;
    for definition in mtdparts::definitions(text) {
        let definition = definition.map_err(|what| mtdparts_problem(at, what))?;
        if name == Some(definition.id) {
            return Ok(Some(definition));
        }
        only = Some(definition);
        count += 1;
    }
    match only {
        // It also tells the chip's name when nothing else does.
        Some(definition)
            if name.is_none() && count == 1 && definition.id.len() < MTD_NAME_BYTES =>
        {
            Ok(only)
        }
        Some(definition) => Err(at.problem(format_args!(
            "mtdparts does not name chip {} clearly; \
             write name = \"{}\", or correct the ID in mtdparts",
            draft.name, definition.id
        ))),
        None => Err(mtdparts_problem(at, "it is empty")),
    }
}

fn mtdparts_problem(at: At<'_>, what: &str) -> Problem {
    at.problem(format_args!(
        "mtdparts cannot be read: {what}; \
         write \"ID:size[@offset](name)[ro][lk],...\", size - for the rest"
    ))
}

fn register(board: &BoardWords<'_>, request: &Request<'_>, at: At<'_>) -> Result<u32, Problem> {
    board.devices().register(request).ok_or_else(|| {
        at.problem(format_args!(
            "the board has more than {} devices; remove some partitions",
            crate::board::DEVICES_MAX
        ))
    })
}
