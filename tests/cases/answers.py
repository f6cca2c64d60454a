"""Rules of the configuration that answer for devices other than flash: through real programs under qemu-arm."""
import json
import os

import boards
from harness import CLIENTS, case, holds, same

RULES = """
[[answer]]
path = "/dev/gpio-vendor"
command = 0x40046701
argument = 5
return = 55

[[answer]]
path = "/dev/gpio-vendor"
command = 0x40046701

[[answer]]
path = "/dev/gpio-vendor"
command = 0x80046702
data = "01 02"
offset = 3

[[answer]]
path = "/dev/gpio-vendor"
command = 0x80046703
errno = "EBUSY"
[[answer.step]]
return = 7
[[answer.step]]
errno = 5

[[answer]]
path = "/dev/gpio-vendor"
command = 0x80046704
cycle = true
return = 1
[[answer.step]]
return = 2

[[answer]]
path = "/dev/sensor*"
command = "read"
text = "abcdef"
[[answer.step]]
text = "xy"

[[answer]]
path = "/dev/sensor*"
command = "*"
return = 9

[[answer]]
path = "/dev/misc/busy"
command = "open"
errno = "EBUSY"

[[answer]]
path = "/dev/full-disk"
command = "write"
return = 2
[[answer.step]]
errno = "ENOSPC"
"""


def board_with(lab, rules=RULES, name="board"):
    return lab.board(boards.SMALL_NOR + rules, name)


def client(lab, board, path, *operations, **more):
    return lab.guest(board, [CLIENTS / "answers", path, *operations], **more)


def says(lab, board, path, operations, *lines, **more):
    same("\n".join(lines) + "\n", client(lab, board, path, *operations, **more).ok().out, f"{path} {' '.join(operations)}")


@case("answers: a device that has a rule and does not exist opens, looks like a character device, and keeps its name")
def exists(lab):
    board = board_with(lab)
    looks = "mode 020600 rdev 240:0 size 0"
    for spelling in "oOkF":
        says(lab, board, "/dev/gpio-vendor", ["s", "L", "a", spelling, "S", "n", "c"], f"s: {looks}", f"L: {looks}", "a: 0",
             f"{spelling}: 0", f"S: {looks}", "n: /dev/gpio-vendor", "c: 0")
    says(lab, board, "/dev/../dev//./gpio-vendor", ["o"], "o: 0")
    says(lab, board, "/dev/gpio-other", ["o", "s", "a"], "o: -1 errno 2", "s: -1 errno 2", "a: -1 errno 2")
    says(lab, board, "/dev/misc/busy", ["o"], "o: -1 errno 16")
    holds(not (lab.work / "gpio-vendor").exists(), "a file was made")


@case("answers: a rule gives value, errno, bytes behind the pointer, and fits an argument; what no rule answers is ENOTTY")
def commands(lab):
    board = board_with(lab)
    for by in "iI":
        says(lab, board, "/dev/gpio-vendor", ["o", f"{by}:0x40046701:n5", f"{by}:0x40046701:n6", f"{by}:0x80046702:b", f"{by}:0x80046702:x",
             f"{by}:0x80046799:b"],
             "o: 0", f"{by}:0x40046701:n5: 55", f"{by}:0x40046701:n6: 0", f"{by}:0x80046702:b: 0 eeeeee0102eeeeee",
             f"{by}:0x80046702:x: -1 errno 14", f"{by}:0x80046799:b: -1 errno 25 eeeeeeeeeeeeeeee")


@case("answers: no device is a terminal because of a rule for every command")
def no_terminal(lab):
    board = board_with(lab)
    says(lab, board, "/dev/sensor1", ["o", "i:0x1234:n0", "i:0x5401:b"], "o: 0", "i:0x1234:n0: 9", "i:0x5401:b: -1 errno 25 eeeeeeeeeeeeeeee")


@case("answers: the next answer goes to whoever asks next: duplicate, forked child, new program, another run")
def steps(lab):
    board = board_with(lab)
    says(lab, board, "/dev/gpio-vendor", ["o", "i:0x80046703:n0", "d", "f", "i:0x80046703:n0", "e", "i:0x80046703:n0", "i:0x80046704:n0"],
         "o: 0", "i:0x80046703:n0: -1 errno 16", "i:0x80046703:n0: 7", "i:0x80046703:n0: -1 errno 5", "i:0x80046704:n0: 1")
    says(lab, board, "/dev/gpio-vendor", ["o", "i:0x80046703:n0", "i:0x80046704:n0", "i:0x80046704:n0"],
         "o: 0", "i:0x80046703:n0: -1 errno 5", "i:0x80046704:n0: 2", "i:0x80046704:n0: 1")
    conf = board.file("mtdshim.conf")
    conf.write_text(conf.read_text() + "# changed: a reboot\n")
    says(lab, board, "/dev/gpio-vendor", ["o", "i:0x80046703:n0"], "o: 0", "i:0x80046703:n0: -1 errno 16")


