/* percall WORK COUNT PATH: makes one call COUNT times and prints nanoseconds per call.
 *
 * The calls are on things that are not flash, so what the library adds to them is seen, and nothing else. PATH is a regular file of
 * at least 8 KiB. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char buffer[8192];

static void die(const char *what) {
    perror(what);
    exit(2);
}

static double nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

#define REPEAT(call) for (long i = 0; i < count; i++) { call; }

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: percall WORK COUNT PATH\n");
        return 2;
    }
    const char *work = argv[1], *path = argv[3];
    long count = atol(argv[2]);
    int fd = open(path, O_RDWR);
    if (fd < 0) die(path);
    struct stat status;
    struct winsize window;
    double start = nanoseconds();
    if (!strcmp(work, "read")) {
        REPEAT(if (read(fd, buffer, 1) != 1) { lseek(fd, 0, SEEK_SET); })
    } else if (!strcmp(work, "write")) {
        REPEAT(if (write(fd, buffer, 1) != 1) die(path); if (!(i & 4095)) lseek(fd, 0, SEEK_SET))
    } else if (!strcmp(work, "pread")) {
        REPEAT(if (pread(fd, buffer, 1, i & 4095) != 1) die(path))
    } else if (!strcmp(work, "lseek")) {
        REPEAT(if (lseek(fd, i & 4095, SEEK_SET) < 0) die(path))
    } else if (!strcmp(work, "fstat")) {
        REPEAT(if (fstat(fd, &status)) die(path))
    } else if (!strcmp(work, "stat")) {
        REPEAT(if (stat(path, &status)) die(path))
    } else if (!strcmp(work, "open+close")) {
        REPEAT(int other = open(path, O_RDONLY); if (other < 0) die(path); close(other))
    } else if (!strcmp(work, "fopen+fread")) {
        REPEAT(FILE *file = fopen(path, "r"); if (!file || fread(buffer, 1, 4096, file) != 4096) die(path); fclose(file))
    } else if (!strcmp(work, "ioctl")) {
        REPEAT(if (ioctl(fd, TIOCGWINSZ, &window) != -1 || errno != ENOTTY) die("TIOCGWINSZ"))
    } else {
        fprintf(stderr, "percall: what is %s?\n", work);
        return 2;
    }
    printf("%.1f\n", (nanoseconds() - start) / count);
    return 0;
}
