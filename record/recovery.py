"""Finish a `.partial` file whose recorder is gone.

Who has read it (`analyze.partial`) says what is committed; here the file gets its footer and its name.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pyarrow.parquet as pq

from ..errors import OutputError
from ..schemas import TraceMetadata
from .caller import tool_of
from .chain import Sink, append_footer

SUFFIX = ".partial"
_CHUNK = 1 << 30
_MAGIC = b"PAR1"


@contextmanager
def claimed(path: Path) -> Iterator[int]:
    """A descriptor of `path`, which nobody else records or recovers meanwhile. Raises `OutputError`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except OSError as error:
        tool = tool_of(os.environ)
        raise OutputError(
            f"{path} cannot be opened: {error.strerror}",
            f"Under {tool} you are yourself: root's files are recovered from a root shell."
            if tool and error.errno == errno.EACCES
            else "Give a file that `funcsnoop record` left behind.",
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{path} is still being recorded",
                f"Wait for its recorder, or end it; `funcsnoop analyze {path}` shows what it has so far.",
            ) from None
        except OSError:
            pass  # a file system without locks
        if not path.exists() or not path.samefile(f"/proc/self/fd/{descriptor}"):
            raise OutputError(f"{path} was finished by someone else just now", "There is nothing left to do.")
        yield descriptor
    finally:
        os.close(descriptor)


def check_output(output: Path, *, force: bool) -> None:
    """Raises `OutputError` where `output` is not to be written."""
    if output.is_dir():
        raise OutputError(f"{output} is a directory", "Give a file with -o.")
    if output.exists() and not force:
        raise OutputError(f"{output} exists", "Overwrite it with --force, or give another file with -o.")


def finish_in_place(
    descriptor: int, path: Path, end: int, row_groups: pq.FileMetaData, metadata: TraceMetadata
) -> None:
    """Put a footer after what is committed, and take the suffix off the file's name.

    This needs no more room on the disk than the footer: a full one is a common reason to be here. Nothing
    that is committed is touched. Raises `OutputError`.
    """
    output = path.with_suffix("")
    try:
        _finish(descriptor, end, row_groups, metadata)
        path.replace(output)
    except OSError as error:
        raise _failed(output, error) from None


def finish_copy(
    descriptor: int, output: Path, end: int, row_groups: pq.FileMetaData, metadata: TraceMetadata
) -> None:
    """Write the finished file to `output` and leave the `.partial` file alone. Raises `OutputError`."""
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        copy = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            offset = 0
            while offset < end:
                offset += os.sendfile(copy, descriptor, offset, min(_CHUNK, end - offset))
            _finish(copy, end, row_groups, metadata)
            like = os.fstat(descriptor)
            with suppress(PermissionError):
                os.fchown(copy, like.st_uid, like.st_gid)
            os.fchmod(copy, like.st_mode & 0o777)
        finally:
            os.close(copy)
        unfinished.replace(output)
    except OSError as error:
        raise _failed(output, error) from None
    finally:
        unfinished.unlink(missing_ok=True)


def _finish(descriptor: int, end: int, row_groups: pq.FileMetaData, metadata: TraceMetadata) -> None:
    os.ftruncate(descriptor, end)
    try:
        _mend_start(descriptor)
        with closing(Sink(descriptor)) as sink:
            append_footer(sink, row_groups, json.dumps(metadata).encode())
        # It takes the place of the only copy.
        os.fsync(descriptor)
    except BaseException:
        os.ftruncate(descriptor, end)
        raise


def _mend_start(descriptor: int) -> None:
    """Where the first commit is damaged the mark may be, by which readers know that a file is Parquet."""
    if os.pread(descriptor, len(_MAGIC), 0) != _MAGIC:
        # A descriptor that appends writes nowhere else.
        again = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(again, _MAGIC, 0)
        finally:
            os.close(again)


def _failed(output: Path, error: OSError) -> OutputError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return OutputError(
        f"{output} could not be written: {reason}",
        "Nothing is lost; free some space, or give a place elsewhere with -o.",
    )
