"""Signal handlers of the guest that use flash themselves."""
import random
import signal
import subprocess
import time

import boards
import torture_rounds
from harness import HOST_TOOL, case, holds, host_environment


def claims(lab, device):
    out = lab.guest(lab.board(boards.BOTH), ["signals", device], seconds=90).ok().out
    holds(": no" not in out and out.count(": yes") == 9, out)


@case("signals: a handler that writes NOR never meets a flash call half way, and handlers look like the guest's own")
def on_nor(lab):
    claims(lab, "/dev/mtd3")


@case("signals: the same on NAND with ECC")
def on_nand(lab):
    claims(lab, "/dev/mtd5")


@case("signals: a program that is stopped in the middle of a flash call is no hindrance to others on the chip")
def stopped(lab):
    board = lab.board(torture_rounds.CONFIGURATION)
    with open(lab.work / "done", "wb") as done:
        runner = subprocess.Popen(torture_rounds.command(board, "/dev/mtd1", "run", 5, 0, 20), stdout=done, env=host_environment())
    try:
        while not (lab.work / "done").stat().st_size and runner.poll() is None:
            time.sleep(0.01)
        for moment in range(16):
            time.sleep(0.05 + random.random() * 0.01)
            runner.send_signal(signal.SIGSTOP)
            if moment % 4 == 3:
                lab.host([HOST_TOOL, "-b", board.path, "export", "nor", "-"], seconds=20).ok()
            else:
                lab.guest(board, ["mtd_debug", "erase", "/dev/mtd1", "0x1f0000", "0x8000"], seconds=20).ok()
            runner.send_signal(signal.SIGCONT)
        holds(runner.poll() is None, "the program that was stopped has ended")
    finally:
        runner.kill()
        runner.wait()


@case("signals: a program that is stopped while it makes a board is no hindrance to the next one")
def stopped_making(lab):
    for number in range(6):
        board = lab.board(torture_rounds.CONFIGURATION, f"board{number}")
        runner = subprocess.Popen(torture_rounds.command(board, "/dev/mtd1", "run", 5, 0, 20), stdout=subprocess.DEVNULL, env=host_environment())
        try:
            while not board.file(".mtdshim").exists() and runner.poll() is None:
                time.sleep(0.0005)
            time.sleep(0.003 * number)
            runner.send_signal(signal.SIGSTOP)
            lab.guest(board, ["mtd_debug", "erase", "/dev/mtd1", "0x1f0000", "0x8000"], seconds=20).ok()
        finally:
            runner.kill()
            runner.wait()
