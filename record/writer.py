"""Write the events table to a Parquet file, so that what is committed survives whatever comes.

The file grows as `NAME.partial`, see `schemas.chain`, and takes its name when it is whole: a reader
never sees half a trace under the name that was asked for. A lock on it tells that its recorder lives.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from ..errors import FuncsnoopError, OutputError
from ..schemas import TraceMetadata
from .caller import tool_of
from .chain import Chain, check_arrow
from .changes import Changes
from .privileges import as_invoking_user
from .rescue import rescue

_LESS = "Free some space, or record less: fewer functions, --args 0, --max-size."
_SMALLER = "Record less: fewer functions, --args 0, a smaller --buffer."

#: The metadata of the recording as it stands, where so many rows are in the file.
SoFar = Callable[[int], TraceMetadata]


class TraceWriter:
    """`begin`, `write` batches of schema `EVENTS`, then `finish` with the metadata; or `abort`.

    Every method raises `OutputError`. Opening refuses a file that exists unless `force` is given, and
    always one that another recording has not finished. `sync` waits for the disk at each commit.
    """

    def __init__(self, path: str, *, force: bool = False, sync: bool = False) -> None:
        self.path = Path(path)
        self.partial = self.path.with_name(self.path.name + ".partial")
        self._force = force
        self._sync = sync
        self._refuse_existing()
        check_arrow()
        self._descriptor = self._open()
        self._chain = Chain(self._descriptor, sync=sync)
        self._changes = Changes()
        self._so_far: SoFar | None = None

    @property
    def rows(self) -> int:
        """How many events are committed."""
        return self._chain.rows

    def begin(self, so_far: SoFar) -> None:
        """Commit what is known before the first event; `so_far` is asked again at each commit.

        It is called on the thread that writes.
        """
        self._so_far = so_far
        self._commit(None, so_far(0))

    def write(self, table: pa.Table) -> None:
        """Commit these rows: from here on, they survive."""
        assert self._so_far is not None
        self._commit(table, self._so_far(self.rows + table.num_rows))

    def bytes_written(self) -> int:
        """How large the file is now."""
        return self._chain.size

    @as_invoking_user()
    def finish(self, metadata: TraceMetadata) -> None:
        """Write the footer, give the file its name, and close it, also where that fails."""
        try:
            # First as a commit: if the footer fails, recovery finds how the recording really ended.
            self._commit(None, metadata)
            self._chain.finish(json.dumps(metadata, separators=(",", ":")).encode())
            self._take_name()
        except OSError as error:
            raise self._failed(error) from None
        finally:
            self.close()

    def give_up(self, failure: BaseException, metadata: TraceMetadata) -> OutputError:
        """Finish what is committed after `failure` ended the recording; the error that says where it is."""
        wrong = failure.message if isinstance(failure, OutputError) else self._broke_off(failure)
        try:
            self.finish(metadata)
        except OutputError as error:
            result = OutputError(wrong, error.hint)
        else:
            hint = _LESS if isinstance(failure, OutputError) else _SMALLER
            result = OutputError(f"{wrong}, in {self.path}", hint)
        result.__cause__ = failure
        return result

    def left_as_it_is(self, failure: BaseException) -> OutputError:
        """Where not even the end of the file can be written: the error that says what is left."""
        self.close()
        return OutputError(self._broke_off(failure), f"`funcsnoop recover {self.partial}` finishes the file.")

    @as_invoking_user()
    def abort(self) -> None:
        """Close the file, and delete it if nothing was recorded."""
        if self.rows == 0 and self._in_place():
            self.partial.unlink(missing_ok=True)
        self.close()

    def _take_name(self) -> None:
        if not self._force and self.path.exists():
            raise OutputError(
                f"{self.path} was created by someone else in the meantime",
                f"The recording is whole, in {self.partial}: rename it.",
            )
        if not self._in_place():
            rescue(self._descriptor, self.path)
            return
        self.partial.replace(self.path)
        if self._sync:
            self._sync_directory()

    def _commit(self, table: pa.Table | None, metadata: TraceMetadata) -> None:
        try:
            self._chain.commit(table, self._changes.note(metadata))
        except OSError as error:
            raise self._failed(error) from None
        self._changes.committed()

    @as_invoking_user()
    def _refuse_existing(self) -> None:
        try:
            self.path.stat()
        except PermissionError as error:
            raise self._unwritable(error) from None
        except OSError:
            return  # what it is, opening the file says
        if self.path.is_dir():
            raise OutputError(f"{self.path} is a directory", "Give a file with -o.")
        if not self._force:
            raise OutputError(
                f"{self.path} exists", "Overwrite it with --force, or give another file with -o."
            )

    @as_invoking_user()
    def _open(self) -> int:
        # O_EXCL: never through a link that someone else has put there, and never over a recording.
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self.partial, flags, 0o644)
        except FileExistsError:
            raise OutputError(
                f"{self.partial} exists: another recording writes it, or did not finish",
                f"Save it with `funcsnoop recover {self.partial}`, or give another file with -o.",
            ) from None
        except FileNotFoundError:
            raise OutputError(
                f"the directory {self.path.parent} does not exist", "Create it, or give another file with -o."
            ) from None
        except OSError as error:
            raise self._unwritable(error) from None
        # Some file systems have no locks; `recover` then cannot tell, and says so nowhere.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor

    def _in_place(self) -> bool:
        """Whether the file under its name is still the one that is written."""
        try:
            return os.path.samestat(os.lstat(self.partial), os.fstat(self._descriptor))
        except OSError:
            return False

    def _sync_directory(self) -> None:
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def close(self) -> None:
        """Let go of the file as it is."""
        if self._descriptor >= 0:
            self._chain.close()
            os.close(self._descriptor)
            self._descriptor = -1

    def _broke_off(self, failure: BaseException) -> str:
        if isinstance(failure, MemoryError):
            reason = "out of memory"
        elif isinstance(failure, FuncsnoopError):
            reason = failure.message
        else:
            reason = f"{type(failure).__name__}: {failure}"
        return f"the recording broke off: {reason}; {self._saved()}"

    def _saved(self) -> str:
        return f"{self.rows:,} events were saved before that"

    def _unwritable(self, error: OSError) -> OutputError:
        # Who called sudo may have expected root's power here.
        tool = tool_of(os.environ)
        hint = f", in a directory of the user who called {tool}" if tool else ""
        return OutputError(
            f"{self.path} cannot be written: {error.strerror}", f"Give another file with -o{hint}."
        )

    def _failed(self, error: OSError) -> OutputError:
        reason = os.strerror(error.errno) if error.errno else str(error)
        remedy = "Free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Mend that"
        return OutputError(
            f"{self.partial} could not be written: {reason}; {self._saved()}",
            f"{remedy}; then `funcsnoop recover {self.partial}` finishes the file.",
        )
