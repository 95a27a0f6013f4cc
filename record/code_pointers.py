"""Which addresses of code a file refers to, from its data and from its code."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import TargetError
from .elf import SHF_EXECINSTR, Bytes, ElfFile, Segment

_SHT_RELA: Final = 4
_ET_EXEC: Final = 2
_RELATIVE: Final = 8
_RELOCATION: Final = np.dtype([("offset", "<u8"), ("info", "<u8"), ("addend", "<i8")])
_CHUNK: Final = 16 << 20
#: In larger files what is asked here stays unknown.
_MOST_DATA: Final = 512 << 20
_MOST_CODE: Final = 128 << 20


class CodePointers:
    """The addresses of code that lie in a file's data, or that the loader puts there."""

    def __init__(self, elf: ElfFile) -> None:
        self._elf = elf

    def inside(self, start: int, end: int) -> bool:
        """Whether data points into [start, end); True where it is not known."""
        if self._found is None or not self._low <= start <= end <= self._high:
            return True
        low, high = np.searchsorted(self._found, np.array([start, end], np.uint64)).tolist()
        return bool(high > low)

    def at(self, address: int) -> int | None:
        """The pointer at `address`, as it is when the program runs."""
        if address in self._relocated:
            return self._relocated[address]
        offset = self._elf.offset_of(address)
        if offset is None or offset + 8 > self._elf.size:
            return None
        return int.from_bytes(self._elf.bytes_at(offset, 8), "little")

    @cached_property
    def _code(self) -> Sequence[tuple[int, int]]:
        """(start, end) of where code is, as sections or else segments tell."""
        sections = [(s.addr, s.addr + s.size) for s in self._elf.sections if s.flags & SHF_EXECINSTR]
        return sections or [(s.vaddr, s.vaddr + s.filesz) for s in self._elf.loaded if s.flags & 1]

    @property
    def _low(self) -> int:
        return min((start for start, _ in self._code), default=0)

    @property
    def _high(self) -> int:
        return min(max((end for _, end in self._code), default=0), (1 << 64) - 1)

    @cached_property
    def _found(self) -> npt.NDArray[np.uint64] | None:
        """All pointers to code, in ascending order; None where they are not known."""
        elf = self._elf
        if not self._code or sum(s.filesz for s in elf.loaded) > _MOST_DATA or not elf.sections:
            return None
        parts = []
        try:
            for segment in elf.loaded:
                start = segment.offset + (-segment.vaddr & 7)
                for at in range(start, segment.offset + segment.filesz - 7, _CHUNK):
                    size = min(_CHUNK, segment.offset + segment.filesz - at) & ~7
                    parts.append(self._to_code(np.frombuffer(elf.bytes_at(at, size), "<u8")))
            parts += [self._to_code(table["addend"].view(np.uint64)) for table in self._relocations]
        except TargetError:
            return None
        return np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.uint64)

    def _to_code(self, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        # Most are smaller than any address of code, or larger: one subtraction tells both.
        low = np.uint64(self._low)
        return values[values - low < np.uint64(self._high) - low]

    @cached_property
    def _relocations(self) -> list[npt.NDArray[Any]]:
        """The relocations by which the loader puts addresses into data; TargetError where damaged."""
        tables = []
        for section in self._elf.sections:
            if section.type == _SHT_RELA and section.size <= _MOST_DATA:
                size = section.size - section.size % _RELOCATION.itemsize
                table = np.frombuffer(self._elf.bytes_at(section.offset, size), _RELOCATION)
                tables.append(table[table["info"] == _RELATIVE])
        return tables

    @cached_property
    def _relocated(self) -> dict[int, int]:
        """What the loader puts where, as far as it leads to code."""
        if self._found is None:
            return {}
        found: dict[int, int] = {}
        for table in self._relocations:
            addends = table["addend"].view(np.uint64)
            inside = addends - np.uint64(self._low) < np.uint64(self._high - self._low)
            found.update(zip(table["offset"][inside].tolist(), addends[inside].tolist(), strict=True))
        return found


class References:
    """Where code refers to `addresses`: by calls, jumps, and instructions that form an address.

    Every place is among them that holds the bytes of such a reference, and a few others by chance.
    """

    def __init__(self, elf: ElfFile, addresses: Sequence[int]) -> None:
        self._elf = elf
        self._addresses = addresses
        self._found: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None

    def to(self, address: int) -> list[int] | None:
        """Addresses of the references' last bytes; None where they are not known."""
        if self._found is None:
            try:
                self._found = self._read()
            except TargetError:
                self._found = np.zeros(0, np.int64), np.zeros(0, np.int64)
                self._addresses = ()
        if not len(self._addresses):
            return None
        targets, places = self._found
        low, high = np.searchsorted(targets, [address, address + 1]).tolist()
        found: list[int] = places[low:high].tolist()
        return found

    def _read(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        elf = self._elf
        code = [s for s in elf.loaded if s.flags & 1 and s.vaddr < 1 << 62]
        if not code:
            elf.bad("it has no code")
        low, high = min(s.vaddr for s in code), max(s.vaddr + s.filesz for s in code)
        if high - low > _MOST_CODE:
            elf.bad("too large to look for references")
        wanted = np.zeros(high - low, np.bool_)
        addresses = np.array(self._addresses, np.int64)
        wanted[addresses[(addresses >= low) & (addresses < high)] - low] = True
        targets, places = [], []
        for segment in code:
            for target, place in _candidates(elf, segment):
                good = (target >= low) & (target < high)
                target, place = target[good], place[good]
                hit = wanted[target - low]
                targets.append(target[hit])
                places.append(place[hit])
        target, place = np.concatenate(targets), np.concatenate(places)
        order = np.argsort(target, kind="stable")
        return target[order], place[order]


def _candidates(elf: ElfFile, segment: Segment) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """(what, from where) for all bytes of a segment, as if each were the end of a reference."""
    content = elf.array_at(segment.offset, segment.filesz)
    if len(content) < 8:
        return []
    found = []
    for phase in range(4):
        words = content[phase : phase + (len(content) - phase) // 4 * 4].view("<i4")
        numbers = np.arange(len(words))
        if elf.type == _ET_EXEC:
            # Addresses as such.
            found.append((words.astype(np.int64), segment.vaddr + phase + 4 * numbers + 3))
        # Zeroes lead to what follows them.
        numbers, words = numbers[words != 0], words[words != 0]
        ends = segment.vaddr + phase + 4 + 4 * numbers
        found.append((ends + words, ends - 1))
    opcodes: Bytes = content[:-1]
    at = np.flatnonzero(((opcodes & 0xF0) == 0x70) | (opcodes == 0xEB) | ((opcodes & 0xFC) == 0xE0))
    distances = content[at + 1].view(np.int8)
    at, distances = at[distances != 0], distances[distances != 0]
    found.append((segment.vaddr + at + 2 + distances, segment.vaddr + at + 1))
    return found
