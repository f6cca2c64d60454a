"""A host with flash of its own: no name, and no link, of a guest leads there."""
from boards import SMALL_NOR, image
from harness import LIBRARY, SYSROOT, Skipped, case, holds, same

# A /dev of the test's own, in which the host's flash is a plain file.
STAGE = """
set -e
mount -t tmpfs none "$1"
for name in null zero urandom; do touch "$1/$name"; mount --bind "/dev/$name" "$1/$name"; done
printf 'host flash' > "$1/mtd0"
cp "$1/mtd0" "$1/mtdblock0"
ln -s mtd0 "$1/firmware"
mount --move "$1" /dev
shift
set +e
"$@"
status=$?
echo "host: $(cat /dev/mtd0) $(cat /dev/mtdblock0)"
exit $status
"""
LINKS = {"absolute": "/dev/mtd0", "twice": "absolute", "relative": "../../../../../../../../dev/mtd0", "block": "/dev/mtdblock0"}


@case("links: on a host that has flash, a link to a node opens ours and never the host's")
def links(lab):
    board = lab.board(SMALL_NOR)
    for name, target in LINKS.items():
        (lab.work / name).symlink_to(target)
    (lab.work / "directory").symlink_to("/dev")
    names = [*LINKS, lab.work / "absolute", "directory/mtd0", "/dev/firmware", "/proc/self/root/dev/mtd0"]
    script = "; ".join(f"head -c 4 {name} >> read; printf guest 1<> {name}; printf guest > {name}" for name in map(str, names))
    stage = lab.directory / "dev"
    stage.mkdir()
    result = lab.host(["unshare", "-rm", "sh", "-c", STAGE, "sh", stage, "qemu-arm", "-L", SYSROOT, "-E", f"LD_PRELOAD={LIBRARY}",
                       "-E", f"MTDSHIM={board.path}", SYSROOT / "bin/dash", "-c", script + "; cat read; echo"])
    if "unshare" in result.err or "mount" in result.err:
        raise Skipped("this machine allows no namespaces")
    same("host: host flash host flash", result.out.splitlines()[-1], "the host's flash\n" + result.transcript())
    holds("host" not in result.out.splitlines()[0], "the guest read the host's flash:\n" + result.transcript())
    same("guest", image(board, "nor")[:5].decode(), "our image\n" + result.transcript())
