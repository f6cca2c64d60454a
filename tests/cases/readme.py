"""README's session with the host tool, typed again: every line is what the tools print."""
import re
import shutil

from cases.cli import firmware, needs_sandbox
from harness import HOST_TOOL, LIBRARY, TOP, case, holds, host_environment, payload, run, same

# What differs from run to run: a trace's times and processes.
MOVING = re.compile(r"^ +\d+\.\d{3} +\d+  ")


def session():
    """(command, lines it prints), in order."""
    text = (TOP / "README.md").read_text().split("A session:\n")[1].split("\nThe same as a picture")[0]
    steps = []
    for line in text.splitlines():
        line = line[4:]
        if line.startswith("$ "):
            steps.append((line[2:], []))
        elif steps:
            steps[-1][1].append(line)
    return steps


def moved(lines):
    return [MOVING.sub("TIME PROCESS  ", line).rstrip() for line in lines]


@case("readme: the session with the host tool is what the tools print")
def replayed(lab):
    needs_sandbox(lab)
    steps = session()
    holds(len(steps) > 8, f"the session was not found: {steps}")
    shutil.move(firmware(lab), lab.work / "squashfs-root")
    (lab.work / "firmware.bin").write_bytes(payload()[:108894])
    environment = host_environment()
    environment |= {"MTDSHIM_LIBRARY": str(LIBRARY), "PATH": f"{HOST_TOOL.parent}:{environment['PATH']}"}
    for command, expected in steps:
        result = run(["sh", "-c", f"({command}) 2>&1"], None, lab.work, environment)
        while expected and not expected[-1]:
            expected.pop()
        same(moved(expected), moved(result.out.rstrip().splitlines()), f"$ {command}")
