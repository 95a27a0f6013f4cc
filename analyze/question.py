"""What is asked of a trace, and of which part of it: plain values that can be sent anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from .casts import Cast
from .selection import Selection


@dataclass(frozen=True)
class Question:
    """Figures of the calls `selection`; with `columns`, `arg0` … `ret_val`, also of what these held, read as
    `casts` say. `memory` bytes may be spent on what makes figures exact.
    """

    selection: Selection = field(default_factory=Selection)
    columns: tuple[str, ...] = ()
    casts: tuple[Cast, ...] = ()
    memory: int = 1 << 28


@dataclass(frozen=True)
class Partition:
    """The trace at `path`, or of its threads, in order of appearance, every `parts`th from `part` on. Within
    a process it is worked on by `workers` threads.
    """

    path: str
    part: int = 0
    parts: int = 1
    workers: int = 1
