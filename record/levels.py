"""Whether the stack pointer is what it was at a function's entry, at many addresses at once.

This is `cfi.py` for all pieces of code side by side, one instruction of each description at a time, as far as
compilers write them; of others nothing is told.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from .cfi import Frames, initial_state
from .elf import Bytes
from .instructions import Flags, Numbers

_RSP: Final = 7
_LEVEL: Final = 8  # the CFA less the stack pointer, at the entry
_DEEPEST: Final = 4  # states remembered at once
_MOST_STEPS: Final = 1 << 14
#: Bytes that one instruction may read.
_PAD: Final = 16

#: What is told of an address.
AT_ENTRY_LEVEL, NOT_TOLD, UNDESCRIBED = 1, 0, -1


def levels(frames: Frames, addresses: Numbers) -> npt.NDArray[np.int8]:
    """For each address AT_ENTRY_LEVEL; UNDESCRIBED where no piece is described; NOT_TOLD for all else."""
    found = np.full(len(addresses), UNDESCRIBED, np.int8)
    owner = np.searchsorted(frames.begins, addresses, side="right") - 1
    inside = np.flatnonzero(owner >= 0)
    if not len(inside):
        return found
    pieces, of = np.unique(owner[inside], return_inverse=True)
    programs = _Programs(frames, pieces)
    address = addresses[inside]
    outside = programs.known[of] & (address >= programs.ends[of])
    found[inside] = NOT_TOLD
    row_pieces, row_addresses, row_levels = programs.run()
    # Rows of one piece ascend, and pieces do not overlap where their order is that of the table.
    order = np.lexsort((row_addresses, row_pieces))
    row_pieces, row_addresses, row_levels = row_pieces[order], row_addresses[order], row_levels[order]
    key, row_key = _key(of, address, programs.starts), _key(row_pieces, row_addresses, programs.starts)
    row = np.searchsorted(row_key, key, side="right") - 1
    good = (row >= 0) & programs.known[of] & ~outside
    good[good] = row_levels[row[good]] & (row_pieces[row[good]] == of[good])
    found[inside[good]] = AT_ENTRY_LEVEL
    found[inside[outside]] = UNDESCRIBED
    return found


def piece_ends(frames: Frames, pieces: Numbers) -> Numbers:
    """Where the pieces of code with these numbers end; where they start if that cannot be told."""
    programs = _Programs(frames, pieces)
    ends: Numbers = np.where(programs.known, programs.ends, programs.starts)
    return ends


def _key(pieces: Numbers, addresses: Numbers, starts: Numbers) -> Numbers:
    """Ascends with the pieces, and inside of each with the addresses."""
    key: Numbers = pieces << 32 | np.clip(addresses - starts[pieces], 0, (1 << 32) - 1)
    return key


class _Programs:
    """The programs of the descriptions of `pieces`, which are numbers of `frames`."""

    def __init__(self, frames: Frames, pieces: Numbers) -> None:
        self.content: Bytes = np.frombuffer(frames.content + bytes(_PAD), np.uint8)
        words = np.ndarray((len(self.content) - 3,), "<u4", self.content, 0, (1,))
        at = frames.descriptions[pieces] - frames.base
        self.known = (at >= 0) & (at < len(frames.content) - _PAD)
        at = np.where(self.known, at, 0)
        length, back, size = (words[at + place].astype(np.int64) for place in (0, 4, 12))
        self.starts = frames.begins[pieces]
        self.ends = self.starts + size
        self.known &= frames.base + at + 8 + words[at + 8].view(np.int32) == self.starts
        self.pc = at + 16
        self.stops = at + 4 + length
        self.known &= (length < 1 << 24) & (self.stops <= len(frames.content))
        self.factors = np.zeros(len(pieces), np.int64)
        self.registers = np.zeros(len(pieces), np.int64)
        self.offsets = np.zeros(len(pieces), np.int64)
        commons, of = np.unique(at + 4 - back, return_inverse=True)
        for i, place in enumerate(commons.tolist()):
            self._begin(frames, place, np.flatnonzero(of == i))

    def _begin(self, frames: Frames, place: int, rows: Numbers) -> None:
        """Take over what the description at `place` has that those of `rows` share."""
        try:
            common = frames.common(place)
            register, offset = initial_state(common)
        except (IndexError, ValueError):
            self.known[rows] = False
            return
        if not common.usable:
            self.known[rows] = False
        self.factors[rows] = common.code_factor
        self.registers[rows], self.offsets[rows] = register, offset
        if common.augmented:
            size = self.content[self.pc[rows]]
            self.known[rows[size >= 128]] = False
            self.pc[rows] += 1 + size.astype(np.int64)

    def run(self) -> tuple[Numbers, Numbers, Flags]:
        """(piece, address, whether at the entry's level): how it is from that address on, to the next."""
        rows = np.flatnonzero(self.known & (self.pc <= self.stops))
        self.known[:] = False
        self.known[rows] = True
        state = _State(self, rows)
        for _ in range(_MOST_STEPS):
            state.finish()
            if not len(state.rows):
                break
            state.step()
        self.known[state.rows] = False
        if not state.told:
            nothing = np.zeros(0, np.int64)
            return nothing, nothing, np.zeros(0, np.bool_)
        pieces, addresses, at_level = (np.concatenate(column) for column in zip(*state.told, strict=True))
        return pieces, addresses, at_level


class _State:
    """How far the programs of `rows` have come."""

    def __init__(self, programs: _Programs, rows: Numbers) -> None:
        self.programs = programs
        self.rows = rows
        self.pc = programs.pc[rows]
        self.stops = programs.stops[rows]
        self.address = programs.starts[rows].copy()
        self.register, self.offset = programs.registers[rows], programs.offsets[rows]
        self.depth = np.zeros(len(rows), np.int64)
        self.stack = np.zeros((len(rows), _DEEPEST, 2), np.int64)
        self.told: list[tuple[Numbers, Numbers, Flags]] = []

    def tell(self, of: Numbers) -> None:
        at_level = (self.register[of] == _RSP) & (self.offset[of] == _LEVEL)
        self.told.append((self.rows[of], self.address[of], at_level))

    def finish(self) -> None:
        """Those whose program is over."""
        over = self.pc >= self.stops
        if over.any():
            self.tell(np.flatnonzero(over))
            self._keep(~over)

    def step(self) -> None:
        code = self.programs.content[self.pc]
        self.pc += 1
        high, low = code >> 6, code & 63
        distance = np.where(high == 1, low, 0).astype(np.int64)
        odd = (high == 0) & ~np.isin(low, (0, 2, 3, 4, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x2E))
        for operation, size in ((2, 1), (3, 2), (4, 4)):
            of = np.flatnonzero(code == operation)
            for i in range(size if len(of) else 0):
                distance[of] |= self.programs.content[self.pc[of]].astype(np.int64) << 8 * i
                self.pc[of] += 1
        of = np.flatnonzero(distance)
        self.tell(of)
        self.address[of] += distance[of] * self.programs.factors[self.rows[of]]
        self._number(np.flatnonzero((high == 2) | (code == 0x2E)), odd)  # offset, GNU_args_size
        of = np.flatnonzero(code == 0x0A)  # remember_state
        odd[of[self.depth[of] >= _DEEPEST]] = True
        of = of[self.depth[of] < _DEEPEST]
        self.stack[of, self.depth[of], 0], self.stack[of, self.depth[of], 1] = (
            self.register[of],
            self.offset[of],
        )
        self.depth[of] += 1
        of = np.flatnonzero(code == 0x0B)  # restore_state
        odd[of[self.depth[of] < 1]] = True
        of = of[self.depth[of] > 0]
        self.depth[of] -= 1
        self.register[of], self.offset[of] = (
            self.stack[of, self.depth[of], 0],
            self.stack[of, self.depth[of], 1],
        )
        of = np.flatnonzero((code == 0x0C) | (code == 0x0D))  # def_cfa, def_cfa_register
        self.register[of] = self._number(of, odd)
        of = np.flatnonzero((code == 0x0C) | (code == 0x0E))  # def_cfa, def_cfa_offset
        self.offset[of] = self._number(of, odd)
        of = np.flatnonzero(code == 0x0F)  # def_cfa_expression
        self.register[of] = -1
        expression = self._number(of, odd)
        self.pc[of] += expression
        odd |= self.pc > self.stops
        if odd.any():
            self.programs.known[self.rows[odd]] = False
            self._keep(~odd)

    def _number(self, of: Numbers, odd: Flags) -> Numbers:
        """The unsigned numbers that come next in `of`; those of more than three bytes are `odd`."""
        value = np.zeros(len(of), np.int64)
        going = np.ones(len(of), np.bool_)
        for i in range(3):
            byte = self.programs.content[self.pc[of]].astype(np.int64)
            value |= np.where(going, (byte & 127) << 7 * i, 0)
            self.pc[of] += going
            going &= byte >= 128
            if not going.any():
                break
        odd[of[going]] = True
        return value

    def _keep(self, which: Flags) -> None:
        for name in ("rows", "pc", "stops", "address", "register", "offset", "depth", "stack"):
            setattr(self, name, getattr(self, name)[which])
