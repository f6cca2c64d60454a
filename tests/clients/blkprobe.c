/*
 * blkprobe - what /dev/mtdblockN does beyond mtdprobe's "blk": syncs and their errors, sectors, direct I/O, read-only devices,
 * bad blocks, uncorrectable pages, locked blocks.
 *   blkprobe /dev/mtdN
 *   blkprobe /dev/mtdN cache      what waits in mtdblock's one eraseblock, and when it reaches the flash
 *   blkprobe /dev/mtdN any        the same in any order
 * One line per call. The flash itself is looked at (through the char device) only where the kernel has written it back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/blkpg.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/types.h>
#include <mtd/mtd-user.h>

typedef unsigned char u8;
typedef long long ll;

static const char *char_node;
static char block_node[64];
static struct mtd_info_user info;
static unsigned block, page;
static ll size;
static u8 *bytes;

static const char *name_of(int e)
{
	static char other[24];
	switch (e) {
	case EPERM: return "EPERM"; case EIO: return "EIO"; case EBADF: return "EBADF"; case EFAULT: return "EFAULT"; case EBUSY: return "EBUSY";
	case EINVAL: return "EINVAL"; case ENOTTY: return "ENOTTY"; case ENOSPC: return "ENOSPC"; case EROFS: return "EROFS"; case ENODEV: return "ENODEV";
	case EOPNOTSUPP: return "EOPNOTSUPP"; case EACCES: return "EACCES"; case ENXIO: return "ENXIO"; case ESPIPE: return "ESPIPE"; case EFBIG: return "EFBIG";
	}
	snprintf(other, sizeof other, "errno%d", e);
	return other;
}
static unsigned sum(const u8 *p, size_t n)
{
	unsigned h = 2166136261u;
	while (n--) h = (h ^ *p++) * 16777619u;
	return h;
}
static ll tell(const char *what, ll result)
{
	int e = errno;
	printf("%s = %lld", what, result);
	if (result < 0) printf(" %s", name_of(e));
	putchar('\n');
	fflush(stdout);
	return result;
}
#define T(call) tell(#call, call)

static void fill(unsigned seed, size_t n)
{
	unsigned x = seed * 2654435761u + 12345;
	for (size_t i = 0; i < n; i++) { x = x * 1664525u + 1013904223u; bytes[i] = x >> 24; }
}
static ll put(int fd, unsigned seed, size_t n, ll at)
{
	char what[80];
	fill(seed, n);
	snprintf(what, sizeof what, "write %zu at block+%lld #%u", n, at, seed);
	return tell(what, pwrite(fd, bytes, n, at));
}
static ll get(int fd, const char *who, size_t n, ll at)
{
	char what[80];
	memset(bytes, 0xa5, n);
	snprintf(what, sizeof what, "%s read %zu at %lld", who, n, at);
	ll r = tell(what, pread(fd, bytes, n, at));
	if (r > 0) printf("    sum %08x first %02x%02x%02x%02x\n", sum(bytes, r), bytes[0], bytes[1], bytes[2], bytes[3]);
	fflush(stdout);
	return r;
}
static int open_block(int flags, const char *name)
{
	char what[80];
	int fd = open(block_node, flags);
	snprintf(what, sizeof what, "open %s", name);
	tell(what, fd < 0 ? -1 : 0);
	return fd;
}
#define BLOCK(flags) open_block(flags, #flags)

/* What the flash holds, seen through the char device. */
static void flash(ll at, size_t n)
{
	int fd = open(char_node, O_RDONLY);
	get(fd, "flash", n, at);
	close(fd);
}
static int has(const char *node) { return access(node, F_OK) == 0; }
static void erase(unsigned first, unsigned n)
{
	int fd = open(char_node, O_RDWR);
	for (unsigned i = first; i < first + n; i++) {
		struct erase_info_user e = { i * block, block };
		if (ioctl(fd, MEMERASE, &e)) {}
	}
	close(fd);
}

