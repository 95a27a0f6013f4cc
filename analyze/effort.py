"""How much may be spent on an answer: processors, memory; and who is told how far it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from .memory import available

#: Where the system doesn't say what is free.
_UNKNOWN = 1 << 30


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _half_of_what_is_free() -> int:
    free = available()
    return _UNKNOWN if free is None else free // 2


def _ignore(done: int, of: int) -> None:
    pass


@dataclass(frozen=True)
class Effort:
    """`jobs` walks at once, `memory` bytes for what grows with the trace. `progress` is called now and then
    with how many events have been worked on, and how many there are; each counts twice. With `cache` answers
    about large traces are kept beside them, as files of the user and group `owner`, by default ours.
    """

    jobs: int = field(default_factory=processors)
    memory: int = field(default_factory=_half_of_what_is_free)
    progress: Callable[[int, int], None] = _ignore
    cache: bool = True
    owner: tuple[int, int] | None = None
