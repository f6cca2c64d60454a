/*
 * mtdtests DEV TEST   what the kernel's own mtd test modules claim of a flash, restated over the char device
 *
 * TEST: pagetest oobtest subpagetest readtest stresstest nandbiterrs. Exit 0: all claims hold. Blocks that are bad are left alone.
 * As in the kernel, all but readtest and stresstest ask for NAND.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <mtd/mtd-user.h>

/* newer than some headers */
struct read_request { uint64_t start, len, ooblen, usr_data, usr_oob; uint8_t mode, pad[7]; uint32_t uncorrectable, corrected, max_bitflips; };
#define READ_REQUEST _IOWR('M', 26, struct read_request)
enum { BLOCK_MAX = 256 << 10, BLOCKS_MAX = 1024, OOB_BLOCK_MAX = 64 << 10, STRESS_OPERATIONS = 400, OVERWRITES = 1000 };
static struct mtd_info_user info;
static int fd, nand;
static uint32_t page_size, block_size, oob_size, sub_size, block_count, pages_a_block, oob_avail, ecc_strength, step_size, state;
static uint8_t bad[BLOCKS_MAX], want[BLOCK_MAX * 2], got[BLOCK_MAX * 2];

static void __attribute__((noreturn)) die(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	printf("FAIL ");
	vprintf(format, list);
	printf("\n");
	exit(1);
}
static uint8_t random_byte(void) { state = state * 1664525u + 1013904223u; return state >> 24; }
static uint32_t below(uint32_t n) { uint32_t x = random_byte() << 16; x |= random_byte() << 8; return (x | random_byte()) % n; }
static void fill(uint8_t *p, size_t n) { while (n--) *p++ = random_byte(); }

/* ---- the operations, all of which must succeed ---- */
static void erase(uint32_t block)
{
	struct erase_info_user64 e = { (uint64_t)block * block_size, block_size };
	if (ioctl(fd, MEMERASE64, &e)) die("erase of block %u: %m", block);
}
static void erase_all(void) { for (uint32_t b = 0; b < block_count; b++) if (!bad[b]) erase(b); }
static void put(uint64_t at, const uint8_t *p, size_t n) { if (pwrite(fd, p, n, at) != (ssize_t)n) die("write of %zu at %#llx: %m", n, (unsigned long long)at); }
static void take(uint64_t at, uint8_t *p, size_t n) { if (pread(fd, p, n, at) != (ssize_t)n) die("read of %zu at %#llx: %m", n, (unsigned long long)at); }
static void same(const char *what, uint64_t at, const uint8_t *a, const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++) if (a[i] != b[i]) die("%s at %#llx: byte %zu is %02x, not %02x", what, (unsigned long long)at, i, b[i], a[i]);
}
static void is_erased(uint64_t at, size_t n)
{
	memset(want, 0xff, n);
	take(at, got, n);
	same("erased flash", at, want, got, n);
}
static int last_good(void)
{
	for (int b = block_count - 1; b > 0; b--) if (!bad[b]) return b;
	die("no good block");
}
static int first_good(void)
{
	for (uint32_t b = 0; b < block_count; b++) if (!bad[b]) return b;
	die("no good block");
}
static uint64_t address(uint32_t block, uint32_t page) { return (uint64_t)block * block_size + page * page_size; }

/* ---- pagetest ---- */
static void pagetest(void)
{
	uint32_t blocks = 0, first = first_good(), last = last_good();
	erase_all();
	state = 1;
	for (uint32_t b = 0; b < block_count; b++) {
		if (bad[b]) continue;
		fill(want, block_size);
		put(address(b, 0), want, block_size);
	}
	state = 1;
	for (uint32_t b = 0; b < block_count; b++) {
		if (bad[b]) continue;
		fill(want, block_size);
		/* two pages at a time, with a look at both ends of the flash in between: no page may be mistaken for another */
		for (uint32_t p = 0; p + 1 < pages_a_block; p++) {
			take(address(first, 0), got, page_size);
			take(address(last, pages_a_block - 1), got, page_size);
			take(address(b, p), got, 2 * page_size);
			same("page pair", address(b, p), want + p * page_size, got, 2 * page_size);
		}
		blocks++;
	}
	printf("verified %u eraseblocks\n", blocks);
	/* crosstest: the first page reads the same whatever was read in between */
	take(address(first, 0), want, page_size);
	take(address(last, pages_a_block - 1), got, page_size);
	take(address(first, 0), got, page_size);
	same("first page", address(first, 0), want, got, page_size);
	printf("crosstest ok\n");
	/* erasecrosstest: a page is what was last written, whatever was erased elsewhere */
	for (int round = 0; round < 2; round++) {
		erase(first);
		fill(want, page_size);
		put(address(first, 0), want, page_size);
		take(address(first, 0), got, page_size);
		same("rewritten page", address(first, 0), want, got, page_size);
		if (round) erase(last);
		take(address(first, 0), got, page_size);
		same("page after another block's erase", address(first, 0), want, got, page_size);
	}
	printf("erasecrosstest ok\n");
	erase(first);
	put(address(first, 0), want, page_size);
	erase(first);
	is_erased(address(first, 0), block_size);
	printf("erasetest ok\n");
}

