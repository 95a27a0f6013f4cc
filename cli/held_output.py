"""What a command writes to a terminal that shows something else meanwhile."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from typing import IO


class HeldOutput:
    """Files in the place of stdout and stderr where these are terminals; a context.

    `descriptors` are for the command, None where it keeps ours. What it wrote is shown on the way out.
    """

    def __enter__(self) -> HeldOutput:
        self._end = ExitStack()
        self.descriptors = (self._hold(sys.stdout.buffer), self._hold(sys.stderr.buffer))
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def _hold(self, stream: IO[bytes]) -> int | None:
        if not stream.isatty():
            return None
        file = self._end.enter_context(tempfile.TemporaryFile())  # noqa: SIM115, it is one
        self._end.callback(_show, file, stream)
        return file.fileno()


def _show(file: IO[bytes], stream: IO[bytes]) -> None:
    file.seek(0)
    shutil.copyfileobj(file, stream)
    stream.flush()
