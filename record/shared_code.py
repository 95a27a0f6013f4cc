"""Functions whose code other code leads into: an exit there may be that of a call which never entered.

Where code is plain, its jumps and calls are known. Elsewhere all bytes are looked at that could be one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from .cfi import Frames
from .elf import ElfFile
from .functions import Function
from .instructions import Flags, Numbers
from .jump_bytes import Jumps, Wanted, code_ranges, find_jumps
from .levels import piece_ends
from .pieces import decode_pieces
from .plain_exits import PlainExits
from .surroundings import HIGHEST, Surroundings
from .transfers import NOWHERE

#: In files with more code nothing is told.
_MOST_CODE: Final = 128 << 20

OVERLAP = "it overlaps another function"


class Walked(NamedTuple):
    """Where the code of a function lies, and the last bytes of the direct jumps and calls there."""

    spans: Sequence[tuple[int, int]]
    ends: Collection[int]


def shared(
    functions: Sequence[Function], walked: Mapping[int, Walked], plain: PlainExits, around: Surroundings
) -> Iterator[tuple[int, str]]:
    """Those of `functions`, by index, whose exits other code runs too, and what tells so.

    Each that has exits is one of `walked`, or of `plain`.
    """
    rows = [(*span, i) for i, walk in walked.items() for span in walk.spans]
    of_plain = np.unique(plain.function).tolist()
    rows += [(f.address, f.address + f.size, i) for i in of_plain for f in (functions[i],)]
    spans: list[tuple[int, int]] = []
    owners: list[int] = []
    for start, end, i in sorted(rows):
        if spans and start < spans[-1][1]:
            if functions[i] != functions[owners[-1]]:
                yield i, OVERLAP
                yield owners[-1], OVERLAP
            continue
        spans.append((start, end))
        owners.append(i)
    plain_owner = np.isin(np.array(owners, np.int64), np.array(of_plain, np.int64))
    for target, place in _jumps_into(around.elf, around.frames, functions, spans, plain_owner, plain):
        index = bisect_right(spans, (target, HIGHEST)) - 1
        owner = owners[index]
        own = walked[owner].spans if owner in walked else [spans[index]]
        if any(start <= place < end for start, end in own):
            continue
        source = bisect_right(spans, (place, HIGHEST)) - 1
        if source < 0 or place >= spans[source][1]:
            real = around.refers(place, target)
        else:
            real = plain_owner[source] or place in walked[owners[source]].ends
        if real and around.may_follow(place, target):
            distance = target - functions[owner].address
            where = f"{'-' if distance < 0 else '+'}{abs(distance):#x}"
            yield owner, f"other code leads to {where} of it"


def _jumps_into(
    elf: ElfFile,
    frames: Frames,
    functions: Sequence[Function],
    spans: Sequence[tuple[int, int]],
    plain_owner: Flags,
    plain: PlainExits,
) -> Iterator[tuple[int, int]]:
    """(target, last byte) of what may be a call or jump into one of `spans`, but not to an entry.

    `spans` are disjoint and ascend.
    """
    ranges = [(low, high) for low, high in code_ranges(elf) if 0 <= low < HIGHEST]
    if not spans or sum(high - low for low, high in ranges) > _MOST_CODE:
        return
    starts, ends = (np.array(side, np.int64) for side in zip(*spans, strict=True))
    base, size = int(starts[0]), int(ends[-1] - starts[0])
    if size > _MOST_CODE:
        return
    wanted = _marked(starts - base, ends - base, size)
    known = _marked(starts[plain_owner] - base, ends[plain_owner] - base, size)
    entries = np.fromiter((f.address for f in functions), np.uint64)
    entries = entries[(entries >= np.uint64(base)) & (entries < np.uint64(base + size))].astype(np.int64)
    wanted[entries - base] = False

    def looked_for(marks: Flags) -> Wanted:
        def look(addresses: Numbers) -> Flags:
            distance = addresses - base
            inside = (distance >= 0) & (distance < size)
            inside[inside] = marks[distance[inside]]
            return inside

        return look

    is_wanted = looked_for(wanted)
    found = find_jumps(elf, ranges, is_wanted, is_wanted, skip=looked_for(known))
    left = ~_refuted(elf, frames, found)
    found = Jumps(found.targets[left], found.places[left], found.calls[left])
    calls = is_wanted(plain.targets)
    targets = np.concatenate((found.targets, plain.targets[calls]))
    places = np.concatenate((found.places, plain.ends[calls]))
    # Most are jumps of a function that leads to itself.
    target_span = np.searchsorted(starts, targets, side="right") - 1
    away = (places < starts[target_span]) | (places >= ends[target_span])
    order = np.argsort(places[away], kind="stable")
    yield from zip(targets[away][order].tolist(), places[away][order].tolist(), strict=True)


def _marked(starts: Numbers, ends: Numbers, size: int) -> Flags:
    """Of `size` bytes, those in [start, end) of disjoint ranges."""
    steps = np.zeros(size + 1, np.int8)
    np.add.at(steps, starts, 1)
    np.add.at(steps, ends, -1)
    return np.cumsum(steps[:-1], dtype=np.int8).view(np.bool_)


def _refuted(elf: ElfFile, frames: Frames, jumps: Jumps) -> Flags:
    """Which of `jumps` are none: the piece of code around is decoded as a whole, and has no such jump."""
    refuted = np.zeros(len(jumps.places), np.bool_)
    owner = np.searchsorted(frames.begins, jumps.places, side="right") - 1
    described = np.flatnonzero(owner >= 0)
    pieces, of = np.unique(owner[described], return_inverse=True)
    ends = piece_ends(frames, pieces)
    inside = jumps.places[described] < ends[of]
    described, of = described[inside], of[inside]
    for batch in decode_pieces(elf, frames.begins[pieces], ends):
        number = np.full(len(pieces), -1, np.int64)
        number[batch.rows] = np.arange(len(batch.rows))
        mine = number[of] >= 0
        mine[mine] = batch.known[number[of[mine]]]
        asked = described[mine]
        last = np.append(batch.found.at + batch.found.length - 1 + batch.base, NOWHERE)
        leads_to = np.append(batch.found.target + batch.base, NOWHERE)
        at = np.searchsorted(last[:-1], jumps.places[asked])
        refuted[asked] = (last[at] != jumps.places[asked]) | (leads_to[at] != jumps.targets[asked])
    return refuted
