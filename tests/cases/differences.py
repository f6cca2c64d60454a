"""The README's table "Differences from the kernel": every row is true of us, and every row has a case here or one named here."""
import ctypes
import re
import shutil

import harness
from boards import PARENT, PARENT_NOR, SMALL_NAND, SMALL_NOR
from harness import RECORDINGS, SYSROOT, TOP, case, holds, same

ROWS = {}


def row(beginning, by=None):
    """Registers a case for the row of the table that begins with these words; `by`: the case that pins it already."""
    if by:
        ROWS[beginning] = by
        return None

    def register(function):
        ROWS[beginning] = f"difference: {beginning}"
        return case(ROWS[beginning])(function)
    return register


def client(beginning, claim, configuration, node):
    @row(beginning)
    def body(lab):
        lab.guest(lab.board(configuration), ["differences", claim, node]).ok()


SMALL_CHIP = SMALL_NAND.replace("bad_blocks = [1, 5]\n", "")
client("the page cache of mtdblock", "block_at_once", SMALL_NOR, "/dev/mtd3")
client("an eraseblock that is written through", "block_twice", SMALL_NOR.replace("mtdparts", "keep_master = true\nmtdparts"), "/dev/mtd0")
client("an eraseblock of mtdblock that is several", "block_partly_locked", RECORDINGS / "cfi8m_64k_boot/mtdshim.conf", "/dev/mtd0")
client("mmap of mtdblock gives a copy", "block_map", SMALL_NOR, "/dev/mtd1")
client("two opens of mtdblock", "block_oddities", SMALL_NOR, "/dev/mtd1")
client("MEMWRITE with an unknown mode", "memwrite_mode", SMALL_CHIP, "/dev/mtd0")
client("MEMREAD refused with EINVAL", "memread_refused", SMALL_CHIP, "/dev/mtd0")
client("RAW write() of data", "raw_write", SMALL_CHIP, "/dev/mtd0")
client("`freopen` of flash for reading", "freopen_kinds", SMALL_NOR, "/dev/mtd1")
client("`ftw` and `fts` do not see", "walks", SMALL_NOR, "/dev/mtd0")
client("a name in memory that", "given_back", SMALL_NOR, "/dev/mtd0")
row("a CFI chip with Intel commands", by="kernel cfinor: modes")
row("opening, also with O_CREAT,", by="nodes: one without a device, or of a board that cannot be opened, is never the host's and never made")
row("`aio_read` and `aio_write` are done", by="aio: what is written to flash asynchronously is there, and what cannot be done so is refused")
row("what a stream of libc writes", by="streams: what a program writes to an inherited standard output reaches the flash")

CAP_SYS_ADMIN, PR_CAPBSET_DROP = 21, 24


@row("a chip whose size is no multiple")
def odd_sizes(lab):
    board = lab.board('[chip.ram]\ndriver = "mtdram"\nsize = "1000K"\nerasesize = "64K"\n')
    result = lab.guest(board, ["busybox", "cat", "/dev/mtd0"])
    holds(result.status != 0 and "mtdshim.conf:1: chip ram cannot be: " in result.err and "erasesize 65536" in result.err, result.transcript())


