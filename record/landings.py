"""Which direct jumps and calls lead to the beginnings of functions: onto the entry, or behind it.

All bytes of the code are looked at that could be one. Few of them lead to where functions begin, so that only
these need to be told from other instructions, whose bytes happen to look so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from .elf import SHF_EXECINSTR, Bytes, ElfFile
from .instructions import Flags, Numbers

_CHUNK: Final = 16 << 20
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


def signed(address: int) -> int:
    """The same 64 bits as a signed number: that of every address fits into a NumPy array."""
    return address - _WRAP if address >= _WRAP // 2 else address


def code_ranges(elf: ElfFile) -> Ranges:
    """(start, end) of the addresses where the file has code."""
    found = []
    segments = [(signed(s.vaddr), signed(s.vaddr) + s.filesz) for s in elf.loaded if s.flags & 1]
    sections = [(signed(s.addr), signed(s.addr) + s.size) for s in elf.sections if s.flags & SHF_EXECINSTR]
    for low, high in segments:
        inside = [(start, end) for start, end in sections if low <= start < end <= high]
        found += inside or [(low, high)]
    return merged(found)


def merged(ranges: Ranges) -> Ranges:
    """The same addresses, ascending and each once, with what lies between close ones."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1] + _CLOSE:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def find_landings(elf: ElfFile, ranges: Ranges, beginnings: Beginnings) -> Landings:
    """The jumps and calls in `ranges` that may lead to `beginnings`."""
    entries, _, heads, reaches = beginnings
    jumps, calls = np.zeros(_MASK + 1, np.bool_), np.zeros(_MASK + 1, np.bool_)
    for distance in range(int(reaches.max(initial=-1)) + 1):
        within = reaches >= distance
        jumps[entries[within] + distance & _MASK] = True
        calls[entries[within & (heads < distance)] + distance & _MASK] = True
    parts = []
    for base, code in _chunks(elf, ranges):
        for places, targets, is_call in _transfers(base, code, jumps, calls):
            parts += list(_owners(places, targets, is_call, beginnings))
    if not parts:
        nothing, never = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        return Landings(nothing, nothing, nothing, never, never)
    return Landings(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def find_indirect(elf: ElfFile, ranges: Ranges) -> Numbers:
    """Where `ranges` hold what may be a jump to an address in a register or in memory.

    Such as the linker makes to call other modules are not among them.
    """
    found = [np.zeros(0, np.int64)]
    for base, code in _chunks(elf, ranges):
        opcodes, following = code[:-_OVERLAP], code[1 : 1 - _OVERLAP]
        at = np.flatnonzero(opcodes == 0xFF)
        second = following[at]
        found.append(at[(second & 0x38 == 0x20) & (second != 0x25)] + base)
    return np.concatenate(found)


def _chunks(elf: ElfFile, ranges: Ranges) -> Iterator[tuple[int, Bytes]]:
    """(address, bytes) of the code in `ranges`; each piece is longer by the beginning of the next."""
    for low, high in ranges:
        for start in range(low, high, _CHUNK):
            offset = elf.offset_of(start % _WRAP)
            if offset is None or offset >= elf.size:
                break
            size = min(high - start, _CHUNK)
            raw = elf.bytes_at(offset, min(size + _OVERLAP, elf.size - offset))
            yield start, np.frombuffer(raw.ljust(size + _OVERLAP, b"\0"), np.uint8)


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
