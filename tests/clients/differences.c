/*
 * differences CLAIM DEV [ARGUMENT]: one row of the README's table "Differences from the kernel", tried on DEV (/dev/mtdN).
 * Prints what it found wrong and ends with 1; ends with 0 where the row is true.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <mtd/mtd-user.h>

static const char *dev;
static char block_node[64];
static struct mtd_info_user info;
static unsigned char bytes[1 << 20], other[1 << 20];
static int wrong;

#define CLAIM(holds) do { if (!(holds)) { printf("line %d: %s (errno %d)\n", __LINE__, #holds, errno); wrong = 1; } } while (0)

static int open_char(int flags) { return open(dev, flags); }
static int open_block(int flags) { return open(block_node, flags); }
static void erase(int fd, unsigned first, unsigned count)
{
	struct erase_info_user e = { first * info.erasesize, count * info.erasesize };
	CLAIM(!ioctl(fd, MEMERASE, &e));
}

static int holds_at(int fd, const char *text, off_t at)
{
	ssize_t n = strlen(text);
	return pread(fd, other, n, at) == n && !memcmp(other, text, n);
}
static void block_at_once(void)
{
	int c = open_char(O_RDWR), b = open_block(O_RDWR);
	erase(c, 0, 2);
	/* Below the page cache at once, and so on the flash with the next block. */
	CLAIM(pwrite(b, "block", 5, 100) == 5 && !holds_at(c, "block", 100));
	CLAIM(pwrite(b, "other", 5, info.erasesize) == 5 && holds_at(c, "block", 100) && !holds_at(c, "other", info.erasesize));
	CLAIM(pread(b, other, 4096, 0) == 4096);
	erase(c, 0, 1);
	CLAIM(holds_at(b, "\xff\xff", 100) && holds_at(b, "other", info.erasesize));
}
static void block_twice(void)
{
	int c = open_char(O_RDWR), whole = open_block(O_RDWR), part = open("/dev/mtdblock1", O_RDWR);
	erase(c, 0, 1);
	CLAIM(pwrite(whole, "whole", 5, 0) == 5 && !holds_at(c, "whole", 0) && !holds_at(part, "whole", 0));
	CLAIM(pwrite(part, "part", 4, 8192) == 4 && holds_at(c, "whole", 0) && !holds_at(c, "part", 8192));
	CLAIM(!fsync(part) && holds_at(c, "part", 8192) && !fsync(whole) && holds_at(whole, "part", 8192) && holds_at(whole, "whole", 0));
}
static void block_partly_locked(void)
{
	int c = open_char(O_RDWR), b = open_block(O_RDWR);
	off_t last = info.size - info.erasesize;
	struct erase_info_user half = { last + info.erasesize / 2, info.erasesize / 8 };
	CLAIM(pwrite(c, "before", 6, last) == 6 && pwrite(b, "behind", 6, last) == 6 && !ioctl(c, MEMLOCK, &half));
	CLAIM(fsync(b) == -1 && errno == EIO && holds_at(c, "before", last) && holds_at(b, "behind", last));
	CLAIM(!ioctl(c, MEMUNLOCK, &half) && !fsync(b) && holds_at(c, "behind", last));
}
static void block_map(void)
{
	int c = open_char(O_RDWR), b = open_block(O_RDWR);
	erase(c, 0, 1);
	CLAIM(pwrite(b, "before", 6, 0) == 6);
	char *map = mmap(0, 4096, PROT_READ, MAP_SHARED, b, 0);
	CLAIM(map != MAP_FAILED && !memcmp(map, "before", 6));
	CLAIM(pwrite(b, "after", 5, 0) == 5 && map != MAP_FAILED && !memcmp(map, "before", 6));
	CLAIM(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0) == MAP_FAILED && errno == ENODEV);
	map = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, b, 0);
	CLAIM(map != MAP_FAILED && (map[0] = 'X') && pread(b, other, 1, 0) == 1 && other[0] == 'a');
}
static void block_oddities(void)
{
	int first = open_block(O_RDONLY | O_EXCL), second = open_block(O_RDONLY | O_EXCL), b = open_block(O_RDWR);
	unsigned char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CLAIM(first >= 0 && second >= 0);
	CLAIM(fallocate(b, FALLOC_FL_ZERO_RANGE, 0, 4096) == -1 && errno == EOPNOTSUPP);
	CLAIM(fallocate(b, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100) == -1 && errno == EOPNOTSUPP);
	mprotect(pages + 4096, 4096, PROT_NONE);
	CLAIM(pread(b, pages + 4096 - 256, 512, 0) == -1 && errno == EFAULT);
}
static void mark(loff_t block)
{
	block *= info.erasesize;
	CLAIM(!ioctl(open_char(O_RDWR), MEMSETBADBLOCK, &block));
}
static void mark_bad(void) { mark(5); }
static void mark_first(void) { mark(0); }
static void memwrite_mode(void)
{
	struct mtd_write_req w = { .start = 0, .len = info.writesize, .usr_data = (uintptr_t)bytes, .mode = 7 };
	CLAIM(ioctl(open_char(O_RDWR), MEMWRITE, &w) == -1 && errno == EINVAL);
}
static void memread_refused(void)
{
	struct mtd_read_req r = { .start = info.size, .len = 1, .usr_data = (uintptr_t)bytes, .ecc_stats = { 7, 8, 9 } };
	CLAIM(ioctl(open_char(O_RDONLY), MEMREAD, &r) == -1 && errno == EINVAL);
	CLAIM(!r.ecc_stats.uncorrectable_errors && !r.ecc_stats.corrected_bitflips && !r.ecc_stats.max_bitflips);
}
static void raw_write(void)
{
	int c = open_char(O_RDWR);
	erase(c, 0, 1);
	CLAIM(!ioctl(c, MTDFILEMODE, MTD_FILE_MODE_RAW));
	memset(bytes, 0x3c, info.writesize);
	CLAIM(write(c, bytes, info.writesize) == (ssize_t)info.writesize);
	CLAIM(pread(c, other, info.writesize, 0) == (ssize_t)info.writesize && !memcmp(other, bytes, info.writesize));
}
static void without_privilege(void)
{
	struct blkpg_partition p = { .start = 0, .length = info.erasesize, .devname = "mine" };
	struct blkpg_ioctl_arg a = { BLKPG_ADD_PARTITION, 0, sizeof p, &p };
	struct stat st;
	CLAIM(!ioctl(open_char(O_RDONLY), BLKPG, &a));
	CLAIM(!stat(dev, &st) && st.st_uid == geteuid() && st.st_gid == getegid() && (st.st_mode & 07777) == 0600);
}
static void freopen_kinds(void)
{
	char text[6] = "";
	int c = open_char(O_RDWR);
	erase(c, 0, 1);
	CLAIM(pwrite(c, "early", 5, 0) == 5);
	FILE *f = fopen("/dev/null", "r"), *again = freopen(dev, "r", f);
	erase(c, 0, 1);
	CLAIM(again == f && fread(text, 1, 5, again) == 5 && !strcmp(text, "early"));
	f = fopen("/dev/null", "r");
	again = freopen(dev, "r+", f);
	CLAIM(again && again != f);
	again = freopen(dev, "r+", stdin);
	CLAIM(again && again == stdin);
}
static int seen_by_walk;
static int seen(const char *path, const struct stat *st, int kind) { seen_by_walk += !strcmp(path, dev) || strstr(path, "/sys/class/mtd/mtd0"); return 0; }
static int seen_deep(const char *path, const struct stat *st, int kind, struct FTW *at) { return seen(path, st, kind); }
static void walks(void)
{
	char dev_folder[] = "/dev", mtd_folder[] = "/sys/class/mtd";
	char *folders[] = { dev_folder, mtd_folder, 0 };
	FTS *fts = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR, 0);
	for (FTSENT *e; fts && (e = fts_read(fts));) seen_by_walk += !strcmp(e->fts_path, dev) || strstr(e->fts_path, "/sys/class/mtd/mtd0");
	ftw("/dev", seen, 8); ftw("/sys/class/mtd", seen, 8);
	CLAIM(seen_by_walk == 0);
	CLAIM(!nftw("/sys/class/mtd", seen_deep, 8, FTW_PHYS) && seen_by_walk > 0);
}

