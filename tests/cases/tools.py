"""Programs that firmware carries: fw_printenv in both implementations, busybox' applets, mtd-utils, a vendor's updater."""
import hashlib

from boards import BOTH, NAND_BLOCK, NAND_ROOTFS_AT, NOR_FIRMWARE_AT, SMALL_NAND, SMALL_NOR, image
from harness import CACHE, CLIENTS, HOST_TOOL, SYSROOT, TESTS, case, holds, payload, same, want

UBOOT = CACHE / "uboot-env"
BUSYBOX = CACHE / "busybox-mtd/busybox"
ENV_NOR = "/dev/mtd1 0x0 0x4000 0x10000\n"
ENV_NOR_REDUNDANT = "/dev/mtd1 0x0 0x4000 0x10000\n/dev/mtd2 0x0 0x4000 0x10000\n"
# Two of the four blocks may be used; the first attempt meets the bad block 1.
ENV_NAND = "/dev/mtd0 0x20000 0x4000 0x20000 3\n"
SEED = "baudrate=115200\nbootcmd=run flash\n"


class Env:
    """One implementation of fw_printenv and fw_setenv on one configuration."""

    def __init__(self, lab, board, implementation, config):
        self.lab, self.board = lab, board
        if implementation == "u-boot":
            want("uboot-env", UBOOT, "tools/get-uboot-env")
        lab.make_file("fw_env.config", config.encode())
        lab.make_file("initial", SEED.encode())
        self.programs = {name: str(UBOOT / name if implementation == "u-boot" else SYSROOT / "usr/bin" / name)
                         for name in ("fw_printenv", "fw_setenv")}
        self.options = ["-c", "fw_env.config"]
        # Each has its own way of saying what an empty environment holds and where the lock file goes.
        self.options += ["-l", str(lab.work)] if implementation == "u-boot" else ["-f", "initial"]

    def set(self, name, value):
        return self.lab.guest(self.board, [self.programs["fw_setenv"], *self.options, name, value]).ok()

    def get(self, name):
        return self.lab.guest(self.board, [self.programs["fw_printenv"], *self.options, "-n", name]).ok().out.strip()


def round_trip(lab, board, implementation, config):
    env = Env(lab, board, implementation, config)
    for name, value in (("bootdelay", "3"), ("serverip", "192.0.2.7"), ("bootdelay", "5"), ("long", "x" * 5000)):
        env.set(name, value)
        same(value, env.get(name), f"{name} read back by {implementation}")
    same("192.0.2.7", env.get("serverip"), "a variable set earlier")
    return env


def register_environments():
    for implementation in ("libubootenv", "u-boot"):
        @case(f"fw_setenv ({implementation}): NOR")
        def on_nor(lab, implementation=implementation):
            board = lab.board(SMALL_NOR)
            round_trip(lab, board, implementation, ENV_NOR)
            holds(b"serverip=192.0.2.7\0" in image(board, "nor")[0x40000:0x44000], "the image does not hold the environment where it belongs")

        @case(f"fw_setenv ({implementation}): two copies on NOR, one erased by hand")
        def redundant(lab, implementation=implementation):
            board = lab.board(SMALL_NOR)
            env = round_trip(lab, board, implementation, ENV_NOR_REDUNDANT)
            env.set("bootdelay", "6")
            both = image(board, "nor")[0x40000:0x60000]
            holds(both.count(b"serverip=192.0.2.7\0") == 2, "not both copies were written")
            lab.guest(board, ["flash_erase", "-q", "/dev/mtd1", 0, 0]).ok()
            same("192.0.2.7", env.get("serverip"), "the environment from the copy that is left")

        @case(f"fw_setenv ({implementation}): NAND, past a bad block")
        def on_nand(lab, implementation=implementation):
            board = lab.board(SMALL_NAND)
            round_trip(lab, board, implementation, ENV_NAND)
            data = image(board, "nand")
            holds(b"serverip" not in data[NAND_BLOCK:2 * NAND_BLOCK], "the bad block was written")
            holds(b"serverip=192.0.2.7\0" in data[2 * NAND_BLOCK:3 * NAND_BLOCK], "the environment is not in the block after the bad one")


