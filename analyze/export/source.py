"""What an exporter is given: the calls that were chosen, batch by batch, and what goes with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from ...errors import UsageError
from ...schemas import TraceMetadata
from ..loss import Loss
from ..selection import Selection
from ..trace import Trace

Weight = Literal["time", "calls"]

#: Calls are worked on so many at a time, some hundred bytes each.
_ROWS = 1 << 16


def _ignore(done: int, of: int) -> None:
    pass


@dataclass
class Source:
    """The calls `selection` of a trace.

    `weight` is what a format goes by that has room for one figure. `progress` is told now and then how many
    events have been worked on, about, and how many there are.
    """

    trace: Trace
    selection: Selection = field(default_factory=Selection)
    weight: Weight = "time"
    progress: Callable[[int, int], None] = _ignore
    #: The calls that have been read, by status; complete when the batches are.
    found: Counter[str | None] = field(default_factory=Counter, init=False)
    #: What a format has to tell of its own, a line each.
    notes: list[str] = field(default_factory=list, init=False)

    @property
    def metadata(self) -> TraceMetadata:
        return self.trace.metadata

    @property
    def loss(self) -> Loss:
        """What is missing from the calls that have been read."""
        return Loss.counted(self.metadata, self.found)

    @property
    def times(self) -> str | None:
        """Which times these are, without the word; None where they could be no others."""
        return self.trace.times and self.trace.times.removeprefix("times: ")

    def check_moments(self, form: str) -> None:
        """Raises UsageError where times are corrected, and so there are no moments that go with them.

        What was taken off a thread's calls makes a clock of its own of each thread. Drawn by these, things
        that happened in two threads at the same time would stand at different ones.
        """
        if self.trace.corrected:
            raise UsageError(
                f"times in {form} cannot be corrected: it shows when calls began and ended, and what probes "
                "cost is known only of how long they took",
                "leave --correct out, or use folded, pprof or speedscope, which add corrected times up by "
                "stack",
            )

    def batches(self, *columns: str) -> Iterator[pl.DataFrame]:
        """The calls thread by thread, in order of their first event: `columns` of `Trace.call_batches`."""
        needs = sorted({*columns, "call_id", "start", "end", "status"})
        events = 0
        for batch in self.trace.call_batches(needs, rows=_ROWS, paired=self.selection):
            self.found.update(dict(batch["status"].cast(pl.String).value_counts().rows()))
            yield batch
            events += 2 * len(batch) - batch["start"].null_count() - batch["end"].null_count()
            # Ids tell how far it is, also where few calls are chosen.
            done = (int(batch["call_id"][-1]) + 1) * events // self.found.total()
            self.progress(min(done, self.trace.rows), self.trace.rows)
