"""Where a function is left: its `ret` instructions and the jumps out of it.

A probe there sees a return without touching the return address, which C++ exceptions, longjmp and
stack switching do not survive. At each of these sites the stack pointer is what it was at the entry.

A function whose exits cannot all be told has none here, and a reason: a missed exit looks like a
function that never returned, a wrong one like a return that never was.

Which code belongs to a function is told by symbols (`NAME.cold`) and by the tables for stack
unwinding, in which each function, and each part that a compiler moved away, has an entry. Whether a
jump leaves is decided by what is at its target: another function's start, or more of this one. Where
no symbol names the target, the stack decides: a function is only left with the stack as it was at
the entry. Landing pads of exceptions lie in the same pieces of code as the calls that throw.

Code that nothing tells apart from what a compiler makes, and is not, can deceive this: written by
hand, without or with wrong unwind tables.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from ..bpf.arch import X86_64
from .cfi import Frames, Piece, Row
from .elf import HOST_MACHINE, ElfFile
from .elf_symbols import SHN_UNDEF, STT_FUNC, symtab
from .flow import Code, Transfer, decode
from .functions import Function, FunctionTable

#: Disassembly takes about a third of a second for as much.
_MOST_BYTES: Final = 256 << 10
#: Symbols may overlap in a hostile file; in others the sum is less than the file.
_MORE_THAN_FILE: Final = 4 << 20
_MOST_PARTS: Final = 256
_HIGHEST: Final = 1 << 62

#: What compilers move out of a function: gcc's and LLVM's cold parts, LLVM's sections of basic blocks.
_PART: Final = re.compile(r"(.+?)\.(?:cold(?:\.\d+)?|__part\.\d+|eh)$")
#: [endbr64] [bnd] jmp *…(%rip)
_PLT_STUB: Final = re.compile(rb"(?:\xf3\x0f\x1e\xfa)?\xf2?\xff\x25", re.DOTALL)

ARCHITECTURE = "no exit analysis for this architecture"
NO_SIZE = "its size is not known"
TOO_LARGE = "it is too large for exit analysis"
NOT_IN_FILE = "its size reaches past the end of its code"
OVERLAP = "it overlaps another function"
TOO_MUCH = "the file's symbols overlap beyond reason"


class ExitSite(NamedTuple):
    """`offset` is in the file. `condition` is the x86 condition (0 to 15) of a conditional jump."""

    offset: int
    kind: Literal["ret", "jump"]
    condition: int | None


class ExitSites(NamedTuple):
    """With a `reason`, exits of the function cannot all be seen, and there are no `sites`."""

    sites: tuple[ExitSite, ...]
    reason: str | None


def find_exit_sites(elf: ElfFile, functions: Sequence[Function], table: FunctionTable) -> list[ExitSites]:
    """The exits of each of `functions`, in order; `table` holds all functions that `elf` is known to have.

    Raises TargetError when the file cannot be read.
    """
    if X86_64.elf_machine != HOST_MACHINE:
        return [ExitSites((), ARCHITECTURE)] * len(functions)
    surroundings = Surroundings(elf, table)
    return [_exits(function, surroundings) for function in functions]


def _exits(function: Function, surroundings: Surroundings) -> ExitSites:
    try:
        return ExitSites(tuple(_Walk(function, surroundings).sites()), None)
    except _UnclearError as unclear:
        return ExitSites((), unclear.reason)


class _UnclearError(Exception):
    """Exits of the function cannot all be told."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Surroundings:
    """What the file tells of the code around a function."""

    def __init__(self, elf: ElfFile, table: FunctionTable) -> None:
        self.elf = elf
        self.frames = Frames(elf)
        self.functions = {f.address: f for f in table.functions}
        self.starts = [f.address for f in table.functions]
        self.ends: list[int] = []  # the highest end of all functions so far
        highest = 0
        for f in table.functions:
            highest = max(highest, f.address + f.size)
            self.ends.append(highest)
        self.parts = _named_parts(elf)
        self.plt = [
            (s.addr, s.addr + s.size) for s in elf.sections if s.name.startswith((".plt", ".iplt")) and s.addr
        ]
        self.budget = elf.size + _MORE_THAN_FILE

    def decode(self, start: int, size: int) -> Code:
        """The instructions of [start, start + size)."""
        offset = self.offset(start)
        if offset is None or start + size > _HIGHEST or self.offset(start + size - 1) != offset + size - 1:
            raise _UnclearError(NOT_IN_FILE)
        self.budget -= size
        if self.budget < 0:
            raise _UnclearError(TOO_MUCH)
        return decode(self.elf.bytes_at(offset, size), start)

    def offset(self, address: int) -> int | None:
        """The file offset of code."""
        for s in self.elf.loaded:
            if s.flags & 1 and s.vaddr <= address < s.vaddr + s.filesz:
                offset = address - s.vaddr + s.offset
                return offset if offset < self.elf.size else None
        return None

    def inside_another(self, address: int) -> bool:
        """Whether a symbol says that `address` is in the middle of a function."""
        i = bisect_right(self.starts, address) - 1
        return i >= 0 and address < self.ends[i] and address not in self.functions

    def overlapped(self, function: Function) -> bool:
        i = bisect_right(self.starts, function.address) - 1
        before = i - 1 if i >= 0 and self.starts[i] == function.address else i
        following = self.starts[i + 1] if i + 1 < len(self.starts) else _HIGHEST
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


