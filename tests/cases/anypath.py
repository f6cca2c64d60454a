"""Rules of the configuration for names outside /dev, and for descriptors without a name: through real programs under qemu-arm."""
import json
import os

import boards
from cases.answer_tool import start, with_client
from cases.answers import client, says
from cases.cli import tool
from harness import case, holds, same

NAMES = ["/tmp/vendor-x0", "/var/dev/gpio", "/proc/vendor_ctl", "/proc/vendor/ctl", "/sys/class/gpio-x/export", "/sys/kernel/debug/vendor-x/reg",
         "/opt/x/node", "/vendor0"]


def rule(path, command='"*"', *lines):
    return "\n".join(["", "[[answer]]", f'path = "{path}"', f"command = {command}", *lines, ""])


def board_with(lab, *rules, name="board"):
    return lab.board(boards.SMALL_NOR + "".join(rules), name)


def everywhere(lab):
    return board_with(lab, *[rule(name, "0x6701", "return = 7") + rule(name, '"read"', 'text = "abc"') for name in NAMES])


def looks(path):
    return "mode 100644 rdev 0:0 size 0" if path.startswith(("/proc/", "/sys/")) else f"mode 020600 rdev 240:{NAMES.index(path) * 2} size 0"


@case("anypath: a name outside /dev with a rule opens in every spelling, and answers ioctls, reads and writes")
def opens(lab):
    board = everywhere(lab)
    for path in NAMES:
        look = looks(path)
        operations = ["s", "L", "a", "o", "S", "n", "i:0x6701:n0", "I:0x6701:n0", "i:0x6702:n0", "r:9", "r:9", "w:on", "c"]
        lines = [f"s: {look}", f"L: {look}", "a: 0", "o: 0", f"S: {look}", f"n: {path}", "i:0x6701:n0: 7", "I:0x6701:n0: 7",
                 "i:0x6702:n0: -1 errno 25", "r:9: 3 'abc'", "r:9: 0 ''", "w:on: 2", "c: 0"]
        says(lab, board, path, operations, *lines)
        for spelling in "OkF":
            says(lab, board, path, [spelling, "i:0x6701:n0"], f"{spelling}: 0", "i:0x6701:n0: 7")
        holds(not os.path.lexists(path), f"{path} was made on the host")
    says(lab, board, "/opt/x/other", ["o", "s", "a"], "o: -1 errno 2", "s: -1 errno 2", "a: -1 errno 2")


@case("anypath: a name with dots and double slashes, relative to a directory, or through a link, is the same device")
def spellings(lab):
    board = everywhere(lab)
    for path in ("/dev/../tmp/vendor-x0", "//tmp/./vendor-x0", "/tmp//vendor-x0", "/var/../tmp/vendor-x0", "/proc/../opt/x/node", "/proc//vendor/ctl"):
        says(lab, board, path, ["s", "o", "i:0x6701:n0"], f"s: {looks('/' + os.path.normpath(path).lstrip('/'))}", "o: 0", "i:0x6701:n0: 7")
    says(lab, board, "vendor-x0", ["o", "h:/tmp", "o", "a", "i:0x6701:n0"], "o: -1 errno 2", "h:/tmp: 0", "o: 0", "a: 0", "i:0x6701:n0: 7")
    link = lab.work / "link"
    link.symlink_to("/opt/x/node")
    below = lab.work / "below"
    below.symlink_to("/tmp")
    for path in (link, below / "vendor-x0"):
        says(lab, board, str(path), ["o", "i:0x6701:n0"], "o: 0", "i:0x6701:n0: 7")


@case("anypath: the descriptor of a name outside /dev survives dup, fork and exec, and counts go on")
def inherited(lab):
    steps = rule("/opt/x/node", "0x6701", "return = 1") + "[[answer.step]]\nreturn = 2\n[[answer.step]]\nreturn = 3\n"
    board = board_with(lab, steps, rule("/opt/x!", '"*"').replace("!", "-y"))
    says(lab, board, "/opt/x/node", ["o", "i:0x6701:n0", "d", "f", "i:0x6701:n0", "e", "i:0x6701:n0", "n"],
         "o: 0", "i:0x6701:n0: 1", "i:0x6701:n0: 2", "i:0x6701:n0: 3", "n: /opt/x/node")


