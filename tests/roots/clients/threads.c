/*
 * threads /dev/mtdN: threads that erase, program and read different eraseblocks at the same time, half of
 * them through one shared descriptor, never disturb each other; and lseek+read of private descriptors stay
 * private. Then a thread's errno is its own.
 * threads create: only whether a thread can be started at all.
 */
#include "claim.h"
#include <pthread.h>

enum { THREADS_MAX = 6, ROUNDS = 4 };

struct worker {
	pthread_t thread;
	const struct device *device;
	off_t block;
	int index, shared_fd;
	const char *failure;	/* NULL while every step was right */
	int error;
};

static void *failed(struct worker *worker, const char *step)
{
	worker->failure = step;
	worker->error = errno;
	return NULL;
}

/* Programs the whole of the worker's block page by page, and reads it back. */
static const char *round_trip(struct worker *worker, int fd, uint32_t seed, uint8_t *out, uint8_t *in)
{
	uint32_t page = worker->device->page, size = worker->device->info.erasesize;
	uint32_t step = size > 16 * page ? size / 16 / page * page : page;

	if (erase_block(fd, worker->device, worker->block) != 0)
		return "MEMERASE";
	if (pread(fd, in, page, worker->block) != (ssize_t)page)
		return "pread after erase";
	for (uint32_t i = 0; i < page; i++)
		if (in[i] != 0xff)
			return "erased bytes are 0xff";
	for (uint32_t at = 0; at + page <= size; at += step) {
		pattern(out, page, seed + at);
		if (pwrite(fd, out, page, worker->block + at) != (ssize_t)page)
			return "pwrite";
	}
	for (uint32_t at = 0; at + page <= size; at += step) {
		pattern(out, page, seed + at);
		if (pread(fd, in, page, worker->block + at) != (ssize_t)page)
			return "pread";
		if (memcmp(in, out, page) != 0)
			return "pread finds what pwrite wrote";
	}
	return NULL;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	uint32_t page = worker->device->page;
	uint8_t *out = malloc(page), *in = malloc(page);
	int own = open(worker->device->path, O_RDWR);
	int fd = worker->index % 2 ? own : worker->shared_fd;

	if (own < 0 || !out || !in)
		return failed(worker, "open");
	for (int round = 0; round < ROUNDS; round++) {
		const char *step = round_trip(worker, fd, worker->index * 1000003u + round, out, in);

		if (step)
			return failed(worker, step);
		if (lseek(own, worker->block, SEEK_SET) != worker->block)
			return failed(worker, "lseek");
		if (read(own, in, page) != (ssize_t)page)
			return failed(worker, "read");
		if (lseek(own, 0, SEEK_CUR) != worker->block + (off_t)page)
			return failed(worker, "a private descriptor's position is private");
		errno = 0;
		if (lseek(own, (off_t)worker->device->info.size + 1, SEEK_SET) != -1 || errno != EINVAL)
			return failed(worker, "lseek past the end is EINVAL in this thread");
	}
	close(own);
	free(out);
	free(in);
	return NULL;
}

/* After all threads: every block still holds the last round of its own thread. */
static int block_is_intact(struct worker *worker, int fd)
{
	uint32_t page = worker->device->page;
	uint8_t *out = malloc(page), *in = malloc(page);
	int intact;

	pattern(out, page, worker->index * 1000003u + ROUNDS - 1);
	intact = pread(fd, in, page, worker->block) == (ssize_t)page && memcmp(in, out, page) == 0;
	free(out);
	free(in);
	return intact;
}

static void *nothing(void *argument)
{
	return argument;
}

static int starts_a_thread(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "create"))
		return starts_a_thread() ? 0 : 1;

	struct device device = device_of(argc, argv);
	struct worker workers[THREADS_MAX];
	int fd = open(device.path, O_RDWR), threads = 0, intact = 0, position_kept;
	off_t next = 0;

	claim("open_rdwr", fd >= 0, "open of %s", device.path);
	claim("seek_shared", lseek(fd, device.page, SEEK_SET) == (off_t)device.page, "lseek of the shared descriptor");
	while (threads < THREADS_MAX && (next = good_block(fd, &device, next / device.info.erasesize)) >= 0) {
		workers[threads] = (struct worker){ .device = &device, .block = next, .index = threads, .shared_fd = fd };
		next += device.info.erasesize;
		threads++;
	}
	claim("enough_blocks", threads >= 2, "%d good blocks", threads);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			workers[i].failure = "pthread_create";
	for (int i = 0; i < threads; i++) {
		char name[32];

		if (!workers[i].failure || strcmp(workers[i].failure, "pthread_create") != 0)
			pthread_join(workers[i].thread, NULL);
		snprintf(name, sizeof name, "thread_%d", i);
		errno = workers[i].error;
		claim(name, !workers[i].failure, "%s", workers[i].failure);
	}
	for (int i = 0; i < threads; i++)
		intact += block_is_intact(&workers[i], fd);
	claim("blocks_intact", intact == threads, "%d of %d blocks", intact, threads);
	position_kept = lseek(fd, 0, SEEK_CUR) == (off_t)device.page;
	claim("pread_and_pwrite_leave_the_position", position_kept, "position %lld", (long long)lseek(fd, 0, SEEK_CUR));
	claim("close", close(fd) == 0, "close");
	return verdict("threads");
}