static void numbers(int fd)
{
	static const struct { const char *name; unsigned long command; } get_int[] = { { "BLKSSZGET", BLKSSZGET }, { "BLKBSZGET", BLKBSZGET },
		{ "BLKROGET", BLKROGET }, { "BLKRAGET", BLKRAGET }, { "BLKFRAGET", BLKFRAGET }, { "BLKPBSZGET", BLKPBSZGET }, { "BLKIOMIN", BLKIOMIN }, { "BLKIOOPT", BLKIOOPT },
		{ "BLKALIGNOFF", BLKALIGNOFF }, { "BLKDISCARDZEROES", BLKDISCARDZEROES }, { "BLKGETSIZE", BLKGETSIZE }, { "FIGETBSZ", FIGETBSZ } };
	for (unsigned i = 0; i < sizeof get_int / sizeof *get_int; i++) {
		int value = -7;
		tell(get_int[i].name, ioctl(fd, get_int[i].command, &value));
		printf("    %d\n", value);
	}
	uint64_t whole = 7;
	T(ioctl(fd, BLKGETSIZE64, &whole));
	printf("    %llu\n", (ll)whole);
	unsigned short sectors = 7;
	T(ioctl(fd, BLKSECTGET, &sectors));
	printf("    %u\n", sectors);
	static const int sizes[] = { 0, 256, 512, 513, 1024, 2048, 4096, 8192, -1 };
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		int value = sizes[i];
		char what[40];
		snprintf(what, sizeof what, "BLKBSZSET %d", value);
		tell(what, ioctl(fd, BLKBSZSET, &value));
		value = -7;
		tell("BLKBSZGET", ioctl(fd, BLKBSZGET, &value));
		printf("    %d\n", value);
	}
	int value = 4096;
	T(ioctl(fd, BLKBSZSET, &value));
	T(ioctl(fd, BLKRASET, 100L));
	value = -7;
	T(ioctl(fd, BLKRAGET, &value));
	printf("    %d\n", value);
	T(ioctl(fd, BLKRASET, 256L));
}

static void read_only_switch(int fd)
{
	int value = 1;
	puts("-- BLKROSET");
	T(ioctl(fd, BLKROSET, &value));
	value = -7;
	T(ioctl(fd, BLKROGET, &value));
	printf("    %d\n", value);
	put(fd, 1, 512, 0);
	int other = BLOCK(O_RDWR);
	if (other >= 0) { put(other, 1, 512, 0); T(close(other)); }
	value = 0;
	T(ioctl(fd, BLKROSET, &value));
	value = -7;
	T(ioctl(fd, BLKROGET, &value));
	printf("    %d\n", value);
}

static void syncs(void)
{
	puts("## syncs");
	erase(0, 4);
	int fd = BLOCK(O_RDWR);
	if (fd < 0) return;
	put(fd, 2, 512, 512); T(fsync(fd)); flash(0, 2048);
	put(fd, 3, 100, 600); T(fdatasync(fd)); flash(0, 2048);
	put(fd, 4, 700, block - 350); T(ioctl(fd, BLKFLSBUF, 0)); T(fsync(fd)); flash(block - 1024, 2048);
	put(fd, 5, 5000, 3 * (ll)block - 2500); T(syncfs(fd)); T(fsync(fd)); flash(3 * (ll)block - 4096, 8192);
	T(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE)); T(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)); T(readahead(fd, 0, 4096));
	int second = dup(fd);
	put(fd, 6, 512, 0); T(close(fd)); T(fsync(second)); flash(0, 1024);
	put(second, 7, block, block); put(second, 8, 2 * block, 2 * (ll)block); T(close(second)); flash(block, 3 * block);
	fd = BLOCK(O_WRONLY | O_SYNC); put(fd, 9, 512, 0); get(fd, "block", 16, 0); T(close(fd)); flash(0, 1024);
	fd = BLOCK(O_WRONLY | O_DSYNC); put(fd, 10, 3, 509); T(close(fd)); flash(0, 1024);
	fd = BLOCK(O_RDONLY); T(fsync(fd)); T(ioctl(fd, BLKFLSBUF, 0)); put(fd, 1, 1, 0); T(close(fd));
	fd = BLOCK(O_RDWR | O_APPEND); put(fd, 11, 16, 32); T(write(fd, bytes, 16)); T(lseek(fd, 0, SEEK_CUR)); T(fsync(fd)); flash(0, 64); T(close(fd));
	fd = BLOCK(O_RDWR | O_TRUNC); get(fd, "block", 64, 0); T(close(fd));
}

