"""All bytes of a file's code that could be direct jumps or calls, whatever instruction they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
#: Behind all addresses that are not at the very end of the address space.
_WRAP: Final = 1 << 64

Ranges = Sequence[tuple[int, int]]
#: Which of some addresses are looked for.
Wanted = Callable[[Numbers], Flags]


class Jumps(NamedTuple):
    """What may be jumps and calls: where they lead, the addresses of their last bytes, which are calls."""

    targets: Numbers
    places: Numbers
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


def find_jumps(
    elf: ElfFile, ranges: Ranges, jumps: Wanted, calls: Wanted | None, skip: Wanted | None = None
) -> Jumps:
    """The jumps in `ranges` that may lead to what `jumps` wants, and the calls; None wants none of these.

    Those whose last bytes `skip` names are left out.
    """

    def look(chunk: tuple[int, int]) -> list[Jumps]:
        found = []
        for places, targets, is_call in _transfers(chunk[0], _code(elf, *chunk), calls is not None):
            if skip is not None:
                good = ~skip(places)
                places, targets = places[good], targets[good]
            wanted = calls if is_call else jumps
            assert wanted is not None
            hit = wanted(targets)
            found.append(Jumps(targets[hit], places[hit], np.full(int(hit.sum()), is_call)))
        return found

    # NumPy lets others run meanwhile.
    with ThreadPoolExecutor(2) as pool:
        parts = [part for found in pool.map(look, _chunks(ranges)) for part in found]
    nothing = np.zeros(0, np.int64)
    parts.append(Jumps(nothing, nothing, np.zeros(0, np.bool_)))
    return Jumps(*(np.concatenate(column) for column in zip(*parts, strict=True)))


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


def _transfers(base: int, code: Bytes, with_calls: bool) -> Iterator[tuple[Numbers, Numbers, bool]]:
    """(last bytes, targets, whether calls) of all that may be transfers in `code`, which is at `base`."""
    opcodes, following = code[:-_OVERLAP], code[1 : 1 - _OVERLAP]
    # Every four bytes, from each byte on.
    words = np.ndarray((len(code) - 3,), "<i4", code, 0, (1,))
    near = np.flatnonzero(opcodes & 0xFE == 0xE8)
    is_call = opcodes[near] == 0xE8
    conditional = np.flatnonzero((opcodes == 0x0F) & (following & 0xF0 == 0x80))
    if with_calls:
        at = near[is_call]
        yield *_ends(base + at + 5, words[at + 1]), True
    at = near[~is_call]
    yield *_ends(base + at + 5, words[at + 1]), False
    yield *_ends(base + conditional + 6, words[conditional + 2]), False
    at = np.flatnonzero((opcodes & 0xF0 == 0x70) | (opcodes == 0xEB) | (opcodes & 0xFC == 0xE0))
    yield *_ends(base + at + 2, following[at].view(np.int8)), False


def _ends(ends: Numbers, distances: npt.NDArray[Any]) -> tuple[Numbers, Numbers]:
    return ends - 1, ends + distances
