"""Where a command's output goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import OutputError
from ..record.caller import become_caller


def claim_output(output: Path, *, force: bool) -> None:
    """Raises OutputError where there is such a file and it is not to be replaced.

    Under sudo it is to be a file of who called it: from here on this process is that user.
    """
    become_caller()
    if not force and output.exists() and not _is_special(output):
        raise OutputError(f"{output} exists", "give another name, or --force to replace it")


@contextmanager
def sink(output: Path | None) -> Iterator[BinaryIO]:
    """The file, which appears under its name when it is complete, or standard output."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        if _is_special(output):
            with output.open("wb") as device:
                yield device
            return
        with unfinished.open("xb") as file:
            yield file
        unfinished.replace(output)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{output} cannot be written: {reason}", "give -o a place that you may write to"
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)


def _is_special(output: Path) -> bool:
    """Whether it is a pipe or a device, `/dev/null` say: nothing may take its place."""
    return output.is_fifo() or output.is_char_device() or output.is_block_device()
