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
cp "$1/mtd0" "$1/mtd60"
chmod 640 "$1"/mtd*
ln -s mtd0 "$1/firmware"
mount --move "$1" /dev
shift
set +e
"$@"
status=$?
echo "host: $(cat /dev/mtd0) $(cat /dev/mtdblock0) $(cat /dev/mtd60)$(find /dev -name 'mtd*' ! -perm 640)"
exit $status
"""
LINKS = {"absolute": "/dev/mtd0", "twice": "absolute", "relative": "../../../../../../../../dev/mtd0", "block": "/dev/mtdblock0"}


HOST = "host: host flash host flash host flash"


def on_stage(lab, board, script):
    """busybox or dash of the root with that script, on a host that has mtd0, mtdblock0 and mtd60."""
    stage = lab.directory / f"dev{len(list(lab.directory.iterdir()))}"
    stage.mkdir()
    result = lab.host(["unshare", "-rm", "sh", "-c", STAGE, "sh", stage, "qemu-arm", "-L", SYSROOT, "-E", f"LD_PRELOAD={LIBRARY}",
                       "-E", f"MTDSHIM={board.path}", SYSROOT / "bin/dash", "-c", script])
    if "unshare" in result.err or "mount" in result.err:
        raise Skipped("this machine allows no namespaces")
    same(HOST, result.out.splitlines()[-1], "the host's flash\n" + result.transcript())
    return result


@case("links: on a host that has flash, a link to a node opens ours and never the host's")
def links(lab):
    board = lab.board(SMALL_NOR)
    for name, target in LINKS.items():
        (lab.work / name).symlink_to(target)
    (lab.work / "directory").symlink_to("/dev")
    names = [*LINKS, lab.work / "absolute", "directory/mtd0", "/dev/firmware", "/proc/self/root/dev/mtd0"]
    script = "; ".join(f"head -c 4 {name} >> read; printf guest 1<> {name}; printf guest > {name}" for name in map(str, names))
    result = on_stage(lab, board, script + "; cat read; echo")
    holds("host" not in result.out.splitlines()[0], "the guest read the host's flash:\n" + result.transcript())
    same("guest", image(board, "nor")[:5].decode(), "our image\n" + result.transcript())


@case("links: on a host that has flash, stat, access and realpath of a link to a node show ours")
def looks(lab):
    board = lab.board(SMALL_NOR)
    for name, target in LINKS.items():
        (lab.work / name).symlink_to(target)
    (lab.work / "directory").symlink_to("/dev")
    names = [*LINKS, "directory/mtd0", "/dev/firmware"]
    script = "for n in " + " ".join(names) + "; do stat -L -c '%F %t %T' $n; [ -f $n ] && echo file; [ -r $n ] && [ -w $n ] && echo rw; "
    script += "[ -x $n ] && echo x; realpath $n; done; stat -c '%F' absolute directory/mtd0; readlink absolute; readlink directory/mtd0"
    expected = []
    for name in names:
        kind, node = ("block special file 1f", "mtdblock0") if name == "block" else ("character special file 5a", "mtd0")
        expected += [kind + " 0", "rw", f"/dev/{node}"]
    expected += ["symbolic link", "character special file", "/dev/mtd0"]
    same(expected + [HOST], on_stage(lab, board, script).out, "what the guest sees")
    script, expected = script.replace(" /dev/firmware;", ";"), expected[:-6] + expected[-3:]
    same(expected, lab.guest(board, [SYSROOT / "bin/dash", "-c", script]).out, "what it sees on another host")


@case("nodes: one that a program makes elsewhere leads to our flash, whatever the host would say to mknod")
def made(lab):
    script = ("set -e; busybox mknod n c 90 0; busybox mknod b b 31 0; mknod r c 90 1; cp -a /dev/mtd0 c; busybox cp -a /dev/mtdblock0 d; "
              "for n in n b r c d; do stat -L -c '%F %t %T' $n; [ -w $n ]; [ -z \"$(ls -lL $n 2>&1 >/dev/null)\" ]; done; chmod 600 n; chown 0:0 n; printf guest > n; "
              "for n in r b c d; do head -c 5 $n; done; busybox mknod n c 90 0 2>&- || echo; rm n b r c d")
    char, block = "character special file 5a 0", "block special file 1f 0"
    expected = [char, block, "character special file 5a 1", char, block, "guest" * 4]
    board = lab.board(SMALL_NOR)
    same([*expected, HOST], on_stage(lab, board, script).ok().out, "what the guest sees on a host with flash")
    same("guest", image(board, "nor")[:5].decode(), "our image")
    lab.guest(board, ["flash_erase", "-q", "/dev/mtd0", "0", "1"]).ok()
    same(expected, lab.guest(board, [SYSROOT / "bin/dash", "-c", script]).ok().out, "what it sees on another host")


@case("nodes: one without a device, or of a board that cannot be opened, is never the host's and never made")
def absent(lab):
    tries = "; ".join(f"(printf lost > {name}) 2> /dev/null && echo wrote {name}; (: < {name}) 2> /dev/null && echo read {name}; "
                      f"(: <> {name}) 2> /dev/null && echo opened {name}; [ -e {name} ] && echo saw {name}"
                      for name in ("/dev/mtd60", "/dev/mtd61", "/dev/mtdblock62", "/dev/mtd0"))
    result = on_stage(lab, lab.board(SMALL_NOR), tries + "; echo; ls /dev")
    same(["wrote /dev/mtd0", "read /dev/mtd0", "opened /dev/mtd0", "saw /dev/mtd0", ""], result.out.splitlines()[:5], "what can be opened")
    holds("mtd61" not in result.out and "mtdblock62" not in result.out, "a node was made:\n" + result.transcript())
    result = on_stage(lab, lab.board("[chip.nor]\nsize = \"1Q\"\n", "broken"), tries + "; exit 0").says("mtdshim.conf:2:")
    same([HOST], result.out, "what can be opened of a board that cannot")
