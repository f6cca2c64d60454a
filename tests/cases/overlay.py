"""rootfs-overlay copied over a firmware's root, used in place as README says."""
import shutil

from harness import LIBRARY, SYSROOT, TOP, case, holds, payload, same


def firmware_root(lab):
    """A firmware's root tree with the overlay over it."""
    root = lab.directory / "rootfs"
    shutil.copytree(SYSROOT, root, symlinks=True, ignore=shutil.ignore_patterns("doc", "man", "locale", "gconv", "opt"))
    shutil.copytree(TOP / "rootfs-overlay", root, symlinks=True, dirs_exist_ok=True)
    holds((root / "usr/lib/libmtdshim.so").read_bytes() == LIBRARY.read_bytes(), "rootfs-overlay does not hold the built library: make lib")
    return root


def in_root(lab, root, command, **more):
    words = ["qemu-arm", "-L", root, "-E", "LD_PRELOAD=/usr/lib/libmtdshim.so", *command]
    return lab.host(words, **more)


@case("overlay: programs of the root see the flash of its /etc/mtdshim.conf")
def in_place(lab):
    root = firmware_root(lab)
    listing = in_root(lab, root, [root / "bin/busybox", "cat", "/proc/mtd"]).ok().out
    same("dev:    size   erasesize  name", listing.splitlines()[0], "/proc/mtd")
    holds('"u-boot"' in listing and '"nand-data"' in listing, f"not the sample's partitions:\n{listing}")
    data = payload()[:100000]
    lab.make_file("kernel", data)
    in_root(lab, root, [root / "usr/sbin/flashcp", "kernel", "/dev/mtd2"]).ok()
    image = (root / "etc/nor0.bin").read_bytes()
    holds(len(image) == 16 << 20 and image[0x50000:0x50000 + len(data)] == data, "the image beside the configuration does not hold the kernel")
    in_root(lab, root, [root / "usr/sbin/mtdinfo", "/dev/mtd4"]).ok().says("nand-kernel")


@case("overlay: a copy of the root, moved elsewhere, keeps its flash")
def moved(lab):
    root = firmware_root(lab)
    lab.make_file("in", b"kept")
    in_root(lab, root, [root / "bin/busybox", "dd", "if=in", "of=/dev/mtd1"]).ok()
    other = lab.directory / "elsewhere"
    root.rename(other)
    same("kept", in_root(lab, other, [other / "bin/busybox", "head", "-c", "4", "/dev/mtd1"]).ok().out, "the flash after the move")


@case("overlay: a static program cannot be reached, and nothing pretends otherwise")
def static(lab):
    root = firmware_root(lab)
    result = in_root(lab, root, [SYSROOT / "opt/static/bin/busybox", "cat", "/dev/mtd0"])
    holds(result.status == 1 and "No such file" in result.err, result.transcript())
