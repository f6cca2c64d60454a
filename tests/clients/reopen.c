/* reopen DEV: freopen(DEV, "w") on standard output and on another stream, whose results are ignored, as programs do. */
#include <stdio.h>
#include <sys/ioctl.h>
#include <mtd/mtd-user.h>

int main(int argc, char **argv)
{
	struct mtd_info_user info;
	FILE *other = fopen("/dev/null", "w");
	if (argc < 3 || !other) return 2;
	if (!freopen(argv[1], "w", stdout) || ioctl(fileno(stdout), MEMGETINFO, &info)) return 3;
	printf("standard output");
	fclose(stdout);
	if (!freopen(argv[2], "w", other) || ioctl(fileno(other), MEMGETINFO, &info)) return 4;
	fprintf(other, "another stream");
	return fclose(other) ? 5 : 0;
}
