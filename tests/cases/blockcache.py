"""What waits in mtdblock's cache of one eraseblock: where its bytes are, whoever dies. When it reaches the flash, recordings say (`blkcache`)."""
import json
import shutil
import threading
import time

from boards import SMALL_NAND, SMALL_NOR, image
from harness import HOST_TOOL, case, holds, same

BOARDS = {"nor": (SMALL_NOR, 0x40000), "nand": (SMALL_NAND.replace("bad_blocks = [1, 5]\n", ""), 0)}
OLD, NEW, LATE = (bytes([byte]) * 4096 for byte in b"onl")
DEVICE = {"nor": 1, "nand": 0}


def start(lab, chip, name="board"):
    board = lab.board(BOARDS[chip][0], name)
    for file, data in (("old", OLD), ("new", NEW), ("late", LATE)):
        lab.make_file(file, data)
    sh(lab, board, chip, "dd if=old of=$char bs=4096").ok()
    return board


def sh(lab, board, chip, script):
    """`$block` and `$char` are the device's nodes. What dd says is not looked at."""
    number = DEVICE[chip]
    names = f"block=/dev/mtdblock{number} char=/dev/mtd{number}; look() {{ dd if=$char of=$1 bs=512 count=8; }}; "
    return lab.guest(board, ["busybox", "sh", "-c", names + script])


def seen(lab, name):
    return (lab.work / name).read_bytes()[:4096]


def stored(board, chip):
    at = BOARDS[chip][1]
    return image(board, chip)[at:at + 4096]


def on_both(name):
    def register(body):
        for chip in BOARDS:
            case(f"mtdblock {chip}: {name}")(lambda lab, chip=chip: body(lab, chip))
        return body
    return register


@on_both("what a killed program wrote is in the image, and the next one sees it in the flash")
def killed(lab, chip):
    board = start(lab, chip)
    result = sh(lab, board, chip, "exec 3<>$block; dd if=new bs=4096 >&3; look early; kill -9 $$")
    holds(result.status != 0, "it was killed\n" + result.transcript())
    same(OLD, seen(lab, "early"), "the flash while the block device was open")
    same(NEW, stored(board, chip), "the image after the kill")
    sh(lab, board, chip, "look later").ok()
    same(NEW, seen(lab, "later"), "the flash after the kill")
    # What is programmed now is not lost with what waited.
    sh(lab, board, chip, "flash_erase -q $char 0 1; dd if=late of=$char bs=1024; look last").ok()
    same((LATE, LATE), (seen(lab, "last"), stored(board, chip)), "the flash, and the image")


@on_both("a child goes on with the cache of its parent, and the last of them flushes it")
def inherited(lab, chip):
    board = start(lab, chip)
    sh(lab, board, chip, "exec 3<>$block; dd if=new bs=4096 >&3; (while [ ! -e go ]; do sleep 0.05; done; look early; dd if=late bs=4096 >&3) & "
       "exec 3>&-; touch go; wait; look later").ok()
    same(OLD, seen(lab, "early"), "the flash after the parent had closed")
    same(OLD[:0], (lab.work / "go").read_bytes(), "the parent came so far")
    at = BOARDS[chip][1]
    same(NEW + LATE, image(board, chip)[at:at + 8192], "the image")
    same(NEW, seen(lab, "later"), "the flash after the child had ended")


@on_both("another process works on the flash behind the cache, and the flush overwrites what it did")
def overwritten(lab, chip):
    board = start(lab, chip)
    sh(lab, board, chip, "exec 3<>$block; dd if=new bs=4096 >&3; flash_erase -q $char 0 1; dd if=late of=$char bs=1024; look early; "
       "dd if=$block of=own bs=4096 count=1; dd if=/dev/null conv=fsync >&3; look later").ok()
    same(LATE, seen(lab, "early"), "the flash before the flush")
    same((NEW, NEW), (seen(lab, "own"), seen(lab, "later")), "the block device before it, and the flash after")


@on_both("without the files that processes share, what waited is on the flash")
def forgotten(lab, chip):
    board = start(lab, chip)
    sh(lab, board, chip, "exec 3<>$block; dd if=new bs=4096 >&3; kill -9 $$")
    shutil.rmtree(board.file(".mtdshim"))
    sh(lab, board, chip, "look later; flash_erase -q $char 0 1; dd if=late of=$char bs=1024; look last").ok()
    same((NEW, LATE), (seen(lab, "later"), seen(lab, "last")), "the flash, then, and written anew")


@case("mtdblock nand: what a killed program wrote to a block that became bad is not there for the next one")
def bad(lab):
    board = start(lab, "nand")
    lab.guest(board, ["differences", "mark_first", "/dev/mtd0"]).ok()
    sh(lab, board, "nand", "exec 3<>$block; dd if=late bs=4096 >&3; look early; kill -9 $$")
    same(LATE, stored(board, "nand"), "the image after the kill")
    sh(lab, board, "nand", "look later").ok()
    erased = b"\xff" * 4096
    same((erased, erased), (seen(lab, "early"), seen(lab, "later")), "the flash before the kill, and after")
    same(erased, stored(board, "nand"), "the image when somebody has looked")


