"""Programs that the guest starts, and its ways out: each under the same emulator, none on the host."""
import os
import shutil
import subprocess
import time

from boards import BOTH, SMALL_NAND, SMALL_NOR
from harness import CACHE, CLIENTS, LIBRARY, SYSROOT, Skipped, case, holds, payload, same

CHILDREN = CLIENTS / "children"
REBOOT_STATUS = 88
OWN_VARIABLES = ("LD_PRELOAD", "MTDSHIM", "MTDSHIM_RUN")
GUEST_PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def guest(lab, *words, conf=BOTH, board=None, env=None, **more):
    return lab.guest(board or lab.board(conf), [CHILDREN, *words], env={**GUEST_PATH, **(env or {})}, **more)


@case("children: one started elsewhere finds the board that its parent made, also where MTDSHIM is set and empty")
def same_board(lab):
    script = "printf q > /dev/mtdblock1; cd /sys/class/mtd/mtd1; sh -c 'head -c 1 /dev/mtd1'; "
    script += f"cd {lab.directory}; sh -c 'head -c 1 /dev/mtd1'"
    result = lab.guest(lab.board(""), [SYSROOT / "bin/dash", "-c", script], env={"MTDSHIM": ""}).ok()
    same("qq", result.out, "what children read\n" + result.transcript())
    same(["mtdshim-flash"], os.listdir(lab.work), "boards")


@case("children: system() runs the root's shell and the root's flash tools")
def system(lab):
    data = payload()[:5000]
    lab.make_file("in", data)
    command = "uname -m && flash_erase -q /dev/mtd5 0 0 && nandwrite -q -p /dev/mtd5 in && nanddump -q -l 5000 -f out /dev/mtd5"
    result = guest(lab, "system", command).ok()
    holds(result.out.splitlines()[0] == "armv7l", f"the host's uname ran:\n{result.transcript()}")
    holds((lab.work / "out").read_bytes()[:5000] == data, "what nandwrite wrote did not come back")


@case("children: a script is run by the interpreter of the root")
def script(lab):
    lab.make_file("update", b"#!/bin/sh -e\nuname -m\necho \"$0 $1\"\nhead -1 /proc/mtd\n").chmod(0o755)
    lab.make_file("nested", b"#!./update\n").chmod(0o755)
    lab.make_file("plain", b"uname -m\n").chmod(0o755)
    listing = "dev:    size   erasesize  name\n"
    same("armv7l\n./update one\n" + listing + "exit 0\n", guest(lab, "start", "execve", "./update", "one").ok().out, "script")
    board = lab.board(BOTH, "other")
    same("armv7l\n./update ./nested\n" + listing + "exit 0\n", guest(lab, "start", "spawn", "./nested", board=board).ok().out, "nested")
    same("armv7l\nexit 0\n", guest(lab, "start", "execvp", "./plain", board=board).ok().out, "without a #! line")
    guest(lab, "start", "execve", "./plain", board=board).says("Exec format error (8)")


@case("children: the fifth of a shell is started as the first, also when the emulator's name has become another file's")
def later_children(lab):
    board = lab.board(SMALL_NOR)
    shutil.copy(shutil.which("qemu-arm"), lab.work / "emulator")
    lab.make_file("other", b"#!/bin/sh\necho wrong\n").chmod(0o755)
    tell = "busybox env -i /bin/busybox env | busybox grep -c MTDSHIM_RUN=; busybox env | busybox grep MTDSHIM_RUN="
    script = f"{tell}; {tell}; ({tell}); busybox mv other emulator; {tell}; uname -m; busybox wc -l </proc/mtd"
    emulator = [lab.work / "emulator", "-L", SYSROOT, "-E", f"LD_PRELOAD={LIBRARY}", "-E", f"MTDSHIM={board.path}"]
    lines = lab.host([*emulator, SYSROOT / "bin/sh", "-c", script], env=GUEST_PATH).ok().out.splitlines()
    same(["1", lines[1]] * 4 + ["armv7l", "5"], lines, "what the children say")


