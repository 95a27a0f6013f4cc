"""Save a whole file whose name was taken away while it was written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ..errors import OutputError

_CHUNK = 1 << 30


def rescue(descriptor: int, path: Path) -> None:
    """Copy what is in the open file to `path`, or, where its directory is gone, to the temporary one.

    The second raises `OutputError`, which says where the copy is. `OSError` where both fail.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        target, place = os.open(path, flags, 0o644), str(path)
    except OSError:
        target, place = tempfile.mkstemp(prefix=f"{path.stem}-", suffix=path.suffix)
    try:
        _copy(descriptor, target)
    except OSError:
        os.unlink(place)
        raise
    finally:
        os.close(target)
    if place != str(path):
        raise OutputError(
            f"{path}.partial was taken away during the recording",
            f"The recording is whole, in {place}: move it where you want it.",
        )


def _copy(source: int, target: int) -> None:
    offset, size = 0, os.fstat(source).st_size
    while offset < size:
        offset += os.sendfile(target, source, offset, min(_CHUNK, size - offset))
