/*
 * smallstack KIB DEV: opens, erases, writes and reads DEV in a thread with a stack of so many KiB. On a device flash calls take
 * nothing of it. Dies where that is too little.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <mtd/mtd-user.h>

static const char *dev;
static int fails = 1;

static void *use(void *nothing)
{
	static char written[4096] = "kept", read_back[4096];
	struct mtd_info_user info;
	struct erase_info_user first = { 0, 0 };
	int fd = open(dev, O_RDWR);

	if (fd >= 0 && !ioctl(fd, MEMGETINFO, &info)) {
		first.length = info.erasesize;
		fails = ioctl(fd, MEMERASE, &first) || pwrite(fd, written, sizeof written, 0) != sizeof written
			|| pread(fd, read_back, sizeof read_back, 0) != sizeof read_back || read_back[0] != 'k';
	}
	return nothing;
}

int main(int argc, char **argv)
{
	const size_t guard = 1 << 16;
	size_t size = argc > 2 ? atoi(argv[1]) * 1024 : 0;
	char *memory = mmap(NULL, guard + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attributes;
	pthread_t thread;

	dev = argv[argc - 1];
	if (memory == MAP_FAILED || mprotect(memory, guard, PROT_NONE) || pthread_attr_init(&attributes)
	    || pthread_attr_setstack(&attributes, memory + guard, size) || pthread_create(&thread, &attributes, use, NULL))
		return 2;
	pthread_join(thread, NULL);
	return fails;
}