@case("children: every exec function starts the program under the same emulator")
def ways(lab):
    board = lab.board(SMALL_NOR)
    for way in ("execve", "execv", "execvp", "execvpe", "vfork", "fexecve", "syscall", "spawn", "spawnp"):
        result = guest(lab, "start", way, CHILDREN, "words", "a b", "", board=board)
        same(f"[{CHILDREN}]\n[words]\n[a b]\n[]", "\n".join(result.out.splitlines()[:4]), way)
        holds(result.out.endswith("exit 7\n"), f"{way}:\n{result.transcript()}")
    for way, count in (("execl", 5), ("execlp", 0), ("execle", 0)):
        result = guest(lab, "start", way, CHILDREN, "words", "x", "y", board=board)
        words = ["zero", "words", "x", "y"] + [str(number) for number in range(4, 4 + count)]
        same([f"[{word}]" for word in words], [line for line in result.out.splitlines() if line.startswith("[")], way)


@case("children: the environment arrives as it was passed, and a cleared one keeps the shim")
def environment(lab):
    def entries(*words, **more):
        lines = guest(lab, *words, **more).out.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)
    board = lab.board(SMALL_NOR)
    special = {"LD_LIBRARY_PATH": "/nowhere", "LD_BIND_NOW": "1", "QUOTED": "a b"}
    passed = entries("start", "execve", CHILDREN, "words", board=board, env=special)
    holds(all(passed.get(key) == value for key, value in special.items()), f"variables were lost: {passed}")
    for way in ("cleared", "execvpe", "execle"):
        left = entries("start", way, CHILDREN, "words", "1", "2", board=board)
        same(sorted(("ONLY",) + OWN_VARIABLES), sorted(left), f"environment after {way}")
    bare = entries("start", "cleared", CHILDREN, "words", board=board, env={"MTDSHIM_KEEP": "0"})
    same(["ONLY"], sorted(bare), "environment with MTDSHIM_KEEP=0")
    result = guest(lab, "system", "busybox env -i /bin/cat /proc/mtd", board=board).ok()
    holds('"u-boot"' in result.out, f"flash was lost behind env -i:\n{result.transcript()}")
    holds("wrong ELF class" not in result.err, result.transcript())
    guest(lab, "clearenv", "cat /proc/mtd", board=board).ok().says('"u-boot"')


@case("children: popen, pclose and statuses are those of a C library")
def pipes(lab):
    board = lab.board(SMALL_NOR)
    guest(lab, "popen", "cat /proc/mtd; exit 3", board=board).fails(3).says('pipe: mtd0: 00040000 00010000 "u-boot"')
    same("written\nexit 4\n", guest(lab, "popen-w", "cat; exit 4", board=board).fails(4).out, "popen for writing")
    guest(lab, "system", "exit 5", board=board).fails(5)
    guest(lab, "system", "kill -9 $$", board=board).says("signal 9")
    guest(lab, "system", "no-such-program", board=board).fails(127)
    guest(lab, "shell", board=board).ok().says("system(NULL) = 1")


@case("children: a program that only the host has is not run")
def host_programs(lab):
    board = lab.board(SMALL_NOR)
    result = guest(lab, "start", "execve", "/usr/bin/python3", "-c", "print('host')", board=board).fails(99)
    result.says("No such file or directory (2)").says("is not a program of the guest's root")
    lab.make_file("uname", open("/usr/bin/uname", "rb").read()).chmod(0o755)
    guest(lab, "start", "spawn", "./uname", board=board).fails(1).says("Exec format error")
    guest(lab, "start", "execve", "./uname", "-m", board=board, env={"MTDSHIM_HOST_PROGRAMS": "1"}).ok().says("x86_64")
    guest(lab, "system", "/bin/true", board=board, options=("-L", "/nonexistent"), root=SYSROOT)
    static = SYSROOT / "opt/static/bin/busybox"
    guest(lab, "start", "spawn", static, "head", "-c", "1", "/dev/mtd999", board=board).fails(1).says("is static")
    for status, name in ((99, "/nonexistent"), (99, "/etc/passwd"), (99, "/tmp")):
        guest(lab, "start", "execve", name, board=board).fails(status)


