"""Random operations on small flashes, each answer checked by the ARM client against its own naive model (tests/clients/difffuzz.c).

    tests/fuzz/run N [SEED]      N operations on each geometry; a failing sequence is reduced to the few operations that matter
"""
import concurrent.futures
import os
import pathlib
import random
import re
import shutil
import tempfile

import harness
from harness import CLIENTS, LIBRARY, SYSROOT

GEOMETRIES = {
    "nor": '[chip.f]\ndriver = "spi-nor"\nsize = "256K"\nerasesize = "16K"\n',
    "nand512": '[chip.f]\ndriver = "nandsim"\nsize = "256K"\nerasesize = "16K"\nwritesize = 512\noobsize = 16\necc = "hamming"\n',
    "nand2k": '[chip.f]\ndriver = "nandsim"\nsize = "1M"\nerasesize = "128K"\nwritesize = 2048\noobsize = 64\necc = "hamming"\n',
    "nand2k-bch4": '[chip.f]\ndriver = "nandsim"\nsize = "1M"\nerasesize = "128K"\nwritesize = 2048\noobsize = 64\necc = "bch4"\n',
    "nand4k-bch8": '[chip.f]\ndriver = "nandsim"\nsize = "1M"\nerasesize = "128K"\nwritesize = 4096\noobsize = 128\necc = "bch8"\n',
    "ram": '[chip.f]\ndriver = "mtdram"\nsize = "128K"\nerasesize = "4K"\n',
}
WIDTHS = ("difffuzz", "difffuzz32")  # 64-bit and plain 32-bit offsets
# A fresh board now and then: bad blocks cannot be mended.
OPERATIONS_A_BOARD = 20000
SECONDS_MAX = 600


class Run:
    """One sequence: the operations `first` to `last` of a seed on a fresh board, or of them only those in `kept`."""

    def __init__(self, geometry, width, seed, last):
        self.geometry, self.width, self.seed, self.last = geometry, width, seed, last

    def play(self, kept=None, verbose=False):
        """(passed, what the client printed)"""
        # The model is mapped by several processes: memory is the place for it.
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        directory = pathlib.Path(tempfile.mkdtemp(prefix="mtdshim-fuzz-", dir=place))
        try:
            (directory / "mtdshim.conf").write_text(GEOMETRIES[self.geometry])
            words = [str(CLIENTS / self.width), str(directory / "model"), str(self.seed), "1", str(self.last)]
            if kept is not None:
                (directory / "kept").write_text("\n".join(map(str, kept)))
                words.append(str(directory / "kept"))
            guest = ["qemu-arm", "-L", str(SYSROOT), "-E", f"LD_PRELOAD={LIBRARY}", "-E", f"MTDSHIM={directory}"]
            result = harness.run(guest + words + ["-v"] * verbose, env=harness.host_environment(), seconds=SECONDS_MAX)
            return result.status == 0, result.out + result.err + ("" if result.status in (0, 1) else f"status {result.status}\n")
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def reduce(self, text, attempts_max=400):
        """The operations that are needed for a failure of the same kind, by leaving out ever smaller pieces."""
        failing = re.search(r"MISMATCH operation (\d+)", text)
        kept = list(range(1, (int(failing[1]) if failing else self.last) + 1))
        piece, attempts = max(1, len(kept) // 2), 0
        while attempts < attempts_max:
            at = 0
            while at < len(kept) and attempts < attempts_max:
                attempts += 1
                fewer = kept[:at] + kept[at + piece:]
                if fewer and not self.play(fewer)[0]:
                    kept = fewer
                else:
                    at += piece
            if piece == 1:
                break
            piece = max(1, piece // 2)
        return kept


def failure_text(run, text, reduce=True):
    lines = [f"{run.geometry}, {run.width}, seed {run.seed}:", text.strip()]
    if reduce:
        kept = run.reduce(text)
        lines += [f"reduced to {len(kept)} operations of this seed, {' '.join(map(str, kept))}:", run.play(kept, verbose=True)[1].strip()]
    return "\n".join(lines)


def plan(geometry, count, generator):
    """Runs that make up `count` operations: both widths in turn."""
    runs = []
    while count > 0:
        runs.append(Run(geometry, WIDTHS[len(runs) % 2], generator.getrandbits(31), min(count, OPERATIONS_A_BOARD)))
        count -= OPERATIONS_A_BOARD
    return runs


def fuzz(count, seed, geometries=None, jobs=None, say=lambda text: None):
    """Operations done by geometry, and the texts of all failures."""
    generator = random.Random(seed)
    runs = [run for geometry in geometries or GEOMETRIES for run in plan(geometry, count, generator)]
    done, failures = dict.fromkeys(geometries or GEOMETRIES, 0), []
    with concurrent.futures.ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        for run, (passed, text) in zip(runs, pool.map(Run.play, runs)):
            if passed:
                done[run.geometry] += int(text.split()[-2])
                continue
            # One reduced sequence a geometry: others mostly say the same.
            failures.append((run.geometry, failure_text(run, text, all(name != run.geometry for name, _ in failures))))
            say(failures[-1][1])
    return done, [text for _, text in failures]
