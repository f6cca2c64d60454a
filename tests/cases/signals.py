"""Signal handlers of the guest that use flash themselves."""
import boards
from harness import case, holds


def claims(lab, device):
    out = lab.guest(lab.board(boards.BOTH), ["signals", device], seconds=90).ok().out
    holds(": no" not in out and out.count(": yes") == 9, out)


@case("signals: a handler that writes NOR never meets a flash call half way, and handlers look like the guest's own")
def on_nor(lab):
    claims(lab, "/dev/mtd3")


@case("signals: the same on NAND with ECC")
def on_nand(lab):
    claims(lab, "/dev/mtd5")
