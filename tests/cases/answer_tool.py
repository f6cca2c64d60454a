"""`mtdshim answer`: rules listed, proposed, added, counted, through real runs of ARM programs."""
import json
import shutil

import boards
from cases.cli import firmware, tool
from harness import CLIENTS, case, holds, same


def with_client(lab):
    root = firmware(lab)
    shutil.copy(CLIENTS / "answers", root / "bin/answers")
    return root


def start(board, root, *words):
    return ["-b", board.path, "run", "--rootfs", root, *words, "--"]


@case("answer: a run prints rules for what it was refused, answer --add takes them, and the next run gets further")
def experiment(lab):
    board, root = lab.board(boards.SMALL_NOR), with_client(lab)
    program = ["/bin/answers", "/dev/gpio-vendor", "o", "i:0x80046702:b", "i:0x6705:n1"]
    first = tool(lab, *start(board, root), *program).ok()
    same("o: -1 errno 2\n", first.out.splitlines(True)[0], "the first try")
    rule = '[[answer]]\npath = "/dev/gpio-vendor"\ncommand = "open"'
    first.says("missing device: /dev/gpio-vendor, looked for 1 time").says(rule)
    proposed = tool(lab, "-b", board.path, "answer").ok()
    proposed.says("there are no rules yet").says(rule)
    tool(lab, "-b", board.path, "answer", "--add").ok().says("1 rule added")
    second = tool(lab, *start(board, root), *program).ok()
    same(["o: 0", "i:0x80046702:b: -1 errno 25 eeeeeeeeeeeeeeee", "i:0x6705:n1: -1 errno 25"], second.out.splitlines(), "the second try")
    second.says('command = 0x80046702      # \'g\' 2, reads 4 bytes; asked 1 time\nreturn = 0\ndata = "00 00 00 00"\n')
    added = tool(lab, "-b", board.path, "answer", "--add").ok()
    added.says("2 rules added")
    third = tool(lab, *start(board, root), *program).ok()
    same(["o: 0", "i:0x80046702:b: 0 00000000eeeeeeee", "i:0x6705:n1: 0"], third.out.splitlines(), "the third try")
    third.says("rules answered 3 calls")
    holds("[[answer]]" not in third.err, "nothing is proposed any more:\n" + third.transcript())
    tool(lab, "-b", board.path, "answer", "--add").ok().says("nothing to add")
    story = tool(lab, "-b", board.path, "log", "--device", "/dev/gpio-vendor").ok()
    story.says("/dev/gpio-vendor ioctl 0x80046702, answered by the rule in line")


@case("answer: rules are listed with their counts and the next answer, and reset")
def listed(lab):
    board, root = lab.board(boards.SMALL_NOR), with_client(lab)
    answer = ["-b", board.path, "answer"]
    tool(lab, *answer, "/dev/gpio", "0x6705", "--argument", "3", "--errno", "EBUSY", "--add").ok()
    tool(lab, *answer, "/dev/nvram*", "read", "--text", "mac=00:11", "--add").ok()
    with open(board.file("mtdshim.conf"), "a") as conf:
        conf.write('\n[[answer.step]]\ntext = "second"\n')
    result = tool(lab, *start(board, root), "sh", "-c", "cat /dev/nvram0; answers /dev/gpio o i:0x6705:n3 i:0x6705:n4")
    same("mac=00:11secondo: 0\ni:0x6705:n3: -1 errno 16\ni:0x6705:n4: -1 errno 25\n", result.ok().out, "output")
    rules = json.loads(tool(lab, *answer, "--json").ok().out)["rules"]
    same(["/dev/gpio", "/dev/nvram*"], [rule["path"] for rule in rules], "paths")
    holds([rule["calls"] for rule in rules] == [1, 3], f"counts: {rules}")
    holds(rules[1]["next"] == 2 and rules[0]["argument"] == 3 and rules[0]["answers"] == [{"errno": "EBUSY"}], f"{rules}")
    tool(lab, *answer).ok().says("2 of 2").says("EBUSY").says("/dev/nvram*")
    tool(lab, *answer, "--reset").ok().says("2 rules")
    rules = json.loads(tool(lab, *answer, "--json").ok().out)["rules"]
    holds([rule["calls"] for rule in rules] == [0, 0], f"counts after a reset: {rules}")


@case("answer: a rule that is wrong is refused with the reason, and the configuration stays as it is")
def wrong(lab):
    board = lab.board(boards.SMALL_NOR)
    conf = board.file("mtdshim.conf")
    before = conf.read_text()
    answer = ["-b", board.path, "answer"]
    tool(lab, *answer, "etc/passwd", "*", "--add").fails(2).says("etc/passwd").says("write an absolute name")
    tool(lab, *answer, "/dev/gpio", "ioctl", "--add").fails(2).says("this is no command")
    tool(lab, *answer, "/dev/gpio", "1", "--errno", "EWHAT", "--add").fails(2).says("this errno is not known; write its number")
    tool(lab, *answer, "/dev/gpio").fails(2).says("which command?")
    tool(lab, *answer, "/dev/gpio", "1", "--data", "0", "--add").fails(2).says("two hexadecimal digits")
    same(before, conf.read_text(), "the configuration")
    same(["mtdshim.conf"], [path.name for path in board.path.iterdir() if not path.name.startswith(".mtdshim") or path.is_file()], "files")


@case("answer: a text of several lines, or with all quotes, is written so that the guest reads it")
def texts(lab):
    board = lab.board(boards.SMALL_NOR)
    given = {"/dev/a": "serial=1\nmac=02:00\n", "/dev/b": "it's \"quoted\"", "/dev/c": 'C:\\x "y"', "/dev/d": "plain"}
    for path, text in given.items():
        tool(lab, "-b", board.path, "answer", path, "read", "--text", text, "--add").ok()
        same(text, lab.guest(board, ["busybox", "cat", path]).ok().out, path)
    holds('text = "plain"' in board.file("mtdshim.conf").read_text(), "what is a plain text stays one")


@case("answer: proposals come from a trace made under plain QEMU, too")
def plain_trace(lab):
    board = lab.board(boards.SMALL_NOR)
    lab.guest(board, [CLIENTS / "answers", "/dev/null", "o", "i:0x6799:n0", "i:0x6799:n0"], env={"MTDSHIM_TRACE": "json:trace"}).ok()
    found = json.loads(tool(lab, "-b", board.path, "answer", "--trace", "trace", "--json").ok().out)["proposals"]
    holds([(one["path"], one["command"], one["asked"]) for one in found] == [("/dev/null", 0x6799, 2)], f"{found}")
    tool(lab, "-b", board.path, "answer", "--trace", "trace", "--add").ok()
    result = lab.guest(board, [CLIENTS / "answers", "/dev/null", "o", "i:0x6799:n0", "r:4", "w:abc"]).ok()
    same("o: 0\ni:0x6799:n0: 0\nr:4: 0 ''\nw:abc: 3\n", result.out, "/dev/null with a rule")
