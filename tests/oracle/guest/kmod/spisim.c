// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * spisim - a serial NOR chip in memory, spoken to by the kernel's own spi-nor driver.
 *
 * It is the chip alone: read, page program (which ANDs and wraps inside its page), erase, status registers with
 * block-protect bits, security registers. Which ranges may be locked, what OTP calls answer, which erase is used: that is spi-nor's.
 *   id          the three bytes of RDID, e.g. 0xef6016 for w25q32dw; size_log2: bytes of the chip
 *   security    number of 256-byte security registers
 *   bp, tb      the bits of the status register that protect, and the one that means "from the bottom"
 */
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/vmalloc.h>
#include <linux/spi/spi.h>
#include <linux/spi/spi-mem.h>
#include <linux/mtd/spi-nor.h>

static int id = 0xef6016, size_log2 = 22, security = 3, bp = 0x1c, tb = 0x20;
module_param(id, int, 0);
module_param(size_log2, int, 0);
module_param(security, int, 0);
module_param(bp, int, 0);
module_param(tb, int, 0);

#define REGISTER_BYTES 256
#define PAGE_BYTES 256
#define SECTOR_LOG2 16
#define LOCK_BIT(n) (0x08 << (n))	/* of the second status register: security register n is closed for ever */

static u8 *array;
static u8 registers[3][REGISTER_BYTES];
static u8 status1, status2;
static int write_enabled;
static struct platform_device *parent;
static struct spi_controller *controller;

static u32 chip_size(void) { return 1u << size_log2; }

/* Nothing, fractions that double up to everything; three or four bits, from the top or from the bottom. */
static int is_protected(u32 address)
{
	u32 bits = (status1 & bp & 0x1c) >> 2, slots = (1 << hweight8(bp)) - 2, needed = size_log2 - SECTOR_LOG2, log2;

	if (status1 & bp & ~0x1c)
		bits |= 8;
	if (!bits)
		return 0;
	log2 = SECTOR_LOG2 + (needed > slots ? needed - slots : 0) + bits - 1;
	if (log2 >= size_log2)
		return 1;
	return status1 & tb ? address < 1u << log2 : address >= chip_size() - (1u << log2);
}

static void program(u32 address, const u8 *data, u32 length)
{
	u32 page = address & ~(PAGE_BYTES - 1), i;

	for (i = 0; i < length; i++) {
		u32 at = page + ((address + i) & (PAGE_BYTES - 1));

		if (!is_protected(at))
			array[at & (chip_size() - 1)] &= data[i];
	}
}

/* An erase command takes any address inside its sector, and does nothing when part of the sector is protected. */
static void erase(u32 address, u32 sector)
{
	u32 start = address & (chip_size() - 1) & ~(sector - 1);

	if (!is_protected(start) && !is_protected(start + sector - 1))
		memset(array + start, 0xff, sector);
}

/* The security register of an address; NULL where there is none or, for a change, where it is closed. */
static u8 *security_register(u32 address, int change)
{
	u32 n = (address >> 12) - 1;

	if (n >= security || (change && status2 & LOCK_BIT(n)))
		return NULL;
	return registers[n];
}

static void read_out(const struct spi_mem_op *op)
{
	u8 *to = op->data.buf.in, *from;
	u32 i, address = op->addr.val;

	switch (op->cmd.opcode) {
	case 0x9f:
		for (i = 0; i < op->data.nbytes; i++) to[i] = i < 3 ? id >> (16 - 8 * i) : 0;
		return;
	case 0x05: memset(to, status1 | (write_enabled ? 2 : 0), op->data.nbytes); return;
	case 0x35: memset(to, status2, op->data.nbytes); return;
	case 0x48:
		from = security_register(address, 0);
		for (i = 0; i < op->data.nbytes; i++) to[i] = from ? from[(address + i) & 0xff] : 0xff;
		return;
	case 0x5a: memset(to, 0xff, op->data.nbytes); return;	/* no parameter tables */
	case 0x70: memset(to, 0x80, op->data.nbytes); return;	/* Micron's flags: ready, nothing failed */
	default:
		for (i = 0; i < op->data.nbytes; i++) to[i] = array[(address + i) & (chip_size() - 1)];
	}
}

static void change(const struct spi_mem_op *op)
{
	const u8 *data = op->data.buf.out;
	u32 i, address = op->addr.val;
	u8 *to;

	switch (op->cmd.opcode) {
	case 0x01:
		status1 = data[0] & 0xfc;
		if (op->data.nbytes > 1) status2 = data[1] | (status2 & 0x38);	/* lock bits stay */
		break;
	case 0x31: status2 = data[0] | (status2 & 0x38); break;
	case 0x02: program(address, data, op->data.nbytes); break;
	case 0x20: erase(address, 4096); break;
	case 0xd8: erase(address, 65536); break;
	case 0xc7: case 0x60: if (!(status1 & bp)) memset(array, 0xff, chip_size()); break;
	case 0x42:
		to = security_register(address, 1);
		for (i = 0; to && i < op->data.nbytes; i++) to[(address + i) & 0xff] &= data[i];
		break;
	case 0x44:
		to = security_register(address, 1);
		if (to) memset(to, 0xff, REGISTER_BYTES);
		break;
	}
}

static int execute(struct spi_mem *mem, const struct spi_mem_op *op)
{
	u8 opcode = op->cmd.opcode;

	if (op->data.dir == SPI_MEM_DATA_IN)
		read_out(op);
	else if (opcode == 0x06)
		write_enabled = 1;
	else if (opcode == 0x04)
		write_enabled = 0;
	else if (write_enabled) {
		change(op);
		write_enabled = 0;
	}
	return 0;
}

static const struct spi_controller_mem_ops operations = { .exec_op = execute };

static int transfer(struct spi_controller *c, struct spi_device *d, struct spi_transfer *t) { return -EOPNOTSUPP; }

static int probe(struct platform_device *device)
{
	struct spi_board_info chip = { .modalias = "spi-nor", .max_speed_hz = 50000000 };

	controller = devm_spi_alloc_master(&device->dev, 0);
	if (!controller)
		return -ENOMEM;
	controller->num_chipselect = 1;
	controller->bus_num = 0;
	controller->mem_ops = &operations;
	controller->transfer_one = transfer;
	if (devm_spi_register_controller(&device->dev, controller))
		return -ENODEV;
	return spi_new_device(controller, &chip) ? 0 : -ENODEV;
}

/* spi-nor holds the module of the controller's driver while a node is open: there must be one. */
static struct platform_driver driver = { .probe = probe, .driver = { .name = "spisim", .owner = THIS_MODULE } };

static int __init start(void)
{
	int error;

	array = vmalloc(chip_size());
	if (!array)
		return -ENOMEM;
	memset(array, 0xff, chip_size());
	memset(registers, 0xff, sizeof(registers));
	error = platform_driver_register(&driver);
	if (error)
		goto out;
	parent = platform_device_register_simple("spisim", 0, NULL, 0);
	if (!IS_ERR(parent))
		return 0;
	error = PTR_ERR(parent);
	platform_driver_unregister(&driver);
out:
	vfree(array);
	return error;
}

static void __exit stop(void)
{
	platform_device_unregister(parent);
	platform_driver_unregister(&driver);
	vfree(array);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("serial NOR chip in memory");
