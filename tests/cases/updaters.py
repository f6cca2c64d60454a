"""Updaters that firmware really ships, as Debian's armhf builds: flashrom, SWUpdate, the JFFS2 tools, a script for ash."""
import hashlib
import json
import random

from boards import BOTH, NAND_BLOCK, NAND_ROOTFS_AT, NOR_FIRMWARE_AT, SMALL_NOR, image
from cases.cli import tool
from harness import Board, CACHE, TESTS, case, holds, payload, same, want

ROOT = CACHE / "updaters-armhf"
REBOOTED = 88


def run(lab, board, *command, **options):
    want("updaters", ROOT, "tools/updaters")
    return lab.guest(board, [ROOT / command[0], *command[1:]], root=ROOT, **options)


def data(length, seed=0):
    return (payload()[seed:] + payload())[:length]


def without_bad_block(nand):
    """The rootfs partition as one reads it past block 1 of it, which is bad."""
    return nand[NAND_ROOTFS_AT:NAND_ROOTFS_AT + NAND_BLOCK] + nand[NAND_ROOTFS_AT + 2 * NAND_BLOCK:]


@case("flashrom (linux_mtd): write, verify, read back, erase")
def flashrom(lab):
    board = lab.board('[chip.nor]\ndriver = "spi-nor"\nsize = "128K"\nerasesize = "64K"\n')
    tool = lambda *words: run(lab, board, "usr/sbin/flashrom", "-p", "linux_mtd:dev=0", *words)
    new = data(128 << 10)
    lab.make_file("new", new)
    tool("-w", "new").ok().says("VERIFIED")
    holds(image(board, "nor") == new, "the image after flashrom -w")
    tool("-r", "back").ok()
    holds((lab.work / "back").read_bytes() == new, "what flashrom read")
    lab.make_file("other", new[:-1] + b"x")
    tool("-v", "other").fails().says("FAILED")
    tool("-E").ok()
    holds(set(image(board, "nor")) == {0xFF}, "the image after flashrom -E")


@case("flashrom (linux_mtd): write protection by MEMLOCK")
def flashrom_protection(lab):
    board = lab.board('[chip.nor]\ndriver = "spi-nor"\nsize = "256K"\nerasesize = "64K"\nlock = "block-protect-tb"\n')
    tool = lambda *words: run(lab, board, "usr/sbin/flashrom", "-p", "linux_mtd:dev=0", *words)
    tool("--wp-enable", "--wp-range=0x20000,0x20000").ok()
    tool("--wp-status").ok().says("start=0x00020000 length=0x00020000").says("mode: hardware")
    tool("--wp-disable", "--wp-range=0,0").ok()
    tool("--wp-status").ok().says("length=0x00000000")


DESCRIPTION = """software =
{
	version = "1.0.0";
	hardware-compatibility: [ "1.0" ];
	images: (
		{ filename = "kernel"; type = "flash"; mtdname = "firmware"; sha256 = "%(kernel)s"; },
		{ filename = "rootfs"; type = "flash"; mtdname = "rootfs"; sha256 = "%(rootfs)s"; },
		{ filename = "env"; type = "raw"; device = "/dev/mtdblock1"; sha256 = "%(env)s"; }
	);
	scripts: ( { filename = "script"; type = "shellscript"; sha256 = "%(script)s"; } );
}
"""
SCRIPT = b"""#!/bin/sh
echo "script: $1 on $(uname -m)"
[ "$1" != preinst ] || flash_erase -q /dev/mtd0 0 1
"""


def signed_update(lab, **members):
    """Debian builds SWUpdate for signed updates only, so one is signed, by the root's own openssl."""
    openssl = lambda *words: run(lab, None, "usr/bin/openssl", *words).ok()
    for name, content in members.items():
        lab.make_file(name, content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    lab.make_file("sw-description", (DESCRIPTION % sums).encode())
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key", "-out", "certificate",
            "-subj", "/CN=test", "-days", "30", "-addext", "extendedKeyUsage=emailProtection", "-config", "/dev/null")
    openssl("cms", "-sign", "-in", "sw-description", "-out", "sw-description.sig", "-signer", "certificate", "-inkey", "key",
            "-outform", "DER", "-nosmimecap", "-binary")
    lab.host([TESTS / "clients/make-swu", "update.swu", "sw-description", "sw-description.sig", *members]).ok()


