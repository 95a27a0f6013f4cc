"""Functions whose budget is spent lose their probes, so that their calls cost nothing any more."""

from __future__ import annotations

from collections.abc import Iterable, Set

from ..bpf import syscall
from ..bpf.links import Links
from ..bpf.program import Programs
from ..errors import FuncsnoopError
from .attaching import Attaching


class Spent:
    """Ask `look` for it at most once a second. What the user should know is added to `notices`."""

    def __init__(self, programs: Programs, links: Links, attaching: Attaching, notices: list[str]) -> None:
        self._programs = programs
        self._links = links
        self._attaching = attaching
        self._notices = notices
        self._gone: Set[int] = frozenset()
        self._gives_up = False

    def look(self, cookies: Iterable[int]) -> None:
        """Take out the probes of these functions: all whose budget is spent, now or before.

        The last call that a budget allows can still go on, or be about to begin, when the next one is left
        out. A function whose calls are under way keeps its probes until they have returned.
        """
        spent = set(cookies) - self._gone
        if self._gives_up or not (spent or self._links.catches):
            return
        try:
            syscall.wait_for_programs()
            calls = self._programs.calls_under_way()
            self._links.release(calls)
            ready = spent - {call.function for call in calls}
            if ready and self._attaching.leave_out(ready):
                self._gone = self._gone | ready
        except FuncsnoopError as error:
            self._give_up(error.message)
        except OSError as error:
            self._give_up(error.strerror or str(error))

    def _give_up(self, reason: str) -> None:
        self._gives_up = True
        self._notices.append(f"functions whose budget is spent keep their probes from now on: {reason}")
