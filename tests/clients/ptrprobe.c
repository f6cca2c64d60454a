/*
 * ptrprobe - what every MTD call answers to buffers that cannot be touched, in whole or from some byte on.
 *   ptrprobe DEV
 * Each argument is tried at NULL, in a page without access, in a page that can only be read, and straddling the end of the
 * last page that can be touched. One line per call; the flash is compared at the end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <linux/types.h>
#include <mtd/mtd-user.h>

typedef unsigned char u8;
typedef long long ll;

/* Three pages in a row: touchable, not to be touched, read only. What straddles begins before `edge`. */
static u8 *good, *edge, *readonly;
static struct mtd_info_user info;
static unsigned page, step;

static const char *name_of(int e)
{
	static char other[24];
	switch (e) {
	case EPERM: return "EPERM"; case EIO: return "EIO"; case EBADF: return "EBADF"; case EFAULT: return "EFAULT";
	case EINVAL: return "EINVAL"; case ENOTTY: return "ENOTTY"; case ENOSPC: return "ENOSPC"; case EROFS: return "EROFS";
	case EOPNOTSUPP: return "EOPNOTSUPP"; case EBADMSG: return "EBADMSG"; case EUCLEAN: return "EUCLEAN"; case EACCES: return "EACCES";
	}
	snprintf(other, sizeof other, "errno%d", e);
	return other;
}
static void tell(const char *what, const char *where, ll result, int e)
{
	printf("%s at %s = %lld", what, where, result);
	if (result < 0) printf(" %s", name_of(e));
	putchar('\n');
}
static unsigned sum(const u8 *p, size_t n)
{
	unsigned h = 2166136261u;
	while (n--) h = (h ^ *p++) * 16777619u;
	return h;
}

static const struct { const char *name; unsigned long command; unsigned size; } commands[] = {
	{ "MEMGETINFO", MEMGETINFO, 32 }, { "MEMERASE", MEMERASE, 8 }, { "MEMERASE64", MEMERASE64, 16 }, { "MEMWRITEOOB", MEMWRITEOOB, 12 },
	{ "MEMREADOOB", MEMREADOOB, 12 }, { "MEMWRITEOOB64", MEMWRITEOOB64, 24 }, { "MEMREADOOB64", MEMREADOOB64, 24 },
	{ "MEMLOCK", MEMLOCK, 8 }, { "MEMUNLOCK", MEMUNLOCK, 8 }, { "MEMISLOCKED", MEMISLOCKED, 8 },
	{ "MEMGETREGIONCOUNT", MEMGETREGIONCOUNT, 4 }, { "MEMGETREGIONINFO", MEMGETREGIONINFO, 16 }, { "MEMGETOOBSEL", MEMGETOOBSEL, 200 },
	{ "ECCGETLAYOUT", ECCGETLAYOUT, 328 }, { "ECCGETSTATS", ECCGETSTATS, 16 }, { "MEMGETBADBLOCK", MEMGETBADBLOCK, 8 },
	{ "OTPSELECT", OTPSELECT, 4 }, { "OTPGETREGIONCOUNT", OTPGETREGIONCOUNT, 4 }, { "OTPGETREGIONINFO", OTPGETREGIONINFO, 12 },
	{ "OTPLOCK", OTPLOCK, 12 }, { "OTPERASE", OTPERASE, 12 }, { "MEMWRITE", MEMWRITE, 48 }, { "MEMREAD", MEMREAD, 64 }, { "BLKPG", BLKPG, 16 },
	{ "BLKGETSIZE64", BLKGETSIZE64, 8 }, { "BLKGETSIZE", BLKGETSIZE, 4 }, { "BLKSSZGET", BLKSSZGET, 4 }, { "BLKROGET", BLKROGET, 4 },
	{ "BLKROSET", BLKROSET, 4 }, { "BLKBSZGET", BLKBSZGET, 4 }, { "BLKBSZSET", BLKBSZSET, 4 }, { "BLKRAGET", BLKRAGET, 4 },
	{ "BLKIOMIN", BLKIOMIN, 4 }, { "BLKIOOPT", BLKIOOPT, 4 }, { "BLKPBSZGET", BLKPBSZGET, 4 }, { "BLKALIGNOFF", BLKALIGNOFF, 4 },
	{ "BLKROTATIONAL", BLKROTATIONAL, 2 }, { "BLKSECTGET", BLKSECTGET, 2 }, { "BLKZEROOUT", BLKZEROOUT, 16 }, { "BLKDISCARD", BLKDISCARD, 16 },
	{ "BLKFLSBUF", BLKFLSBUF, 4 }, { "FIGETBSZ", FIGETBSZ, 4 },
};

static const u8 zeros[512];

static void *put(const void *argument, size_t size, int into_readonly)
{
	if (into_readonly) {
		mprotect(readonly, 4096, PROT_READ | PROT_WRITE);
		memcpy(readonly, argument, size);
		mprotect(readonly, 4096, PROT_READ);
		return readonly;
	}
	return memcpy(good, argument, size);
}

