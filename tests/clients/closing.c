// Closes every descriptor it can find, in each way that daemons and vfork children do, and then works on with flash.
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>
#include <fcntl.h>
#include <string.h>
#include <stdlib.h>
#include <dirent.h>
#include <sys/syscall.h>
#include <sys/wait.h>
static void work(const char *what, int keep) {
    char b[4] = {0};
    int r = pread(keep, b, 4, 0), fd = open("/dev/mtd1", O_RDWR), w = fd < 0 ? -1 : pwrite(fd, "abcd", 4, 8), q = pread(fd, b, 4, 8);
    printf("%s: kept %d, new %s, write %d, read %d %.4s\n", what, r, fd >= 0 ? "opens" : "fails", w, q, b); fflush(stdout);
    close(fd);
}
// Takes every number for itself that the library may have something open under, and finds its own file there.
static void take(const char *what, int keep, int lowest) {
    int file = open("/proc/self/cmdline", O_RDONLY), got = 0, own = 0, copies[60];
    char first, byte; pread(file, &first, 1, 0);
    for (int i = lowest; i < lowest + 60; i++) {
        int r = i % 3 == 0 ? dup2(file, i) : i % 3 == 1 ? dup3(file, i, O_CLOEXEC) : (int)syscall(SYS_dup3, file, i, 0);
        got += r == i; copies[i - lowest] = r;
        if (i % 7 == 0) pread(keep, &byte, 1, 0);
    }
    work(what, keep);
    for (int i = 0; i < 60; i++) {
        int copy = fcntl(copies[i], F_DUPFD, 300);
        own += pread(copies[i], &byte, 1, 0) == 1 && byte == first && copy >= 300 && close(copy) == 0 && close(copies[i]) == 0;
    }
    printf("%s: %d numbers, %d files\n", what, got, own); fflush(stdout);
    close(file);
}
static int numbers(void) {
    int fd = open("/dev/mtd1", O_RDWR); work("begin", fd);
    take("taken", fd, 50); take("again", fd, 50); take("above", fd, 110);
    pid_t p = fork(); if (!p) { take("in a child", fd, 50); fflush(stdout); _exit(0); }
    int s; waitpid(p, &s, 0); work("after it", fd);
    return 0;
}
int main(int argc, char **argv) {
    if (argc > 1) return numbers();
    int fd = open("/dev/mtd1", O_RDONLY); work("begin", fd);
    for (int i = 3; i < 4096; i++) if (i != fd) close(i);
    work("close loop", fd);
    fd = open("/dev/mtd1", O_RDONLY); DIR *d = opendir("/proc/self/fd"); struct dirent *e; int list[2000], n = 0;
    while ((e = readdir(d))) list[n++] = atoi(e->d_name);
    int own = dirfd(d); for (int i = 0; i < n; i++) if (list[i] > 2 && list[i] != fd && list[i] != own) close(list[i]);
    closedir(d); work("/proc/self/fd", fd);
    close_range(fd + 1, ~0U, 0); work("close_range", fd);
    closefrom(fd + 1); work("closefrom", fd);
    syscall(SYS_close_range, fd + 1, ~0U, 0); work("syscall", fd);
    pid_t p = vfork(); if (!p) { for (int i = 3; i < 4096; i++) close(i); execl("/bin/true", "true", NULL); _exit(1); }
    int s; waitpid(p, &s, 0); printf("vfork child %d\n", s); work("after it", fd);
    p = vfork(); if (!p) { closefrom(3); execl("/bin/true", "true", NULL); _exit(1); }
    waitpid(p, &s, 0); printf("vfork child %d\n", s); work("after it", fd);
    return 0;
}
