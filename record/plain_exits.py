"""The exits of functions that can be told without following their jumps, for all functions of a file at once.

These are most: their code is one piece that is decoded from start to end, their jumps lead to instructions
of their own, to the entries of other functions or to the linker's stubs, and there is no jump through a
register. All others are left to `exit_sites.py`, which finds the same in these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from .cfi import Frames
from .elf import ElfFile
from .functions import Function, FunctionTable
from .instructions import Flags, Numbers
from .levels import NOT_TOLD, levels
from .pieces import Pieces, decode_pieces
from .surroundings import MOST_BYTES
from .transfers import NOWHERE, Kind

#: With addresses in the upper half nobody has to be fast.
_HIGHEST: Final = 1 << 62


class PlainExits(NamedTuple):
    """`known` says of each function whether its exits are; these are rows of the other columns.

    `function` is the number of the function; `place` the address of the instruction; `jump` says that it is
    not a return; `condition` is that of a conditional jump, else -1. `ends` are the addresses of the last
    bytes of all direct jumps and calls in functions that are known, and `targets` where they lead.
    """

    known: Flags
    function: Numbers
    place: Numbers
    jump: Flags
    condition: Numbers
    ends: Numbers
    targets: Numbers


def plain_exits(
    elf: ElfFile, functions: Sequence[Function], table: FunctionTable, frames: Frames
) -> PlainExits:
    """The exits of those of `functions` that are plain. Raises TargetError when the file cannot be read."""
    known = np.zeros(len(functions), np.bool_)
    entries = np.sort(_spans(table.functions)[0])
    alone = _alone(functions, table)
    starts, ends = _spans(functions)
    parts = []
    for pieces in decode_pieces(elf, starts[alone], ends[alone]):
        plain, exits = _exits(elf, pieces, entries, frames)
        rows = alone[pieces.rows]
        known[rows[plain]] = True
        parts.append((rows[exits[0]], *exits[1:]))
    if not parts:
        nothing, never = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        return PlainExits(known, nothing, nothing, never, nothing, nothing, nothing)
    return PlainExits(known, *(np.concatenate(column) for column in zip(*parts, strict=True)))


def _alone(functions: Sequence[Function], table: FunctionTable) -> Numbers:
    """The numbers of those of `functions` that have a size that can be, and overlap no other of `table`."""
    starts, ends = _spans(table.functions)
    highest = np.append(0, np.maximum.accumulate(ends))
    own, own_ends = _spans(functions)
    before = highest[np.searchsorted(starts, own)]
    following = np.append(starts, _HIGHEST)[np.searchsorted(starts, own, side="right")]
    sizes = own_ends - own
    return np.flatnonzero((before <= own) & (following >= own_ends) & (sizes > 0) & (sizes <= MOST_BYTES))


def _spans(functions: Sequence[Function]) -> tuple[Numbers, Numbers]:
    """Where functions start and end; both are _HIGHEST for what lies above, or has no size that can be."""
    starts = np.fromiter((f.address for f in functions), np.uint64)
    sizes = np.fromiter((f.size for f in functions), np.uint64)
    good = (starts < np.uint64(_HIGHEST // 2)) & (sizes < np.uint64(_HIGHEST // 2))
    begin = np.where(good, starts, np.uint64(_HIGHEST)).astype(np.int64)
    return begin, begin + np.where(good, sizes, np.uint64(0)).astype(np.int64)


def _exits(
    elf: ElfFile, pieces: Pieces, entries: Numbers, frames: Frames
) -> tuple[Flags, tuple[Numbers, Numbers, Flags, Numbers, Numbers, Numbers]]:
    """Which of `pieces` are plain, and the other columns of `PlainExits` for these."""
    found, owner, base = pieces.found, pieces.owner, pieces.base
    leaves, unclear = _leaving(elf, pieces, entries)
    plain = pieces.known & _end_well(pieces)
    plain[owner[unclear]] = False
    places = found.at[leaves] + base
    plain[owner[leaves][levels(frames, places) == NOT_TOLD]] = False
    leaves = leaves[plain[owner[leaves]]]
    direct = plain[owner] & (found.target != NOWHERE)
    return plain, (
        owner[leaves],
        found.at[leaves] + base,
        found.kind[leaves] != Kind.RET,
        found.condition[leaves],
        found.at[direct] + found.length[direct] - 1 + base,
        found.target[direct] + base,
    )


def _leaving(elf: ElfFile, pieces: Pieces, entries: Numbers) -> tuple[Numbers, Flags]:
    """The numbers of the transfers that leave their function, and which of all may or may not."""
    found, owner = pieces.found, pieces.owner
    target, kind = found.target, found.kind
    inside = (target >= pieces.starts[owner]) & (target < pieces.ends[owner])
    between = inside.copy()
    between[inside] = ~pieces.begins[target[inside]]
    jumps = (kind == Kind.JUMP) | (kind == Kind.CONDITIONAL)
    outside = np.flatnonzero(jumps & ~inside)
    elsewhere = target[outside] + pieces.base
    to_function = np.append(entries, NOWHERE)[np.searchsorted(entries, elsewhere)] == elsewhere
    for s in elf.sections:
        if s.addr and s.name.startswith((".plt", ".iplt")):
            to_function |= (elsewhere >= s.addr) & (elsewhere < s.addr + s.size)
    unclear = (kind == Kind.ALIEN) | (kind == Kind.INDIRECT) | (kind == Kind.BRANCH) & ~inside | between
    unclear |= (kind == Kind.CALL) & inside & (target != pieces.starts[owner])
    unclear[outside[~to_function]] = True
    leaves = (kind == Kind.RET) | (kind == Kind.THROUGH_TABLE)
    leaves[outside] = True
    return np.flatnonzero(leaves), unclear


def _end_well(pieces: Pieces) -> Flags:
    """Whether the last instruction of each piece is one behind which nothing runs."""
    found, owner = pieces.found, pieces.owner
    last = np.isin(found.kind, (Kind.RET, Kind.JUMP, Kind.CALL, Kind.STOP, Kind.THROUGH_TABLE))
    last &= found.at + found.length == pieces.ends[owner]
    well = np.zeros(len(pieces.ends), np.bool_)
    well[owner[last]] = True
    return well
