"""Write the events table to a Parquet file.

The file grows as `NAME.partial` and takes its name when it is whole: a reader never sees half a
trace under the name that was asked for.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import OutputError
from ..schemas import EVENTS, METADATA_KEY, TraceMetadata

_CHECK = "Give another file with -o, or free the place."


class TraceWriter:
    """`write` batches of schema `EVENTS`, then `finish` with the metadata, or `abort`.

    Every method raises `OutputError`. Opening refuses a file that exists unless `force` is given,
    and one that another recording has not finished.
    """

    def __init__(self, path: str, *, force: bool = False) -> None:
        self.path = Path(path)
        self.partial = self.path.with_name(self.path.name + ".partial")
        self._force = force
        self._refuse_existing()
        self._file = self._open()
        self._writer = pq.ParquetWriter(
            self._file,
            EVENTS,
            version="2.6",
            compression="zstd",
            compression_level=1,
            # Times of one thread differ by little, all else repeats.
            use_dictionary=[name for name in EVENTS.names if name != "timestamp"],
            column_encoding={"timestamp": "DELTA_BINARY_PACKED"},
            write_page_checksum=True,
        )

    def write(self, table: pa.Table) -> None:
        """Append one row group."""
        try:
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        except OSError as error:
            raise self._failed(error) from None

    def bytes_written(self) -> int:
        """How large the file is now."""
        return 0 if self._file.closed else self._file.tell()

    def finish(self, metadata: TraceMetadata) -> None:
        """Write the footer and give the file its name."""
        try:
            self._writer.add_key_value_metadata({METADATA_KEY: json.dumps(metadata).encode()})
            self._writer.close()
            self._file.close()
            if not self._force and self.path.exists():
                raise OutputError(
                    f"{self.path} was created by someone else in the meantime",
                    f"The recording is whole, in {self.partial}: rename it.",
                )
            self.partial.replace(self.path)
        except OSError as error:
            raise self._failed(error) from None

    def abort(self) -> None:
        """Close and delete a file into which nothing was recorded."""
        with contextlib.suppress(OSError):
            self._writer.close()
        self._file.close()
        self.partial.unlink(missing_ok=True)

    def _refuse_existing(self) -> None:
        if self.path.is_dir():
            raise OutputError(f"{self.path} is a directory", "Give a file with -o.")
        if self.path.exists() and not self._force:
            raise OutputError(
                f"{self.path} exists", "Overwrite it with --force, or give another file with -o."
            )

    def _open(self) -> IO[bytes]:
        # O_EXCL: never through a link that someone else has put there.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.fdopen(os.open(self.partial, flags, 0o644), "wb")
        except FileExistsError:
            raise OutputError(
                f"{self.partial} exists: another recording writes it, or did not finish",
                "Give another file with -o, or delete it if no recorder runs.",
            ) from None
        except FileNotFoundError:
            raise OutputError(
                f"the directory {self.path.parent} does not exist", "Create it, or give another file with -o."
            ) from None
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}", _CHECK) from None

    def _failed(self, error: OSError) -> OutputError:
        reason = os.strerror(error.errno) if error.errno else str(error)
        hint = (
            "Free some space, or record less: fewer functions, --args 0, --max-events."
            if error.errno == errno.ENOSPC
            else _CHECK
        )
        return OutputError(f"{self.partial} could not be written: {reason}", hint)
