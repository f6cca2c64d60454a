"""Cross.toml, read by the real cross: which image, target, variables and command it asks its container engine for.

There is no engine here: a recording stand-in takes its place."""
import os
import shutil

from harness import CACHE, TESTS, TOP, Skipped, case, holds, want

TARGET = "armv7-unknown-linux-gnueabihf"
STAND_IN = """#!/bin/sh
# A container engine that writes down what it is asked and does nothing.
for word in "$@"; do printf '%s\\n' "$word"; done >>"$ENGINE_LOG"
echo -- >>"$ENGINE_LOG"
case $1 in
  --version) echo 'Docker version 20.10.24, build 297e128' ;;
  version) echo '1.41' ;;
esac
exit 0
"""
# cross 0.2.5 does not understand the list of a newer rustup ("(active, default)") and would then update the toolchain. A test
# must not: questions are passed on, changes are refused.
RUSTUP_READ_ONLY = """#!/bin/sh
case "$1 $2" in
  "toolchain list") "$REAL_RUSTUP" "$@" | sed 's/(active, default)/(default)/; s/ (active)//' ;;
  *" list" | "show "*) exec "$REAL_RUSTUP" "$@" ;;
  "target add" | "component add") exit 0 ;; # nothing will be compiled here
  *) echo "rustup $*: a test changes no toolchain" >&2; exit 1 ;;
esac
"""


def stand_in(folder, name, text):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def asked_of_engine(lab):
    cross = CACHE / "cross/bin/cross"
    want("cross", cross, "tools/get-cross")
    rustup = shutil.which("rustup")
    if not rustup:
        raise Skipped("cross needs rustup")
    tools = lab.directory / "bin"
    engine = stand_in(tools, "docker", STAND_IN)
    stand_in(tools, "rustup", RUSTUP_READ_ONLY)
    log = lab.directory / "asked"
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "REAL_RUSTUP": rustup, "ENGINE_LOG": str(log), "CROSS_CONTAINER_ENGINE": str(engine),
                   "CARGO_TARGET_DIR": str(lab.directory / "target")}
    setting, _, *arguments = documented_command()
    environment.update([setting.split("=")])
    result = lab.host([cross, *arguments], env=environment, cwd=TOP).ok()
    holds("unused key" not in result.err and "unknown key" not in result.err, f"Cross.toml has keys cross does not know:\n{result.err}")
    calls = [call.splitlines() for call in log.read_text().split("--\n")]
    runs = [call for call in calls if call and call[0] == "run"]
    holds(len(runs) == 1, f"cross asked its engine for {len(runs)} runs:\n{log.read_text()}\n{result.transcript()}")
    return runs[0]


def documented_command():
    """The command that Cross.toml itself tells the reader."""
    for line in (TOP / "Cross.toml").read_text().splitlines():
        words = line.lstrip("# ").split()
        if words[1:3] == ["cross", "build"]:
            return words
    raise AssertionError("Cross.toml does not tell its command")


@case("cross: asks its engine for the image, target and variables that Cross.toml means", serial=True)
def request(lab):
    asked = asked_of_engine(lab)
    image = f"ghcr.io/cross-rs/{TARGET}:0.2.5"
    holds(image in asked, f"not the image {image}: {asked}")
    variables = [value for flag, value in zip(asked, asked[1:]) if flag == "-e"]
    for wanted in ("RUSTC_BOOTSTRAP=1", "CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=tools/link-armv7"):
        holds(wanted in variables, f"the container would not get {wanted}: {variables}")
    inner = asked[asked.index(image) + 1:]
    for word in (f"--target {TARGET}", "-Zbuild-std=std,panic_abort", "-p mtdshim", "--release"):
        holds(word in inner[-1].replace('"', ""), f"the command in the container lacks {word}: {inner}")
    holds("xargo" not in inner[-1], f"xargo would be used: {inner}")


@case("cross: the command is cargo's documented one")
def same_command(_lab):
    config = (TESTS.parent / ".cargo/config.toml").read_text()
    holds(" ".join(documented_command()).replace("cross", "cargo") in config, ".cargo/config.toml documents another command than Cross.toml")