@case("fw_printenv: U-Boot's reads what libubootenv's wrote, and the other way round")
def implementations_agree(lab):
    board = lab.board(SMALL_NOR)
    ours, theirs = Env(lab, board, "libubootenv", ENV_NOR), Env(lab, board, "u-boot", ENV_NOR)
    ours.set("ethaddr", "02:00:00:00:00:01")
    same("02:00:00:00:00:01", theirs.get("ethaddr"), "U-Boot's fw_printenv")
    theirs.set("ethaddr", "02:00:00:00:00:02")
    same("02:00:00:00:00:02", ours.get("ethaddr"), "libubootenv's fw_printenv")


@case("busybox: dd, cat, md5sum, hexdump, head on NOR nodes see the image")
def busybox_nor(lab):
    board = lab.board(SMALL_NOR)
    data = payload()[:200000]
    lab.make_file("firmware", data)
    busybox = lambda *words, **more: lab.guest(board, [SYSROOT / "bin/busybox", *words], **more).ok()
    busybox("dd", "if=firmware", "of=/dev/mtd3", "bs=64k")
    whole = image(board, "nor")[NOR_FIRMWARE_AT:]
    same(data.decode(), whole[:len(data)].decode(), "the image after dd")
    holds(set(whole[len(data):]) == {0xFF}, "dd touched more than it wrote")
    for node in ("/dev/mtd3", "/dev/mtd3ro", "/dev/mtdblock3"):
        same(hashlib.md5(whole).hexdigest(), busybox("md5sum", node).out.split()[0], f"md5sum {node}")
        same(whole.decode("latin-1"), busybox("cat", node).out, f"cat {node}")
    same(data[:100].decode(), busybox("head", "-c", "100", "/dev/mtd3").out, "head")
    busybox("dd", "if=/dev/mtd3", "of=back", "bs=1000", "skip=3", "count=5")
    same(data[3000:8000].decode(), (lab.work / "back").read_text(), "dd with skip")
    dump = busybox("hexdump", "-C", "-n", "32", "/dev/mtd3").out.splitlines()
    same("00000000  " + " ".join(f"{byte:02x}" for byte in data[:8]), dump[0][:33], "hexdump")


@case("busybox: a block device takes overwriting without erase, and knows its size")
def busybox_block(lab):
    board = lab.board(SMALL_NOR)
    busybox = lambda *words: lab.guest(board, [SYSROOT / "bin/busybox", *words]).ok()
    for text in (b"first contents, long enough to be seen", b"second"):
        lab.make_file("in", text)
        busybox("dd", "if=in", "of=/dev/mtdblock3", "bs=512", "conv=notrunc")
    same(b"second".decode(), image(board, "nor")[NOR_FIRMWARE_AT:NOR_FIRMWARE_AT + 6].decode(), "the image after two writes")
    same(str((1 << 20) - NOR_FIRMWARE_AT), busybox("blockdev", "--getsize64", "/dev/mtdblock3").out.strip(), "blockdev --getsize64")


@case("busybox: ls and stat show device nodes")
def busybox_nodes(lab):
    board = lab.board(BOTH)
    listing = lab.guest(board, [SYSROOT / "bin/busybox", "ls", "-l", "/dev/mtd0", "/dev/mtd0ro", "/dev/mtdblock5"]).ok().out.splitlines()
    for line, (kind, number) in zip(listing, (("c", "90,   0"), ("c", "90,   1"), ("b", "31,   5"))):
        holds(line.startswith(kind + "rw") and number in line, f"ls says: {line}")
    names = lab.guest(board, [SYSROOT / "bin/busybox", "ls", "/dev"]).ok().out.split()
    holds({"mtd0", "mtd5", "mtd5ro", "mtdblock5"} <= set(names), f"ls /dev lists {names}")
    names = lab.guest(board, [SYSROOT / "bin/busybox", "ls", "/sys/class/mtd"]).ok().out.split()
    same(sorted(f"mtd{n}{s}" for n in range(6) for s in ("", "ro")), sorted(names), "ls /sys/class/mtd")