@case("anypath: node files are never mixed up: /dev/a/b, /dev/a!b, /a/b and /proc/a/b")
def unambiguous(lab):
    names = ["/dev/qa/b", "/qa/b", "/proc/qa/b", "/dev/proc/qa/b", "/dev/qa*"]
    board = board_with(lab, *[rule(name, "0x6701", f"return = {at + 1}") for at, name in enumerate(names)])
    for at, path in enumerate(names[:4]):
        says(lab, board, path, ["o", "n", "f", "e", "i:0x6701:n0", "n"], "o: 0", f"n: {path}", f"i:0x6701:n0: {at + 1}", f"n: {path}")
    says(lab, board, "/dev/qa!b", ["o"], "o: -1 errno 2")


@case("anypath: what exists stays: a directory, a device of memory, a file that only a star covers; a plain file with its own rule is a placeholder")
def existing(lab):
    placeholder, stays = lab.make_file("placeholder", b"real"), lab.make_file("vendor-file", b"real")
    folder = lab.work
    board = board_with(lab, rule(placeholder, "0x6701", "return = 5"), rule(f"{folder}/vendor*", "0x6701", "return = 6"),
                       rule(f"{folder}/vendor*", '"read"', 'text = "ruled"'), rule(folder, "0x6701", "return = 4"))
    says(lab, board, str(placeholder), ["o", "i:0x6701:n0", "r:9"], "o: 0", "i:0x6701:n0: 5", "r:9: 0 ''")
    both = board_with(lab, rule(f"{folder}/place*", "0x6701", "return = 8"), rule(placeholder, "0x6702", "return = 9"), name="both")
    says(lab, both, str(placeholder), ["o", "i:0x6701:n0", "i:0x6702:n0", "r:9"], "o: 0", "i:0x6701:n0: 8", "i:0x6702:n0: 9", "r:9: 0 ''")
    says(lab, board, str(stays), ["o", "r:9", "i:0x6701:n0"], "o: 0", "r:9: 4 'real'", "i:0x6701:n0: 6")
    says(lab, board, str(folder / "vendor-new"), ["o", "r:9", "i:0x6701:n0"], "o: 0", "r:9: 5 'ruled'", "i:0x6701:n0: 6")
    says(lab, board, str(folder), ["o"], "o: -1 errno 21")
    same(b"real", placeholder.read_bytes(), "the placeholder on the host")
    listed = lab.guest(board, ["busybox", "ls", str(folder)]).ok().out.split()
    holds("vendor-file" in listed and listed.count("placeholder") == 1, f"{listed}")


@case("anypath: flash stays flash, and programs live with patterns as wide as the configuration takes")
def harmless(lab):
    wide = ["/proc/m*", "/proc/d*", "/proc/s*/*", "/sys/class/m*", "/sys/class/*", "/etc/l*", "/etc/p*", "/usr/lib/*", "/usr/bin/*", "/lib/l*", "/tmp/v*",
            "/dev/*", "/dev/*/*", "/proc/c*"]
    board = board_with(lab, *[rule(path) + rule(path, '"read"', 'text = "ruled"') for path in wide])
    plain = lab.board(boards.SMALL_NOR, "plain")
    script = ("cat /proc/mtd; cat /sys/class/mtd/mtd0/size; ls /sys/class/mtd; cat /proc/devices | busybox grep mtd; head -n 1 /etc/passwd; "
              "flash_erase -q /dev/mtd0 0 1; echo $?; readlink /proc/self/fd/0; cat /proc/self/comm; mtdinfo /dev/mtd1; "
              "grep -c . /proc/self/maps >/dev/null; echo $?; echo x > /tmp/anypath-$$ && rm /tmp/anypath-$$; echo $?; id -u; cat < /dev/null")
    words = ["busybox", "sh", "-c", script]
    same(lab.guest(plain, words).ok().out, lab.guest(board, words).ok().out, "what programs say with and without the rules")


@case("anypath: names for which no rule makes sense are refused with the line and what to write instead")
def refused(lab):
    for at, (path, words) in enumerate([("/*", "stands for files that programs need"), ("/proc/*", "write more of the name"), ("/etc/**", "stands for files"),
                        ("/d*v/gpio", "stands for files"), ("/*/x", "stands for files"), ("/proc/self/maps", "is the library's own"),
                        ("/proc/mtd", "is the library's own"), ("/sys/class/mtd/mtd0/size", "is the library's own"), ("gpio", "is no device"),
                        ("/opt/../x", "is no device"), ("/opt//x", "is no device"), ("/opt/a!b", "is no device"), ("", "is no device"),
                        ("socket", "is no device")]):
        board = board_with(lab, rule(path), name=f"refused{at}")
        result = lab.guest(board, ["cat", "/proc/mtd"])
        holds(words in result.err and "mtdshim.conf:" in result.err, f"{path}\n" + result.transcript())


