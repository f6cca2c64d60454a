"""Images, configurations and disks that are not as they should be: a plain message that names the file, and no byte lost."""
import contextlib
import os
import re
import resource
import shutil
import subprocess
import threading
import time

from boards import SMALL_NAND, SMALL_NOR, image
from harness import LIBRARY, SYSROOT, Skipped, case, holds, host_environment, payload, same

READ = [SYSROOT / "bin/busybox", "head", "-c", "16", "/dev/mtd3"]
# As few pages as a whole board can have.
TINY_NOR = '[chip.nor]\ntype = "nor"\nsize = "64K"\nerasesize = "4K"\n'
PROC = [SYSROOT / "bin/busybox", "cat", "/proc/mtd"]


def refused(result, *words):
    """Failure with a message that names file and trouble; the program itself lives to report its own error."""
    result.fails()
    for word in words:
        result.says(word)


@case("image: a missing one is made, erased, of exactly the chip's size")
def missing(lab):
    board = lab.board(SMALL_NAND)
    lab.guest(board, ["nanddump", "-q", "-l", 2048, "-f", "page", "/dev/mtd1"]).ok()
    holds((lab.work / "page").read_bytes() == b"\xff" * 2048, "a fresh page is not erased")
    holds(len(image(board, "nand")) == 4 << 20, "size of nand.bin")
    holds(board.file("nand.oob").stat().st_size == (4 << 20) // 2048 * 64, "size of nand.oob")


@case("image: one that is there is used as it is")
def existing(lab):
    board = lab.board(SMALL_NOR)
    data = (payload() * 2)[:1 << 20]
    board.file("nor.bin").write_bytes(data)
    same(data[0x60000:0x60010].decode(), lab.guest(board, READ).ok().out, "what the guest reads")
    holds(image(board, "nor") == data, "reading changed the image")


@case("image: one of the wrong size is refused and left alone")
def wrong_size(lab):
    for name, size in (("short", 1000), ("long", (1 << 20) + 1)):
        board = lab.board(SMALL_NOR, name)
        board.file("nor.bin").write_bytes(b"x" * size)
        refused(lab.guest(board, READ), "nor.bin")
        holds(board.file("nor.bin").read_bytes() == b"x" * size, "the image was touched")


@case("image: a directory in its place is refused")
def directory(lab):
    board = lab.board(SMALL_NOR)
    board.file("nor.bin").mkdir()
    refused(lab.guest(board, READ), "nor.bin")


@case("image: a link in its place that leads nowhere is refused and left alone; one to an image is followed")
def link(lab):
    board, other = lab.board(SMALL_NOR), lab.directory / "other.bin"
    board.file("nor.bin").symlink_to(other)
    refused(lab.guest(board, READ), "nor.bin: cannot look at this file: no such file or directory", "correct the path, the link")
    holds(board.file("nor.bin").is_symlink() and not other.exists(), "the link was replaced or followed")
    other.write_bytes(b"1234" * (1 << 18))
    same("1234" * 4, lab.guest(board, READ).ok().out, "what the link leads to")


@case("image: a read-only one can be read, and a write fails")
def read_only(lab):
    board = lab.board(SMALL_NOR)
    data = b"\xff" * (1 << 20)
    board.file("nor.bin").write_bytes(data)
    board.file("nor.bin").chmod(0o444)
    if os.geteuid() == 0:
        raise Skipped("root may write to read-only files")
    lab.guest(board, READ).ok()
    lab.guest(board, ["flash_erase", "-q", "/dev/mtd3", 0, 1]).fails()
    holds(image(board, "nor") == data, "the image changed")


@case("side file: a damaged header is refused, the image is left alone")
def damaged_side(lab):
    board = lab.board(SMALL_NOR)
    lab.make_file("in", b"precious")
    lab.guest(board, [SYSROOT / "bin/busybox", "dd", "if=in", "of=/dev/mtd3"]).ok()
    before = image(board, "nor")
    side = bytearray(board.file("nor.mtdshim").read_bytes())
    side[:64] = bytes(64)
    board.file("nor.mtdshim").write_bytes(side)
    refused(lab.guest(board, READ), "nor.mtdshim")
    holds(image(board, "nor") == before, "the image changed")


@case("side file: one bit flipped anywhere in it never loses data")
def flipped_side(lab):
    board = lab.board(SMALL_NOR)
    lab.make_file("in", b"precious")
    lab.guest(board, [SYSROOT / "bin/busybox", "dd", "if=in", "of=/dev/mtd3"]).ok()
    whole = board.file("nor.mtdshim").read_bytes()
    step = max(1, len(whole) // 12)
    for at in range(5, len(whole), step):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        board.file("nor.mtdshim").write_bytes(damaged)
        result = lab.guest(board, [SYSROOT / "bin/busybox", "head", "-c", "8", "/dev/mtd3"])
        if result.status == 0:
            same("precious", result.out, f"data after bit flip at {at}")
        else:
            result.fails().says("nor.mtdshim")
        holds(image(board, "nor")[0x60000:0x60008] == b"precious", f"image after bit flip at {at}")


@case("side file: a lost one costs no data")
def lost_side(lab):
    board = lab.board(SMALL_NAND)
    lab.make_file("in", payload()[:4096])
    lab.guest(board, ["nandwrite", "/dev/mtd1", "in"]).ok()
    board.file("nand.mtdshim").unlink()
    lab.guest(board, ["nanddump", "-q", "-l", 4096, "-f", "back", "/dev/mtd1"]).ok()
    same(payload()[:4096].decode(), (lab.work / "back").read_text(), "data without the side file")
    # The mark in the spare area is what a driver scans for.
    lab.guest(board, ["flash_erase", "/dev/mtd1", 0, 2]).says("Skipping bad block")


@case("configuration: mistakes are named with file and line")
def configuration(lab):
    for name, text, line in (
            ("key", '[chip.nor]\ntype = "nor"\nsise = "1M"\n', 3),
            ("unit", '[chip.nor]\ntype = "nor"\nsize = "1Q"\n', 3),
            ("quote", '[chip.nor]\ntype = "nor\nsize = "1M"\n', 2),
            ("partition", '[chip.nor]\ntype = "nor"\nsize = "1M"\nmtdparts = "nor:2M(too-big),64K(outside)"\n', 4),
            ("factory", '[chip.nor]\ntype = "nor"\nsize = "1M"\notp_factory = "1x4"\notp_factory_data = "0123456789"\n', 5),
            ("image", '[chip.a]\ntype = "nor"\nsize = "1M"\nimage = "x"\n[chip.b]\ntype = "nor"\nsize = "1M"\nimage = "x"\n', 5),
            ("part-image", '[chip.a]\ntype = "ram"\nsize = "1M"\n[[chip.a.partition]]\nname = "p"\nsize = "64K"\nimage = "x"\n'
                           '[[chip.a.partition]]\nname = "q"\nimage = "x"\n', 8),
            ("bad-block", '[chip.nor]\ntype = "nor"\nsize = "1M"\nbad_blocks = [1]\n', 4)):
        board = lab.board(text, name)
        result = lab.guest(board, READ[:-1] + ["/dev/mtd0"])
        holds(f"mtdshim.conf:{line}:" in result.err, f"{name}: expected mtdshim.conf:{line}: in\n{result.transcript()}")
        if name != "partition":
            result.fails()


@case("configuration: MTDSHIM that names nothing is said plainly")
def nothing_there(lab):
    board = lab.board(SMALL_NOR)
    board.path = lab.directory / "no-such-place"
    refused(lab.guest(board, READ), "no-such-place")


@case("configuration: a mistake is told also to who asks for a device of its rules alone, and to no other")
def mistake_for_rules(lab):
    board = lab.board('[chip.nor]\ntype = "nor"\nsize = "1Q"\n[[answer]]\npath = "/dev/gpio"\ncommand = 1\n')
    for words in (["cat", "/dev/gpio"], ["test", "-e", "/dev/gpio"], ["stat", "/dev/gpio"]):
        refused(lab.guest(board, [SYSROOT / "bin/busybox", *words]), "mtdshim.conf:3:")
    same("", lab.guest(board, [SYSROOT / "bin/busybox", "cat", "/dev/null", "/proc/version"]).ok().err, "what others are told")
    same(["cat: can't open 'nothing': No such file or directory"], lab.guest(board, [SYSROOT / "bin/busybox", "cat", "nothing"]).err, "what others are told")


@case("configuration: a name of a board that is too long is said plainly")
def long_name(lab):
    board = lab.board(SMALL_NOR)
    board.path = "/".join([str(lab.directory), *["d" * 200] * 6])
    refused(lab.guest(board, READ), "cannot find the board: the name is too long")
    board.path = "/".join(["d" * 200] * 6)
    refused(lab.guest(board, READ), "cannot find the board: the name is too long")


@case("configuration: binary rubbish is refused")
def rubbish(lab):
    board = lab.board("")
    for data in (bytes(range(256)) * 16, b"\0" * 5000, b"[" * 4000, b"[chip.a]\n" + b"size = \"1M\"\n" * 5000):
        board.file("mtdshim.conf").write_bytes(data)
        refused(lab.guest(board, READ), "mtdshim.conf")


@case("disk full: a fresh image that cannot be made is refused, and no half of it stays")
def full_disk(lab):
    board = lab.board(SMALL_NOR)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))

    result = lab.guest(board, READ, preexec=limit)
    holds(result.status != 0, result.transcript())
    path = board.file("nor.bin")
    holds(not path.exists() or path.stat().st_size == 1 << 20, f"half an image stays: {path.exists() and path.stat().st_size}")
    lab.guest(board, READ).ok()