@case("mtd-utils: NAND partition with a bad block, written with OOB skipped, dumped back")
def nand_tools(lab):
    board = lab.board(SMALL_NAND)
    data = payload()[:300000]
    lab.make_file("rootfs", data)
    lab.guest(board, ["flash_erase", "/dev/mtd1", 0, 0]).says("Skipping bad block at 00020000")
    lab.guest(board, ["nandwrite", "-p", "/dev/mtd1", "rootfs"]).ok().says("Bad block")
    lab.guest(board, ["nanddump", "--bb=skipbad", "-f", "back", "/dev/mtd1"]).ok()
    same(data.decode(), (lab.work / "back").read_bytes()[:len(data)].decode(), "what nanddump read")
    flash = image(board, "nand")[NAND_ROOTFS_AT:]
    holds(flash[:NAND_BLOCK] == data[:NAND_BLOCK] and flash[2 * NAND_BLOCK:3 * NAND_BLOCK] == data[NAND_BLOCK:2 * NAND_BLOCK],
          "the bad block was not skipped in the image")


@case("busybox's flashcp, flash_eraseall, flash_lock, flash_unlock, nandwrite and nanddump, on NOR and past a bad block of NAND")
def flash_applets(lab):
    want("busybox-mtd", BUSYBOX, "tools/get-busybox-mtd")
    board, data = lab.board(SMALL_NOR.replace('"spi-nor"', '"cfi"\nlock = "per-block"') + SMALL_NAND), payload()[:300000]
    lab.make_file("firmware", data)

    def applet(*words, **more):
        return lab.guest(board, [BUSYBOX, *words], **more)

    applet("flashcp", "-v", "firmware", "/dev/mtd3").ok().says("Verifying kb")
    same(data.decode(), image(board, "nor")[NOR_FIRMWARE_AT:][:len(data)].decode(), "the image behind flashcp")
    applet("flash_eraseall", "-j", "-q", "/dev/mtd2").ok()
    same("851903200c000000b1b01ee4ffff", image(board, "nor")[0x50000:][:14].hex(), "a cleanmarker")
    applet("flash_lock", "/dev/mtd2", "0", "1").ok()
    applet("flash_eraseall", "-q", "/dev/mtd2").fails().says("Read-only file system")
    applet("flash_unlock", "/dev/mtd2").ok()
    applet("flash_eraseall", "-q", "/dev/mtd2").ok()
    same(b"\xff" * 0x10000, image(board, "nor")[0x50000:0x60000], "what was erased")

    applet("flash_eraseall", "-j", "/dev/mtd5").ok().says("Skipping bad block at 0x00020000")
    applet("nandwrite", "-p", "/dev/mtd5", "firmware").ok().says("Skipping bad block at 0x00020000")
    applet("nandwrite", "-p", "-s", "0x200000", "/dev/mtd5", stdin=data).ok()
    for start in (0, 0x200000):
        applet("nanddump", "--bb", "skipbad", "-s", start, "-l", 5 * NAND_BLOCK, "-f", "back", "/dev/mtd5").ok()
        same(data.decode(), (lab.work / "back").read_bytes()[:len(data)].decode(), f"what nanddump read from {start:#x}")
    flash = image(board, "nand")[NAND_ROOTFS_AT:]
    holds(flash[:NAND_BLOCK] == data[:NAND_BLOCK] and flash[2 * NAND_BLOCK:3 * NAND_BLOCK] == data[NAND_BLOCK:2 * NAND_BLOCK],
          "the bad block was not skipped in the image")


def update(lab, name, **records):
    """Packs an update file from NAME=bytes."""
    arguments = []
    for partition, data in records.items():
        lab.make_file(f"{name}.{partition}", data)
        arguments.append(f"{partition}={lab.work / (name + '.' + partition)}")
    lab.host([TESTS / "clients/make-update", name, *arguments]).ok()
    return name


