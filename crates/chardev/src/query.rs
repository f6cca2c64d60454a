//! Commands that only tell: MEMGETINFO, regions, OOB layouts, counters.

use crate::Session;
use mtd_abi::MTD_NANDECC_AUTOPLACE;
use mtd_abi::errno::Errno;
use mtd_abi::layout::{
    Field, MtdEccStats, MtdInfoUser, RegionInfoUser, nand_ecclayout, nand_oobinfo,
};

impl Session<'_> {
    pub(crate) fn get_info(&mut self, address: usize) -> Result<(), Errno> {
        let geometry = self.device.geometry;
        let info = MtdInfoUser {
            kind: self.device.kind_number(),
            flags: self.device.flags,
            // The field has 32 bits: a chip of 4 GiB or more shows its low half.
            size: self.device.size as u32,
            erasesize: self.device.erasesize,
            writesize: geometry.writesize,
            oobsize: geometry.oobsize,
        };
        self.copy_out(address, &info.encode())
    }

    /// Partitions never inherit regions.
    fn region_count(&self) -> u32 {
        if self.device.is_partition {
            0
        } else {
            u32::from(self.device.geometry.region_count)
        }
    }

    pub(crate) fn get_region_count(&mut self, address: usize) -> Result<(), Errno> {
        self.copy_out(address, &self.region_count().to_le_bytes())
    }

    pub(crate) fn get_region_info(&mut self, address: usize) -> Result<(), Errno> {
        let index_field = 12;
        let index = u32::from_le_bytes(self.copy_in(address + index_field)?);
        if index >= self.region_count() {
            return Err(Errno::EINVAL);
        }
        let region = self
            .device
            .geometry
            .regions
            .get(index as usize)
            .ok_or(Errno::EINVAL)?;
        let info = RegionInfoUser {
            offset: region.offset as u32,
            erasesize: region.erasesize,
            numblocks: region.block_count,
            regionindex: index,
        };
        let bytes = info.encode();
        self.copy_out(address, bytes.get(..index_field).unwrap_or(&[]))
    }

    pub(crate) fn get_oobsel(&mut self, address: usize) -> Result<(), Errno> {
        use nand_oobinfo::*;
        let layout = self.device.geometry.oob_layout().ok_or(Errno::EOPNOTSUPP)?;
        let mut bytes = [0; SIZE];
        let mut count = 0;
        for position in layout.ecc_positions() {
            if count >= ECCPOS_COUNT {
                return Err(Errno::EINVAL);
            }
            position.put(&mut bytes, ECCPOS + count * 4);
            count += 1;
        }
        for (index, (offset, length)) in layout.free_regions().take(OOBFREE_COUNT).enumerate() {
            offset.put(&mut bytes, OOBFREE + index * 8);
            length.put(&mut bytes, OOBFREE + index * 8 + 4);
        }
        MTD_NANDECC_AUTOPLACE.put(&mut bytes, USEECC);
        (count as u32).put(&mut bytes, ECCBYTES);
        self.copy_out(address, &bytes)
    }

    pub(crate) fn get_ecclayout(&mut self, address: usize) -> Result<(), Errno> {
        use nand_ecclayout::*;
        let layout = self.device.geometry.oob_layout().ok_or(Errno::EOPNOTSUPP)?;
        let mut bytes = [0; SIZE];
        let mut count = 0u32;
        for position in layout.ecc_positions().take(ECCPOS_COUNT) {
            position.put(&mut bytes, ECCPOS + count as usize * 4);
            count += 1;
        }
        let mut available = 0;
        for (index, (offset, length)) in layout.free_regions().take(OOBFREE_COUNT).enumerate() {
            offset.put(&mut bytes, OOBFREE + index * 8);
            length.put(&mut bytes, OOBFREE + index * 8 + 4);
            available += length;
        }
        count.put(&mut bytes, ECCBYTES);
        available.put(&mut bytes, OOBAVAIL);
        self.copy_out(address, &bytes)
    }

    pub(crate) fn get_stats(&mut self, address: usize) -> Result<(), Errno> {
        let stats = self.registry.ecc_stats(self.device.index);
        let wire = MtdEccStats {
            corrected: stats.corrected,
            failed: stats.failed,
            badblocks: stats.bad_blocks,
            bbtblocks: stats.bbt_blocks,
        };
        self.copy_out(address, &wire.encode())
    }
}
