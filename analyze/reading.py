"""Read a trace file, every page checked against its checksum.

Polars reads Parquet faster, but ignores page checksums: a quarter of randomly damaged files came back
silently wrong, and some raised a panic that `except Exception` doesn't catch. Arrow checks, and the
columns then pass to Polars without a copy.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from polars.io.plugins import register_io_source

from ..errors import TraceError
from ..schemas import EVENTS, METADATA_KEY, VALUES, TraceMetadata
from .chain import seals
from .effort import processors
from .memory import check_fits
from .metadata import decode
from .partial import LARGEST_METADATA, open_partial
from .pruning import Group, Pruning, earliest_from
from .verify import Seals, metadata_damage

_MAGIC = b"PAR1"
#: As many as a row group of a recording has.
_BATCH_ROWS = 1 << 17
#: Threads that read ahead.
_READERS = min(processors(), 8)


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
        if self.rows != self.metadata["counts"]["recorded"]:
            recorded = self.metadata["counts"]["recorded"]
            raise self._damaged(f"{self.rows:,} rows where {recorded:,} were recorded")
        self._check_columns(stored)

    def _decoded(self, pairs: dict[bytes, bytes]) -> TraceMetadata:
        raw = pairs.get(METADATA_KEY)
        if raw is None:
            raise TraceError(
                f"{self.name} is a Parquet file, but not a trace: no `{METADATA_KEY.decode()}` metadata",
                "give a file that `funcsnoop record` wrote; a copy saved by other tools lacks the metadata",
            )
        if damage := metadata_damage(pairs, raw):
            raise self._damaged(damage)
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

    def identity(self) -> str | None:
        """What tells the content of the file from any other, but for damage; None while it is being
        written.
        """
        if self._committed is not None:
            return None
        with self._readable(), self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            file.seek(-8, os.SEEK_END)
            footer = int.from_bytes(file.read(4), "little") + 8
            file.seek(-min(footer, status.st_size), os.SEEK_END)
            found = hashlib.blake2b(file.read(), digest_size=24)
            sealed = list(seals(file.fileno()))
            # Without checksums of what is inside there is only the time.
            found.update(repr((status.st_size, sealed or status.st_mtime_ns)).encode())
        return found.hexdigest()

    def table(self, columns: list[str]) -> pa.Table:
        """The columns of all events, in file order, types as in `EVENTS`."""
        check_fits(self.name, self.rows, _width(columns))
        self._check_rows()
        with self._readable():
            return _checked(self._open().read(columns=columns))

    def batches(self, columns: list[str]) -> Iterator[pa.Table]:
        """The same, some consecutive events at a time."""
        self._check_rows()
        for _, table in self.parts(columns):
            yield table

    def parts(self, columns: list[str], pruning: Pruning | None = None) -> Iterator[tuple[int, pa.Table]]:
        """The same, with the row of the first event of each part; without what `pruning` can do without.
        Commits that nothing is read of are not checked.
        """
        with self._readable():
            file = self._open()
            groups = [Group.of(file.metadata.row_group(number)) for number in range(file.num_row_groups)]
            if pruning is None or not pruning.by_events:
                wanted = [pruning is None or pruning.group(group) for group in groups]
                if all(group.rows <= _BATCH_ROWS for group in groups):
                    yield from self._read_ahead(file, groups, wanted, columns)
                    return
            first = 0
            earliest = earliest_from(groups)
            for number, group in enumerate(groups):
                if pruning is not None and not pruning.more(earliest[number]):
                    return
                if pruning is None or pruning.group(group):
                    self._check_group(number)
                    for at, table in _batches(file, number, group.rows, columns, pruning):
                        yield first + at, table
                first += group.rows

    def _read_ahead(
        self, file: pq.ParquetFile, groups: list[Group], wanted: list[bool], columns: list[str]
    ) -> Iterator[tuple[int, pa.Table]]:
        """The wanted row groups, some of which are read while others are worked on. Each is read by one
        thread: Arrow's way, one for each column, has them wait for one another when processors are busy.
        """
        own = threading.local()

        def read(number: int) -> pa.Table:
            self._check_group(number)
            if not hasattr(own, "file"):
                own.file = self._open(file.metadata)
            table = own.file.read_row_group(number, columns, use_threads=False)
            _check_all(number, table.num_rows, groups[number].rows)
            return _checked(table.combine_chunks())

        pool = ThreadPoolExecutor(_READERS)
        ahead: deque[tuple[int, Future[pa.Table]]] = deque()
        firsts = accumulate((group.rows for group in groups), initial=0)
        try:
            for number, (first, is_wanted) in enumerate(zip(firsts, wanted, strict=False)):
                if is_wanted:
                    ahead.append((first, pool.submit(read, number)))
                if len(ahead) > _READERS:
                    before, table = ahead.popleft()
                    yield before, table.result()
            for before, table in ahead:
                yield before, table.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def scan(self) -> pl.LazyFrame:
        """The events as a LazyFrame that reads only the columns asked for, when it is collected."""

        def batches(
            columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, size: int | None
        ) -> Iterator[pl.DataFrame]:
            names = EVENTS.names if columns is None else columns
            left = self.rows if rows is None else rows
            if predicate is None:
                check_fits(self.name, min(left, self.rows), _width(names))
            for table in self.batches(names):
                frame = pl.from_arrow(table.slice(0, left))
                assert isinstance(frame, pl.DataFrame)
                left -= len(frame)
                yield frame if predicate is None else frame.filter(predicate)
                if left <= 0:
                    return

        empty = pl.from_arrow(EVENTS.empty_table())
        assert isinstance(empty, pl.DataFrame)
        return register_io_source(batches, schema=empty.schema)

    def _open(self, footer: pq.FileMetaData | None = None) -> pq.ParquetFile:
        """`footer` is the file's, where it is known already."""
        return pq.ParquetFile(
            self.path,
            metadata=footer or self._committed,
            page_checksum_verification=True,
            pre_buffer=True,
            thrift_string_size_limit=LARGEST_METADATA,
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

    def _check_rows(self) -> None:
        """Compare the file with its seals, once. Of a `.partial` one that was done to find them."""
        if self._committed is None:
            with self._readable():
                if damage := self._seals.damage():
                    raise self._damaged(damage)

    def _check_group(self, number: int) -> None:
        """The same for one row group."""
        if self._committed is None and (damage := self._seals.damage_of(number)):
            raise self._damaged(damage)

    @cached_property
    def _seals(self) -> Seals:
        return Seals(self.path, self._open().metadata)

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


def _batches(
    file: pq.ParquetFile, group: int, rows: int, columns: list[str], pruning: Pruning | None
) -> Iterator[tuple[int, pa.Table]]:
    """The columns of a row group, some rows at a time, and which is the first of them."""
    keys = [name for name in columns if name not in VALUES]
    if pruning is None or keys == columns or rows > _BATCH_ROWS:
        at = 0
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns):
            yield at, _checked(pa.Table.from_batches([batch]))
            at += batch.num_rows
    else:
        table = file.read_row_group(group, keys)
        at = table.num_rows
        if pruning.registers(table):
            registers = file.read_row_group(group, [name for name in columns if name in VALUES])
            for name in registers.column_names:
                table = table.append_column(registers.schema.field(name), registers[name])
        yield 0, _checked(table.combine_chunks())
    _check_all(group, at, rows)