static void ends(void)
{
	puts("## ends");
	int fd = BLOCK(O_RDWR);
	if (fd < 0) return;
	ll end = lseek(fd, 0, SEEK_END);
	tell("seek to the end", end);
	get(fd, "block", 1024, end - 512); get(fd, "block", 16, end); get(fd, "block", 16, end + 5); get(fd, "block", 0, end);
	put(fd, 20, 1024, end - 512); put(fd, 21, 16, end); put(fd, 21, 0, end); put(fd, 21, 16, end + 100); put(fd, 21, 1, end - 1);
	T(fsync(fd)); flash(end - 512, 512);
	T(lseek(fd, end + 1, SEEK_SET)); T(lseek(fd, -1, SEEK_SET)); T(lseek(fd, 5, SEEK_DATA)); T(lseek(fd, 5, SEEK_HOLE)); T(lseek(fd, end, SEEK_DATA)); T(lseek(fd, 0, 9));
	T(ftruncate(fd, 0)); T(ftruncate(fd, end)); T(fallocate(fd, 0, 0, 4096)); T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	T(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100)); T(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096));
	struct iovec v[3] = { { bytes, 100 }, { bytes + 100, 0 }, { bytes + 200, 300 } };
	fill(22, 600);
	T(pwritev(fd, v, 3, 256)); T(preadv(fd, v, 3, 256)); T(preadv2(fd, v, 3, 256, RWF_HIPRI)); T(pwritev2(fd, v, 3, 256, RWF_DSYNC)); T(pwritev2(fd, v, 3, 256, RWF_APPEND));
	flash(0, 1024);
	T(close(fd));
}

static void direct(void)
{
	puts("## direct");
	erase(0, 2);
	int fd = BLOCK(O_RDWR | O_DIRECT);
	if (fd < 0) return;
	get(fd, "block", 512, 0); get(fd, "block", 4096, 512); get(fd, "block", 100, 0); get(fd, "block", 512, 100);
	T(pread(fd, bytes + 1, 512, 0)); T(pread(fd, bytes + 4, 512, 0)); T(pread(fd, bytes + 512, 512, 0));
	put(fd, 30, 512, 0); put(fd, 31, 100, 0); put(fd, 31, 512, 100); put(fd, 32, 4096, 1024);
	T(pwrite(fd, bytes + 1, 512, 0));
	T(fsync(fd)); flash(0, 8192);
	ll end = lseek(fd, 0, SEEK_END);
	get(fd, "block", 1024, end - 512); get(fd, "block", 512, end); put(fd, 33, 1024, end - 512); put(fd, 33, 512, end);
	T(close(fd));
}

static void maps(void)
{
	puts("## maps and copies");
	erase(0, 1);
	int fd = BLOCK(O_RDWR), pipes[2];
	if (fd < 0) return;
	put(fd, 40, 4096, 0); T(fsync(fd));
	u8 *m = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	tell("mmap shared", m == MAP_FAILED ? -1 : 0);
	if (m != MAP_FAILED) { printf("    sum %08x\n", sum(m, 4096)); T(munmap(m, 4096)); }
	m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4096);
	tell("mmap private", m == MAP_FAILED ? -1 : 0);
	if (m != MAP_FAILED) { m[0] = 1; printf("    sum %08x\n", sum(m, 8192)); munmap(m, 8192); }
	m = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 100);
	tell("mmap unaligned", m == MAP_FAILED ? -1 : 0);
	m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tell("mmap shared to write", m == MAP_FAILED ? -1 : 0);
	if (m != MAP_FAILED) {
		m[7] = 0x77; T(msync(m, 4096, MS_SYNC)); T(fsync(fd)); flash(0, 16); munmap(m, 4096);
	}
	int file = open("/tmp/blkprobe.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600);
	off_t at = 8;
	T(sendfile(file, fd, &at, 512)); tell("offset", at); memset(bytes, 0, 512); T(pread(file, bytes, 512, 0)); printf("    sum %08x\n", sum(bytes, 512));
	fill(41, 512); T(pwrite(file, bytes, 512, 0)); at = 0; lseek(fd, 1024, SEEK_SET); T(sendfile(fd, file, &at, 512)); T(lseek(fd, 0, SEEK_CUR)); T(fsync(fd)); flash(1024, 512);
	loff_t from = 0, to = 2048;
	T(copy_file_range(file, &from, fd, &to, 512, 0));
	if (!pipe2(pipes, O_NONBLOCK)) {
		from = 16;
		T(splice(fd, &from, pipes[1], 0, 100, 0)); T(read(pipes[0], bytes, 100)); printf("    sum %08x\n", sum(bytes, 100));
		fill(42, 100); T(write(pipes[1], bytes, 100)); to = 3000; T(splice(pipes[0], 0, fd, &to, 100, 0)); T(fsync(fd)); flash(2990, 200);
	}
	close(file); unlink("/tmp/blkprobe.tmp"); T(close(fd));
}

