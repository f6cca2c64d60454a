/*
 * stdio /dev/mtdN: FILE streams and their descriptors agree about the device: fopen, fdopen, freopen; modes
 * r, r+, w, rb; fread, fwrite, fseek, ftell, rewind, fgetc, ungetc, fflush; lines of /proc/mtd and sysfs.
 */
#include "claim.h"
#include <sys/wait.h>

static struct device device;
static uint8_t *written, *seen;
static off_t block;

static FILE *opened(const char *name, const char *path, const char *mode)
{
	FILE *file = fopen(path, mode);

	claim(name, file != NULL, "fopen(%s, %s)", path, mode);
	return file;
}

/* Erases the block and programs one page by plain write(): what the streams must then find. */
static void prepare(void)
{
	int fd = open(device.path, O_RDWR);

	block = good_block(fd, &device, 0);
	claim("prepare_erase", erase_block(fd, &device, block) == 0, "MEMERASE");
	pattern(written, device.page, 7);
	written[10] = 'x', written[11] = '\n', written[12] = 0;
	claim("prepare_pwrite", pwrite(fd, written, device.page, block) == (ssize_t)device.page, "pwrite");
	close(fd);
}

static void reading(void)
{
	FILE *file = opened("fopen_r", device.path, "r");
	struct mtd_info_user info = { 0 };
	int fd, byte;

	if (!file)
		return;
	fd = fileno(file);
	claim("fileno_memgetinfo", fd >= 0 && ioctl(fd, MEMGETINFO, &info) == 0, "MEMGETINFO on fileno");
	claim("fileno_info_agrees", memcmp(&info, &device.info, sizeof info) == 0, "size %u", info.size);
	claim("fseek_set", fseek(file, (long)block, SEEK_SET) == 0 && ftell(file) == (long)block, "ftell %ld", ftell(file));
	claim("fread", fread(seen, 1, device.page, file) == device.page, "short fread");
	claim("fread_bytes", memcmp(seen, written, device.page) == 0, "first byte %02x", seen[0]);
	claim("ftell_after_fread", ftell(file) == (long)(block + device.page), "ftell %ld", ftell(file));
	claim("fseek_cur", fseek(file, -(long)device.page + 5, SEEK_CUR) == 0, "fseek");
	byte = fgetc(file);
	claim("fgetc", byte == written[5], "byte %02x", byte);
	claim("ungetc", ungetc(byte, file) == byte && fgetc(file) == byte, "ungetc");
	claim("fgets_binary", fgets((char *)seen, (int)device.page, file) != NULL, "fgets");
	claim("fgets_bytes", memcmp(seen, written + 6, 6) == 0 && seen[6] == 0, "byte %02x", seen[0]);
	claim("fseek_end", fseek(file, 0, SEEK_END) == 0 && ftell(file) == (long)device.info.size, "ftell %ld", ftell(file));
	claim("eof", fgetc(file) == EOF && feof(file) && !ferror(file), "feof %d ferror %d", feof(file), ferror(file));
	rewind(file);
	claim("rewind", ftell(file) == 0 && !feof(file), "ftell %ld", ftell(file));
	claim("fwrite_refused", fwrite(written, 1, 1, file) == 0 || fflush(file) != 0, "a stream opened r accepted a byte");
	claim("fclose_r", (fclose(file), fcntl(fd, F_GETFD)) == -1 && errno == EBADF, "descriptor still open");
}

static void writing(const char *mode, int unbuffered, uint32_t seed)
{
	FILE *file = opened(unbuffered ? "fopen_unbuffered" : "fopen_buffered", device.path, mode);
	int other = open(device.path, O_RDONLY);

	if (!file)
		return;
	if (unbuffered)
		setvbuf(file, NULL, _IONBF, 0);
	claim("erase_by_fileno", erase_block(fileno(file), &device, block) == 0, "MEMERASE on fileno");
	pattern(written, device.page, seed);
	claim("seek_to_block", fseek(file, (long)block, SEEK_SET) == 0, "fseek");
	claim("fwrite", fwrite(written, device.page, 1, file) == 1, "fwrite");
	claim("fflush", fflush(file) == 0, "fflush");
	claim("other_descriptor_sees_it", pread(other, seen, device.page, block) == (ssize_t)device.page
		&& memcmp(seen, written, device.page) == 0, "byte %02x", seen[0]);
	claim("position_agrees", lseek(fileno(file), 0, SEEK_CUR) == block + (off_t)device.page
		&& ftell(file) == (long)(block + device.page), "ftell %ld", ftell(file));
	memset(seen, 0, device.page);
	claim("seek_back", fseek(file, (long)block, SEEK_SET) == 0, "fseek");
	claim("reads_back", fread(seen, device.page, 1, file) == 1 && memcmp(seen, written, device.page) == 0, "byte %02x", seen[0]);
	claim("fclose", fclose(file) == 0, "fclose");
	close(other);
}

