"""The host tool `mtdshim`: runs of ARM programs in its sandbox and without one. What needs no guest is in crates/cli/tests."""
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import boards
from harness import CACHE, HOST_TOOL, LIBRARY, SYSROOT, Failed, Skipped, case, find_program, holds, host_environment, payload, run, same

# A dynamic one names its loader at the start of the file.
STATIC_QEMU = [path for path in sorted(CACHE.glob("qemu/*/usr/bin/qemu-arm")) if b"/ld-linux" not in path.read_bytes()[:4096]]


def tool(lab, *words, stdin=None, env=None):
    if not HOST_TOOL.exists():
        raise Failed(f"{HOST_TOOL} is missing: make lib")
    environment = dict(host_environment(), MTDSHIM_LIBRARY=str(LIBRARY), **(env or {}))
    return run([HOST_TOOL, *words], stdin, lab.work, environment)


def firmware(lab):
    """A small root: busybox, its loader and libraries, the mtd tools."""
    root = lab.directory / "rootfs"
    for name in ("bin", "lib", "usr/lib", "usr/sbin"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for folder in ("lib", "usr/lib"):
        if (SYSROOT / folder).is_dir():
            shutil.copytree(SYSROOT / folder, root / folder, symlinks=True, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("gconv", "udev", "systemd", "locale"))
    shutil.copy(find_program("busybox", SYSROOT)[0], root / "bin/busybox")
    for name in ("flashcp", "flash_erase", "nandwrite"):
        shutil.copy(find_program(name, SYSROOT)[0], root / "usr/sbin" / name)
    for name in ("sh", "cat", "ls", "uname", "dd", "rm", "sleep", "id", "mkdir"):
        (root / "bin" / name).symlink_to("busybox")
    shutil.copytree(SYSROOT / "opt/static", root / "opt/static", symlinks=True)
    (root / "etc").mkdir()
    (root / "etc/version").write_text("1.0\n")
    return root


def tree(root):
    """Every path with its size and time: what must stay as it was."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            status = os.lstat(pathlib.Path(folder, name))
            found[str(pathlib.Path(folder, name).relative_to(root))] = (status.st_size, status.st_mtime_ns)
    return found


def needs_sandbox(lab):
    result = tool(lab, "doctor", "--json")
    checks = {check["what"]: check for check in json.loads(result.out)}
    if checks["sandbox"]["ok"] is False:
        raise Failed(f"this machine allows no sandbox, which is the tool's main job: {checks['sandbox']['found']}")
    return checks


@case("cli: run gives the program's output and exit status, and tells what changed in flash")
def run_changes_flash(lab):
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    lab.make_file("fw.bin", payload()[:100000])
    result = tool(lab, "-b", board.path, "run", "--rootfs", root, "--", "sh", "-c", "flashcp fw.bin /dev/mtd3 && echo flashed; exit 7")
    holds(result.status == 7 and "flashed" in result.out, result.transcript())
    result.says('mtd3 "firmware": 2 blocks erased, 2 blocks written').says("exit status 7")
    image = boards.image(board, "nor")
    holds(image[boards.NOR_FIRMWARE_AT:boards.NOR_FIRMWARE_AT + 100000] == payload()[:100000], "the image does not hold the firmware")


@case("cli: run never touches the root; what the program wrote there is listed")
def run_keeps_root(lab):
    needs_sandbox(lab)
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    before = tree(root)
    script = "echo 2.0 > /etc/version; mkdir /var; echo x > /var/log; rm /bin/dd; cat /etc/version"
    result = tool(lab, "-b", board.path, "run", "--rootfs", root, "--", "/bin/sh", "-c", script).ok()
    same("2.0\n", result.out, "output")
    result.says("/etc/version changed").says("/var/log added").says("/bin/dd removed")
    holds(tree(root) == before, "the root was touched")
    kept = lab.directory / "changes"
    tool(lab, "-b", board.path, "run", "--rootfs", root, "--changes", kept, "--", "/bin/sh", "-c", script).ok()
    same("2.0\n", (kept / "files/etc/version").read_text(), "the kept change")


@case("cli: run starts scripts and static programs of the root as ARM")
def run_children(lab):
    checks = needs_sandbox(lab)
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    script = root / "usr/sbin/update"
    script.write_text("#!/bin/sh -e\necho \"$0 $1\"\nuname -m\n/bin/sh -c 'uname -m'\ncat /proc/mtd\n")
    script.chmod(0o755)
    result = tool(lab, "-b", board.path, "run", "--rootfs", root, "--no-report", "--", "/usr/sbin/update", "now").ok()
    lines = result.out.splitlines()
    same(["/usr/sbin/update now", "armv7l", "armv7l", "dev:    size   erasesize  name"], lines[:4], "output")
    holds(any('"firmware"' in line for line in lines), result.transcript())
    if STATIC_QEMU and checks["sandbox"]["ok"]:
        result = tool(lab, "-b", board.path, "run", "--qemu", STATIC_QEMU[0], "--rootfs", root, "--no-report", "--",
                      "/bin/sh", "-c", "/opt/static/bin/busybox uname -m").ok()
        same("armv7l\n", result.out, "a static child")


@case("cli: run shows flash to ls, and its own processes only")
def run_looks_like_a_device(lab):
    needs_sandbox(lab)
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    result = tool(lab, "-b", board.path, "run", "--rootfs", root, "--no-report", "--", "sh", "-c",
                  "ls /dev; ls /sys/class/mtd; ls /proc | while read n; do case $n in [0-9]*) echo pid $n;; esac; done").ok()
    words = result.out.split()
    holds("mtd0" in words and "mtdblock3" in words and "mtd3ro" in words, result.transcript())
    holds(result.out.count("pid ") < 8, "the host's processes are visible:\n" + result.transcript())


@case("cli: run --fresh and --copy leave the board as it was")
def run_thrown_away(lab):
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    lab.make_file("data", b"mine")
    tool(lab, "-b", board.path, "import", "env", lab.work / "data").ok()
    before = boards.image(board, "nor")
    seen = tool(lab, "-b", board.path, "run", "--rootfs", root, "--copy", "--no-report", "--", "sh", "-c", "dd if=/dev/mtd1 bs=4 count=1 2>/dev/null; flash_erase -q /dev/mtd1 0 0")
    same("mine", seen.ok().out, "what a copy holds")
    seen = tool(lab, "-b", board.path, "run", "--rootfs", root, "--fresh", "--no-report", "--", "sh", "-c", "dd if=/dev/mtd1 bs=4 count=1 2>/dev/null")
    same("\xff" * 4, seen.ok().out, "what a fresh flash holds")
    holds(boards.image(board, "nor") == before, "the board was changed")


@case("cli: diff, log and map know what a run did")
def afterwards(lab):
    board, root = lab.board(boards.SMALL_NAND), firmware(lab)
    lab.make_file("fw.bin", payload()[:5000])
    tool(lab, "-b", board.path, "run", "--rootfs", root, "--", "nandwrite", "-q", "-p", "/dev/mtd1", "fw.bin").ok()
    result = tool(lab, "-b", board.path, "diff", "--since", "last", "--blocks")
    holds(result.status == 1, result.transcript())
    result.says('mtd1 "rootfs": 1 block written').says(f"block 4 at {boards.NAND_ROOTFS_AT:#x}")
    log = tool(lab, "-b", board.path, "log", "--op", "write").ok().out
    holds("0x0..0x1800 (6144 bytes), 3 times" in log, f"the story:\n{log}")
    events = [json.loads(line) for line in tool(lab, "-b", board.path, "--json", "log", "--device", "rootfs").ok().out.splitlines()]
    holds(events and all(event["mtd"] == 1 for event in events), f"filtered: {events[:3]}")
    tool(lab, "-b", board.path, "map", "--since", "last").ok().says("mtd1 rootfs").says("*B..").says("1 block written")


@case("cli: run tells at once what cannot work")
def refusals(lab):
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    start = [*("-b", board.path, "run", "--rootfs", root, "--")]
    tool(lab, *start, "/usr/sbin/nosuch").fails(2).says("not in")
    shutil.copy("/bin/true", root / "bin/foreign")
    tool(lab, *start, "/bin/foreign").fails(2).says("libmtdshim.so is for 32-bit little-endian ARM")
    shutil.copy(root / "bin/busybox", root / "bin/plain")
    (root / "bin/plain").chmod(0o644)
    tool(lab, *start, "/bin/plain").fails(2).says("it is not executable").says("chmod +x")
    tool(lab, *start, "/etc").fails(2).says("/etc: this is a directory")
    tool(lab, *start[:-1], "--library", "/bin/true", "--", "/bin/sh").fails(2).says("/bin/true: this is no library for 32-bit")
    tool(lab, *start[:-1], "--trace", "no/where", "--", "/bin/sh").fails(2).says("no directory no; make it first")
    holds(not (board.path / ".mtdshim/runs").exists(), "a run that could not start was counted")
    for loader in [*root.glob("lib/ld-linux*"), *root.glob("usr/lib/ld-linux*")]:
        loader.unlink()
    tool(lab, *start, "/bin/busybox").fails(2).says("its loader").says("is not in")
    tool(lab, "-b", board.path, "run", "--rootfs", lab.work, "--", "sh").fails(2).says("no firmware's root")


@case("cli: what a run cannot give is told before it begins, and is no run")
def refused_options(lab):
    needs_sandbox(lab)
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    start = ["-b", board.path, "run", "--rootfs", root]
    tool(lab, *start, "--", "true", "x").fails(2)
    tool(lab, *start, "--", "uname").ok()
    for words, reason in ((["--cwd", "/nosuch"], "--cwd /nosuch: there is no such directory"), (["--bind", "/nosuch"], "cannot find /nosuch"),
                          (["--env", "X"], "write NAME=VALUE")):
        tool(lab, *start, *words, "--", "uname").fails(2).says(reason)
    tool(lab, *start, "--no-sandbox", "--cwd", "/etc", "--", "uname").fails(2).says("only a sandbox can do that")
    same(["1"], os.listdir(board.path / ".mtdshim/runs"), "runs")
    same("Linux\n", tool(lab, *start, "--no-report", "--", "bin/uname").ok().out, "a name relative to the root")


@case("cli: run --changes keeps what the program wrote and nothing else")
def only_changes(lab):
    needs_sandbox(lab)
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    kept = lab.directory / "kept"
    tool(lab, "-b", board.path, "run", "--rootfs", root, "--changes", kept, "--", "sh", "-c", "mkdir /var; echo x > /var/log").ok()
    found = sorted(str(path.relative_to(kept)) for path in kept.rglob("*"))
    same(["files", "files/var", "files/var/log"], found, "what was kept")


@case("cli: a program whose reader has gone is ended by SIGPIPE, as anywhere else")
def broken_pipe(lab):
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    environment = dict(host_environment(), MTDSHIM_LIBRARY=str(LIBRARY))
    for more in ([], ["--no-sandbox"]):
        writer = subprocess.Popen([HOST_TOOL, "-b", board.path, "run", *more, "--rootfs", root, "--no-report", "--", "sh", "-c",
                                   "while :; do echo y; done"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=lab.work)
        holds(writer.stdout.read(2) == b"y\n", "no output")
        writer.stdout.close()
        try:
            same(str(128 + signal.SIGPIPE), str(writer.wait(20)), f"status {more}")
        except subprocess.TimeoutExpired:
            writer.kill()
            raise Failed("the program writes for ever") from None


@case("cli: a board that is damaged leaves the program's status as it is, and says what is wrong")
def damaged_board(lab):
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    lab.make_file("x", b"x")
    tool(lab, "-b", board.path, "import", "env", "x").ok()
    board.file("nor.mtdshim").write_bytes(b"garbage" * 1000)
    result = tool(lab, "-b", board.path, "run", "--rootfs", root, "--", "sh", "-c", "cat /proc/mtd; exit 7")
    holds(result.status == 7 and '"env"' in result.out, result.transcript())
    result.says("exit status 7").says("this is not a side file of mtdshim; delete it")


@case("cli: names with blanks, commas, colons and quotes are no trouble to a sandbox")
def odd_names(lab):
    needs_sandbox(lab)
    root = firmware(lab).rename(lab.directory / 'we:ird, r\\o"ot')
    board, kept, temporary = lab.board(boards.SMALL_NOR, "bo:ard, 1"), lab.directory / "ke:pt,", lab.directory / "t:m,p"
    temporary.mkdir()
    result = tool(lab, "-b", board.path, "run", "--rootfs", root, "--changes", kept, "--", "sh", "-c",
                  "flash_erase -q /dev/mtd1 0 1; echo a > /etc/new", env={"TMPDIR": str(temporary)}).ok()
    holds("no sandbox here" not in result.err, result.transcript())
    result.says("bo:ard, 1' diff --since 1").says("/etc/new added")
    same("a\n", (kept / "files/etc/new").read_text(), "what was kept")
    same([], os.listdir(temporary), "left behind")


@case("cli: where namespaces are forbidden, run falls back to plain QEMU and says what is lost")
def forbidden(lab):
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    inside = ("echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" -b \"$1\" run --rootfs \"$2\" --cwd /etc -- "
              "sh -c 'flash_erase -q /dev/mtd1 0 1; exit 4'")
    environment = dict(host_environment(), MTDSHIM_LIBRARY=str(LIBRARY))
    result = run(["unshare", "-Ur", "sh", "-c", inside, HOST_TOOL, board.path, root], None, lab.work, environment)
    holds(result.status == 4, result.transcript())
    result.says("no sandbox here (namespaces").says("writes outside of flash reach the host's files").says("--cwd has no effect here")
    result.says('mtd1 "env": 1 block erased')


class Started:
    """A run that goes on until it is told to end."""
    def __init__(self, lab, seconds, script, *options):
        self.board, self.seconds, self.temporary = lab.board(boards.SMALL_NOR, f"board{seconds}"), seconds, lab.directory / "tmp"
        self.temporary.mkdir(exist_ok=True)
        root = lab.directory / "rootfs"
        environment = dict(host_environment(), MTDSHIM_LIBRARY=str(LIBRARY), TMPDIR=str(self.temporary))
        self.output = lab.directory / f"output{seconds}"
        with open(self.output, "w") as output:
            self.process = subprocess.Popen([HOST_TOOL, "-b", self.board.path, "run", *options, "--rootfs", root, "--", "sh", "-c", script],
                                            stdout=output, stderr=output, env=environment, cwd=lab.work, start_new_session=True)
        self.wait_until(lambda: running(seconds), "the guest did not start")

    @staticmethod
    def wait_until(is_so, failure):
        deadline = time.monotonic() + 20
        while not is_so() and time.monotonic() < deadline:
            time.sleep(0.05)
        holds(is_so(), failure)

    def said(self):
        return self.output.read_text()

    def ended(self):
        status = self.process.wait(20)
        self.wait_until(lambda: not running(self.seconds), "the guest still runs")
        return status


@case("cli: run ended by a signal leaves no process, mount or directory behind")
def interrupted(lab):
    firmware(lab)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        for send in (os.kill, os.killpg):  # to the tool alone, or as `timeout` and a terminal do
            seconds = 3000 + int(number) + (100 if send == os.kill else 0)
            started = Started(lab, seconds, f"exec sleep {seconds}")
            send(started.process.pid, number)
            same(str(128 + int(number)), str(started.ended()), f"status after {number}")
            holds("--- run 1: exit status" in started.said(), started.said())
            same([], os.listdir(started.temporary), "left in the temporary directory")
    holds("mtdshim-run" not in pathlib.Path("/proc/self/mounts").read_text(), "a mount stayed")


@case("cli: a signal that the tool alone is sent reaches the program, which may end as it likes")
def forwarded(lab):
    firmware(lab)
    script = "trap 'echo told; exit 5' INT TERM; sleep {0} & flash_erase -q /dev/mtd1 0 1; echo ready; wait"
    for at, options in enumerate([(), ("--no-sandbox",)]):
        for number in (signal.SIGINT, signal.SIGTERM):
            seconds = 4000 + 100 * at + int(number)
            started = Started(lab, seconds, script.format(seconds), *options)
            started.wait_until(lambda: "ready" in started.said(), "the program is not ready")  # noqa: B023
            started.process.send_signal(number)
            if options:
                same("5", str(started.process.wait(20)), "status")
                end(seconds)  # without a sandbox what the program leaves behind runs on
            else:
                same("5", str(started.ended()), "status")
            said = started.said()
            holds("told" in said and 'mtd1 "env": 1 block erased' in said, said)


@case("cli: a signal that comes twice at once, as `timeout` sends it, is one, and the run still tells what it did")
def timed_out(lab):
    firmware(lab)
    started = Started(lab, 4400, "trap 'echo told' TERM; flash_erase -q /dev/mtd1 0 1; sleep 4400 & echo ready; wait; sleep 0.2; exit 5")
    started.wait_until(lambda: "ready" in started.said(), "the program is not ready")
    started.process.send_signal(signal.SIGTERM)
    os.killpg(started.process.pid, signal.SIGTERM)
    same("5", str(started.ended()), "status")
    said = started.said()
    holds("told" in said and 'mtd1 "env": 1 block erased' in said, said)


@case("cli: a program that does not want to end is ended by the second SIGTERM")
def stubborn(lab):
    firmware(lab)
    started = Started(lab, 4500, "trap 'echo never' TERM; echo ready; while :; do sleep 4500 & wait; done")
    started.wait_until(lambda: "ready" in started.said(), "the program is not ready")
    started.process.send_signal(signal.SIGTERM)
    started.wait_until(lambda: "never" in started.said(), "the program was not told")
    time.sleep(0.6)  # sooner it would be taken for the same one
    started.process.send_signal(signal.SIGTERM)
    holds(started.ended() != 0, "status")


@case("cli: of a tool that was killed nothing runs on, and the next run clears away its directory")
def killed(lab):
    firmware(lab)
    started = Started(lab, 4600, "exec sleep 4600")
    started.process.kill()
    started.ended()
    left = os.listdir(started.temporary)
    mine = [started.temporary / name for name in ("mtdshim-run-latest", ".mtdshim-run-results", "another")]
    for directory in mine:
        directory.mkdir()
    result = tool(lab, "-b", started.board.path, "run", "--rootfs", lab.directory / "rootfs", "--", "uname", env={"TMPDIR": str(started.temporary)})
    result.ok()
    same(sorted(one.name for one in mine), sorted(os.listdir(started.temporary)), f"after the next run; the killed one had left {left}")


@case("cli: two runs at once do not clear away each other's directories")
def two_at_once(lab):
    firmware(lab)
    first = Started(lab, 4700, "echo ready; while [ ! -e /tmp/x ]; do sleep 4700 & wait; done")
    held = os.listdir(first.temporary)
    holds(len(held) == 1, f"{held}")
    second = Started(lab, 4701, "exec sleep 4701")
    holds(set(held) < set(os.listdir(first.temporary)), "the first run's directory is gone")
    for started in (first, second):
        started.process.send_signal(signal.SIGTERM)
        started.ended()
    same([], os.listdir(first.temporary), "left in the temporary directory")


def end(seconds):
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(seconds).encode() in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGKILL)
        except OSError:
            continue


def running(seconds):
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(seconds).encode() in words and b"run" not in words:
            return True
    return False


def as_nobody(lab):
    """What a process does to be somebody without privileges, to whom the case's files belong from now on."""
    nobody = 65534
    for folder, folders, names in os.walk(lab.directory):
        for name in [".", *folders, *names]:
            if os.getuid() == 0:
                os.lchown(pathlib.Path(folder, name), nobody, nobody)

    def become():
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(nobody)
            os.setuid(nobody)
    return become


@case("cli: run needs no privileges")
def unprivileged(lab):
    needs_sandbox(lab)
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    become = as_nobody(lab)
    environment = dict(host_environment(), MTDSHIM_LIBRARY=str(LIBRARY))
    script = "id -u; echo 2.0 > /etc/version; flash_erase -q /dev/mtd1 0 0; mkdir /new"
    result = run([HOST_TOOL, "-b", board.path, "run", "--rootfs", root, "--", "sh", "-c", script], None, lab.work, environment, preexec=become).ok()
    same("0\n", result.out, "who the program is")
    result.says('mtd1 "env": 1 block erased').says("/etc/version changed").says("/new added")
    same("1.0\n", (root / "etc/version").read_text(), "the root")


@case("cli: a root that belongs to somebody else runs in a sandbox too, and a line says what it could not write")
def foreign_root(lab):
    needs_sandbox(lab)
    if os.getuid() != 0:
        raise Skipped("only root can make files of two users")
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    become = as_nobody(lab)
    for folder, _, names in os.walk(root):
        for name in [".", *names]:
            os.lchown(pathlib.Path(folder, name), 0, 0)
    environment = dict(host_environment(), MTDSHIM_LIBRARY=str(LIBRARY))
    script = "flash_erase -q /dev/mtd1 0 0 && echo erased; echo 2.0 > /etc/version || echo refused; mkdir /new && echo made"
    result = run([HOST_TOOL, "-b", board.path, "run", "--rootfs", root, "--", "sh", "-c", script], None, lab.work, environment, preexec=become)
    holds("no sandbox" not in result.err, result.transcript())
    result.says("erased").says("refused").says("made").says("belongs to somebody else")
    same("1.0\n", (root / "etc/version").read_text(), "the root")


@case("cli: an image that the person may not write stays as it is, although the program in the sandbox is root")
def write_protected(lab):
    needs_sandbox(lab)
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    tool(lab, "-b", board.path, "check").ok()
    lab.guest(board, ["flash_erase", "-q", "/dev/mtd1", "0", "1"]).ok()
    image = board.file("nor.bin")
    image.chmod(0o444)
    before = image.read_bytes()
    become = as_nobody(lab)
    environment = dict(host_environment(), MTDSHIM_LIBRARY=str(LIBRARY))
    words = [HOST_TOOL, "-b", board.path, "run", "--rootfs", root, "--", "flash_erase", "-q", "/dev/mtd0", "0", "1"]
    result = run(words, None, lab.work, environment, preexec=become)
    holds(result.status != 0 and "cannot be written, so its flash is read-only" in result.err, result.transcript())
    holds(image.read_bytes() == before, "the image was written")
    result = run([*words[:4], "--copy", *words[4:]], None, lab.work, environment, preexec=become)
    holds(image.read_bytes() == before, "the image was written: " + result.transcript())


@case("cli: without a sandbox, run falls back to plain QEMU with the same flash")
def no_sandbox(lab):
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    result = tool(lab, "-b", board.path, "run", "--no-sandbox", "--rootfs", root, "--", "flash_erase", "-q", "/dev/mtd1", "0", "1").ok()
    result.says('mtd1 "env": 1 block erased')
    result = tool(lab, "-b", board.path, "run", "--no-sandbox", "--no-report", "--rootfs", root, "--", "sh", "-c", "cat /proc/mtd; exit 9")
    holds(result.status == 9 and '"firmware"' in result.out, result.transcript())


@case("cli: a dump is a board for run, made beside it")
def dump_as_flash(lab):
    root = firmware(lab)
    table = b"mtdparts=spi0.0:256k(boot),64k(env),-(fs)\0"
    lab.make_file("dump.bin", table + b"\xff" * ((1 << 20) - len(table)))
    result = tool(lab, "run", "--flash", "dump.bin", "--rootfs", root, "--no-report", "--", "cat", "/proc/mtd").ok()
    holds('mtd2: 000b0000 00010000 "fs"' in result.out, result.transcript())
    holds((lab.work / "dump.bin.board/nor0.bin").read_bytes() == (lab.work / "dump.bin").read_bytes(), "the image is not the dump")


@case("cli: doctor finds QEMU, the sandbox and a library that loads")
def doctor(lab):
    result = tool(lab, "doctor", "--rootfs", SYSROOT).ok()
    holds("NO" not in result.out.split(), result.transcript())
    result.says("loads")
    tool(lab, "doctor", "--qemu", "/bin/true").fails(1).says("QEMU")


@case("cli: ioctls that nobody answered are listed, questions for terminals are not")
def unanswered(lab):
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    script = "busybox hwclock -f /dev/null; busybox stty < /dev/null"
    result = tool(lab, "-b", board.path, "run", "--rootfs", root, "--trace", "trace", "--", "sh", "-c", script)
    result.says("unanswered ioctl: 0x80247009 ('p' 9, reads 36 bytes) on /dev/null, 1 time")
    holds("'T'" not in result.err, result.transcript())
    holds("/dev/null" in (lab.work / "trace").read_text(), "the trace was not copied")


@case("cli: a board that takes no files can be run on, and says what is lost")
def board_without_room(lab):
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    lab.make_file("x", b"x")
    tool(lab, "-b", board.path, "import", "env", lab.work / "x").ok()
    (board.path / ".mtdshim/runs").write_text("in the way")
    result = tool(lab, "-b", board.path, "run", "--rootfs", root, "--", "flash_erase", "-q", "/dev/mtd1", "0", "0").ok()
    result.says("until the end of this run only").says('mtd1 "env": 1 block erased').says("not kept")


@case("cli: a reboot ends the sandbox only, whoever asks for it")
def reboot(lab):
    checks = needs_sandbox(lab)
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    start = ("-b", board.path, "run", "--rootfs", root)
    result = tool(lab, *start, "--", "sh", "-c", "busybox reboot -f; sleep 1; echo alive")
    holds(result.status == 88 and "alive" not in result.out, result.transcript())
    result.says("only the sandbox ended")
    if STATIC_QEMU and checks["sandbox"]["ok"]:
        # A static program reaches the kernel, which knows the sandbox' process namespace.
        result = tool(lab, *start, "--qemu", STATIC_QEMU[0], "--", "/opt/static/bin/busybox", "reboot", "-f")
        holds(result.status == 88, result.transcript())
        result.says("asked for a reboot")


@case("cli: behind chroot and pivot_root flash is there where /.mtdshim was bound, with a static QEMU")
def another_root(lab):
    if not needs_sandbox(lab)["sandbox"]["ok"] or not STATIC_QEMU:
        raise Skipped("no static QEMU, or no sandbox")
    board, root = lab.board(boards.SMALL_NOR), firmware(lab)
    prepare = ("set -e; R=/tmp/r; for d in bin lib usr dev proc old .mtdshim; do mkdir -p $R/$d; done; mount() { busybox mount \"$@\"; }; mount -o bind $R $R; "
               "for d in bin lib usr dev; do mkdir -p $R/$d; mount -o bind /$d $R/$d; done; mount -o rbind /.mtdshim $R/.mtdshim; ")
    for number, leave in enumerate(("busybox chroot $R", "mount -o move /proc $R/proc; cd $R; busybox pivot_root . old; busybox chroot .")):
        words = f"/bin/sh -c 'printf {number}{number} > /dev/mtd{number}; cat /dev/mtd{number} | busybox head -c 2'"
        result = tool(lab, "-b", board.path, "run", "--qemu", STATIC_QEMU[0], "--rootfs", root, "--", "sh", "-c", prepare + f"{leave} {words}").ok()
        same(f"{number}{number}", result.out, result.transcript())
    same(b"0011", boards.image(board, "nor")[0:2] + boards.image(board, "nor")[0x40000:0x40002], "the image")


@case("cli: what a killed `new` or `export` left goes with the next one, and nothing of the person's")
def leftovers(lab):
    board = lab.board(boards.SMALL_NOR)
    lab.guest(board, ["flash_erase", "-q", "/dev/mtd1", "0", "1"]).ok()
    mine, left, kept = lab.work / ".mtdshim-new-mine", lab.work / ".mtdshim-new-aB3dE6", lab.work / ".mtdshim-new-zzzzzz"
    for directory in (mine, left, kept):
        directory.mkdir()
        (directory / "nor0.bin").write_bytes(b"x")
    (lab.work / ".mtdshim-new-f1f2f3").write_bytes(b"half an export")
    held = os.open(kept, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)  # somebody is at work there
        tool(lab, "-b", board.path, "export", "mtd1", "out.bin").ok()
        same([".mtdshim-new-mine", ".mtdshim-new-zzzzzz", "out.bin"], sorted(os.listdir(lab.work)), "beside the export")
    finally:
        os.close(held)
    tool(lab, "new", "made", "--size", "1M").ok()
    same([".mtdshim-new-mine", "made", "out.bin"], sorted(os.listdir(lab.work)), "beside the board")