/* ---- oobtest ---- */
static int write_oob(uint64_t at, const uint8_t *p, uint32_t n, int mode)
{
	struct mtd_write_req r = { .start = at, .ooblen = n, .usr_oob = (uintptr_t)p, .mode = mode };
	return ioctl(fd, MEMWRITE, &r);
}
static int read_oob(uint64_t at, uint8_t *p, uint32_t n, int mode)
{
	struct read_request r = { .start = at, .ooblen = n, .usr_oob = (uintptr_t)p, .mode = mode };
	return ioctl(fd, READ_REQUEST, &r);
}
static void write_all_oob(int varying, uint32_t number)
{
	state = number;
	for (uint32_t b = 0; b < block_count; b++) {
		if (bad[b]) continue;
		for (uint32_t p = 0; p < pages_a_block; p++) {
			uint32_t n = varying ? 1 + (p * 7 + b) % oob_avail : oob_avail;
			fill(want, n);
			if (write_oob(address(b, p), want, n, MTD_OPS_AUTO_OOB)) die("spare bytes at %#llx: %m", (unsigned long long)address(b, p));
		}
	}
}
static uint32_t verify_all_oob(int varying, uint32_t number)
{
	uint32_t blocks = 0;
	state = number;
	for (uint32_t b = 0; b < block_count; b++) {
		if (bad[b]) continue;
		memset(want, 0xff, oob_avail * pages_a_block);
		for (uint32_t p = 0; p < pages_a_block; p++) {
			uint8_t *expected = want + p * oob_avail;
			fill(expected, varying ? 1 + (p * 7 + b) % oob_avail : oob_avail);
			if (read_oob(address(b, p), got, oob_avail, MTD_OPS_AUTO_OOB)) die("spare bytes at %#llx: %m", (unsigned long long)address(b, p));
			same("spare bytes", address(b, p), expected, got, oob_avail);
			take(address(b, p), got, 16);
		}
		/* a whole block's at once */
		if (read_oob(address(b, 0), got, oob_avail * pages_a_block, MTD_OPS_AUTO_OOB)) die("spare bytes of block %u: %m", b);
		same("spare bytes of a block", address(b, 0), want, got, oob_avail * pages_a_block);
		blocks++;
	}
	return blocks;
}
static void refused(const char *what, int result)
{
	if (result != -1 || errno != EINVAL) die("%s: %d, %m, not EINVAL", what, result);
	printf("%s: error occurred as expected\n", what);
}
static void oobtest(void)
{
	for (int round = 1; round <= 3; round++) {
		erase_all();
		write_all_oob(round == 2, round);
		printf("test %d of 5: verified %u eraseblocks\n", round, verify_all_oob(round == 2, round));
	}
	uint64_t past = address(block_count - 1, pages_a_block - 1);
	struct mtd_oob_buf b = { (uint32_t)past + 1, oob_size, got };
	fill(want, 2 * oob_size);
	refused("write of more than a page's spare bytes", write_oob(past, want, oob_avail + 1, MTD_OPS_AUTO_OOB));
	refused("read of spare bytes past the end of the device", read_oob(past, got, oob_avail + 1, MTD_OPS_AUTO_OOB));
	refused("write past the end of the spare area", ioctl(fd, MEMWRITEOOB, &b));
	refused("read past the end of the spare area", ioctl(fd, MEMREADOOB, &b));
	refused("write behind the device", write_oob(past + page_size, want, oob_avail, MTD_OPS_AUTO_OOB));
	refused("read behind the device", read_oob(past + page_size, got, oob_avail, MTD_OPS_AUTO_OOB));
	/* across a block's end: one request reads the spare bytes of both neighbours */
	uint32_t pairs = 0;
	erase_all();
	for (uint32_t k = 0; k + 1 < block_count; k++) {
		uint64_t at = address(k, pages_a_block - 1);
		if (bad[k] || bad[k + 1]) continue;
		erase(k + 1);
		erase(k);
		fill(want, 2 * oob_avail);
		if (write_oob(at, want, oob_avail, MTD_OPS_AUTO_OOB) || write_oob(at + page_size, want + oob_avail, oob_avail, MTD_OPS_AUTO_OOB)) die("spare bytes at %#llx: %m", (unsigned long long)at);
		if (read_oob(at, got, 2 * oob_avail, MTD_OPS_AUTO_OOB)) die("spare bytes of two blocks: %m");
		same("spare bytes of two blocks", at, want, got, 2 * oob_avail);
		pairs++;
	}
	printf("test 5 of 5: %u block ends\n", pairs);
}