@case("children: a flash descriptor is inherited with its position")
def inherited(lab):
    board = lab.board(SMALL_NOR)
    lab.make_file("in", b"0123456789abcdef")
    guest(lab, "system", "dd if=in of=/dev/mtd1 bs=16 2>/dev/null", board=board).ok()
    read = "(dd bs=4 count=1; uname -m >&2; dd bs=4 count=1; cat | head -c 8) </dev/mtd1 2>err"
    same("0123456789abcdefexit 0\n", guest(lab, "system", read, board=board).ok().out, "three readers of one descriptor")
    guest(lab, "system", "exec 7>/dev/mtd2; (printf AB >&7); printf CD >&7", board=board).ok()
    same("ABCDexit 0\n", guest(lab, "popen", "head -c 4 /dev/mtd2", board=board).ok().out.removeprefix("pipe: "), "written by two")


@case("descriptors: a program, or its vfork child, that closes every descriptor it can find works on with flash")
def closes_everything(lab):
    works = "kept 4, new opens, write 4, read 4 abcd"
    ways = ("begin", "close loop", "/proc/self/fd", "close_range", "closefrom", "syscall", "vfork child 0", "after it",
            "vfork child 0", "after it")
    expected = [way if way.startswith("vfork") else f"{way}: {works}" for way in ways]
    same(expected, lab.guest(lab.board(SMALL_NOR), [CLIENTS / "closing"]).ok().out.splitlines(), "what works afterwards")


