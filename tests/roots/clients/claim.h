/*
 * What every client here shares: claims that are counted, and the facts of the device under test.
 * A claim that holds prints "ok NAME"; one that does not prints "FAIL NAME" with what was seen, and the
 * program then ends with status 1. Nothing printed depends on time, addresses or descriptor numbers.
 * Includes only what glibc, musl and uClibc-ng all have.
 */
#ifndef CLAIM_H
#define CLAIM_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include <mtd/mtd-user.h>

static int claims_failed;

__attribute__((unused, format(printf, 3, 4)))
static int claim(const char *name, int holds, const char *seen, ...)
{
	va_list list;
	int error = errno;

	if (holds) {
		printf("ok %s\n", name);
	} else {
		claims_failed++;
		printf("FAIL %s: ", name);
		va_start(list, seen);
		vprintf(seen, list);
		va_end(list);
		printf(" (%s)\n", strerror(error));
	}
	fflush(stdout);
	errno = 0;
	return holds;
}

struct device {
	const char *path;	/* /dev/mtd0 */
	const char *name;	/* mtd0 */
	int index;
	struct mtd_info_user info;
	uint32_t page;		/* what one write must be a multiple of; at least 16 */
};

__attribute__((unused))
static struct device device_of(int argc, char **argv)
{
	struct device device = { 0 };
	const char *slash;
	int fd;

	if (argc < 2) {
		fprintf(stderr, "usage: %s /dev/mtdN\n", argv[0]);
		exit(2);
	}
	device.path = argv[1];
	slash = strrchr(device.path, '/');
	device.name = slash ? slash + 1 : device.path;
	device.index = atoi(device.name + strcspn(device.name, "0123456789"));
	fd = open(device.path, O_RDONLY);
	if (fd < 0 || ioctl(fd, MEMGETINFO, &device.info) != 0) {
		printf("FAIL device: %s of %s (%s)\n", fd < 0 ? "open" : "MEMGETINFO", device.path, strerror(errno));
		exit(1);
	}
	close(fd);
	device.page = device.info.writesize < 16 ? 16 : device.info.writesize;
	return device;
}

/* The first good eraseblock from block `from` on, as an offset; -1 if there is none. */
__attribute__((unused))
static off_t good_block(int fd, const struct device *device, uint32_t from)
{
	uint32_t blocks = device->info.size / device->info.erasesize;

	for (uint32_t block = from; block < blocks; block++) {
		loff_t offset = (loff_t)block * device->info.erasesize;

		if (ioctl(fd, MEMGETBADBLOCK, &offset) <= 0)
			return (off_t)offset;
	}
	return -1;
}

__attribute__((unused))
static int erase_block(int fd, const struct device *device, off_t offset)
{
	struct erase_info_user erase = { .start = (uint32_t)offset, .length = device->info.erasesize };
	int result;

	ioctl(fd, MEMUNLOCK, &erase);	/* chips without locks refuse this: nothing to unlock then */
	result = ioctl(fd, MEMERASE, &erase);
	return result;
}

/* Bytes that differ between places and rounds, and never are all ones. */
__attribute__((unused))
static void pattern(uint8_t *bytes, size_t count, uint32_t seed)
{
	uint32_t state = seed * 2654435761u + 12345;

	for (size_t i = 0; i < count; i++) {
		state = state * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(state >> 24) & 0x7f;
	}
}

__attribute__((unused))
static int verdict(const char *program)
{
	if (claims_failed)
		printf("%s: %d claims failed\n", program, claims_failed);
	else
		printf("%s: all claims hold\n", program);
	return claims_failed != 0;
}
#endif
