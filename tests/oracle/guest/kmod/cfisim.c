// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * cfisim - a 16-bit parallel NOR chip in memory, spoken to by the kernel's own CFI drivers.
 *
 * What nandsim is for NAND: the chip answers CFI queries and the Intel or AMD command set, and programming ANDs; everything the
 * recordings show (locks, OTP, erase regions, check orders) is decided by cfi_probe, cfi_cmdset_0001 or cfi_cmdset_0002.
 *   set=1|2     command set: 1 Intel (per-block locks, protection register), 2 AMD
 *   size_log2   size of the chip; erase_kib size of a block; boot=1 splits the last block into eight
 *   features    the Intel extended query's feature bits (0x20 individual locks, 0x40 protection register)
 *   otp_log2    bytes of the user protection register; maker: manufacturer number
 */
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/mtd/mtd.h>
#include <linux/mtd/map.h>

static int set = 1, size_log2 = 22, erase_kib = 64, boot, features = 0x60, otp_log2 = 6, maker = 0x20;
module_param(set, int, 0);
module_param(size_log2, int, 0);
module_param(erase_kib, int, 0);
module_param(boot, int, 0);
module_param(features, int, 0);
module_param(otp_log2, int, 0);
module_param(maker, int, 0);

enum mode { ARRAY, STATUS, IDENT, QUERY, PROGRAM, ERASE_SETUP, LOCK_SETUP, OTP_PROGRAM, BUFFER_COUNT, BUFFER_DATA, BUFFER_CONFIRM,
	    AMD_UNLOCK1, AMD_UNLOCKED, AMD_ERASE, AMD_ERASE_UNLOCK1, AMD_ERASE_UNLOCKED };

#define OTP_WORD 0x80		/* word address of the protection lock word */
#define OTP_WORDS 256
#define BUFFER_WORDS 16

static u8 *array;
static u8 *locked;		/* one byte a block */
static u16 otp[OTP_WORDS];	/* [0] is the lock word */
static u8 query[0x60];
static enum mode mode;
static u16 status = 0x80;
static u32 buffer_left, buffer_at[BUFFER_WORDS], buffer_used;
static u16 buffer_word[BUFFER_WORDS];
static struct map_info map;
static struct mtd_info *mtd;
static struct platform_device *parent;

static u32 chip_size(void) { return 1u << size_log2; }
static u32 block_size(void) { return erase_kib << 10; }

/* The block of an address: the last one may be cut into eight. */
static void block_of(u32 address, u32 *start, u32 *length, u32 *index)
{
	u32 whole = chip_size() / block_size() - (boot ? 1 : 0);

	*length = block_size();
	*index = address / block_size();
	if (*index >= whole) {
		*length = block_size() / 8;
		*index = whole + (address - whole * block_size()) / *length;
	}
	*start = address & ~(*length - 1);
}

static int is_locked(u32 address)
{
	u32 start, length, index;

	block_of(address, &start, &length, &index);
	return locked[index];
}

static void program(u32 address, u16 value)
{
	if (set == 1 && is_locked(address)) {
		status |= 0x12;
		return;
	}
	*(u16 *)(array + address) &= value;
}

static void erase(u32 address)
{
	u32 start, length, index;

	block_of(address, &start, &length, &index);
	if (set == 1 && locked[index])
		status |= 0x22;
	else
		memset(array + start, 0xff, length);
}

static void program_otp(u32 word, u16 value)
{
	u32 at = word - OTP_WORD, user = 1 + 4;	/* four words of factory data follow the lock word */
	int writable = at == 0 || (at >= user && at < user + (1u << otp_log2) / 2 && (otp[0] & 2));

	if (word >= OTP_WORD && at < OTP_WORDS && writable)
		otp[at] &= value;
	else
		status |= 0x12;
}

static void lock(u32 address, int command)
{
	u32 start, length, index;

	block_of(address, &start, &length, &index);
	if (command == 0x01 || command == 0x2f)
		locked[index] = 1;
	else if (command == 0xd0)
		locked[index] = 0;
	else
		status |= 0x30;
}

