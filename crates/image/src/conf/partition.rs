//! Partitions of a chip, from tables, `mtdparts` or a captured /proc/mtd, as devices of the board.
//!
//! Like the kernel, nothing is refused for lying outside, overlapping or being unaligned; like the kernel's log, a
//! line tells of it when the board is compiled.

use mtd_abi::flag;

use super::chip::ChipDraft;
use super::lex::Value;
use super::{At, mtdparts, proc_mtd};
use crate::board::layout::BoardWords;
use crate::board::{ChipConfig, FILE_NAME_BYTES, MTD_NAME_BYTES, Request, master_request, place};
use crate::mapping::buffer;
use crate::os::{OpenMode, Os, errno, pread_exact};
use crate::problem::Problem;
use crate::text::{PathText, Text};

const KEYS: &[&str] = &["name", "offset", "size", "readonly", "image", "oob"];
const PROC_MTD_BYTES_MAX: u64 = 1 << 16;

/// One `[[chip.NAME.partition]]`, or a part from elsewhere.
#[derive(Clone, Copy)]
pub struct PartitionDraft<'a> {
    at: At<'a>,
    lines: [u32; KEYS.len()],
    name: Option<&'a str>,
    offset: Option<u64>,
    size: Option<u64>,
    is_read_only: bool,
    keeps_lock: bool,
    image: Option<&'a str>,
    oob: Option<&'a str>,
}

impl<'a> PartitionDraft<'a> {
    pub fn new(at: At<'a>) -> Self {
        PartitionDraft {
            at,
            lines: [0; KEYS.len()],
            name: None,
            offset: None,
            size: None,
            is_read_only: false,
            keeps_lock: false,
            image: None,
            oob: None,
        }
    }

    pub fn set(&mut self, key: &'a str, value: Value<'a>, at: At<'a>) -> Result<(), Problem> {
        let index = at.index_of_key(KEYS, key)?;
        if let Some(line) = self.lines.get_mut(index) {
            at.check_first(key, *line)?;
            *line = at.line;
        }
        match key {
            "name" => self.name = Some(at.short_text::<MTD_NAME_BYTES>(key, value)?),
            "offset" => self.offset = Some(at.size(key, value)?),
            "size" => self.size = Some(at.size(key, value)?),
            "readonly" => self.is_read_only = at.flag(key, value)?,
            "image" => self.image = Some(at.short_text::<FILE_NAME_BYTES>(key, value)?),
            _ => self.oob = Some(at.short_text::<FILE_NAME_BYTES>(key, value)?),
        }
        Ok(())
    }
}

/// A chip whose partitions are being collected.
pub struct ChipInWork<'a> {
    draft: ChipDraft<'a>,
    index: usize,
    chip: ChipConfig,
    /// Where the last partition ended.
    end: u64,
    partition_count: u32,
}

impl<'a> ChipInWork<'a> {
    pub fn begin(
        os: &impl Os,
        directory: &PathText,
        board: &BoardWords<'_>,
        mut draft: ChipDraft<'a>,
    ) -> Result<Self, Problem> {
        let sources = [("mtdparts", draft.mtdparts), ("proc_mtd", draft.proc_mtd)];
        if sources.iter().all(|(_, source)| source.is_some()) {
            return Err(draft.at_key("proc_mtd").problem(
                format_args!("chip {} has both mtdparts and proc_mtd", draft.name),
                format_args!("keep one of them"),
            ));
        }
        let definition = find_definition(&mut draft)?;
        let name = draft.image.unwrap_or("");
        let image = PathText::join(directory, if name.is_empty() { draft.name } else { name });
        let image = if name.is_empty() {
            image.with_suffix(".bin")
        } else {
            image
        };
        let size_of_image = os.stat(image.as_cstr()).ok().map(|status| status.size);
        let chip = draft.resolve(board.chip_count(), size_of_image)?;
        let index = add_chip(board, &chip, draft.at)?;
        let mut work = ChipInWork {
            draft,
            index,
            chip,
            end: 0,
            partition_count: 0,
        };
        if work.draft.keep_master {
            let at = work.draft.at;
            register(board, &master_request(index, &work.chip), at)?;
        }
        if let Some(definition) = definition {
            work.add_mtdparts(os, board, definition)?;
        }
        if let Some(name) = work.draft.proc_mtd {
            work.add_proc_mtd(os, board, &PathText::join(directory, name))?;
        }
        Ok(work)
    }