@row("an ECC error that mtdblock meets")
def no_read_ahead(lab):
    board = lab.board(SMALL_CHIP)
    lab.make_file("pages", bytes(range(256)) * 8 * 8)
    lab.guest(board, ["nandwrite", "-q", "/dev/mtd1", "pages"]).ok()
    lab.guest(board, ["nandflipbits", "/dev/mtd1", "0@0x2001"]).ok()
    counted = []
    for sector in (0, 0x2000 // 512):
        before = lab.guest(board, ["busybox", "cat", "/sys/class/mtd/mtd1/corrected_bits"]).ok().out
        lab.guest(board, ["busybox", "dd", "if=/dev/mtdblock1", "of=/dev/null", "bs=512", "count=1", f"skip={sector}"]).ok()
        after = lab.guest(board, ["busybox", "cat", "/sys/class/mtd/mtd1/corrected_bits"]).ok().out
        counted.append(int(after) - int(before))
    same(["0", "1"], [str(count) for count in counted], "counted by a read before the error, and by one of it")


@row("BLKPG needs no CAP_SYS_ADMIN")
def without_privilege(lab):
    board = lab.board('[chip.f]\ndriver = "mtdram"\nsize = "1M"\nerasesize = "64K"\n')
    # Whoever has the privilege gives it up; who has not cannot, and need not.
    give_up = ctypes.CDLL(None).prctl
    lab.guest(board, ["differences", "without_privilege", "/dev/mtd0"],
              preexec=lambda: give_up(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0)).ok()


@row("sysfs shows a chip without the key `parent`")
def virtual(lab):
    link = lab.guest(lab.board(SMALL_NOR), ["busybox", "readlink", "/sys/class/mtd/mtd1"]).ok().out
    same("../../devices/virtual/mtd/mtd1\n", link, "where mtd1 is")
    board = lab.board(PARENT_NOR, "with-parent")
    listing = lab.guest(board, ["ls", f"{PARENT}/"]).ok().out.split()
    same(["driver", "mtd", "of_node", "power", "subsystem", "uevent"], listing, "what a parent has")


@row("DISKSEQ counts from 1")
def diskseq(lab):
    board = lab.board(SMALL_NOR)
    texts = [lab.guest(board, ["busybox", "cat", f"/sys/class/block/mtdblock{number}/uevent"]).ok().out for number in range(3)]
    same(["1", "2", "3"], [re.search(r"^DISKSEQ=(\d+)$", text, re.M)[1] for text in texts], "DISKSEQ")


@row("counters and BLKPG partitions last")
def lasting(lab):
    board = lab.board('[chip.f]\ndriver = "nandsim"\nsize = "1M"\nwritesize = 512\noobsize = 16\nerasesize = "16K"\nkeep_master = true\n'
                      'mtdparts = "f:512K(a)"\n')

    def seen():
        listing = lab.guest(board, ["busybox", "cat", "/proc/mtd", "/sys/class/mtd/mtd0/corrected_bits"]).ok().out
        return "mine" in listing, int(listing.splitlines()[-1])

    lab.guest(board, ["mtdpart", "add", "/dev/mtd0", "mine", "0", "0x8000"]).ok()
    lab.guest(board, ["mtd_debug", "erase", "/dev/mtd0", "0", "0x4000"]).ok()
    lab.make_file("page", bytes(range(256)) * 2)
    lab.guest(board, ["nandwrite", "-q", "/dev/mtd0", "page"], stdin=None).ok()
    lab.guest(board, ["nandflipbits", "/dev/mtd0", "0@3"]).ok()
    lab.guest(board, ["nanddump", "-q", "-l", "512", "-f", "read", "/dev/mtd0"])
    partition, corrected = seen()
    holds(partition and corrected > 0, f"partition {partition}, corrected {corrected}")
    same((True, corrected), seen(), "in another run")
    shutil.rmtree(board.file(".mtdshim"))
    same((False, 0), seen(), "after a reboot")


@row("`ulimit -f` limits nothing")
def file_limit(lab):
    board = lab.board(SMALL_NOR + SMALL_CHIP)
    lab.make_file("data", bytes(range(256)) * 800)
    script = ("set -e; ulimit -f 8; [ $(ulimit -f) = unlimited ]; flashcp data /dev/mtd3; nandwrite -qp /dev/mtd5 data; "
              "dd if=data of=/dev/mtdblock2 bs=65536 count=1 2>/dev/null; cat data > plain; cmp data plain; head -c 65536 data | cmp /dev/mtd2")
    for shell in ([SYSROOT / "bin/dash"], ["busybox", "sh"]):
        lab.guest(board, [*shell, "-c", script]).ok()
        lab.guest(board, ["flash_erase", "-q", "/dev/mtd5", "0", "0"]).ok()


row("musl: a standard input that is flash", by="libc: musl-armhf")
row("a program that is stopped (Ctrl-Z)", by="signals: a program that is stopped in the middle of a flash call is no hindrance to others on the chip")
row("`mknod` of flash's numbers", by="nodes: one that a program makes elsewhere leads to our flash, whatever the host would say to mknod")


@case("differences: every row of the README's table is pinned by a case")
def every_row(_lab):
    text = (TOP / "README.md").read_text().split("## Differences from the kernel")[1].split("\n## ")[0]
    rows = [line[2:] for line in text.splitlines() if line.startswith("| ")][1:]
    holds(len(rows) > 5, "the table is not found")
    names = {name for name, _, _ in harness.CASES}
    unpinned = [line for line in rows if not any(line.startswith(beginning) for beginning in ROWS)]
    holds(not unpinned, "no case for:\n" + "\n".join(unpinned))
    stale = [beginning for beginning, name in ROWS.items() if name not in names or not any(line.startswith(beginning) for line in rows)]
    holds(not stale, "no row or no case for:\n" + "\n".join(stale))