@case("vendor updater: NOR and NAND by name in /proc/mtd, past a bad block")
def vendor(lab):
    board = lab.board(BOTH)
    firmware, rootfs = payload()[:300001], payload()[100000:500000]
    name = update(lab, "update.bin", firmware=firmware, rootfs=rootfs)
    for environment in ({}, {"VENDOR_FROM_BLOCK": "1"}):
        result = lab.guest(board, [CLIENTS / "vendor_update", name], env=environment).ok()
        result.says("update done").says("block 1 is bad, skipped")
        nor, nand = image(board, "nor"), image(board, "nand")
        holds(nor[NOR_FIRMWARE_AT:NOR_FIRMWARE_AT + len(firmware)] == firmware, "firmware is not in the NOR image")
        holds(set(nor[:NOR_FIRMWARE_AT]) == {0xFF}, "another NOR partition was touched")
        good = nand[NAND_ROOTFS_AT:NAND_ROOTFS_AT + NAND_BLOCK] + nand[NAND_ROOTFS_AT + 2 * NAND_BLOCK:]
        holds(good[:len(rootfs)] == rootfs, "rootfs is not in the NAND image")


@case("vendor updater: refuses before it touches anything")
def vendor_refuses(lab):
    board = lab.board(BOTH)
    lab.guest(board, [CLIENTS / "vendor_update", update(lab, "wrong", nosuch=b"x" * 100)]).fails(1).says('no partition "nosuch"')
    good = bytearray((lab.work / update(lab, "damaged", firmware=payload()[:1000])).read_bytes())
    good[500] ^= 1
    lab.make_file("damaged", bytes(good))
    lab.guest(board, [CLIENTS / "vendor_update", "damaged"]).fails(1).says("damaged")
    path = board.file("nor.bin")
    holds(not path.exists() or set(path.read_bytes()) == {0xFF}, "the flash was touched")


@case("without the library: the ioctl is unsupported")
def without(lab):
    node = lab.make_file("mtd0", bytes(65536))
    lab.guest(None, ["mtd_debug", "info", node], options=["-d", "unimp"]).says("Unsupported ioctl: cmd=0x").says("80204d01").says("Function not implemented")


register_environments()


@case("sysfs: a program started inside a device's directory reads its attributes")
def relative_attributes(lab):
    board = lab.board(SMALL_NOR)
    script = "cd /sys/class/mtd/mtd0 && cat writesize type && cd .. && pwd && cat mtd0/dev"
    result = lab.guest(board, ["busybox", "sh", "-c", script]).ok()
    same("1\nnor\n/sys/class/mtd\n90:0\n", result.out, "attributes by relative names")


@case("streams: what a program writes to an inherited standard output reaches the flash")
def inherited_output(lab):
    board = lab.board(SMALL_NOR)
    lab.guest(board, ["sh", "-c", "printf 'from the shell' > /dev/mtd1; head -c 4 /dev/zero > /dev/mtd2"]).ok()
    result = lab.guest(board, ["sh", "-c", "head -c 14 < /dev/mtd1; head -c 5 /dev/mtd2 | od -An -tx1"]).ok()
    same("from the shell 00 00 00 00 ff\n", result.out, "read back")


@case("streams: what streams and write() write to one open flash file by turns, also in a child, is all there, and no zeros with it")
def mixed_output(lab):
    for device in ("/dev/mtd1", "/dev/mtdblock2"):
        board = lab.board(SMALL_NOR, device.rsplit("/", 1)[1])
        lab.guest(board, ["reopen", "mixed", device]).ok()


@case("descriptors: what dprintf and its like write to flash lies between the writes before and after")
def formatted_output(lab):
    lab.guest(lab.board(SMALL_NOR), ["reopen", "formatted", "/dev/mtd1"]).ok()


@case("descriptors: no write is lost or done twice when another thread forks meanwhile, which shares its position")
def shared_meanwhile(lab):
    lab.guest(lab.board(SMALL_NOR), ["reopen", "threads", "/dev/mtd1"]).ok()


@case("aio: what is written to flash asynchronously is there, and what cannot be done so is refused")
def asynchronous(lab):
    for device, board in (("/dev/mtd1", SMALL_NOR), ("/dev/mtdblock1", SMALL_NOR)):
        lab.guest(lab.board(board, device[5:]), ["reopen", "aio", device]).ok()


