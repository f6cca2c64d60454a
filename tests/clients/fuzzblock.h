/*
 * The block device in difffuzz's model: mtdblock's cache of one eraseblock, as mtdblock.c has it, over the flash of fuzzmodel.h.
 * Only direct transfers, which the page cache has no part in. Blocks with a step that was programmed twice are left alone: whether
 * they can be loaded, the model does not know. Included by difffuzz.c alone.
 */
enum { SECTOR = 512, MEMORY_PAGE = 4096 };
static int block_fd = -1;
static uint8_t sectors[BUFFER + MEMORY_PAGE] __attribute__((aligned(MEMORY_PAGE)));

static long model_flush(void)
{
	if (!m->cached) return 0;
	int64_t at = (int64_t)(m->cached - 1) * block_size;
	m->cached = 0;
	if (m->bad[at / block_size]) return -EIO;
	model_erase(at);
	model_program(at, m->cache, block_size, 1);
	return 0;
}
static void block_let_go(void)
{
	if (block_fd < 0) return;
	block_fd = -1;
	if (!--m->block_refs) model_flush();
}
static long model_write_sector(int64_t at, const uint8_t *p)
{
	uint32_t block = at / block_size;
	if (ram) { memcpy(m->data + at, p, SECTOR); return 0; }
	if (m->cached != block + 1) {
		long flushed = model_flush();
		if (flushed) return flushed;
		memcpy(m->cache, m->data + (int64_t)block * block_size, block_size);
		m->cached = block + 1;
	}
	memcpy(m->cache + at % block_size, p, SECTOR);
	return 0;
}
/* a write to several blocks flushes the cached one, and may load it again */
static int cannot_be_judged(int64_t at, uint32_t n, int writing)
{
	int stays = !writing || at / block_size == (at + n - 1) / block_size;
	for (int64_t block = at / block_size; block * block_size < at + n; block++)
		if (!(stays && m->cached == block + 1) && mixed(block * block_size, block_size)) return 1;
	return 0;
}
static void op_block_transfer(int writing)
{
	uint32_t n = (below(10) ? 1 + below(20) : block_size / SECTOR - 4 + below(8)) * SECTOR, phase = below(8) * SECTOR;
	int64_t at = (int64_t)below(size / SECTOR) * SECTOR;
	uint8_t *p = sectors + phase;
	if (n > size - at) n = size - at;
	describe("block %s(%lld, %u), memory page from %u", writing ? "write" : "read", (long long)at, n, phase);
	if (cannot_be_judged(at, n, writing)) return;
	if (!writing) {
		expect(n, answer(pread(block_fd, p, n, at)));
		for (uint32_t i = 0; i < n; i++) {
			int64_t a = at + i;
			uint8_t want = m->cached == a / block_size + 1 ? m->cache[a % block_size] : m->data[a];
			if (want != p[i]) mismatch("byte %lld of the block device: expected %02x, got %02x", (long long)a, want, p[i]);
		}
		return;
	}
	fill(p, n);
	long got = answer(pwrite(block_fd, p, n, at)), want = n;
	/* what fails takes the rest of its page of memory with it */
	for (uint32_t i = 0; i < n; i += SECTOR) {
		if (!model_write_sector(at + i, p + i)) continue;
		want = -EIO;
		i = (phase + i) / MEMORY_PAGE * MEMORY_PAGE + MEMORY_PAGE - phase - SECTOR;
	}
	expect(want, got);
}
static void op_block(void)
{
	uint32_t what = below(100);
	if (block_fd < 0) {
		describe("open(mtdblock0)");
		block_fd = open("/dev/mtdblock0", O_RDWR | O_DIRECT | O_CLOEXEC);
		if (block_fd < 0) mismatch("expected a descriptor, got errno %d", errno);
		expect(0, 0);
		m->block_refs++;
	} else if (what < 8) {
		describe("close(mtdblock0)");
		expect(0, answer(close(block_fd)));
		block_let_go();
	} else if (what < 20) {
		describe("fsync(mtdblock0)");
		long got = answer(below(2) ? fsync(block_fd) : fdatasync(block_fd));
		expect(model_flush(), got);
	} else if (what < 25) {
		describe("BLKFLSBUF");
		expect(0, answer(ioctl(block_fd, BLKFLSBUF, 0)));
	} else op_block_transfer(what < 70);
}
