/* Uses a device as firmware does: answers PATH OPERATION...; each operation prints one line.
 *
 *   o open, O openat from /, k open with O_CREAT|O_TRUNC, F fopen (then fileno)      s stat, S fstat, L statx
 *   i:CMD:b ioctl with a buffer of 8 bytes 0xee, i:CMD:nN with the number N, i:CMD:x with a bad pointer
 *   I the same by syscall()      r:N read, p:N pread at 0, w:TEXT write, l lseek to 0
 *   d go on with a duplicate, f in a forked child, e in a program started anew, c close, n name behind the descriptor
 *   a access      u go on with a socket, P with a pipe      h:DIR chdir
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static int fd = -1;

static void told(const char *what, long result) {
    if (result < 0)
        printf("%s: -1 errno %d\n", what, errno);
    else
        printf("%s: %ld\n", what, result);
    fflush(stdout);
}

static void shown(const char *what, int result, const struct stat *status) {
    if (result < 0)
        return told(what, result);
    printf("%s: mode %06o rdev %u:%u size %ld\n", what, status->st_mode, major(status->st_rdev), minor(status->st_rdev),
           (long)status->st_size);
    fflush(stdout);
}

static void command(const char *operation) {
    char *argument;
    unsigned long number = strtoul(operation + 2, &argument, 0);
    unsigned char buffer[8];
    memset(buffer, 0xee, sizeof buffer);
    void *pointer = argument[1] == 'b' ? buffer : argument[1] == 'x' ? (void *)8 : (void *)strtoul(argument + 2, 0, 0);
    int result = operation[0] == 'i' ? ioctl(fd, number, pointer) : (int)syscall(SYS_ioctl, fd, number, pointer);
    int error = errno;
    printf("%s: %d", operation, result);
    if (result < 0)
        printf(" errno %d", error);
    if (argument[1] == 'b') {
        printf(" ");
        for (unsigned at = 0; at < sizeof buffer; at++)
            printf("%02x", buffer[at]);
    }
    printf("\n");
    fflush(stdout);
}

static void transfer(const char *operation) {
    char buffer[64] = "";
    int count = atoi(operation + 2);
    long length = operation[0] == 'r' ? read(fd, buffer, count) : pread(fd, buffer, count, 0);
    if (length < 0)
        return told(operation, length);
    printf("%s: %ld '%.*s'\n", operation, length, (int)length, buffer);
    fflush(stdout);
}

int main(int argc, char **argv) {
    const char *path = argv[1];
    struct stat status;
    if (path[0] == '@')
        fd = atoi(path + 1);
    for (int at = 2; at < argc; at++) {
        const char *operation = argv[at];
        switch (operation[0]) {
        case 'o': told("o", (fd = open(path, O_RDWR)) < 0 ? -1 : 0); break;
        case 'O': told("O", (fd = openat(open("/", O_RDONLY), path + 1, O_RDWR)) < 0 ? -1 : 0); break;
        case 'k': told("k", (fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600)) < 0 ? -1 : 0); break;
        case 'F': {
            FILE *stream = fopen(path, "r+");
            told("F", stream ? 0 : -1);
            if (stream)
                fd = fileno(stream);
            break;
        }
        case 's': shown("s", stat(path, &status), &status); break;
        case 'S': shown("S", fstat(fd, &status), &status); break;
        case 'L': {
            struct statx wide;
            int result = statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &wide);
            status.st_mode = wide.stx_mode;
            status.st_rdev = makedev(wide.stx_rdev_major, wide.stx_rdev_minor);
            status.st_size = wide.stx_size;
            shown("L", result, &status);
            break;
        }
        case 'i':
        case 'I': command(operation); break;
        case 'r':
        case 'p': transfer(operation); break;
        case 'w': told(operation, write(fd, operation + 2, strlen(operation + 2))); break;
        case 'l': told("l", lseek(fd, 0, SEEK_SET)); break;
        case 'a': told("a", access(path, R_OK | W_OK)); break;
        case 'c': told("c", close(fd)); break;
        case 'd': fd = dup(fd); break;
        case 'u': fd = socket(AF_INET, SOCK_DGRAM, 0); break;
        case 'P': {
            int ends[2];
            fd = pipe(ends) ? -1 : ends[0];
            break;
        }
        case 'h': told(operation, chdir(operation + 2)); break;
        case 'n': {
            char name[32], target[200];
            snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
            long length = readlink(name, target, sizeof target);
            printf("n: %.*s\n", length < 0 ? 0 : (int)length, target);
            fflush(stdout);
            break;
        }
        case 'f': {
            int result;
            if (fork()) {
                wait(&result);
                return WEXITSTATUS(result);
            }
            break;
        }
        case 'e': {
            char number[16];
            snprintf(number, sizeof number, "@%d", fd);
            argv[at - 1] = argv[0];
            argv[at] = number;
            execv("/proc/self/exe", argv + at - 1);
            told("e", -1);
            return 1;
        }
        }
    }
    return 0;
}
