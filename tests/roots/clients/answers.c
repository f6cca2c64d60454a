/*
 * answers /dev/mtdN: a device that only rules of the configuration answer for (tests/roots/table writes them) looks,
 * reads and answers the same by every entry point of this libc, and follows its descriptor into children.
 *
 * As a child it is started as "answers /dev/mtdN child FD".
 */
#include "claim.h"
#include <sys/sysmacros.h>
#include <sys/wait.h>

#define PATH "/dev/gpio-ruled"
#define STEPS 0x6701
#define BYTES 0x80046702

static int looks_right(const struct stat *status)
{
	return S_ISCHR(status->st_mode) && major(status->st_rdev) == 240 && status->st_size == 0;
}

int main(int argc, char **argv)
{
	unsigned char bytes[6] = { 9, 9, 9, 9, 9, 9 };
	char text[16], number[12];
	struct stat status;
	int fd, copy, result;
#ifndef __UCLIBC__
	FILE *stream;
#endif
	pid_t pid;

	if (argc > 3 && !strcmp(argv[2], "child"))
		return ioctl(atoi(argv[3]), STEPS, 0) == 13 ? 0 : 1;
	claim("stat_exists", stat(PATH, &status) == 0 && looks_right(&status), "mode %o", status.st_mode);
	claim("lstat_exists", lstat(PATH, &status) == 0 && looks_right(&status), "mode %o", status.st_mode);
	claim("access", access(PATH, R_OK | W_OK) == 0, "refused");
	fd = open(PATH, O_RDWR | O_CREAT | O_TRUNC, 0600);
	claim("open", fd >= 0, "%d", fd);
	claim("fstat", fstat(fd, &status) == 0 && looks_right(&status), "mode %o", status.st_mode);
	result = ioctl(fd, BYTES, bytes);
	claim("bytes_at_their_offset", result == 0 && bytes[1] == 9 && bytes[2] == 1 && bytes[3] == 2 && bytes[4] == 9,
		"%d: %d %d %d", result, bytes[2], bytes[3], bytes[4]);
	claim("bad_pointer", ioctl(fd, BYTES, (void *)8) == -1 && errno == EFAULT, "no EFAULT");
	claim("no_rule", ioctl(fd, 0x6799, 0) == -1 && errno == ENOTTY, "no ENOTTY");
	claim("no_terminal", !isatty(fd), "it is one");
	result = read(fd, text, sizeof text);
	claim("read", result == 4 && !memcmp(text, "here", 4), "%d", result);
	claim("read_ends", read(fd, text, sizeof text) == 0, "more");
	claim("write", write(fd, "on", 2) == 2, "refused");
	claim("step_1", ioctl(fd, STEPS, 0) == 11, "another");
	copy = dup(fd);
	claim("step_2_by_a_duplicate", ioctl(copy, STEPS, 0) == 12, "another");
	snprintf(number, sizeof number, "%d", fd);
	pid = fork();
	if (pid == 0) {
		execl(argv[0], argv[0], argv[1], "child", number, (char *)0);
		_exit(2);
	}
	result = -1;
	waitpid(pid, &result, 0);
	claim("step_3_by_a_new_program", result == 0, "status %x", result);
	claim("last_step_stays", ioctl(fd, STEPS, 0) == 13, "another");
	close(fd);
	close(copy);
	claim("closed", ioctl(fd, STEPS, 0) == -1, "still there");
	fd = open("/dev/null", O_RDWR);
	claim("null_stays", write(fd, "x", 1) == 1 && read(fd, text, 1) == 0, "other");
	claim("null_answers", ioctl(fd, STEPS, 0) == 5, "no");
	close(fd);
#ifndef __UCLIBC__ /* with LinuxThreads it has no fopencookie */
	stream = fopen(PATH, "r");
	claim("stream", stream && fgets(text, sizeof text, stream) && !strcmp(text, "here"), "%s", text);
	if (stream)
		fclose(stream);
#endif
	if (!claims_failed)
		printf("answers: all claims hold\n");
	return claims_failed != 0;
}
