"""What libmtdshim.so must be so that every C library loads it; one case a claim. The reasons are in tools/link-armv7."""
import elf
from harness import LIBRARY, TESTS, case, holds

# The aim is 100 KiB (see the README); this catches growth. Two percent are left for other compilers.
SIZE_MAX = 211 * 1024


def library():
    holds(LIBRARY.exists(), f"{LIBRARY} is missing: make lib")
    return elf.Library(LIBRARY.read_bytes())


def allowed_imports():
    lines = (TESTS / "allowed-imports.txt").read_text().splitlines()
    return {line.split("#")[0].strip() for line in lines} - {""}


@case("guard: an ELF32 little-endian ARM shared object for any System V loader")
def header(_lab):
    so = library()
    holds((so.elf_class, so.encoding, so.type, so.machine) == (1, 1, 3, 40), "not an ARM ELF32 shared object")
    holds(so.os_abi == 0, f"EI_OSABI is {so.os_abi}, not System V")


@case("guard: e_flags name no float ABI")
def flags(_lab):
    holds(library().flags == 0x05000000, f"e_flags {library().flags:#010x}, expected 0x05000000")


@case("guard: needs no other library")
def needed(_lab):
    so = library()
    names = [so.string(value) for tag, value in so.dynamic if tag == "NEEDED"]
    holds(not names, f"DT_NEEDED: {names}")
    holds(not so.tags() & {"RPATH", "RUNPATH"}, "a search path is in the file")


@case("guard: no thread-local storage")
def tls(_lab):
    holds(elf.PT_TLS not in library().segment_types(), "PT_TLS is there: old uClibc refuses the library")


@case("guard: no symbol versions")
def versions(_lab):
    holds(not library().tags() & {"VERSYM", "VERDEF", "VERNEED"}, "a version section is there")


@case("guard: both hash tables")
def hashes(_lab):
    holds(library().tags() >= {"HASH", "GNU_HASH"}, "DT_HASH or DT_GNU_HASH is missing")


@case("guard: no text relocations, lazy binding, no executable stack, no interpreter")
def relocations(_lab):
    so = library()
    holds("TEXTREL" not in so.tags() and not (so.tag("FLAGS") or 0) & 4, "TEXTREL")
    holds("BIND_NOW" not in so.tags() and not (so.tag("FLAGS") or 0) & 8, "bound at load: an import that an old libc lacks would be fatal")
    holds(elf.PT_INTERP not in so.segment_types(), "PT_INTERP")
    holds(not any(segment[0] == elf.PT_GNU_STACK and segment[6] & 1 for segment in so.segments), "executable stack")


@case("guard: its segments fit pages of 4 to 64 KiB, whatever the host has")
def page_sizes(_lab):
    loaded = [segment for segment in library().segments if segment[0] == elf.PT_LOAD]
    holds(len(loaded) == 2, f"{len(loaded)} segments are loaded")
    for _, offset, address, _, _, _, _, alignment in loaded:
        holds(alignment == 0x10000 and (address - offset) % alignment == 0, f"{address:#x} from {offset:#x}, aligned to {alignment:#x}")
    ends = [address // 0x10000 for _, _, address, _, _, size, _, _ in loaded for address in (address, address + size - 1)]
    holds(ends[1] < ends[2], "two segments share a page of 64 KiB")


@case("guard: imports only what the list allows")
def imports(_lab):
    extra = sorted(set(library().imports()) - allowed_imports())
    holds(not extra, f"imports outside tests/allowed-imports.txt: {' '.join(extra)}")


@case("guard: at most 211 KiB")
def size(_lab):
    holds(LIBRARY.stat().st_size <= SIZE_MAX, f"{LIBRARY.stat().st_size} bytes")


@case("guard: exports the entry points that real tools use")
def exports(_lab):
    wanted = {line.split("#")[0].strip() for line in (TESTS / "required-exports.txt").read_text().splitlines()} - {""}
    missing = sorted(wanted - set(library().exports()))
    holds(not missing, f"not hooked: {' '.join(missing)}")


@case("guard: exports nothing a libc would not have")
def foreign_exports(_lab):
    """A stray export (a Rust symbol, memcpy) would replace the guest's own."""
    names = library().exports()
    bad = [name for name in names if name.startswith(("_R", "_ZN", "rust_", "__rust", "__wrap_", "mem", "__aeabi")) or name in ("strlen", "bcmp", "dlsym")]
    holds(not bad, f"exported by mistake: {' '.join(bad)}")


@case("guard: the command in .cargo/config.toml is the one that tools/build-lib runs")
def documented(_lab):
    command = "build --release -p mtdshim --target"
    flags_wanted = "-Zbuild-std=std,panic_abort"
    for path in (TESTS.parent / ".cargo/config.toml", TESTS.parent / "tools/build-lib"):
        text = path.read_text()
        holds(command in text and flags_wanted in text, f"{path} has another command")
