"""Which direct jumps and calls lead to the beginnings of functions: onto the entry, or behind it.

All bytes of the code are looked at that could be one. Few of them lead to where functions begin, so that only
these need to be told from other instructions, whose bytes happen to look so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .elf import SHF_EXECINSTR, Bytes, ElfFile
from .instructions import Flags, Numbers

_CHUNK: Final = 4 << 20
_CLOSE: Final = 4096
#: The longest jump, less its prefixes.
_OVERLAP: Final = 6
#: Addresses are looked up by as many of their low bits first.
_MASK: Final = (1 << 22) - 1
#: Behind all addresses that are not at the very end of the address space.
_WRAP: Final = 1 << 64

Ranges = Sequence[tuple[int, int]]


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


def signed(addresses: Iterable[int]) -> Numbers:
    """The same 64 bits as signed numbers, of which sums and differences can be taken."""
    return np.fromiter(addresses, np.uint64).view(np.int64)


def code_ranges(elf: ElfFile) -> Ranges:
    """(start, end) of the addresses where the file has code."""
    found: list[tuple[int, int]] = []
    segments = [s for s in elf.loaded if s.flags & 1]
    sections = [s for s in elf.sections if s.flags & SHF_EXECINSTR]
    for segment in segments:
        end = segment.vaddr + segment.filesz
        inside = [(s.addr, s.size) for s in sections if segment.vaddr <= s.addr < s.addr + s.size <= end]
        found += inside or [(segment.vaddr, segment.filesz)]
    starts = signed(start for start, _ in found)
    # Whatever the file says of itself, it has no more code than bytes.
    return merged(starts, starts + np.array([min(size, elf.size) for _, size in found], np.int64))


def merged(starts: Numbers, ends: Numbers) -> Ranges:
    """The same addresses, ascending and each once, with what lies between close ones."""
    if not len(starts):
        return []
    order = np.argsort(starts, kind="stable")
    starts, highest = starts[order], np.maximum.accumulate(ends[order])
    first = np.flatnonzero(np.concatenate(([True], starts[1:] > highest[:-1] + _CLOSE)))
    last = np.append(first[1:], len(starts)) - 1
    return list(zip(starts[first].tolist(), highest[last].tolist(), strict=True))


def find_landings(elf: ElfFile, ranges: Ranges, beginnings: Beginnings) -> Landings:
    """The jumps and calls in `ranges` that may lead to `beginnings`."""
    entries, _, heads, reaches = beginnings
    jumps, calls = np.zeros(_MASK + 1, np.bool_), np.zeros(_MASK + 1, np.bool_)
    for distance in range(int(reaches.max(initial=-1)) + 1):
        within = reaches >= distance
        jumps[entries[within] + distance & _MASK] = True
        calls[entries[within & (heads < distance)] + distance & _MASK] = True

    def look(chunk: tuple[int, int]) -> list[tuple[Numbers, Numbers, Numbers, Flags, Flags]]:
        base, code = chunk[0], _code(elf, *chunk)
        return [
            owner
            for places, targets, is_call in _transfers(base, code, jumps, calls)
            for owner in _owners(places, targets, is_call, beginnings)
        ]

    # NumPy lets others run meanwhile.
    with ThreadPoolExecutor(2) as pool:
        parts = [part for found in pool.map(look, _chunks(ranges)) for part in found]
    if not parts:
        nothing, never = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        return Landings(nothing, nothing, nothing, never, never)
    return Landings(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def find_indirect(elf: ElfFile, ranges: Ranges) -> Numbers:
    """Where `ranges` hold what may be a jump to an address in a register or in memory.

    Such as the linker makes to call other modules are not among them.
    """
    found = [np.zeros(0, np.int64)]
    for base, size in _chunks(ranges):
        code = _code(elf, base, size)
        opcodes, following = code[:-_OVERLAP], code[1 : 1 - _OVERLAP]
        at = np.flatnonzero(opcodes == 0xFF)
        second = following[at]
        found.append(at[(second & 0x38 == 0x20) & (second != 0x25)] + base)
    return np.concatenate(found)


def _chunks(ranges: Ranges) -> Iterator[tuple[int, int]]:
    """(address, size) of pieces of `ranges`."""
    for low, high in ranges:
        for start in range(low, high, _CHUNK):
            yield start, min(high - start, _CHUNK)


def _code(elf: ElfFile, start: int, size: int) -> Bytes:
    """The code there, as far as the file has any, and the beginning of what follows."""
    offset = elf.offset_of(start % _WRAP)
    if offset is None or offset >= elf.size:
        return np.zeros(_OVERLAP, np.uint8)
    raw = elf.bytes_at(offset, min(size + _OVERLAP, elf.size - offset))
    return np.frombuffer(raw.ljust(size + _OVERLAP, b"\0"), np.uint8)


def _transfers(base: int, code: Bytes, jumps: Flags, calls: Flags) -> Iterator[tuple[Numbers, Numbers, bool]]:
    """(last bytes, targets, whether calls) of what may be a transfer to a marked address."""
    opcodes, following = code[:-_OVERLAP], code[1 : 1 - _OVERLAP]
    # Every four bytes, from each byte on.
    words = np.ndarray((len(code) - 3,), "<i4", code, 0, (1,))
    near = np.flatnonzero(opcodes & 0xFE == 0xE8)
    is_call = opcodes[near] == 0xE8
    conditional = np.flatnonzero((opcodes == 0x0F) & (following & 0xF0 == 0x80))
    for at, length, marks, call in (
        (near[is_call], 5, calls, True),
        (near[~is_call], 5, jumps, False),
        (conditional, 6, jumps, False),
    ):
        if marks.any():
            yield *_hits(base + at + length, words[at + length - 4], marks), call
    at = np.flatnonzero((opcodes & 0xF0 == 0x70) | (opcodes == 0xEB) | (opcodes & 0xFC == 0xE0))
    yield *_hits(base + at + 2, following[at].view(np.int8), jumps), False


def _hits(ends: Numbers, distances: npt.NDArray[Any], marks: Flags) -> tuple[Numbers, Numbers]:
    targets = ends + distances
    hit = marks[targets & _MASK]
    return ends[hit] - 1, targets[hit]


def _owners(
    places: Numbers, targets: Numbers, is_call: bool, beginnings: Beginnings
) -> Iterator[tuple[Numbers, Numbers, Numbers, Flags, Flags]]:
    """The functions whose beginnings are at `targets`: there are several where they overlap."""
    entries, ends, heads, reaches = beginnings
    farthest = int(reaches.max(initial=0))
    index = np.searchsorted(entries, targets, side="right") - 1
    while True:
        left = index >= 0
        left[left] = targets[left] - entries[index[left]] <= farthest
        index, places, targets = index[left], places[left], targets[left]
        if not len(index):
            return
        distances = targets - entries[index]
        own = (places >= entries[index]) & (places < ends[index])
        hit = distances <= reaches[index]
        if is_call:
            hit &= distances > heads[index]
        yield index[hit], distances[hit], places[hit], own[hit], np.full(int(hit.sum()), is_call)
        index = index - 1