@contextlib.contextmanager
def small_file_system(lab, size):
    """A tmpfs of that size, as <directory>/small."""
    if os.geteuid() != 0:
        raise Skipped("needs root to mount a small tmpfs")
    mount = lab.directory / "small"
    mount.mkdir()
    if lab.host(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", mount]).status:
        raise Skipped("this machine does not allow mount")
    try:
        yield mount
    finally:
        lab.host(["umount", mount])


@case("disk full: no room on the file system", serial=True)
def full_tmpfs(lab):
    with small_file_system(lab, "600k") as mount:
        board = lab.board(SMALL_NOR, "small/board")
        refused(lab.guest(board, READ), "nor.bin", "free some space")
        left = {path.name for path in board.path.iterdir()}
        holds("nor.bin" not in left, f"half an image stays: {left}")


@case("disk full: what is stored goes on, what was not is an error and a line", serial=True)
def full_while_in_use(lab):
    with small_file_system(lab, "4m") as mount:
        fill = lambda: lab.host(["sh", "-c", f"cat /dev/zero > {mount}/fill"])
        board = lab.board(SMALL_NOR, "small/board")
        lab.guest(board, ["sh", "-c", "printf one > /dev/mtd1"]).ok()
        fill()
        lab.guest(board, ["sh", "-c", "flash_erase -q /dev/mtd1 0 0; printf two > /dev/mtd1"]).ok()
        same("two", image(board, "nor")[0x40000:0x40003].decode(), "an image that is stored as a whole")
        # An image with holes: its erase needs room.
        (mount / "fill").unlink()
        data = image(board, "nor")
        board.file("nor.bin").unlink()
        board.file("nor.mtdshim").unlink()
        with open(board.file("nor.bin"), "wb") as sparse:
            sparse.write(data[:0x50000])
            sparse.truncate(len(data))
        lab.guest(board, READ).ok()
        fill()
        lab.guest(board, ["flash_erase", "-q", "/dev/mtd3", 0, 1]).says("image of chip nor: no space left").says("free some space")
        same("two", lab.guest(board, ["head", "-c", "3", "/dev/mtd1"]).ok().out, "what was there before")


@case("disk full: in whatever moment of a board's making, it is a line with the remedy, and the next program finds the way", serial=True)
def full_while_made(lab):
    with small_file_system(lab, "4m") as mount:
        board = lab.board(TINY_NOR, "small/board")
        names = {path.name for path in board.path.iterdir()}
        fresh = lab.directory / "small/fresh"
        for free_pages in range(100):
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(board.path, fresh)
            used = os.statvfs(mount)
            pages = used.f_blocks - used.f_bfree + free_pages
            lab.host(["mount", "-o", f"remount,size={pages * 4}k", mount]).ok()
            result = lab.guest(type(board)(fresh), ["sh", "-c", "printf kept > /dev/mtd0"])
            lab.host(["mount", "-o", "remount,size=4m", mount]).ok()
            holds(result.status < 128, f"{free_pages} pages free:\n{result.transcript()}")
            if result.status == 0:
                break
            result.says("space").says("free some space").says(str(fresh))
            left = {path.name for path in fresh.iterdir()} - names - {".mtdshim"}
            holds(not left, f"with {free_pages} pages free there is {left}")
        result.ok()
        holds(free_pages > 10, "the disk was never full")
        same("kept", lab.guest(type(board)(fresh), ["head", "-c", "4", "/dev/mtd0"]).ok().out, "what is there at last")


@case("disk full: no room for another name, in whatever moment of a board's making, is a line with the remedy", serial=True)
def no_names_while_made(lab):
    with small_file_system(lab, "4m") as mount:
        board = lab.board(TINY_NOR, "small/board")
        for free_names in range(30):
            status = os.statvfs(mount)
            names = status.f_files - status.f_ffree + free_names
            lab.host(["mount", "-o", f"remount,nr_inodes={names}", mount]).ok()
            result = lab.guest(board, ["sh", "-c", "printf kept > /dev/mtd0"])
            holds(result.status < 128, f"{free_names} names free:\n{result.transcript()}")
            lab.host(["mount", "-o", "remount,nr_inodes=1000", mount]).ok()
            if result.status == 0:
                break
            result.says("no space").says(str(board.path))
            for path in board.path.iterdir():
                if path.name != "mtdshim.conf":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        holds(free_names > 2, "there were always names")
        same("kept", lab.guest(board, ["head", "-c", "4", "/dev/mtd0"]).ok().out, "what is there at last")


@case("disk full: files of a board that are sparse, as copying can make them, are stored as a whole or refused with a line",
      serial=True)
def full_and_sparse(lab):
    with small_file_system(lab, "4m") as mount:
        board = lab.board(TINY_NOR, "small/board")
        lab.guest(board, ["sh", "-c", "printf kept > /dev/mtd0"]).ok()
        for name in (".mtdshim/board", "nor.mtdshim"):
            file = board.file(name)
            before = file.stat().st_blocks
            if name == "nor.mtdshim":  # it has no page of zeros, so this one is damaged besides
                lab.host(["fallocate", "--punch-hole", "--offset", 4096, "--length", 4096, file]).ok()
            else:
                lab.host(["cp", "--sparse=always", "--preserve=all", file, f"{file}.holes"]).ok()
                os.replace(f"{file}.holes", file)
            holds(file.stat().st_blocks < before, "nothing became a hole")
            lab.host(["sh", "-c", f"cat /dev/zero > {mount}/fill"])
            result = lab.guest(board, ["sh", "-c", "printf more > /dev/mtd0"]).fails()
            result.says(name + ": cannot ").says(" this file").says("no space left").says("some space")
            (mount / "fill").unlink()
            result = lab.guest(board, ["head", "-c", "4", "/dev/mtd0"])
            holds(name == "nor.mtdshim" or result.out == "kept", "when there is room again:\n" + result.transcript())
            holds(result.status < 128, result.transcript())
            holds(file.stat().st_blocks >= before, f"{name} has holes still")


@case("disk full: a mapped file that loses its place while it is in use is a line with the remedy, and no bus error", serial=True)
def punched_in_use(lab):
    with small_file_system(lab, "4m") as mount:
        for name in (".mtdshim/board", "nor.mtdshim"):
            board = lab.board(TINY_NOR, "small/board" + name.strip(".").replace("/", "-"))
            lab.guest(board, ["sh", "-c", "printf kept > /dev/mtd0"]).ok()
            steps = [lab.work / "opened", lab.work / "punched"]
            for step in steps:
                step.unlink(missing_ok=True)
                os.mkfifo(step)
            script = "exec 3<>/dev/mtd0; : > opened; read -r line < punched; printf more >&3; head -c 4 <&3; echo; echo lives"
            guest = threading.Thread(target=lambda: results.append(lab.guest(board, ["sh", "-c", script], seconds=30)))
            results = []
            guest.start()
            steps[0].read_bytes()
            lab.host(["fallocate", "--punch-hole", "--offset", 4096, "--length", 1 << 20, board.file(name)]).ok()
            lab.host(["sh", "-c", f"cat /dev/zero > {mount}/fill"])
            steps[1].write_text("go on\n")
            guest.join()
            (mount / "fill").unlink()
            result, = results
            result.says(f"{name}: ").says("the disk is full").says("lives")
            holds(result.status < 128, result.transcript())


@case("file system: read-only, the flash can be read, and a write is refused with a line and the remedy", serial=True)
def read_only_tmpfs(lab):
    with small_file_system(lab, "4m") as mount:
        board = lab.board(SMALL_NOR, "small/board")
        lab.guest(board, ["sh", "-c", "printf kept > /dev/mtd3"]).ok()
        lab.host(["mount", "-o", "remount,ro", mount]).ok()
        same("kept", lab.guest(board, ["head", "-c", "4", "/dev/mtd3"]).ok().out, "what can be read")
        for device in ("/dev/mtd3", "/dev/mtdblock3"):
            result = lab.guest(board, ["sh", "-c", f"printf lost > {device}"]).fails()
            result.says(f"mtdshim: {board.path}: ").says("so its flash is read-only; make them writable, or copy the board")
        holds(image(board, "nor")[0x60000:0x60004] == b"kept", "the image changed")


@case("guest: a bad pointer is EFAULT, never a crash")
def bad_pointers(lab):
    board = lab.board(SMALL_NOR)
    result = lab.guest(board, ["mtdprobe", "/dev/mtd3", "ioctl_faults"]).ok()
    holds("EFAULT" in result.out, "no EFAULT at all")


@case("guest: a bad pointer instead of a name is what it is without the library, never a crash")
def bad_names(lab):
    board = lab.board(SMALL_NOR)
    expected = lab.guest(None, ["badpaths"]).ok()
    holds(expected.out.count("Bad address") > 100, expected.transcript())
    same(expected.out, lab.guest(board, ["badpaths"]).ok().out, "what calls answer")
    same(expected.out, lab.guest(board, ["badpaths"], env={"MTDSHIM_TRACE": "trace"}).ok().out, "what calls answer when they are traced")


@case("guest: '..' is seen wherever it stands in a name, and the name in memory: in front of what cannot be read, too")
def climbing_names(lab):
    ways = ["/tmp" + "/" * more + dots + ".." for more in range(1, 60, 3) for dots in ("", "./", ".//")]
    ways += ["/" * more + "tmp/.." for more in range(1, 5)] + ["/tmp/../tmp" + "/" * more + ".." for more in (1, 2, 46, 47)]
    ways += ["./" * more + ".." for more in range(26)] + [".//" * more + ".." for more in range(1, 18)]
    # What the host has as well: whoever overlooks the dots finds that.
    names = [f"{way}/proc/devices" for way in ways]
    result = lab.guest(lab.board(SMALL_NOR), ["badpaths", "slide", *names]).ok()
    wanted = [f"64 64 64 {name}" for name in names]
    same("\n".join(wanted) + "\n", result.out, "how often it is found")


@case("guest: a name that ends where memory does is asked about once, not at each call")
def name_at_the_edge(lab):
    result = lab.guest(lab.board(SMALL_NOR), ["badpaths", "edge"], options=("-strace",)).ok()
    asked = sum("futex" in line for line in result.err.splitlines())
    holds(1 <= asked <= 3, f"asked {asked} times\n{result.transcript()}")


@case("guest: the library's own descriptors lie in the room that a process begins with, above what programs count up to")
def own_descriptors(lab):
    # Linux lets a process with threads wait for a larger table, more than most programs take.
    words = ["nanddump", "-l", "2048", "-f", "/dev/null", "/dev/mtd0"]
    text = lab.guest(lab.board(SMALL_NAND), words, options=("-strace",)).ok().err
    numbers = [int(number) for number in re.findall(r"F_DUPFD_CLOEXEC,\d+\) = (\d+)", text)]
    holds(len(numbers) >= 5 and min(numbers) >= 40 and max(numbers) < 64, f"{numbers}")


@case("guest: flash can be used in a thread with 36 KiB of stack")
def small_stack(lab):
    for name, text, device in (("nor", SMALL_NOR, "/dev/mtd1"), ("nand", SMALL_NAND, "/dev/mtd0")):
        board = lab.board(text + ('ecc = "bch4"\n' if name == "nand" else ""), name)
        lab.guest(board, [SYSROOT / "bin/busybox", "head", "-c", "1", device]).ok()  # what is missing is made in a larger one
        lab.guest(board, ["smallstack", "36", device]).ok()


@case("guest: /proc/mtd of an empty board has only its header")
def empty_board(lab):
    result = lab.guest(lab.board("# nothing\n"), PROC)
    holds(result.out.splitlines()[:1] in (["dev:    size   erasesize  name"], []), result.transcript())
    holds(result.status < 128, result.transcript())


@case("image: cut while it is in use, it is an error with a line, not a wrong byte")
def cut_in_use(lab):
    board = lab.board(SMALL_NOR)
    # The shell opens the chip, the image is cut behind its back, and the shell itself reads on.
    script = "printf 'one\\ntwo\\n' > /dev/mtd0; "
    script += f"exec 3</dev/mtd0; read -r first <&3; : > {board.file('nor.bin')}; read -r second <&3 && echo went on; exit 0"
    result = lab.guest(board, ["sh", "-c", script]).ok()
    holds("went on" not in result.out, "a read of an image that is gone succeeded")
    result.says("it ends too early")


@case("image: replaced or deleted while it is in use, a write is EIO with a line, not lost in silence")
def replaced_in_use(lab):
    board = lab.board(SMALL_NOR)
    for change in ("cp {0} {0}.new; mv {0}.new {0}", "rm {0}"):
        script = "printf kept > /dev/mtd0; exec 3<>/dev/mtd0; " + change.format(board.file("nor.bin"))
        result = lab.guest(board, ["sh", "-c", script + "; printf lost >&3 && echo was written; exit 0"]).ok()
        result.says("image of chip nor: it was deleted or replaced while it was in use; end the programs")
        holds("was written" not in result.out, "a write into a file that is gone succeeded:\n" + result.transcript())
    holds(not board.file("nor.bin").exists(), "somebody made the image again")


@case("image: replaced while one program writes on and on, it is EIO within 1 MiB and a line at the latest when it closes")
def replaced_while_writing(lab):
    for number, (more, status) in enumerate(((2048, 1), (2, 0))):
        board = lab.board('[chip.nor]\ntype = "nor"\nsize = "4M"\n', f"board{number}")
        words = ["qemu-arm", "-L", SYSROOT, "-E", f"LD_PRELOAD={LIBRARY}", "-E", f"MTDSHIM={board.path}", SYSROOT / "bin/dd",
                 "of=/dev/mtd0", "bs=2k", "conv=notrunc"]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=host_environment(), bufsize=0)
        process.stdin.write(bytes(2048))
        end = time.monotonic() + 60
        while not (board.file("nor.bin").exists() and image(board, "nor")[:2048] == bytes(2048)):
            holds(time.monotonic() < end, "the first block did not arrive")
            time.sleep(0.02)
        board.file("new").write_bytes(image(board, "nor"))
        os.replace(board.file("new"), board.file("nor.bin"))
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(bytes(more * 1024))
        _, errors = process.communicate(timeout=60)
        holds(b"image of chip nor: it was deleted or replaced while it was in use" in errors, errors.decode())
        holds(process.returncode == status, f"dd ended with status {process.returncode}")


