"""x86-64 instructions, many at once: how long each is and what it is made of, as NumPy arrays.

Encoding: Intel 64 Software Developer's Manual, volume 2, chapter 2 and appendix A. What is rare in programs,
or on which processors do not agree, has length 0: it is not known.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .elf import Bytes
from .probeable import LONGEST

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Bytes that `decode` may read from an instruction's start.
WINDOW: Final = LONGEST + 5
_MOST_PREFIXES: Final = 7

# What follows an opcode: in one table for each map of opcodes.
_MODRM: Final = 0x10
_BYTES: Final = 0x0F  # of an immediate, as they stand
_BY_OPERAND_SIZE: Final = 0x20  # 4 bytes, or 2 with the operand size prefix
_WIDE: Final = 0x40  # 8 bytes with REX.W
_BY_ADDRESS_SIZE: Final = 0x80  # 8 bytes, or 4 with the address size prefix
_TEST: Final = 0x100  # group 3: only `test` has an immediate
_NOT_KNOWN: Final = 0x200
_NEAR: Final = 0x400  # a displacement of 4 bytes, on whose size processors do not agree with a prefix

#: `map` of `Decoded`.
ONE_BYTE, TWO_BYTES, MAP_38, MAP_3A, VECTOR = 0, 1, 2, 3, 4


def _fill(table: npt.NDArray[np.uint16], text: str, what: int) -> None:
    for part in text.split():
        first, _, last = part.partition("-")
        table[int(first, 16) : int(last or first, 16) + 1] |= np.uint16(what)


def _one_byte() -> npt.NDArray[np.uint16]:
    table = np.zeros(256, np.uint16)
    _fill(table, "00-03 08-0b 10-13 18-1b 20-23 28-2b 30-33 38-3b 62-63 69 6b 80-8f c0-c1 c4-c7", _MODRM)
    _fill(table, "d0-d3 d8-df f6-f7 fe-ff", _MODRM)
    _fill(table, "04 0c 14 1c 24 2c 34 3c 6a 6b 70-7f 80 82 83 a8 b0-b7 c0 c1 c6 cd e0-e7 eb", 1)
    _fill(table, "c2 ca", 2)
    _fill(table, "c8", 3)
    _fill(table, "05 0d 15 1d 25 2d 35 3d 68 69 81 a9 c7", _BY_OPERAND_SIZE)
    _fill(table, "b8-bf", _BY_OPERAND_SIZE | _WIDE)
    _fill(table, "e8 e9", _NEAR | 4)
    _fill(table, "70-7f e0-e3 eb", _NEAR)
    _fill(table, "a0-a3", _BY_ADDRESS_SIZE)
    _fill(table, "f6", _TEST)
    _fill(table, "f7", _TEST)
    _fill(table, "06 07 0e 16 17 1e 1f 27 2f 37 3f 60 61 82 9a ce d4 d5 d6 ea", _NOT_KNOWN)
    # Prefixes and escapes never come as opcodes.
    _fill(table, "0f 26 2e 36 3e 40-4f 64-67 f0 f2 f3", _NOT_KNOWN)
    return table


def _two_bytes() -> npt.NDArray[np.uint16]:
    table = np.full(256, _MODRM, np.uint16)
    _fill(table, "70-73 a4 ac ba c2 c4-c6", 1)
    for alone in ("05-09", "0b", "0e", "30-35", "37", "77", "80-8f", "a0-a2", "a8-aa", "c8-cf"):
        first, _, last = alone.partition("-")
        table[int(first, 16) : int(last or first, 16) + 1] = 0
    _fill(table, "80-8f", _NEAR | 4)
    # Not instructions, AMD's own, moves of control registers, whose ModRM is read in another way, and `ud`.
    _fill(table, "04 0a 0c 0f 20-27 36 38-3f 78-7b a6 a7 b9 ff", _NOT_KNOWN)
    return table


_ONE_BYTE: Final = _one_byte()
_TWO_BYTES: Final = _two_bytes()
_PREFIX: Final = np.zeros(256, np.bool_)
_PREFIX[[0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3]] = True


class Decoded(NamedTuple):
    """One row for each instruction; what an instruction does not have is 0.

    `length` is in bytes, 0 where the instruction is not known: then nothing else of the row counts. `map`
    and `opcode` say which it is. `rex` is the prefix or 0; of VEX and EVEX instructions neither `rex` nor
    `opcode` are told. `modrm` is -1 without one. `displacement` and `immediate` are sign-extended; an
    immediate is told up to 4 bytes.
    """

    length: Numbers
    map: Numbers
    opcode: Numbers
    rex: Numbers
    size16: Flags  # the operand size prefix
    size32: Flags  # the address size prefix
    repeat: Numbers  # 0xf2, 0xf3 or 0
    segment: Flags  # fs or gs
    prefixes: Numbers  # how many there are before REX and opcode
    modrm: Numbers
    base: Numbers  # the register that a memory operand starts from, RIP, or NO_BASE
    indexed: Flags
    displacement: Numbers
    immediate: Numbers


RIP: Final = 16
NO_BASE: Final = 17


def decode(code: Bytes, at: Numbers) -> Decoded:
    """The instructions that begin at each of `at` in `code`, which goes on for `WINDOW` bytes after each."""
    count = len(at)
    zeroes = np.zeros(count, np.int64)
    size16, size32, segment = (np.zeros(count, np.bool_) for _ in range(3))
    repeat = zeroes.copy()
    pos = at.copy()
    byte = code[pos]
    rows = np.flatnonzero(_PREFIX[byte])
    for _ in range(_MOST_PREFIXES):
        if not len(rows):
            break
        prefix = byte[rows]
        size16[rows] |= prefix == 0x66
        size32[rows] |= prefix == 0x67
        segment[rows] |= (prefix == 0x64) | (prefix == 0x65)
        repeating = (prefix & 0xFE) == 0xF2
        repeat[rows[repeating]] = prefix[repeating]
        pos[rows] += 1
        byte[rows] = code[pos[rows]]
        rows = rows[_PREFIX[byte[rows]]]
    prefixes = pos - at
    rex = np.where((byte & 0xF0) == 0x40, byte, np.uint8(0)).astype(np.int64)
    pos += rex > 0
    opcode = code[pos].astype(np.int64)
    pos += 1
    kind = zeroes.copy()
    traits = _ONE_BYTE[opcode].astype(np.int64)
    # pop is all that is left of group 1a.
    second = code[pos].astype(np.int64)
    traits[(opcode == 0x8F) & ((second & 0x38) != 0)] |= _NOT_KNOWN
    rows = np.flatnonzero(opcode == 0x0F)
    if len(rows):
        opcode[rows] = second[rows]
        pos[rows] += 1
        kind[rows] = TWO_BYTES
        traits[rows] = _TWO_BYTES[opcode[rows]]
        for escape, number, bytes_of_immediate in ((0x38, MAP_38, 0), (0x3A, MAP_3A, 1)):
            long = rows[second[rows] == escape]
            kind[long] = number
            opcode[long] = code[pos[long]]
            pos[long] += 1
            traits[long] = _MODRM | bytes_of_immediate
    _vector(code, pos, opcode, kind, traits, (prefixes - segment > 0) | (rex > 0))
    modrm, base, indexed, displacement = _operand(code, pos, rex, (traits & _MODRM) > 0)
    size = traits & _BYTES
    size += np.where(traits & _BY_OPERAND_SIZE, np.where(size16 & ~(rex & 8 > 0), 2, 4), 0)
    size += np.where((traits & _WIDE > 0) & (rex & 8 > 0), 4, 0)
    size += np.where(traits & _BY_ADDRESS_SIZE, np.where(size32, 4, 8), 0)
    test = (traits & _TEST > 0) & (modrm & 0x38 < 0x10)
    size += np.where(test, np.where(opcode == 0xF6, 1, np.where(size16 & ~(rex & 8 > 0), 2, 4)), 0)
    immediate = _number(code, pos, size)
    length = pos + size - at
    odd = (traits & _NEAR > 0) & (size32 | size16 & ~(rex & 8 > 0))
    unknown = (traits & _NOT_KNOWN > 0) | odd | (length > LONGEST)
    length[unknown | _PREFIX[opcode] & (kind == ONE_BYTE)] = 0
    return Decoded(
        length, kind, opcode, rex, size16, size32, repeat, segment, prefixes, modrm, base, indexed,
        displacement, immediate,
    )  # fmt: skip


def _vector(
    code: Bytes, pos: Numbers, opcode: Numbers, kind: Numbers, traits: Numbers, prefixed: Flags
) -> None:
    """VEX and EVEX: of these only what their length needs."""
    rows = np.flatnonzero(((opcode == 0xC4) | (opcode == 0xC5) | (opcode == 0x62)) & (kind == ONE_BYTE))
    if not len(rows):
        return
    escape, payload = opcode[rows], code[pos[rows]].astype(np.int64)
    opcodes = np.where(escape == 0xC5, TWO_BYTES, np.where(escape == 0xC4, payload & 31, payload & 7))
    pos[rows] += np.where(escape == 0xC5, 1, np.where(escape == 0xC4, 2, 3))
    opcode[rows] = code[pos[rows]]
    pos[rows] += 1
    kind[rows] = VECTOR
    two = _TWO_BYTES[opcode[rows]]
    immediate = np.where(opcodes == TWO_BYTES, two & 1, opcodes == MAP_3A)
    alone = (opcodes == TWO_BYTES) & (opcode[rows] == 0x77)
    traits[rows] = np.where(alone, 0, _MODRM) | immediate
    half_precision = (escape == 0x62) & ((opcodes == 5) | (opcodes == 6))
    bad = ((opcodes < TWO_BYTES) | (opcodes > MAP_3A)) & ~half_precision
    traits[rows[bad | prefixed[rows]]] |= _NOT_KNOWN


def _operand(code: Bytes, pos: Numbers, rex: Numbers, has: Flags) -> tuple[Numbers, Numbers, Flags, Numbers]:
    """ModRM, SIB and displacement, past which `pos` is moved."""
    count = len(pos)
    modrm = np.full(count, -1, np.int64)
    base = np.full(count, NO_BASE, np.int64)
    indexed = np.zeros(count, np.bool_)
    displacement = np.zeros(count, np.int64)
    rows = np.flatnonzero(has)
    modrm[rows] = code[pos[rows]]
    pos[rows] += 1
    rows = rows[modrm[rows] < 0xC0]
    mod, low = modrm[rows] >> 6, modrm[rows] & 7
    extended = (rex[rows] & 1) << 3
    start = low | extended
    with_sib = low == 4
    sib = code[pos[rows]].astype(np.int64)
    start = np.where(with_sib, sib & 7 | extended, start)
    indexed[rows] = with_sib & ((sib >> 3 & 7 | (rex[rows] & 2) << 2) != 4)
    pos[rows] += with_sib
    absent = (mod == 0) & (start & 7 == 5)
    base[rows] = np.where(absent, np.where(with_sib, NO_BASE, RIP), start)
    size = np.where(absent | (mod == 2), 4, mod)
    displacement[rows] = _number(code, pos[rows], size)
    pos[rows] += size
    return modrm, base, indexed, displacement


def _number(code: Bytes, pos: Numbers, size: Numbers) -> Numbers:
    """The signed numbers of 0, 1, 2 or 4 bytes (or the first 4 of more) at `pos`."""
    numbers = np.zeros(len(pos), np.int64)
    rows = np.flatnonzero(size)
    if not len(rows):
        return numbers
    where, bits = pos[rows], 8 * np.minimum(size[rows], 4)
    raw = np.zeros(len(rows), np.int64)
    for i in range(4):
        raw |= code[where + i].astype(np.int64) << (8 * i)
    numbers[rows] = raw << (64 - bits) >> (64 - bits)
    return numbers
