"""Processes killed in the middle of flash operations, and what they leave.

    tests/torture [ROUNDS]      kills four processes a round at random moments; prints the figures (10,000 kills: 2500 rounds)
"""
import random
import signal
import struct
import subprocess
import time

import harness
from harness import CLIENTS, SYSROOT, LIBRARY, holds

CONFIGURATION = """[chip.nand]
type = "nand"
size = "4M"
erasesize = "32K"
writesize = 2048
oobsize = 64

[chip.nor]
type = "nor"
driver = "spi-nor"
size = "2M"
erasesize = "32K"
"""
BLOCKS_EACH = 8
# mtd0 is the NAND, mtd1 the NOR: two processes on each, on blocks of their own.
PLACES = (("/dev/mtd0", 0), ("/dev/mtd0", BLOCKS_EACH), ("/dev/mtd1", 0), ("/dev/mtd1", BLOCKS_EACH))


def command(board, *words):
    return ["qemu-arm", "-L", str(SYSROOT), "-E", f"LD_PRELOAD={LIBRARY}", "-E", f"MTDSHIM={board.path}",
            str(CLIENTS / "torture"), *map(str, words)]


def one_round(board, generator):
    """Four runners, each killed at a moment of its own; returns the operations they had finished."""
    runners = []
    for device, first in PLACES:
        seed = generator.getrandbits(31)
        process = subprocess.Popen(command(board, device, "run", seed, first, BLOCKS_EACH), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, bufsize=0, env=harness.host_environment())
        runners.append((device, first, seed, process))
    # The first line says that the process is at work; moments are counted from there.
    maps = [process.stdout.readline().decode().strip() for *_, process in runners]
    for _, _, _, process in generator.sample(runners, len(runners)):
        time.sleep(generator.random() * 0.03)
        process.send_signal(signal.SIGKILL)
    finished = 0
    for (device, first, seed, process), bad in zip(runners, maps):
        out, err = process.communicate()
        holds(process.returncode == -signal.SIGKILL, f"a runner ended by itself: {err.decode()}")
        done = struct.unpack("<I", out[len(out) // 4 * 4 - 4:len(out) // 4 * 4])[0] if len(out) >= 4 else 0
        finished += done
        check = subprocess.run(command(board, device, "verify", seed, first, BLOCKS_EACH, done, bad), capture_output=True,
                               text=True, env=harness.host_environment(), timeout=60)
        holds(check.returncode == 0, f"{device} blocks {first}.. seed {seed} after {done} operations:\n{check.stdout}{check.stderr}")
    return finished


def rounds(lab, count, seed):
    generator = random.Random(seed)
    board = lab.board(CONFIGURATION)
    finished = sum(one_round(board, generator) for _ in range(count))
    return f"{count * len(PLACES)} kills, {finished} operations finished before them"
