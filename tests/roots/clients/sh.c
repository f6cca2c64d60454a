/*
 * sh: the roots' /bin/sh where the libc's packages bring none. Enough for system() and popen(): "sh -c" with
 * one program and its arguments, parted by blanks.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char *words[64], *rest;
	int count = 0;

	if (argc >= 4 && !strcmp(argv[1], "-c") && !strcmp(argv[2], "--"))
		argv[2] = argv[3];	/* newer libcs say: sh -c -- command */
	else if (argc < 3 || strcmp(argv[1], "-c") != 0) {
		fprintf(stderr, "sh: only -c COMMAND\n");
		return 2;
	}
	rest = argv[2];
	while (count < 63 && (words[count] = strtok(rest, " \t\n")) != NULL) {
		rest = NULL;
		count++;
	}
	words[count] = NULL;
	if (count == 0)
		return 0;
	execvp(words[0], words);
	perror(words[0]);
	return 127;
}
