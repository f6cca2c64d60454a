"""Boards that several cases use, and what the host finds in their images."""

SMALL_NOR = """
[chip.nor]
driver = "spi-nor"
size = "1M"
erasesize = "64K"
mtdparts = "nor:256K(u-boot),64K(env),64K(env2),-(firmware)"
"""
NOR_FIRMWARE_AT = 0x60000

# The same chip where a device tree puts it; its first partition is in the tree, too.
PARENT = "/sys/devices/platform/soc/2008000.spi/spi_master/spi0/spi0.0"
PARENT_NOR = f"""
[chip.nor]
driver = "spi-nor"
size = "1M"
erasesize = "64K"
parent = "{PARENT}"
parent_uevent = "DRIVER=spi-nor OF_NAME=flash OF_FULLNAME=/soc/spi@2008000/flash@0 OF_COMPATIBLE_N=0 MODALIAS=spi:spi-nor"
[[chip.nor.partition]]
name = "u-boot"
size = "256K"
uevent = "OF_NAME=partition OF_FULLNAME=/soc/spi@2008000/flash@0/partitions/partition@0 OF_COMPATIBLE_N=0"
[[chip.nor.partition]]
name = "rest"
"""

# Blocks 1 and 5 are bad: the first one lies inside the partition "env", the other in "rootfs".
SMALL_NAND = """
[chip.nand]
driver = "nandsim"
size = "4M"
erasesize = "128K"
writesize = 2048
oobsize = 64
bad_blocks = [1, 5]
mtdparts = "nand:512K(nand-env),-(rootfs)"
"""
NAND_BLOCK = 0x20000
NAND_ROOTFS_AT = 0x80000
BOTH = SMALL_NOR + SMALL_NAND
# mtd0 u-boot, mtd1 env, mtd2 env2, mtd3 firmware, mtd4 nand-env, mtd5 rootfs


def image(board, chip):
    return board.file(f"{chip}.bin").read_bytes()
