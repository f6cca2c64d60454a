"""A short run of tests/torture: kill -9 in the middle of flash operations."""
import torture_rounds
from harness import case

SEED = 20261123


@case("kill -9: what was acknowledged is there, and nothing else changed", serial=True)
def killed(lab):
    torture_rounds.rounds(lab, 6, SEED)
