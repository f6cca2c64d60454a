"""Boards that several cases use, and what the host finds in their images."""

SMALL_NOR = """
[chip.nor]
driver = "spi-nor"
size = "1M"
erasesize = "64K"
mtdparts = "nor:256K(u-boot),64K(env),64K(env2),-(firmware)"
"""
NOR_FIRMWARE_AT = 0x60000

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
