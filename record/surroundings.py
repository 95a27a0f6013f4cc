"""What a file tells of the code around a function: symbols, unwind tables, references."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from functools import cached_property
from typing import Final

from .cfi import Frames
from .code_pointers import CodePointers, References
from .elf import ElfFile
from .elf_symbols import SHN_UNDEF, STT_FUNC, symtab
from .flow import Code, decode
from .functions import Function, FunctionTable

#: Disassembly takes about a third of a second for as much.
MOST_BYTES: Final = 256 << 10
#: Symbols may overlap in a hostile file; in others the sum is less than the file.
_MORE_THAN_FILE: Final = 4 << 20
HIGHEST: Final = 1 << 62

#: What compilers move out of a function: gcc's and LLVM's cold parts, LLVM's sections of basic blocks.
_PART: Final = re.compile(r"(.+?)\.(?:cold(?:\.\d+)?|__part\.\d+|eh)$")
#: [endbr64] [bnd] jmp *…(%rip)
_PLT_STUB: Final = re.compile(rb"(?:\xf3\x0f\x1e\xfa)?\xf2?\xff\x25", re.DOTALL)

#: call, jmp, jcc, lea
_REFERENCE: Final = re.compile(
    rb".[\xe8\xe9]|\x0f[\x80-\x8f]|\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]", re.DOTALL
)

TOO_LARGE = "it is too large for exit analysis"
NOT_IN_FILE = "its size reaches past the end of its code"
TOO_MUCH = "the file's symbols overlap beyond reason"


class UnclearError(Exception):
    """Exits of the function cannot all be told."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Surroundings:
    """What the file tells of the code around a function."""

    def __init__(self, elf: ElfFile, table: FunctionTable) -> None:
        self.elf = elf
        self.frames = Frames(elf)
        self.table = table
        self.plt = _spans(elf, (".plt", ".iplt"))
        self.code = _spans(elf, (".text", ".init", ".fini", ".plt", ".iplt"))
        self.pointers = CodePointers(elf)
        self.references = References(elf, self.frames.starts)
        self._seen: tuple[int, int] | None = None
        self._code = Code(0, 0, b"")
        self.budget = 4 * elf.size + _MORE_THAN_FILE

    @cached_property
    def functions(self) -> dict[int, Function]:
        return {f.address: f for f in self.table.functions}

    @cached_property
    def starts(self) -> list[int]:
        return [f.address for f in self.table.functions]

    @cached_property
    def ends(self) -> list[int]:
        """The highest end of all functions up to each."""
        return list(itertools.accumulate((f.address + f.size for f in self.table.functions), max))

    @cached_property
    def parts(self) -> dict[str, list[tuple[int, int]]]:
        return _named_parts(self.elf)

    def decode(self, start: int, size: int) -> Code:
        """The instructions of [start, start + size)."""
        offset = self.offset(start)
        if offset is None or start + size > HIGHEST or self.offset(start + size - 1) != offset + size - 1:
            raise UnclearError(NOT_IN_FILE)
        if size > MOST_BYTES:
            raise UnclearError(TOO_LARGE)
        self.budget -= size
        if self.budget < 0:
            raise UnclearError(TOO_MUCH)
        return decode(self.elf.bytes_at(offset, size), start)

    def offset(self, address: int) -> int | None:
        """The file offset of code."""
        for s in self.elf.loaded:
            if s.flags & 1 and s.vaddr <= address < s.vaddr + s.filesz:
                offset = address - s.vaddr + s.offset
                return offset if offset < self.elf.size else None
        return None

    def refers(self, place: int, address: int) -> bool:
        """Whether what ends at `place`, and looks like a reference to `address`, is one."""
        span = self.span(place)
        if span is None:
            # Where no code is known to be, two bytes that look like a jump say nothing, and data may lie.
            offset = self.offset(place - 5)
            in_code = not self.code or any(start <= place < end for start, end in self.code)
            if not in_code or self.span(place - 4) or offset is None or offset + 6 > self.elf.size:
                return False
            raw = self.elf.bytes_at(offset, 6)
            distance = int.from_bytes(raw[2:], "little", signed=True)
            return distance + place + 1 == address and _REFERENCE.match(raw) is not None
        if span != self._seen:
            try:
                self._code, self._seen = self.decode(span[0], span[1] - span[0]), span
            except UnclearError:
                return True
        i = self._code.index(place + 1) - 1
        if i < 0 or sum(self._code.instructions[i][:2]) != place + 1:
            return self._code.problem is not None
        _, _, mnemonic, operands = self._code.instructions[i]
        sign = "+" if address >= place + 1 else "-"
        relative = f"[rip {sign} {abs(address - place - 1):#x}]"
        return f"{address:#x}" in operands or (mnemonic == "lea" and operands.endswith(relative))

    def may_follow(self, place: int, target: int) -> bool:
        """Whether the stack is the same at both, as before and after a jump. True where that is not known.

        Compilers leave jumps behind that nothing takes, to whatever comes after unreachable code.
        """
        piece, other = self.frames.at(place), self.frames.at(target)
        opcode = self.offset(place - 4)
        is_call = opcode is not None and self.elf.bytes_at(opcode, 1) == b"\xe8"
        if piece is None or other is None or is_call:
            return True
        before, after = piece.at(place), other.at(target)
        return before.register < 0 or after.register < 0 or before.same_stack(after)

    def span(self, address: int) -> tuple[int, int] | None:
        """The start and end of the code around `address`, None where it is not known."""
        piece = self.frames.at(address)
        if piece:
            return piece.start, piece.end
        i = bisect_right(self.starts, address) - 1
        if i >= 0 and address < (end := self.starts[i] + self.functions[self.starts[i]].size):
            return self.starts[i], end
        return None

    def inside_another(self, address: int) -> bool:
        """Whether a symbol says that `address` is in the middle of a function."""
        i = bisect_right(self.starts, address) - 1
        return i >= 0 and address < self.ends[i] and address not in self.functions

    def overlapped(self, function: Function) -> bool:
        i = bisect_right(self.starts, function.address) - 1
        before = i - 1 if i >= 0 and self.starts[i] == function.address else i
        following = self.starts[i + 1] if i + 1 < len(self.starts) else HIGHEST
        return following < function.address + function.size or (
            before >= 0 and self.ends[before] > function.address
        )

    def is_plt(self, address: int) -> bool:
        if any(start <= address < end for start, end in self.plt):
            return True
        offset = self.offset(address)
        if offset is None:
            return False
        return bool(_PLT_STUB.match(self.elf.bytes_at(offset, min(8, self.elf.size - offset))))


def _spans(elf: ElfFile, names: tuple[str, ...]) -> list[tuple[int, int]]:
    return [(s.addr, s.addr + s.size) for s in elf.sections if s.addr and s.name.startswith(names)]


def _named_parts(elf: ElfFile) -> dict[str, list[tuple[int, int]]]:
    """(address, size) of the parts of functions that have symbols, by the function's name."""
    parts: dict[str, list[tuple[int, int]]] = {}
    table = symtab(elf)
    if table is None or not re.search(rb"\.cold|\.__part\.|\.eh\0", table.strings):
        return parts
    entries = table.entries
    entries = entries[
        (entries["info"] & 15 == STT_FUNC) & (entries["shndx"] != SHN_UNDEF) & (entries["size"] > 0)
    ]
    rows = zip(table.names(entries), entries["value"].tolist(), entries["size"].tolist(), strict=True)
    for name, address, size in rows:
        if "." in name and (match := _PART.match(name)):
            parts.setdefault(match[1], []).append((address, size))
    return parts
