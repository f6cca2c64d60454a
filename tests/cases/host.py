"""What runs on the host without a guest: formatting, lints, and the tests of the pure crates."""
import os
import shutil

from harness import TOP, Failed, Skipped, case

MINUTES_MAX = 10


def cargo(lab, *words):
    if not shutil.which("cargo"):
        raise Skipped("no cargo in PATH")
    environment = {"CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(TOP / "target")), "CARGO_TERM_COLOR": "never"}
    return lab.host(["cargo", *words], env=environment, cwd=TOP, seconds=60 * MINUTES_MAX)


def component(lab, word):
    """Debian's Rust has its lints in packages of their own."""
    if cargo(lab, word, "--version").status:
        raise Skipped(f"cargo {word} is not installed")


def ending(result, lines=40):
    if result.status:
        raise Failed("\n".join((result.out + result.err).splitlines()[-lines:]))


@case("host: cargo fmt --check", serial=True)
def formatted(lab):
    component(lab, "fmt")
    ending(cargo(lab, "fmt", "--all", "--check"))


@case("host: cargo clippy, warnings denied", serial=True)
def lints(lab):
    component(lab, "clippy")
    ending(cargo(lab, "clippy", "-q", "--all-targets", "--", "-D", "warnings"))


@case("host: cargo test of the crates", serial=True)
def crates(lab):
    ending(cargo(lab, "test", "-q"))