    pub fn name(&self) -> &'a str {
        self.draft.name
    }

    pub fn begin_partition(&self, at: At<'_>) -> Result<(), Problem> {
        if self.draft.mtdparts.or(self.draft.proc_mtd).is_none() {
            return Ok(());
        }
        let what = format_args!(
            "chip {} already has its partitions from mtdparts or proc_mtd",
            self.draft.name
        );
        Err(at.problem(what, format_args!("remove one of the two")))
    }

    /// Without partitions, the chip itself is the device.
    pub fn end(self, board: &BoardWords<'_>) -> Result<(), Problem> {
        if self.partition_count == 0 && !self.draft.keep_master {
            let mut request = master_request(self.index, &self.chip);
            request.is_partition = self.draft.is_one_partition();
            register(board, &request, self.draft.at)?;
        }
        Ok(())
    }

    pub fn add(
        &mut self,
        os: &impl Os,
        board: &BoardWords<'_>,
        part: &PartitionDraft<'_>,
    ) -> Result<(), Problem> {
        let ordinal = self.partition_count;
        let mut name = Text::<MTD_NAME_BYTES>::new();
        // Writing to a Text never fails.
        let _ = match part.name {
            Some(name_said) => core::fmt::Write::write_str(&mut name, name_said),
            None => core::fmt::Write::write_fmt(&mut name, format_args!("Partition_{ordinal:03}")),
        };
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
            part.at,
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
        };
        if part.image.is_some() {
            request.chip = self.add_own_chip(board, part, &name, placed.size, placed.erasesize)?;
            request.offset = 0;
        }
        register(board, &request, part.at)?;
        self.end = offset.saturating_add(placed.size);
        self.partition_count += 1;
        Ok(())
    }

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
            let what = format_args!(
                "partition \"{name}\" lies behind the end of chip {chip}, which has {total} bytes"
            );
            at.problem(
                what,
                format_args!("like the kernel, it is kept with size 0"),
            )
            .report(os);
        } else if size < wanted {
            let what = format_args!(
                "partition \"{name}\" goes beyond the end of chip {chip}, which has {total} bytes"
            );
            at.problem(
                what,
                format_args!("like the kernel, it is cut to {size} bytes"),
            )
            .report(os);
        }
        if is_unaligned {
            let what =
                format_args!("partition \"{name}\" does not lie on eraseblocks of chip {chip}");
            at.problem(what, format_args!("like the kernel, it is read-only"))
                .report(os);
        }
    }

    /// A partition with a file of its own is a chip of its size with the same rules.
    fn add_own_chip(
        &self,
        board: &BoardWords<'_>,
        part: &PartitionDraft<'_>,
        name: &Text<MTD_NAME_BYTES>,
        size: u64,
        erasesize: u32,
    ) -> Result<usize, Problem> {
        let mut chip = self.chip.clone();
        chip.name = Text::new();
        let ordinal = self.partition_count;
        let _ = core::fmt::Write::write_fmt(
            &mut chip.name,
            format_args!("{}.{ordinal}", self.draft.name),
        );
        chip.mtd_name = *name;
        chip.image = Text::of(part.image.unwrap_or(""));
        chip.oob = Text::of(part.oob.unwrap_or(""));
        chip.bad_block_count = 0;
        chip.geometry.size = size;
        chip.geometry.erasesize = erasesize;
        chip.geometry.region_count = 0;
        chip.geometry.regions = Default::default();
        chip.geometry.otp_user = Default::default();
        chip.geometry.otp_factory = Default::default();
        chip.geometry.check().map_err(|what| {
            let what =
                format_args!("partition \"{name}\" with a file of its own cannot be: {what}");
            part.at.problem(
                what,
                format_args!("make its size a multiple of {erasesize}"),
            )
        })?;
        add_chip(board, &chip, part.at)
    }

    fn add_mtdparts(
        &mut self,
        os: &impl Os,
        board: &BoardWords<'_>,
        definition: mtdparts::Definition<'_>,
    ) -> Result<(), Problem> {
        let at = self.draft.at_key("mtdparts");
        for part in definition.parts() {
            let part = part.map_err(|what| mtdparts_problem(at, what))?;
            let mut draft = PartitionDraft::new(at);
            draft.name = (!part.name.is_empty()).then_some(part.name);
            draft.offset = part.offset;
            draft.size = part.size;
            draft.is_read_only = part.is_read_only;
            draft.keeps_lock = part.keeps_lock;
            if part.name.len() >= MTD_NAME_BYTES {
                return Err(mtdparts_problem(at, "a name is longer than 63 bytes"));
            }
            // The rest of a chip that is used up: the kernel skips it.
            if part.size.is_some() || part.offset.unwrap_or(self.end) != self.chip.geometry.size {
                self.add(os, board, &draft)?;
            }
        }
        Ok(())
    }

    fn add_proc_mtd(
        &mut self,
        os: &impl Os,
        board: &BoardWords<'_>,
        path: &PathText,
    ) -> Result<(), Problem> {
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
            start.problem(
                format_args!("this is not UTF-8"),
                format_args!("is it a captured /proc/mtd?"),
            )
        })?;
        let erasesize = self.chip.geometry.erasesize;
        let mut total = 0u64;
        for (index, line) in text.lines().enumerate() {
            let at = At {
                line: index as u32 + 1,
                ..start
            };
            let fix = format_args!("capture it again with: cat /proc/mtd");
            let Some(row) =
                proc_mtd::row(line).map_err(|what| at.problem(format_args!("{what}"), fix))?
            else {
                continue;
            };
            if row.erasesize != erasesize && self.chip.geometry.region_count <= 1 {
                let what = format_args!(
                    "\"{}\" has erasesize {}, chip {} {erasesize}",
                    row.name, row.erasesize, self.draft.name
                );
                return Err(at.problem(
                    what,
                    format_args!("write erasesize = {} there", row.erasesize),
                ));
            }
            total = total.saturating_add(row.size);
            if row.name.len() >= MTD_NAME_BYTES {
                return Err(at.problem(
                    format_args!("the name is longer than 63 bytes"),
                    format_args!("shorten it"),
                ));
            }
            let mut draft = PartitionDraft::new(at);
            draft.name = Some(row.name);
            draft.size = Some(row.size);
            self.add(os, board, &draft)?;
        }
        if total > self.chip.geometry.size {
            let what = format_args!(
                "these sizes make {total} bytes and chip {} has {}",
                self.draft.name, self.chip.geometry.size
            );
            let fix = format_args!(
                "keep the lines of this chip; overlapping ones need [[chip.{}.partition]]",
                self.draft.name
            );
            return Err(start.problem(what, fix));
        }
        Ok(())
    }
}

