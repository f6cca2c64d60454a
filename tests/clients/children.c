/* Starts programs in every way a C library offers, and asks for a reboot in every way; one scenario an argument. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int report(int status)
{
	if (WIFEXITED(status))
		printf("exit %d\n", WEXITSTATUS(status));
	else
		printf("signal %d\n", WTERMSIG(status));
	fflush(stdout);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int wait_for(pid_t pid)
{
	int status = 0;
	if (waitpid(pid, &status, 0) != pid) {
		perror("waitpid");
		return 1;
	}
	return report(status);
}

/* argv: way, then the program and its arguments */
static int start(const char *way, char **words)
{
	char *few[] = {"ONLY=this", NULL};
	pid_t pid;
	if (!strncmp(way, "spawn", 5)) {
		int error = (way[5] ? posix_spawnp : posix_spawn)(&pid, words[0], NULL, NULL, words, environ);
		if (error) {
			printf("spawn: %s\n", strerror(error));
			return 1;
		}
		return wait_for(pid);
	}
	pid = !strcmp(way, "vfork") ? vfork() : fork();
	if (pid == 0) {
		if (!strcmp(way, "execve") || !strcmp(way, "vfork"))
			execve(words[0], words, environ);
		else if (!strcmp(way, "cleared"))
			execve(words[0], words, few);
		else if (!strcmp(way, "execv"))
			execv(words[0], words);
		else if (!strcmp(way, "execvp"))
			execvp(words[0], words);
		else if (!strcmp(way, "execvpe"))
			execvpe(words[0], words, few);
		else if (!strcmp(way, "execl"))
			execl(words[0], "zero", words[1], words[2], words[3], "4", "5", "6", "7", "8", NULL);
		else if (!strcmp(way, "execlp"))
			execlp(words[0], "zero", words[1], words[2], words[3], NULL);
		else if (!strcmp(way, "execle"))
			execle(words[0], "zero", words[1], words[2], words[3], NULL, few);
		else if (!strcmp(way, "fexecve"))
			fexecve(open(words[0], O_RDONLY | O_CLOEXEC), words, environ);
		else if (!strcmp(way, "syscall"))
			syscall(SYS_execve, words[0], words, environ);
		printf("%s: %s (%d)\n", way, strerror(errno), errno);
		fflush(stdout);
		_exit(99);
	}
	return wait_for(pid);
}

static int through_pipe(const char *command)
{
	char line[256];
	FILE *pipe = popen(command, "r");
	if (!pipe)
		return 1;
	while (fgets(line, sizeof line, pipe))
		printf("pipe: %s", line);
	return report(pclose(pipe));
}

static int into_pipe(const char *command)
{
	FILE *pipe = popen(command, "w");
	if (!pipe)
		return 1;
	fputs("written\n", pipe);
	return report(pclose(pipe));
}

static int watchdog(void)
{
	struct watchdog_info info;
	int seconds = 17, fd = open("/dev/watchdog", O_WRONLY);
	printf("open %s\n", fd < 0 ? strerror(errno) : "ok");
	printf("write %zd\n", write(fd, "\0", 1));
	printf("keepalive %d\n", ioctl(fd, WDIOC_KEEPALIVE, 0));
	printf("support %d %s %#x\n", ioctl(fd, WDIOC_GETSUPPORT, &info), info.identity, info.options);
	printf("set %d %d\n", ioctl(fd, WDIOC_SETTIMEOUT, &seconds), seconds);
	seconds = 0;
	printf("get %d %d\n", ioctl(fd, WDIOC_GETTIMEOUT, &seconds), seconds);
	printf("magic %zd\n", write(fd, "V", 1));
	return close(fd);
}

static int result(const char *what, int value)
{
	printf("%s = %d%s%s\n", what, value, value < 0 ? " " : "", value < 0 ? strerror(errno) : "");
	return value < 0;
}

int main(int count, char **words)
{
	const char *way = count > 1 ? words[1] : "";
	setvbuf(stdout, NULL, _IOFBF, 4096);
	if (!strcmp(way, "start") && count > 3) {
		fflush(stdout);
		return start(words[2], words + 3);
	}
	if (!strcmp(way, "system"))
		return report(system(words[2]));
	if (!strcmp(way, "shell"))
		return result("system(NULL)", system(NULL));
	if (!strcmp(way, "popen"))
		return through_pipe(words[2]);
	if (!strcmp(way, "popen-w"))
		return into_pipe(words[2]);
	if (!strcmp(way, "clearenv")) {
		clearenv();
		return report(system(words[2]));
	}
	if (!strcmp(way, "watchdog"))
		return watchdog();
	if (!strcmp(way, "reboot")) {
		printf("before\n");
		return result("reboot", reboot(RB_AUTOBOOT));
	}
	if (!strcmp(way, "reboot-syscall")) {
		printf("before\n");
		return result("reboot", syscall(SYS_reboot, 0xfee1dead, 0x28121969, 0x4321fedc, NULL));
	}
	if (!strcmp(way, "reboot-cad"))
		return result("reboot", reboot(RB_DISABLE_CAD));
	if (!strcmp(way, "reboot-in-child")) {
		printf("before\n");
		system(words[2]);
		for (;;)
			pause();
	}
	if (!strcmp(way, "kill"))
		return result("kill", kill(atoi(words[2]), atoi(words[3])));
	if (!strcmp(way, "mount"))
		return result("mount", mount(words[2], words[3], words[4], 0, NULL));
	if (!strcmp(way, "umount"))
		return result("umount", umount(words[2]));
	if (!strcmp(way, "words")) {
		for (int i = 0; i < count; i++)
			printf("[%s]\n", words[i]);
		for (char **entry = environ; *entry; entry++)
			printf("%s\n", *entry);
		return 7;
	}
	fprintf(stderr, "unknown scenario %s\n", way);
	return 2;
}