/* Zero-filled arguments: what is read from a page that can be read asks for nothing, at offset 0. */
static void every_ioctl(int fd)
{
	for (unsigned i = 0; i < sizeof commands / sizeof *commands; i++) {
		const char *what = commands[i].name;
		unsigned long command = commands[i].command;
		int r;
		r = ioctl(fd, command, 0L); tell(what, "NULL", r, errno);
		r = ioctl(fd, command, edge); tell(what, "no access", r, errno);
		r = ioctl(fd, command, 0xfffffff0L); tell(what, "the kernel", r, errno);
		put(zeros, sizeof zeros, 1);
		r = ioctl(fd, command, readonly); tell(what, "read only", r, errno);
		memset(edge - 64, 0, 64);
		r = ioctl(fd, command, edge - commands[i].size / 2); tell(what, "a straddle", r, errno);
		memset(edge - 512, 0, 512);
		r = ioctl(fd, command, edge - commands[i].size + 1); tell(what, "all but a byte", r, errno);
	}
	ioctl(fd, MTDFILEMODE, 0L);
}

/* Buffers inside arguments; the argument itself is good, or can only be read. */
static void buffers(int fd)
{
	struct { const char *name; u8 *at; } place[] = { { "NULL", 0 }, { "no access", edge }, { "read only", readonly + 512 },
		{ "a straddle", edge - 5 }, { "the kernel", (u8 *)0xfffff000 } };
	unsigned oob = info.oobsize ? info.oobsize : 16, length = page == 1 ? 64 : page;
	for (unsigned i = 0; i < sizeof place / sizeof *place; i++) {
		const char *where = place[i].name;
		u8 *at = place[i].at;
		for (int ro = 0; ro < 2; ro++) {
			const char *in = ro ? "(argument read only) data" : "data";
			char what[80];
			struct mtd_oob_buf b = { step, oob, at };
			struct mtd_oob_buf64 b64 = { step, 0, oob, (uintptr_t)at };
			struct mtd_write_req w = { .start = step, .len = length, .ooblen = oob, .usr_data = (uintptr_t)at, .usr_oob = (uintptr_t)(good + 1024), .mode = 0 };
			struct mtd_read_req q = { .start = step, .len = length, .ooblen = oob, .usr_data = (uintptr_t)at, .usr_oob = (uintptr_t)(good + 1024), .mode = 0 };
			struct blkpg_ioctl_arg g = { BLKPG_ADD_PARTITION, 0, 152, at };
			int r;
			memset(edge - 600, 0xff, 600);
			snprintf(what, sizeof what, "MEMREADOOB %s", in);
			r = ioctl(fd, MEMREADOOB, put(&b, sizeof b, ro)); tell(what, where, r, errno);
			printf("    start=%u\n", *(unsigned *)(ro ? readonly : good));
			snprintf(what, sizeof what, "MEMREADOOB64 %s", in);
			r = ioctl(fd, MEMREADOOB64, put(&b64, sizeof b64, ro)); tell(what, where, r, errno);
			printf("    length=%u\n", ((unsigned *)(ro ? readonly : good))[3]);
			snprintf(what, sizeof what, "MEMWRITEOOB %s", in);
			r = ioctl(fd, MEMWRITEOOB, put(&b, sizeof b, ro)); tell(what, where, r, errno);
			printf("    length=%u\n", ((unsigned *)(ro ? readonly : good))[1]);
			snprintf(what, sizeof what, "MEMWRITEOOB64 %s", in);
			r = ioctl(fd, MEMWRITEOOB64, put(&b64, sizeof b64, ro)); tell(what, where, r, errno);
			memset(good + 1024, 0xff, 1024);
			snprintf(what, sizeof what, "MEMWRITE %s", in);
			r = ioctl(fd, MEMWRITE, put(&w, sizeof w, ro)); tell(what, where, r, errno);
			w.usr_data = (uintptr_t)(good + 2048); w.len = length <= 1024 ? length : 512; w.usr_oob = (uintptr_t)at;
			memset(good + 2048, 0xff, 1024);
			snprintf(what, sizeof what, "MEMWRITE oob %s", in);
			r = ioctl(fd, MEMWRITE, put(&w, sizeof w, ro)); tell(what, where, r, errno);
			snprintf(what, sizeof what, "MEMREAD %s", in);
			r = ioctl(fd, MEMREAD, put(&q, sizeof q, ro)); tell(what, where, r, errno);
			{
				struct mtd_read_req *back = (void *)(ro ? readonly : good);
				printf("    start=%llu len=%llu ooblen=%llu\n", (ll)back->start, (ll)back->len, (ll)back->ooblen);
			}
			q.usr_data = (uintptr_t)(good + 2048); q.len = w.len; q.usr_oob = (uintptr_t)at;
			snprintf(what, sizeof what, "MEMREAD oob %s", in);
			r = ioctl(fd, MEMREAD, put(&q, sizeof q, ro)); tell(what, where, r, errno);
			{
				struct mtd_read_req *back = (void *)(ro ? readonly : good);
				printf("    start=%llu len=%llu ooblen=%llu\n", (ll)back->start, (ll)back->len, (ll)back->ooblen);
			}
			if (at != readonly + 512 && at != edge - 5) {
				snprintf(what, sizeof what, "BLKPG %s", in);
				r = ioctl(fd, BLKPG, put(&g, sizeof g, ro)); tell(what, where, r, errno);
			}
		}
	}
}

