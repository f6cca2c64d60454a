"""The black-box test harness: cases, boards, guests, comparison.

A case is a function that gets a Lab: a fresh directory of its own, boards in it, and guest programs run under qemu-arm with
the library preloaded. Cases share nothing, so any number may run at once. Knows nothing of what is tested.
"""
import difflib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
TESTS = TOP / "tests"
CACHE = pathlib.Path(os.environ.get("MTDSHIM_CACHE", TOP / ".cache"))
SYSROOT = CACHE / "sysroot-armhf"
CLIENTS = CACHE / "clients"
RECORDINGS = TESTS / "recordings"
LIBRARY = pathlib.Path(os.environ.get("MTDSHIM_LIBRARY", TOP / "target/libmtdshim.so"))
HOST_TOOL = pathlib.Path(os.environ.get("MTDSHIM_TOOL", TOP / "target/mtdshim"))
GUEST_SECONDS_MAX = 120


class Failed(Exception):
    """A claim did not hold; the text says which, with a diff where one helps."""


class Skipped(Exception):
    """The case cannot run here; the text says why."""


def unavailable(text, otherwise):
    """The reason that a script of tools/ gave for its status 75: the last of its lines "UNAVAILABLE: ..."."""
    lines = [line for line in text.splitlines() if line.startswith("UNAVAILABLE: ")]
    return "not to be had now: " + (lines[-1].removeprefix("UNAVAILABLE: ") if lines else otherwise)


def want(thing, path, command):
    """Skips where tools/test noted that a registry does not serve the optional thing now; fails where it just is not there."""
    note = CACHE / "unavailable" / thing
    if not path.exists() and note.exists():
        raise Skipped(unavailable(note.read_text(), thing))
    holds(path.exists(), f"{path} is missing: {command}")


CASES = []


def case(name, serial=False):
    """Registers a function as a case. A serial case runs alone: it uses all cores, or measures."""
    def register(function):
        CASES.append((name, function, serial))
        return function
    return register


class Result:
    """What a program said: text (latin-1, so that every byte survives) and exit status as a shell reports it."""

    def __init__(self, command, out, err, status):
        self.command, self.out, self.err, self.status = command, out, err, status

    def transcript(self):
        lines = [f"$ {' '.join(map(str, self.command))}"]
        lines += ["O: " + line for line in self.out.splitlines()] + ["E: " + line for line in self.err.splitlines()]
        return "\n".join(lines + [f"rc={self.status}"])

    def ok(self):
        """Itself, if the program succeeded."""
        if self.status != 0:
            raise Failed("expected success:\n" + self.transcript())
        return self

    def fails(self, status=None):
        """Itself, if the program failed of its own will: death by a signal is never a proper refusal."""
        if self.status == 0 or self.status >= 128 or (status is not None and self.status != status):
            raise Failed(f"expected {'failure' if status is None else f'rc={status}'}:\n" + self.transcript())
        return self

    def says(self, text):
        if text not in self.out + self.err:
            raise Failed(f"expected the words '{text}':\n" + self.transcript())
        return self


