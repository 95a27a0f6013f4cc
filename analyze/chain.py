"""Find the commits of a `.partial` file, whatever its end looks like: see `schemas.chain` for the layout.

The walk goes from the end to the start, from seal to seal. Where no seal is, in what was being written
when the recorder died or in damage, it looks for the next one before. A commit counts if its bytes have
the checksum that its seal holds. What a seal says of a commit that is damaged may be damage, too: it may have
come from elsewhere in the file, and so commits are looked for inside of what it says as well.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from ..schemas.chain import SEAL, SEAL_MAGIC

_BLOCK = 1 << 20
_LEAST_BLOCK = 1 << 10
#: Checksums are of so many times the size of the file at most: false seals could all say of the whole file
#: that it is their commit.
_MOST_CHECKED = 8


@dataclass(frozen=True)
class Commit:
    """A sealed commit: the Parquet file in [start, end), with `rows` rows."""

    start: int
    end: int
    rows: int
    checksum: int  # that its bytes should have
    intact: bool

    @property
    def sealed_end(self) -> int:
        """Where its seal ends."""
        return self.end + SEAL.size


def walk(descriptor: int) -> list[Commit]:
    """The commits in file order; what stands between or after them belongs to none. Raises `OSError`."""
    end = os.fstat(descriptor).st_size
    room = _MOST_CHECKED * end
    found = []
    while (seal := _last_seal(descriptor, end)) is not None:
        start, at, rows, checksum = seal
        checked = at - start <= room
        room -= at - start if checked else 0
        intact = checked and checksum_of(descriptor, start, at) == checksum
        found.append(Commit(start, at, rows, checksum, intact))
        end = start if intact or not checked else at
    # Of seals that say the same start one has been copied. Where a commit is intact nothing else began.
    by_start = {commit.start: commit for commit in found}
    by_start |= {commit.start: commit for commit in found if commit.intact}
    kept: list[Commit] = []
    whole = 0
    for _, commit in sorted(by_start.items()):
        if commit.intact:
            whole = commit.sealed_end
        elif commit.start < whole:
            continue
        kept.append(commit)
    return kept


def seals(descriptor: int) -> Iterator[tuple[int, int, int, int]]:
    """What the seals say, from the last to the first: where a commit starts, where it ends, its rows, and the
    checksum that it should have. Reads little of the file. Raises `OSError`.
    """
    end = os.fstat(descriptor).st_size
    while (seal := _last_seal(descriptor, end)) is not None:
        yield seal
        end = seal[0]


def _last_seal(descriptor: int, end: int) -> tuple[int, int, int, int] | None:
    """The last seal of those that end there or before."""
    while end >= SEAL.size:
        at = end - SEAL.size
        fields = _seal(os.pread(descriptor, SEAL.size, at), at)
        if fields is not None:
            start, rows, checksum = fields
            return start, at, rows, checksum
        before = _last_magic(descriptor, at)
        if before is None:
            return None
        end = before + SEAL.size
    return None


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
