"""The straight line by which a function begins: how far a probe can move along it and see the same.

A probe further down sees the arguments that the function was called with as long as nothing before it
writes the registers that they are in, or memory that is not the function's own; and it sees the call at all
as long as nothing before it can leave the line: a jump, a call, or a fault. So whatever reads memory through
anything but the stack and instruction pointers ends the line, as does every instruction that is not known
here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..bpf.layout import MOST_MOVED
from .elf import Bytes
from .instructions import NO_BASE, ONE_BYTE, RIP, TWO_BYTES, Decoded, Flags, Numbers, decode
from .probeable import LONGEST
from .site_classes import is_emulated

#: As many instructions are looked at, and as many bytes.
_MOST_STEPS: Final = 24
FARTHEST: Final = _MOST_STEPS * LONGEST

# What an instruction does to registers and memory. Those that have no number end the line.
_ENDS, _READS, _WRITES_OPERAND, _WRITES_REGISTER, _WRITES_ACCUMULATOR, _WRITES_NAMED = range(6)
_ADDRESS: Final = 6  # lea
_PUSHES: Final = 7  # a constant
_STORES: Final = 8  # a vector register, to its operand
_NOTHING: Final = 9  # no-operations: their operand is none

_RSP: Final = 4
#: The registers of integer arguments, in order, by their numbers in instructions.
_ARGUMENTS: Final = (7, 6, 2, 1, 8, 9)


def _table(rows: dict[int, str]) -> npt.NDArray[np.uint8]:
    """What each instruction of a map does, by its opcode and the register field of its ModRM."""
    table = np.zeros((256, 8), np.uint8)
    for effect, text in rows.items():
        for part in text.split():
            opcodes, _, fields = part.partition("/")
            first, _, last = opcodes.partition("-")
            for field in fields or "01234567":
                table[int(first, 16) : int(last or first, 16) + 1, int(field)] = effect
    return table


_EFFECTS: Final = {
    ONE_BYTE: _table(
        {
            _READS: "38-3d 80-83/7 84-85 a8 a9 f6-f7/01",
            _WRITES_OPERAND: "00-01 08-09 10-11 18-19 20-21 28-29 30-31 80/0123456 81/0123456 83/0123456 "
            "88-89 c0-c1 c6-c7/0 d0-d3 f6-f7/23 fe-ff/01",
            _WRITES_REGISTER: "02-03 0a-0b 12-13 1a-1b 22-23 2a-2b 32-33 63 69 6b 8a-8b",
            _WRITES_ACCUMULATOR: "04-05 0c-0d 14-15 1c-1d 24-25 2c-2d 34-35 98",
            _WRITES_NAMED: "b0-bf",
            _ADDRESS: "8d",
            _PUSHES: "68 6a",
        }
    ),
    TWO_BYTES: _table(
        {
            _READS: "10 12 14-16 28 54-57 60-62 6c-6f 70 ba/4 d4 db eb ef fa-fe",
            _STORES: "11 13 17 29 7f d6",
            _WRITES_OPERAND: "90-9f",
            _WRITES_REGISTER: "40-4f 50 af b6-b8 bc-bf d7",
            _NOTHING: "18 1f",
        }
    ),
}  # fmt: skip


class Line(NamedTuple):
    """For each function a place on its straight line: `skip` bytes behind the entry, -1 where there is none.

    `moved` is by how many bytes the stack pointer is lower there than at the entry.
    """

    skip: Numbers
    moved: Numbers


def find_emulated(code: Bytes, starts: Numbers, ends: Numbers, arguments: int) -> Line:
    """The first instruction of each function that the kernel emulates, if a probe there sees the same.

    The straight lines begin at `starts` and lie before `ends`. `arguments` registers are to be seen.
    """
    found = np.full(len(starts), -1, np.int64)
    moved = np.zeros(len(starts), np.int64)
    rows = np.arange(len(starts))
    at = starts.copy()
    for _ in range(_MOST_STEPS):
        inside = at < ends[rows]
        rows, at = rows[inside], at[inside]
        if not len(rows):
            break
        instruction = decode(code, at)
        emulated = is_emulated(instruction)
        found[rows[emulated]] = (at - starts[rows])[emulated]
        passes, down = _passes(instruction, moved[rows], arguments)
        passes &= ~emulated
        at = (at + instruction.length)[passes]
        rows = rows[passes]
        moved[rows] += down[passes]
    return Line(found, moved)


def _passes(i: Decoded, moved: Numbers, arguments: int) -> tuple[Flags, Numbers]:
    """Whether a probe behind each instruction sees what one before it does; how far the stack moves."""
    field = i.modrm >> 3 & 7
    effect = np.where(i.map == ONE_BYTE, _EFFECTS[ONE_BYTE][i.opcode, field], _ENDS)
    effect = np.where(i.map == TWO_BYTES, _EFFECTS[TWO_BYTES][i.opcode, field], effect)
    # movd and movq: with one prefix a load, with others a store to memory or to a general register.
    loads = np.where(i.repeat == 0xF3, _READS, _WRITES_OPERAND)
    effect = np.where((i.map == TWO_BYTES) & (i.opcode == 0x7E), loads, effect)
    in_memory = (i.modrm >= 0) & (i.modrm < 0xC0) & (effect != _NOTHING)
    by_stack = (i.base == _RSP) & ~i.indexed & ~i.segment & ~i.size32
    safe = (by_stack | (i.base == RIP) | ((i.base == NO_BASE) & ~i.indexed)) & ~i.size32
    # What is on the stack at and above its pointer at the entry is not the function's own.
    size = np.where(effect == _STORES, 16, 8)
    own = by_stack & (i.displacement - moved + size <= 0)
    writes_memory = in_memory & ((effect == _WRITES_OPERAND) | (effect == _STORES))
    passes = (i.length > 0) & (effect != _ENDS)
    passes &= ~in_memory | (effect == _ADDRESS) | np.where(writes_memory, own, safe)
    register = _written(i, effect, in_memory)
    down, keeps_stack = _stack(i, effect, register, by_stack)
    passes &= keeps_stack & ~np.isin(register, _ARGUMENTS[:arguments])
    passes &= (moved + down >= 0) & (moved + down <= MOST_MOVED)
    return passes, down


def _written(i: Decoded, effect: Numbers, in_memory: Flags) -> Numbers:
    """The general register that each instruction writes, -1 where it writes none."""
    register = np.full(len(effect), -1, np.int64)
    for which, number in (
        ((effect == _WRITES_OPERAND) & ~in_memory, i.modrm & 7 | (i.rex & 1) << 3),
        ((effect == _WRITES_REGISTER) | (effect == _ADDRESS), i.modrm >> 3 & 7 | (i.rex & 4) << 1),
        (effect == _WRITES_ACCUMULATOR, 0),
        (effect == _WRITES_NAMED, i.opcode & 7 | (i.rex & 1) << 3),
    ):
        register = np.where(which, number, register)
    one = (i.map == ONE_BYTE) & (i.opcode < 0xB8) & (i.opcode >= 0xB0)
    one |= (i.map == ONE_BYTE) & ((i.opcode < 0xB0) | (i.opcode >= 0xC0)) & (i.opcode & 1 == 0)
    one &= (effect == _WRITES_OPERAND) | (effect == _WRITES_REGISTER) | (effect == _WRITES_NAMED)
    one |= (i.map == TWO_BYTES) & (effect == _WRITES_OPERAND) & (i.opcode & 0xF0 == 0x90)
    # Without REX, the numbers of rsp, rbp, rsi and rdi mean the second byte of the first four registers.
    return np.where(one & (i.rex == 0) & (register >= 4), register - 4, register)


def _stack(i: Decoded, effect: Numbers, register: Numbers, by_stack: Flags) -> tuple[Numbers, Flags]:
    """By how much an instruction moves the stack pointer down, and whether that is known."""
    writes = register == _RSP
    whole = i.rex & 8 > 0
    adds = (i.map == ONE_BYTE) & np.isin(i.opcode, (0x81, 0x83)) & whole
    operation = i.modrm >> 3 & 7
    down = np.where(writes & adds & (operation == 5), i.immediate, 0)
    down = np.where(writes & adds & (operation == 0), -i.immediate, down)
    down = np.where(writes & (effect == _ADDRESS) & by_stack & whole, -i.displacement, down)
    known = (down != 0) & (down % 8 == 0)
    pushes = effect == _PUSHES
    return np.where(pushes, 8, down), ~writes | known
