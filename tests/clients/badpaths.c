/* badpaths: what calls that take a name answer to pointers that are none. One line per call and pointer.
 *
 * The names themselves exist nowhere, so that nothing happens where a call reads them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

static const char *pointer;
static char *const words[] = {"x", NULL};

static void tell(const char *call, const char *where, long result) {
    int error = errno;
    printf("%s at %s = %s\n", call, where, result == -1 || result == 0 ? strerror(error) : "something else");
}
#define TRY(call, expression) (errno = 0, tell(call, where, (long)(expression)))

static void all(const char *where) {
    char buffer[512];
    struct stat status;
    struct statfs system;
    struct timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    TRY("open", open(pointer, O_RDONLY));
    TRY("open to make it", open(pointer, O_RDWR | O_CREAT, 0600));
    TRY("openat", openat(AT_FDCWD, pointer, O_RDONLY));
    TRY("creat", creat(pointer, 0600));
    TRY("fopen", fopen(pointer, "r"));
    TRY("stat", stat(pointer, &status));
    TRY("lstat", lstat(pointer, &status));
    TRY("fstatat", fstatat(AT_FDCWD, pointer, &status, AT_EMPTY_PATH));
    TRY("statx", syscall(SYS_statx, AT_FDCWD, pointer, 0, 0, buffer));
    TRY("statfs", statfs(pointer, &system));
    TRY("access", access(pointer, R_OK));
    TRY("readlink", readlink(pointer, buffer, sizeof buffer));
    TRY("chmod", chmod(pointer, 0600));
    TRY("truncate", truncate(pointer, 0));
    TRY("utimensat", utimensat(AT_FDCWD, pointer, times, 0));
    TRY("chdir", chdir(pointer));
    TRY("mknod", mknod(pointer, S_IFIFO | 0600, 0));
    TRY("link", link(pointer, "there"));
    TRY("getxattr", getxattr(pointer, "user.x", buffer, sizeof buffer));
    TRY("syscall open", syscall(SYS_open, pointer, O_RDONLY));
    TRY("umount", umount(pointer));
    TRY("execv", execv(pointer, words));
}

/* A good name at each of the last places before what cannot be read: how often stat finds it, and open and fopen flash behind it. */
static void slide(char *end, const char *name) {
    enum { PLACES = 64 };
    int found = 0, opened = 0, streams = 0;
    for (int gap = 0; gap < PLACES; gap++) {
        struct stat status;
        char text[4096] = "", *place = memcpy(end - strlen(name) - 1 - gap, name, strlen(name) + 1);
        found += !stat(place, &status);
        int fd = open(place, O_RDONLY);
        if (fd >= 0 && read(fd, text, sizeof text - 1) > 0) opened += !!strstr(text, " mtd\n");
        close(fd);
        memset(text, 0, sizeof text);
        FILE *stream = fopen(place, "r");
        if (stream && fread(text, 1, sizeof text - 1, stream) > 0) streams += !!strstr(text, " mtd\n");
        if (stream) fclose(stream);
    }
    printf("%d %d %d %s\n", found, opened, streams, name);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    long page = sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE)) return 2;
    if (argc > 2 && !strcmp(argv[1], "slide")) {
        /* With memory behind it: what is asked once, before names are looked at less, is asked for it. */
        static char usual[512] = "/tmp";
        struct stat status;
        if (chdir(usual) || stat(usual, &status)) return 2;
        for (int i = 2; i < argc; i++) slide(pages + page, argv[i]);
        return 0;
    }
    if (argc > 1) {
        /* A good name that ends where what can be read does, again and again. */
        struct stat status;
        for (int i = 0; i < 20; i++) stat(memcpy(pages + page - 2, "/", 2), &status);
        return 0;
    }
    pointer = NULL, all("null");
    pointer = (char *)16, all("a small number");
    pointer = (char *)-16, all("the end of all memory");
    pointer = (char *)0x2f746d70, all("letters");
    pointer = pages + page, all("a page without access");
    /* Names that begin where they may be read, and have no end. */
    memset(pages, 'x', page);
    pointer = pages + page - 8, all("the end of a page");
    memcpy(pages + page - 8, "/nowhere", 8), all("the end of a page, absolute");
    memcpy(pages + page - 8, "/dev/mtd", 8), all("the end of a page, a device");
    /* The same with an end. */
    memcpy(pages + page - 8, "/proc/x", 8), all("the last bytes of a page");
    pointer = pages + page - 1, all("an empty name");
    memset(pages, 'y', page);
    pages[page - 1] = 0, pointer = pages + page - 1200, all("a long name");
    munmap(pages + 2 * page, page);
    pointer = pages + 2 * page, all("what was given back");
    return 0;
}
