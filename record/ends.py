"""Notice that processes which are not our children have ended."""

from __future__ import annotations

import os
import select


class Targets:
    """Whether processes that are not our children have ended; pidfds cannot mean another process."""

    def __init__(self, tgids: tuple[int, ...]) -> None:
        self._poll = select.poll()
        self._open: set[int] = set()
        for tgid in tgids:
            try:
                descriptor = os.pidfd_open(tgid)
            except ProcessLookupError:
                continue
            self._open.add(descriptor)
            self._poll.register(descriptor, select.POLLIN)

    def all_gone(self) -> bool:
        for descriptor, _ in self._poll.poll(0):
            self._poll.unregister(descriptor)
            self._open.remove(descriptor)
            os.close(descriptor)
        return not self._open

    def close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()
