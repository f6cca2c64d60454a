"""mtdprobe and norx against what a real kernel answered: same operation, same result, on a fresh board each."""
import re

import conformance
from harness import RECORDINGS, TESTS, Skipped, case, holds, same


# The dd that "modes" starts is busybox' in the recordings, and that of coreutils, which says more, in the root here. A board
# tells once, when it is compiled, what the kernel says in its log.
TALK = re.compile(r"^\d+ bytes copied, |^mtdshim: .*; like the kernel, it is read-only$")


def play(device, theme, program, arguments, recording):
    def body(lab):
        board = lab.board(conformance.configuration(device))
        result = lab.guest(board, [program, conformance.node(device), *arguments], merged=True)
        lines = [line for line in result.out.splitlines() if not TALK.search(line)]
        if result.status:
            lines.append(f"rc={result.status}")
        conformance.compare(device.name, theme, recording.read_text(encoding="latin-1").splitlines(), lines)
    return body


def themes(device):
    """(theme, arguments, recording)"""
    for path in sorted((device / "scenario").glob("*.txt")):
        yield path.stem, [path.stem], path
    for kind in ("random", "wild"):
        for path in sorted((device / kind).glob("seed*.txt"), key=lambda path: int(path.stem[4:])):
            seed = path.stem[4:]
            yield f"{kind}:{seed}", [kind, seed, "300"], path


def by_machine(line):
    """Without what only the recorded machine had: so many block devices before."""
    return re.sub(r"(diskseq: |DISKSEQ=)\d+", r"\1*", line)


def sees(device):
    """The texts of /proc/mtd and sysfs, as a program reads them."""
    def body(lab):
        board = lab.board(conformance.configuration(device))
        listing = lab.guest(board, ["busybox", "cat", "/proc/mtd"]).out.splitlines()
        conformance.compare(device.name, "proc_mtd", (device / "proc_mtd.txt").read_text().splitlines(), listing)
        for path in sorted((device / "sysfs").glob("mtd*.txt")):
            folder = f"/sys/block/{path.stem}" if path.stem.startswith("mtdblock") else f"/sys/class/mtd/{path.stem}"
            recorded = [by_machine(line) for line in path.read_text().splitlines()]
            ours = []
            for line in recorded:
                if line.startswith("->"):
                    ours.append("-> " + lab.guest(board, ["busybox", "readlink", "-f", folder]).out.strip())
                    continue
                name = line.split(":")[0]
                text = lab.guest(board, ["busybox", "cat", f"{folder}/{name}"])
                ours.append(by_machine(f"{name}: " + (text.out + text.err).replace("\n", "|")))
            conformance.compare(device.name, f"sysfs:{path.stem}", recorded, ours)
    return body


def extra(device, name, program, arguments=()):
    recording = device / "extra" / f"{name}.txt"
    if recording.exists():
        case(f"kernel {device.name}: {name}")(play(device, name, program, arguments, recording))


def register():
    for device in conformance.devices():
        for theme, arguments, recording in themes(device):
            case(f"kernel {device.name}: {theme}")(play(device, theme, "mtdprobe", arguments, recording))
        extra(device, "norx_lock", "norx")
        extra(device, "norx_otp", "norx", ["otp"])
        extra(device, "ptrprobe", "ptrprobe")
        extra(device, "blkprobe", "blkprobe")
        extra(device, "blkcache", "blkprobe", ["cache"])
        extra(device, "blkany", "blkprobe", ["any"])
        if (device / "proc_mtd.txt").exists():
            case(f"kernel {device.name}: /proc/mtd and sysfs")(sees(device))


def narrow(lines):
    """What the program without large files can ask at all, without the numbers of the lines: it leaves out offsets that its off_t
    cannot hold."""
    fits = [line for line in lines if not re.search(r"(lseek|pread|pwrite)\((\d+,)?\d{10,}", line)]
    return [re.sub(r"^\d+ ", "", line) for line in fits]


def other_entry_points(device, program, wanted):
    """The same questions through other symbols of libc."""
    def body(lab):
        for theme, arguments, recording in themes(device):
            if not wanted(theme):
                continue
            board = lab.board(conformance.configuration(device), theme.replace(":", "-"))
            result = lab.guest(board, [program, conformance.node(device), *arguments], merged=True)
            ours = [line for line in map(conformance.normal, result.out.splitlines()) if not TALK.search(line)]
            recorded = [conformance.normal(line) for line in recording.read_text(encoding="latin-1").splitlines()]
            if program == "mtdprobe32":
                recorded, ours = narrow(recorded), narrow(ours)
            same(recorded, ours, f"{device.name} {theme}")
    return body


for one in ("nand8m_2k", "mtdram", "spinor"):
    case(f"mtdprobe32 {one}: the 32-bit entry points answer as the 64-bit ones do")(
        other_entry_points(RECORDINGS / one, "mtdprobe32", lambda theme: True))
    case(f"mtdprobe with 64-bit time {one}: the same")(
        other_entry_points(RECORDINGS / one, "mtdprobe-time64", lambda theme: theme in ("info", "misc", "open", "modes", "blk", "wild:1")))


@case("bad pointers: the 32-bit and the 64-bit time entry points answer as recorded")
def pointers(lab):
    for recording in sorted(RECORDINGS.glob("*/extra/ptrprobe.txt")):
        device = recording.parent.parent
        for program in ("ptrprobe32", "ptrprobe-time64"):
            board = lab.board(conformance.configuration(device), f"{device.name}-{program}")
            result = lab.guest(board, [program, conformance.node(device)], merged=True).ok()
            same(recording.read_text().splitlines(), result.out.splitlines(), f"{device.name} {program}")


@case("known differences: every line is still needed", serial=True)
def known_needed(_lab):
    wanted = {(device.name, theme) for device in conformance.devices() for theme, _, _ in themes(device)}
    if not wanted or not wanted <= conformance.COMPARED:
        raise Skipped("only after a full run")
    stale = conformance.KNOWN.unused()
    holds(not stale, f"{TESTS.name}/known-differences.txt: no longer needed: lines {stale}")


register()