@case("SWUpdate: a signed update by the handlers flash and raw, with a script")
def swupdate(lab):
    board = lab.board(BOTH)
    lab.make_file("old", b"old")
    run(lab, board, "bin/dd", "if=old", "of=/dev/mtd0").ok()
    new = {"kernel": data(200001), "rootfs": data(300000, 7), "env": data(65536, 9), "script": SCRIPT}
    signed_update(lab, **new)
    places = {"TMPDIR": lab.work}
    result = run(lab, board, "usr/bin/swupdate", "-v", "-H", "board:1.0", "-k", "certificate", "-i", "update.swu", env=places).ok()
    result.says("SWUpdate was successful").says("script: preinst on armv").says("script: postinst on armv")
    nor, nand = image(board, "nor"), image(board, "nand")
    holds(nor[NOR_FIRMWARE_AT:][:200001] == new["kernel"], "handler flash on NOR")
    holds(without_bad_block(nand)[:300000] == new["rootfs"], "handler flash on NAND, past the bad block")
    holds(nor[0x40000:0x50000] == new["env"], "handler raw on mtdblock")
    holds(nor[:3] == b"\xff" * 3, "the script's flash_erase")
    # An update that was changed on its way is refused before anything is touched.
    update = (lab.work / "update.swu").read_bytes().replace(new["rootfs"][:64], b"x" * 64)
    lab.make_file("update.swu", update)
    run(lab, board, "usr/bin/swupdate", "-H", "board:1.0", "-k", "certificate", "-i", "update.swu", env=places).fails()
    holds(image(board, "nor")[NOR_FIRMWARE_AT:][:200001] == new["kernel"], "a refused update changed the flash")


