"""What an exporter is given: the calls that were chosen, batch by batch, and what goes with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl

from ...schemas import TraceMetadata
from ..arrays import Flags, Ints
from ..loss import Loss
from ..nesting import nearest
from ..paths import around_last, rows_of
from ..trace import Trace

Weight = Literal["time", "calls"]


#: Calls are worked on so many at a time, some hundred bytes each.
_ROWS = 1 << 16


def _ignore(events: int) -> None:
    pass


@dataclass
class Source:
    """Calls of a trace.

    `where` chooses them by the columns of `schemas.CALLS`; with `functions`, rows of the function table, only
    calls of these are chosen, and what runs inside them. `weight` is what a format goes by that has room for
    one figure. `progress` is told how many more events have been worked on, of `trace.rows`.
    """

    trace: Trace
    where: pl.Expr = field(default_factory=lambda: pl.lit(True))
    functions: Sequence[int] | None = None
    weight: Weight = "time"
    progress: Callable[[int], None] = _ignore
    #: The chosen calls that have been read, by status; complete when the batches are.
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

    def batches(self, *columns: str) -> Iterator[pl.DataFrame]:
        """The calls thread by thread, in order of their first event: `columns`, and `kept`, which says
        whether a call is chosen. Calls that are not are there too, since others may run inside them.
        """
        needs = {*columns, "start", "end", "status", "tgid", "pid"} - {"kept"}
        inside = None if self.functions is None else _Inside(self.functions)
        if inside is not None:
            needs |= {"call_id", "parent_id", "function"}
        for batch in self.trace.call_batches(sorted(needs), rows=_ROWS):
            kept = batch.with_columns(kept=self.where)["kept"]
            if inside is not None:
                kept &= pl.Series(inside.of(batch))
            self.found.update(dict(batch["status"].filter(kept).cast(pl.String).value_counts().rows()))
            yield batch.with_columns(kept=kept)
            self.progress(2 * len(batch) - batch["start"].null_count() - batch["end"].null_count())


class _Inside:
    """Which calls are of certain functions, or run inside such a call, as the calls come by in order."""

    def __init__(self, functions: Sequence[int]) -> None:
        self._functions = list(functions)
        # The last call and those around it.
        self._ids: Ints = np.zeros(0, np.int64)
        self._found: Flags = np.zeros(0, np.bool_)

    def of(self, calls: pl.DataFrame) -> Flags:
        before = len(self._ids)
        ids = np.r_[self._ids, calls["call_id"].cast(pl.Int64).to_numpy()]
        caller = rows_of(ids, calls["parent_id"].cast(pl.Int64).fill_null(-1).to_numpy())
        caller = np.r_[np.arange(-1, before - 1), caller]
        found = np.r_[self._found, calls["function"].is_in(self._functions).to_numpy()]
        found |= nearest(caller, found) >= 0
        rows = around_last(caller)
        self._ids, self._found = ids[rows], found[rows]
        here: Flags = found[before:]
        return here
