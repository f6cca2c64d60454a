"""Where flash hangs in sysfs: names below a parent, walks up and down from it. The recordings compare the single answers."""
from boards import PARENT, PARENT_NOR, SMALL_NOR
from harness import SYSROOT, case, holds, same

RAM = '[chip.ram]\ndriver = "mtdram"\nsize = "1M"\nerasesize = "64K"\n'
MTD0 = "/sys/class/mtd/mtd0"
NODE = "/sys/firmware/devicetree/base/soc/spi@2008000/flash@0"


def shell(lab, board, script):
    return lab.guest(board, ["busybox", "sh", "-c", script])


@case("sysfs: links lead from a device to its parent, bus, driver and node, and back down by other names")
def links(lab):
    board = lab.board(PARENT_NOR + RAM)
    places = {
        MTD0: f"{PARENT}/mtd/mtd0", f"{MTD0}/device": PARENT, f"{MTD0}ro/device": PARENT, f"{MTD0}/device/driver": "/sys/bus/spi/drivers/spi-nor",
        f"{MTD0}/device/subsystem": "/sys/bus/spi", f"{MTD0}/subsystem": "/sys/class/mtd", f"{MTD0}/device/of_node": NODE,
        f"{MTD0}/of_node": f"{NODE}/partitions/partition@0", "/sys/dev/char/90:2": f"{PARENT}/mtd/mtd1", f"{PARENT}/mtd": f"{PARENT}/mtd",
        "/sys/dev/block/31:1": f"{PARENT}/mtd/mtd1/mtdblock1", "/sys/block/mtdblock0/device": f"{PARENT}/mtd/mtd0",
        "/sys/class/mtd/mtd2": "/sys/devices/virtual/mtd/mtd2",
    }
    for reader in (["busybox", "readlink", "-f"], ["readlink", "-f"], ["realpath"]):
        same(places, {name: lab.guest(board, [*reader, name]).ok().out.strip() for name in places}, " ".join(reader))
    result = shell(lab, board, f"cat {MTD0}/device/mtd/mtd1/size {PARENT}/mtd/mtd0/mtdblock0/size /sys/block/mtdblock1/device/name").ok()
    same("786432\n512\nrest\n", result.out, "attributes by names through links")
    missing = shell(lab, board, f"cat /sys/devices/virtual/mtd/mtd0/size {PARENT}/mtd/mtd2/size {PARENT}/nosuch; ls {MTD0}/device/mtd2")
    same(("", 4), (missing.out, missing.err.count("No such file or directory")), "names that no kernel has")


@case("sysfs: uevent tells of the node in the device tree, of a device by its own and of its parent by that one's")
def uevents(lab):
    board = lab.board(PARENT_NOR)
    text = shell(lab, board, f"cat {MTD0}/uevent {MTD0}/device/uevent; tail -n 1 /sys/class/mtd/mtd1/uevent /sys/class/mtd/mtd0ro/uevent").ok().out
    same(["MAJOR=90", "MINOR=0", "DEVNAME=mtd0", "DEVTYPE=mtd", "OF_NAME=partition",
          "OF_FULLNAME=/soc/spi@2008000/flash@0/partitions/partition@0", "OF_COMPATIBLE_N=0",
          "DRIVER=spi-nor", "OF_NAME=flash", "OF_FULLNAME=/soc/spi@2008000/flash@0", "OF_COMPATIBLE_N=0", "MODALIAS=spi:spi-nor",
          "==> /sys/class/mtd/mtd1/uevent <==", "DEVTYPE=mtd", "", "==> /sys/class/mtd/mtd0ro/uevent <==", "DEVNAME=mtd0ro"],
         text.splitlines(), "the texts")
    refused = shell(lab, board, f"echo add > {PARENT}/uevent; cat {PARENT}/uevent | wc -l")
    holds("Permission denied" in refused.err and refused.out.split() == ["5"], f"writing to a parent's uevent: {refused.transcript()}")


@case("sysfs: who walks up or down through a parent meets directories all the way")
def walks(lab):
    board = lab.board(PARENT_NOR)
    up = "; do cd ..; pwd; test -e uevent && echo uevent; test -e subsystem && readlink subsystem; done"
    result = shell(lab, board, f"cd {MTD0}/device; cd -P mtd/mtd0; pwd; for i in 1 2 3 4 5 6{up}")
    parts = PARENT.split("/")
    wanted = [f"{PARENT}/mtd/mtd0", f"{PARENT}/mtd", PARENT, "uevent", "../../../../../../../bus/spi",
              *("/".join(parts[:-up_by]) for up_by in range(1, 5))]
    same(wanted, result.out.splitlines(), "on the way up")
    for name in ("/".join(parts[:end]) for end in range(4, len(parts) + 1)):
        shell(lab, board, f"test -d {name} && test -x {name} && ls -ld {name} && ls {name}/ && cd {name}").ok()
    listing = shell(lab, board, f"ls -l {MTD0}/device/mtd/; ls -l {MTD0}/device/; ls {MTD0}/device/mtd/mtd1").ok().out
    holds(all(f" {name}\n" in listing for name in ("mtd0", "mtd0ro", "mtd1", "mtd1ro", "uevent")), listing)
    found = lab.guest(board, ["busybox", "find", "/sys/class/mtd/", "-follow", "-maxdepth", "3", "-name", "erasesize"]).ok().out.split()
    holds(f"{MTD0}/erasesize" in found and "/sys/class/mtd/mtd1/erasesize" in found, f"find -follow: {found}")


