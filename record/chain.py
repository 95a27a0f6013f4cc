"""Append commits to a `.partial` file, and finish it: see `schemas.chain` for the layout.

Arrow writes Parquet from the start of a file only: it asks the sink for its position, and refuses
anything but 0. A file that is open for appending, with its offset set to 0, passes that, and from the
first write on gives the true, absolute position. `check_arrow` makes sure that it still works this way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..bpf.layout import ENTRY, EXIT, event_dtype
from ..errors import OutputError
from ..schemas import EVENTS, METADATA_KEY
from ..schemas.chain import CHECKSUM_KEY, COMMIT_KEY, SEAL, SEAL_MAGIC
from .columns import Columns
from .encodings import encodings


class Sink:
    """The file behind `descriptor`, opened once more: `file` for Arrow to append to, at position 0."""

    def __init__(self, descriptor: int) -> None:
        before = _descriptors(descriptor)
        # By its descriptor: under its name there may be another file by now, or none.
        self.file = pa.OSFile(f"/proc/self/fd/{descriptor}", "ab")
        # `OSFile.fileno` raises in many versions of PyArrow.
        (self.descriptor,) = _descriptors(descriptor) - before
        # Arrow leaves it open for programs that are started, and a recorded command gets all that is.
        os.set_inheritable(self.descriptor, False)
        self.rewind()

    def close(self) -> None:
        self.file.close()

    def rewind(self) -> None:
        """The next Parquet file begins."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)


class Chain:
    """The commits in the file behind `descriptor`, which must be open for reading and writing, and empty.

    A commit that fails leaves the file as it was before. Raises `OSError`.
    """

    def __init__(self, descriptor: int, *, sync: bool = False) -> None:
        self.size = 0
        self.rows = 0
        self._descriptor = descriptor
        self._sync = sync
        self._sink = Sink(descriptor)
        self._row_groups: pq.FileMetaData | None = None

    def commit(self, table: pa.Table | None, note: bytes) -> None:
        """Append a Parquet file with `table` as one row group, or none, and `note`; then seal it."""
        try:
            metadata = self._append(table, note)
            rows = 0 if table is None else table.num_rows
            end = os.fstat(self._descriptor).st_size
            content = os.pread(self._descriptor, end - self.size, self.size)
            _write_all(self._sink.descriptor, seal(self.size, rows, content))
            if self._sync:
                os.fdatasync(self._descriptor)
            if self._row_groups is None:
                self._row_groups = metadata
            else:
                self._row_groups.append_row_groups(metadata)
        except BaseException:  # want of memory too
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size = os.fstat(self._descriptor).st_size
        self.rows += rows

    def finish(self, metadata: bytes) -> None:
        """Append the footer of the whole file."""
        try:
            append_footer(self._sink, self._row_groups, metadata)
            if self._sync:
                os.fdatasync(self._descriptor)
        except BaseException:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size = os.fstat(self._descriptor).st_size

    def close(self) -> None:
        self._sink.close()

    def _append(self, table: pa.Table | None, note: bytes) -> pq.FileMetaData:
        self._sink.rewind()
        # Readers take the Arrow schema from the footer of the whole file; 3 kB more in each commit
        # would be most of a quiet recording.
        writer = _parquet_writer(self._sink.file, store_schema=False, **encodings(table))
        try:
            if table is not None:
                writer.write_table(table, row_group_size=max(1, table.num_rows))
            writer.add_key_value_metadata({COMMIT_KEY: note})
            writer.close()
            return writer.writer.metadata
        finally:
            # Left to itself, a writer that has failed writes its footer when it is collected.
            writer.is_open = False
            writer.writer = None


def append_footer(sink: Sink, row_groups: pq.FileMetaData | None, metadata: bytes) -> None:
    """Append a footer that names `row_groups` and holds `metadata`. Raises `OSError`."""
    writer = _parquet_writer(pa.BufferOutputStream(), store_schema=True)
    checksum = str(zlib.crc32(metadata)).encode()
    writer.add_key_value_metadata({METADATA_KEY: metadata, CHECKSUM_KEY: checksum})
    writer.close()
    footer = writer.writer.metadata
    if row_groups is not None:
        footer.append_row_groups(row_groups)
    sink.rewind()
    footer.write_metadata_file(sink.file)


def seal(start: int, rows: int, content: bytes) -> bytes:
    """The seal of a commit that stands at `start`."""
    fields = (SEAL_MAGIC, start, rows, zlib.crc32(content))
    return SEAL.pack(*fields, zlib.crc32(SEAL.pack(*fields, 0)[:-4]))


def check_arrow() -> None:
    """Write two small commits to memory and read them back; `OutputError` if that gives anything else."""
    descriptor = os.memfd_create("funcsnoop-check")
    events = np.zeros(2, event_dtype("lean", 1))
    events["type"], events["cookie"] = (ENTRY, EXIT), (1, 2)
    table = pa.Table.from_batches([Columns(["a", "b"]).convert(events)], EVENTS)
    try:
        chain = Chain(descriptor)
        chain.commit(table, b"{}")
        chain.commit(table.slice(1), b"{}")
        chain.finish(b"check")
        chain.close()
        with pq.ParquetFile(
            f"/proc/self/fd/{descriptor}", page_checksum_verification=True, pre_buffer=False
        ) as file:
            found, about = file.read(use_threads=False), file.metadata.metadata.get(METADATA_KEY)
        works = found.equals(pa.concat_tables([table, table.slice(1)])) and about == b"check"
    except (OSError, RuntimeError, ValueError, AttributeError, TypeError, pa.ArrowException):
        works = False
    finally:
        os.close(descriptor)
    if not works:
        raise OutputError(
            f"PyArrow {pa.__version__} does not append to files as funcsnoop needs it",
            "Install a version that it was tested with: pip install 'pyarrow>=21,<27'",
        )


def _write_all(descriptor: int, content: bytes) -> None:
    # On a disk that fills up just here, a part is written, and that is no error.
    if os.write(descriptor, content) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _descriptors(descriptor: int) -> set[int]:
    """This process's descriptors of the same file."""
    same = set()
    wanted = os.fstat(descriptor)
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # that of the directory is closed by now
            if os.path.samestat(os.fstat(int(name)), wanted):
                same.add(int(name))
    return same


def _parquet_writer(sink: pa.NativeFile, *, store_schema: bool, **chosen: Any) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink,
        EVENTS,
        version="2.6",
        compression="zstd",
        compression_level=1,
        write_page_checksum=True,
        store_schema=store_schema,
        **chosen,
    )
