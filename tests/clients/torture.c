/*
 * torture DEV run SEED FIRST COUNT      does operations on blocks FIRST..FIRST+COUNT-1 for ever; after each, its number goes to stdout
 * torture DEV verify SEED FIRST COUNT K checks what K finished operations, and perhaps part of one more, must have left; then erases
 *
 * With "block-run" and "block-verify" it writes through the block device instead, and sometimes flushes it.
 * The sequence depends on SEED alone, so a verifier knows what a runner that was killed had done. Exit 0: all claims hold.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <mtd/mtd-user.h>

enum kind { ERASE, PROGRAM, SPARE, BAD, FLUSH };
enum { BLOCKS_MAX = 64, PAGES_MAX = 64, TAG = 8, TAG_AT = 2 };
static struct mtd_info_user info;
static uint32_t first, count, page_size, pages, seed, good;
static int fd, block_fd = -1, nand, by_block;
static struct block { uint32_t next; int bad; uint32_t data[PAGES_MAX], tag[PAGES_MAX]; } blocks[BLOCKS_MAX];
struct operation { enum kind kind; uint32_t block, page, number; };

static uint32_t mix(uint32_t a, uint32_t b)
{
	uint32_t x = a * 2654435761u ^ (b + 0x9e3779b9u) * 2246822519u;
	x ^= x >> 15; x *= 2246822519u; x ^= x >> 13; return x;
}
static void fill(uint8_t *p, size_t n, uint32_t number)
{
	uint32_t x = mix(seed, number) | 1;
	for (size_t i = 0; i < n; i++) { x = x * 1664525u + 1013904223u; p[i] = x >> 24; }
}
/* what operation `number` (from 1) is, given all before it */
static struct operation plan(uint32_t number)
{
	uint32_t r = mix(seed ^ 0x5bd1e995u, number), b = r % count, what = (r >> 8) % 100;
	struct operation o = { ERASE, b, 0, number };
	if (by_block) return (struct operation){ what < 5 ? FLUSH : PROGRAM, b, (r >> 16) % pages, number };
	while (blocks[o.block].bad) o.block = (o.block + 1) % count;
	struct block *k = &blocks[o.block];
	/* blocks go bad all along, as long as there are some to work on */
	if (nand && what >= 95 && good > 2) o.kind = BAD;
	else if (nand && what >= 85 && k->next && !k->tag[k->next - 1]) { o.kind = SPARE; o.page = k->next - 1; }
	else if (what >= 15 && k->next < pages) { o.kind = PROGRAM; o.page = k->next; }
	return o;
}
static void apply(struct operation o)
{
	struct block *k = &blocks[o.block];
	switch (o.kind) {
	case ERASE: memset(k, 0, sizeof *k); break;
	case PROGRAM: k->data[o.page] = o.number; k->next = o.page + 1; break;
	case SPARE: k->tag[o.page] = o.number; break;
	case BAD: memset(k, 0, sizeof *k); k->bad = 1; good--; break;
	case FLUSH: break;
	}
}
static uint64_t at(struct operation o) { return (uint64_t)(first + o.block) * info.erasesize + (uint64_t)o.page * page_size; }
static int perform(struct operation o)
{
	static uint8_t data[1 << 16];
	struct erase_info_user64 e = { at(o), info.erasesize };
	struct mtd_oob_buf64 s = { at(o) + TAG_AT, 0, TAG, (uintptr_t)data };
	loff_t where = at(o);
	fill(data, page_size, o.number);
	switch (o.kind) {
	case ERASE: return ioctl(fd, MEMERASE64, &e);
	case PROGRAM: return pwrite(by_block ? block_fd : fd, data, page_size, at(o)) == (ssize_t)page_size ? 0 : -1;
	case SPARE: return ioctl(fd, MEMWRITEOOB64, &s);
	case BAD: return ioctl(fd, MEMSETBADBLOCK, &where);
	case FLUSH: return fsync(block_fd);
	}
	return -1;
}
static int failures;
static void check(const char *what, uint32_t block, uint32_t page, const uint8_t *got, const uint8_t *old, const uint8_t *new, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (got[i] != old[i] && got[i] != new[i]) {
			if (failures++ < 5) printf("FAIL %s: block %u page %u byte %zu is %02x, neither %02x nor %02x\n", what, first + block, page, i, got[i], old[i], new[i]);
			return;
		}
}
static int verify(uint32_t done)
{
	static uint8_t got[1 << 16], old[1 << 16], new[1 << 16];
	for (uint32_t n = 1; n <= done; n++) apply(plan(n));
	struct operation last = plan(done + 1);
	for (uint32_t b = 0; b < count; b++) {
		struct block *k = &blocks[b];
		loff_t where = (loff_t)(first + b) * info.erasesize;
		int bad = nand ? ioctl(fd, MEMGETBADBLOCK, &where) : 0, perhaps = last.block == b && last.kind == BAD;
		if (bad != k->bad && !(perhaps && (bad == 0 || bad == 1))) { printf("FAIL block %u: bad %d, expected %d\n", first + b, bad, k->bad); failures++; }
		if (k->bad || bad || perhaps) continue;
		for (uint32_t p = 0; p < pages; p++) {
			struct operation o = { PROGRAM, b, p, 0 };
			int here = last.block == b && (last.kind == ERASE || last.page == p);
			/* a page whose program or erase was cut has no valid code: its bits are judged as they are */
			if (nand && ioctl(fd, MTDFILEMODE, here ? MTD_FILE_MODE_RAW : MTD_FILE_MODE_NORMAL)) { printf("FAIL mode\n"); failures++; }
			if (pread(fd, got, page_size, at(o)) != (ssize_t)page_size) { printf("FAIL read of block %u page %u\n", first + b, p); failures++; continue; }
			if (k->data[p]) fill(old, page_size, k->data[p]); else memset(old, 0xff, page_size);
			memcpy(new, old, page_size);
			if (here && last.kind == ERASE) memset(new, 0xff, page_size);
			if (here && last.kind == PROGRAM) fill(new, page_size, last.number);
			check("data", b, p, got, old, new, page_size);
			if (!nand) continue;
			struct mtd_oob_buf64 s = { at(o) + TAG_AT, 0, TAG, (uintptr_t)got };
			if (ioctl(fd, MEMREADOOB64, &s)) { printf("FAIL spare area of block %u page %u\n", first + b, p); failures++; continue; }
			if (k->tag[p]) fill(old, TAG, k->tag[p]); else memset(old, 0xff, TAG);
			memcpy(new, old, TAG);
			if (here && last.kind == ERASE) memset(new, 0xff, TAG);
			if (here && last.kind == SPARE) fill(new, TAG, last.number);
			check("spare", b, p, got, old, new, TAG);
		}
	}
	for (uint32_t b = 0; b < count; b++) {
		struct operation o = { ERASE, b, 0, 0 };
		loff_t where = at(o);
		if (nand && ioctl(fd, MEMGETBADBLOCK, &where) > 0) continue;
		if (perform(o)) { printf("FAIL erase of block %u\n", first + b); failures++; }
	}
	static const char *const names[] = { "erase", "program", "spare", "bad", "flush" };
	printf("%u operations, %d failures, then %s\n", done, failures, names[last.kind]);
	return failures ? 1 : 0;
}
int main(int argc, char **argv)
{
	if (argc < 6) return 2;
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || ioctl(fd, MEMGETINFO, &info)) { perror(argv[1]); return 2; }
	seed = strtoul(argv[3], 0, 0); first = strtoul(argv[4], 0, 0); count = strtoul(argv[5], 0, 0);
	nand = info.type == MTD_NANDFLASH;
	page_size = nand ? info.writesize : 1024;
	pages = info.erasesize / page_size;
	if (count > BLOCKS_MAX || pages > PAGES_MAX) return 2;
	by_block = !strncmp(argv[2], "block-", 6);
	if (strstr(argv[2], "verify")) {
		/* blocks that an earlier round marked are out of the game from the start */
		for (uint32_t b = 0; b < count && argc > 7; b++) blocks[b].bad = argv[7][b] == '1';
		for (uint32_t b = 0; b < count; b++) good += !blocks[b].bad;
		return verify(strtoul(argv[6], 0, 0));
	}
	if (by_block) {
		char name[64];
		snprintf(name, sizeof name, "/dev/mtdblock%s", argv[1] + strlen("/dev/mtd"));
		block_fd = open(name, O_RDWR);
		if (block_fd < 0) { perror(name); return 2; }
	}
	char map[BLOCKS_MAX + 1] = "";
	for (uint32_t b = 0; b < count; b++) {
		loff_t where = (loff_t)(first + b) * info.erasesize;
		blocks[b].bad = nand && ioctl(fd, MEMGETBADBLOCK, &where) > 0;
		map[b] = blocks[b].bad ? '1' : '0';
		good += !blocks[b].bad;
	}
	dprintf(1, "%s\n", map);
	for (uint32_t n = 1;; n++) {
		struct operation o = plan(n);
		if (perform(o)) { dprintf(2, "operation %u (kind %d block %u page %u) failed: %m\n", n, o.kind, first + o.block, o.page); return 1; }
		apply(o);
		if (write(1, &n, 4) != 4) return 0;
	}
}