def run(command, stdin=None, cwd=None, env=None, seconds=GUEST_SECONDS_MAX, preexec=None, merged=False):
    """stdin: None for nothing, bytes, or a path. A program that hangs is killed with all it started.
    merged: the messages stand among the output, in their order."""
    source = subprocess.DEVNULL
    if isinstance(stdin, bytes):
        source = subprocess.PIPE
    elif stdin is not None:
        source = open(stdin, "rb")
    words = [str(word) for word in command]
    process = subprocess.Popen(words, stdin=source, stdout=subprocess.PIPE, cwd=cwd, env=env,
                               stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                               start_new_session=True, preexec_fn=preexec)
    if source not in (subprocess.DEVNULL, subprocess.PIPE):
        source.close()
    try:
        out, err = process.communicate(stdin if isinstance(stdin, bytes) else None, timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        err = (err or b"") + f"\n[harness] killed after {seconds} s\n".encode()
    status = process.returncode
    return Result(command, out.decode("latin-1"), (err or b"").decode("latin-1"), status if status >= 0 else 128 - status)


class Board:
    """A directory with an mtdshim.conf: what MTDSHIM names."""

    def __init__(self, path):
        self.path = path

    def file(self, name):
        return self.path / name


class Lab:
    """What one case works with."""

    def __init__(self, directory):
        self.directory = directory
        self.work = directory / "work"  # the guest's working directory
        self.work.mkdir()

    def board(self, configuration, name="board"):
        """configuration: the text, or the path of a file with it."""
        path = self.directory / name
        path.mkdir()
        text = configuration.read_text() if isinstance(configuration, pathlib.Path) else configuration
        (path / "mtdshim.conf").write_text(text)
        return Board(path)

    def guest(self, board, command, stdin=None, env=None, root=SYSROOT, preload=LIBRARY, seconds=GUEST_SECONDS_MAX,
              options=(), preexec=None, merged=False):
        """Runs an ARM program under qemu-arm. board None: without the library."""
        if board is not None and preload == LIBRARY and not LIBRARY.exists():
            # The loader would only warn, and the program would then work on the host's own /dev.
            raise Failed(f"{LIBRARY} is missing: make lib")
        qemu = ["qemu-arm", "-L", root, *options]
        if board is not None:
            qemu += ["-E", f"LD_PRELOAD={preload}", "-E", f"MTDSHIM={board.path}"]
        for key, value in (env or {}).items():
            qemu += ["-E", f"{key}={value}"]
        # The program's name as a shell would give it, not as a path of this machine: tools print it.
        program = find_program(command[0], root)
        qemu += ["-0", pathlib.Path(program[0]).name]
        result = run([*qemu, *program, *command[1:]], stdin, self.work, host_environment(), seconds, preexec, merged)
        result.command = list(command)
        if "cannot be preloaded" in result.err and "wrong ELF class" not in result.err:  # the latter is a child: a host program
            raise Failed("the guest ran without the library:\n" + result.transcript())
        return result

    def host(self, command, stdin=None, env=None, seconds=GUEST_SECONDS_MAX, cwd=None):
        return run(command, stdin, cwd or self.work, dict(host_environment(), **(env or {})), seconds)

    def make_file(self, name, data):
        path = self.work / name
        path.write_bytes(data)
        return path


def host_environment():
    """What a guest inherits: nothing that depends on who runs the tests."""
    keep = {key: os.environ[key] for key in ("PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "TMPDIR") if key in os.environ}
    return dict(keep, LC_ALL="C", TERM="dumb", PATH=f"{CACHE / 'host/bin'}:{os.environ.get('PATH', '')}")


def find_program(name, root):
    """Own test programs first, then the root's, then busybox's applets."""
    if "/" in str(name):
        return [name]
    for folder in (CLIENTS, root / "usr/sbin", root / "usr/bin", root / "sbin", root / "bin"):
        if (folder / name).exists():
            return [folder / name]
    return [root / "bin/busybox", name]


def same(expected, actual, what):
    """Fails with a unified diff. Both are texts, lists of lines, or bytes."""
    left, right = (value.splitlines() if isinstance(value, str) else list(value) for value in (expected, actual))
    if left != right:
        raise Failed(f"{what} differs:\n" + diff(shown(expected, left), shown(actual, right)))


def shown(value, items):
    if isinstance(value, bytes):
        return [value[at:at + 32].hex(" ") for at in range(0, len(value), 32)]
    return [item if isinstance(item, str) else repr(item) for item in items]


def diff(left, right, lines_max=60):
    text = list(difflib.unified_diff(left, right, "expected", "actual", lineterm="", n=2))
    if len(text) > lines_max:
        text = text[:lines_max] + [f"... {len(text) - lines_max} more lines"]
    return "\n".join(text)


def holds(claim, text):
    if not claim:
        raise Failed(text)


def payload():
    """630000 bytes that no flash is likely to hold by accident; the recordings' tools wrote pieces of it."""
    return (RECORDINGS / "payload.txt").read_bytes()


class Directory:
    """A case's directory: removed afterwards unless it is to be kept."""

    def __init__(self, keep):
        self.keep = keep

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="mtdshim-test-", dir=self.keep))
        return self.path

    def __exit__(self, *_):
        if not self.keep:
            for folder, _, _ in os.walk(self.path):
                os.chmod(folder, 0o700)
            shutil.rmtree(self.path, ignore_errors=True)
