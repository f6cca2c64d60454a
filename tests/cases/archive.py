"""A Debian mirror in the middle of its own update: what tools/debian.sh still gets from it, what it refuses, how it gives up.

The mirror is a server on 127.0.0.1 with the small signed archive of tests/archive and one fault."""
import contextlib
import http.server
import threading
import time

from cases import roots
from harness import TESTS, TOP, Failed, Skipped, case, holds

ARCHIVE = TESTS / "archive"
CODENAME, ALIAS = "bookworm", "oldstable"
GIVEN_UP = 75
SECONDS_MAX = 60


def state(name, folder):
    """What a mirror has below dists/NAME: the suite as it was on the day of old or new."""
    files = {f"dists/{name}/InRelease": (ARCHIVE / folder / "InRelease").read_bytes()}
    for path in (ARCHIVE / folder).glob("Packages.*"):
        files[f"dists/{name}/main/binary-armhf/{path.name}"] = path.read_bytes()
    return files


def pool():
    return {f"pool/{path.name}": path.read_bytes() for path in (ARCHIVE / "pool").iterdir()}


class Mirror:
    """files: path -> bytes, or a function of how often it was asked for before; None is 404. Other paths are 404, too."""

    def __init__(self, files):
        self.files, self.asked, self.lock = files, {}, threading.Lock()

    def answer(self, path):
        with self.lock:
            before = self.asked.get(path, 0)
            self.asked[path] = before + 1
        found = self.files.get(path)
        return found(before) if callable(found) else found


@contextlib.contextmanager
def served(files):
    mirror = Mirror(files)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = mirror.answer(self.path.removeprefix("/debian/"))
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a client that is ended hangs up
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/debian", mirror
    finally:
        server.shutdown()
        server.server_close()


def environment(lab, address):
    return {"MTDSHIM_CACHE": str(lab.directory / "cache"), "MTDSHIM_DEBIAN": address, "MTDSHIM_DEBIAN_KEYRING": str(ARCHIVE / "key.asc"),
            "MTDSHIM_FETCH_SECONDS": "20", "no_proxy": "127.0.0.1"}


def ask(lab, address, *packages, setting="fetch_pauses=()"):
    """`debs` of tools/debian.sh, with one round of attempts unless the setting says otherwise."""
    script = f'. tools/lib.sh; . tools/debian.sh; {setting}; debs {CODENAME} armhf "$@"'
    return lab.host(["bash", "-c", script, "debs", *packages], env=environment(lab, address), cwd=TOP, seconds=SECONDS_MAX)


def debs(lab, files, *packages, **setting):
    with served(files) as (address, _):
        return ask(lab, address, *packages, **setting)


def names(result):
    return [line.rsplit("/", 1)[1] for line in result.ok().out.splitlines()]


def gives_up(result, reason):
    holds(result.status == GIVEN_UP, f"expected rc={GIVEN_UP}:\n{result.transcript()}")
    last = [line for line in result.err.splitlines() if line.startswith("UNAVAILABLE: ")][-1:]
    holds(last and reason in last[0], f"the last reason does not name '{reason}':\n{result.transcript()}")


HALF_UPDATED = {**state(CODENAME, "old"), f"dists/{CODENAME}/InRelease": (ARCHIVE / "new/InRelease").read_bytes()}


@case("mirror: a whole one serves the newest")
def whole(lab):
    holds(names(debs(lab, {**state(CODENAME, "new"), **pool()}, "libc6", "libc6-dev")) == ["libc6_2_armhf.deb", "libc6-dev_2_armhf.deb"], "other archives")


@case("mirror: Release newer than the package lists: the suite's alias is read")
def alias(lab):
    result = debs(lab, {**HALF_UPDATED, **state(ALIAS, "old"), **pool()}, "libc6")
    holds(names(result) == ["libc6_1_armhf.deb"], result.transcript())
    result.says(f"read as {ALIAS}")


@case("mirror: Release newer than one compression of the package lists: another is read")
def compression(lab):
    gz = "main/binary-armhf/Packages.gz"
    files = {**HALF_UPDATED, f"dists/{CODENAME}/{gz}": (ARCHIVE / "new/Packages.gz").read_bytes(), **pool()}
    holds(names(debs(lab, files, "libc6")) == ["libc6_2_armhf.deb"], "another archive")


@case("mirror: an alias that stands for another suite is not taken")
def wrong_alias(lab):
    other = (ARCHIVE / "other/InRelease").read_bytes()
    gives_up(debs(lab, {**HALF_UPDATED, **state(ALIAS, "old"), f"dists/{ALIAS}/InRelease": other, **pool()}, "libc6"),
             f"package lists of {CODENAME} armhf")


@case("mirror: an alias that moves to another suite between two looks is not taken")
def moving_alias(lab):
    first, then = (ARCHIVE / "old/InRelease").read_bytes(), (ARCHIVE / "other/InRelease").read_bytes()
    files = {**HALF_UPDATED, **state(ALIAS, "old"), f"dists/{ALIAS}/InRelease": lambda before: then if before else first, **pool()}
    result = debs(lab, files, "libc6")
    gives_up(result, f"package lists of {CODENAME} armhf")
    result.says(f"{ALIAS} is not {CODENAME}")


