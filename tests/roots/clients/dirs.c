/*
 * dirs /dev/mtdN: names and status of the device's nodes and attributes, by every way libcs offer: opendir,
 * scandir, glob, nftw, realpath, readlink, access, and the forms of stat.
 */
#include "claim.h"
#include <dirent.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

static struct device device;
static char read_only[64], block_device[64], attributes[64];	/* mtd0ro, mtdblock0, /sys/class/mtd/mtd0 */

static int listed(const char *directory, const char *name, unsigned char *type)
{
	DIR *stream = opendir(directory);
	struct dirent *entry;
	int times = 0;

	while (stream && (entry = readdir(stream)) != NULL)
		if (!strcmp(entry->d_name, name)) {
			times++;
			*type = entry->d_type;
		}
	if (stream)
		closedir(stream);
	return stream ? times : -1;
}

static void lists_once(const char *claimed, const char *directory, const char *name, unsigned char type)
{
	unsigned char seen = DT_UNKNOWN;
	int times = listed(directory, name, &seen);

	claim(claimed, times == 1 && (seen == type || seen == DT_UNKNOWN || (type == DT_DIR && seen == DT_LNK)),
		"%s lists %s %d times, type %d", directory, name, times, seen);
}

static int starts_with_mtd(const struct dirent *entry)
{
	return !strncmp(entry->d_name, "mtd", 3);
}

static void directories(void)
{
	struct dirent **names, *entry;
	int count, found = 0, twice = 0;
	DIR *stream;
	long place;

	lists_once("dev_lists_mtd", "/dev", device.name, DT_CHR);
	lists_once("dev_lists_mtdro", "/dev", read_only, DT_CHR);
	lists_once("dev_lists_mtdblock", "/dev", block_device, DT_BLK);
	lists_once("dev_lists_null", "/dev", "null", DT_CHR);
	lists_once("class_lists_mtd", "/sys/class/mtd", device.name, DT_DIR);
	lists_once("class_lists_mtdro", "/sys/class/mtd", read_only, DT_DIR);
	lists_once("attributes_list_size", attributes, "size", DT_REG);
	lists_once("attributes_list_name", attributes, "name", DT_REG);
	lists_once("lists_dot", "/sys/class/mtd", ".", DT_DIR);

	count = scandir("/dev", &names, starts_with_mtd, alphasort);
	for (int i = 0; i < count; i++) {
		found += !strcmp(names[i]->d_name, device.name);
		free(names[i]);
	}
	claim("scandir", count >= 3 && found == 1, "%d names, %d times %s", count, found, device.name);

	stream = opendir("/sys/class/mtd");
	claim("opendir_class", stream != NULL, "opendir");
	if (!stream)
		return;
	place = telldir(stream);
	for (found = 0; (entry = readdir(stream)) != NULL; )
		found++;
	rewinddir(stream);
	while ((entry = readdir(stream)) != NULL)
		twice++;
	claim("rewinddir", found >= 4 && twice == found, "%d names, then %d", found, twice);
	seekdir(stream, place);
	claim("seekdir", readdir(stream) != NULL, "nothing after seekdir to the start");
	closedir(stream);
	claim("opendir_missing", opendir("/sys/class/mtd/mtd99") == NULL && errno == ENOENT, "opendir of mtd99");
	claim("opendir_device", opendir(device.path) == NULL && errno == ENOTDIR, "opendir of %s", device.path);
}

static void relative_to_descriptors(void)
{
	DIR *stream = opendir("/dev");
	struct mtd_info_user info;
	struct stat status;
	int fd, class_fd = open("/sys/class/mtd", O_RDONLY | O_DIRECTORY);
	char name[48], text[16] = "";

	claim("open_class_directory", class_fd >= 0, "open");
	snprintf(name, sizeof name, "%s/type", device.name);
	fd = openat(class_fd, name, O_RDONLY);
	claim("openat_attribute", fd >= 0 && read(fd, text, sizeof text) >= 4, "openat of %s", name);
	close(fd);
	claim("fstatat_attribute", fstatat(class_fd, name, &status, 0) == 0 && S_ISREG(status.st_mode), "mode %o", status.st_mode);
	claim("faccessat_attribute", faccessat(class_fd, name, R_OK, 0) == 0, "faccessat");
	close(class_fd);
	claim("opendir_dev", stream != NULL, "opendir");
	if (!stream)
		return;
	fd = openat(dirfd(stream), device.name, O_RDONLY);
	claim("openat_dirfd", fd >= 0 && ioctl(fd, MEMGETINFO, &info) == 0, "openat");
	close(fd);
	claim("fstatat_dirfd", fstatat(dirfd(stream), device.name, &status, 0) == 0 && S_ISCHR(status.st_mode), "mode %o", status.st_mode);
	closedir(stream);
	claim("chdir_dev", chdir("/dev") == 0, "chdir");
	fd = open(device.name, O_RDONLY);
	claim("open_relative", fd >= 0 && ioctl(fd, MEMGETINFO, &info) == 0, "open of %s in /dev", device.name);
	close(fd);
	claim("chdir_class", chdir("/sys/class/mtd") == 0, "chdir");
	claim("stat_relative", stat(name, &status) == 0 && S_ISREG(status.st_mode), "stat of %s", name);
	claim("chdir_root", chdir("/") == 0, "chdir");
}

