/* signals DEVICE: a handler that writes flash runs while the program itself does, thousands of times.
 *
 * Prints one line per claim; "no" is a failure. The handler writes one byte pattern into the second eraseblock, the program another one
 * into the first, so both must be found whole afterwards. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mtd/mtd-user.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *device;
static volatile sig_atomic_t count, wrong;
static struct mtd_info_user info;

static void on_signal(int number) {
    (void)number;
    int saved = errno, fd = open(device, O_RDWR);
    char bytes[4096], seen[4096];
    ssize_t unit = info.writesize > 1 ? info.writesize : 64;
    memset(bytes, 0x5a, sizeof bytes);
    if (fd < 0 || pwrite(fd, bytes, unit, info.erasesize) != unit || pread(fd, seen, unit, info.erasesize) != unit ||
        memcmp(bytes, seen, unit))
        wrong++;
    close(fd);
    count++;
    errno = saved;
}

/* What sigqueue sends along: the number of the signal. None comes twice, nor after a newer one. */
static volatile sig_atomic_t queued, strange, last;

static void on_queued(int number, siginfo_t *sent, void *context) {
    (void)context;
    queued++;
    if (sent->si_signo != number || sent->si_code != SI_QUEUE || sent->si_uid != getuid() || sent->si_value.sival_int <= last) strange++;
    last = sent->si_value.sival_int;
}

static void once(int number) { on_signal(number); }

static void claim(const char *words, int holds) { printf("%s: %s\n", words, holds ? "yes" : "no"); }

int main(int argc, char **argv) {
    struct sigaction action = {.sa_handler = on_signal}, old;
    struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    struct erase_info_user erase;
    char bytes[4096], seen[4096];
    int fd = argc == 2 ? open(device = argv[1], O_RDWR) : -1, bad = 0;
    if (fd < 0 || ioctl(fd, MEMGETINFO, &info)) return 2;
    alarm(60); /* a dead lock ends here */
    erase.start = info.erasesize, erase.length = info.erasesize;
    ioctl(fd, MEMERASE, &erase);

    claim("no handler at first", !sigaction(SIGALRM, NULL, &old) && old.sa_handler == SIG_DFL);
    claim("signal() tells the default", signal(SIGUSR1, on_signal) == SIG_DFL);
    claim("signal() tells the guest's own handler", signal(SIGUSR1, once) == on_signal);
    sigaction(SIGUSR2, &action, NULL);
    claim("sigaction tells the guest's own handler", !sigaction(SIGUSR2, NULL, &old) && old.sa_handler == on_signal);
    action.sa_flags = SA_RESTART;
    sigaction(SIGVTALRM, &action, NULL);
    setitimer(ITIMER_VIRTUAL, &often, NULL);
    memset(bytes, 0xa5, sizeof bytes);
    erase.start = 0;
    for (int i = 0; i < 300 || (!count && i < 100000); i++) { /* the timer must have rung, however fast this is */
        if (ioctl(fd, MEMERASE, &erase) || pwrite(fd, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes ||
            pread(fd, seen, sizeof seen, 0) != (ssize_t)sizeof seen || memcmp(bytes, seen, sizeof seen))
            bad++;
    }
    for (int i = 0; i < 500; i++) {
        raise(SIGUSR2);
        pread(fd, seen, sizeof seen, 0);
    }
    setitimer(ITIMER_VIRTUAL, &never, NULL);
    claim("the program's own calls were whole", !bad);
    claim("the handler's calls were whole", !wrong && count > 500);

    /* A child sends signals with a word each while the parent is nearly always inside a call. */
    action.sa_sigaction = on_queued, action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(SIGUSR2, &action, NULL);
    int until[2];
    if (pipe(until)) return 2;
    pid_t child = fork();
    if (!child) {
        close(until[1]);
        fcntl(until[0], F_SETFL, O_NONBLOCK);
        for (int i = 1; read(until[0], bytes, 1) < 0; i++) {
            sigqueue(getppid(), SIGUSR2, (union sigval){.sival_int = i});
            for (volatile int pause = 0; pause < 100; pause++) {}
        }
        _exit(0);
    }
    close(until[0]);
    ssize_t unit = info.writesize > 1 ? info.writesize : 64;
    while (queued < 5000) pwrite(fd, bytes, unit, 0), pread(fd, seen, unit, 0);
    close(until[1]);
    waitpid(child, NULL, 0);
    claim("what was sent along with a signal arrives with it, in its order", !strange);

    /* A handler for one time: it runs, and is gone. */
    action.sa_handler = once, action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGUSR1, &action, NULL);
    count = 0;
    raise(SIGUSR1);
    claim("a handler for one time ran", count == 1);
    claim("and is the default again", !sigaction(SIGUSR1, NULL, &old) && old.sa_handler == SIG_DFL);
    return 0;
}
