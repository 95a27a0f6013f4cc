"""Close links side by side, also while a recording goes on.

The kernel (since 6.13) takes a link's breakpoints out and then waits for calls with return probes, of any
link. One after the other, each would wait for as long as others keep asking for more. Perf links it takes out
one by one in any case.
"""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Iterable
from contextlib import suppress

_LOOK_SECONDS = 0.001


class Closing:
    """`at_once` gives each link a thread of its own; else there is one for all that come together."""

    def __init__(self, at_once: bool) -> None:
        self._at_once = at_once
        #: Links that no thread has begun to close, and all that are still open.
        self._left: list[int] = []
        self._open = 0
        self._lock = _thread.allocate_lock()

    @property
    def pending(self) -> int:
        """How many links are still being closed."""
        return self._open

    def begin(self, links: Iterable[int]) -> None:
        """Close these links in the background.

        A thread for which there is no memory does not begin, and its link is closed by another, or by
        `finish`. `threading` would wait for it for ever.
        """
        links = list(links)
        with self._lock:
            self._open += len(links)
            self._left += links
        with suppress(RuntimeError, MemoryError):
            for _ in links if self._at_once else links[:1]:
                _thread.start_new_thread(self._take_and_close, ())

    def finish(self) -> None:
        """Return when all are closed."""
        self._take_and_close()
        while self._open:
            time.sleep(_LOOK_SECONDS)

    def _take_and_close(self) -> None:
        while self._left:
            try:
                link = self._left.pop()
            except IndexError:
                return
            try:
                os.close(link)
            finally:
                with self._lock:
                    self._open -= 1
