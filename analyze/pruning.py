"""What of a trace a pass over it need not read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..schemas import TraceMetadata
from .selection import Selection

#: Least and greatest value of a column.
Range = tuple[int, int]


@dataclass(frozen=True)
class Group:
    """A row group, as far as its statistics tell."""

    rows: int
    ranges: dict[str, Range]

    @classmethod
    def of(cls, details: pq.RowGroupMetaData) -> Group:
        ranges = {}
        for number in range(details.num_columns):
            column = details.column(number)
            found = column.statistics if column.path_in_schema in _TELLING else None
            if found is not None and found.has_min_max:
                ranges[column.path_in_schema] = (found.min, found.max)
        return cls(details.num_rows, ranges)

    def may_have(self, column: str, ids: frozenset[int] | None) -> bool:
        """Whether one of `ids` can be in a column; None stands for any."""
        if ids is None or column not in self.ranges:
            return True
        low, high = self.ranges[column]
        return any(low <= one <= high for one in ids)


_TELLING = frozenset(("tgid", "pid", "timestamp"))


def earliest_from(groups: Sequence[Group]) -> list[int | None]:
    """For each group the least time in it and all later ones; None where that is not known."""
    found: list[int | None] = []
    least: int | None = (1 << 63) - 1
    for group in reversed(groups):
        time = group.ranges.get("timestamp")
        least = None if time is None or least is None else min(least, time[0])
        found.append(least)
    return found[::-1]


def _none_running() -> int:
    return 0


@dataclass(frozen=True)
class Pruning:
    """Reads what calls of `selection` need. `cookies` are those of functions that they can be of, None for
    any; `running()` says how many of them have begun and not ended.
    """

    selection: Selection
    cookies: frozenset[int] | None = None
    running: Callable[[], int] = _none_running

    @classmethod
    def of(cls, selection: Selection, metadata: TraceMetadata, running: Callable[[], int]) -> Pruning:
        rows: set[int] | None = None
        for layer in selection.layers:
            if not layer.beneath:
                rows = set(layer.rows) if rows is None else rows & set(layer.rows)
        functions = metadata["functions"]
        return cls(
            selection, None if rows is None else frozenset(functions[row]["cookie"] for row in rows), running
        )

    @property
    def by_events(self) -> bool:
        """Whether it takes a look at events to know what else is needed."""
        times = (self.selection.since, self.selection.until)
        return self.cookies is not None or times != (None, None)

    def group(self, group: Group) -> bool:
        """Whether threads of the selection may have events in a row group."""
        return group.may_have("tgid", self.selection.tgids) and group.may_have("pid", self.selection.pids)

    def registers(self, events: pa.Table) -> bool:
        """Whether chosen calls may begin or end among these events, of which there are all other columns."""
        if not len(events):
            return False
        if self.cookies is not None:
            wanted = pa.array(sorted(self.cookies), pa.uint64())
            if not pc.any(pc.is_in(events["cookie"], wanted)).as_py():
                return False
        times = pc.min_max(events["timestamp"]).as_py()
        since, until = self.selection.since, self.selection.until
        begins = since is None or times["max"] >= since, until is None or times["min"] < until
        return all(begins) or self.running() > 0

    def more(self, earliest: int | None) -> bool:
        """Whether anything is left to read where no later event is earlier than that."""
        until = self.selection.until
        return until is None or earliest is None or earliest < until or self.running() > 0