static void discards(void)
{
	puts("## discard and zero");
	int fd = BLOCK(O_RDWR);
	if (fd < 0) return;
	static const ll ranges[][2] = { { 0, 512 }, { 512, 1024 }, { 0, 100 }, { 100, 512 }, { 0, 0 }, { 1LL << 40, 512 }, { -512, 1024 } };
	for (unsigned i = 0; i < sizeof ranges / sizeof *ranges; i++) {
		uint64_t range[2] = { ranges[i][0], ranges[i][1] };
		char what[60];
		snprintf(what, sizeof what, "BLKZEROOUT %lld %lld", ranges[i][0], ranges[i][1]);
		tell(what, ioctl(fd, BLKZEROOUT, range));
		snprintf(what, sizeof what, "BLKDISCARD %lld %lld", ranges[i][0], ranges[i][1]);
		tell(what, ioctl(fd, BLKDISCARD, range));
	}
	T(fsync(fd)); flash(0, 4096);
	uint64_t range[2] = { 0, 512 };
	T(ioctl(fd, BLKSECDISCARD, range));
	T(close(fd));
	fd = BLOCK(O_RDONLY); T(ioctl(fd, BLKZEROOUT, range)); T(ioctl(fd, BLKDISCARD, range)); T(close(fd));
}

static void claims(void)
{
	puts("## claims");
	int first = BLOCK(O_RDWR | O_EXCL), second = BLOCK(O_RDONLY), third = BLOCK(O_RDWR | O_EXCL);
	if (third >= 0) close(third);
	T(close(first)); T(close(second));
	first = BLOCK(O_RDONLY | O_EXCL); second = BLOCK(O_RDONLY | O_EXCL); T(close(first)); if (second >= 0) close(second);
	first = BLOCK(O_RDWR); T(ioctl(first, BLKRRPART, 0)); struct blkpg_partition p = { .start = 0, .length = 4096, .pno = 1 };
	struct blkpg_ioctl_arg a = { BLKPG_ADD_PARTITION, 0, sizeof p, &p }; T(ioctl(first, BLKPG, &a)); a.op = BLKPG_DEL_PARTITION; T(ioctl(first, BLKPG, &a)); T(close(first));
}

static void bad_blocks(void)
{
	puts("## a bad block");
	loff_t at = 2 * (loff_t)block;
	erase(0, 5);
	int fd = open(char_node, O_RDWR);
	T(ioctl(fd, MEMSETBADBLOCK, &at));
	close(fd);
	fd = BLOCK(O_RDWR);
	get(fd, "block", 512, at); put(fd, 50, 512, at); T(fsync(fd)); T(fsync(fd)); T(close(fd)); flash(at, 1024);
	fd = BLOCK(O_RDWR); put(fd, 51, 100, at + 10); T(ioctl(fd, BLKFLSBUF, 0)); T(fsync(fd)); T(close(fd)); flash(at, 1024);
	fd = BLOCK(O_RDWR); put(fd, 52, 3 * block, block); T(fsync(fd)); T(close(fd)); flash(block, block); flash(3 * (ll)block, block);
	fd = BLOCK(O_RDWR | O_SYNC); put(fd, 53, 512, at); put(fd, 54, 512, 0); T(fsync(fd)); T(close(fd)); flash(0, 1024);
	fd = BLOCK(O_RDWR | O_DIRECT); put(fd, 55, 512, at); T(fsync(fd)); put(fd, 56, 512, 512); T(fsync(fd)); T(close(fd)); flash(0, 1024);
	fd = BLOCK(O_RDWR); put(fd, 57, 512, at); T(close(fd)); fd = BLOCK(O_RDWR); T(fsync(fd)); get(fd, "block", 512, at); T(close(fd));
}

