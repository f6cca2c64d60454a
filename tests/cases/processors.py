"""`-cpu`: what the library needs of a processor, and what it says on an older one."""
from boards import SMALL_NOR
from harness import CACHE, TESTS, TOP, case, same

ROOT = CACHE / "roots/glibc-armel"  # Debian's armel programs run on everything from ARMv5T on
CLIENT = ROOT / "bin/mtdprobe"


def prepared(lab):
    lab.host([TESTS / "roots/build", "glibc-armel"], cwd=TOP, seconds=600).ok()


def probe(lab, board, cpu, *words):
    return lab.guest(board, [CLIENT, *words], root=ROOT, options=["-cpu", cpu])


@case("-cpu: ARMv7 is enough, without VFP (cortex-r5) and without NEON", serial=True)
def without_vfp(lab):
    prepared(lab)
    said = {}
    for cpu in ("max", "cortex-r5", "cortex-a8"):
        said[cpu] = probe(lab, lab.board(SMALL_NOR, cpu), cpu, "/dev/mtd3", "info", "rw", "erase").ok().out
    same(said["max"], said["cortex-r5"], "the transcript on a processor without VFP")
    same(said["max"], said["cortex-a8"], "the transcript on a processor with NEON")


@case("-cpu: an older processor is named in one line, and nothing runs", serial=True)
def too_old(lab):
    prepared(lab)
    board = lab.board(SMALL_NOR)
    for cpu in ("arm926", "arm1136", "arm1176", "pxa270"):
        result = probe(lab, board, cpu, "/dev/mtd3", "info").fails(126).says("older than ARMv7").says("leave out -cpu")
        same("", result.out, "what the program printed")
        same("1", str(len(result.err.splitlines())), "lines on stderr")