static void buffer_flush(void)
{
	u32 i;

	for (i = 0; i < buffer_used; i++)
		program(buffer_at[i], buffer_word[i]);
}

static void intel_command(u32 address, u16 command)
{
	switch (command & 0xff) {
	case 0xff: case 0xf0: mode = ARRAY; break;
	case 0x70: mode = STATUS; break;
	case 0x50: status = 0x80; break;
	case 0x90: mode = IDENT; break;
	case 0x98: mode = QUERY; break;
	case 0x10: case 0x40: mode = PROGRAM; break;
	case 0x20: mode = ERASE_SETUP; break;
	case 0x60: mode = LOCK_SETUP; break;
	case 0xc0: mode = OTP_PROGRAM; break;
	case 0xe8: mode = BUFFER_COUNT; break;
	}
}

static void intel_write(u32 address, u16 value)
{
	switch (mode) {
	case PROGRAM: program(address, value); mode = STATUS; return;
	case OTP_PROGRAM: program_otp(address / 2, value); mode = STATUS; return;
	case ERASE_SETUP:
		if ((value & 0xff) == 0xd0) erase(address); else status |= 0x30;
		mode = STATUS;
		return;
	case LOCK_SETUP: lock(address, value & 0xff); mode = STATUS; return;
	case BUFFER_COUNT: buffer_left = value + 1; buffer_used = 0; mode = BUFFER_DATA; return;
	case BUFFER_DATA:
		if (buffer_used < BUFFER_WORDS) {
			buffer_at[buffer_used] = address;
			buffer_word[buffer_used++] = value;
		}
		if (--buffer_left == 0) mode = BUFFER_CONFIRM;
		return;
	case BUFFER_CONFIRM:
		if ((value & 0xff) == 0xd0) buffer_flush(); else status |= 0x30;
		mode = STATUS;
		return;
	default: intel_command(address, value);
	}
}

static void amd_command(u32 address, u16 command)
{
	switch (command & 0xff) {
	case 0x90: mode = IDENT; break;
	case 0xa0: mode = PROGRAM; break;
	case 0x80: mode = AMD_ERASE; break;
	case 0x25: mode = BUFFER_COUNT; break;
	default: mode = ARRAY;
	}
}

static void amd_write(u32 address, u16 value)
{
	u8 low = value & 0xff;

	switch (mode) {
	case PROGRAM: program(address, value); mode = ARRAY; return;
	case BUFFER_COUNT: buffer_left = value + 1; buffer_used = 0; mode = BUFFER_DATA; return;
	case BUFFER_DATA:
		if (buffer_used < BUFFER_WORDS) {
			buffer_at[buffer_used] = address;
			buffer_word[buffer_used++] = value;
		}
		if (--buffer_left == 0) mode = BUFFER_CONFIRM;
		return;
	case BUFFER_CONFIRM: if (low == 0x29) buffer_flush(); mode = ARRAY; return;
	case AMD_UNLOCK1: mode = low == 0x55 ? AMD_UNLOCKED : ARRAY; return;
	case AMD_UNLOCKED: amd_command(address, value); return;
	case AMD_ERASE: mode = low == 0xaa ? AMD_ERASE_UNLOCK1 : ARRAY; return;
	case AMD_ERASE_UNLOCK1: mode = low == 0x55 ? AMD_ERASE_UNLOCKED : ARRAY; return;
	case AMD_ERASE_UNLOCKED:
		if (low == 0x30) erase(address);
		if (low == 0x10) memset(array, 0xff, chip_size());
		mode = ARRAY;
		return;
	default: break;
	}
	if (low == 0x98) mode = QUERY;
	else if (low == 0xaa) mode = AMD_UNLOCK1;
	else if (low == 0x25) mode = BUFFER_COUNT;
	else mode = ARRAY;
}

static u16 ident(u32 address)
{
	u32 word = address / 2, start, length, index;

	if (set == 1 && word >= OTP_WORD && word < OTP_WORD + OTP_WORDS)
		return otp[word - OTP_WORD];
	block_of(address, &start, &length, &index);
	switch ((address - start) / 2) {
	case 0: return maker;
	case 1: return 0x7e01;
	case 2: return set == 1 ? locked[index] : 0;
	}
	return 0;
}

