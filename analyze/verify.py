"""Find damage that page checksums don't cover: headers of pages, and the footer.

A recording leaves its seals in the file, each with a checksum of all the bytes of a commit, the footer
of that commit included (see `schemas.chain`). What the file's own footer says of its rows must be what
the intact commits say; what it holds of metadata has a checksum beside it.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pyarrow.parquet as pq

from ..schemas.chain import CHECKSUM_KEY
from .chain import Commit, walk
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


def row_damage(path: Path, footer: pq.FileMetaData) -> str | None:
    """What is wrong with the rows that `footer` names; None where all is as it was written.

    Reads all of the file. One without seals, which other programs write, has nothing to compare with.
    Raises `OSError`, and what PyArrow raises for a footer that it cannot read.
    """
    pairs = footer.metadata or {}
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        commits = walk(descriptor)
        if not commits:
            return "the checksums of its rows are gone" if CHECKSUM_KEY in pairs else None
        if CHECKSUM_KEY not in pairs:
            return "the checksum of its metadata is gone"
        return _difference(descriptor, commits, footer)
    finally:
        os.close(descriptor)


def _difference(descriptor: int, commits: list[Commit], footer: pq.FileMetaData) -> str | None:
    # Damaged commits may be there: `funcsnoop recover` leaves them out of the footer, not of the file.
    at = 0
    for commit in commits:
        if not commit.intact or not commit.rows:
            continue
        own = footer_of(descriptor, commit)
        for number in range(own.num_row_groups):
            if at >= footer.num_row_groups or not _same(own, number, footer, at):
                return "its footer does not name the rows that were recorded"
            at += 1
    if at != footer.num_row_groups:
        return "some of its rows do not have the checksum that they had"
    return None


def _same(one: pq.FileMetaData, first: int, other: pq.FileMetaData, second: int) -> bool:
    a, b = one.row_group(first), other.row_group(second)
    return bool(a.num_rows == b.num_rows and a.equals(b))