static int found_by_nftw;
static int visit(const char *path, const struct stat *status, int flag, struct FTW *where)
{
	(void)status, (void)flag, (void)where;
	found_by_nftw += !strcmp(path, attributes);
	return 0;
}

static void patterns(void)
{
	glob_t found;
	int result, hits = 0;
	char wanted[96], resolved[PATH_MAX] = "";

	result = glob("/dev/mtd[0-9]*", 0, NULL, &found);
	for (size_t i = 0; result == 0 && i < found.gl_pathc; i++)
		hits += !strcmp(found.gl_pathv[i], device.path);
	claim("glob_dev", result == 0 && hits == 1, "result %d, %d hits", result, hits);
	if (result == 0)
		globfree(&found);
	snprintf(wanted, sizeof wanted, "%s/name", attributes);
	result = glob("/sys/class/mtd/mtd*/name", 0, NULL, &found);
	hits = 0;
	for (size_t i = 0; result == 0 && i < found.gl_pathc; i++)
		hits += !strcmp(found.gl_pathv[i], wanted);
	claim("glob_attributes", result == 0 && hits == 1, "result %d, %d hits", result, hits);
	if (result == 0)
		globfree(&found);
	result = nftw("/sys/class/mtd", visit, 8, FTW_PHYS);
	claim("nftw", result == 0 && found_by_nftw == 1, "result %d, %d times", result, found_by_nftw);
	claim("realpath", realpath(device.path, resolved) && !strcmp(resolved, device.path), "%s", resolved);
	snprintf(wanted, sizeof wanted, "/dev/../dev/./%s", device.name);
	claim("realpath_dots", realpath(wanted, resolved) && !strcmp(resolved, device.path), "%s", resolved);
	claim("realpath_attribute", realpath(attributes, resolved) && strstr(resolved, device.name), "%s", resolved);
	claim("realpath_missing", realpath("/dev/mtd99", resolved) == NULL && errno == ENOENT, "%s", resolved);
}

static int is_node(const struct stat *status, mode_t type, unsigned major_number, unsigned minor_number)
{
	return (status->st_mode & S_IFMT) == type && status->st_size == 0
		&& major(status->st_rdev) == major_number && minor(status->st_rdev) == minor_number;
}

