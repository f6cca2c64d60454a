"""`-cpu`: what the library needs of a processor, and what it says on an older one."""
import random

from boards import SMALL_NOR
from harness import CACHE, TESTS, TOP, case, holds, same

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


@case("-cpu: software Hamming is the same with NEON and without, on pages of every size")
def hamming(lab):
    payload_file(lab)
    for page, spare in ((512, 16), (2048, 64), (4096, 128)):
        chip = f'[chip.n]\ntype = "nand"\nsize = "4M"\nerasesize = "{page // 16}K"\nwritesize = {page}\noobsize = {spare}\necc = "hamming"\n'
        codes = {}
        for cpu in ("max", "max,neon=off"):
            board = lab.board(chip, f"{cpu[-3:]}-{page}")
            lab.guest(board, ["nandwrite", "-q", "-p", "/dev/mtd0", "data"], options=["-cpu", cpu]).ok()
            codes[cpu] = board.file("n.oob").read_bytes()
            lab.guest(board, ["nanddump", "-q", "-f", f"back-{cpu}", "/dev/mtd0"], options=["-cpu", cpu]).ok()
            back = (lab.work / f"back-{cpu}").read_bytes()
            same(DATA, back[:len(DATA)], "the data read back")
        holds(codes["max"] == codes["max,neon=off"], f"the spare areas differ on pages of {page} bytes")
        holds(len(set(codes["max"])) > 30, f"only {len(set(codes['max']))} different bytes are in the spare areas")


# Whatever a step may be: random, with one bit set, all zeros or ones but for one byte.
DATA = (random.Random(3).randbytes(40000) + b"".join((1 << bit).to_bytes(256, "little") for bit in range(0, 2048, 19))
        + bytes(4096) + b"\xff" * 5000 + b"\0" + b"\xff" * 5000)


def payload_file(lab):
    (lab.work / "data").write_bytes(DATA)
