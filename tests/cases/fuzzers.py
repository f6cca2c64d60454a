"""Short runs of the fuzzers in fuzz/: every reader of bytes that somebody else wrote. The same inputs in every run, so that a
red case is always somebody's change; `fuzz/run` is the long run, which looks for something new."""
import re

from harness import TOP, case, holds, want

BINARIES = TOP / "target/fuzz/release"
SEED = 1
RUNS = 10_000
RUNS_OF_SLOW = {"compiled_board": 2_500}
TARGETS = sorted(path.stem for path in (TOP / "fuzz/fuzz_targets").glob("*.rs"))


def register(target):
    @case(f"fuzz: {target}")
    def short_run(lab):
        program = BINARIES / target
        want("fuzzers", program, "tools/fuzz")
        corpus = sorted((TOP / "fuzz/corpus" / target).iterdir())
        holds(corpus, "no corpus")
        learned = lab.directory / "learned"
        learned.mkdir()
        runs = RUNS_OF_SLOW.get(target, RUNS)
        # A directory would be read in the file system's order; the list makes the run the same everywhere.
        inputs = "-seed_inputs=" + ",".join(map(str, corpus))
        result = lab.host([program, f"-seed={SEED}", f"-runs={runs}", "-max_len=4096", "-timeout=60", inputs, learned])
        found = re.search(r"panicked at .*\n.*", result.err)
        holds(result.status == 0, f"{found.group() if found else ''}\n" + "\n".join(result.err.splitlines()[-30:]))
        done = re.search(r"Done (\d+) runs", result.err)
        holds(done and int(done.group(1)) >= runs, "less was tried than asked for:\n" + result.err)


for name in TARGETS:
    register(name)
