"""Which direct jumps and calls lead to the beginnings of functions: onto the entry, or behind it.

All bytes of the code are looked at that could be one. Few of them lead to where functions begin, so that only
these need to be told from other instructions, whose bytes happen to look so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from .elf import ElfFile
from .instructions import Flags, Numbers
from .jump_bytes import Jumps, Ranges, find_jumps

#: Addresses are looked up by as many of their low bits first.
_MASK: Final = (1 << 22) - 1


class Beginnings(NamedTuple):
    """Where functions begin, in ascending order of signed addresses, and what of that is looked at.

    A jump onto one of the bytes up to `reaches` behind the entry counts, a call only if it leads behind
    `heads`. `ends` are where the functions end.
    """

    entries: Numbers
    ends: Numbers
    heads: Numbers
    reaches: Numbers


class Landings(NamedTuple):
    """What may lead to the beginning of a function: it by index, distances behind its entry, from where.

    `places` are the addresses of their last bytes. `own` says that it lies between the function's entry and
    end, `calls` that it is a call.
    """

    functions: Numbers
    distances: Numbers
    places: Numbers
    own: Flags
    calls: Flags


def find_landings(elf: ElfFile, ranges: Ranges, beginnings: Beginnings) -> Landings:
    """The jumps and calls in `ranges` that may lead to `beginnings`."""
    entries, _, heads, reaches = beginnings
    jumps, calls = np.zeros(_MASK + 1, np.bool_), np.zeros(_MASK + 1, np.bool_)
    for distance in range(int(reaches.max(initial=-1)) + 1):
        within = reaches >= distance
        jumps[entries[within] + distance & _MASK] = True
        calls[entries[within & (heads < distance)] + distance & _MASK] = True
    found = find_jumps(
        elf,
        ranges,
        lambda targets: jumps[targets & _MASK],
        (lambda targets: calls[targets & _MASK]) if calls.any() else None,
    )
    return Landings(*(np.concatenate(column) for column in zip(*_owners(found, beginnings), strict=True)))


def _owners(found: Jumps, beginnings: Beginnings) -> Iterator[Landings]:
    """The functions whose beginnings `found` leads to: there are several where they overlap."""
    entries, ends, heads, reaches = beginnings
    farthest = int(reaches.max(initial=0))
    targets, places, calls = found
    index = np.searchsorted(entries, targets, side="right") - 1
    while True:
        left = index >= 0
        left[left] = targets[left] - entries[index[left]] <= farthest
        index, targets, places, calls = index[left], targets[left], places[left], calls[left]
        distances = targets - entries[index]
        hit = (distances <= reaches[index]) & (~calls | (distances > heads[index]))
        own = (places >= entries[index]) & (places < ends[index])
        yield Landings(index[hit], distances[hit], places[hit], own[hit], calls[hit])
        if not len(index):
            return
        index = index - 1
