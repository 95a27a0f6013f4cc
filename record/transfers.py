"""The instructions after which another than the next may run, in much code at once.

What `flow.py` tells of each instruction by its name is told here by its code.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from .elf import Bytes
from .instructions import ONE_BYTE, RIP, TWO_BYTES, Flags, Numbers, decode


class Kind(IntEnum):
    """As in `flow.Transfer`, but that a jump with a condition has a kind of its own, as has one through the
    linker's table of addresses."""

    NONE = 0
    RET = 1
    JUMP = 2
    CONDITIONAL = 3
    BRANCH = 4
    CALL = 5
    STOP = 6
    INDIRECT = 7
    THROUGH_TABLE = 8
    TRAP = 9  # int3, which pads too
    ALIEN = 10


NOWHERE: Final = -(1 << 62)


class Transfers(NamedTuple):
    """Instructions by their place in the code. `target` is the place where a direct jump or call leads, which
    can be before or behind the code, else NOWHERE; `condition` is that of a conditional jump, else -1."""

    at: Numbers
    length: Numbers
    kind: Numbers
    target: Numbers
    condition: Numbers


def _flags(text: str) -> Flags:
    table = np.zeros(256, np.bool_)
    for part in text.split():
        first, _, last = part.partition("-")
        table[int(first, 16) : int(last or first, 16) + 1] = True
    return table


_ALIEN: Final = _flags("6c-6f ca-cb ce cf e4-e7 ec-ef f1 fa-fb")
_ALIEN_TWO: Final = _flags("07 34 35")
#: First bytes of what may be a transfer, with the escape to two bytes and prefixes other than REX.
_MAY_BE: Final = _ALIEN | _flags("0f 70-7f c2-c3 c7 cc e0-e3 e8-eb f4 ff 26 2e 36 3e 64-67 f0 f2-f3")
_AFTER_ESCAPE: Final = _ALIEN_TWO | _flags("01 0b 80-8f b9 ff")


def _pairs() -> Flags:
    """Of each two bytes, first in the lower half, whether an instruction that begins so may be a transfer."""
    first, second = np.arange(1 << 16) & 255, np.arange(1 << 16) >> 8
    rex = (first & 0xF0) == 0x40
    pairs: Flags = np.where(rex, _MAY_BE[second], _MAY_BE[first] & ((first != 0x0F) | _AFTER_ESCAPE[second]))
    return pairs


_PAIRS: Final = _pairs()


def transfers(code: Bytes, begins: Flags) -> Transfers:
    """The transfers among the instructions of `code` that begin where `begins` says, in order."""
    at = np.flatnonzero(begins)
    at = at[_PAIRS[code[at] | code[at + 1].astype(np.uint16) << 8]]
    i = decode(code, at)
    field = i.modrm >> 3 & 7
    one, two = i.map == ONE_BYTE, i.map == TWO_BYTES
    kind = np.zeros(len(at), np.int64)
    for which, value in (
        (one & ((i.opcode == 0xC2) | (i.opcode == 0xC3)), Kind.RET),
        (one & ((i.opcode == 0xE9) | (i.opcode == 0xEB)), Kind.JUMP),
        (one & (i.opcode & 0xF0 == 0x70) | two & (i.opcode & 0xF0 == 0x80), Kind.CONDITIONAL),
        (one & (i.opcode & 0xFC == 0xE0) | one & (i.opcode == 0xC7) & (i.modrm == 0xF8), Kind.BRANCH),
        (one & (i.opcode == 0xE8) | one & (i.opcode == 0xFF) & (field == 2), Kind.CALL),
        (one & (i.opcode == 0xF4) | two & np.isin(i.opcode, (0x0B, 0xB9, 0xFF)), Kind.STOP),
        (one & (i.opcode == 0xFF) & (field == 4), Kind.INDIRECT),
        (one & (i.opcode == 0xFF) & (field == 4) & (i.base == RIP), Kind.THROUGH_TABLE),
        (one & (i.opcode == 0xCC), Kind.TRAP),
        (one & _ALIEN[i.opcode] | two & _ALIEN_TWO[i.opcode], Kind.ALIEN),
        (one & (i.opcode == 0xFF) & ((field == 3) | (field == 5)), Kind.ALIEN),
        (two & (i.opcode == 0x01) & (i.modrm == 0xEC) & (i.repeat == 0xF3), Kind.ALIEN),  # uiret
    ):
        kind[which] = value
    # Processors do not agree on what this prefix means.
    kind[i.size16 & np.isin(kind, (Kind.RET, Kind.JUMP, Kind.CONDITIONAL, Kind.BRANCH, Kind.INDIRECT))] = (
        Kind.ALIEN
    )
    kind[i.size16 & (kind == Kind.THROUGH_TABLE)] = Kind.ALIEN
    # Of `xbegin` the distance is not told.
    direct = (kind == Kind.JUMP) | (kind == Kind.CONDITIONAL) | (kind == Kind.BRANCH) & (i.opcode != 0xC7)
    direct |= (kind == Kind.CALL) & (i.opcode == 0xE8)
    target = np.where(direct, at + i.length + i.immediate, NOWHERE)
    condition = np.where(kind == Kind.CONDITIONAL, i.opcode & 15, -1)
    some = kind != Kind.NONE
    return Transfers(at[some], i.length[some], kind[some], target[some], condition[some])