@case("answers: reads go through the answers and end, writes are swallowed or answered")
def transfers(lab):
    board = board_with(lab)
    says(lab, board, "/dev/sensor0", ["o", "r:4", "d", "r:4", "e", "r:9", "r:9", "l", "r:9", "w:on"],
         "o: 0", "r:4: 4 'abcd'", "r:4: 2 'ef'", "r:9: 2 'xy'", "r:9: 0 ''", "l: 0", "r:9: 2 'xy'", "w:on: 2")
    says(lab, board, "/dev/gpio-vendor", ["o", "r:9", "p:9", "w:on"], "o: 0", "r:9: 0 ''", "p:9: 0 ''", "w:on: 2")
    says(lab, board, "/dev/full-disk", ["o", "w:abcd", "w:abcd"], "o: 0", "w:abcd: 2", "w:abcd: -1 errno 28")


@case("answers: a shell reads and writes a ruled device, and finds it with test, ls and stat")
def shell(lab):
    board = board_with(lab)
    script = ("cat /dev/sensor7; echo; echo 1 > /dev/gpio-vendor && test -c /dev/gpio-vendor && echo is a device; "
              "cd /dev && cat sensor7; echo; ls /dev | busybox grep gpio-vendor; ls -l /dev/gpio-vendor | cut -c1-10; "
              "mknod /dev/gpio-vendor c 253 0; chmod 666 /dev/gpio-vendor && echo done")
    result = lab.guest(board, ["busybox", "sh", "-c", script], env={"MTDSHIM_TRACE": "json:trace"}).ok()
    same("abcdefxy\nis a device\nxy\ngpio-vendor\ncrw-------\ndone\n", result.out, "output")
    events = [json.loads(line) for line in (lab.work / "trace").read_text().splitlines()]
    written = [event for event in events if event.get("path") == "/dev/gpio-vendor" and event.get("call") == "write"]
    holds(len(written) == 1 and written[0]["length"] == 2, f"the write in the trace: {written}")


@case("answers: what exists keeps working: /dev/null with a rule is /dev/null, and answers what it refuses")
def existing(lab):
    board = board_with(lab, '\n[[answer]]\npath = "/dev/*"\ncommand = "*"\nreturn = 3\n')
    says(lab, board, "/dev/zero", ["s", "o", "i:0x6701:n0", "e", "I:0x6701:n0", "w:abc", "p:0"],
         f"s: mode {os.stat('/dev/zero').st_mode:06o} rdev 1:5 size 0", "o: 0", "i:0x6701:n0: 3", "I:0x6701:n0: 3", "w:abc: 3", "p:0: 0 ''")
    says(lab, board, "/dev/shm", ["o"], "o: -1 errno 21")
    says(lab, board, "/dev/mtd0", ["s"], "s: mode 020600 rdev 90:0 size 0")


@case("answers: rules come before flash itself and before the watchdog")
def flash_too(lab):
    board = board_with(lab, '\n[[answer]]\npath = "/dev/mtd1"\ncommand = 0x40104d14\nerrno = "EIO"\n[[answer]]\npath = "/dev/mtd1"\n'
                       'command = 0x6799\nreturn = 4\n[[answer]]\npath = "/dev/watchdog"\ncommand = 0x80045705\nreturn = 8\n')
    lab.guest(board, ["flash_erase", "-q", "/dev/mtd0", "0", "1"]).ok()
    lab.guest(board, ["flash_erase", "-q", "/dev/mtd1", "0", "1"]).says("Input/output error")
    says(lab, board, "/dev/mtd1", ["o", "i:0x6799:n0", "i:0x80204d01:n0"], "o: 0", "i:0x6799:n0: 4", "i:0x80204d01:n0: -1 errno 14")
    says(lab, board, "/dev/watchdog", ["o", "i:0x80045705:n0"], "o: 0", "i:0x80045705:n0: 8")


