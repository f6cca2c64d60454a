"""Short runs of the fuzzers in fuzz/: every reader of bytes that somebody else wrote. `fuzz/run` is the long run."""
import re

from harness import TOP, case, holds, want

BINARIES = TOP / "target/fuzz/release"
SECONDS = 3
TARGETS = sorted(path.stem for path in (TOP / "fuzz/fuzz_targets").glob("*.rs"))


def register(target):
    @case(f"fuzz: {target}")
    def short_run(lab):
        program = BINARIES / target
        want("fuzzers", program, "tools/fuzz")
        corpus = TOP / "fuzz/corpus" / target
        holds(any(corpus.iterdir()), "no corpus")
        learned = lab.directory / "learned"
        learned.mkdir()
        result = lab.host([program, f"-max_total_time={SECONDS}", "-max_len=4096", "-timeout=20", learned, corpus])
        found = re.search(r"panicked at .*\n.*", result.err)
        holds(result.status == 0, f"{found.group() if found else ''}\n" + "\n".join(result.err.splitlines()[-30:]))
        runs = re.search(r"Done (\d+) runs", result.err)
        holds(runs and int(runs.group(1)) > 100, "hardly anything was tried:\n" + result.err)


for name in TARGETS:
    register(name)
