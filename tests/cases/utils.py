"""Debian's mtd-utils and busybox' dd, replayed from the recordings: same output, same exit status.

All tools of a recording ran one after another on one device, so they are replayed that way, on one board."""
import re
import shlex

import conformance
from harness import SYSROOT, Failed, case, payload

# "ubi" needs the kernel's UBI; the others follow in the order in which they were recorded.
ORDER_BEFORE_1 = ("mtdinfo flash_erase nandutils nandwrite nanddump nand_oob nandtest flashcp mtd_debug flash_lock flash_otp "
                  "mtdpart ftl dd").split()
NOT_REPLAYED = {"ubi", "flash_otp_lock_y"}
BUSYBOX = {"cat", "cmp", "dd", "md5sum", "hexdump", "head", "ls"}


def order(device):
    listed = device / "utils/order.txt"
    names = listed.read_text().split() if listed.exists() else list(ORDER_BEFORE_1)
    if "nandutils" in names and (device / "utils/nandutils").exists():
        names.remove("dd")
        names.insert(names.index("nandutils") + 1, "dd")  # as the two recordings that have it were made
    return [name for name in names if name not in NOT_REPLAYED and (device / "utils" / name).exists()]


def geometry(device):
    values = {}
    for line in (device / "sysfs" / f"{conformance.node(device)[5:]}.txt").read_text().splitlines():
        key, _, value = line.partition(": ")
        values[key] = value.rstrip("|")
    return int(values["writesize"]), int(values["erasesize"]), int(values["oobsize"])


def inputs(lab, writesize, erasesize):
    data = payload()
    for name, count in {"p300k": 300000, "pblk": erasesize, "p3": 3 * writesize if writesize > 1 else 1000, "p5": 5, "p16": 16, "p300": 300}.items():
        lab.make_file(name, data[:count])
    lab.make_file("yes", b"y\n")
    lab.make_file("y", b"y\n")


def command_of(line, node):
    """The words and the input file of a `$ command` line."""
    text = line[2:].replace("/tmp/", "").replace(" (after lock)", "").replace(" M ", f" {node} ")
    words, source = shlex.split(text), None
    if "<" in words:
        source = words[words.index("<") + 1]
        words = words[:words.index("<")]
    return words, source


# flash_eraseall is a shell script around flash_erase; qemu-arm runs no scripts.
SCRIPT_SAYS = ["E: flash_eraseall has been replaced by `flash_erase <mtddev> 0 0`; please use it"]


def equivalent(words):
    return ["flash_erase", *words[1:], "0", "0"] if words[0] == "flash_eraseall" else words


def readable(text, writesize):
    """A transcript's text with what the recorders and the tools themselves leave to chance taken out."""
    text = text.replace("\r", "\n")
    # The first recorder did not end a line that the tool had left open.
    text = re.sub(r"(?m)^(O: .*% complete ?)((?:E: |rc=).*)$", r"\1\n\2", text)
    if writesize == 1:
        # With pages of one byte nanddump prints 15 bytes of its own memory behind each byte of flash.
        text = re.sub(r"(?m)^(O: 0x[0-9a-f]{8}: ..) .*$", r"\1", text)
    return text.splitlines()


def lines_of(result):
    lines = ["O: " + line for line in result.out.replace("\r", "\n").split("\n")] if result.out else []
    if lines and lines[-1] == "O: ":
        lines.pop()
    errors = ["E: " + line for line in result.err.replace("\r", "\n").split("\n")] if result.err else []
    if errors and errors[-1] == "E: ":
        errors.pop()
    return lines + errors + [f"rc={result.status}"]


def replay(device):
    def body(lab):
        board = lab.board(conformance.configuration(device))
        node = conformance.node(device)
        writesize, erasesize, oobsize = geometry(device)
        inputs(lab, writesize, erasesize)
        failures = []
        for name in order(device):
            recorded = readable((device / "utils" / name).read_text(encoding="latin-1"), writesize)
            ours = []
            if name == "nand_oob" and not (device / "utils/order.txt").exists():
                # The first recorder made this input without writing its command down.
                lab.guest(board, ["nanddump", "-q", "-o", "-l", 2 * erasesize, "-f", "wo", node])
            for line in recorded:
                if line.startswith("$ "):
                    words, source = command_of(line, node)
                    if words[0] in BUSYBOX:
                        words = [SYSROOT / "bin/busybox", *words]
                    result = lab.guest(board, equivalent(words), stdin=lab.work / source if source else None)
                    ours += [line] + (SCRIPT_SAYS if words[0] == "flash_eraseall" else []) + lines_of(result)
            ours = readable("\n".join(ours), writesize)
            try:
                conformance.compare(device.name, f"u:{name}", recorded, ours)
            except Failed as failure:
                failures.append(str(failure))
        if failures:
            raise Failed("\n".join(failures))
    return body


for one in conformance.devices():
    if (one / "utils").is_dir() and order(one):
        case(f"tools {one.name}: mtd-utils")(replay(one))
