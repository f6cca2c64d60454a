/*
 * The naive model of difffuzz: every byte of the flash, every open file description, and what each call must answer.
 * Knows the kernel's interface (read from its documents), nothing of the library. Included by difffuzz.c alone.
 */
/* newer than some headers */
struct read_request { uint64_t start, len, ooblen, usr_data, usr_oob; uint8_t mode, pad[7]; uint32_t uncorrectable, corrected, max_bitflips; };
#define READ_REQUEST _IOWR('M', 26, struct read_request)
enum { SLOTS = 8, OFDS = 64, SIZE_MAX_MODEL = 2 << 20, PAGES_MAX = 4096, OOB_MAX = 128, BUFFER = 192 << 10, KERNEL_ENOTSUPP = 524 };
enum { CLEAN, CODED, MIXED }; /* an ECC step: erased; programmed once with its ECC; anything else */
#define BAD_POINTER ((void *)16)
#define CLOSED_FD 777
#define ALL UINT32_MAX

struct ofd { int refs, access, mode; int64_t pos; };
struct slot { int fd, ofd, cloexec; };
struct page { uint8_t step[8], ecc_computed, oob[OOB_MAX]; };
static struct model {
	struct mtd_info_user info;
	uint32_t step_size;
	uint32_t marked, mark_calls, stats_unknown; /* a partition, as nandsim's flash is one, counts each call that marks a block */
	uint32_t kept_page; /* one that was read in part, whose corrected data some drivers give even to RAW reads */
	uint64_t done;
	uint32_t block_refs, cached; /* the block device: open files, and one more than the eraseblock that waits */
	struct ofd ofds[OFDS];
	struct slot inherited[SLOTS];
	uint8_t bad[1024], data[SIZE_MAX_MODEL];
	uint8_t cache[BUFFER];
	struct page pages[PAGES_MAX];
} *m;
static struct slot slots[SLOTS];
static int64_t size;
static uint32_t page_size, block_size, oob_size, sub_size, free_at, free_count, ecc_at, ecc_count, step_size = 256, seed, number, *kept, kept_count, last;
static int nand, ram, keeps_page, verbose;
static uint8_t out[BUFFER], in[BUFFER];
static uint8_t *guard; /* the first byte behind BUFFER good ones that cannot be touched */
static char text[400], **arguments;
static int argument_count;

/* ---- random numbers: a fresh sequence for every operation ---- */
static uint32_t state;
static uint32_t next(void) { state ^= state << 13; state ^= state >> 17; return state ^= state << 5; }
static uint32_t below(uint32_t n) { return (next() >> 4) % n; }
static void start_numbers(uint32_t n)
{
	uint32_t x = (seed * 2654435761u) ^ (n + 0x9e3779b9u) * 2246822519u;
	x ^= x >> 15; x *= 3266489917u; x ^= x >> 13;
	state = x ? x : 1;
}
/* mostly random; sometimes erased bytes, sometimes with single bits cleared */
static void fill(uint8_t *p, uint32_t n)
{
	uint32_t kind = below(8);
	if (kind < 2) memset(p, 0xff, n);
	if (kind == 1 && n) for (int i = below(4); i >= 0; i--) p[below(n)] &= ~(1u << below(8));
	if (kind < 2) return;
	uint32_t x = next();
	for (uint32_t i = 0; i < n; i++) { x = x * 1664525u + 1013904223u; p[i] = x >> 24; }
}
static int64_t somewhere(void)
{
	uint32_t r = below(100);
	if (r < 45) return (int64_t)below(size / page_size) * page_size;
	if (r < 60) return (int64_t)below(size / sub_size) * sub_size;
	if (r < 75) return below(size);
	if (r < 80) return (int64_t)below(size / block_size) * block_size;
	if (r < 90) return size - below(3 * page_size);
	if (r < 93) return size;
	if (r < 95) return size + 1 + below(1000);
	if (r < 97) return -1 - (int64_t)below(1000);
	if (r < 99) return size + ((int64_t)below(1000) << 20);
	return (int64_t)(1 + below(1000)) << 33;
}
static uint32_t some_length(void)
{
	uint32_t r = below(100);
	if (r < 40) return page_size;
	if (r < 55) return sub_size * (1 + below(6));
	if (r < 60) return 0;
	if (r < 75) return below(64);
	if (r < 90) return below(2 * page_size);
	if (r < 98) return page_size * below(5);
	return below(BUFFER);
}

/* a buffer of n bytes: seldom none of them can be touched, or only the first ones; *valid says how many */
static uint8_t *some_buffer(uint8_t *usual, uint32_t n, uint32_t *valid)
{
	uint32_t r = below(60);
	*valid = r == 0 ? 0 : r == 1 && n ? below(n) : ALL;
	if (*valid == ALL) return usual;
	return *valid ? guard - *valid : BAD_POINTER;
}