static void other_ways_to_open(void)
{
	int fd = open(device.path, O_RDONLY);
	FILE *file = fdopen(fd, "r");
	FILE *again;

	claim("fdopen", file != NULL && fileno(file) == fd, "fdopen");
	claim("lseek_before_fread", lseek(fd, block, SEEK_SET) == block && ftell(file) == (long)block, "ftell %ld", ftell(file));
	claim("fdopen_fread", fread(seen, 1, device.page, file) == device.page && memcmp(seen, written, device.page) == 0,
		"byte %02x", seen[0]);
	again = freopen(device.path, "rb", file);
	claim("freopen", again == file, "freopen");
	claim("freopen_starts_at_0", again && ftell(again) == 0, "ftell");
	claim("freopen_fread", again && fseek(again, (long)block, SEEK_SET) == 0
		&& fread(seen, 1, device.page, again) == device.page && memcmp(seen, written, device.page) == 0, "byte %02x", seen[0]);
	if (again) {
		again = freopen("/dev/null", "r", again);
		claim("freopen_away", again && ioctl(fileno(again), MEMGETINFO, seen) == -1, "still the device");
		if (again)
			fclose(again);
	}
	file = opened("fopen_w_truncates_nothing", device.path, "w");
	if (file)
		fclose(file);
	fd = open(device.path, O_RDONLY);
	claim("contents_after_w", pread(fd, seen, device.page, block) == (ssize_t)device.page
		&& memcmp(seen, written, device.page) == 0, "byte %02x", seen[0]);
	close(fd);
	claim("fopen_missing", fopen("/dev/mtd99", "r") == NULL && errno == ENOENT, "fopen of a missing device");
}

static void lines_of_proc_mtd(void)
{
	FILE *file = opened("fopen_proc_mtd", "/proc/mtd", "r");
	char expected[64], *line = NULL, text[256] = "";
	size_t room = 0;
	int found = 0, named;

	if (!file)
		return;
	claim("proc_mtd_header", fgets(text, sizeof text, file) && !strcmp(text, "dev:    size   erasesize  name\n"), "%s", text);
	snprintf(expected, sizeof expected, "%s: %08x %08x \"", device.name, device.info.size, device.info.erasesize);
	while (getline(&line, &room, file) > 0) {
		named = !strncmp(line, expected, strlen(expected));
		found += named && !strcmp(line + strlen(line) - 2, "\"\n");
	}
	claim("proc_mtd_line", found == 1, "%d lines start with %s", found, expected);
	claim("proc_mtd_eof", feof(file) && !ferror(file), "feof %d ferror %d", feof(file), ferror(file));
	rewind(file);
	claim("proc_mtd_again", fgets(text, sizeof text, file) && !strncmp(text, "dev:", 4), "%s", text);
	free(line);
	fclose(file);
}

static void attributes(void)
{
	char path[96], text[64] = "";
	unsigned number = 0;
	FILE *file;

	snprintf(path, sizeof path, "/sys/class/mtd/%s/erasesize", device.name);
	file = opened("fopen_sysfs", path, "r");
	if (file) {
		claim("fscanf_sysfs", fscanf(file, "%u", &number) == 1 && number == device.info.erasesize, "%u", number);
		fclose(file);
	}
	snprintf(path, sizeof path, "/sys/class/mtd/%s/size", device.name);
	file = opened("fopen_sysfs_size", path, "re");
	if (file) {
		claim("fgets_sysfs", fgets(text, sizeof text, file) && strtoul(text, NULL, 10) == device.info.size
			&& text[strlen(text) - 1] == '\n', "%s", text);
		claim("sysfs_eof", fgets(text, sizeof text, file) == NULL && feof(file), "a second line");
		fclose(file);
	}
	snprintf(path, sizeof path, "/sys/class/mtd/%s/type", device.name);
	file = opened("fopen_sysfs_type", path, "r");
	if (file) {
		claim("getc_sysfs", fread(text, 1, sizeof text, file) >= 4 && strchr("nrmu", text[0]) != NULL, "%c", text[0]);
		fclose(file);
	}
}

/* A program whose standard input is the device: "stdio /dev/mtdN stdin" says what fgetc found there. */
static void inherited_input(char *self)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		char *words[] = { self, (char *)device.path, "stdin", NULL };

		dup2(open(device.path, O_RDONLY), 0);
		lseek(0, block, SEEK_SET);
		execv(self, words);
		_exit(99);
	}
	waitpid(pid, &status, 0);
#if defined(__GLIBC__) && !defined(__UCLIBC__)
	claim("stdin_is_the_device", WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %x", status);
#elif !defined(__UCLIBC__)
	/* musl: a row of the README's table. */
	claim("stdin_is_seen_by_read_only", WIFEXITED(status) && WEXITSTATUS(status) == 2, "status %x", status);
#endif
}

/* 1: the stream gives the device's bytes; 2: only read() does. */
static int what_stdin_is(void)
{
	unsigned char by_read = 0;
	struct mtd_info_user info;
	int byte;

	if (ioctl(0, MEMGETINFO, &info) != 0)
		return 3;
	byte = fgetc(stdin);
	lseek(0, 0, SEEK_SET);
	if (pread(0, &by_read, 1, 0) != 1)
		return 4;
	return byte == EOF ? 2 : 1;
}

int main(int argc, char **argv)
{
	device = device_of(argc, argv);
	if (argc > 2)
		return what_stdin_is();
	written = malloc(device.page);
	seen = malloc(device.page < 256 ? 256 : device.page);
	prepare();
	reading();
	writing("r+", 1, 11);
	writing("r+b", 0, 13);
	other_ways_to_open();
	lines_of_proc_mtd();
	attributes();
	inherited_input(argv[0]);
	return verdict("stdio");
}