@case("descriptors: a program that uses flash may have every number for itself, also those of the library")
def takes_everything(lab):
    works = "kept 4, new opens, write 4, read 4 abcd"
    board = lab.board(SMALL_NOR)
    expected = [f"begin: {works}"]
    for way in ("taken", "again", "above", "in a child"):
        expected += [f"{way}: {works}", f"{way}: 60 numbers, 60 files"]
    expected.append(f"after it: {works}")
    for env in ({}, {"MTDSHIM_TRACE": str(lab.work / "trace")}):
        same(expected, lab.guest(board, [CLIENTS / "closing", "numbers"], env=env).ok().out.splitlines(), f"what works, {env}")
    trace = (lab.work / "trace").read_text()
    holds(trace.count("pwrite") >= len(expected) // 2, f"a write after each way is in the trace:\n{trace}")


@case("ways out: reboot ends the run with status 88, whoever asks for it")
def reboot(lab):
    board = lab.board(SMALL_NOR)
    for words in (["reboot"], ["reboot-syscall"], ["kill", "1", "15"], ["kill", "1", "12"],
                  ["reboot-in-child", f"{CHILDREN} reboot"], ["reboot-in-child", "busybox reboot -f"],
                  ["reboot-in-child", "busybox poweroff"], ["reboot-in-child", "sh -c 'kill -TERM 1'"]):
        result = guest(lab, *words, board=board, seconds=20)
        holds(result.status == REBOOT_STATUS, f"{words}:\n{result.transcript()}")
        result.says("the run ends here with exit status 88")
        holds("before" in result.out or words[0] == "kill", f"output was lost: {result.transcript()}")


@case("ways out: systemctl and loginctl are not started to end the host, by whatever words, and are for all else")
def systemd(lab):
    board = lab.board(SMALL_NOR)
    for name in ("systemctl", "loginctl"):
        lab.make_file(name, b"#!/bin/sh\necho started: $*\n").chmod(0o755)
    for words in ("systemctl -f -f reboot", "systemctl isolate reboot.target", "systemctl start --no-block poweroff.target",
                  "systemctl kexec", "loginctl poweroff"):
        result = guest(lab, "reboot-in-child", f"./{words}", board=board, seconds=20)
        holds(result.status == REBOOT_STATUS and "started" not in result.out, f"{words}:\n{result.transcript()}")
    for words in ("systemctl status reboot.service", "systemctl isolate multi-user.target", "loginctl list-sessions"):
        guest(lab, "system", f"./{words}", board=board).ok().says(f"started: {words.split(' ', 1)[1]}")


@case("ways out: a reboot ends everything the run has started, and nothing else")
def everything(lab):
    board = lab.board(SMALL_NOR)
    bystander = subprocess.Popen(["qemu-arm", "-L", SYSROOT, SYSROOT / "bin/sleep", "60"])
    # An orphan: its parent is gone before the reboot.
    lab.make_file("run", b"(sleep 61.25 &)\nsleep 61.25 &\nsleep 0.3\nbusybox reboot\n")
    result = guest(lab, "reboot-in-child", "sh ./run", board=board, seconds=20)
    holds(result.status == REBOOT_STATUS, result.transcript())
    time.sleep(0.2)
    left = subprocess.run(["pgrep", "-f", "61.25"], capture_output=True, text=True).stdout
    alive = bystander.poll() is None
    bystander.kill()
    bystander.wait()
    holds(not left, f"still running: {left}")
    holds(alive, "another program under the same emulator was ended")


@case("ways out: MTDSHIM_REBOOT=ignore reports and goes on")
def ignored(lab):
    board = lab.board(SMALL_NOR)
    env = {"MTDSHIM_REBOOT": "ignore"}
    guest(lab, "system", f"{CHILDREN} reboot; busybox reboot; echo after $?", board=board, env=env).ok().says("after 0").says("ignored")
    guest(lab, "reboot-cad", board=board).ok()
    result = guest(lab, "kill", "1", "1", board=board).ok()
    holds(not result.err, f"a signal without meaning was reported:\n{result.transcript()}")
    guest(lab, "kill", "-1", "0", board=board).fails(1).says("Operation not permitted")


@case("ways out: a watchdog takes keep-alives")
def watchdog(lab):
    expected = "open ok\nwrite 1\nkeepalive 0\nsupport 0 Software Watchdog 0x8180\nset 0 17\nget 0 17\nmagic 1\n"
    same(expected, guest(lab, "watchdog", conf=SMALL_NOR).ok().out, "watchdog")
    guest(lab, "system", "printf V >/dev/watchdog", board=lab.board(SMALL_NOR, "other")).ok()


@case("ways out: mounting flash is refused and says what is missing")
def mounts(lab):
    board = lab.board(BOTH)
    for source, kind in (("/dev/mtdblock3", "jffs2"), ("mtd:u-boot", "jffs2"), ("mtd3", "jffs2"), ("ubi0:rootfs", "ubifs"),
                         ("/dev/ubi0_0", "ubifs"), ("/dev/mtdblock3", "squashfs")):
        guest(lab, "mount", source, "/mnt", kind, board=board).fails(1).says("No such device").says("no file system driver")
    guest(lab, "umount", "/dev/mtdblock3", board=board).fails(1).says("Invalid argument").says("nothing of emulated flash is mounted")
    result = guest(lab, "mount", "tmpfs", "/nonexistent/x", "tmpfs", board=board).fails(1)
    holds("mtdshim" not in result.err, f"another mount was touched:\n{result.transcript()}")


STATIC_QEMU = CACHE / "qemu/11.1/usr/bin/qemu-arm"
# Magic and mask of little-endian ARM ELF programs.
REGISTER = (":arm:M::\\x7fELF\\x01\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\x28\\x00:"
            "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:")


@case("children: with binfmt_misc registered nothing is doubled")
def binfmt(lab):
    holds_namespace = lab.host(["unshare", "-Urmpf", "--mount-proc", "mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc"])
    if holds_namespace.status or not STATIC_QEMU.exists():
        raise Skipped("needs a kernel with binfmt_misc in user namespaces (6.7) and .cache/qemu/11.1")
    board = lab.board(BOTH)
    inner = f"{CHILDREN} system 'uname -m; tr \"\\\\0\" \" \" </proc/thread-self/cmdline; head -2 /proc/mtd'"
    for flag in ("F", "PF"):
        lab.make_file("enter", f"""
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 1
printf '%s' '{REGISTER}{STATIC_QEMU}:{flag}' >/proc/sys/fs/binfmt_misc/register || exit 1
export QEMU_LD_PREFIX={SYSROOT} QEMU_SET_ENV=LD_PRELOAD={LIBRARY},MTDSHIM={board.path}
{inner}
""".encode())
        result = lab.host(["unshare", "-Urmpf", "--mount-proc", "sh", lab.work / "enter"]).ok()
        holds(result.out.startswith("armv7l\n"), result.transcript())
        line = result.out.splitlines()[1]
        holds(line.count(str(STATIC_QEMU)) <= 1, f"an emulator runs the emulator: {line}")
        result.says('mtd0: 00040000 00010000 "u-boot"')
