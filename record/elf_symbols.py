"""The symbol tables of an ELF file, as NumPy arrays.

Format: System V ABI, "Symbol Table". 150,000 symbols take a few milliseconds, because names are cut
out of the string table in one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .elf import SHT_DYNSYM, SHT_NOBITS, SHT_SYMTAB, ElfFile

ENTRY: Final = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("shndx", "<u2"), ("value", "<u8"), ("size", "<u8")]
)
STT_FUNC, STT_GNU_IFUNC = 2, 10
STB_LOCAL, STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE = 0, 1, 2, 10
SHN_UNDEF, SHN_LORESERVE, SHN_XINDEX = 0, 0xFF00, 0xFFFF

#: Names may overlap in a hostile string table, so that their sum is not bounded by the file.
_MOST_NAME_BYTES: Final = 256 << 20


@dataclass(frozen=True)
class Symbols:
    """One symbol table: `entries` has the fields name, info, other, shndx, value, size.

    `elf` is the file that holds the table, `kind` its section's type.
    """

    elf: ElfFile
    kind: int
    entries: npt.NDArray[Any]
    strings: bytes

    def names(self, entries: npt.NDArray[Any]) -> list[str]:
        """The names of `entries`; bytes that are not UTF-8 are shown as `\\xNN`, a bad offset as ''.

        Versions (`memcpy@GLIBC_2.2.5`), which linkers append in .symtab but not in .dynsym, are cut off.
        """
        table = np.frombuffer(self.strings, np.uint8)
        starts = np.minimum(entries["name"].astype(np.int64), len(table))
        ends_of_names = np.append(np.flatnonzero(table == 0), len(table))
        ends = ends_of_names[np.searchsorted(ends_of_names, starts)] if len(starts) else starts
        if int((ends - starts).sum()) > _MOST_NAME_BYTES:
            self.elf.bad("the symbol names are damaged")
        pairs = zip(starts.tolist(), ends.tolist(), strict=True)
        if self.strings.isascii():
            text = self.strings.decode("ascii")
            names = [text[start:end] for start, end in pairs]
        else:
            strings = self.strings
            names = [strings[start:end].decode("utf-8", "backslashreplace") for start, end in pairs]
        if b"@" in self.strings:
            names = [name.partition("@")[0] or name for name in names]
        return names

    def imported(self) -> Sequence[str]:
        """Names that the file uses and does not define."""
        return self.names(self.entries[self.entries["shndx"] == SHN_UNDEF])


def read_symbols(elf: ElfFile, kind: int) -> Symbols | None:
    """The table in the first section of type `kind` (SHT_SYMTAB or SHT_DYNSYM), None without one."""
    section = next((s for s in elf.sections if s.type == kind), None)
    if section is None or section.link >= len(elf.sections):
        return None
    strings = elf.sections[section.link]
    if strings.type == SHT_NOBITS:
        return None
    count = section.size // ENTRY.itemsize
    if not count:
        return None
    entries = np.frombuffer(elf.bytes_at(section.offset, count * ENTRY.itemsize), ENTRY)
    return Symbols(elf, kind, entries, elf.content(strings))


def symtab(elf: ElfFile) -> Symbols | None:
    return read_symbols(elf, SHT_SYMTAB)


def dynsym(elf: ElfFile) -> Symbols | None:
    return read_symbols(elf, SHT_DYNSYM)
