"""Recordings of real kernels, and what may differ from them. Used by cases/conformance.py and cases/utils.py."""
import difflib
import os
import re

from harness import RECORDINGS, TESTS, Failed, diff


def configuration(device):
    """The recorded device as a board of ours."""
    return device / "mtdshim.conf"


def devices():
    """Every recorded device that has a configuration for us."""
    return sorted(path.parent for path in RECORDINGS.glob("*/mtdshim.conf"))


def node(device):
    """The node that the recorded programs were given."""
    for line in (device / "device.txt").read_text().splitlines():
        if line.startswith("node:"):
            return line.split()[1]
    return "/dev/mtd0"


class Known:
    """tests/known-differences.txt: `DEVICE THEME REGULAR-EXPRESSION   # reason`. A differing line is allowed where it matches;
    DEVICE and THEME are regular expressions too. An entry that no line needs any more is itself a failure."""

    def __init__(self, path=TESTS / "known-differences.txt"):
        self.entries, self.used = [], set()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            text, _, reason = line.partition("   # ")
            if not text.strip() or text.startswith("#"):
                continue
            device, theme, expression = text.strip().split(None, 2)
            assert reason.strip(), f"{path}:{number}: a known difference needs a reason"
            ends = expression.startswith(">>")
            self.entries.append((number, re.compile(device), re.compile(theme), re.compile(expression.removeprefix(">>")), ends))

    def allows(self, device, theme, line):
        return self._matching(device, theme, line, ends=False)

    def ends(self, device, theme, line):
        """From this line on the contents of the two flashes have parted."""
        return self._matching(device, theme, line, ends=True)

    def _matching(self, device, theme, line, ends):
        for number, of_device, of_theme, expression, entry_ends in self.entries:
            if entry_ends == ends and of_device.fullmatch(device) and of_theme.fullmatch(theme) and expression.search(line):
                self.used.add(number)
                return True
        return False

    def unused(self):
        return [number for number, *_ in self.entries if number not in self.used]


KNOWN = Known()
COMPARED = set()


def normal(line):
    """What depends on the machine, not on the driver: who runs the test, the recorder's scratch folder."""
    if os.geteuid() != 0:
        line = re.sub(r"\buid=\d+ gid=\d+", "uid=* gid=*", line)
    return line.replace("/tmp/", "").rstrip()


def compare(device, theme, recorded, ours):
    """Fails where a line differs that is not a known difference."""
    COMPARED.add((device, theme))
    left, right = [normal(line) for line in recorded], [normal(line) for line in ours]
    unexpected = 0
    for kind, a_from, a_to, b_from, b_to in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind != "equal":
            if any(KNOWN.ends(device, theme, line) for line in left[a_from:a_to]):
                break
            verdicts = [KNOWN.allows(device, theme, line) for line in left[a_from:a_to] + right[b_from:b_to]]
            unexpected += verdicts.count(False)
    if unexpected:
        raise Failed(f"{device} {theme}: {unexpected} lines differ from the real kernel\n" + diff(left, right))
