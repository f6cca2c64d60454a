"""The walls between the rooms of docs/ARCHITECTURE.md and the habits of the house, checked on the text of the sources."""
import re

from harness import TOP, case, holds

LINES_MAX = 600
PURE = ("answers", "mtd-abi", "flash", "chardev")
# Spelled in pieces so that this file does not find itself.
UNFINISHED = re.compile(r"\b(to" + r"do!|unimplemented!|TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
MAY_DEPEND_ON = {
    "answers": set(),
    "mtd-abi": set(),
    "flash": set(),
    "chardev": {"flash", "mtd-abi"},
    "image": {"answers", "flash", "mtd-abi"},
    "cli": {"answers", "chardev", "image", "flash", "mtd-abi"},
}


def rust_files(*folders):
    for folder in folders:
        yield from sorted((TOP / folder).rglob("*.rs"))


def ours():
    yield from rust_files("src", "crates")
    for folder in ("tools", "tests"):
        for path in sorted((TOP / folder).rglob("*")):
            if path.is_file() and path.suffix in ("", ".py", ".sh", ".rs", ".c") and "recordings" not in path.parts:
                yield path


def test_modules():
    """Files that are compiled for tests only: `#[cfg(test)] mod NAME;` in their parent."""
    names = set()
    for path in rust_files("src", "crates"):
        names |= set(re.findall(r"#\[cfg\((?:all\()?test[^\n]*\]\s*(?:#\[[^\n]*\]\s*)*(?:pub(?:\(crate\))? )?mod (\w+);", path.read_text()))
    return names


def is_test(path, names=frozenset(test_modules())):
    return path.stem in names or path.stem.endswith("_tests") or bool(names & set(path.parts)) or "tests" in path.parts


def code_lines(path):
    """Without the tests at the end of a file and without comments."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("#[cfg(test)]"):
            return
        yield number, line.split("//")[0]


@case("tidy: the pure crates are no_std and forbid unsafe code")
def pure(_lab):
    for room in PURE:
        text = (TOP / "crates" / room / "src/lib.rs").read_text()
        holds(re.search(r"^#!\[forbid\(unsafe_code\)\]", text, re.M), f"crates/{room}: no forbid(unsafe_code)")
        holds(re.search(r"^#!\[(no_std|cfg_attr\(not\(test\), no_std\))\]", text, re.M), f"crates/{room}: not no_std")


@case("tidy: the pure crates know neither libc nor std")
def no_std_paths(_lab):
    for room in PURE:
        for path in rust_files(f"crates/{room}/src"):
            if is_test(path):
                continue
            for number, line in code_lines(path):
                found = re.search(r"\b(std::|libc::|extern crate alloc|alloc::)", line)
                holds(not found, f"{path.relative_to(TOP)}:{number}: {line.strip()}")


@case("tidy: arrows between the crates point inwards")
def arrows(_lab):
    for room, allowed in MAY_DEPEND_ON.items():
        text = (TOP / "crates" / room / "Cargo.toml").read_text()
        section = re.search(r"^\[dependencies\]\n(.*?)(^\[|\Z)", text, re.M | re.S)
        named = set(re.findall(r"^([a-z0-9_-]+)", section.group(1), re.M)) if section else set()
        wrong = (named & set(MAY_DEPEND_ON)) - allowed
        holds(not wrong, f"crates/{room} depends on {sorted(wrong)}")


@case("tidy: flash and chardev know no paths, image knows no ioctl")
def knowledge(_lab):
    for path in rust_files("crates/flash/src"):
        if is_test(path):
            continue
        for number, line in code_lines(path):
            holds(not re.search(r"\b(errno|ioctl|EINVAL|/dev/)\b", line, re.I), f"{path.relative_to(TOP)}:{number}: {line.strip()}")
    for path in rust_files("crates/image/src"):
        for number, line in code_lines(path):
            holds(not re.search(r"\b(ioctl|MEM[A-Z]{4,})\b", line), f"{path.relative_to(TOP)}:{number}: {line.strip()}")


@case("tidy: no source file is longer than 600 lines")
def length(_lab):
    borrowed = {"mtdprobe.c"}  # the conformance program: one file by design, it is copied into guests
    long = [f"{path.relative_to(TOP)}: {count}" for path in ours() if path.name not in borrowed
            and (count := len(path.read_text(errors="replace").splitlines())) > LINES_MAX]
    holds(not long, "\n".join(long))


@case("tidy: nothing is marked unfinished")
def finished(_lab):
    found = [f"{path.relative_to(TOP)}:{number}: {line.strip()}" for path in ours()
             for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1) if UNFINISHED.search(line)]
    holds(not found, "\n".join(found))


@case("tidy: every module says what it is")
def module_docs(_lab):
    silent = [str(path.relative_to(TOP)) for path in rust_files("src", "crates")
              if not is_test(path) and not path.read_text().lstrip().startswith("//!")]
    holds(not silent, "no //! at the top:\n" + "\n".join(silent))


@case("tidy: every unsafe block says why it is sound")
def safety(_lab):
    """clippy checks blocks (undocumented_unsafe_blocks); here only that the lint is on."""
    text = (TOP / "Cargo.toml").read_text()
    holds('undocumented_unsafe_blocks = "deny"' in text, "the lint is off")
    for manifest in [TOP / "Cargo.toml", *(TOP / "crates").glob("*/Cargo.toml")]:
        holds(re.search(r"^\[lints\]\nworkspace = true", manifest.read_text(), re.M), f"{manifest} does not take the workspace's lints")


@case("tidy: the library never prints, panics by name or keeps thread-local state")
def edge(_lab):
    for path in rust_files("src"):
        for number, line in code_lines(path):
            found = re.search(r"\b(println!|eprintln!|print!|thread_local!|panic!|unreachable!|\.unwrap\(\)|\.expect\()", line)
            holds(not found, f"{path.relative_to(TOP)}:{number}: {line.strip()}")