class _Walk:
    """One function: its parts as they are found, and where they lead."""

    def __init__(self, function: Function, surroundings: Surroundings) -> None:
        self.function = function
        self.around = surroundings
        self.frames = surroundings.frames
        self.parts: list[Code] = []
        self.own = [part for name in function.names for part in surroundings.parts.get(name, ())]

    def sites(self) -> list[ExitSite]:
        function = self.function
        if function.size == 0:
            raise _UnclearError(NO_SIZE)
        if self.around.overlapped(function):
            raise _UnclearError(OVERLAP)
        self.add(function.address, function.size)
        for part in self.parts:  # grows while jumps lead to more of them
            for transfer in part.transfers:
                self.follow(transfer)
        exits = [t for part in self.parts for t in part.transfers if self.leaves(t)]
        return sorted(self.site(transfer) for transfer in exits)

    def add(self, start: int, size: int) -> None:
        if len(self.parts) >= _MOST_PARTS or size > _MOST_BYTES:
            raise _UnclearError(TOO_LARGE)
        part = self.around.decode(start, size)
        if part.problem:
            raise _UnclearError(part.problem)
        self.parts.append(part)

    def part_at(self, address: int) -> Code | None:
        return next((part for part in self.parts if part.start <= address < part.end), None)

    def follow(self, transfer: Transfer) -> None:
        """Find out where `transfer` leads, and add what of this function lies there."""
        if transfer.kind == "indirect":
            if not transfer.operands.endswith("]") or "[rip + " not in transfer.operands:
                self.follow_indirect(transfer)
            return
        target = transfer.target
        if target is None or transfer.kind not in ("jump", "branch", "call"):
            return
        part = self.part_at(target)
        if part is None and transfer.kind != "call" and (own := self.part_of_own(transfer)):
            self.add(*own)
            part = self.part_at(target)
        if part is None:
            if transfer.kind == "branch":
                raise _UnclearError(
                    f"{self.name(transfer)} leaves it on a condition that cannot be evaluated"
                )
            return
        if not part.begins_at(target):
            raise _UnclearError(f"{self.name(transfer)} leads between instructions")
        if transfer.kind == "call" and target != self.function.address:
            raise _UnclearError(f"{self.name(transfer)} calls a part of it")

    def part_of_own(self, jump: Transfer) -> tuple[int, int] | None:
        """(start, size) of the part of this function that `jump` leads to; None when it leaves."""
        assert jump.target is not None
        target, around = jump.target, self.around
        for start, size in self.own:
            if start <= target < start + size:
                return start, size
        if target in around.functions or around.is_plt(target):
            return None
        if around.inside_another(target):
            raise _UnclearError(f"{self.name(jump)} leads into another function")
        piece = self.frames.at(target)
        row = self.row(jump.address)
        if piece is None or row is None:
            raise _UnclearError(f"{self.name(jump)} leads to code that is not known")
        if piece.start in around.functions or not row.same_stack(piece.at(target)):
            raise _UnclearError(f"{self.name(jump)} leads into another function")
        own = piece.start, piece.end - piece.start
        if target != piece.start or not row.at_entry_level or not piece.like_a_function:
            return own
        # Either a function without a name, or a part that has nothing on the stack.
        what = self.look_at(piece)
        if what == "part":
            return own
        if jump.condition is not None and what == "unknown":
            raise _UnclearError(f"{self.name(jump)} may leave it")
        return None

    def look_at(self, piece: Piece) -> Literal["part", "unknown"]:
        """Whether `piece` is a part of this function, as its jumps tell."""
        size = piece.end - piece.start
        if size > _MOST_BYTES:
            return "unknown"
        code = self.around.decode(piece.start, size)
        if code.problem:
            return "unknown"
        back = any(
            t.kind == "jump" and t.target is not None and t.target != self.function.address
            and self.part_at(t.target) for t in code.transfers
        )  # fmt: skip
        if back:
            return "part"
        stays = all(
            t.kind in ("call", "stop") or (t.target is not None and piece.start <= t.target < piece.end)
            for t in code.transfers
        )
        # What never comes back has no exits, whoever's it is.
        return "part" if stays else "unknown"

    def follow_indirect(self, jump: Transfer) -> None:
        row = self.row(jump.address)
        if row is None or row.register < 0 or row.at_entry_level:
            raise _UnclearError(f"{self.name(jump)} may leave it")

    def leaves(self, transfer: Transfer) -> bool:
        if transfer.kind == "ret":
            self.check_level(transfer)
            return True
        if transfer.kind == "indirect":
            leaves = "[rip + " in transfer.operands
        else:
            leaves = (
                transfer.kind == "jump" and transfer.target is not None and not self.part_at(transfer.target)
            )
        if leaves:
            self.check_level(transfer)
        return leaves

    def check_level(self, transfer: Transfer) -> None:
        row = self.row(transfer.address)
        if row is not None and not row.at_entry_level:
            raise _UnclearError(f"{self.name(transfer)} finds the stack not as it was at the entry")

    def row(self, address: int) -> Row | None:
        piece = self.frames.at(address)
        return piece.at(address) if piece else None

    def name(self, transfer: Transfer) -> str:
        """How a reason calls an instruction."""
        kinds = {"ret": "the return", "indirect": "an indirect jump", "call": "a call"}
        where = transfer.address - self.function.address
        return f"{kinds.get(transfer.kind, 'a jump')} at {'-' if where < 0 else '+'}{abs(where):#x}"

    def site(self, transfer: Transfer) -> ExitSite:
        offset = self.around.offset(transfer.address)
        assert offset is not None
        return ExitSite(offset, "ret" if transfer.kind == "ret" else "jump", transfer.condition)