static void transfers(int fd, const char *kind, unsigned length)
{
	struct { const char *name; u8 *at; } place[] = { { "NULL", 0 }, { "no access", edge }, { "read only", readonly },
		/* Of such a buffer the block device uses what there is, to the word that the processor copies: left out there. */
		{ "a straddle", *kind == 'c' ? edge - 5 : edge }, { "a straddle by one", *kind == 'c' ? edge - length + 1 : edge },
		{ "the end of what is good", edge - length },
		{ "the kernel", (u8 *)0xfffff000 }, { "the end of memory", (u8 *)0xfffffff0 } };
	char what[80];
	ll r;
	for (unsigned i = 0; i < sizeof place / sizeof *place; i++) {
		const char *where = place[i].name;
		u8 *at = place[i].at;
		struct iovec v[2] = { { good, 16 }, { at, length } }, *vp;
		lseek(fd, step, SEEK_SET);
#define ASK(name, call) snprintf(what, sizeof what, "%s " name, kind); r = (call); tell(what, where, r, errno); \
		printf("    position %lld\n", (ll)lseek(fd, 0, SEEK_CUR));
		memset(edge - 4096, 0xff, 4096);
		ASK("read", read(fd, at, length))
		memset(edge - 4096, 0xff, 4096);
		ASK("pread", pread(fd, at, length, step))
		memset(edge - 4096, 0xff, 4096);
		if (at != readonly) { ASK("write", write(fd, at, length)) ASK("pwrite", pwrite(fd, at, length, step)) }
		lseek(fd, step, SEEK_SET);
		ASK("readv", readv(fd, v, 2))
		lseek(fd, step, SEEK_SET);
		ASK("preadv", preadv(fd, v, 2, step))
		vp = (void *)at;
		memset(edge - 4096, 0xff, 4096);
		if (at != edge - length) {
			ASK("readv of a vector", readv(fd, vp, 2))
			if (at != readonly) { ASK("writev of a vector", writev(fd, vp, 2)) }
		}
		ASK("read of nothing", read(fd, at, 0))
		ASK("write of nothing", write(fd, at, 0))
	}
	memset(edge - 4096, 0xff, 4096);
	lseek(fd, 0, SEEK_SET);
	r = read(fd, edge - length, length); tell(kind, "read back", r, errno);
	printf("    sum %08x\n", sum(edge - length, length));
}

int main(int argc, char **argv)
{
	char block[64];
	int fd, only;
	if (argc < 2 || strncmp(argv[1], "/dev/mtd", 8)) return 2;
	u8 *pages = mmap(0, 4 * 4096 + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	good = pages; edge = pages + 8192 + 4096; readonly = edge + 4096;
	mprotect(edge, 4096, PROT_NONE); mprotect(readonly, 4096, PROT_READ); mprotect(readonly + 4096, 4096, PROT_NONE);
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || ioctl(fd, MEMGETINFO, &info)) { perror(argv[1]); return 1; }
	page = info.writesize; step = info.erasesize;
	for (unsigned at = 0; at < 4; at++) {
		struct erase_info_user e = { at * step, step };
		ioctl(fd, MEMERASE, &e);
	}
	memset(good, 0x5a, 4096);
	tell("write of a page", "a good place", pwrite(fd, good, page == 1 ? 64 : page > 4096 ? 0 : page, 0), errno);
	memset(good, 0, 4096);
	puts("## ioctls"); every_ioctl(fd);
	only = open(argv[1], O_RDONLY);
	puts("## ioctls, read only"); every_ioctl(only);
	close(only);
	puts("## buffers"); buffers(fd);
	puts("## transfers"); transfers(fd, "char", page == 1 ? 100 : page > 4096 ? 4096 : page);
	close(fd);
	snprintf(block, sizeof block, "/dev/mtdblock%s", argv[1] + 8);
	fd = open(block, O_RDWR);
	puts("## the block device"); every_ioctl(fd);
	/* The block device has a cache in between, so what a write left is the flash's only after the close. */
	transfers(fd, "block", 512);
	close(fd);
	fd = open(argv[1], O_RDONLY);
	for (unsigned at = 0; at < 4; at++) {
		static u8 bytes[1 << 20];
		ll r = pread(fd, bytes, step, (ll)at * step);
		printf("block %u: %lld bytes, sum %08x\n", at, r, sum(bytes, r > 0 ? r : 0));
	}
	return 0;
}
