"""What is committed in a `.partial` file: its row groups and its metadata, as far as they are intact."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import TraceError
from ..schemas import EVENTS, TraceMetadata
from ..schemas.chain import COMMIT_KEY, RECORDING, ROW_KEYS, ManyRows
from .accounting import account, functions_of, has_no_start
from .chain import Commit, walk
from .metadata import decode

#: Arrow's own limit of 100 MB is that of a table of 200,000 functions.
LARGEST_METADATA = 1 << 30
_TRAILER = 8  # of a Parquet file: the footer's length, and the magic bytes


class Partial:
    """The commits of the `.partial` file behind `descriptor`; `name` is what messages call it.

    Raises TraceError where nothing is committed, or the file cannot be read.
    """

    row_groups: pq.FileMetaData  # of all intact commits; offsets count from the start of the file
    metadata: TraceMetadata  # as of the last intact commit, and with what is known to be missing
    end: int  # where what is committed ends
    notices: list[str]  # those of the metadata that say what is missing
    complete: bool  # the recording had ended, and only the file was not finished

    def __init__(self, descriptor: int, name: str) -> None:
        try:
            commits = walk(descriptor)
            if not any(commit.intact for commit in commits):
                raise TraceError(
                    f"nothing in {name} is committed: it is empty, damaged, or not a recording of funcsnoop",
                    "there is nothing to recover: delete it, or look for another copy",
                )
            self.end = commits[-1].sealed_end
            self.row_groups, found = _read(descriptor, commits)
            self.complete = found["end_reason"] != RECORDING
            if has_no_start(commits):
                found["functions"] = functions_of(descriptor, self.row_groups)
            self.notices = account(found, self.row_groups, commits)
            self.metadata = decode(json.dumps(found).encode(), name)
        except OSError as error:
            raise TraceError(
                f"{name} cannot be read: {error.strerror or error}", "give a file that you may read"
            ) from None
        except (pa.ArrowException, RuntimeError, ValueError, TypeError, AttributeError, KeyError) as error:
            # Checksums hold, so that is how it was written: by something else than funcsnoop.
            reason = f"{type(error).__name__} {error}".partition("\n")[0]
            raise TraceError(
                f"{name} holds commits that are none of funcsnoop's: {reason}",
                "give a file that `funcsnoop record` wrote",
            ) from None

    @property
    def rows(self) -> int:
        return int(self.row_groups.num_rows)


def open_partial(path: Path) -> Partial:
    """What `path` holds; a notice of its metadata says whether more is to come. Raises TraceError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise TraceError(
            f"there is no file {path}", f"if the recording has finished, it is {path.with_suffix('')}"
        ) from None
    except OSError as error:
        raise TraceError(
            f"{path} cannot be read: {error.strerror}", "give a file that you may read"
        ) from None
    try:
        recording = _is_recording(descriptor)
        partial = Partial(descriptor, str(path))
    finally:
        os.close(descriptor)
    if recording:
        partial.metadata["notices"] = [
            *(notice for notice in partial.metadata["notices"] if notice not in partial.notices),
            f"still being recorded: this is what {path} held when it was opened",
        ]
    return partial


def _is_recording(descriptor: int) -> bool:
    """Whether a recorder writes the file, or `recover` finishes it: both lock it as long as they live."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _read(descriptor: int, commits: list[Commit]) -> tuple[pq.FileMetaData, dict[str, Any]]:
    """The row groups of the intact commits, and the metadata that they give when taken together."""
    joined = _no_row_groups()
    found: dict[str, Any] = {}
    rows: dict[str, dict[int, Any]] = {key: {} for key in ROW_KEYS}
    for commit in commits:
        if commit.intact:
            footer = footer_of(descriptor, commit)
            joined.append_row_groups(footer)
            note = json.loads(footer.metadata[COMMIT_KEY])
            found.update(note["values"])
            for key, changed in note["rows"].items():
                rows[key].update({int(position): row for position, row in changed.items()})
            for key, many in note["many"].items():
                rows[key].update(_as_rows(many))
    return joined, found | {key: [row for _, row in sorted(rows[key].items())] for key in ROW_KEYS}


def _as_rows(many: ManyRows) -> dict[int, dict[str, Any]]:
    """Rows by position. ValueError where columns are longer or shorter than they should be."""
    fields = tuple(many["columns"])
    values = zip(*(many["columns"][field] for field in fields), strict=True)
    rows = [many["same"] | dict(zip(fields, row, strict=True)) for row in values]
    if not fields:
        rows = [dict(many["same"]) for _ in range(many["count"])]
    if len(rows) != many["count"]:
        raise ValueError("columns of another length than they should have")
    return dict(enumerate(rows, many["first"]))


def _no_row_groups() -> pq.FileMetaData:
    """The commits' own footers lack the Arrow schema, which tells dictionaries from plain strings."""
    with pq.ParquetWriter(pa.BufferOutputStream(), EVENTS) as writer:
        pass
    return writer.writer.metadata


def footer_of(descriptor: int, commit: Commit) -> pq.FileMetaData:
    """The footer of an intact commit. Raises what PyArrow does where it is no footer."""
    if commit.end - commit.start <= _TRAILER:
        raise ValueError("too short for a Parquet file")
    size = int.from_bytes(os.pread(descriptor, 4, commit.end - _TRAILER), "little")
    footer = os.pread(descriptor, size + _TRAILER, max(commit.start, commit.end - _TRAILER - size))
    # Arrow reads nothing but the footer, which it looks for at the end.
    with pq.ParquetFile(pa.BufferReader(b"PAR1" + footer), thrift_string_size_limit=LARGEST_METADATA) as file:
        metadata = file.metadata
    if metadata.num_rows != commit.rows:
        raise ValueError(f"{metadata.num_rows} rows where {commit.rows} should be")
    return metadata