@case("streams: freopen for writing keeps its stream, and its bytes arrive")
def reopened_for_writing(lab):
    board = lab.board(SMALL_NOR)
    lab.guest(board, ["reopen", "/dev/mtd1", "/dev/mtd2"]).ok()
    result = lab.guest(board, ["sh", "-c", "head -c 15 /dev/mtd1; head -c 14 /dev/mtd2"]).ok()
    same("standard outputanother stream", result.out, "read back")


@case("names: what another process has open is the same flash by its number below /proc, and openat2 knows nodes")
def below_proc(lab):
    board = lab.board(SMALL_NOR)
    script = "printf first > /dev/mtd1; exec 3<>/dev/mtd1; head -c 5 /proc/$$/fd/3; echo; printf later > /proc/$$/task/$$/fd/3; "
    script += "head -c 5 /proc/$$/fd/3; echo; readlink /proc/$$/fd/3; stat -L -c %F:%t:%T /proc/$$/fd/3; head -c 5 /dev/mtd1"
    # NOR: what is programmed twice is ANDed.
    anded = bytes(a & b for a, b in zip(b"first", b"later")).decode()
    expected = ["first", anded, "/dev/mtd1", "character special file:5a:2", anded]
    same(expected, lab.guest(board, [SYSROOT / "bin/dash", "-c", script]).ok().out, "what is seen")
    lab.guest(board, ["reopen", "openat2", "/dev/mtd1"]).ok().says("the device")


@case("names: every spelling of a node leads to it, wherever the dots and slashes stand in the name")
def spellings(lab):
    board = lab.board(SMALL_NOR)
    prefixes = ["/usr", "/bin", "/usr/bin", "/usr/lib/.."]
    ways = [f"{'/' * more}{'./' * dots}" for more in range(1, 9) for dots in range(4)]
    up = {prefix: "../" * (prefix.count("/") if not prefix.endswith("..") else 1) for prefix in prefixes}
    names = [f"{prefix}{way}{up[prefix]}dev/mtd0" for prefix in prefixes for way in ways]
    names += [f"{way}dev{way}mtd0" for way in ways]
    result = lab.guest(board, ["busybox", "stat", "-c", "%F %t:%T", *names])
    same("character special file 5a:0\n" * len(names), result.out, "what stat says of them\n" + result.err)
    # And such names of other things stay what they are.
    others = ["/usr/.x", "/usr/..x", "/usr/x.", "/usr/x./y", "/usr/x../y", "/usr/.", "/usr/..", "/usr//.x", "/usr/lib/..", "/usr/.../x"]
    plain = lab.guest(None, ["busybox", "stat", "-c", "%F", *others])
    shim = lab.guest(board, ["busybox", "stat", "-c", "%F", *others])
    same(plain.out + plain.err, shim.out + shim.err, "what stat says of other names")


@case("names: relative ones lead to flash from every directory, whatever was current before; so do long ones")
def relative(lab):
    looks = {"/tmp": "../dev/mtd0", "/": "dev/mtd0", "/usr/lib": "../../dev/mtd0", "/dev": "mtd0", "/proc": "../dev/mtd0", "/sys/class/mtd": "../../../dev/mtd0"}
    reads = {"/tmp": "../proc/mtd", "/": "proc/mtd", "/dev": ".././proc/mtd", "/proc": "mtd", "/sys/class/mtd/mtd0": "size"}
    script, wanted = "", []
    for first in looks:
        # A name that is not ours is looked at in each directory before.
        script += f"cd {first}; [ -e . ]; [ -e nothing ]; read -r x < nothing; "
        for directory, name in looks.items():
            script += f"cd {directory}; [ -e . ]; [ -c {name} ] && echo {first} {name}; "
            wanted.append(f"{first} {name}")
        for directory, name in reads.items():
            script += f"cd {directory}; [ -e . ]; read -r x < {name}; echo \"$x\"; "
            wanted.append(str(256 << 10) if name == "size" else "dev:    size   erasesize  name")
    for length in (20, 120, 124, 500):
        script += f"[ -c /usr/{'./' * length}../dev/mtd0 ] && echo {length}; "
        wanted.append(str(length))
    result = lab.guest(lab.board(SMALL_NOR), [SYSROOT / "bin/dash", "-c", script])
    same("\n".join(wanted) + "\n", result.out, "what a shell finds\n" + result.err)