static void status(void)
{
	struct stat by_path, by_link, by_fd, by_at;
	struct statfs system;
	char path[96], text[96] = "", name[64];
	int fd = open(device.path, O_RDONLY);
	unsigned major_number, minor_number;
	ssize_t length;
	FILE *file;

	claim("stat_mtd", stat(device.path, &by_path) == 0 && is_node(&by_path, S_IFCHR, 90, 2 * device.index), "mode %o", by_path.st_mode);
	claim("lstat_mtd", lstat(device.path, &by_link) == 0 && is_node(&by_link, S_IFCHR, 90, 2 * device.index), "mode %o", by_link.st_mode);
	claim("fstat_mtd", fstat(fd, &by_fd) == 0 && is_node(&by_fd, S_IFCHR, 90, 2 * device.index), "mode %o", by_fd.st_mode);
	claim("fstatat_mtd", fstatat(AT_FDCWD, device.path, &by_at, AT_SYMLINK_NOFOLLOW) == 0
		&& is_node(&by_at, S_IFCHR, 90, 2 * device.index), "mode %o", by_at.st_mode);
	claim("one_inode", by_path.st_ino == by_link.st_ino && by_path.st_ino == by_fd.st_ino && by_path.st_dev == by_fd.st_dev
		&& by_path.st_ino == by_at.st_ino, "inodes differ");
	snprintf(path, sizeof path, "/dev/%s", read_only);
	claim("stat_mtdro", stat(path, &by_path) == 0 && is_node(&by_path, S_IFCHR, 90, 2 * device.index + 1), "mode %o", by_path.st_mode);
	snprintf(path, sizeof path, "/dev/%s", block_device);
	claim("stat_mtdblock", stat(path, &by_path) == 0 && is_node(&by_path, S_IFBLK, 31, device.index), "mode %o", by_path.st_mode);
	claim("stat_missing", stat("/dev/mtd99", &by_path) == -1 && errno == ENOENT, "stat of mtd99");
	claim("stat_class", stat("/sys/class/mtd", &by_path) == 0 && S_ISDIR(by_path.st_mode), "mode %o", by_path.st_mode);
	claim("stat_attributes", stat(attributes, &by_path) == 0 && S_ISDIR(by_path.st_mode), "mode %o", by_path.st_mode);
	claim("stat_proc_mtd", stat("/proc/mtd", &by_path) == 0 && S_ISREG(by_path.st_mode) && by_path.st_size == 0, "mode %o", by_path.st_mode);
	snprintf(path, sizeof path, "%s/dev", attributes);
	file = fopen(path, "r");
	claim("sysfs_dev_agrees", file && fscanf(file, "%u:%u", &major_number, &minor_number) == 2
		&& major_number == major(by_fd.st_rdev) && minor_number == minor(by_fd.st_rdev), "%s", path);
	if (file)
		fclose(file);
	claim("access_rw", access(device.path, R_OK | W_OK) == 0, "access");
	claim("access_missing", access("/dev/mtd99", F_OK) == -1 && errno == ENOENT, "access of mtd99");
	claim("readlink_device", readlink(device.path, text, sizeof text) == -1 && errno == EINVAL, "readlink of a device");
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	length = readlink(name, text, sizeof text - 1);
	text[length > 0 ? length : 0] = 0;
	claim("proc_self_fd_names_it", !strcmp(text, device.path), "%s", text);
	claim("stat_proc_self_fd", stat(name, &by_path) == 0 && is_node(&by_path, S_IFCHR, 90, 2 * device.index), "mode %o", by_path.st_mode);
	claim("statfs_device", statfs(device.path, &system) == 0 && fstatfs(fd, &system) == 0, "statfs");
	close(fd);
}

/* Nodes of its numbers in other places: what cp -a, tar and start scripts make. */
static int leads_there(const char *name, mode_t type, unsigned major_number, unsigned minor_number)
{
	struct stat status;
	int fd = open(name, O_RDWR);

	close(fd);
	return fd >= 0 && stat(name, &status) == 0 && is_node(&status, type, major_number, minor_number);
}

static void made(void)
{
	char directory[] = "/tmp/dirsXXXXXX";
	int fd;

	claim("new_directory", mkdtemp(directory) && chdir(directory) == 0, "%s", directory);
	fd = open(directory, O_RDONLY | O_DIRECTORY);
	claim("mknod", mknod("char", S_IFCHR | 0600, makedev(90, 2 * device.index)) == 0
		&& leads_there("char", S_IFCHR, 90, 2 * device.index), "%s", strerror(errno));
	claim("mknodat", mknodat(fd, "block", S_IFBLK | 0600, makedev(31, device.index)) == 0
		&& leads_there("block", S_IFBLK, 31, device.index), "%s", strerror(errno));
	claim("mknodat_there", mknodat(fd, "block", S_IFBLK | 0600, makedev(31, device.index)) == -1 && errno == EEXIST, "%s", strerror(errno));
	claim("mknodat_fifo", mknodat(AT_FDCWD, "fifo", S_IFIFO | 0600, 0) == 0 && unlink("fifo") == 0, "%s", strerror(errno));
	unlink("char");
	unlink("block");
	claim("nothing_else_made", chdir("/") == 0 && rmdir(directory) == 0, "%s", directory);
	close(fd);
}

int main(int argc, char **argv)
{
	device = device_of(argc, argv);
	snprintf(read_only, sizeof read_only, "%sro", device.name);
	snprintf(block_device, sizeof block_device, "mtdblock%d", device.index);
	snprintf(attributes, sizeof attributes, "/sys/class/mtd/%s", device.name);
	directories();
	relative_to_descriptors();
	patterns();
	status();
	made();
	return verdict("dirs");
}