@case("anypath: ls finds names outside /dev in a directory that exists, with the right type")
def listed(lab):
    ruled = lab.work / "ruled-node"
    board = board_with(lab, rule("socket:"), rule(ruled), rule("/proc/vendor_ctl"), rule("/sys/class/gpio-x/export"), rule(lab.work / "star*"))
    script = f"ls {lab.work} | busybox grep ruled; ls -l {ruled} | busybox cut -c1-10; ls /proc | busybox grep vendor; ls -l /proc/vendor_ctl | busybox cut -c1-10; cd {lab.work}; echo rul*"
    same("ruled-node\ncrw-------\nvendor_ctl\n-rw-r--r--\nruled-node\n", lab.guest(board, ["busybox", "sh", "-c", script]).ok().out, "output")
    (lab.work / "dev").mkdir()
    other = board_with(lab, rule(lab.work / "dev/gpio-x"), rule("/dev/gpio-y"), name="other")
    same("gpio-x\n", lab.guest(other, ["busybox", "ls", str(lab.work / "dev")]).ok().out, "a directory named dev")
    (lab.work / "plain/dev").mkdir(parents=True)
    same("", lab.guest(other, ["busybox", "ls", "-l", str(lab.work / "plain/dev")]).ok().out.replace("total 0\n", ""), "another directory named dev")
    names = lab.guest(other, ["busybox", "ls", "/dev"]).ok().out.split()
    holds("gpio-y" in names and "mtd0" in names and "gpio-x" not in names, f"{names}")
    result = lab.guest(board, ["find", str(lab.work), "-maxdepth", "1", "-type", "c"]).ok()
    same(f"{ruled}\n", result.out, "find")


@case("anypath: a shell reads and writes files of /proc and /sys that only rules have")
def shell(lab):
    board = board_with(lab, rule("/sys/class/gpio-x/export", '"write"'), rule("/sys/class/gpio-x/gpio*/value", '"read"', "text = '1'", "cycle = false"),
                       rule("/proc/vendor/serial", '"read"', 'text = "4711"'), rule("/sys/class/gpio-x/gpio9/value", '"write"', 'errno = "EPERM"'))
    script = ("echo 5 > /sys/class/gpio-x/export && cat /sys/class/gpio-x/gpio5/value; echo; test -f /proc/vendor/serial && cat /proc/vendor/serial; echo; "
              "read value < /proc/vendor/serial; echo $value; echo 0 > /sys/class/gpio-x/gpio9/value || echo refused")
    result = lab.guest(board, ["busybox", "sh", "-c", script], env={"MTDSHIM_TRACE": "json:trace"}).ok()
    same("1\n4711\n4711\nrefused\n", result.out, "output")
    events = [json.loads(line) for line in (lab.work / "trace").read_text().splitlines()]
    written = [event["path"] for event in events if event.get("call") == "write" and event["op"] == "answered"]
    same(["/sys/class/gpio-x/export", "/sys/class/gpio-x/gpio9/value"], written, "writes in the trace")


@case("anypath: cp and install copy what rules have for a read")
def copied(lab):
    board = board_with(lab, rule("/proc/vendor", '"read"', 'text = "serial=1"'), rule("/dev/nv", '"read"', 'text = "mac"'))
    for name, text in (("/proc/vendor", "serial=1"), ("/dev/nv", "mac")):
        for program in ("cp", "install"):
            lab.guest(board, [program, name, "copy"]).ok()
            same(text, (lab.work / "copy").read_text(), f"{program} {name}")


@case("anypath: a socket and a pipe answer by a rule what they refuse, and a trace proposes it")
def nameless(lab):
    board = lab.board(boards.SMALL_NOR)
    operations = ["u", "i:0x89fa:b", "P", "i:0x6701:n0"]
    result = client(lab, board, "/", *operations, env={"MTDSHIM_TRACE": "stderr"}).ok()
    for name, command in (("socket:", "0x000089fa"), ("pipe:", "0x00006701")):
        text = f'[[answer]]\npath = "{name}"\ncommand = {command}\n'
        holds(result.err.count(text) == 1, f"the rule to paste:\n{text}\n" + result.transcript())
    board = board_with(lab, rule("socket:", "0x89fa", "return = 3", 'data = "0102"'), rule("pipe:", '"*"', "return = 4"), name="ruled")
    says(lab, board, "/", operations, "i:0x89fa:b: 3 0102eeeeeeeeeeee", "i:0x6701:n0: 4")


