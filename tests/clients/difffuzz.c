/*
 * difffuzz MODEL SEED FIRST LAST [KEPT] [-v]   operations FIRST..LAST on /dev/mtd0, each checked against a naive model of the flash
 *
 * What operation number N does depends on SEED and N alone, so any of them can be left out: KEPT is a file with the numbers to do.
 * MODEL is a file that holds the model; processes share it by mapping, because operations fork and exec too.
 * -v prints every operation. Exit 0: all answers as the model says; 1: the first that is not has been printed; 2: misuse.
 *
 * The model restates the kernel's interface byte by byte and knows nothing of the library. It does not compute ECC: the data of a
 * step that was programmed twice is compared in RAW mode only, and ECC bytes only while none has been computed in their page.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/fs.h>
#include <mtd/mtd-user.h>
#include "fuzzmodel.h"
#include "fuzzblock.h"

/* ---- operations ---- */
static void let_go(int s)
{
	if (slots[s].fd == CLOSED_FD) return;
	m->ofds[slots[s].ofd].refs--;
	slots[s].fd = CLOSED_FD;
}
static void op_open(int s)
{
	static const int extra[] = { O_APPEND, O_SYNC, O_TRUNC, O_CREAT, O_NONBLOCK, O_NOCTTY };
	int access = below(4), ro = below(5) == 0, flags = access > 2 ? access = O_RDWR : access, cloexec = below(4) == 0, o = 0;
	if (below(3) == 0) flags |= extra[below(6)];
	if (slots[s].fd != CLOSED_FD) {
		describe("close(%d)", s);
		expect(0, answer(close(slots[s].fd)));
		let_go(s);
	}
	describe("open(mtd0%s, %#x%s) -> %d", ro ? "ro" : "", flags, cloexec ? " cloexec" : "", s);
	int fd = open(ro ? "/dev/mtd0ro" : "/dev/mtd0", flags | (cloexec ? O_CLOEXEC : 0), 0600);
	if (ro && access != O_RDONLY) { expect(-EACCES, answer(fd)); return; }
	if (fd < 0) mismatch("expected a descriptor, got errno %d", errno);
	expect(0, 0);
	while (m->ofds[o].refs) o++;
	m->ofds[o] = (struct ofd){ 1, access, 0, 0 };
	slots[s] = (struct slot){ fd, o, cloexec };
}
static void op_close(int s)
{
	describe("close(%d)", s);
	expect(slots[s].fd == CLOSED_FD ? -EBADF : 0, answer(close(slots[s].fd)));
	let_go(s);
}
static void op_dup(int s)
{
	int t = below(SLOTS), way = below(5), fd = -1, cloexec = way == 3 || way == 4;
	static const char *const names[] = { "dup", "dup2", "F_DUPFD", "dup3 cloexec", "F_DUPFD_CLOEXEC" };
	describe("%s(%d) -> %d", names[way], s, t);
	if (t == s) return;
	if (slots[s].fd == CLOSED_FD) { expect(-EBADF, answer(dup(CLOSED_FD))); return; }
	int over = slots[t].fd != CLOSED_FD && (way == 1 || way == 3); /* onto an open one, which closes it */
	if (slots[t].fd != CLOSED_FD && !over) { close(slots[t].fd); let_go(t); }
	int target = over ? slots[t].fd : 400 + t; /* no other slot can hold that number */
	switch (way) {
	case 0: fd = dup(slots[s].fd); break;
	case 1: fd = dup2(slots[s].fd, target); break;
	case 2: fd = fcntl(slots[s].fd, F_DUPFD, 10 + below(300)); break;
	case 3: fd = dup3(slots[s].fd, target, O_CLOEXEC); break;
	case 4: fd = fcntl(slots[s].fd, F_DUPFD_CLOEXEC, 10 + below(300)); break;
	}
	if (fd < 0 || ((way == 1 || way == 3) && fd != target)) mismatch("expected descriptor %d, got %d, errno %d", target, fd, errno);
	expect(0, 0);
	let_go(t);
	slots[t] = (struct slot){ fd, slots[s].ofd, cloexec };
	m->ofds[slots[t].ofd].refs++;
}
static void op_seek(int s)
{
	static const int ways[] = { SEEK_SET, SEEK_SET, SEEK_CUR, SEEK_END, 3, 4, 9 };
	int whence = ways[below(below(10) ? 4 : 7)];
	off_t by = whence == SEEK_SET ? somewhere() : below(3) ? somewhere() - size : (off_t)below(3 * page_size) - page_size;
	struct ofd *o = of(s);
	describe("lseek(%d, %lld, %d)", s, (long long)by, whence);
	long got = answer(lseek(slots[s].fd, by, whence));
	if (!o) { expect(-EBADF, got); return; }
	int64_t to = by + (whence == SEEK_CUR ? o->pos : whence == SEEK_END ? size : 0);
	if (whence > SEEK_END || to < 0 || to > size) { expect(-EINVAL, got); return; }
	o->pos = to;
	expect(to, got);
}
static void op_read(int s, int positioned)
{
	uint32_t n = some_length();
	off_t at = positioned ? somewhere() : 0;
	struct ofd *o = of(s);
	uint32_t valid;
	uint8_t *buffer = some_buffer(in, n, &valid);
	if (!o) buffer = in; /* of a closed descriptor qemu-user looks at the pointer first */
	describe("%s(%d, buffer of %d, %u, %lld)", positioned ? "pread" : "read", s, (int)valid, n, positioned ? (long long)at : o ? (long long)o->pos : 0);
	long got = answer(positioned ? pread(slots[s].fd, buffer, n, at) : read(slots[s].fd, buffer, n));
	int64_t pos = positioned ? at : o ? o->pos : 0;
	long want = positioned && at < 0 ? -EINVAL : read_count(o, pos, n, valid);
	expect(want, got);
	if (want == -EFAULT) note_read(pos, n < size - pos ? n : size - pos, o->mode); /* the flash was read before the copy failed */
	if (want <= 0) return;
	if (o) fetch(in, buffer, valid);
	same_data(pos, in, want, o->mode);
	if (!positioned) o->pos += want;
}
static void op_write(int s, int positioned)
{
	uint32_t n = some_length();
	off_t at = positioned ? somewhere() : 0;
	struct ofd *o = of(s);
	uint32_t valid;
	uint8_t *buffer = some_buffer(out, n, &valid);
	if (!o) buffer = out;
	fill(out, n);
	if (valid && valid != ALL) memcpy(guard - valid, out, valid);
	describe("%s(%d, buffer of %d, %u, %lld)%s", positioned ? "pwrite" : "write", s, (int)valid, n,
		positioned ? (long long)at : o ? (long long)o->pos : 0, o && o->mode ? " RAW" : "");
	long got = answer(positioned ? pwrite(slots[s].fd, buffer, n, at) : write(slots[s].fd, buffer, n));
	int64_t pos = positioned ? at : o ? o->pos : 0;
	long want = positioned && at < 0 ? -EINVAL : write_count(o, pos, n, valid);
	expect(want, got);
	if (want <= 0) return;
	model_program(pos, out, want, !o->mode);
	if (!positioned) o->pos += want;
}
/* one call a segment; the first short or failed one ends it */
static void op_vector(int s, int writing)
{
	struct iovec v[3];
	int count = 1 + below(3), positioned = below(2);
	off_t at = positioned ? somewhere() : 0;
	uint32_t n[3], total = 0;
	struct ofd *o = of(s);
	uint8_t *base = writing ? out : in;
	for (int i = 0; i < count; i++) {
		n[i] = below(4) ? page_size * below(3) : some_length() % (BUFFER / 3);
		v[i] = (struct iovec){ base + total, n[i] };
		total += n[i];
	}
	if (writing) fill(out, total);
	int64_t pos = positioned ? at : o ? o->pos : 0, start = pos;
	describe("%s%sv(%d, %u %u %u, %lld)", positioned ? "p" : "", writing ? "write" : "read", s, n[0], count > 1 ? n[1] : 0, count > 2 ? n[2] : 0, (long long)pos);
	int fd = slots[s].fd;
	long got = answer(writing ? positioned ? pwritev(fd, v, count, at) : writev(fd, v, count) : positioned ? preadv(fd, v, count, at) : readv(fd, v, count));
	long want = 0, one = 0;
	if (positioned && at < 0) { expect(-EINVAL, got); return; }
	if (!o || o->access == (writing ? O_RDONLY : O_WRONLY)) { expect(-EBADF, got); return; }
	for (int i = 0; i < count && total; i++) {
		one = writing ? write_count(o, pos, n[i], ALL) : read_count(o, pos, n[i], ALL);
		if (one < 0) { if (!want) want = one; break; }
		if (writing) model_program(pos, (uint8_t *)v[i].iov_base, one, !o->mode);
		pos += one; want += one;
		if (one < (long)n[i]) break;
	}
	expect(want, got);
	if (want > 0 && !writing) same_data(start, in, want, o->mode);
	if (want > 0 && !positioned) o->pos = start + want;
}
static void op_erase(int s)
{
	uint64_t start = below(4) ? (uint64_t)below(size / block_size) * block_size : (uint64_t)somewhere();
	uint64_t length = below(10) < 8 ? block_size : below(3) ? (uint64_t)below(4) * block_size : some_length();
	int wide = below(2), bad = below(80) == 0;
	struct ofd *o = of(s);
	if (!wide) start = (uint32_t)start;
	struct erase_info_user narrow_e = { start, length };
	struct erase_info_user64 wide_e = { start, length };
	describe("MEMERASE%s(%d, %#llx, %#llx)%s", wide ? "64" : "", s, (unsigned long long)start, (unsigned long long)length, bad ? " bad pointer" : "");
	long got = answer(wide ? ioctl(slots[s].fd, MEMERASE64, bad ? BAD_POINTER : &wide_e) : ioctl(slots[s].fd, MEMERASE, bad ? BAD_POINTER : &narrow_e)), want = 0;
	if (!o) want = -EBADF;
	else if (o->access == O_RDONLY) want = -EPERM;
	else if (bad) want = -EFAULT;
	else if (start >= (uint64_t)size || length > size - start) want = -EINVAL;
	else if (length == 0) want = 0;
	else if (length % block_size || ((nand || ram) && start % block_size)) want = -EINVAL;
	else for (uint64_t at = start / block_size * block_size; at < start + length && at / block_size < (start / block_size + length / block_size); at += block_size) {
		if (m->bad[at / block_size]) { want = -EIO; break; }
		model_erase(at);
	}
	expect(want, got);
}
static void op_oob(int s, int writing)
{
	uint64_t start = somewhere();
	uint32_t length = below(3) ? below(2 * (oob_size ? oob_size : 8)) : below(4) ? oob_size : below(5000), offset;
	int wide = below(2), bad = below(80) == 0;
	struct ofd *o = of(s);
	if (nand && below(2)) start = start / page_size * page_size + below(oob_size);
	if (nand && (int64_t)start < 0 ? 1 : length == 0) length++;
	if (!wide) start = (uint32_t)start;
	fill(out, length);
	memset(in, 0x5a, length);
	uint32_t valid;
	uint8_t *buffer = some_buffer(writing ? out : in, length, &valid);
	if (writing && valid && valid != ALL) memcpy(guard - valid, out, valid);
	struct mtd_oob_buf narrow_b = { start, length, buffer };
	struct mtd_oob_buf64 wide_b = { start, 0, length, (uintptr_t)buffer };
	unsigned long request = writing ? wide ? MEMWRITEOOB64 : MEMWRITEOOB : wide ? MEMREADOOB64 : MEMREADOOB;
	describe("MEM%sOOB%s(%d, %#llx, %u, buffer of %d)%s", writing ? "WRITE" : "READ", wide ? "64" : "", s, (unsigned long long)start, length, (int)valid, bad ? " bad pointer" : "");
	long got = answer(ioctl(slots[s].fd, request, bad ? BAD_POINTER : wide ? (void *)&wide_b : (void *)&narrow_b)), want = 0;
	offset = nand ? start & (page_size - 1) : 0;
	uint64_t from = start - offset;
	int past = from >= (uint64_t)size || (!nand || offset >= oob_size || length > (size - from) / page_size * oob_size - offset);
	if (!o) want = -EBADF;
	else if (writing && o->access == O_RDONLY) want = -EPERM;
	else if (bad) want = -EFAULT;
	else if (length > 4096) want = -EINVAL;
	else if (writing && !nand) want = -EOPNOTSUPP;
	else if (offset && length > oob_size - offset) want = -EINVAL;
	else if (writing && length > valid) want = -EFAULT;
	else if (past || (writing && offset + length > oob_size)) want = -EINVAL;
	else if (length > valid) want = -EFAULT;
	expect(want, got);
	if (want) return;
	if (!writing) fetch(in, buffer, valid);
	uint32_t told = writing ? wide ? wide_b.length : narrow_b.length : wide ? wide_b.length : narrow_b.start;
	if (told != length) mismatch("expected the length %u to be stored, got %u", length, told);
	if (writing) { model_oob(from / page_size, offset, out, length); return; }
	for (uint32_t done = 0, page = from / page_size; done < length; page++) {
		uint32_t n = length - done < oob_size - offset ? length - done : oob_size - offset;
		same_oob(page, offset, in + done, n);
		done += n; offset = 0;
	}
}
/* MEMWRITE and MEMREAD of at most a few pages; the spare bytes are taken from the buffer page after page */
static void op_request(int s, int writing)
{
	int has_data = below(4) != 0, has_oob = below(4) != 0, mode = below(3), bad = below(80) == 0;
	uint64_t start = somewhere();
	uint32_t len = below(5) ? page_size * below(4) : below(2) ? sub_size * below(9) : below(3 * page_size);
	uint32_t per = mode == MTD_OPS_AUTO_OOB ? free_count : oob_size, ooblen = below(3) ? below(3 * oob_size + 2) : per * below(4);
	uint8_t *oob = out + 8 * page_size, *oob_in = in + 8 * page_size;
	struct ofd *o = of(s);
	if (!has_data && has_oob && !ooblen) ooblen = 1;
	fill(out, len);
	fill(oob, ooblen);
	uint8_t *data_p = writing ? out : in, *oob_p = writing ? oob : oob_in;
	uint32_t data_valid, oob_valid, faulty;
	uint8_t *data_at = some_buffer(data_p, len, &data_valid), *oob_at = some_buffer(oob_p, ooblen, &oob_valid);
	/* both cannot end at the guard */
	if (data_valid && data_valid != ALL && oob_valid && oob_valid != ALL) oob_at = oob_p, oob_valid = ALL;
	if (writing && data_valid && data_valid != ALL) memcpy(guard - data_valid, data_p, data_valid);
	if (writing && oob_valid && oob_valid != ALL) memcpy(guard - oob_valid, oob_p, oob_valid);
	struct read_request r = { start, len, ooblen, has_data ? (uintptr_t)data_at : 0, has_oob ? (uintptr_t)oob_at : 0, mode };
	describe("%s(%d, %#llx, %u%s of %d, oob %u%s of %d, mode %d)%s", writing ? "MEMWRITE" : "MEMREAD", s, (unsigned long long)start, len, has_data ? "" : "/NULL", (int)data_valid, ooblen,
		has_oob ? "" : "/NULL", (int)oob_valid, mode, bad ? " bad pointer" : "");
	long got = answer(ioctl(slots[s].fd, writing ? MEMWRITE : READ_REQUEST, bad ? BAD_POINTER : (void *)&r)), want = 0;
	uint32_t n = has_data ? len : 0, spare = has_oob ? ooblen : 0, first = start / page_size, pages = n ? (start % page_size + n + page_size - 1) / page_size : 0;
	if (n && spare > pages * per) spare = pages * per; /* the surplus is dropped */
	faulty = n > data_valid || spare > oob_valid;
	int judged = 1;
	if (!o) want = -EBADF;
	else if (writing && o->access == O_RDONLY) want = -EPERM;
	else if (bad) want = -EFAULT;
	else if (!nand) want = -EOPNOTSUPP;
	else if (start > (uint64_t)size || n > size - start) want = -EINVAL;
	else if (!n && (has_data || !spare)) want = 0, spare = 0;
	else if (writing && faulty) want = -EFAULT;
	else if (!n && ((int64_t)start >= size || spare > (size / page_size - first) * per || (writing && spare > per))) want = -EINVAL;
	else if (!writing && has_oob && ooblen > (size / page_size - first) * per) want = -EINVAL; /* a read's surplus is not dropped before the check */
	else if (writing && n && (start % sub_size || n % sub_size)) want = -EINVAL;
	else if (!writing && n && mode != MTD_OPS_RAW && mixed(start, n)) judged = 0, m->stats_unknown = 1;
	else if (!writing && n && keeps_page && m->kept_page >= first && m->kept_page < first + pages && mixed((int64_t)m->kept_page * page_size, 1)) judged = 0; /* RAW, but the kept page brings its flips */
	if (!writing && !want && faulty && (n || spare)) {
		want = -EFAULT, judged = 1;
		if (n) note_read(start, n, mode == MTD_OPS_RAW);
	}
	if (!judged && (got == -EUCLEAN || got == -EBADMSG)) want = got;
	expect(want, got);
	if (want && judged) return;
	if (!writing) fetch(in, data_at, data_valid), fetch(oob_in, oob_at, oob_valid);
	if (writing && n) model_program(start, out, n, mode != MTD_OPS_RAW);
	if (!writing && n) same_data(start, in, n, mode == MTD_OPS_RAW);
	for (uint32_t done = 0, page = first; done < spare; page++) {
		uint32_t at = mode == MTD_OPS_AUTO_OOB ? free_at : 0, k = spare - done < per ? spare - done : per;
		if (writing && n && mode == MTD_OPS_PLACE_OOB) /* the ECC that is computed takes its places */
			for (uint32_t i = 0; i < k; i++) if (is_ecc(i)) oob[done + i] = 0xff;
		if (writing) model_oob(page, at, oob + done, k); else same_oob(page, at, oob_in + done, k);
		done += k;
	}
	if (writing || !nand || !o || bad) return;
	if (r.start != start + n || r.len != (has_data ? n : len)) mismatch("expected start %#llx and len %u, got %#llx and %u", (unsigned long long)start + n, has_data ? n : len, (unsigned long long)r.start, (uint32_t)r.len);
	if (judged && (r.uncorrectable || r.corrected || r.max_bitflips)) mismatch("expected no bit flips, got %u %u %u", r.uncorrectable, r.corrected, r.max_bitflips);
}
static void op_bad_block(int s)
{
	int marking = below(40) == 0, bad = below(80) == 0;
	loff_t at = somewhere();
	struct ofd *o = of(s);
	describe("MEM%sBADBLOCK(%d, %lld)%s", marking ? "SET" : "GET", s, (long long)at, bad ? " bad pointer" : "");
	if (marking && m->marked >= 3 && nand) return; /* some blocks must stay usable */
	long got = answer(ioctl(slots[s].fd, marking ? MEMSETBADBLOCK : MEMGETBADBLOCK, bad ? BAD_POINTER : &at)), want;
	int inside = at >= 0 && at < size;
	if (!o) want = -EBADF;
	else if (marking && o->access == O_RDONLY) want = -EPERM;
	else if (bad) want = -EFAULT;
	else if (marking && !nand) want = -EOPNOTSUPP;
	else if (!inside) want = -EINVAL;
	else want = marking ? 0 : m->bad[at / block_size];
	expect(want, got);
	m->mark_calls += marking && !want;
	if (!marking || want || m->bad[at / block_size]) return;
	m->bad[at / block_size] = 1;
	m->marked++;
	/* from an address inside a block the erase fails unnoticed, and the mark goes to the page of that address */
	if (at % block_size == 0) model_erase(at);
	m->pages[at / page_size].oob[page_size == 512 ? 5 : 0] = 0;
}
static void op_mode(int s)
{
	int otp = below(4) == 0, value = below(10) ? below(4) : below(1000) - 5, bad = otp && below(20) == 0;
	struct ofd *o = of(s);
	describe("%s(%d, %d)%s", otp ? "OTPSELECT" : "MTDFILEMODE", s, value, bad ? " bad pointer" : "");
	long got = answer(otp ? ioctl(slots[s].fd, OTPSELECT, bad ? BAD_POINTER : &value) : ioctl(slots[s].fd, MTDFILEMODE, (long)value)), want = -EINVAL;
	if (!o) { expect(-EBADF, got); return; }
	if (bad) { expect(-EFAULT, got); return; }
	if (value == 0) want = 0;
	if (value == 1 || value == 2) want = -EOPNOTSUPP; /* no OTP here */
	if (!otp && value == MTD_FILE_MODE_RAW) want = nand ? 0 : -EOPNOTSUPP;
	o->mode = want == 0 && !otp ? value : 0;
	if (otp || value != MTD_FILE_MODE_RAW || want == 0) o->pos = 0;
	expect(want, got);
}
static void op_lock(int s)
{
	static const unsigned long requests[] = { MEMLOCK, MEMUNLOCK, MEMISLOCKED };
	static const char *const names[] = { "MEMLOCK", "MEMUNLOCK", "MEMISLOCKED" };
	int which = below(3);
	struct erase_info_user e = { below(size / block_size) * block_size, block_size };
	struct ofd *o = of(s);
	describe("%s(%d, %#x)", names[which], s, e.start);
	long got = answer(ioctl(slots[s].fd, requests[which], &e));
	expect(!o ? -EBADF : which < 2 && o->access == O_RDONLY ? -EPERM : which < 2 && nand ? -KERNEL_ENOTSUPP : -EOPNOTSUPP, got);
}
static void op_query(int s)
{
	struct ofd *o = of(s);
	int fd = slots[s].fd, which = below(9), n = -1;
	long want = o ? 0 : -EBADF;
	struct mtd_info_user info;
	struct mtd_ecc_stats stats;
	struct stat st;
	describe("query %d(%d)", which, s);
	switch (which) {
	case 0:
		expect(want, answer(ioctl(fd, MEMGETINFO, &info)));
		if (o && memcmp(&info, &m->info, sizeof info)) mismatch("MEMGETINFO changed");
		break;
	case 1:
		expect(want, answer(ioctl(fd, MEMGETREGIONCOUNT, &n)));
		if (o && n) mismatch("expected no erase regions, got %d", n);
		break;
	case 2: expect(o ? -EINVAL : want, answer(ioctl(fd, MEMGETREGIONINFO, memset(in, 0, 16)))); break;
	case 3: if (o) expect(-ENOTTY, answer(ioctl(fd, _IO('M', 9 + 30 * below(2)), 0))); break; /* of a closed one, qemu-user says ENOSYS by itself */
	case 4:
		expect(want, answer(ioctl(fd, ECCGETSTATS, &stats)));
		if (o && (stats.badblocks != m->mark_calls || stats.bbtblocks)) mismatch("expected %u bad blocks, got %u and %u of the table", m->mark_calls, stats.badblocks, stats.bbtblocks);
		if (o && !m->stats_unknown && (stats.corrected || stats.failed)) mismatch("expected no flips, got %u corrected, %u failed", stats.corrected, stats.failed);
		break;
	case 5: expect(o ? -EINVAL : want, answer(below(2) ? fsync(fd) : fdatasync(fd))); break;
	case 6: expect(o ? -EINVAL : want, answer(ftruncate(fd, below(2) ? 0 : 4096))); break;
	case 7:
		expect(want, answer(fstat(fd, &st)));
		if (o && (st.st_size || !S_ISCHR(st.st_mode))) mismatch("expected a character device of size 0, got mode %o, size %lld", st.st_mode, (long long)st.st_size);
		break;
	case 8:
		n = fcntl(fd, F_GETFL);
		expect(o ? o->access : -EBADF, n < 0 ? -errno : n & O_ACCMODE);
		break;
	}
}

