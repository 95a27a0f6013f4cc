"""A bar on a terminal for what takes longer than a moment."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: What takes no longer shows nothing.
PATIENCE_S = 1.0


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """What it yields is told how much is done, and of how much; the bar is gone when all is."""
    bar = _Bar(text)
    try:
        yield bar.show if sys.stderr.isatty() else _ignore
    finally:
        bar.stop()


def _ignore(done: int, of: int) -> None:
    pass


class _Bar:
    def __init__(self, text: str) -> None:
        self._text = text
        self._began: float | None = None
        self._shown: tuple[Progress, TaskID] | None = None

    def show(self, done: int, of: int) -> None:
        if done >= of:
            self.stop()
        elif self._began is None:
            self._began = time.monotonic()
        elif self._shown is not None:
            self._shown[0].update(self._shown[1], completed=done, total=of)
        elif time.monotonic() - self._began >= PATIENCE_S:
            self._start(done, of)

    def stop(self) -> None:
        self._began = None
        if self._shown is not None:
            self._shown[0].stop()
            self._shown = None

    def _start(self, done: int, of: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn(self._text), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        bar = Progress(*columns, console=Console(stderr=True), transient=True)
        bar.start()
        self._shown = bar, bar.add_task(self._text, total=of, completed=done)