static void given_back(void)
{
	struct stat st;
	int status;
	char *name = mmap(0, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CLAIM(!stat(strcpy(name, "/"), &st));
	munmap(name, sysconf(_SC_PAGESIZE));
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	pid_t child = fork();
	if (!child) _exit(stat(name, &st) == -1 && errno == EFAULT);
	CLAIM(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

static const struct { const char *name; void (*claim)(void); } rows[] = {
	{ "block_at_once", block_at_once }, { "block_twice", block_twice }, { "block_partly_locked", block_partly_locked }, { "block_map", block_map },
	{ "block_oddities", block_oddities }, { "mark_bad", mark_bad }, { "mark_first", mark_first }, { "memwrite_mode", memwrite_mode }, { "memread_refused", memread_refused },
	{ "raw_write", raw_write }, { "without_privilege", without_privilege }, { "freopen_kinds", freopen_kinds }, { "walks", walks }, { "given_back", given_back },
};

int main(int argc, char **argv)
{
	if (argc < 3) return 2;
	dev = argv[2];
	snprintf(block_node, sizeof block_node, "/dev/mtdblock%s", dev + strlen("/dev/mtd"));
	int fd = open_char(O_RDONLY);
	if (fd < 0 || ioctl(fd, MEMGETINFO, &info)) { perror(dev); return 2; }
	close(fd);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		if (!strcmp(rows[i].name, argv[1])) { rows[i].claim(); return wrong; }
	return 2;
}
