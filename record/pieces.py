"""The jumps, calls and returns in pieces of a file's code, all decoded from their starts to their ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from .elf import ElfFile
from .instructions import WINDOW, Flags, Numbers
from .sweep import sweep
from .transfers import Transfers, transfers

_BATCH_BYTES: Final = 16 << 20


class Pieces(NamedTuple):
    """Some of the pieces, which lie together: `rows` are their numbers.

    `begins` says of each byte from the address `base` on whether an instruction begins there; starts, ends
    and the places of `found` count from there too. `known` are those pieces that are decoded as a whole;
    `owner` is the piece, as an index of `rows`, of each of `found`.
    """

    rows: Numbers
    base: int
    starts: Numbers
    ends: Numbers
    begins: Flags
    known: Flags
    found: Transfers
    owner: Numbers


def decode_pieces(elf: ElfFile, starts: Numbers, ends: Numbers) -> Iterator[Pieces]:
    """Decode the code at the addresses from each of `starts` to its end. Raises TargetError.

    What overlaps another, or is not as a whole in one segment of code, is in none of the results.
    """
    order = np.argsort(starts, kind="stable")
    begin, end = starts[order], ends[order]
    alone = end > begin
    alone[1:] &= begin[1:] >= np.maximum.accumulate(end)[:-1]
    for segment in elf.loaded:
        high = segment.vaddr + min(segment.filesz, elf.size - segment.offset)
        if not segment.flags & 1 or high > 1 << 62:
            continue
        rows = order[alone & (begin >= segment.vaddr) & (end <= high)]
        at = 0
        while at < len(rows):
            base = int(starts[rows[at]])
            stop = int(np.searchsorted(starts[rows], base + _BATCH_BYTES))
            yield _decoded(elf, rows[at:stop], base, base - segment.vaddr + segment.offset, starts, ends)
            at = stop


def _decoded(elf: ElfFile, rows: Numbers, base: int, offset: int, starts: Numbers, ends: Numbers) -> Pieces:
    begin, end = starts[rows] - base, ends[rows] - base
    size = int(end[-1])
    code = np.frombuffer(elf.bytes_at(offset, size) + bytes(WINDOW), np.uint8)
    begins, known = sweep(code, begin, end)
    found = transfers(code, begins)
    owner = np.searchsorted(begin, found.at, side="right") - 1
    inside = (owner >= 0) & (found.at < end[owner])
    found = Transfers(*(column[inside] for column in found))
    return Pieces(rows, base, begin, end, begins, known, found, owner[inside])
