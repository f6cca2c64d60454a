//! A captured /proc/mtd: the only description of its flash that many a device gives away. Sizes stand in order,
//! offsets run on.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row<'a> {
    pub size: u64,
    pub erasesize: u32,
    pub name: &'a str,
}

/// None for a line that says nothing (empty, header), an error for one that cannot be understood.
pub fn row(line: &str) -> Result<Option<Row<'_>>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with("dev:") {
        return Ok(None);
    }
    let form = "this is no line of /proc/mtd such as mtd0: 00040000 00010000 \"u-boot\"";
    let (device, rest) = line.split_once(':').ok_or(form)?;
    let number = device.strip_prefix("mtd").ok_or(form)?;
    number.parse::<u32>().map_err(|_| form)?;
    let (size, rest) = rest.trim_start().split_once(' ').ok_or(form)?;
    let (erasesize, rest) = rest.trim_start().split_once(' ').ok_or(form)?;
    let name = rest
        .trim_start()
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'))
        .ok_or(form)?;
    Ok(Some(Row {
        size: u64::from_str_radix(size, 16).map_err(|_| form)?,
        erasesize: u32::from_str_radix(erasesize, 16).map_err(|_| form)?,
        name,
    }))
}
