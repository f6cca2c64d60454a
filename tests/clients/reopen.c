/* reopen DEV: freopen(DEV, "w") on standard output and on another stream, whose results are ignored, as programs do.
 * reopen mixed DEV: streams and write() on one open flash file, by turns.
 * reopen formatted DEV: dprintf, vdprintf and their checked forms between writes.
 * reopen threads DEV: one thread writes byte after byte while another forks, which gives the position to the children.
 * reopen aio DEV: asynchronous transfers, here and on a plain file at the same time.
 * reopen openat2 DEV: opens it by that system call, for which C libraries have no name.
 * reopen unheard NAME: opens and stats a name relative to /dev, where the program went unheard by any hook of chdir. */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <mtd/mtd-user.h>

/* What printf writes to an inherited standard output goes below every hook, what write() writes does not. */
static int mixed(const char *name)
{
	static const char expected[] = "zero.half.one.two.three.four.\377\377\377\377\377five.six.";
	char seen[sizeof expected];
	int fd = open(name, O_RDWR), saved = dup(1), status = 0;
	write(fd, "zero.", 5);
	write(dup(fd), "half.", 5);
	dup2(fd, 1);
	printf("one."), fflush(stdout);
	write(1, "two.", 4);
	printf("three."), fflush(stdout);
	if (!fork()) _exit(write(fd, "four.", 5) != 5);
	wait(&status);
	lseek(1, 5, SEEK_CUR);
	printf("five."), fflush(stdout);
	dup2(saved, 1);
	write(fd, "six.", 4);
	return status || pread(open(name, O_RDONLY), seen, sizeof seen - 1, 0) < 0 || memcmp(seen, expected, sizeof seen - 1);
}

static int vprint(int fd, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	int length = vdprintf(fd, format, list);
	va_end(list);
	return length;
}

/* libc formats and writes by itself: every form of it, between writes of ours. `checked` forms are what _FORTIFY_SOURCE makes. */
extern int __dprintf_chk(int, int, const char *, ...) __attribute__((weak));

static int formatted(const char *name)
{
	static const char expected[] = "one 1 2.5 three 4/5 6.5 chk 7 8 9.25 end";
	char seen[sizeof expected] = "";
	int fd = open(name, O_RDWR);
	write(fd, "one", 3);
	if (dprintf(fd, " %d %.1f %s", 1, 2.5, "three") != 12) return 1;
	write(fd, " ", 1);
	if (vprint(fd, "%d/%d %.1f", 4, 5, 6.5) != 7) return 2;
	write(fd, " chk", 4);
	int length = __dprintf_chk ? __dprintf_chk(fd, 1, " %d %d %.2f", 7, 8, 9.25) : dprintf(fd, " %d %d %.2f", 7, 8, 9.25);
	if (length != 9 || lseek(fd, 0, SEEK_CUR) != 36) return 3;
	write(fd, " end", 4);
	return pread(fd, seen, sizeof seen - 1, 0) < 0 || memcmp(seen, expected, sizeof seen - 1);
}

enum { COUNT = 6000 };
static int done;

static void *writes(void *name)
{
	for (int i = 0, fd = -1; i < COUNT; i++) {
		char byte = i * 7 % 251;
		if (i % 40 == 0) { /* a file that nobody else has yet */
			close(fd);
			fd = open(name, O_RDWR);
			lseek(fd, i, SEEK_SET);
		}
		if (write(fd, &byte, 1) != 1) return "write";
	}
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static int threads(char *name)
{
	static unsigned char seen[COUNT + 1];
	pthread_t thread;
	void *failed;
	pthread_create(&thread, NULL, writes, name);
	do {
		if (!fork()) _exit(0);
		wait(NULL);
	} while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE));
	pthread_join(thread, &failed);
	if (failed || pread(open(name, O_RDONLY), seen, sizeof seen, 0) != sizeof seen || seen[COUNT] != 0xff) return 1;
	for (int i = 0; i < COUNT; i++)
		if (seen[i] != i * 7 % 251) return 1;
	return 0;
}