/* ---- sequences and processes ---- */
static uint32_t number_at(uint32_t index, uint32_t first) { return kept ? kept[index] : first + index; }
static void run(uint32_t first, uint32_t limit);

/* the program beside this one that was built for the other width of offsets */
static char *other_client(void)
{
	static char path[4096];
	size_t n = strlen(arguments[0]);
	snprintf(path, sizeof path - 2, "%s", arguments[0]);
	if (n > 2 && !strcmp(path + n - 2, "32")) path[n - 2] = 0; else strcat(path, "32");
	return path;
}
/* a process that forks does the next operations in the child, which may become a fresh program first, and goes on after them */
static void op_child(uint32_t limit, int fresh)
{
	uint32_t until = number + 1 + below(fresh ? 200 : 60);
	int other_width = fresh && below(2);
	if (until > limit) until = limit;
	describe("%s until %u", other_width ? "exec of the other offset width" : fresh ? "exec" : "fork", until);
	if (verbose) printf("%u: %s\n", number, text);
	fflush(stdout);
	for (int i = 0; i < SLOTS; i++) if (slots[i].fd != CLOSED_FD && !(fresh && slots[i].cloexec)) m->ofds[slots[i].ofd].refs++;
	memcpy(m->inherited, slots, sizeof slots);
	if (!fresh && block_fd >= 0) m->block_refs++;
	pid_t pid = fork();
	if (pid == 0 && !fresh) {
		run(number + 1, until);
		for (int i = 0; i < SLOTS; i++) let_go(i);
		block_let_go();
		_exit(0);
	}
	if (pid == 0) {
		char from[16], to[16];
		snprintf(from, sizeof from, "%u", number + 1);
		snprintf(to, sizeof to, "%u", until);
		setenv("DIFFFUZZ_CHILD", "1", 1);
		char *words[] = { arguments[0], arguments[1], arguments[2], from, to, argument_count > 5 ? arguments[5] : 0, verbose ? "-v" : 0, 0 };
		if (other_width) execv(words[0] = other_client(), words); else execv("/proc/self/exe", words);
		printf("exec: %s\n", strerror(errno));
		fflush(stdout);
		_exit(2);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	if (status) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 1) mismatch("the child's status is %#x", status);
		_exit(1);
	}
	number = until;
}
static void perform(uint32_t limit)
{
	uint32_t what = below(1000);
	int s = below(SLOTS);
	if (what < 60) op_open(s);
	else if (what < 75) op_close(s);
	else if (what < 105) op_dup(s);
	else if (what < 190) op_seek(s);
	else if (what < 280) op_read(s, 0);
	else if (what < 380) op_read(s, 1);
	else if (what < 440) op_write(s, 0);
	else if (what < 530) op_write(s, 1);
	else if (what < 565) op_vector(s, 0);
	else if (what < 600) op_vector(s, 1);
	else if (what < 680) op_erase(s);
	else if (what < 730) op_oob(s, 0);
	else if (what < 765) op_oob(s, 1);
	else if (what < 815) op_request(s, 0);
	else if (what < 865) op_request(s, 1);
	else if (what < 905) op_bad_block(s);
	else if (what < 930) op_mode(s);
	else if (what < 935) op_lock(s);
	else if (what < 965) op_query(s);
	else if (what < 997) op_block();
	else if (what < 999 || below(8)) op_child(limit, 0);
	else op_child(limit, 1);
}
static void run(uint32_t first, uint32_t limit)
{
	for (uint32_t i = 0; kept ? i < kept_count : first + i <= limit; i++) {
		uint32_t n = number_at(i, first);
		if (n < first || n > limit) continue;
		number = n;
		m->done++;
		start_numbers(n);
		perform(limit);
		if (number != n) { if (kept) first = number + 1; else i = number - first; }
	}
}
/* everything once more, byte by byte, in RAW mode */
static void verify_all(void)
{
	describe("the whole flash at the end");
	verbose = 0;
	int fd = open("/dev/mtd0", O_RDONLY);
	if (nand) expect(0, answer(ioctl(fd, MTDFILEMODE, MTD_FILE_MODE_RAW)));
	for (int64_t at = 0; at < size; at += page_size) {
		if (read(fd, in, page_size) != page_size) mismatch("short read at %lld", (long long)at);
		same_data(at, in, page_size, 1);
		struct mtd_oob_buf b = { at, oob_size, in };
		if (nand) { expect(0, answer(ioctl(fd, MEMREADOOB, &b))); same_oob(at / page_size, 0, in, oob_size); }
	}
	close(fd);
}
static void learn_geometry(void)
{
	int fd = open("/dev/mtd0", O_RDONLY);
	if (fd < 0 || ioctl(fd, MEMGETINFO, &m->info)) { perror("/dev/mtd0"); exit(2); }
	close(fd);
	FILE *f = fopen("/sys/class/mtd/mtd0/ecc_step_size", "r");
	if (!f || fscanf(f, "%u", &m->step_size) != 1) { perror("ecc_step_size"); exit(2); }
	fclose(f);
	if (m->info.size > SIZE_MAX_MODEL || m->info.oobsize > OOB_MAX) { fprintf(stderr, "the flash is too large for the model\n"); exit(2); }
	memset(m->data, 0xff, m->info.size);
	for (int i = 0; i < PAGES_MAX; i++) memset(m->pages[i].oob, 0xff, OOB_MAX);
}
static void take_geometry(void)
{
	size = m->info.size; block_size = m->info.erasesize; oob_size = m->info.oobsize;
	nand = m->info.type == MTD_NANDFLASH; ram = m->info.type == MTD_RAM;
	page_size = nand ? m->info.writesize : 512;
	sub_size = !nand ? 64 : page_size == 512 ? 256 : page_size / 4;
	free_at = page_size == 512 ? 8 : 2;
	free_count = page_size == 512 ? 8 : 38;
	ecc_at = 40; ecc_count = 24;
	if (nand) step_size = m->step_size;
	/* BCH of four bits over 512 bytes: seven bytes a step, at the end of the spare area; only Hamming over large pages reads steps alone */
	if (step_size == 512) { ecc_at = 36; ecc_count = 28; free_count = 34; }
	if (page_size == 4096) { ecc_at = 24; ecc_count = 104; free_count = 22; } /* eight bits a step */
	keeps_page = page_size == 512 || step_size == 512;
}
static void load_kept(const char *path)
{
	FILE *f = fopen(path, "r");
	if (!f) { perror(path); exit(2); }
	kept = malloc(sizeof *kept * (last + 1));
	while (kept_count <= last && fscanf(f, "%u", &kept[kept_count]) == 1) kept_count++;
	fclose(f);
}
int main(int argc, char **argv)
{
	int child = getenv("DIFFFUZZ_CHILD") != 0;
	if (argc > 5 && !strcmp(argv[argc - 1], "-v")) { verbose = 1; argc--; }
	if (argc < 5) return 2;
	arguments = argv; argument_count = argc;
	int fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || (!child && (ftruncate(fd, 0) || ftruncate(fd, sizeof *m)))) { perror(argv[1]); return 2; }
	m = mmap(0, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED) { perror("mmap"); return 2; }
	close(fd);
	seed = strtoul(argv[2], 0, 0);
	uint32_t first = strtoul(argv[3], 0, 0);
	last = strtoul(argv[4], 0, 0);
	guard = mmap(0, BUFFER + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guard == MAP_FAILED || mprotect(guard += BUFFER, 65536, PROT_NONE)) { perror("mmap"); return 2; }
	for (int i = 0; i < SLOTS; i++) slots[i].fd = CLOSED_FD;
	if (argc > 5) load_kept(argv[5]);
	if (!child) learn_geometry();
	take_geometry();
	for (int i = 0; child && i < SLOTS; i++)
		if (!m->inherited[i].cloexec) slots[i] = m->inherited[i];
		else if (m->inherited[i].fd != CLOSED_FD && fcntl(m->inherited[i].fd, F_GETFD) >= 0) { describe("exec"); mismatch("descriptor %d survived", i); }
	run(first, last);
	for (int i = 0; i < SLOTS; i++) let_go(i);
	if (!child && block_fd >= 0) close(block_fd);
	block_let_go();
	if (child) return 0;
	verify_all();
	printf("%llu operations\n", (unsigned long long)m->done);
	return 0;
}
