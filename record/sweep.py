"""Where instructions begin, in many pieces of code at once.

Pieces are cut into chunks, and all are decoded side by side, one instruction of each at a time. A chunk in
the middle of a piece may begin inside of an instruction; but wherever the decoding of x86 code begins, it
falls into step soon. So the chunk before goes on until it meets an instruction that the next one has found:
from there on the next one is right.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from .elf import Bytes
from .instructions import Flags, Numbers, decode

_CHUNK: Final = 1024
#: After so many instructions two chunks are in step, or their piece is not known.
_MOST_BRIDGES: Final = 64


class Swept(NamedTuple):
    """`begins` says of each byte of the code whether an instruction begins there.

    `known` says of each piece whether all of it is instructions that are known, the last of which ends where
    the piece does.
    """

    begins: Flags
    known: Flags


def sweep(code: Bytes, starts: Numbers, ends: Numbers) -> Swept:
    """Decode `code` from each of `starts` to the end of that piece; the pieces do not overlap.

    `code` goes on for `WINDOW` bytes after the last.
    """
    counts = np.maximum(1, -(-(ends - starts) // _CHUNK))
    piece = np.repeat(np.arange(len(starts)), counts)
    number = np.arange(len(piece)) - np.repeat(np.cumsum(counts) - counts, counts)
    chunk_starts = starts[piece] + number * _CHUNK
    chunk_ends = np.minimum(chunk_starts + _CHUNK, ends[piece])
    begins, bad = np.zeros(len(code), np.bool_), np.zeros(len(code), np.bool_)
    stops = _decode_all(code, chunk_starts, chunk_ends, begins, bad)
    known = np.ones(len(starts), np.bool_)
    # Each chunk but the last of a piece goes on into the next.
    rows = np.flatnonzero(piece[1:] == piece[:-1])
    in_step = _join(code, stops[rows], chunk_starts[rows + 1], chunk_ends[rows + 1], begins, bad)
    known[piece[rows[~in_step]]] = False
    last = np.cumsum(counts) - 1
    known &= stops[last] == ends
    wrong = np.flatnonzero(bad & begins)
    owner = np.searchsorted(starts, wrong, side="right") - 1
    known[owner[(owner >= 0) & (wrong < ends[owner])]] = False
    return Swept(begins, known)


def _decode_all(code: Bytes, starts: Numbers, ends: Numbers, begins: Flags, bad: Flags) -> Numbers:
    """Decode from `starts` to `ends`; where each comes to a stop, at its end or behind."""
    stops = starts.copy()
    rows = np.flatnonzero(starts < ends)
    at = starts[rows]
    while len(rows):
        begins[at] = True
        length = decode(code, at).length
        unknown = length == 0
        if unknown.any():
            bad[at[unknown]] = True
            length[unknown] = 1
        at = at + length
        done = at >= ends[rows]
        if done.any():
            stops[rows[done]] = at[done]
            rows, at = rows[~done], at[~done]
    return stops


def _join(code: Bytes, stops: Numbers, starts: Numbers, ends: Numbers, begins: Flags, bad: Flags) -> Flags:
    """Go on from `stops` until in step with the chunks that begin at `starts`; whether that succeeds."""
    in_step = np.zeros(len(stops), np.bool_)
    rows, at = np.arange(len(stops)), stops.copy()
    bridges = []
    meets = starts.copy()
    for _ in range(_MOST_BRIDGES):
        met = begins[at]
        in_step[rows[met]] = True
        meets[rows[met]] = at[met]
        rows, at = rows[~met], at[~met]
        if not len(rows):
            break
        length = decode(code, at).length
        good = (length > 0) & (at + length < ends[rows])
        rows, at, length = rows[good], at[good], length[good]
        bridges.append((rows, at))
        at = at + length
    # What the chunk found before that were no instructions.
    width = meets - starts
    for distance in range(int(width.max(initial=0))):
        places = starts[width > distance] + distance
        begins[places] = False
    for rows, at in bridges:
        begins[at[in_step[rows]]] = True
    return in_step
