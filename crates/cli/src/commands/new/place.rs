//! Where a node of a device tree appears in sysfs: the names that the kernel gives its devices, the lines of their uevents.
//!
//! Source: `of_device_make_bus_id`, `of_device_uevent`, `spi_add_device` and `physmap-core.c` of Linux 6.1.

use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node, Property};

use super::tree::{compatibles, number, text};

/// Longer texts have no place in a configuration.
const LENGTH_MAX: usize = 255;

/// A node on the way down; what cannot be told is missing.
#[derive(Clone, Debug)]
pub struct Place {
    full_name: Option<String>,
    /// Of its device.
    directory: Option<String>,
    /// Of the device of the node above.
    above: Option<String>,
    /// The name of its device.
    id: String,
    /// An address in it is one of the processor.
    is_identity: bool,
}

fn short(text: String) -> Option<String> {
    Some(text).filter(|text| text.len() <= LENGTH_MAX)
}

impl Place {
    pub fn root() -> Place {
        Place {
            full_name: Some(String::new()),
            directory: Some("/sys/devices/platform".to_owned()),
            above: None,
            id: String::new(),
            is_identity: true,
        }
    }

    /// The place of a child of `node`, which this is the place of.
    pub fn below(&self, node: &FdtNode<'_>, child: &FdtNode<'_>) -> Place {
        let (name, address) = child.name().split_once('@').unwrap_or((child.name(), ""));
        let has_reg = child.property("reg").is_some();
        let is_root = self.above.is_none();
        let is_identity = is_root || self.is_identity && is_transparent(node);
        let id = match u64::from_str_radix(address, 16) {
            // Only an address that needs no translation is the number in the name.
            Ok(address) if has_reg && is_identity => short(format!("{address:x}.{name}")),
            _ if has_reg => None,
            _ if is_root => short(child.name().to_owned()),
            _ => short(format!("{}:{}", self.id, child.name())),
        };
        let full_name = self.full_name.as_ref();
        let directory = self.directory.as_ref().zip(id.as_ref());
        Place {
            full_name: full_name.and_then(|above| short(format!("{above}/{}", child.name()))),
            directory: directory.and_then(|(above, id)| short(format!("{above}/{id}"))),
            above: Some(self.directory.clone().unwrap_or_default()),
            id: id.unwrap_or_default(),
            is_identity,
        }
    }

    /// The lines that the node adds to the uevent of its device, with blanks between them.
    pub fn uevent(&self, node: &FdtNode<'_>) -> Option<String> {
        let full_name = self.full_name.as_ref()?;
        let mut lines = vec![
            format!("OF_NAME={}", node.name_without_address()),
            format!("OF_FULLNAME={full_name}"),
        ];
        lines.extend(text(node, "device_type").map(|kind| format!("OF_TYPE={kind}")));
        let names = compatibles(node);
        for (index, name) in names.iter().enumerate() {
            lines.push(format!("OF_COMPATIBLE_{index}={name}"));
        }
        lines.push(format!("OF_COMPATIBLE_N={}", names.len()));
        let is_clean = |line: &String| {
            let mut letters = line.chars();
            !letters.any(|c| c.is_whitespace() || c.is_control() || "\"'\\".contains(c))
        };
        let is_clean = lines.iter().all(is_clean);
        is_clean.then(|| lines.join(" ")).and_then(short)
    }

    /// The device that the chip of this node hangs on, where the tree tells its name: directory and uevent.
    pub fn parent(&self, node: &FdtNode<'_>, root: &FdtNode<'_>) -> Option<(String, String)> {
        let names = compatibles(node);
        let is = |what: &str| names.iter().any(|name| name == what);
        let own = self.uevent(node)?;
        let driver = if is("jedec,spi-nor") {
            "spi-nor"
        } else if is("spi-nand") {
            "spi-nand"
        } else if is("cfi-flash") || is("jedec-flash") {
            let kind = text(node, "device_type").unwrap_or_else(|| "(null)".to_owned());
            let name = node.name_without_address();
            let alias = format!("of:N{name}T{kind}C{}", names.join("C"));
            let uevent = format!("DRIVER=physmap-flash {own} MODALIAS={alias}");
            return Some((self.directory.clone()?, short(uevent)?));
        } else {
            return None;
        };
        let (controller, _) = self.full_name.as_ref()?.rsplit_once('/')?;
        let bus = bus_number(root, controller)?;
        let above = self.above.as_ref().filter(|above| !above.is_empty())?;
        let select = number(node, "reg")?;
        let directory = format!("{above}/spi_master/spi{bus}/spi{bus}.{select}");
        let model = names.first()?.rsplit(',').next()?;
        let uevent = format!("DRIVER={driver} {own} MODALIAS=spi:{model}");
        Some((short(directory)?, short(uevent)?))
    }
}

/// Addresses of its children are its own: an empty `ranges`.
fn is_transparent(node: &FdtNode<'_>) -> bool {
    let ranges = node.property("ranges");
    ranges.is_some_and(|ranges| ranges.value().is_empty())
}

/// The N of the alias spiN; without one the number depends on the order of the drivers.
fn bus_number(root: &FdtNode<'_>, controller: &str) -> Option<u32> {
    let aliases = root.children().find(|child| child.name() == "aliases")?;
    aliases.properties().find_map(|alias| {
        let path = core::str::from_utf8(alias.value()).ok()?;
        let number = alias.name().strip_prefix("spi")?.parse().ok()?;
        (path.trim_end_matches('\0') == controller).then_some(number)
    })
}