@case("JFFS2 tools: mkfs.jffs2, sumtool, cleanmarkers and jffs2dump over NOR and NAND")
def jffs2(lab):
    board = lab.board(BOTH)
    tree = lab.work / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "bin").mkdir()  # jffs2reader never finds what mkfs.jffs2 made first, version 0
    (tree / "etc/motd").write_bytes(b"hello\n")
    large = random.Random(4).randbytes(90000)  # more than an eraseblock, whatever compresses it
    (tree / "etc/large").write_bytes(large)
    tool = lambda *words: run(lab, board, "usr/sbin/" + words[0], *words[1:])
    for device, block, options in (("/dev/mtd3", "64KiB", []), ("/dev/mtd5", "128KiB", ["-n"])):
        tool("mkfs.jffs2", "-r", "tree", "-e", block, "-l", "-o", "made", *options, *(["-s", "2048"] if options else [])).ok()
        tool("sumtool", "-i", "made", "-o", "summed", "-e", block, "-l", *options).ok()
        tool("flash_erase", "-j", "-q", device, 0, 0)  # a NAND with a bad block says so, and goes on
        if options:
            tool("nandwrite", "-q", "-p", device, "summed").ok()
            tool("nanddump", "-q", "--bb=skipbad", "-f", "back", device).ok()
        else:
            tool("flashcp", "summed", device).ok()
            run(lab, board, "bin/dd", f"if={device}", "of=back", "bs=64k").ok()
        said = tool("jffs2dump", "-c", "back").ok().out
        holds("name motd" in said and (options or "Inode Sum" in said), f"jffs2dump does not find the tree:\n{said[:500]}")
        holds("crc" not in said.lower() and "wrong" not in said.lower(), f"jffs2dump finds damage:\n{said[:500]}")
        same("hello\n", tool("jffs2reader", "back", "-f", "/etc/motd").ok().out, "a file out of the chip")
        # (jffs2reader prints only the first page of a large file right, whatever the file lies on.)
        made = (lab.work / "summed").read_bytes()
        holds((lab.work / "back").read_bytes().startswith(made), f"{device} does not hold what was written")
    # The cleanmarker of a NAND lies in the spare area.
    spare = board.file("nand.oob").read_bytes()
    last = ((4 << 20) // 2048 - 64) * 64
    holds(b"\x85\x19\x03\x20" in spare[last:last + 64], f"no cleanmarker in {spare[last:last + 64].hex()}")


@case("a shell updater under the root's ash: by name, in pipes, past a bad block, to its reboot")
def shell_updater(lab):
    board = lab.board(BOTH)
    kernel, rootfs = data(300001), data(400000, 5)
    lab.make_file("kernel", kernel)
    lab.make_file("rootfs", rootfs)
    update = lambda: run(lab, board, "bin/sh", TESTS / "clients/update.sh", "kernel", "rootfs")
    result = update()
    result.says("kernel on mtd3, rootfs on mtd5").says("kernel verified after 1").says("rootfs verified").says("done")
    same(str(REBOOTED), str(result.status), "exit status\n" + result.transcript())
    nor = image(board, "nor")
    holds(nor[NOR_FIRMWARE_AT:][:len(kernel)] == kernel, "the kernel in the image")
    holds(without_bad_block(image(board, "nand"))[:len(rootfs)] == rootfs, "the rootfs in the image")
    same("boot=b try=1 ", nor[0x40000:0x4000d].replace(b"\0", b" ").decode(), "the flag in the image")
    lab.make_file("kernel", b"x" * (1 << 20))
    update().fails(1).says("do not fit")


@case("UBI tools: mtdshim ls shows the volumes of a UBI image that Debian's mkfs.ubifs and ubinize made")
def ubi_volumes(lab):
    made = lambda board, name, *words: run(lab, board, f"usr/sbin/{name}", *words)
    source = lab.work / "files"
    source.mkdir()
    (source / "hello").write_bytes(payload()[:50000])
    made(None, "mkfs.ubifs", "-r", source, "-m", "2048", "-e", "126976", "-c", "40", "-o", lab.work / "fs.ubifs").ok()
    lab.make_file("kernel", b"\x27\x05\x19\x56" + payload()[:200000])
    (lab.work / "ubi.ini").write_text(
        "[k]\nmode=ubi\nimage=kernel\nvol_id=0\nvol_size=256KiB\nvol_type=static\nvol_name=kernel\nvol_alignment=1\n"
        "[r]\nmode=ubi\nimage=fs.ubifs\nvol_id=1\nvol_size=4MiB\nvol_type=dynamic\nvol_name=rootfs\n"
        "[d]\nmode=ubi\nvol_id=4\nvol_size=1MiB\nvol_type=dynamic\nvol_name=data with space\nvol_flags=autoresize\n")
    made(None, "ubinize", "-o", "image.ubi", "-p", "128KiB", "-m", "2048", "ubi.ini").ok()
    board = str(lab.work / "nand")
    tool(lab, "new", board, "--size", "16M", "--type", "nand", "--erasesize", "128K", "--writesize", "2048", "--oobsize", "64",
         "--mtdparts", "nand0:1m(boot),-(ubi)").ok()
    tool(lab, "-b", board, "import", "ubi", "image.ubi").ok()
    boot, ubi = json.loads(tool(lab, "--json", "ls", board).ok().out)
    holds("volumes" not in boot and ubi["content"] == "UBI: kernel, rootfs, data with space", f"{boot}\n{ubi}")
    shown = [(one["id"], one["name"], one["type"], one["size"], one["reserved_blocks"], one["autoresize"], one["content"].split()[0])
             for one in ubi["volumes"]]
    leb = 126976
    same([(0, "kernel", "static", 3 * leb, 3, False, "uImage"), (1, "rootfs", "dynamic", 34 * leb, 34, False, "UBIFS"),
          (4, "data with space", "dynamic", 9 * leb, 9, True, "empty")], shown, "volumes")
    result = tool(lab, "ls", board).ok()
    result.says('UBI volumes of mtd1 "ubi":').says("data with space").says("grows at its first attach")
    # ubiformat alone makes no volumes.
    made(Board(board), "ubiformat", "-q", "-y", "/dev/mtd1").ok()
    tool(lab, "ls", board).ok().says("UBI, no volumes")
