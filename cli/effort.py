"""What the command line says about how much to spend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..analyze.effort import Effort
from ..record.caller import caller
from .quantities import parse_size


def effort_of(
    jobs: int | None, memory: str | None, progress: Callable[[int, int], None], *, cache: bool
) -> Effort:
    """The effort that options ask for. Under sudo what is kept belongs to who called it."""
    who = caller()
    found = Effort(progress=progress, cache=cache, owner=None if who is None else (who.uid, who.gid))
    if jobs is not None:
        found = replace(found, jobs=jobs)
    return found if memory is None else replace(found, memory=parse_size(memory))