@case("side file: deleted or replaced while it is in use, a line says so")
def side_replaced_in_use(lab):
    board = lab.board(SMALL_NOR)
    for change in ("cp {0} {0}.new; mv {0}.new {0}", "rm {0}"):
        script = "exec 3<>/dev/mtd0; " + change.format(board.file("nor.mtdshim")) + "; printf kept >&3; exec 3>&-"
        lab.guest(board, ["sh", "-c", script]).ok().says("side file of chip nor: it was deleted or replaced while it was in use")
        holds(image(board, "nor")[:4] == b"kept", "the bytes did not arrive")


@case("mapped files: cut while they are in use, it is a line with the remedy, and no bus error")
def mapped_cut_in_use(lab):
    # A shell with a handler of its own, because signals then wait while flash is at work.
    script = "trap true USR1; printf one > /dev/mtd3; exec 3<>/dev/mtd3; : > {0}; printf more >&3; head -c 3 <&3; echo; echo lives"
    for name, words in (("nor.mtdshim", "nor.mtdshim: this file was cut"), (".mtdshim/board", ".mtdshim/board: this file was cut")):
        board = lab.board(SMALL_NOR, name.strip(".").replace("/", "-"))
        result = lab.guest(board, ["sh", "-c", script.format(board.file(name))], seconds=30)
        result.says(words).says("end the programs").says("lives")
        holds(result.status < 128, result.transcript())
        same("1", str(result.err.count("was cut")), "times it was said")
    board = lab.board(SMALL_NAND)
    script = "exec 3<>/dev/mtd1; : > {0}; flash_erase -q /dev/mtd1 0 1; head -c 2048 /dev/zero >&3".format(board.file("nand.mtdshim"))
    result = lab.guest(board, ["sh", "-c", script], seconds=30).says("delete it")
    holds(result.status < 128, result.transcript())
