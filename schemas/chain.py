"""How a `.partial` file is laid out: a chain of commits.

A commit is a complete Parquet file (https://github.com/apache/parquet-format), whose offsets count from
the start of the `.partial` file, followed by a seal. What has a seal is committed; what stands after the
last seal was being written when the recorder died.

The metadata of the recording stands in the commits' footers, each of which holds what has changed since
the one before: under the key `COMMIT_KEY`, JSON of type `CommitNote`.

When the recording finishes, a footer that names all row groups follows the last seal. The file is then
plain Parquet, in which seals and the footers of commits are bytes that nothing refers to.
"""

from __future__ import annotations

import struct
from typing import Any, Final, TypedDict

SEAL_MAGIC: Final = b"FSNPSEAL"

#: Magic, where the commit starts, its rows, the CRC-32 of its bytes, and that of the seal up to here.
#: Seals make it possible to walk from the end, and to tell one flipped bit in a footer, which Parquet's
#: own checksums leave out.
SEAL: Final = struct.Struct("<8sQQII")

COMMIT_KEY: Final = b"funcsnoop.commit"

#: Beside the metadata in the finished file's footer: the CRC-32 of its JSON, in decimal.
CHECKSUM_KEY: Final = b"funcsnoop.crc32"

#: Keys of the metadata whose value is a list of rows that can be long: a commit holds those rows that
#: are new or have changed.
ROW_KEYS: Final = ("functions", "skipped", "processes", "threads", "loss_windows")

#: `end_reason` as long as the recording goes on.
RECORDING: Final = "recording"


class ManyRows(TypedDict):
    """`count` rows of a list, from position `first` on, as columns: much less to write and to read."""

    first: int
    count: int
    same: dict[str, Any]  # what all have in common
    columns: dict[str, list[Any]]  # the other fields


class CommitNote(TypedDict):
    values: dict[str, Any]  # every key of the metadata but ROW_KEYS, as of this commit
    rows: dict[str, dict[str, dict[str, Any]]]  # by key, then by position in the list
    many: dict[str, ManyRows]  # by key