static u16 answer(u32 address)
{
	switch (mode) {
	case IDENT: return ident(address);
	case QUERY: return address / 2 < sizeof(query) ? query[address / 2] : 0;
	case ARRAY: return *(u16 *)(array + address);
	default: return set == 1 ? status : *(u16 *)(array + address);
	}
}

static map_word sim_read(struct map_info *m, unsigned long offset)
{
	map_word word = { { 0 } };

	word.x[0] = answer(offset & (chip_size() - 1) & ~1u);
	return word;
}

static void sim_write(struct map_info *m, const map_word word, unsigned long offset)
{
	offset &= chip_size() - 1;
	if (set == 1) intel_write(offset, word.x[0]); else amd_write(offset, word.x[0]);
}

static void sim_copy_from(struct map_info *m, void *to, unsigned long from, ssize_t length)
{
	u8 *byte = to;

	if (mode == ARRAY) {
		memcpy(to, array + from, length);
		return;
	}
	for (; length > 0; length--, from++)
		*byte++ = answer(from & ~1ul) >> (from & 1) * 8;
}

static void put(u32 at, u32 value, int bytes)
{
	while (bytes--) { query[at++] = value; value >>= 8; }
}

/* Times are the shortest that the format allows, so that the drivers do not sleep. */
static void describe(void)
{
	u32 whole = chip_size() / block_size() - (boot ? 1 : 0), at = 0x40;

	memcpy(query + 0x10, "QRY", 3);
	put(0x13, set, 2); put(0x15, at, 2);
	put(0x1b, 0x27, 1); put(0x1c, 0x36, 1);
	put(0x1f, 1, 1); put(0x20, 1, 1); put(0x21, 1, 1);
	put(0x23, 1, 1); put(0x24, 1, 1); put(0x25, 4, 1);
	put(0x27, size_log2, 1); put(0x28, 1, 2); put(0x2a, 5, 2);
	put(0x2c, boot ? 2 : 1, 1);
	put(0x2d, whole - 1, 2); put(0x2f, block_size() / 256, 2);
	if (boot) { put(0x31, 7, 2); put(0x33, block_size() / 8 / 256, 2); }
	memcpy(query + at, "PRI1", 4);
	put(at + 4, set == 1 ? '0' : '3', 1);
	if (set == 1) {
		put(at + 5, features, 4); put(at + 10, 3, 2); put(at + 12, 0x33, 1);
		put(at + 14, features & 0x40 ? 1 : 0, 1); put(at + 15, OTP_WORD, 2); put(at + 17, 3, 1); put(at + 18, otp_log2, 1);
	}
}

static int __init start(void)
{
	array = vmalloc(chip_size());
	locked = kzalloc(chip_size() / block_size() + 8, GFP_KERNEL);
	if (!array || !locked)
		goto out;
	memset(array, 0xff, chip_size());
	memset(otp, 0xff, sizeof(otp));
	otp[0] = 0xfffe;		/* the factory's half is locked */
	describe();
	map.name = "cfisim"; map.size = chip_size(); map.bankwidth = 2; map.phys = NO_XIP;
	map.read = sim_read; map.write = sim_write; map.copy_from = sim_copy_from;
	mtd = do_map_probe("cfi_probe", &map);
	if (!mtd)
		goto out;
	mtd->owner = THIS_MODULE;
	if (set == 1) {		/* its OTP becomes an NVMEM device, which must have a parent */
		parent = platform_device_register_simple("cfisim", 0, NULL, 0);
		mtd->dev.parent = &parent->dev;
	}
	if (!mtd_device_register(mtd, NULL, 0))
		return 0;
	map_destroy(mtd);
	platform_device_unregister(parent);
out:
	vfree(array);
	kfree(locked);
	return -ENXIO;
}

static void __exit stop(void)
{
	mtd_device_unregister(mtd);
	map_destroy(mtd);
	platform_device_unregister(parent);
	vfree(array);
	kfree(locked);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("CFI NOR chip in memory");
