"""What may have written a register last, by following the code of a function backwards."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from .flow import Code, Instruction, ends_block, written

_MEMORY: Final = re.compile(r"(?:(\w+) ptr )?(?:(\w\w):)?\[(.+)\]")
_TERM: Final = re.compile(r"([+-]?) ?(?:(0x[0-9a-f]+|\d+)|(\w+?)(?:\*(\d))?)(?= |$)")

#: Each general register by all its names.
FAMILIES: Final = {
    **{
        name: f"r{letter}x"
        for letter in "abcd"
        for name in (f"r{letter}x", f"e{letter}x", f"{letter}x", f"{letter}l", f"{letter}h")
    },
    **{
        name: f"r{base}"
        for base in ("si", "di", "bp", "sp")
        for name in (f"r{base}", f"e{base}", base, f"{base}l")
    },
    **{f"r{n}{suffix}": f"r{n}" for n in range(8, 16) for suffix in ("", "d", "w", "b")},
}
_RESULTS: Final = frozenset({"rax", "rdx"})
#: Instructions that write no register but the one they name first.
_PLAIN: Final = frozenset(
    ("mov", "lea", "add", "sub", "cmp", "test", "and", "or", "xor", "movsxd", "movzx", "movsx", "nop", "shl",
     "shr", "sar", "endbr64", "movaps", "movups", "movdqa", "movdqu", "movd", "movq", "pxor")
)  # fmt: skip
_PADDING: Final = frozenset({"nop", "int3"})


class Memory(NamedTuple):
    """A memory operand: `registers` with their scales."""

    size: str
    segment: str
    registers: tuple[tuple[str, int], ...]
    displacement: int


def memory(operand: str) -> Memory | None:
    match = _MEMORY.fullmatch(operand)
    if not match:
        return None
    registers, displacement = [], 0
    for sign, number, register, scale in _TERM.findall(match[3]):
        if number:
            displacement += int(number, 0) * (-1 if sign == "-" else 1)
        else:
            registers.append((register, int(scale or 1)))
    return Memory(match[1] or "", match[2] or "", tuple(registers), displacement)


class UnknownError(Exception):
    """What a register holds cannot be told."""


#: None stands for what the register held when the function was entered.
Definition = Instruction | None


class Registers:
    """The code of one function.

    `edges` are the jumps that lead to an address; those of `indirect` may lead to any that has none.
    After `steps` nothing more is found.
    """

    def __init__(
        self,
        entry: int,
        parts: Sequence[Code],
        edges: Mapping[int, Sequence[int]],
        indirect: Sequence[int],
        steps: int,
    ) -> None:
        self.entry = entry
        self.parts = parts
        self.edges = edges
        self.indirect = indirect
        self.steps = steps

    def part(self, address: int) -> Code:
        return next(part for part in self.parts if part.start <= address < part.end)

    def definitions(self, at: int, register: str) -> list[Definition]:
        """All instructions that may have written `register` last before the one at `at`."""
        family = FAMILIES.get(register)
        if family is None:
            raise UnknownError
        found: dict[int, Definition] = {}
        waiting, seen = [at], {at}
        while waiting:
            here = waiting.pop()
            for before in self.before(here):
                self.spend(1)
                if before is None:
                    found[-1] = None
                elif self.writes(before, family):
                    found[before[0]] = before
                elif before[0] not in seen:
                    seen.add(before[0])
                    waiting.append(before[0])
        return list(found.values())

    def spend(self, steps: int) -> None:
        """Count what is done; UnknownError after `steps` in all."""
        self.steps -= steps
        if self.steps < 0:
            raise UnknownError

    def before(self, address: int) -> list[Definition]:
        """What may run just before the instruction at `address`; None for the function's caller."""
        part = self.part(address)
        i = part.index(address)
        found: list[Definition] = [None] if address == self.entry else []
        sources = self.edges.get(address, ())
        self.spend(len(sources))
        found += map(self.instruction, sources)
        i -= 1
        # Between a jump and what is aligned behind it nothing runs.
        while i > 0 and part.instructions[i][2] in _PADDING and part.instructions[i][0] not in self.edges:
            self.spend(1)
            i -= 1
        if i >= 0 and not ends_block(part.instructions[i][2]):
            found.append(part.instructions[i])
        if not found:
            if not self.indirect:
                raise UnknownError
            self.spend(len(self.indirect))
            found += map(self.instruction, self.indirect)
        return found

    def instruction(self, address: int) -> Instruction:
        part = self.part(address)
        return part.instructions[part.index(address)]

    def writes(self, instruction: Instruction, family: str) -> bool:
        address, size, mnemonic, operands = instruction
        if mnemonic in _PLAIN or mnemonic.startswith("j"):
            first = operands.partition(", ")[0]
            return FAMILIES.get(first) == family and mnemonic not in ("cmp", "test") and mnemonic[0] != "j"
        if mnemonic.endswith("call"):
            # What is read after a call without being written is known to have outlived it.
            return family in _RESULTS
        part = self.part(address)
        raw = part.content[address - part.start : address - part.start + size]
        return any(FAMILIES.get(name) == family for name in written(raw))
