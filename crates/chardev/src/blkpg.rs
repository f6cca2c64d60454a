//! BLKPG: partitions added and removed while the system runs.

use crate::Session;
use mtd_abi::blkpg;
use mtd_abi::errno::Errno;
use mtd_abi::layout::{BLKPG_DEVNAME_OFFSET, BLKPG_NAME_SIZE, BlkpgIoctlArg, BlkpgPartition};

impl Session<'_> {
    pub(crate) fn blkpg(&mut self, address: usize) -> Result<(), Errno> {
        let arg = BlkpgIoctlArg::decode(&self.copy_in(address)?);
        let bytes: [u8; BlkpgPartition::SIZE] = self.copy_in(arg.data as usize)?;
        let partition = BlkpgPartition::decode(&bytes);
        match arg.op {
            blkpg::ADD_PARTITION => {
                // Only a master can be divided.
                if self.device.is_partition {
                    return Err(Errno::EINVAL);
                }
                let field =
                    bytes.get(BLKPG_DEVNAME_OFFSET..BLKPG_DEVNAME_OFFSET + BLKPG_NAME_SIZE - 1);
                let name = field
                    .unwrap_or(&[])
                    .split(|&byte| byte == 0)
                    .next()
                    .unwrap_or(&[]);
                self.registry.add_partition(
                    self.device.index,
                    name,
                    partition.start,
                    partition.length,
                )
            }
            blkpg::DEL_PARTITION => {
                // Only children of this very device are looked at, and a partition has none.
                if partition.pno < 0 || self.device.is_partition {
                    return Err(Errno::EINVAL);
                }
                self.registry
                    .delete_partition(self.device.index, partition.pno)
            }
            _ => Err(Errno::EINVAL),
        }
    }
}
