"""The benchmarks run; what they measure is nobody's verdict here."""
from harness import TOP, case, holds


@case("bench: the short form measures its rows", serial=True)
def short_form(lab):
    words = ["read, per call", "start, glibc", "dd write 128K", "dd read 2K, NAND", "flash_erase", "63 partitions"]
    result = lab.host([TOP / "benches/run", "--quick", *words], cwd=TOP).ok()
    holds("not measured" not in result.out, result.out)
    holds("14 rows measured" in result.out, result.out)
