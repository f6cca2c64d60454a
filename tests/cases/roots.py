"""One library under every C library: tests/roots builds the roots and knows the claims; each root is one case here."""
import os

from harness import LIBRARY, TESTS, TOP, Failed, case, holds

# uClibc-ng has to be compiled; of its three the one with the fewest features is the hardest, the others on demand.
ALWAYS = ["glibc-armhf", "glibc-armel", "glibc231-armhf", "glibc-t64-armhf", "musl-armhf", "musl-sf", "uclibc-lt-notls-sf"]
ON_DEMAND = ["uclibc-nptl-sf", "uclibc-nptl-hf"]
BUILD_SECONDS_MAX, RUN_SECONDS_MAX = 600, 300


def root_case(name):
    @case(f"libc: {name}")
    def body(lab):
        holds(LIBRARY.exists(), f"{LIBRARY} is missing: make lib")
        for command, seconds in ((["build", name], BUILD_SECONDS_MAX), (["table", "--quick", name], RUN_SECONDS_MAX)):
            result = lab.host([TESTS / "roots" / command[0], *command[1:]], cwd=TOP, seconds=seconds)
            if result.status:
                raise Failed("\n".join((result.out + result.err).splitlines()[-60:]))


for one in ALWAYS + (ON_DEMAND if os.environ.get("MTDSHIM_ALL_ROOTS") else []):
    root_case(one)