/* ---- subpagetest ---- */
static void subpages(int growing)
{
	for (int verify = 0; verify < 2; verify++) {
		state = 3 + growing;
		for (uint32_t b = 0; b < block_count; b++) {
			if (bad[b]) continue;
			for (uint32_t at = 0, k = 1; at < block_size; k++) {
				uint32_t n = growing ? sub_size * (k % 33 + 1) : sub_size;
				if (n > block_size - at) n = block_size - at;
				fill(want, n);
				if (!verify) put(address(b, 0) + at, want, n);
				else {
					take(address(b, 0) + at, got, n);
					same("subpages", address(b, 0) + at, want, got, n);
				}
				at += n;
			}
		}
	}
	erase_all();
	for (uint32_t b = 0; b < block_count; b++) if (!bad[b]) is_erased(address(b, 0), block_size);
}
static void subpagetest(void)
{
	erase_all();
	subpages(0);
	printf("subpages one at a time: verified, and erased again\n");
	subpages(1);
	printf("subpages many at a time: verified, and erased again\n");
}

/* ---- readtest ---- */
static void readtest(void)
{
	uint32_t count = 0;
	for (uint32_t b = 0; b < block_count; b++)
		for (uint32_t p = 0; !bad[b] && p < pages_a_block; p++, count++) {
			take(address(b, p), got, page_size);
			if (nand && read_oob(address(b, p), got, oob_size, MTD_OPS_PLACE_OOB)) die("spare bytes at %#llx: %m", (unsigned long long)address(b, p));
		}
	printf("read %u pages\n", count);
}

/* ---- stresstest ---- */
static void stresstest(void)
{
	static uint8_t shadow[BLOCKS_MAX * 64 << 10];
	static uint32_t written[BLOCKS_MAX]; /* bytes of each block that are programmed, from its start */
	uint64_t size = (uint64_t)block_count * block_size;
	if (size > sizeof shadow) die("the flash is too large for this test");
	state = 5;
	erase_all();
	memset(shadow, 0xff, size);
	for (int i = 0; i < STRESS_OPERATIONS; i++) {
		uint32_t b = below(block_count - 1);
		if (bad[b] || bad[b + 1]) continue;
		if (below(2)) { /* a read may run into the next block */
			uint32_t from = below(block_size), n = below(block_size) + 1;
			take(address(b, 0) + from, got, n);
			same("what was written", address(b, 0) + from, shadow + address(b, 0) + from, got, n);
			continue;
		}
		uint32_t n = page_size * (1 + below(pages_a_block));
		if (written[b] + n > block_size) {
			erase(b);
			memset(shadow + address(b, 0), 0xff, block_size);
			written[b] = 0;
			if (n > block_size) n = block_size;
		}
		fill(shadow + address(b, 0) + written[b], n);
		put(address(b, 0) + written[b], shadow + address(b, 0) + written[b], n);
		written[b] += n;
	}
	for (uint32_t b = 0; b < block_count; b++) {
		if (bad[b]) continue;
		take(address(b, 0), got, block_size);
		same("what was written", address(b, 0), shadow + address(b, 0), got, block_size);
	}
	printf("finished, %d operations done\n", STRESS_OPERATIONS);
}

