"""Processes killed in the middle of flash operations, and what they leave.

    tests/torture [ROUNDS]      kills eight processes a round at random moments; prints the figures (10,000 kills: 1250 rounds)
"""
import collections
import json
import random
import shutil
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
# mtd0 is the NAND, mtd1 the NOR: four processes on each, two of them by the block device, on blocks of their own: device, way,
# first block, blocks.
PLACES = (("/dev/mtd0", "", 0, 44), ("/dev/mtd0", "", 46, 44), ("/dev/mtd0", "block-", 92, 16), ("/dev/mtd0", "block-", 110, 16),
          ("/dev/mtd1", "", 0, 20), ("/dev/mtd1", "", 22, 20), ("/dev/mtd1", "block-", 44, 8), ("/dev/mtd1", "block-", 54, 8))
# Blocks go bad for good, so every so many rounds begin with new chips.
ROUNDS_OF_A_BOARD = 2


def command(board, *words):
    return ["qemu-arm", "-L", str(SYSROOT), "-E", f"LD_PRELOAD={LIBRARY}", "-E", f"MTDSHIM={board.path}",
            str(CLIENTS / "torture"), *map(str, words)]


def one_round(board, generator, figures):
    """Eight runners, each killed at a moment of its own."""
    runners = []
    for device, way, first, count in PLACES:
        seed = generator.getrandbits(31)
        process = subprocess.Popen(command(board, device, way + "run", seed, first, count), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, bufsize=0, env=harness.host_environment())
        runners.append((device, way, first, count, seed, process))
    # The first line says that the process is at work; moments are counted from there.
    maps = [process.stdout.readline().decode().strip() for *_, process in runners]
    for *_, process in generator.sample(runners, len(runners)):
        time.sleep(generator.random() * 0.03)
        process.send_signal(signal.SIGKILL)
    for (device, way, first, count, seed, process), bad in zip(runners, maps):
        out, err = process.communicate()
        holds(process.returncode == -signal.SIGKILL, f"a runner ended by itself: {err.decode()}")
        done = struct.unpack("<I", out[len(out) // 4 * 4 - 4:len(out) // 4 * 4])[0] if len(out) >= 4 else 0
        figures["finished"] += done
        check = subprocess.run(command(board, device, way + "verify", seed, first, count, done, bad), capture_output=True,
                               text=True, env=harness.host_environment(), timeout=60)
        holds(check.returncode == 0, f"{device} {way}run, blocks {first}.. seed {seed} after {done} operations:\n{check.stdout}{check.stderr}")
        figures["kills"] += 1
        figures["cut"][check.stdout.split()[-1]] += 1


def check_files(board, kills):
    """What the host tool finds: no damaged word; a block whose marking was cut may be marked in one place only."""
    result = subprocess.run([harness.HOST_TOOL, "--json", "check", board.path], capture_output=True, text=True)
    holds(result.returncode in (0, 1), f"mtdshim check: {result.stdout}{result.stderr}")
    words = [f"{finding['place']}: {finding['what']}" for finding in json.loads(result.stdout)]
    damaged = [text for text in words if "damaged" in text]
    holds(not damaged, f"the side file does not hold: {damaged}")
    marks = [text for text in words if "good in the side file" in text or "without a mark" in text]
    holds(len(marks) <= kills, f"side file and spare area disagree: {marks}")


def rounds(lab, count, seed):
    generator = random.Random(seed)
    figures = {"kills": 0, "finished": 0, "cut": collections.Counter()}
    for number in range(count):
        if number % ROUNDS_OF_A_BOARD == 0:
            board = lab.board(CONFIGURATION, f"board{number}")
        one_round(board, generator, figures)
        if number % ROUNDS_OF_A_BOARD == ROUNDS_OF_A_BOARD - 1:
            check_files(board, ROUNDS_OF_A_BOARD * 2)
            shutil.rmtree(board.path)
    cut = ", ".join(f"{times} {kind}" for kind, times in figures["cut"].most_common())
    return f"{figures['kills']} kills, {figures['finished']} operations finished before them; under way or next: {cut}"
