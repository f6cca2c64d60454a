"""What the kernel's mtd test modules claim of a flash, over /dev/mtd0: a NOR, and NANDs with small and large pages and two codes."""
from harness import CLIENTS, case, same

NOR = '[chip.f]\ndriver = "spi-nor"\nsize = "1M"\nerasesize = "64K"\n'
NAND_SMALL = '[chip.f]\ndriver = "nandsim"\nsize = "512K"\nerasesize = "16K"\nwritesize = 512\noobsize = 16\necc = "hamming"\nbad_blocks = [3]\n'
NAND_LARGE = '[chip.f]\ndriver = "nandsim"\nsize = "1M"\nerasesize = "128K"\nwritesize = 2048\noobsize = 64\necc = "{}"\nbad_blocks = [5]\n'
BOARDS = {"nor": NOR, "nand512": NAND_SMALL, "nand2k": NAND_LARGE.format("hamming"), "nand2k bch4": NAND_LARGE.format("bch4")}
NAND_ONLY = ("pagetest", "oobtest", "subpagetest", "nandbiterrs")


def register(test, name):
    @case(f"kernel's mtd tests: {test} on {name}")
    def run(lab):
        result = lab.guest(lab.board(BOARDS[name]), [CLIENTS / "mtdtests", "/dev/mtd0", test])
        if name == "nor" and test in NAND_ONLY:
            same("this test requires NAND flash", result.fails(1).out.splitlines()[-1], test)
        else:
            same("finished", result.ok().out.splitlines()[-1], test)


for board in BOARDS:
    for module in (*NAND_ONLY, "readtest", "stresstest"):
        register(module, board)
