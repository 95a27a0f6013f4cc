"""Find damage that page checksums don't cover: headers of pages, and the footer.

A recording leaves its seals in the file, each with a checksum of all the bytes of a commit, the footer
of that commit included (see `schemas.chain`). What the file's own footer says of its rows must be what
the intact commits say; what it holds of metadata has a checksum beside it.
"""

from __future__ import annotations

import os
import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from ..schemas.chain import CHECKSUM_KEY
from .chain import Commit, checksum_of, seals, walk
from .partial import footer_of


def metadata_damage(pairs: dict[bytes, bytes], raw: bytes) -> str | None:
    """What is wrong with the JSON `raw` of a footer's key-value pairs; None where nothing is known to be."""
    expected = pairs.get(CHECKSUM_KEY)
    if expected is None or expected == checksum(raw):
        return None
    return "its metadata does not have the checksum that it had"


def checksum(raw: bytes) -> bytes:
    """The value of `CHECKSUM_KEY` for the metadata `raw`."""
    return str(zlib.crc32(raw)).encode()


class Seals:
    """Compares the rows that `footer`, of the file `path`, names with what was committed.

    A file without seals, which other programs write, has nothing to compare with. Raises `OSError`, and so do
    all methods; these raise what PyArrow does for a footer that it cannot read, too.
    """

    def __init__(self, path: Path, footer: pq.FileMetaData) -> None:
        self._path, self._footer = path, footer
        self._places = list(_places(footer))
        #: A file of some kilobytes could hold a thousand million rows, all the same.
        self._twice = any(place >= following for place, following in pairwise(self._places))
        with self._descriptor() as descriptor:
            found = list(seals(descriptor))[::-1]
        self._sealed = bool(found)
        self._lock = threading.Lock()
        self._searched = False
        self._arrange(found)

    def _arrange(self, found: list[tuple[int, int, int, int]]) -> None:
        """Which row group is of which commit, where these are `found`."""
        #: Start, end, rows and checksum, of those with rows, in file order.
        self._commits = [each for each in found if each[2]]
        self._commit_of = [self._commit_at(place) for place in self._places]
        self._groups_of: dict[int, list[int]] = {}
        for group, commit in enumerate(self._commit_of):
            self._groups_of.setdefault(commit, []).append(group)
        self._checked: dict[int, str | None] = {}

    def damage_of(self, group: int) -> str | None:
        """What is wrong with a row group; None where it is as it was written. Reads the commit that it is
        in.
        """
        problem = self._plain_damage()
        if problem is not None or not self._sealed:
            return problem
        return self._damage_of_group(group)

    def damage(self) -> str | None:
        """What is wrong with any of the rows, or with which there are. Reads all of the file."""
        problem = self._plain_damage()
        if problem is not None or not self._sealed:
            return problem
        for group in range(len(self._places)):
            problem = problem or self._damage_of_group(group)
        # Damaged ones `funcsnoop recover` leaves out of the footer, not of the file.
        others = set(range(len(self._commits))) - self._groups_of.keys()
        if problem is None and any(self._is_intact(commit) for commit in others):
            return _ROWS_MISSING
        return problem

    def _commit_at(self, place: int) -> int:
        """The commit that holds this byte of the file, -1 for none."""
        commit = bisect_right(self._commits, place, key=lambda each: each[0]) - 1
        return commit if commit >= 0 and place < self._commits[commit][1] else -1

    def _plain_damage(self) -> str | None:
        """What is seen without a look at the rows."""
        if self._twice:
            return "its footer names some rows twice"
        has_checksum = CHECKSUM_KEY in (self._footer.metadata or {})
        if self._sealed:
            return None if has_checksum else "the checksum of its metadata is gone"
        return "the checksums of its rows are gone" if has_checksum else None

    def _damage_of_group(self, group: int) -> str | None:
        with self._lock:
            problem = self._damage_of_commit(self._commit_of[group])
            if problem is not None and not self._searched:
                # What was recovered may hold damage, and there a seal from elsewhere, which hides commits.
                self._searched = True
                with self._descriptor() as descriptor:
                    commits = [commit for commit in walk(descriptor) if commit.intact]
                self._arrange([(each.start, each.end, each.rows, each.checksum) for each in commits])
                problem = self._damage_of_commit(self._commit_of[group])
            return problem

    def _damage_of_commit(self, commit: int) -> str | None:
        if commit not in self._checked:
            self._checked[commit] = self._difference(commit)
        return self._checked[commit]

    def _difference(self, commit: int) -> str | None:
        if commit < 0 or not self._is_intact(commit):
            return "some of its rows do not have the checksum that they had"
        with self._descriptor() as descriptor:
            own = footer_of(descriptor, Commit(*self._commits[commit], intact=True))
        named = self._groups_of[commit]
        same = len(named) == own.num_row_groups and all(
            _same(own, number, self._footer, group) for number, group in enumerate(named)
        )
        return None if same else _ROWS_MISSING

    def _is_intact(self, commit: int) -> bool:
        start, end, _, expected = self._commits[commit]
        with self._descriptor() as descriptor:
            return checksum_of(descriptor, start, end) == expected

    @contextmanager
    def _descriptor(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


_ROWS_MISSING: Final = "its footer does not name the rows that were recorded"


def _places(footer: pq.FileMetaData) -> Iterator[int]:
    """Where each row group begins."""
    for number in range(footer.num_row_groups):
        first = footer.row_group(number).column(0)
        yield first.dictionary_page_offset or first.data_page_offset


def _same(one: pq.FileMetaData, first: int, other: pq.FileMetaData, second: int) -> bool:
    a, b = one.row_group(first), other.row_group(second)
    return bool(a.num_rows == b.num_rows and a.equals(b))