/* what arrived in such a buffer, where the checks expect it */
static void fetch(uint8_t *usual, const uint8_t *buffer, uint32_t valid) { if (valid && valid != ALL) memcpy(usual, buffer, valid); }

/* ---- verdict ---- */
static void describe(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
}
static void mismatch(const char *format, ...)
{
	va_list list;
	printf("MISMATCH operation %u (process %d): %s\n  ", number, (int)getpid(), text);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf("\n");
	fflush(stdout);
	_exit(1);
}
static long answer(long result) { return result < 0 ? -errno : result; }
static void expect(long want, long got)
{
	if (verbose) printf("%u: %s = %ld\n", number, text, got), fflush(stdout);
	if (want != got) mismatch("expected %ld, got %ld (negative: errno)", want, got);
}

/* ---- the model: bytes ---- */
static int erased(const uint8_t *p, uint32_t n) { while (n && *p == 0xff) p++, n--; return n == 0; }
static void model_program(int64_t at, const uint8_t *p, uint32_t n, int coded)
{
	for (uint32_t i = 0; i < n; i++) m->data[at + i] = ram ? p[i] : m->data[at + i] & p[i];
	for (uint32_t i = 0; nand && i < n; i += step_size) {
		struct page *g = &m->pages[(at + i) / page_size];
		uint8_t *step = &g->step[(at + i) % page_size / step_size];
		if (erased(p + i, step_size)) continue;
		*step = coded && *step == CLEAN ? CODED : MIXED;
		g->ecc_computed |= coded;
	}
}
static void model_erase(int64_t at)
{
	memset(m->data + at, 0xff, block_size);
	for (uint32_t p = at / page_size; nand && p < (at + block_size) / page_size; p++) {
		memset(&m->pages[p], 0, sizeof(struct page));
		memset(m->pages[p].oob, 0xff, OOB_MAX);
	}
}
static int is_ecc(uint32_t i)
{
	return page_size == 512 ? i < 4 || i == 6 || i == 7 : i >= ecc_at && i < ecc_at + ecc_count;
}
static void model_oob(uint32_t page, uint32_t at, const uint8_t *p, uint32_t n)
{
	struct page *g = &m->pages[page];
	for (uint32_t i = 0; i < n; i++) {
		g->oob[at + i] &= p[i];
		if (is_ecc(at + i) && p[i] != 0xff) memset(g->step, MIXED, sizeof g->step);
	}
}
static int mixed(int64_t at, uint32_t n) /* is any step of the pages touched other than clean or coded? */
{
	for (int64_t p = at / page_size; nand && n && p <= (at + n - 1) / page_size; p++)
		for (uint32_t s = 0; s < page_size / step_size; s++) if (m->pages[p].step[s] == MIXED) return 1;
	return 0;
}
static void note_read(int64_t at, uint32_t n, int raw)
{
	if (!raw && mixed(at, n)) m->stats_unknown = 1;
	if (at % page_size) m->kept_page = at / page_size;
	if ((at + n) % page_size) m->kept_page = (at + n) / page_size;
}
static void same_data(int64_t at, const uint8_t *got, uint32_t n, int raw)
{
	uint32_t kept_page = m->kept_page;
	note_read(at, n, raw);
	if (!memcmp(m->data + at, got, n)) return;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t page = (at + i) / page_size;
		if (m->data[at + i] == got[i]) continue;
		if (nand && (!raw || (keeps_page && page == kept_page)) && m->pages[page].step[(at + i) % page_size / step_size] == MIXED) continue;
		mismatch("byte %lld: expected %02x, got %02x", (long long)at + i, m->data[at + i], got[i]);
	}
}
static void same_oob(uint32_t page, uint32_t at, const uint8_t *got, uint32_t n)
{
	struct page *g = &m->pages[page];
	for (uint32_t i = 0; i < n; i++)
		if (g->oob[at + i] != got[i] && !(is_ecc(at + i) && g->ecc_computed))
			mismatch("spare byte %u of page %u: expected %02x, got %02x", at + i, page, g->oob[at + i], got[i]);
}

/* ---- the model: checks of a read or write at a position; what remains is the number of bytes to move ---- */
static struct ofd *of(int s) { return slots[s].fd == CLOSED_FD ? 0 : &m->ofds[slots[s].ofd]; }
/* only `valid` bytes of the caller's buffer exist */
static long read_count(struct ofd *o, int64_t pos, uint32_t n, uint32_t valid)
{
	if (!o || o->access == O_WRONLY) return -EBADF;
	if (pos >= size) return 0;
	if (n > size - pos) n = size - pos;
	return n > valid ? -EFAULT : (long)n;
}
static long write_count(struct ofd *o, int64_t pos, uint32_t n, uint32_t valid)
{
	if (!o || o->access == O_RDONLY) return -EBADF;
	if (pos >= size) return -ENOSPC;
	if (n > size - pos) n = size - pos;
	if (n > valid) return -EFAULT;
	return nand && (pos % sub_size || n % sub_size) && n ? -EINVAL : (long)n;
}
