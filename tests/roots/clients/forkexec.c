/*
 * forkexec /dev/mtdN: an open device follows its descriptor into children, by fork, vfork and exec,
 * posix_spawn, system and popen; and a program that closes every descriptor it finds can open it again.
 *
 * As a child it is started as "forkexec /dev/mtdN child FD POSITION" and claims that FD is the device at that
 * position, then reads one page, which the parent sees in its own position.
 */
#include "claim.h"
#include <dirent.h>
#include <limits.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;
static struct device device;
static char *self;

/* 0 if all is well; otherwise the number of the step, which the parent reports. */
static int child(int fd, off_t position)
{
	struct mtd_info_user info;
	struct stat status;
	uint8_t *bytes = malloc(device.page);

	if (lseek(fd, 0, SEEK_CUR) != position)
		return 11;
	if (ioctl(fd, MEMGETINFO, &info) != 0 || memcmp(&info, &device.info, sizeof info) != 0)
		return 12;
	if (fstat(fd, &status) != 0 || !S_ISCHR(status.st_mode))
		return 13;
	if (!bytes || read(fd, bytes, device.page) != (ssize_t)device.page)
		return 14;
	if (lseek(fd, 0, SEEK_CUR) != position + (off_t)device.page)
		return 15;
	printf("child saw the device\n");
	fflush(stdout);
	return 0;
}

static int exit_of(pid_t pid)
{
	int status;

	if (pid <= 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* After a child: its status, and that its read moved the parent's position. */
static void claim_child(const char *how, int status, int fd, off_t position)
{
	char name[64];
	off_t now = lseek(fd, 0, SEEK_CUR);

	snprintf(name, sizeof name, "%s_status", how);
	claim(name, status == 0, "child step %d", status);
	snprintf(name, sizeof name, "%s_moved_the_shared_position", how);
	claim(name, now == position + (off_t)device.page, "position %lld", (long long)now);
}

static void by_fork(int fd)
{
	off_t position = lseek(fd, 3 * device.page, SEEK_SET);
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(child(fd, position));
	claim_child("fork", exit_of(pid), fd, position);
	pid = fork();
	if (pid == 0) {
		int again = open(device.path, O_RDONLY);

		_exit(again < 0 || close(fd) != 0 ? 21 : child(again, 0));
	}
	claim("fork_child_opens_its_own", exit_of(pid) == 0, "child");
	claim("fork_child_closes_only_its_own", ioctl(fd, MEMGETINFO, &device.info) == 0, "MEMGETINFO after the child's close");
}

static char *const *child_arguments(int fd, off_t position)
{
	static char fd_text[16], position_text[24];
	static char *arguments[6];

	snprintf(fd_text, sizeof fd_text, "%d", fd);
	snprintf(position_text, sizeof position_text, "%lld", (long long)position);
	arguments[0] = self, arguments[1] = (char *)device.path, arguments[2] = "child";
	arguments[3] = fd_text, arguments[4] = position_text, arguments[5] = NULL;
	return arguments;
}

static void by_exec(int fd)
{
	volatile off_t position = lseek(fd, 5 * device.page, SEEK_SET);
	char *const *arguments = child_arguments(fd, position);
	int private_fd = fcntl(fd, F_DUPFD_CLOEXEC, 40), status;
	pid_t pid = vfork();

	if (pid == 0) {
		execv(self, arguments);
		_exit(31);
	}
	claim_child("vfork_execv", exit_of(pid), fd, position);

	position = lseek(fd, 2 * device.page, SEEK_SET);
	arguments = child_arguments(fd, position);
	pid = vfork();
	if (pid == 0) {
		execle(self, self, arguments[1], arguments[2], arguments[3], arguments[4], (char *)NULL, environ);
		_exit(31);
	}
	claim_child("vfork_execle", exit_of(pid), fd, position);

	arguments = child_arguments(private_fd, position);
	pid = vfork();
	if (pid == 0) {
		execve(self, arguments, environ);
		_exit(31);
	}
	status = exit_of(pid);
	claim("close_on_exec", private_fd >= 40 && status == 11, "child step %d", status);
	pid = vfork();
	if (pid == 0) {
		close(private_fd);
		_exit(0);
	}
	claim("vfork_close_exit", exit_of(pid) == 0, "child");
	claim("vfork_child_closes_only_its_own", ioctl(private_fd, MEMGETINFO, &device.info) == 0, "MEMGETINFO");
	close(private_fd);
	pid = vfork();
	if (pid == 0) {
		execl("/nonexistent/program", "program", (char *)NULL);
		_exit(errno == ENOENT ? 0 : 32);
	}
	claim("exec_missing", exit_of(pid) == 0, "errno of a missing program");
	claim("device_after_failed_exec", ioctl(fd, MEMGETINFO, &device.info) == 0, "MEMGETINFO");
}

static void by_spawn(int fd)
{
	off_t position = lseek(fd, 4 * device.page, SEEK_SET);
	posix_spawn_file_actions_t actions;
	pid_t pid = -1;
	int error;

	error = posix_spawn(&pid, self, NULL, NULL, child_arguments(fd, position), environ);
	claim("posix_spawn", error == 0, "posix_spawn: %s", strerror(error));
	claim_child("posix_spawn", error ? -1 : exit_of(pid), fd, position);

	/* Below the numbers that the library keeps for itself. */
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, 45);
	position = lseek(fd, 6 * device.page, SEEK_SET);
	error = posix_spawnp(&pid, self, &actions, NULL, child_arguments(45, position), environ);
	claim("posix_spawnp_dup2", error == 0, "posix_spawnp: %s", strerror(error));
	claim_child("posix_spawnp_dup2", error ? -1 : exit_of(pid), fd, position);
	posix_spawn_file_actions_destroy(&actions);

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 46, device.path, O_RDONLY, 0);
	error = posix_spawn(&pid, self, &actions, NULL, child_arguments(46, 0), environ);
	claim("posix_spawn_addopen", error == 0 && exit_of(pid) == 0, "posix_spawn: %s", strerror(error));
	posix_spawn_file_actions_destroy(&actions);
}