@case("names: a directory that held nothing of ours, and is replaced by a link to /dev, is looked at anew")
def replaced_directory(lab):
    script = "mkdir d d/e; for i in 1 2 3; do [ -c d/mtd0 ]; [ -c d/e/mtd0 ]; [ -c $PWD/d/mtd0 ]; done; rm -r d; ln -s /dev d; "
    script += "for name in d/mtd0 d/./mtd0 $PWD/d/mtd0; do [ -c $name ] && echo found; done; rm d; mkdir d; [ -e d/mtd0 ] || echo gone; "
    script += "ln -s $PWD/none f; [ -c f ]; ln -s /dev/mtd1 none; [ -c f ] && echo f"
    result = lab.guest(lab.board(SMALL_NOR), [SYSROOT / "bin/dash", "-c", script], env={"PATH": "/bin"})
    same("found\nfound\nfound\ngone\nf\n", result.out, "what a shell finds\n" + result.err)


@case("names: one that is missing costs two system calls more, one that is there none")
def missing_is_cheap(lab):
    board = lab.board(SMALL_NOR)
    there = lab.make_file("there", b"x")
    lab.guest(board, ["busybox", "cat", "/proc/mtd"]).ok()  # compiled before anything is counted

    def calls(name, times):
        script = f"cd {there.parent}; i=0; while [ $i -lt {times} ]; do [ -e {name} ]; i=$((i+1)); done"
        return len(lab.guest(board, [SYSROOT / "bin/dash", "-c", script], options=("-strace",)).err.splitlines())
    for name, most in ((there.parent / "nothing", 3), ("nothing", 3), ("there", 1), (there, 1)):
        more = calls(name, 50) - calls(name, 10)
        holds(more == most * 40, f"{more} system calls for {name}, forty times")


@case("names: a relative one is flash's in a directory that the program entered by a bare system call, or nftw for it")
def unheard(lab):
    lab.guest(lab.board(SMALL_NOR), ["reopen", "unheard", "mtd1"]).ok()


@case("bad blocks: marks are written and looked for in the pages that the chip's maker uses")
def mark_pages(lab):
    block_pages, spare = 64, 64
    chip = '[chip.nand]\nsize = "4M"\nerasesize = "128K"\nwritesize = 2048\noobsize = 64\necc = "none"\n'
    for number, (kind, wanted) in enumerate([
        ('type = "nand"', [0]),
        ('type = "nand"\nbad_block_marks = "first-second"', [0, 1]),
        ('type = "nand"\nbad_block_marks = "first-second-last"', [0, 1, 63]),
        ('type = "mlc-nand"\nbad_block_marks = "last"', [63]),
        ('preset = "k9f1g08"', [0, 1]),
        ('preset = "s34ml01g1"', [0, 1, 63]),
    ]):
        board = lab.board(f"{chip}{kind}\n", f"board{number}")
        # A dump: block 1 is marked in its second page, block 2 in its last, block 3 in its first.
        oob = bytearray(b"\xff" * (4 << 20 >> 11) * spare)
        for page in (block_pages + 1, 2 * block_pages + 63, 3 * block_pages):
            oob[page * spare] = 0
        board.path.joinpath("nand.oob").write_bytes(oob)
        board.path.joinpath("nand.bin").write_bytes(b"\xff" * (4 << 20))
        found = lab.guest(board, ["busybox", "cat", "/sys/class/mtd/mtd0/bad_blocks"]).ok().out
        same(f"{len(wanted)}\n", found, f"{kind}: bad blocks of the dump")
        lab.guest(board, ["differences", "mark_bad", "/dev/mtd0"]).ok()
        oob = board.file("nand.oob").read_bytes()
        marked = [page for page in range(block_pages) if oob[(5 * block_pages + page) * spare] == 0]
        same(wanted, marked, f"{kind}: marked pages")
        lab.host([HOST_TOOL, "-b", board.path, "check"]).ok()
