"""Read a trace file, every page checked against its checksum.

Polars reads Parquet faster, but ignores page checksums: a quarter of randomly damaged files came back
silently wrong, and some raised a panic that `except Exception` doesn't catch. Arrow checks, and the
columns then pass to Polars without a copy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from ..errors import TraceError
from ..schemas import EVENTS, METADATA_KEY, TraceMetadata
from .metadata import decode
from .partial import open_partial

_MAGIC = b"PAR1"


class TraceFile:
    """An events file on disk. Of a `.partial` one it is what is committed, and a notice says so.

    Raises TraceError where there is none, or it isn't a trace, or isn't whole.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.name = os.fspath(path)
        #: What is committed, where the recording has not finished.
        self._committed: pq.FileMetaData | None = None
        if self.path.suffix == ".partial":
            partial = open_partial(self.path)
            self._committed, self.metadata = partial.row_groups, partial.metadata
        else:
            self._check_whole()
        with self._readable():
            file = self._open()
            self.rows: int = file.metadata.num_rows
            stored = file.schema_arrow
            # The file's own key-value pairs: the Arrow schema that it holds has metadata of its own.
            pairs = file.metadata.metadata or {}
        if self._committed is None:
            self.metadata = self._decoded(pairs)
        self._check_columns(stored)

    def _decoded(self, pairs: dict[bytes, bytes]) -> TraceMetadata:
        raw = pairs.get(METADATA_KEY)
        if raw is None:
            raise TraceError(
                f"{self.name} is a Parquet file, but not a trace: no `{METADATA_KEY.decode()}` metadata",
                "give a file that `funcsnoop record` wrote; a copy saved by other tools lacks the metadata",
            )
        return decode(raw, self.name)

    def _check_columns(self, stored: pa.Schema) -> None:
        for field in EVENTS:
            if field.name not in stored.names:
                problem = f"it lacks the column `{field.name}`"
            elif _plain(stored.field(field.name).type) != _plain(field.type):
                problem = f"its column `{field.name}` is {stored.field(field.name).type}, not {field.type}"
            else:
                continue
            raise TraceError(
                f"{self.name} does not hold events: {problem}",
                "give the file as `funcsnoop record` wrote it, not a table derived from it",
            )

    def table(self, columns: list[str]) -> pa.Table:
        """The columns of all events, in file order, types as in `EVENTS`."""
        with self._readable():
            table = self._open().read(columns=columns)
        for name in columns:
            if table[name].null_count and not EVENTS.field(name).nullable:
                raise self._damaged(f"nulls in the column `{name}`")
        return table

    def scan(self) -> pl.LazyFrame:
        """The events as a LazyFrame that reads only the columns asked for, when it is collected."""

        def batches(
            columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
        ) -> Iterator[pl.DataFrame]:
            names = EVENTS.names if columns is None else columns
            left = self.rows if rows is None else rows
            with self._readable():
                for batch in self._open().iter_batches(batch_size=size or 1 << 20, columns=names):
                    frame = pl.from_arrow(batch.slice(0, left))
                    assert isinstance(frame, pl.DataFrame)
                    left -= len(frame)
                    yield frame if predicate is None else frame.filter(predicate)
                    if left <= 0:
                        return

        empty = pl.from_arrow(EVENTS.empty_table())
        assert isinstance(empty, pl.DataFrame)
        return register_io_source(batches, schema=empty.schema)

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(
            self.path, metadata=self._committed, page_checksum_verification=True, pre_buffer=True
        )

    def _check_whole(self) -> None:
        try:
            with self.path.open("rb") as file:
                head = file.read(4)
                file.seek(0, os.SEEK_END)
                file.seek(max(file.tell() - 4, 0))
                tail = file.read(4)
        except FileNotFoundError:
            raise TraceError(
                f"there is no file {self.name}",
                "give the trace's path, or make one with `funcsnoop record -- COMMAND`",
            ) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise TraceError(
                f"{self.name} cannot be read: {reason}", "give a trace file that you may read"
            ) from None
        if head != _MAGIC:
            raise TraceError(
                f"{self.name} is not a Parquet file", "give a file that `funcsnoop record` wrote"
            )
        if tail != _MAGIC:
            raise TraceError(
                f"{self.name} is cut off: the end of the Parquet file is missing",
                "copy it again from where it was recorded",
            )

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
            raise self._damaged(str(error).partition("\n")[0]) from None

    def _damaged(self, reason: str) -> TraceError:
        return TraceError(
            f"{self.name} is damaged: {reason}",
            "copy it again from where it was recorded; nothing can be trusted in this copy",
        )


def _plain(kind: pa.DataType) -> pa.DataType:
    return _plain(kind.value_type) if pa.types.is_dictionary(kind) else kind
