"""Where indirect jumps lead: through jump tables, or through a pointer to a function.

The tables are those that gcc and clang make for `switch` and for computed `goto`: 32-bit distances
from the table in position-independent code, else addresses. Which table a jump uses is found by
following registers back through the code to what wrote them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from typing import Final, Literal

import numpy as np

from .code_pointers import CodePointers
from .elf import ElfFile
from .registers import FAMILIES, Definition, Memory, Registers, UnknownError, memory

_MOST_DEPTH: Final = 8
_MOST_ENTRIES: Final = 4096
#: How far before a jump the comparison is looked for that bounds its table.
_COMPARISON: Final = 24
_HEX: Final = re.compile("0x[0-9a-f]+|[0-9]+")

#: What a jump's target is: read from tables, or a pointer that comes from elsewhere.
Targets = tuple[int, ...] | Literal["pointer"]


class JumpTables:
    """The tables of one function.

    `is_own` says whether a jump at one address leads to the function when it leads to another, to a
    part that is known or, if asked, to a new one. `is_frame` says whether at an address a register
    points to the stack.

    Every method may raise UnknownError.
    """

    def __init__(
        self,
        elf: ElfFile,
        pointers: CodePointers,
        registers: Registers,
        is_own: Callable[[int, int, bool], bool],
        is_frame: Callable[[int, str], bool],
    ) -> None:
        self.elf = elf
        self.pointers = pointers
        self.registers = registers
        self.is_own = is_own
        self.is_frame = is_frame
        self.jump = 0
        self.tables: dict[tuple[int, int | None], tuple[int, ...]] = {}

    def targets(self, at: int, operand: str) -> Targets:
        """Where the jump at `at` leads. `is_own` says which addresses belong to the function."""
        self.jump = at
        place = memory(operand)
        if place:
            return self.loaded(at, place)
        return self.value(at, operand, 0)

    def value(self, at: int, register: str, depth: int) -> Targets:
        """What `register` may hold before the instruction at `at`."""
        if depth > _MOST_DEPTH:
            raise UnknownError
        found: set[int] = set()
        pointer = False
        for definition in self.registers.definitions(at, register):
            one: Targets = "pointer"
            if definition is not None:
                address, _, mnemonic, operands = definition
                _, _, source = operands.partition(", ")
                place = memory(source)
                if mnemonic == "mov" and place and place.size == "qword":
                    one = self.loaded(address, place)
                elif (mnemonic == "mov" and source in FAMILIES) or mnemonic in ("ror", "rol"):
                    one = self.value(address, source if mnemonic == "mov" else register, depth + 1)
                elif mnemonic == "xor" and place and place.segment == "fs":
                    one = self.value(address, register, depth + 1)  # glibc's guarded pointers
                elif mnemonic == "add" and source in FAMILIES:
                    one = self.distances(address, register, source)
                else:
                    raise UnknownError
            if one == "pointer":
                pointer = True
            else:
                found.update(one)
        if pointer and found:
            raise UnknownError
        return "pointer" if pointer else tuple(sorted(found))

    def loaded(self, at: int, place: Memory) -> Targets:
        """A pointer that the instruction at `at` reads."""
        if any(self.is_frame(at, register) for register, _ in place.registers):
            raise UnknownError  # It may have been computed before.
        if not any(scale == 8 for _, scale in place.registers) and len(place.registers) < 2:
            return "pointer"
        try:
            table = self.table(at, place)
        except UnknownError:
            return "pointer"
        return (
            self.bounded(at, table, (self.pointers.at(table + 8 * i) for i in itertools.count())) or "pointer"
        )

    def distances(self, at: int, left: str, right: str) -> tuple[int, ...]:
        """Targets of `add left, right`: one is the table's address, the other an entry of it."""
        for entry, base in ((left, right), (right, left)):
            try:
                origin = self.constant(at, base)
                load, place = self.entry_load(at, entry)
                table = self.table(load, place)
            except UnknownError:
                continue
            offset = self.elf.offset_of(table)
            if offset is None or offset >= self.elf.size:
                continue
            content = self.elf.bytes_at(offset, min(4 * _MOST_ENTRIES, self.elf.size - offset) & ~3)
            read = self.bounded(load, table, (origin + d for d in np.frombuffer(content, "<i4").tolist()))
            if read:
                return read
        raise UnknownError

    def entry_load(self, at: int, register: str) -> tuple[int, Memory]:
        """The instruction that reads a 32-bit distance into `register`, and from where."""
        definition = self.only_definition(at, register)
        if definition and definition[2] == "cdqe":
            definition = self.only_definition(definition[0], register)
        if definition is None or definition[2] not in ("movsxd", "mov"):
            raise UnknownError
        place = memory(definition[3].partition(", ")[2])
        if place is None or place.size != "dword":
            raise UnknownError
        return definition[0], place

    def only_definition(self, at: int, register: str) -> Definition:
        found = self.registers.definitions(at, register)
        if len(found) != 1:
            raise UnknownError
        return found[0]

    def table(self, at: int, place: Memory) -> int:
        """The address of the table that `place` is an entry of."""
        scaled = [(r, s) for r, s in place.registers if s > 1]
        if len(place.registers) == 1 and scaled:
            return place.displacement
        for register, scale in place.registers:
            if scale == 1:
                try:
                    return self.constant(at, register) + place.displacement
                except UnknownError:
                    continue
        raise UnknownError

    def constant(self, at: int, register: str, depth: int = 0) -> int:
        """The address that `register` holds, whichever way control came."""
        values = set()
        for definition in self.registers.definitions(at, register):
            if definition is None or depth > _MOST_DEPTH:
                raise UnknownError
            address, size, mnemonic, operands = definition
            _, _, source = operands.partition(", ")
            place = memory(source)
            if mnemonic == "lea" and place and place.registers == (("rip", 1),):
                values.add(address + size + place.displacement)
            elif mnemonic in ("mov", "movabs") and _HEX.fullmatch(source):
                values.add(int(source, 0))
            elif mnemonic == "mov" and source in FAMILIES:
                values.add(self.constant(address, source, depth + 1))
            else:
                raise UnknownError
        if len(values) != 1:
            raise UnknownError
        return values.pop()

    def bounded(self, at: int, table: int, entries: Iterable[int | None]) -> tuple[int, ...]:
        """The entries of a table that the instruction at `at` reads: up to its bound, if there is one."""
        bound = self.bound(at)
        if (table, bound) not in self.tables:
            self.tables[table, bound] = self.read(entries, bound)
        return self.tables[table, bound]

    def read(self, entries: Iterable[int | None], bound: int | None) -> tuple[int, ...]:
        found = []
        for target in itertools.islice(entries, _MOST_ENTRIES if bound is None else bound):
            if target is None or (bound is None and not self.is_own(self.jump, target, False)):
                break
            self.registers.spend(1)
            found.append(target)
        # Without a bound, what follows the table may be another function's.
        if bound is None:
            return tuple(found)
        if not any(self.is_own(self.jump, target, False) for target in found):
            return ()
        if len(found) != bound or not all(self.is_own(self.jump, target, True) for target in found):
            raise UnknownError
        return tuple(found)

    def bound(self, at: int) -> int | None:
        """How many entries the nearest comparison before `at` leaves."""
        part = self.registers.part(at)
        i = part.index(at)
        for _ in range(_COMPARISON):
            i -= 1
            if i < 1:
                return None
            mnemonic = part.instructions[i][2]
            compared, _, number = part.instructions[i - 1][3].partition(", ")
            if part.instructions[i - 1][2] == "cmp" and mnemonic in ("ja", "jbe", "jae", "jb"):
                if not _HEX.fullmatch(number) or compared.endswith("]"):
                    return None
                entries = int(number, 0) + (mnemonic in ("ja", "jbe"))
                return entries if entries <= _MOST_ENTRIES else None
        return None
