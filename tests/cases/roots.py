"""One library under every C library: tests/roots builds the roots and knows the claims; each root is one case here."""
import os

from harness import LIBRARY, TESTS, TOP, Failed, Skipped, case, holds, unavailable

# uClibc-ng has to be compiled; of its three the one with the fewest features is the hardest, the others on demand.
ALWAYS = ["glibc-armhf", "glibc-armel", "glibc231-armhf", "glibc-t64-armhf", "musl-armhf", "musl-sf", "uclibc-lt-notls-sf"]
ON_DEMAND = ["uclibc-nptl-sf", "uclibc-nptl-hf"]
BUILD_SECONDS_MAX, RUN_SECONDS_MAX = 900, 300


# What the scripts that fetch take from whoever runs the tests.
FETCHING = ["MTDSHIM_CACHE", "MTDSHIM_DEBIAN", "MTDSHIM_DEBIAN_KEYRING", "MTDSHIM_FETCH_SECONDS", "http_proxy", "https_proxy", "no_proxy"]


def fetching():
    return {name: os.environ[name] for name in FETCHING if name in os.environ}


def build(lab, name, env):
    """The archive may not serve now what a root is made of: build then ends with 75, and nothing is wrong here."""
    result = lab.host([TESTS / "roots/build", name], cwd=TOP, env=env, seconds=BUILD_SECONDS_MAX)
    if result.status == 75:
        raise Skipped(unavailable(result.err, f"root {name}"))
    if result.status:
        raise Failed(ending(result))


def ending(result):
    return "\n".join((result.out + result.err).splitlines()[-60:])


def root_case(name):
    @case(f"libc: {name}")
    def body(lab):
        holds(LIBRARY.exists(), f"{LIBRARY} is missing: make lib")
        build(lab, name, fetching())
        result = lab.host([TESTS / "roots/table", "--quick", name], cwd=TOP, env=fetching(), seconds=RUN_SECONDS_MAX)
        if result.status:
            raise Failed(ending(result))


for one in ALWAYS + (ON_DEMAND if os.environ.get("MTDSHIM_ALL_ROOTS") else []):
    root_case(one)