static ssize_t finished(struct aiocb *control)
{
	while (aio_error(control) == EINPROGRESS) aio_suspend((const struct aiocb **)&control, 1, NULL);
	return aio_error(control) ? -aio_error(control) : aio_return(control);
}

static int aio(const char *name)
{
	char seen[8] = "", byte = 0;
	int fd = open(name, O_RDWR), plain = fileno(tmpfile());
	struct aiocb write_one = { .aio_fildes = fd, .aio_buf = "flash", .aio_nbytes = 5, .aio_offset = 3, .aio_lio_opcode = LIO_WRITE };
	struct aiocb read_one = { .aio_fildes = fd, .aio_buf = seen, .aio_nbytes = 6, .aio_offset = 2, .aio_sigevent.sigev_notify = SIGEV_NONE };
	struct aiocb write_other = { .aio_fildes = plain, .aio_buf = "plain", .aio_nbytes = 5, .aio_offset = 1, .aio_lio_opcode = LIO_WRITE };
	struct aiocb beyond = { .aio_fildes = fd, .aio_buf = "x", .aio_nbytes = 1, .aio_offset = 0x7fffffff };
	struct aiocb *both[] = { &write_other, NULL, &write_one }, *other[] = { &write_other, NULL };
	if (aio_write(&write_one) || finished(&write_one) != 5) return 1;
	if (aio_read(&read_one) || finished(&read_one) != 6 || memcmp(seen, "\377flash", 6)) return 2;
	if (aio_write(&write_other) || finished(&write_other) != 5 || pread(plain, seen, 5, 1) != 5 || memcmp(seen, "plain", 5)) return 3;
	if (aio_write(&beyond) || finished(&beyond) >= 0) return 4;
	/* What only libc could tell is refused, and nothing is done. */
	write_one.aio_sigevent.sigev_signo = SIGUSR1, write_one.aio_offset = 100;
	if (!aio_write(&write_one) || errno != ENOSYS) return 5;
	if (!lio_listio(LIO_WAIT, both, 3, NULL) || errno != ENOSYS) return 6;
	if (lio_listio(LIO_WAIT, other, 2, NULL) || finished(&write_other) != 5) return 7;
	return pread(fd, &byte, 1, 100) != 1 || byte != '\377';
}

static const char *unheard_name;

static int is_flash(void)
{
	struct mtd_info_user info;
	struct stat status;
	int fd = open(unheard_name, O_RDONLY), result = fd >= 0 && !ioctl(fd, MEMGETINFO, &info);
	close(fd);
	return result && !lstat(unheard_name, &status) && S_ISCHR(status.st_mode);
}

static int visited(const char *path, const struct stat *status, int flag, struct FTW *walk)
{
	return strcmp(path, "/dev/null") ? 0 : 1 + is_flash();
}

static void *alone(void *unused)
{
	return !unshare(CLONE_FS) && chdir("/usr") ? alone : NULL; /* where that is allowed */
}

static int unheard(const char *name)
{
	pthread_t thread;
	void *failed;
	int before;
	unheard_name = name;
	if (chdir("/usr") || (before = is_flash(), syscall(SYS_chdir, "/dev")) || !is_flash()) return 1;
	if (chdir("/usr") || nftw("/dev", visited, 5, FTW_CHDIR | FTW_PHYS) != 2) return 2;
	if (chdir("/dev") || pthread_create(&thread, NULL, alone, NULL) || pthread_join(thread, &failed) || failed) return 3;
	return is_flash() ? before : 4;
}

int main(int argc, char **argv)
{
	struct mtd_info_user info;
	FILE *other = fopen("/dev/null", "w");
	if (argc < 3 || !other) return 2;
	if (!strcmp(argv[1], "mixed")) return mixed(argv[2]) ? 7 : 0;
	if (!strcmp(argv[1], "formatted")) return formatted(argv[2]) ? 9 : 0;
	if (!strcmp(argv[1], "threads")) return threads(argv[2]) ? 8 : 0;
	if (!strcmp(argv[1], "aio")) return aio(argv[2]) * 10;
	if (!strcmp(argv[1], "unheard")) return unheard(argv[2]);
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