/// The definition of `mtdparts` that is meant for this chip; it also tells the chip's name when nothing else does.
fn find_definition<'a>(
    draft: &mut ChipDraft<'a>,
) -> Result<Option<mtdparts::Definition<'a>>, Problem> {
    let Some(text) = draft.mtdparts else {
        return Ok(None);
    };
    let at = draft.at_key("mtdparts");
    let mut only = None;
    let mut count = 0;
    for definition in mtdparts::definitions(text) {
        let definition = definition.map_err(|what| mtdparts_problem(at, what))?;
        if draft.mtd_name == Some(definition.id) {
            return Ok(Some(definition));
        }
        only = Some(definition);
        count += 1;
    }
    match (only, draft.mtd_name) {
        (Some(definition), None) if count == 1 && definition.id.len() < MTD_NAME_BYTES => {
            draft.mtd_name = Some(definition.id);
            Ok(Some(definition))
        }
        (Some(definition), _) => {
            let what = format_args!("mtdparts does not name chip {} clearly", draft.name);
            Err(at.problem(
                what,
                format_args!(
                    "write name = \"{}\", or correct the ID in mtdparts",
                    definition.id
                ),
            ))
        }
        (None, _) => Err(mtdparts_problem(at, "it is empty")),
    }
}

fn mtdparts_problem(at: At<'_>, what: &str) -> Problem {
    at.problem(
        format_args!("mtdparts cannot be read: {what}"),
        format_args!("write \"ID:size[@offset](name)[ro][lk],...\", size - for the rest"),
    )
}

fn add_chip(board: &BoardWords<'_>, chip: &ChipConfig, at: At<'_>) -> Result<usize, Problem> {
    board.add_chip(chip).ok_or_else(|| {
        let what = format_args!("the board has more than {} chips", crate::board::CHIPS_MAX);
        at.problem(
            what,
            format_args!("partitions with a file of their own count as chips"),
        )
    })
}

fn register(board: &BoardWords<'_>, request: &Request<'_>, at: At<'_>) -> Result<u32, Problem> {
    board.devices().register(request).ok_or_else(|| {
        let what = format_args!(
            "the board has more than {} devices",
            crate::board::DEVICES_MAX
        );
        at.problem(what, format_args!("remove some partitions"))
    })
}
