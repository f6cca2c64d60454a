/* reopen DEV: freopen(DEV, "w") on standard output and on another stream, whose results are ignored, as programs do.
 * reopen openat2 DEV: opens it by that system call, for which C libraries have no name. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <mtd/mtd-user.h>

int main(int argc, char **argv)
{
	struct mtd_info_user info;
	FILE *other = fopen("/dev/null", "w");
	if (argc < 3 || !other) return 2;
	if (!strcmp(argv[1], "openat2")) {
		unsigned long long how[3] = { O_RDWR };
		int fd = (int)syscall(437, AT_FDCWD, argv[2], how, sizeof how);
		return fd < 0 || ioctl(fd, MEMGETINFO, &info) ? 6 : puts("the device") < 0;
	}
	if (!freopen(argv[1], "w", stdout) || ioctl(fileno(stdout), MEMGETINFO, &info)) return 3;
	printf("standard output");
	fclose(stdout);
	if (!freopen(argv[2], "w", other) || ioctl(fileno(other), MEMGETINFO, &info)) return 4;
	fprintf(other, "another stream");
	return fclose(other) ? 5 : 0;
}