def _check_all(group: int, found: int, rows: int) -> None:
    if found != rows:
        # Arrow ends a column where the header of a page says so.
        raise ValueError(f"{rows - found:,} rows are missing in row group {group}")


def _checked(table: pa.Table) -> pa.Table:
    """The table without the metadata of its schema, which nothing has checked.

    Raises ValueError where a column has nulls or text that cannot be: checksums don't tell a forgery.
    """
    for name in table.column_names:
        column = table[name]
        if column.null_count and not EVENTS.field(name).nullable:
            raise ValueError(f"nulls in the column `{name}`")
        if pa.types.is_dictionary(column.type):
            for chunk in column.chunks:
                # Polars trusts Arrow, and its panics are no exceptions.
                chunk.validate(full=True)
                if chunk.dictionary.null_count:
                    raise ValueError(f"nulls in the column `{name}`")
    plain = pa.schema([pa.field(field.name, field.type, field.nullable) for field in table.schema])
    return pa.Table.from_arrays(table.columns, schema=plain)


def _width(columns: list[str]) -> int:
    """Bytes of a row in memory; validity and dictionaries come on top, and hardly count."""
    return sum(_bits(EVENTS.field(name).type) for name in columns) // 8 + 1


def _bits(kind: pa.DataType) -> int:
    return _bits(kind.index_type) if pa.types.is_dictionary(kind) else kind.bit_width


def _plain(kind: pa.DataType) -> pa.DataType:
    return _plain(kind.value_type) if pa.types.is_dictionary(kind) else kind
