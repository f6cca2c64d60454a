"""Just enough of a reader of 32-bit little-endian ELF shared objects for the guard."""
import struct

DYNAMIC_TAGS = {1: "NEEDED", 4: "HASH", 5: "STRTAB", 6: "SYMTAB", 14: "SONAME", 15: "RPATH", 18: "REL", 19: "RELSZ", 22: "TEXTREL", 24: "BIND_NOW",
                29: "RUNPATH", 30: "FLAGS", 0x6FFFFEF5: "GNU_HASH", 0x6FFFFFF0: "VERSYM", 0x6FFFFFFC: "VERDEF", 0x6FFFFFFE: "VERNEED"}
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_TLS, PT_GNU_STACK = 1, 2, 3, 7, 0x6474E551
R_ARM_TLS = {17, 18, 19}  # DTPMOD32, DTPOFF32, TPOFF32


class Library:
    def __init__(self, data):
        self.data = data
        assert data[:4] == b"\x7fELF", "not an ELF file"
        self.elf_class, self.encoding, self.os_abi = data[4], data[5], data[7]
        (self.type, self.machine, _, _, phoff, _, self.flags, _, phentsize, phnum) = struct.unpack_from("<HHIIIIIHHH", data, 16)
        self.segments = [struct.unpack_from("<8I", data, phoff + index * phentsize) for index in range(phnum)]
        self.dynamic = list(self._dynamic())
        self.symbols = list(self._symbols())

    def segment_types(self):
        return {segment[0] for segment in self.segments}

    def offset(self, address):
        for kind, offset, vaddr, _, filesz, *_ in self.segments:
            if kind == PT_LOAD and vaddr <= address < vaddr + filesz:
                return offset + address - vaddr
        raise ValueError(f"address {address:#x} is in no segment")

    def _dynamic(self):
        for kind, offset, _, _, filesz, *_ in self.segments:
            if kind == PT_DYNAMIC:
                for at in range(offset, offset + filesz, 8):
                    tag, value = struct.unpack_from("<II", self.data, at)
                    if tag == 0:
                        return
                    yield DYNAMIC_TAGS.get(tag, hex(tag)), value

    def tag(self, name):
        return next((value for tag, value in self.dynamic if tag == name), None)

    def tags(self):
        return {tag for tag, _ in self.dynamic}

    def string(self, index):
        start = self.offset(self.tag("STRTAB")) + index
        return self.data[start:self.data.index(b"\0", start)].decode()

    def _symbols(self):
        """(name, is_defined) of every dynamic symbol; DT_HASH knows how many there are."""
        if self.tag("HASH") is None:
            return
        _, count = struct.unpack_from("<II", self.data, self.offset(self.tag("HASH")))
        table = self.offset(self.tag("SYMTAB"))
        for index in range(1, count):
            name, _, _, _, _, section = struct.unpack_from("<IIIBBH", self.data, table + 16 * index)
            yield self.string(name), section != 0

    def imports(self):
        return sorted(name for name, defined in self.symbols if not defined)

    def exports(self):
        return sorted(name for name, defined in self.symbols if defined)