static void broken_page(void)
{
	puts("## an uncorrectable page");
	u8 oob[1024];
	erase(0, 3);
	int fd = open(char_node, O_RDWR);
	fill(60, block); T(pwrite(fd, bytes, block, 0)); T(pwrite(fd, bytes, block, block));
	/* Several bits of one page fall, its spare bytes stay. */
	memset(bytes, 0xff, page); memset(oob, 0xff, sizeof oob); memset(bytes + 16, 0, 8);
	struct mtd_write_req w = { .start = page * 2, .len = page, .ooblen = info.oobsize, .usr_data = (uintptr_t)bytes, .usr_oob = (uintptr_t)oob, .mode = 2 };
	T(ioctl(fd, MEMWRITE, &w));
	close(fd);
	fd = BLOCK(O_RDWR);
	get(fd, "block", 512, 0); get(fd, "block", 512, 2 * page); get(fd, "block", 512, 2 * page + 512 % page); get(fd, "block", 4 * page, 0); get(fd, "block", 4 * page, 4 * page);
	T(close(fd));
	fd = BLOCK(O_RDWR); put(fd, 61, 4096, 3 * 4096); T(fsync(fd)); T(close(fd)); flash(0, block);
	fd = BLOCK(O_RDWR); put(fd, 62, block, 0); T(fsync(fd)); T(close(fd)); flash(0, block);
}

static void locks(void)
{
	puts("## a locked block");
	erase(0, 4);
	int fd = open(char_node, O_RDWR);
	struct erase_info_user whole = { 0, size }, one = { block, block };
	if (T(ioctl(fd, MEMLOCK, &one))) T(ioctl(fd, MEMLOCK, &whole));
	int block_fd = BLOCK(O_RDWR);
	put(block_fd, 70, 512, block); T(fsync(block_fd)); T(fsync(block_fd)); put(block_fd, 71, 512, 0); T(fsync(block_fd)); T(close(block_fd)); flash(0, 1024); flash(block, 1024);
	T(ioctl(fd, MEMUNLOCK, &whole));
	close(fd);
}

static void read_only_device(int fd)
{
	puts("## a read-only device");
	int value = 0;
	put(fd, 80, 512, 0); put(fd, 80, 0, 0); put(fd, 80, 1, size); T(fsync(fd)); T(ioctl(fd, BLKFLSBUF, 0));
	T(ioctl(fd, BLKROSET, &value)); T(ioctl(fd, BLKROGET, &value)); printf("    %d\n", value); put(fd, 81, 512, 0);
	uint64_t range[2] = { 0, 512 };
	T(ioctl(fd, BLKZEROOUT, range)); T(ioctl(fd, BLKDISCARD, range));
	get(fd, "block", 512, 0);
}

/* Direct writes reach mtdblock and stay in its cache of one eraseblock; only a flush, another block and the last close write it
 * back. So what follows does not depend on when the kernel writes its page cache. */
#define DIRECT() open_block(O_RDWR | O_DIRECT, "O_RDWR | O_DIRECT")

