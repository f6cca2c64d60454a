"""A short run of tests/fuzz/run: random operations, each answer checked against the client's own model."""
import fuzz_runs
from harness import Failed, case, holds

SEED = 20261123
OPERATIONS = 8000


def register(geometry):
    @case(f"fuzz: {OPERATIONS} random operations on a {geometry} agree with a naive model")
    def run(_lab):
        for runs in range(2):  # one with 64-bit, one with 32-bit offsets
            each = fuzz_runs.Run(geometry, fuzz_runs.WIDTHS[runs], SEED + runs, OPERATIONS // 2)
            passed, text = each.play()
            if not passed:
                raise Failed(fuzz_runs.failure_text(each, text))
            holds(text.split()[0] == str(OPERATIONS // 2), f"not all operations were done: {text}")


for name in fuzz_runs.GEOMETRIES:
    register(name)