static void by_shell(int fd)
{
	off_t position = lseek(fd, 7 * device.page, SEEK_SET);
	char *const *arguments = child_arguments(fd, position);
	char command[PATH_MAX + 128], line[128] = "";
	FILE *pipe;
	int status;

	snprintf(command, sizeof command, "%s %s child %s %s", self, device.path, arguments[3], arguments[4]);
	status = system(command);
	claim_child("system", WIFEXITED(status) ? WEXITSTATUS(status) : -1, fd, position);

	position = lseek(fd, 3 * device.page, SEEK_SET);
	arguments = child_arguments(fd, position);
	snprintf(command, sizeof command, "%s %s child %s %s", self, device.path, arguments[3], arguments[4]);
	pipe = popen(command, "r");
	claim("popen", pipe != NULL, "popen");
	if (!pipe)
		return;
	claim("popen_output", fgets(line, sizeof line, pipe) && !strcmp(line, "child saw the device\n"), "%s", line);
	status = pclose(pipe);
	claim_child("popen", WIFEXITED(status) ? WEXITSTATUS(status) : -1, fd, position);
}

static void duplicates(int fd)
{
	int second = dup(fd), third = dup2(fd, 60);

	claim("dup", second >= 0 && third == 60, "dup %d dup2 %d", second, third);
	lseek(fd, device.page, SEEK_SET);
	claim("dup_shares_position", lseek(second, 0, SEEK_CUR) == (off_t)device.page && lseek(60, 0, SEEK_CUR) == (off_t)device.page,
		"positions differ");
	claim("dup_survives_close", close(second) == 0 && ioctl(60, MEMGETINFO, &device.info) == 0, "MEMGETINFO");
	claim("dup2_over_it", dup2(1, 60) == 60 && ioctl(60, MEMGETINFO, &device.info) == -1, "60 is still the device");
	close(60);
}

/* What daemons do: close what /proc/self/fd lists, then every number up to a limit. */
static void close_everything(int fd)
{
	int listed[256], count = 0, again;
	struct mtd_info_user info;
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;

	claim("open_proc_self_fd", directory != NULL, "opendir");
	while (directory && (entry = readdir(directory)) != NULL && count < 256)
		if (entry->d_name[0] != '.' && atoi(entry->d_name) > 2)
			listed[count++] = atoi(entry->d_name);
	if (directory)
		closedir(directory);
	while (count-- > 0)
		close(listed[count]);
	for (int number = 3; number < 1024; number++)
		close(number);
	claim("closed", ioctl(fd, MEMGETINFO, &info) == -1 && errno == EBADF, "the old descriptor answers");
	again = open(device.path, O_RDWR);
	claim("open_after_close_all", again == 3, "descriptor %d", again);
	claim("info_after_close_all", ioctl(again, MEMGETINFO, &info) == 0 && !memcmp(&info, &device.info, sizeof info), "MEMGETINFO");
	claim("position_after_close_all", lseek(again, 0, SEEK_CUR) == 0, "position");
	by_fork(again);
	close(again);
}

int main(int argc, char **argv)
{
	int fd;

	device = device_of(argc, argv);
	if (argc == 5 && !strcmp(argv[2], "child"))
		return child(atoi(argv[3]), (off_t)strtoll(argv[4], NULL, 10));
	self = argv[0];
	fd = open(device.path, O_RDWR);
	claim("open", fd >= 0, "open");
	by_fork(fd);
	by_exec(fd);
	by_spawn(fd);
	by_shell(fd);
	duplicates(fd);
	close_everything(fd);
	return verdict("forkexec");
}