@case("anypath: a trace shows a rule for every device outside /dev that refused an ioctl or is missing, and none for what files are asked")
def traced(lab):
    plain = lab.make_file("plain", b"x")
    board = lab.board(boards.SMALL_NOR)
    result = client(lab, board, str(plain), "o", "i:0x80046799:b", "i:0x40049409:n0", "i:0x80046601:b", env={"MTDSHIM_TRACE": "stderr"}).ok()
    text = f'[[answer]]\npath = "{plain}"\ncommand = 0x80046799\ndata = "00 00 00 00"\n'
    holds(result.err.count("[[answer]]") == 1 and text in result.err, result.transcript())
    for path in ("/var/dev/gpio-x", "/proc/vendor_ctl", "/sys/class/gpio-x/export"):
        for spelling in "oFs":
            result = client(lab, board, path, spelling, env={"MTDSHIM_TRACE": "stderr"}).ok()
            text = f'[[answer]]\npath = "{path}"\ncommand = "open"\n'
            holds(result.err.count(text) == 1 and f"missing device {path}" in result.err, spelling + result.transcript())
    result = client(lab, board, "/var/dev/gpio-x", "F", "F", env={"MTDSHIM_TRACE": "stderr"}).ok()
    holds(result.err.count("missing device /var/dev/gpio-x") == 2, "each time:\n" + result.transcript())
    result = client(lab, board, "/etc/nothing-there", "o", env={"MTDSHIM_TRACE": "stderr"}).ok()
    holds("missing" not in result.err, result.transcript())


@case("anypath: without rules outside /dev a name elsewhere costs not one system call more")
def as_fast(lab):
    there = lab.make_file("there", b"x")
    boards_of_two = [lab.board(boards.SMALL_NOR, "plain"), board_with(lab, rule("/dev/gpio-x"))]
    for board in boards_of_two:
        lab.guest(board, ["cat", "/proc/mtd"]).ok()  # compiled before anything is counted

    def calls(board, path, rounds):
        return len(client(lab, board, path, *["o", "c", "s", "a"] * rounds, options=("-strace",)).ok().err.splitlines())

    for path in (str(there), "/tmp/no-such-name"):
        without, with_rules = (calls(board, path, 12) - calls(board, path, 2) for board in boards_of_two)
        holds(without == with_rules, f"{path}: ten rounds take {without} lines of -strace without rules, {with_rules} with one for /dev")


@case("anypath: mtdshim run proposes rules for every path, answer --add takes them, and the next run gets further")
def experiment(lab):
    board, root = lab.board(boards.SMALL_NOR), with_client(lab)
    (root / "opt/x").mkdir(parents=True)
    (root / "opt/x/node").write_text("")
    script = ("answers /opt/x/node o i:0x80046702:b; answers /proc/vendor_ctl o i:0x6705:n1; answers /tmp/var/dev/gpio o i:0x6705:n1; "
              "answers / u i:0x89fa:b; ls /proc | busybox grep vendor; true")
    words = [*start(board, root), "sh", "-c", script]
    first = tool(lab, *words).ok()
    same("o: -1 errno 2", first.out.splitlines()[2], "the first try on a missing name")
    for path in ("/opt/x/node", "/proc/vendor_ctl", "/tmp/var/dev/gpio", "socket:"):
        first.says(f'[[answer]]\npath = "{path}"')
    tool(lab, "-b", board.path, "answer", "--add").ok().says("4 rules added")
    second = tool(lab, *words).ok()
    same(["o: 0", "i:0x80046702:b: 0 00000000eeeeeeee", *["o: 0", "i:0x6705:n1: -1 errno 25"] * 2],
         second.out.splitlines()[:6], "the second try")
    holds(second.out.splitlines()[-1] == "vendor_ctl", second.transcript())
    tool(lab, "-b", board.path, "answer", "--add").ok().says("2 rules added")
    third = tool(lab, *words).ok()
    holds("[[answer]]" not in third.err and "errno 25" not in third.out, third.transcript())
    rules = json.loads(tool(lab, "-b", board.path, "answer", "--json").ok().out)["rules"]
    holds({one["path"] for one in rules} == {"/opt/x/node", "/proc/vendor_ctl", "/tmp/var/dev/gpio", "socket:"}, f"{rules}")
    tool(lab, "-b", board.path, "answer", "--reset").ok()
    tool(lab, "-b", board.path, "answer", "/proc/*", "*", "--add").fails(2).says("write more of the name")
    tool(lab, "-b", board.path, "log", "--device", "/proc/vendor_ctl").ok().says("/proc/vendor_ctl ioctl 0x00006705, answered by the rule")


