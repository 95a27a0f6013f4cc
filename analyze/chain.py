"""Find the commits of a `.partial` file, whatever its end looks like: see `schemas.chain` for the layout.

The walk goes from the end to the start, from seal to seal. Where no seal is, in what was being written
when the recorder died or in damage, it looks for the next one before. A commit counts if its bytes have
the checksum that its seal holds.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from ..schemas.chain import SEAL, SEAL_MAGIC

_BLOCK = 1 << 20
_LEAST_BLOCK = 1 << 10


@dataclass(frozen=True)
class Commit:
    """A sealed commit: the Parquet file in [start, end), with `rows` rows."""

    start: int
    end: int
    rows: int
    intact: bool

    @property
    def sealed_end(self) -> int:
        """Where its seal ends."""
        return self.end + SEAL.size


def walk(descriptor: int) -> list[Commit]:
    """The commits in file order; what stands between or after them belongs to none. Raises `OSError`."""
    return [
        Commit(start, end, rows, checksum_of(descriptor, start, end) == checksum)
        for start, end, rows, checksum in seals(descriptor)
    ][::-1]


def seals(descriptor: int) -> Iterator[tuple[int, int, int, int]]:
    """What the seals say, from the last to the first: where a commit starts, where it ends, its rows, and the
    checksum that it should have. Reads little of the file. Raises `OSError`.
    """
    end = os.fstat(descriptor).st_size
    while end >= SEAL.size:
        at = end - SEAL.size
        fields = _seal(os.pread(descriptor, SEAL.size, at), at)
        if fields is None:
            before = _last_magic(descriptor, at)
            if before is None:
                return
            end = before + SEAL.size
            continue
        start, rows, checksum = fields
        yield start, at, rows, checksum
        end = start


def _seal(raw: bytes, at: int) -> tuple[int, int, int] | None:
    """Start, rows and checksum of the commit that ends where this seal begins; None if it is no seal."""
    if len(raw) < SEAL.size:
        return None
    magic, start, rows, checksum, own = SEAL.unpack(raw)
    if magic != SEAL_MAGIC or own != zlib.crc32(raw[:-4]) or start >= at:
        return None
    return start, rows, checksum


def _last_magic(descriptor: int, limit: int) -> int | None:
    """Where the last seal may begin before `limit`."""
    high, size = limit, _LEAST_BLOCK
    while high > 0:
        low = max(0, high - size)
        # Small at first: in a file full of false ones each would take a large block.
        size = min(8 * size, _BLOCK)
        # One that begins at the end of this block ends in the next.
        block = os.pread(descriptor, min(high + len(SEAL_MAGIC) - 1, limit + len(SEAL_MAGIC) - 1) - low, low)
        found = block.rfind(SEAL_MAGIC)
        if found >= 0:
            return low + found
        high = low
    return None


def checksum_of(descriptor: int, start: int, end: int) -> int:
    """The CRC-32 of a part of the file."""
    result = 0
    for at in range(start, end, _BLOCK):
        result = zlib.crc32(os.pread(descriptor, min(_BLOCK, end - at), at), result)
    return result