@case("mirror: package lists that nobody signed are never used")
def unsigned(lab):
    forged = (ARCHIVE / "old/InRelease").read_bytes().replace(b"Label: Tests", b"Label: Tasks")
    files = {**state(CODENAME, "old"), **state(ALIAS, "old"), **pool()}
    files.update({f"dists/{name}/InRelease": forged for name in (CODENAME, ALIAS)})
    gives_up(debs(lab, files, "libc6"), f"package lists of {CODENAME} armhf")


@case("mirror: what the machine's own apt has read serves when the mirror has no whole lists")
def machine(lab):
    lists = lab.directory / "lists"
    lists.mkdir()
    with served({**HALF_UPDATED, **pool()}) as (address, _):
        prefix = f"{address.removeprefix('http://').replace('/', '_')}_dists_{CODENAME}_"
        (lists / f"{prefix}InRelease").write_bytes((ARCHIVE / "old/InRelease").read_bytes())
        (lists / f"{prefix}main_binary-armhf_Packages.xz").write_bytes((ARCHIVE / "old/Packages.xz").read_bytes())
        result = ask(lab, address, "libc6", setting=f"fetch_pauses=(); machine_lists={lists}")
    holds(names(result) == ["libc6_1_armhf.deb"], result.transcript())


@case("mirror: lists read earlier serve when they can no longer be read")
def earlier(lab):
    with served({**state(CODENAME, "old"), **pool()}) as (address, mirror):
        ask(lab, address, "libc6").ok()
        body = pool()["pool/libc6-dev_1_armhf.deb"]
        mirror.files.update({**HALF_UPDATED, "pool/libc6-dev_1_armhf.deb": lambda before: body if before else None})
        result = ask(lab, address, "libc6", "libc6-dev")
    holds(names(result) == ["libc6_1_armhf.deb", "libc6-dev_1_armhf.deb"], "other archives")
    result.says("going on with those that were read before")


@case("mirror: an archive that the lists read earlier name is gone: they are read again")
def moved_on(lab):
    with served({**state(CODENAME, "old"), **pool()}) as (address, mirror):
        ask(lab, address, "libc6").ok()
        mirror.files.update({**state(CODENAME, "new"), "pool/libc6-dev_1_armhf.deb": None})
        holds(names(ask(lab, address, "libc6-dev")) == ["libc6-dev_2_armhf.deb"], "another archive")


@case("mirror: a truncated archive is fetched again and never kept")
def truncated(lab):
    body = pool()["pool/libc6_2_armhf.deb"]
    files = {**state(CODENAME, "new"), **pool(), "pool/libc6_2_armhf.deb": lambda before: body if before else body[:100]}
    path = debs(lab, files, "libc6", setting="fetch_pauses=(1)").ok().out.strip()
    with open(path, "rb") as file:
        holds(file.read() == body, "not what the archive has")


@case("mirror: an archive that is missing is named; the others are kept")
def missing(lab):
    files = {**state(CODENAME, "new"), **pool(), "pool/libc6-dev_2_armhf.deb": None}
    gives_up(debs(lab, files, "libc6", "libc6-dev"), "libc6-dev_2_armhf.deb")
    kept = [path.name for path in (lab.directory / "cache/debian/debs").rglob("*.deb")]
    holds(kept == ["libc6_2_armhf.deb"], f"kept: {kept}")


@case("mirror: whole again after a while")
def recovers(lab):
    files = {path: lambda before, body=body: body if before > 1 else None for path, body in state(CODENAME, "new").items()}
    holds(names(debs(lab, {**files, **pool()}, "libc6", setting="fetch_pauses=(1 1)")) == ["libc6_2_armhf.deb"], "another archive")


@case("mirror: one that never answers is given up")
def silent(lab):
    files = {**state(CODENAME, "new"), f"dists/{CODENAME}/InRelease": lambda _: time.sleep(SECONDS_MAX)}
    start = time.monotonic()
    gives_up(debs(lab, files, "libc6", setting="fetch_pauses=() fetch_stall=2"), f"package lists of {CODENAME} armhf")
    holds(time.monotonic() - start < SECONDS_MAX / 2, "it took too long")


@case("mirror: a package that no whole list has is an error, not a fault of the mirror")
def wrong_name(lab):
    debs(lab, {**state(CODENAME, "new"), **pool()}, "no-such-package").fails(1).says("no-such-package")


@case("mirror: a root that it does not serve now is a case skipped with the reason")
def root_skipped(lab):
    with served({}) as (address, _):
        try:
            roots.build(lab, "glibc-armhf", dict(environment(lab, address), MTDSHIM_FETCH_SECONDS="1"))
        except Skipped as reason:
            holds("package lists of bookworm armhf" in str(reason), f"the reason: {reason}")
            return
    raise Failed("the case would not have been skipped")


@case("mirror: a root that does not build is a case failed, not skipped")
def root_failed(lab):
    with served({**state(CODENAME, "new"), **pool()}) as (address, _):
        try:
            roots.build(lab, "glibc-armhf", environment(lab, address))
        except Failed as failure:
            holds("link glibc-armhf" in str(failure), f"failed elsewhere: {failure}")
            return
    raise Failed("a C library without anything in it was taken")
