/*
 * What the conformance program uses and an older libc has not: put before it by the compiler's -include.
 * musl 1.2.3 and uClibc-ng 1.0.35 have neither statx() nor preadv2(), and uClibc-ng no copy_file_range(): the
 * program then asks by syscall(), as such programs do.
 */
#ifndef COMPAT_H
#define COMPAT_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
/* musl counts O_PATH among the access modes, and the program would name them otherwise. */
#undef O_ACCMODE
#define O_ACCMODE 03
#ifndef STATX_BASIC_STATS
#include <linux/stat.h>
#ifndef __NR_statx
#define __NR_statx 397
#endif
#define statx(directory, path, flags, mask, buffer) ((int)syscall(__NR_statx, directory, path, flags, mask, buffer))
#endif
#if !defined(__GLIBC__) || defined(__UCLIBC__)
#ifndef __NR_preadv2
#define __NR_preadv2 392
#endif
/* The offset travels as two words, the low one first; -1 asks for the current position. */
#define preadv2(fd, vector, count, offset, flags) \
	((ssize_t)syscall(__NR_preadv2, fd, vector, count, (long)(offset), (long)((long long)(offset) >> 32), flags))
#endif
#ifdef __UCLIBC__
#ifndef __NR_copy_file_range
#define __NR_copy_file_range 391
#endif
#define copy_file_range(from, from_offset, to, to_offset, size, flags) \
	((ssize_t)syscall(__NR_copy_file_range, from, from_offset, to, to_offset, size, flags))
#endif
#endif
