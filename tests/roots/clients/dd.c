/*
 * dd: copies blocks from standard input to standard output, for the one place where the conformance program starts a dd on
 * an inherited descriptor. Knows bs= and count=; skip=0 is what it does anyway.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	size_t size = 512;
	long count = -1, whole = 0, partial = 0;
	ssize_t length = 0;
	char *block;

	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "bs=", 3))
			size = strtoul(argv[i] + 3, NULL, 0);
		else if (!strncmp(argv[i], "count=", 6))
			count = strtol(argv[i] + 6, NULL, 0);
		else if (strcmp(argv[i], "skip=0") != 0) {
			fprintf(stderr, "dd: only bs=, count= and skip=0\n");
			return 2;
		}
	}
	block = malloc(size);
	while (block && count-- != 0 && (length = read(0, block, size)) > 0) {
		if (write(1, block, length) != length) {
			perror("dd: write");
			return 1;
		}
		if ((size_t)length == size)
			whole++;
		else
			partial++;
	}
	if (!block || length < 0) {
		perror("dd: read");
		return 1;
	}
	fprintf(stderr, "%ld+%ld records in\n%ld+%ld records out\n", whole, partial, whole, partial);
	return 0;
}
