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

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, Literal, NamedTuple

import numpy as np

from ..bpf.arch import X86_64
from .cfi import Piece, Row
from .elf import HOST_MACHINE, ElfFile
from .flow import Code, Transfer
from .functions import Function, FunctionTable
from .jump_tables import JumpTables, Targets
from .plain_exits import PlainExits, plain_exits
from .registers import Registers, UnknownError, memory
from .shared_code import OVERLAP, Walked, shared
from .surroundings import TOO_LARGE, Surroundings, UnclearError

_MOST_PARTS: Final = 256
_RBP: Final = 6
#: What may be spent on the indirect jumps of a function.
_STEPS: Final = 4000
_STEPS_PER_BYTE: Final = 4
_MOST_STEPS_FOR: Final = 256 << 10
#: Each round shows more of how control goes, which the next one needs to know.
_MOST_ROUNDS: Final = 8
_ET_EXEC: Final = 2


ARCHITECTURE = "no exit analysis for this architecture"
NO_SIZE = "its size is not known"


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
    around = Surroundings(elf, table)
    plain = plain_exits(elf, functions, table, around.frames)
    found = _plain_sites(elf, functions, plain)
    walked = {}
    for i in np.flatnonzero(~plain.known).tolist():
        walk = Walk(functions[i], around)
        found[i] = walk.exits()
        walked[i] = Walked(walk.spans, walk.ends)
    for i, reason in shared(functions, walked, plain, around):
        if found[i].reason is None:
            found[i] = ExitSites((), reason)
    return found


def _plain_sites(elf: ElfFile, functions: Sequence[Function], plain: PlainExits) -> list[ExitSites]:
    """The sites of the functions whose exits are known; those of the others are still to be found."""
    sites: list[list[ExitSite]] = [[] for _ in functions]
    columns = (plain.function, plain.place, plain.jump, plain.condition)
    for i, place, jump, condition in zip(*(column.tolist() for column in columns), strict=True):
        offset = place - functions[i].address + functions[i].offset
        sites[i].append(ExitSite(offset, "jump" if jump else "ret", None if condition < 0 else condition))
    return [ExitSites(tuple(one), None) for one in sites]


def _through_offset_table(jump: Transfer) -> bool:
    """Whether it is `jmp *name@GOTPCREL(%rip)`, as to a function of another module."""
    place = memory(jump.operands)
    return place is not None and place.registers == (("rip", 1),)