static void start(unsigned seed)		/* blocks 0 to 2 hold something, block 3 is erased */
{
	erase(0, 4);
	int fd = open(char_node, O_RDWR);
	fill(seed, 3 * block);
	tell("start", pwrite(fd, bytes, 3 * block, 0));
	close(fd);
}
static void see(int fd, ll at, size_t n)	/* the block device, then the flash */
{
	get(fd, "block", n, at);
	flash(at, n);
}
static void waits(void)
{
	puts("## what waits in the cache");
	start(90);
	int fd = DIRECT();
	put(fd, 100, 512, 512); see(fd, 0, 2048); put(fd, 101, 1024, block - 1024); see(fd, block - 2048, 4096);
	T(ioctl(fd, BLKFLSBUF, 0)); see(fd, 0, 2048);
	put(fd, 102, 512, block); see(fd, 0, 2048); see(fd, block, 1024);
	put(fd, 103, 512, 3 * (ll)block + 512); see(fd, block, 1024); see(fd, 3 * (ll)block, 2048);
	T(fsync(fd)); see(fd, 3 * (ll)block, 2048); T(fsync(fd));
	put(fd, 104, block, block); see(fd, block, block); T(fdatasync(fd)); flash(block, block);
	put(fd, 105, 2 * block, block); flash(block, block); flash(2 * (ll)block, block); T(fsync(fd)); flash(block, 2 * block);
	put(fd, 106, 2048, block - 1024); flash(block - 1024, 1024); flash(block, 1024); T(close(fd)); flash(block - 1024, 2048);
	fd = BLOCK(O_RDWR);
	put(fd, 107, 100, 50); T(sync_file_range(fd, 0, 0, 7)); see(fd, 0, 1024); put(fd, 108, 5000, block - 2500); T(sync_file_range(fd, 0, 0, 7)); flash(block - 2500, 5000);
	T(ioctl(fd, BLKFLSBUF, 0)); flash(block - 2500, 5000); T(fsync(fd)); flash(block - 2500, 5000);
	uint64_t range[2] = { 512, 1024 };
	tell("BLKZEROOUT", ioctl(fd, BLKZEROOUT, range)); flash(0, 2048); T(close(fd)); flash(0, 2048);
	fd = BLOCK(O_RDWR | O_DIRECT | O_SYNC); put(fd, 109, 512, 1024); flash(0, 2048); T(close(fd));
	fd = BLOCK(O_RDWR | O_DIRECT | O_DSYNC); put(fd, 110, 512, 1024); flash(0, 2048); T(close(fd));
}
static void openers(void)
{
	int status;
	puts("## who closes last");
	start(91);
	int fd = DIRECT(), second = BLOCK(O_RDONLY), copy;
	put(fd, 111, 512, 0); T(close(fd)); see(second, 0, 4096); T(close(second)); flash(0, 1024);
	fd = DIRECT(); second = BLOCK(O_RDONLY);
	put(fd, 112, 512, 0); T(fsync(second)); flash(0, 1024); put(fd, 113, 512, 512); T(close(second)); flash(0, 1024); T(close(fd)); flash(0, 1024);
	fd = DIRECT(); copy = dup(fd);
	put(fd, 114, 512, 0); T(close(fd)); flash(0, 1024); put(copy, 115, 512, 512); T(dup2(open("/dev/null", O_RDONLY), copy) == copy); flash(0, 1024); close(copy);
	fd = DIRECT();
	put(fd, 116, 512, 0);
	int go[2];
	if (pipe(go)) return;
	pid_t child = fork();
	if (!child) { close(go[1]); char c; if (read(go[0], &c, 1)) {} put(fd, 117, 512, 1024); flash(0, 2048); _exit(0); }
	close(go[0]); T(close(fd)); flash(0, 2048); close(go[1]); waitpid(child, &status, 0); flash(0, 2048);
	child = fork();
	if (!child) { fd = DIRECT(); put(fd, 118, 512, 512); flash(0, 2048); raise(SIGKILL); }
	waitpid(child, &status, 0); tell("killed by", WTERMSIG(status)); flash(0, 2048);
	fd = DIRECT(); T(fsync(fd)); put(fd, 119, 512, 512); second = open(char_node, O_RDWR); T(close(second)); flash(0, 1024);
	fcntl(fd, F_SETFD, FD_CLOEXEC); child = fork(); if (!child) { execl("/proc/self/exe", "blkprobe", char_node, "look", (char *)0); _exit(9); }
	waitpid(child, &status, 0); T(close(fd)); flash(0, 1024);
}
static void behind_it(void)
{
	puts("## the flash changes behind the cache");
	start(92);
	int fd = DIRECT(), c = open(char_node, O_RDWR);
	struct erase_info_user e = { 0, block };
	put(fd, 120, 512, 512); T(ioctl(c, MEMERASE, &e)); see(fd, 0, 2048); T(fsync(fd)); see(fd, 0, 4096); flash(0, block);
	put(fd, 121, 512, 0); T(ioctl(c, MEMERASE, &e)); fill(122, 4096); tell("program", pwrite(c, bytes, 4096, 4096)); see(fd, 4096, 4096); see(fd, 0, 4096);
	put(fd, 123, 512, 4096); see(fd, 4096, 4096); flash(block - 4096, 8192); put(fd, 124, 512, block); flash(0, block); see(fd, 4096, 4096);
	e.start = block; e.length = 2 * block;
	T(ioctl(c, MEMERASE, &e)); see(fd, block, 4096); see(fd, 2 * (ll)block, 4096); fill(125, 2 * block); tell("program", pwrite(c, bytes, 2 * block, block)); flash(block, 2 * block);
	get(fd, "block", 4096, 2 * (ll)block - 2048); T(fsync(fd)); flash(block, block); see(fd, 2 * (ll)block - 2048, 4096); flash(2 * (ll)block, block); T(close(fd));
	fd = DIRECT(); put(fd, 126, 512, 0); e.start = 0; e.length = block; T(ioctl(c, MEMERASE, &e)); T(close(fd)); flash(0, block);
	close(c);
}
static void locked_behind_it(void)
{
	puts("## locked behind the cache");
	struct erase_info_user whole = { 0, size }, one = { 0, block };
	int c = open(char_node, O_RDWR);
	/* Only what locks each block apart, or all at once. */
	if (ioctl(c, MEMLOCK, &one) && ioctl(c, MEMLOCK, &whole)) { puts("no locks"); close(c); return; }
	int by_block = ioctl(c, MEMISLOCKED, &one) > 0; one.start = block; by_block &= ioctl(c, MEMISLOCKED, &one) == 0; one.start = 0;
	struct erase_info_user *lock = by_block ? &one : &whole;
	ioctl(c, MEMUNLOCK, &whole);
	start(93);
	int fd = DIRECT();
	put(fd, 130, 512, 0); T(ioctl(c, MEMLOCK, lock)); see(fd, 0, 1024); T(fsync(fd)); T(fsync(fd)); see(fd, 0, 1024); put(fd, 131, 512, 512); see(fd, 0, 1024);
	put(fd, 132, 512, 2 * (ll)block); see(fd, 2 * (ll)block, 1024); T(fsync(fd)); T(ioctl(c, MEMUNLOCK, &whole)); put(fd, 133, 512, 2 * (ll)block); see(fd, 0, 2048); T(fsync(fd)); see(fd, 2 * (ll)block, 1024);
	put(fd, 134, 512, 0); T(ioctl(c, MEMLOCK, lock)); T(close(fd)); flash(0, 1024);
	fd = DIRECT(); see(fd, 0, 1024); T(fsync(fd)); put(fd, 135, 512, 512); see(fd, 0, 1024); T(fsync(fd)); T(close(fd)); T(ioctl(c, MEMUNLOCK, &whole)); flash(0, 1024);
	close(c);
}
static void spare_bytes(int c, unsigned at)
{
	u8 oob[1024] = { 0 };
	struct mtd_oob_buf spare = { at, info.oobsize, oob };
	T(ioctl(c, MEMREADOOB, &spare));
	printf("    spare %08x\n", sum(oob, info.oobsize));
}
static void bad_behind_it(void)
{
	puts("## spare area and bad blocks behind the cache");
	u8 oob[1024];
	loff_t at = 0;
	start(94);
	int fd = DIRECT(), c = open(char_node, O_RDWR);
	struct mtd_oob_buf spare = { page, info.oobsize, oob };
	put(fd, 140, 512, 512);
	memset(oob, 0xff, sizeof oob); memset(oob + (info.oobsize > 16 ? 2 : 6), 0x3c, 2);
	T(ioctl(c, MEMWRITEOOB, &spare)); spare_bytes(c, page); see(fd, page, page); T(fsync(fd)); spare_bytes(c, page); flash(page, page);
	put(fd, 141, 512, 512); T(ioctl(c, MEMSETBADBLOCK, &at)); see(fd, 0, 4096); T(fsync(fd)); T(fsync(fd)); see(fd, 0, 4096); T(ioctl(c, MEMGETBADBLOCK, &at));
	spare_bytes(c, 0);
	put(fd, 142, 512, 0); see(fd, 0, 1024); put(fd, 143, 512, block); see(fd, 0, 1024); see(fd, block, 1024); put(fd, 144, 512, block); see(fd, block, 1024); T(fsync(fd)); see(fd, block, 1024);
	put(fd, 145, 512, 0); T(close(fd)); flash(0, 1024);
	fd = BLOCK(O_RDWR);
	put(fd, 146, 512, 0); T(sync_file_range(fd, 0, 0, 7)); see(fd, 0, 512); put(fd, 147, 3 * 4096, block); T(fsync(fd)); T(fsync(fd)); T(close(fd)); flash(block, 4 * 4096);
	close(c);
}
static void neighbours(void)
{
	char mine[64], other[64];
	int number = atoi(char_node + 8) + 1;
	puts("## another device on the same chip");
	strcpy(mine, block_node);
	snprintf(other, sizeof other, "/dev/mtdblock%d", number);
	if (!has(other)) { puts("none"); return; }
	start(95);
	int fd = DIRECT();
	put(fd, 150, 512, 0);
	strcpy(block_node, other);
	int second = DIRECT();
	strcpy(block_node, mine);
	put(second, 151, 512, 0); see(fd, 0, 1024); get(second, "other", 1024, 0);
	const char *own = char_node; char theirs[64]; snprintf(theirs, sizeof theirs, "/dev/mtd%d", number); char_node = theirs; flash(0, 1024); T(fsync(fd)); flash(0, 1024);
	put(second, 152, 512, block); flash(0, 1024); flash(block, 1024); T(close(second)); flash(block, 1024);
	char_node = own; flash(0, 1024); T(close(fd));
}
static unsigned dice;
static unsigned below(unsigned n) { dice ^= dice << 13; dice ^= dice >> 17; dice ^= dice << 5; return (dice >> 3) % n; }
/* Any order of the above, on the first four blocks. Pages are programmed only where they have just been erased. */
static void any_order(unsigned seed)
{
	printf("## any order, seed %u\n", seed);
	dice = seed * 2654435761u | 1;
	start(seed);
	int c = open(char_node, O_RDWR), fd = DIRECT(), second = -1, marked = 0;
	for (unsigned i = 0; i < 250; i++) {
		unsigned what = below(100), sectors = 1 + below(below(4) ? 4 : 24), at = below(below(3) ? 2 : 4);
		ll place = at * (ll)block + below(block / 512) * 512;
		struct erase_info_user e = { at * block, block };
		if (what < 35) put(fd, seed + i, sectors * 512, place);
		else if (what < 50) get(fd, "block", sectors * 512, place);
		else if (what < 64) get(c, "flash", sectors * 512, place / page * page);
		else if (what < 74) T(ioctl(c, MEMERASE, &e));
		else if (what < 80) { if (!T(ioctl(c, MEMERASE, &e))) { fill(seed + i, 8192); tell("program", pwrite(c, bytes, 8192, e.start + below(2) * 8192)); } }
		else if (what < 87) T(fsync(fd));
		else if (what < 91) { T(close(fd)); fd = DIRECT(); }
		else if (what < 93) T(ioctl(fd, BLKFLSBUF, 0));
		else if (what < 96) { if (second < 0) second = BLOCK(O_RDONLY); else { T(fsync(second)); T(close(second)); second = -1; } }
		else if (what < 98) T(ioctl(c, below(2) ? MEMLOCK : MEMUNLOCK, &e));
		else if (info.oobsize && marked < 2 && below(3) == 0) { loff_t bad = e.start; marked++; T(ioctl(c, MEMSETBADBLOCK, &bad)); }
	}
	T(close(fd)); if (second >= 0) T(close(second)); flash(0, 2 * block); flash(2 * (ll)block, 2 * block);
	close(c);
}
static void cache(void)
{
	waits(); openers(); behind_it(); locked_behind_it();
	if (info.oobsize) bad_behind_it();
	neighbours();
}

int main(int argc, char **argv)
{
	if (argc < 2 || strncmp(argv[1], "/dev/mtd", 8)) return 2;
	char_node = argv[1];
	snprintf(block_node, sizeof block_node, "/dev/mtdblock%s", argv[1] + 8);
	bytes = mmap(0, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(char_node, O_RDONLY);
	if (fd < 0 || ioctl(fd, MEMGETINFO, &info) || !has(block_node)) { perror(char_node); return 1; }
	block = info.erasesize; page = info.writesize; size = info.size;
	close(fd);
	if (argc > 2) {
		if (!strcmp(argv[2], "cache")) cache();
		else if (!strcmp(argv[2], "any")) for (unsigned seed = 1; seed <= 6; seed++) any_order(seed);
		else flash(0, 1024);
		return 0;
	}
	fd = BLOCK(O_RDWR);
	numbers(fd);
	if (!(info.flags & MTD_WRITEABLE)) { read_only_device(fd); return 0; }
	read_only_switch(fd);
	close(fd);
	syncs(); ends(); direct(); maps(); discards(); claims(); locks();
	if (info.oobsize) { broken_page(); bad_blocks(); }
	return 0;
}