@case("sysfs: what the system has of its own stays, with a parent in the configuration or without")
def own(lab):
    for number, configuration in enumerate((SMALL_NOR, PARENT_NOR)):
        board = lab.board(configuration, f"b{number}")
        result = shell(lab, board, "ls -d /sys/devices/system/cpu /sys/devices/virtual; ls /sys/devices; test -e /sys/devices/nosuch || echo no")
        plain = lab.guest(None, ["busybox", "ls", "/sys/devices"]).ok().out
        same(f"/sys/devices/system/cpu\n/sys/devices/virtual\n{plain}no\n", result.out, "the system's own devices")
        there = shell(lab, board, f"test -e {PARENT}").status == 0
        holds(there == (number == 1), f"the parent is there: {there}")


@case("sysfs: a new parent in the configuration is seen by the next program")
def another(lab):
    board = lab.board(PARENT_NOR)
    for name in (PARENT, PARENT.replace("soc", "ahb")):
        board.path.joinpath("mtdshim.conf").write_text(PARENT_NOR.replace(PARENT, name))
        same(f"{name}/mtd/mtd0\n", lab.guest(board, ["busybox", "readlink", "-f", MTD0]).ok().out, "where mtd0 is")


@case("sysfs: a parent that cannot be is a mistake in the configuration")
def mistakes(lab):
    for number, name in enumerate(("/dev/x", "/sys/devices/", "/sys/devices/a/../b", "/sys/devices//a", "/sys/devices/a/", "/sys/devices/" + "a" * 250)):
        board = lab.board(PARENT_NOR.replace(PARENT, name), f"b{number}")
        result = lab.guest(board, ["busybox", "cat", f"{MTD0}/name"])
        holds(result.status != 0 and "mtdshim.conf:6: parent " in result.err, f"{name}: {result.transcript()}")


@case("sysfs: mtdinfo finds a chip below its parent")
def mtdinfo(lab):
    listing = lab.guest(lab.board(PARENT_NOR + RAM), [str(SYSROOT / "usr/sbin/mtdinfo"), "-a"]).ok().out
    same(["u-boot", "rest", "mtdram test device"], [line.split(None, 1)[1] for line in listing.splitlines() if line.startswith("Name:")], "names")


@case("sysfs: a text that is named as a directory is refused, and nothing of it stays open")
def texts_as_directories(lab):
    loop = "for i in 1 2 3 4 5; do true < $name/; done; ls /proc/$$/fd | wc -l"
    board = lab.board(SMALL_NOR)
    for name in (f"{MTD0}/size", "/proc/mtd"):
        result = shell(lab, board, f"name={name}; {loop}; {loop}").ok()
        holds(len(set(result.out.split())) == 1 and result.err.count("can't open") == 10, f"{name}: after five tries and ten: {result.transcript()}")


@case("sysfs: cp and install copy an attribute or /proc/mtd, no more and no less of it")
def copied(lab):
    board = lab.board(SMALL_NOR)
    names = ["/proc/mtd", "/proc/devices", "/sys/class/mtd/mtd1/name", "/sys/class/mtd/mtd1/bitflip_threshold", "/sys/block/mtdblock1/stat"]
    for name in names:
        text = lab.guest(board, ["busybox", "cat", name]).ok().out
        for words in (["cp", name, "copy"], ["cp", "-a", name, "copy"], ["install", name, "copy"], ["busybox", "cp", name, "copy"]):
            result = lab.guest(board, words).ok()
            same(text, (lab.work / "copy").read_text(), f"the copy by {' '.join(words)}\n{result.transcript()}")
            (lab.work / "copy").unlink()
    # What tells that they are the files that cp has looked at.
    script = "for n in " + " ".join(names) + "; do stat -c '%d %i %s' $n; stat -c '%d %i %s' - < $n; done"
    numbers = lab.guest(board, [SYSROOT / "bin/dash", "-c", script]).ok().out.splitlines()
    same(numbers[0::2], numbers[1::2], "device, inode and size by name and of the open file")
