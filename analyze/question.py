"""What is asked of a trace, and of which part of it: plain values that can be sent anywhere."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from .casts import Cast
from .selection import Selection


@dataclass(frozen=True)
class Question:
    """Figures of the calls `selection`; with `columns`, `arg0` … `ret_val`, also of what these held, read as
    `casts` say. `memory` bytes may be spent on what makes figures exact. `correct`: times without what
    probes cost.
    """

    selection: Selection = field(default_factory=Selection)
    columns: tuple[str, ...] = ()
    casts: tuple[Cast, ...] = ()
    memory: int = 1 << 28
    correct: bool = False

    def covers(self, other: Question) -> bool:
        """Whether the answer to this one has all of the answer to the other."""
        return (
            self.selection == other.selection
            and self.correct == other.correct
            and set(self.columns) >= set(other.columns)
            and (self.casts == other.casts or not other.columns)
        )

    def key(self) -> str:
        """What is equal for questions that have the same answer, if there is memory enough."""
        selection = asdict(self.selection)
        selection |= {
            name: ids and sorted(ids) for name, ids in selection.items() if name in ("tgids", "pids")
        }
        casts = [[cast.pattern, cast.arg, cast.kind] for cast in self.casts]
        return json.dumps([selection, sorted(self.columns), casts, self.correct])


@dataclass(frozen=True)
class Partition:
    """The trace at `path`, or of its threads, in order of appearance, every `parts`th from `part` on. Within
    a process it is worked on by `workers` threads.
    """

    path: str
    part: int = 0
    parts: int = 1
    workers: int = 1