@case("answers: a trace with a relative name is one file, wherever its processes go")
def one_trace(lab):
    board = board_with(lab)
    (lab.work / "below").mkdir()
    script = f"cat /dev/sensor1; cd below; {CLIENTS / 'answers'} /dev/sensor1 o r:3"
    lab.guest(board, ["busybox", "sh", "-c", script], env={"MTDSHIM_TRACE": "json:trace"}).ok()
    same([], os.listdir(lab.work / "below"), "files made below")
    pids = {json.loads(line)["pid"] for line in (lab.work / "trace").read_text().splitlines()}
    holds(len(pids) >= 2, f"processes in the trace: {pids}")


@case("answers: the trace tells what rules answered, what nobody answered and which nodes are missing, with rules to paste")
def traced(lab):
    board = board_with(lab)
    result = client(lab, board, "/dev/gpio-vendor", "o", "i:0x40046701:n5", "i:0x80086799:b", "i:0x80086799:b", "r:3",
                    env={"MTDSHIM_TRACE": "stderr"}).ok()
    result.says("/dev/gpio-vendor ioctl(0x40046701, 0x5) by the rule in line").says(" = 55").says("call 1")
    rule = '[[answer]]\npath = "/dev/gpio-vendor"\ncommand = 0x80086799\ndata = "00 00 00 00 00 00 00 00"\n'
    holds(result.err.count(rule) == 1, "the rule to paste, once:\n" + result.transcript())
    result = client(lab, board, "/dev/nvram9", "o", "s", env={"MTDSHIM_TRACE": "stderr"}).ok()
    rule = '[[answer]]\npath = "/dev/nvram9"\ncommand = "open"\n'
    holds(result.err.count(rule) == 1 and "missing device /dev/nvram9" in result.err, result.transcript())
    conf = board.file("mtdshim.conf")
    conf.write_text(conf.read_text() + rule)
    says(lab, board, "/dev/nvram9", ["o", "i:0x6701:n0"], "o: 0", "i:0x6701:n0: -1 errno 25")
    result = client(lab, board, "/dev/mtdblock1", "o", "i:0x6799:n0", env={"MTDSHIM_TRACE": "stderr"}).ok()
    rule = '[[answer]]\npath = "/dev/mtdblock1"\ncommand = 0x00006799\n'
    holds(result.err.count(rule) == 1 and "refused ioctl on /dev/mtdblock1" in result.err, result.transcript())
    result = client(lab, board, "/dev/null", "o", "i:0x6701:n0", env={"MTDSHIM_TRACE": "json:out"}).ok()
    events = [json.loads(line) for line in (lab.work / "out").read_text().splitlines()]
    holds([(event["op"], event["path"], event["command"]) for event in events] == [("refused-ioctl", "/dev/null", 0x6701)], f"{events}")


@case("answers: without rules nothing is opened for them, and no board is made")
def without_rules(lab):
    board = lab.board(boards.SMALL_NOR)
    plain = lab.guest(None, [CLIENTS / "answers", "/dev/null", "o", "o", "o"], options=("-strace",)).ok()
    lab.guest(board, ["cat", "/proc/mtd"]).ok()
    traced_calls = client(lab, board, "/dev/null", "o", "o", "o", options=("-strace",)).ok()
    calls = [line for line in traced_calls.err.splitlines() if "/dev/null" in line]
    named = [line for line in plain.err.splitlines() if "/dev/null" in line]
    holds(len(named) == len(calls), f"calls that name /dev/null: {len(named)} without the library, {len(calls)} with it")
    wanted = traced_calls.err.count(".mtdshim/board")
    holds(wanted == 1, f"the board was looked at {wanted} times\n" + traced_calls.err)
    result = lab.guest(board, [CLIENTS / "answers", "/dev/null", "o"], env={"MTDSHIM": ""}).ok()
    holds(not (lab.work / "mtdshim-flash").exists(), "a board was made for /dev/null:\n" + result.transcript())


@case("children: a board and a trace with relative names are found wherever a shell goes")
def relative_names(lab):
    board = lab.board(boards.SMALL_NOR, "work/here")
    (lab.work / "below").mkdir()
    board.path = "here"
    for shell in ("busybox", "dash"):
        words = [shell, *(["sh"] if shell == "busybox" else []), "-c", "cd below && flash_erase -q /dev/mtd1 0 1 && cat /proc/mtd"]
        result = lab.guest(board, words, env={"MTDSHIM_TRACE": "json:trace"}).ok()
        holds('"env"' in result.out, result.transcript())
    same([], os.listdir(lab.work / "below"), "files made below")
    holds("MEMERASE" in (lab.work / "trace").read_text(), "the trace")