class Walk:
    """One function: its parts as they are found, and where they lead."""

    def __init__(self, function: Function, surroundings: Surroundings) -> None:
        self.function = function
        self.around = surroundings
        self.frames = surroundings.frames
        self.parts: list[Code] = []
        #: Where its code lies, and the last bytes of direct jumps and calls there. Empty while unclear.
        self.spans: list[tuple[int, int]] = []
        self.ends: frozenset[int] = frozenset()
        self.steps = _STEPS + _STEPS_PER_BYTE * min(function.size, _MOST_STEPS_FOR)
        self.indirect: list[Transfer] = []
        self.targets: dict[int, Targets] = {}
        self.own = [part for name in function.names for part in surroundings.parts.get(name, ())]

    def exits(self) -> ExitSites:
        try:
            sites = self.sites()
        except UnclearError as unclear:
            return ExitSites((), unclear.reason)
        finally:
            parts, self.parts = self.parts, []  # They are large.
        self.spans = [(part.start, part.end) for part in parts if self.ends_in(part)]
        places = [t.address + t.size - 1 for part in parts for t in part.transfers if t.target is not None]
        self.ends = frozenset(places)
        return ExitSites(tuple(sites), None)

    def ends_in(self, part: Code) -> bool:
        """Whether a run through `part` may end with an exit; what calls abort may be shared by many."""
        return any(
            t.kind == "ret"
            or (t.kind in ("jump", "branch", "indirect") and not part.start <= (t.target or 0) < part.end)
            for t in part.transfers
        )

    def sites(self) -> list[ExitSite]:
        function = self.function
        if function.size == 0:
            raise UnclearError(NO_SIZE)
        if self.around.overlapped(function):
            raise UnclearError(OVERLAP)
        self.follow_all()
        for jump in self.indirect:
            self.check_indirect(jump)
        exits = [t for part in self.parts for t in part.transfers if self.leaves(t)]
        return sorted(self.site(transfer) for transfer in exits)

    def add(self, start: int, size: int) -> None:
        if len(self.parts) >= _MOST_PARTS:
            raise UnclearError(TOO_LARGE)
        part = self.around.decode(start, size)
        if part.problem:
            raise UnclearError(part.problem)
        self.parts.append(part)

    def part_at(self, address: int) -> Code | None:
        return next((part for part in self.parts if part.start <= address < part.end), None)

    def follow(self, transfer: Transfer) -> None:
        """Find out where `transfer` leads, and add what of this function lies there."""
        if transfer.kind == "indirect":
            if not _through_offset_table(transfer):
                self.indirect.append(transfer)
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
                raise UnclearError(f"{self.name(transfer)} leaves it on a condition that cannot be evaluated")
            return
        if not part.begins_at(target):
            raise UnclearError(f"{self.name(transfer)} leads between instructions")
        if transfer.kind == "call" and target != self.function.address:
            raise UnclearError(f"{self.name(transfer)} calls a part of it")

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
            raise UnclearError(f"{self.name(jump)} leads into another function")
        piece = self.frames.at(target)
        row = self.row(jump.address)
        if piece is None or row is None:
            raise UnclearError(f"{self.name(jump)} leads to code that is not known")
        if piece.start in around.functions or not row.same_stack(piece.at(target)):
            raise UnclearError(f"{self.name(jump)} leads into another function")
        own = piece.start, piece.end - piece.start
        if target != piece.start or not row.at_entry_level or not piece.like_a_function:
            return own
        # Either a function without a name, or a part that has nothing on the stack.
        if self.comes_back(piece):
            return own
        if jump.kind == "indirect":
            return own  # An entry of a table, of which others are in this function.
        if jump.condition is None and jump.kind == "jump":
            return None
        private = self.is_private(piece)
        if private:
            return own
        if private is False and jump.kind == "jump":
            return None
        raise UnclearError(f"{self.name(jump)} may leave it")

    def comes_back(self, piece: Piece) -> bool:
        """Whether `piece` jumps back into this function; also true of what is never left at all."""
        code = self.around.decode(piece.start, piece.end - piece.start)
        if code.problem:
            return False
        jumps = [t for t in code.transfers if t.kind not in ("call", "stop")]
        if any(t.target and t.target != self.function.address and self.part_at(t.target) for t in jumps):
            return True
        return all(t.target is not None and piece.start <= t.target < piece.end for t in jumps)

    def is_private(self, piece: Piece) -> bool | None:
        """Whether nothing but this function refers to the start of `piece`.

        Then it is as good as a part, even if it was a function. A part is not referred to by others.
        """
        places = self.around.references.to(piece.start)
        if places is None or len(places) > _MOST_PARTS:
            return None if places is None else False
        others = [p for p in places if not self.part_at(p) and not piece.start <= p < piece.end]
        if any(self.around.refers(place, piece.start) for place in others):
            return False
        return not self.around.pointers.inside(piece.start, piece.start + 1)

    def follow_all(self) -> None:
        """Find all parts of the function, and where its indirect jumps lead."""
        self.add(self.function.address, self.function.size)
        done = 0
        while done < len(self.parts):
            for transfer in self.parts[done].transfers:
                self.follow(transfer)
            done += 1
            if done == len(self.parts):
                self.read_tables()

    def read_tables(self) -> None:
        """Find the tables of indirect jumps; each says more of how control goes, so again from the first."""
        waiting = [jump for jump in self.indirect if not isinstance(self.targets.get(jump.address), tuple)]
        for _ in range(_MOST_ROUNDS if waiting else 0):
            unknown = [jump.address for jump in waiting]
            entry = self.function.address
            registers = Registers(entry, self.parts, self.edges(), unknown, self.steps)
            around = self.around
            tables = JumpTables(around.elf, around.pointers, registers, self.is_own, self.is_frame)
            for jump in waiting:
                try:
                    self.targets[jump.address] = tables.targets(jump.address, jump.operands)
                except UnknownError:
                    self.targets.pop(jump.address, None)
            self.steps = registers.steps
            left = [jump for jump in waiting if not isinstance(self.targets.get(jump.address), tuple)]
            if len(left) == len(waiting) or not left:
                return
            waiting = left

    def edges(self) -> dict[int, list[int]]:
        """The jumps that lead to each address of the function."""
        edges: dict[int, list[int]] = {}
        for part in self.parts:
            for transfer in part.transfers:
                if transfer.kind != "call" and transfer.target is not None:
                    edges.setdefault(transfer.target, []).append(transfer.address)
        for jump, targets in self.targets.items():
            for target in targets if isinstance(targets, tuple) else ():
                edges.setdefault(target, []).append(jump)
        return edges

    def is_frame(self, address: int, register: str) -> bool:
        """Whether `register` points to this function's part of the stack."""
        if register == "rbp":
            row = self.row(address)
            return row is None or row.register == _RBP
        return register == "rsp"

    def is_own(self, jump: int, target: int, new: bool) -> bool:
        """Whether `target`, to which the indirect jump at `jump` may lead, is an instruction of it.

        Only if `new`, a part that was not known before is added.
        """
        part = self.part_at(target)
        if part is None and new:
            try:
                own = self.part_of_own(Transfer(jump, 0, "indirect", target, None, ""))
                if own is None:
                    return False
                self.add(*own)
            except UnclearError:
                return False
            part = self.part_at(target)
        return part is not None and part.begins_at(target)

    def check_indirect(self, jump: Transfer) -> None:
        """Unclear unless it is known whether `jump` leaves the function."""
        targets = self.targets.get(jump.address)
        if isinstance(targets, tuple):
            return
        row = self.row(jump.address)
        if row is not None and row.register >= 0 and not row.at_entry_level:
            return  # Its frame is still there.
        if row is None or targets is None or self.aims_inside:
            raise UnclearError(f"{self.name(jump)} may leave it")

    @cached_property
    def aims_inside(self) -> bool:
        """Whether a pointer to something else than the entry may be among the function's data."""
        entry, parts = self.function.address, self.parts
        for part in parts:
            start = max(part.start, entry + 1) if part.start == entry else part.start
            if self.around.pointers.inside(start, part.end):
                return True
        if any(target != entry and self.part_at(target) for target in self.formed_addresses()):
            return True
        return any(self.targets.get(jump.address) is None for jump in self.indirect)

    def formed_addresses(self) -> Iterator[int]:
        """Addresses that instructions of the function may form as such."""
        for part in self.parts:
            for at, size, mnemonic, operands in part.instructions:
                if mnemonic == "lea" and "[rip" in operands:
                    place = memory(operands.partition(", ")[2])
                    yield at + size + place.displacement if place else self.function.address + 1
                elif mnemonic in ("mov", "movabs", "push") and self.around.elf.type == _ET_EXEC:
                    number = operands.rpartition(", ")[2]
                    if number.startswith("0x"):
                        yield int(number, 16)

    def aims_at(self, start: int, end: int) -> bool:
        """Whether an indirect jump of the function may lead into [start, end), which is in it."""
        try:
            self.follow_all()
        except UnclearError:
            return True
        pointer = False
        for jump in self.indirect:
            targets = self.targets.get(jump.address)
            if targets == "pointer":
                pointer = True
            elif targets is None or any(start <= target < end for target in targets):
                return True
        # A pointer is in the file's data, or the function has made it of its own labels.
        return pointer and (
            self.around.pointers.inside(start, end)
            or any(start <= target < end for target in self.formed_addresses())
        )

    def leaves(self, transfer: Transfer) -> bool:
        if transfer.kind == "indirect":
            leaves = self.leaves_indirectly(transfer)
        else:
            leaves = transfer.kind == "ret" or (
                transfer.kind == "jump" and transfer.target is not None and not self.part_at(transfer.target)
            )
        if leaves:
            self.check_level(transfer)
        return leaves

    def leaves_indirectly(self, jump: Transfer) -> bool:
        if _through_offset_table(jump):
            return True
        row = self.row(jump.address)
        return self.targets.get(jump.address) == "pointer" and row is not None and row.at_entry_level

    def check_level(self, transfer: Transfer) -> None:
        row = self.row(transfer.address)
        if row is not None and not row.at_entry_level:
            raise UnclearError(f"{self.name(transfer)} finds the stack not as it was at the entry")

    def row(self, address: int) -> Row | None:
        piece = self.frames.at(address)
        return piece.at(address) if piece else None

    def name(self, transfer: Transfer) -> str:
        """How a reason calls an instruction."""
        kinds = {"ret": "the return", "indirect": "an indirect jump", "call": "a call"}
        return f"{kinds.get(transfer.kind, 'a jump')} at {self.where(transfer.address)}"

    def where(self, address: int) -> str:
        distance = address - self.function.address
        return f"{'-' if distance < 0 else '+'}{abs(distance):#x}"

    def site(self, transfer: Transfer) -> ExitSite:
        offset = self.around.offset(transfer.address)
        assert offset is not None
        return ExitSite(offset, "ret" if transfer.kind == "ret" else "jump", transfer.condition)
