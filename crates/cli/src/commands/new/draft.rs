//! A board on paper: what the sources of `new` fill in, and the mtdshim.conf it becomes.
//!
//! Must not know: where a draft comes from.

use std::fmt::Write;

use crate::args::ChipArgs;
use crate::bytes;

#[derive(Default, Debug, Clone)]
pub struct PartitionDraft {
    pub name: String,
    /// None: where the one before ended.
    pub offset: Option<u64>,
    /// None: the rest.
    pub size: Option<u64>,
    pub readonly: bool,
    /// A file of its own.
    pub image: Option<String>,
    /// Its node in the device tree, as its uevent has it.
    pub uevent: Option<String>,
}

#[derive(Default, Debug, Clone)]
pub struct ChipDraft {
    /// The NAME of `[chip.NAME]`.
    pub name: String,
    /// Where its numbers come from: a comment.
    pub source: String,
    pub preset: Option<String>,
    pub kind: Option<String>,
    pub driver: Option<String>,
    pub size: Option<u64>,
    pub erasesize: Option<u64>,
    pub writesize: Option<u64>,
    pub oobsize: Option<u64>,
    pub subpages: Option<u64>,
    pub ecc: Option<String>,
    /// Of the master.
    pub mtd_name: Option<String>,
    pub mtdparts: Option<String>,
    /// The directory in sysfs of the device that it hangs on, and the lines of its uevent.
    pub parent: Option<(String, String)>,
    pub partitions: Vec<PartitionDraft>,
}

impl ChipDraft {
    pub fn nor(name: &str, size: u64, erasesize: u64) -> ChipDraft {
        ChipDraft {
            name: name.to_owned(),
            kind: Some("nor".to_owned()),
            driver: Some("spi-nor".to_owned()),
            size: Some(size),
            erasesize: Some(erasesize),
            ..ChipDraft::default()
        }
    }

    pub fn nand(name: &str, size: u64, erasesize: u64, writesize: u64, oobsize: u64) -> ChipDraft {
        ChipDraft {
            name: name.to_owned(),
            kind: Some("nand".to_owned()),
            size: Some(size),
            erasesize: Some(erasesize),
            writesize: Some(writesize),
            oobsize: Some(oobsize),
            ..ChipDraft::default()
        }
    }

    /// What was given on the command line wins.
    pub fn overrule(&mut self, args: &ChipArgs) {
        let put = |to: &mut Option<u64>, from: Option<u64>| *to = from.or(*to);
        put(&mut self.size, args.size);
        put(&mut self.erasesize, args.erasesize);
        put(&mut self.writesize, args.writesize);
        put(&mut self.oobsize, args.oobsize);
        self.ecc = args.ecc.clone().or(self.ecc.take());
        if let Some(kind) = &args.kind {
            if self.kind.as_ref() != Some(kind) {
                self.driver = None;
            }
            self.kind = Some(kind.clone());
        }
    }

    pub fn is_nand(&self) -> bool {
        self.kind
            .as_deref()
            .is_some_and(|kind| kind.contains("nand"))
            || self.oobsize.is_some_and(|bytes| bytes > 0)
    }

    fn write(&self, text: &mut String) {
        // Writing to a String never fails.
        let _ = writeln!(text, "[chip.{}]{}", self.name, comment(&self.source));
        let mut words = |key: &str, value: &Option<String>| {
            if let Some(value) = value {
                let _ = writeln!(text, "{key} = {}", quoted(value));
            }
        };
        words("preset", &self.preset);
        words("type", &self.kind);
        words("driver", &self.driver);
        let mut size = |key: &str, value: Option<u64>| {
            if let Some(value) = value {
                let _ = writeln!(text, "{key} = \"{}\"", bytes::exact(value));
            }
        };
        size("size", self.size);
        size("erasesize", self.erasesize);
        for (key, value) in [
            ("writesize", self.writesize),
            ("oobsize", self.oobsize),
            ("subpages", self.subpages),
        ] {
            if let Some(value) = value {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        for (key, value) in [
            ("ecc", &self.ecc),
            ("name", &self.mtd_name),
            ("mtdparts", &self.mtdparts),
        ] {
            if let Some(value) = value {
                let _ = writeln!(text, "{key} = {}", quoted(value));
            }
        }
        if let Some((parent, uevent)) = &self.parent {
            let _ = writeln!(
                text,
                "parent = {}\nparent_uevent = {}",
                quoted(parent),
                quoted(uevent)
            );
        }
        for partition in &self.partitions {
            let _ = writeln!(
                text,
                "\n[[chip.{}.partition]]\nname = {}",
                self.name,
                quoted(&partition.name)
            );
            if let Some(offset) = partition.offset {
                let _ = writeln!(text, "offset = \"{offset:#x}\"");
            }
            if let Some(size) = partition.size {
                let _ = writeln!(text, "size = \"{}\"", bytes::exact(size));
            }
            if partition.readonly {
                let _ = writeln!(text, "readonly = true");
            }
            if let Some(image) = &partition.image {
                let _ = writeln!(text, "image = {}", quoted(image));
            }
            if let Some(uevent) = &partition.uevent {
                let _ = writeln!(text, "uevent = {}", quoted(uevent));
            }
        }
    }
}

fn comment(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("    # {}", text.replace('\n', " "))
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[derive(Default, Debug, Clone)]
pub struct BoardDraft {
    pub chips: Vec<ChipDraft>,
    /// What a person should know before using it.
    pub remarks: Vec<String>,
}

impl BoardDraft {
    pub fn conf(&self) -> String {
        let mut text = "# Made by: mtdshim new. All keys are explained in the sample mtdshim.conf of rootfs-overlay/etc.\n".to_owned();
        for chip in &self.chips {
            text.push('\n');
            chip.write(&mut text);
        }
        text
    }
}