PERSON = b"p" * 512


@case("mtdblock nand: what a person writes into the image after a program was killed is not put back with what waited")
def edited(lab):
    at = 8192  # the same eraseblock, another page

    def kill(board, script):
        lab.guest(board, ["differences", "mark_first", "/dev/mtd0"]).ok()
        result = sh(lab, board, "nand", script)
        same(LATE, stored(board, "nand"), "the image after the kill\n" + result.transcript())

    def edit(board):
        time.sleep(0.02)  # a file's time moves on every few milliseconds
        with open(board.file("nand.bin"), "r+b") as file:
            file.seek(at)
            file.write(PERSON)

    def left(board):
        return image(board, "nand")[at:at + 512]
    board = start(lab, "nand")
    kill(board, "exec 3<>$block; dd if=late bs=4096 >&3; kill -9 $$")
    edit(board)
    sh(lab, board, "nand", "look later").ok()
    same(PERSON, left(board), "the image, looked at by a program")
    sh(lab, board, "nand", "look later").ok()
    same(PERSON, left(board), "the image, looked at again")
    board = start(lab, "nand", "host")
    kill(board, "exec 3<>$block; dd if=late bs=4096 >&3; kill -9 $$")
    edit(board)
    lab.host([HOST_TOOL, "ls", board.path]).ok()
    same(PERSON, left(board), "the image, looked at by the host tool")
    board = start(lab, "nand", "meanwhile")
    lab.guest(board, ["differences", "mark_first", "/dev/mtd0"]).ok()
    script = "exec 4<$char; dd bs=512 count=1 <&4 of=first; sh -c 'exec 3<>'$block'; dd if=late bs=4096 >&3; kill -9 $$'; touch go; "
    script += "while [ ! -e stop ]; do sleep 0.05; done; dd bs=512 count=1 <&4 of=second"
    guest = threading.Thread(target=sh, args=(lab, board, "nand", script))
    guest.start()
    while guest.is_alive() and not (lab.work / "go").exists():
        time.sleep(0.02)
    same(LATE, stored(board, "nand"), "the image after the kill, with the chip open elsewhere")
    edit(board)
    lab.make_file("stop", b"")
    guest.join()
    same(PERSON, left(board), "the image, looked at by a program that had the chip open")


@case("mtdblock: the host tool shows the flash as the last close has left it, and lets alone what is open still")
def on_the_host(lab):
    board = start(lab, "nand")
    look = [HOST_TOOL, "ls", board.path]
    lab.guest(board, ["differences", "mark_first", "/dev/mtd0"]).ok()
    sh(lab, board, "nand", "exec 3<>$block; dd if=late bs=4096 >&3; kill -9 $$")
    same(LATE, stored(board, "nand"), "the image after the kill")
    lab.host(look).ok()
    same(b"\xff" * 4096, stored(board, "nand"), "a bad block, after the host tool has looked")
    board = start(lab, "nor", "other")

    def wear():
        devices = json.loads(lab.host([HOST_TOOL, "ls", board.path, "--json"]).ok().out)
        return next(device["wear_max"] for device in devices if device["mtd"] == 1)
    sh(lab, board, "nor", "dd if=new of=$block bs=4096").ok()
    same("1", str(wear()), "erases, when the writer has ended")
    guest = threading.Thread(target=sh, args=(lab, board, "nor", "exec 3<>$block; dd if=late bs=4096 >&3; touch go; "
                                              "while [ ! -e stop ]; do sleep 0.05; done; look early"))
    guest.start()
    while guest.is_alive() and not (lab.work / "go").exists():
        time.sleep(0.02)
    same("1", str(wear()), "erases, while the block device is open")
    lab.make_file("stop", b"")
    guest.join()
    same(NEW, seen(lab, "early"), "the flash, looked at by the host tool before")
    same("2", str(wear()), "erases, in the end")


@case("mtdblock boot NOR: of two block devices over one place, the one with the larger eraseblocks loses nothing that came last")
def overlapping(lab):
    board = lab.board("""
[chip.nor]
driver = "cfi"
size = "1M"
erasesize = "64K"
erase_regions = "15x64K,8x8K"
mtdparts = "nor:960K(main),64K(boot),128K@896K(both)"
""")
    for file, data in (("new", NEW), ("late", LATE)):
        lab.make_file(file, data)
    script = "exec 3<>/dev/mtdblock1 4<>/dev/mtdblock2; dd if=new of=/dev/mtdblock1 bs=4096 seek=2; "
    script += "dd if=late of=/dev/mtdblock2 bs=4096 seek=18; dd if=/dev/null of=/dev/mtdblock1 conv=fsync; "
    lab.guest(board, ["busybox", "sh", "-c", script + "dd if=/dev/mtdblock2 of=seen bs=4096 skip=18"]).ok()
    at = 0xf2000
    same((LATE, LATE), (seen(lab, "seen"), image(board, "nor")[at:at + 4096]), "the block device, and the image")
