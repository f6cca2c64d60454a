/*
 * vendor_update FILE: what a firmware vendor's updater typically does, as a test client.
 *
 * FILE is opaque (made by tests/clients/make-update): a header and scrambled records. A record names its partition; the
 * updater looks the name up in /proc/mtd, erases, writes page by page past bad blocks, reads back and compares checksums.
 * With VENDOR_FROM_BLOCK=1 in the environment it reads back through /dev/mtdblockN.
 * Exit status: 0 updated, 1 refused before anything was touched, 2 failed half-way.
 */
#include <errno.h>
#include <fcntl.h>
#include <mtd/mtd-user.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct header { char magic[8]; uint32_t records; uint32_t total; };
struct record { char name[32]; uint32_t length; uint32_t crc; };

static uint32_t crc32(const uint8_t *bytes, uint32_t count)
{
	uint32_t crc = 0xffffffff;
	while (count--) {
		crc ^= *bytes++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
	}
	return ~crc;
}

static void unscramble(uint8_t *bytes, uint32_t count, uint32_t seed)
{
	for (uint32_t i = 0; i < count; i++) {
		seed = seed * 1103515245 + 12345;
		bytes[i] ^= seed >> 16;
	}
}

/* The number behind a name in /proc/mtd, -1 without one. */
static int find_partition(const char *wanted)
{
	char line[256], name[128];
	int found = -1, number;
	unsigned size, erasesize;
	FILE *list = fopen("/proc/mtd", "r");

	if (!list) { perror("/proc/mtd"); return -1; }
	while (fgets(line, sizeof line, list))
		if (sscanf(line, "mtd%d: %x %x \"%127[^\"]\"", &number, &size, &erasesize, name) == 4 && !strcmp(name, wanted))
			found = number;
	fclose(list);
	return found;
}

static int is_bad(int fd, const struct mtd_info_user *info, loff_t block)
{
	if (info->type != MTD_NANDFLASH) return 0;
	int bad = ioctl(fd, MEMGETBADBLOCK, &block);
	if (bad < 0) perror("MEMGETBADBLOCK");
	return bad;
}

/* Erases and writes one block; count may be less than a block, the rest of the last page is 0xFF. */
static int put_block(int fd, const struct mtd_info_user *info, uint32_t start, const uint8_t *bytes, uint32_t count)
{
	struct erase_info_user range = { start, info->erasesize };
	uint8_t *page = malloc(info->erasesize);
	uint32_t step = info->writesize > 1 ? info->writesize : 4096;

	ioctl(fd, MEMUNLOCK, &range); /* many chips have no locks: the answer does not matter */
	if (ioctl(fd, MEMERASE, &range)) { perror("MEMERASE"); free(page); return -1; }
	if (lseek(fd, start, SEEK_SET) != (off_t)start) { perror("lseek"); free(page); return -1; }
	for (uint32_t done = 0; done < count; done += step) {
		uint32_t part = count - done < step ? count - done : step;
		uint32_t whole = info->writesize > 1 ? step : part;

		memset(page, 0xff, whole);
		memcpy(page, bytes + done, part);
		if (write(fd, page, whole) != (ssize_t)whole) { perror("write"); free(page); return -1; }
	}
	free(page);
	return 0;
}

static int verify(int number, int fd, const struct mtd_info_user *info, const struct record *record)
{
	char path[32];
	uint8_t *back = malloc(record->length);
	uint32_t done = 0, crc;
	int from_block = getenv("VENDOR_FROM_BLOCK") != NULL;
	int in = fd;

	if (from_block) {
		snprintf(path, sizeof path, "/dev/mtdblock%d", number);
		in = open(path, O_RDONLY);
		if (in < 0) { perror(path); return -1; }
	}
	for (uint32_t start = 0; done < record->length && start < info->size; start += info->erasesize) {
		uint32_t part = record->length - done < info->erasesize ? record->length - done : info->erasesize;

		if (is_bad(fd, info, start)) continue;
		if (pread(in, back + done, part, start) != (ssize_t)part) { perror("read back"); return -1; }
		done += part;
	}
	if (from_block) close(in);
	crc = crc32(back, done);
	free(back);
	printf("  verify %s: %s\n", from_block ? "through mtdblock" : "through mtd", crc == record->crc ? "ok" : "MISMATCH");
	return crc == record->crc ? 0 : -1;
}

static int install(const struct record *record, const uint8_t *bytes)
{
	char path[32];
	struct mtd_info_user info;
	int number = find_partition(record->name);
	uint32_t done = 0, start = 0, skipped = 0;

	snprintf(path, sizeof path, "/dev/mtd%d", number);
	int fd = open(path, O_RDWR | O_SYNC);
	if (fd < 0) { perror(path); return -1; }
	if (ioctl(fd, MEMGETINFO, &info)) { perror("MEMGETINFO"); return -1; }
	printf("%s -> %s: %s, %u bytes in blocks of %u\n", record->name, path,
		info.type == MTD_NANDFLASH ? "NAND" : info.type == MTD_NORFLASH ? "NOR" : "RAM", info.size, info.erasesize);
	for (; done < record->length && start < info.size; start += info.erasesize) {
		uint32_t part = record->length - done < info.erasesize ? record->length - done : info.erasesize;
		int bad = is_bad(fd, &info, start);

		if (bad < 0) return -1;
		if (bad) { printf("  block %u is bad, skipped\n", start / info.erasesize); skipped++; continue; }
		if (put_block(fd, &info, start, bytes + done, part)) return -1;
		done += part;
	}
	if (done < record->length) { fprintf(stderr, "%s: does not fit\n", record->name); return -1; }
	fsync(fd); /* NOR and NAND refuse it; vendors call it anyway */
	printf("  wrote %u bytes, skipped %u bad blocks\n", done, skipped);
	int failed = verify(number, fd, &info, record);
	close(fd);
	return failed;
}

int main(int argc, char **argv)
{
	struct stat st;
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;

	if (fd < 0 || fstat(fd, &st)) { fprintf(stderr, "usage: vendor_update FILE\n"); return 1; }
	uint8_t *file = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED) { perror("mmap"); return 1; }
	struct header *header = (void *)file;
	if ((size_t)st.st_size < sizeof *header || memcmp(header->magic, "VNDRUPD1", 8) || header->total != (uint32_t)st.st_size) {
		fprintf(stderr, "not an update file\n");
		return 1;
	}
	unscramble(file + sizeof *header, st.st_size - sizeof *header, header->total);
	for (int pass = 0; pass < 2; pass++) { /* first everything is checked, then anything is written */
		uint8_t *at = file + sizeof *header;
		for (uint32_t i = 0; i < header->records; i++) {
			struct record *record = (void *)at;
			uint8_t *bytes = at + sizeof *record;

			if (!pass && crc32(bytes, record->length) != record->crc) { fprintf(stderr, "update file is damaged\n"); return 1; }
			if (!pass && find_partition(record->name) < 0) { fprintf(stderr, "no partition \"%s\"\n", record->name); return 1; }
			if (pass && install(record, bytes)) { fprintf(stderr, "update FAILED\n"); return 2; }
			at = bytes + ((record->length + 3) & ~3u);
		}
	}
	printf("update done\n");
	return 0;
}