/* ---- nandbiterrs ---- */
static uint64_t target;
static uint8_t spare[4096];
static void read_raw(void)
{
	struct read_request r = { target, page_size, oob_size, (uintptr_t)got, (uintptr_t)spare, MTD_OPS_RAW };
	if (ioctl(fd, READ_REQUEST, &r)) die("RAW read: %m");
}
/* the page as it is with one bit of its data the other way, by a RAW program of an erased block */
static void flip(uint32_t byte, int bit)
{
	read_raw();
	got[byte] ^= 1 << bit;
	erase(target / block_size);
	struct mtd_write_req w = { .start = target, .len = page_size, .ooblen = oob_size, .usr_data = (uintptr_t)got, .usr_oob = (uintptr_t)spare, .mode = MTD_OPS_RAW };
	if (ioctl(fd, MEMWRITE, &w)) die("RAW write: %m");
}
static struct read_request checked_read(int wanted_errno)
{
	struct read_request r = { target, page_size, 0, (uintptr_t)got, 0, MTD_OPS_PLACE_OOB };
	int error = ioctl(fd, READ_REQUEST, &r) ? errno : 0;
	if (error != wanted_errno) die("read: %s, not %s", strerror(error), strerror(wanted_errno));
	return r;
}
static void nandbiterrs(void)
{
	struct mtd_ecc_stats before, after;
	uint32_t steps = page_size / step_size, flips = 0;
	target = address(first_good(), 0);
	state = 7;
	fill(want, page_size);
	/* overwrite: the same bytes again and again disturb nothing */
	erase(target / block_size);
	for (int i = 0; i < OVERWRITES; i++) {
		put(target, want, page_size);
		struct read_request r = checked_read(0);
		if (r.corrected || r.uncorrectable) die("bit flips after %d overwrites", i + 1);
	}
	same("overwritten page", target, want, got, page_size);
	printf("overwrite: no bit errors in %d operations\n", OVERWRITES);
	/* incremental: as many flips as the code corrects in every step, one more at a time, each counted by every read */
	ioctl(fd, ECCGETSTATS, &before);
	uint32_t counted = 0;
	for (uint32_t k = 0; k < ecc_strength; k++)
		for (uint32_t s = 0; s < steps; s++) {
			flip(s * step_size + (s * 37 + k * 61) % step_size, (s + k) % 8);
			flips++;
			struct read_request r = checked_read(EUCLEAN);
			if (r.corrected != flips || r.max_bitflips != k + 1 || r.uncorrectable) die("%u flips: %u corrected, at most %u, %u failed", flips, r.corrected, r.max_bitflips, r.uncorrectable);
			same("corrected page", target, want, got, page_size);
			take(target, got, page_size);
			same("page corrected by read()", target, want, got, page_size);
			counted += 2 * flips;
		}
	ioctl(fd, ECCGETSTATS, &after);
	if (after.corrected - before.corrected != counted) die("the statistics moved by %u, not %u", after.corrected - before.corrected, counted);
	printf("incremental: %u flips, %u in each of %u steps, corrected\n", flips, ecc_strength, steps);
	/* what RAW mode shows is not corrected */
	read_raw();
	uint32_t wrong = 0;
	for (uint32_t i = 0; i < page_size; i++) wrong += __builtin_popcount(got[i] ^ want[i]);
	if (wrong != flips) die("RAW mode shows %u flips, not %u", wrong, flips);
	flip(5, 3);
	struct read_request r = checked_read(EBADMSG);
	if (r.uncorrectable != 1) die("%u steps failed, not 1", r.uncorrectable);
	printf("one flip more: 1 step is uncorrectable\n");
	erase(target / block_size);
	checked_read(0);
}

static uint32_t attribute(const char *device, const char *name, uint32_t otherwise)
{
	char path[128];
	snprintf(path, sizeof path, "/sys/class/mtd/%s/%s", strrchr(device, '/') + 1, name);
	FILE *f = fopen(path, "r");
	if (!f || fscanf(f, "%u", &otherwise) != 1) die("%s cannot be read", path);
	fclose(f);
	return otherwise;
}
static void learn(const char *device)
{
	fd = open(device, O_RDWR);
	if (fd < 0 || ioctl(fd, MEMGETINFO, &info)) die("%s: %m", device);
	nand = info.type == MTD_NANDFLASH;
	page_size = nand ? info.writesize : 512;
	block_size = info.erasesize; oob_size = info.oobsize;
	block_count = info.size / block_size;
	pages_a_block = block_size / page_size;
	sub_size = attribute(device, "subpagesize", 0);
	oob_avail = attribute(device, "oobavail", 0);
	ecc_strength = attribute(device, "ecc_strength", 0);
	step_size = attribute(device, "ecc_step_size", 0);
	if (block_size > BLOCK_MAX || block_count > BLOCKS_MAX) die("the flash is too large for these tests");
	uint32_t found = 0;
	for (uint32_t b = 0; b < block_count; b++) {
		loff_t at = (loff_t)b * block_size;
		int answer = ioctl(fd, MEMGETBADBLOCK, &at);
		if (answer < 0) die("MEMGETBADBLOCK(%u): %m", b);
		found += bad[b] = answer;
	}
	printf("scanned %u eraseblocks, %u are bad\n", block_count, found);
}
int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(void); int any_type; } tests[] = {
		{ "pagetest", pagetest, 0 }, { "oobtest", oobtest, 0 }, { "subpagetest", subpagetest, 0 },
		{ "readtest", readtest, 1 }, { "stresstest", stresstest, 1 }, { "nandbiterrs", nandbiterrs, 0 },
	};
	if (argc != 3) return 2;
	for (unsigned i = 0; i < sizeof tests / sizeof *tests; i++) {
		if (strcmp(argv[2], tests[i].name)) continue;
		learn(argv[1]);
		if (!nand && !tests[i].any_type) { printf("this test requires NAND flash\n"); return 1; }
		tests[i].run();
		printf("finished\n");
		return 0;
	}
	return 2;
}
