"""Several traces as one: their figures added up, functions of one symbol and module taken for one.

Threads and processes are never taken for one: their ids mean nothing outside of the recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import polars as pl

from ..schemas import TraceMetadata
from ..schemas.metadata import FilterInfo
from .answers import Answers
from .arrays import Ints
from .casts import Cast
from .effort import Effort
from .figure_reports import FigureReports
from .figures import Figures, Function, Origin, functions_of, merge, origin_of, together
from .pool import process_all
from .question import Partition, Question
from .selection import Chosen, Selection
from .threads import threads
from .trace import Trace

#: With fewer events processes take longer to start than the work takes.
_WORTH_PROCESSES = 1 << 22


_FUNCTION = {
    **dict.fromkeys(("symbol", "demangled", "module", "file"), pl.String),
    "cookie": pl.UInt64,
}


class Merged(FigureReports):
    """`traces`, and of each the calls to look at."""

    def __init__(self, traces: Sequence[tuple[Trace, Selection]], effort: Effort | None = None) -> None:
        self.traces = list(traces)
        self._effort = effort or Effort()
        self._known: list[tuple[Question, Answers]] = []

    def __repr__(self) -> str:
        return f"Merged({self.path!r})"

    @property
    def path(self) -> str:
        """The paths of all."""
        return ", ".join(str(trace.path) for trace, _ in self.traces)

    @property
    def times(self) -> str | None:
        """One line: which times reports show, as of a trace."""
        lines = {trace.times for trace, _ in self.traces}
        corrected = [trace.corrected for trace, _ in self.traces]
        if len(lines) == 1:
            return lines.pop()
        if all(corrected):
            return "times: corrected for probes, by what was measured when each recording began"
        other = "others corrected for probes" if any(corrected) else "with the cost of probes inside"
        return f"times: as recorded, {other}"

    @cached_property
    def metadata(self) -> TraceMetadata:
        """That of the first, with the arguments, events, losses, filters and notices of all. Of threads and
        processes there are none: ask each of `traces`.
        """
        every = [trace.metadata for trace, _ in self.traces]
        found: dict[str, Any] = {**every[0]}
        found["args"] = max(one["args"] for one in every)
        found["loss_windows"] = [window for one in every for window in one["loss_windows"]]
        found["processes"], found["threads"] = [], []
        found["notices"] = [
            f"{trace.path}: {notice}" for trace, _ in self.traces for notice in trace.metadata["notices"]
        ]
        found["filters"] = _filters([one["filters"] for one in every])
        counts = [one["counts"] for one in every]
        found["counts"] = {
            name: _sum([cast(dict[str, Any], count)[name] for count in counts]) for name in counts[0]
        }
        return cast(TraceMetadata, found)

    @property
    def corrected(self) -> bool:
        """Whether all durations are without what probes cost."""
        return all(trace.corrected for trace, _ in self.traces)

    @cached_property
    def origins(self) -> list[Trace]:
        """The traces, each once: the place of one is that in the column `trace` of `answers().threads`."""
        found: dict[Origin, Trace] = {}
        for trace, _ in self.traces:
            found.setdefault(origin_of(str(trace.path), trace.metadata), trace)
        return list(found.values())

    def threads(self, paired: Chosen | None = None) -> pl.LazyFrame:
        """The threads of each trace, `schemas.THREADS_APART` and `began_ns`, when its recording began on the
        clock of the thread's times; by falling `busy_ns`.
        """
        found = self.answers(paired).threads
        return pl.concat(
            threads(found.filter(pl.col("trace") == place), trace.metadata).select(
                pl.lit(str(trace.path)).alias("trace"),
                pl.lit(trace.metadata["host"]).alias("host"),
                pl.all(),
                pl.lit(trace.metadata["started"]["monotonic_ns"]).alias("began_ns"),
            )
            for place, trace in enumerate(self.origins)
        ).sort("busy_ns", descending=True, nulls_last=True, maintain_order=True)

    @property
    def functions(self) -> pl.LazyFrame:
        """The functions of all; those that several have stand once."""
        found, _ = self._functions
        columns = {
            name: pl.Series([getattr(function, name) for function in found], dtype=kind)
            for name, kind in _FUNCTION.items()
        }
        return pl.LazyFrame(columns).with_row_index("function")

    @cached_property
    def _functions(self) -> tuple[list[Function], list[Ints]]:
        return together([functions_of(trace.metadata) for trace, _ in self.traces])

    def answers(
        self, paired: Chosen | None = None, columns: Sequence[str] = (), casts: Sequence[Cast] = ()
    ) -> Answers:
        """What the reports come from. Of the calls to look at those that `paired` chooses, if it is given, by
        functions of all traces.
        """
        assert paired is None or isinstance(paired, Selection)
        question = Question(paired or Selection(), tuple(columns), tuple(casts) if columns else ())
        for known, answers in self._known:
            if known.covers(question):
                return answers
        found = Answers.of(merge(self._parts(question)), casts)
        self._known.append((question, found))
        return found

    def _parts(self, question: Question) -> list[Figures]:
        effort = self._effort
        rows = [trace.rows for trace, _ in self.traces]
        jobs = min(effort.jobs, len(rows)) if sum(rows) >= _WORTH_PROCESSES else 1
        work = [
            (
                Partition(str(trace.path), workers=max(effort.jobs // jobs, 1)),
                replace(
                    question,
                    selection=_narrowed(selection, question.selection, places),
                    memory=effort.memory // jobs,
                    correct=trace.corrected,
                ),
            )
            for (trace, selection), places in zip(self.traces, self._functions[1], strict=True)
        ]
        ready = 0

        def done(number: int) -> None:
            nonlocal ready
            ready += rows[number]
            effort.progress(ready, sum(rows))

        return process_all(work, jobs, done)


def _narrowed(selection: Selection, further: Selection, places: Ints) -> Selection:
    """Those of the calls `selection` of a trace that `further` chooses, where its functions are at `places`
    among those of all traces.
    """
    for layer in further.layers:
        rows = np.flatnonzero(np.isin(places, layer.rows)).tolist()
        selection = selection.of_functions(rows, beneath=layer.beneath)
    return selection


def _filters(every: Sequence[FilterInfo]) -> FilterInfo:
    """What all of them left out on purpose, as far as they agree."""
    agreed: dict[str, Any] = {
        name: value if all(cast(dict[str, Any], one)[name] == value for one in every) else None
        for name, value in every[0].items()
    }
    agreed["budget_cuts"] = [cut for one in every for cut in one["budget_cuts"]]
    for name in ("roots", "sampled_roots"):
        counts = [cast(dict[str, Any], one)[name] for one in every]
        agreed[name] = None if agreed["sample"] is None else sum(counts)
    return cast(FilterInfo, agreed)


def _sum(values: Sequence[Any]) -> Any:
    """Numbers added up; of dictionaries those under the same key."""
    if not isinstance(values[0], dict):
        return sum(values)
    keys = dict.fromkeys(key for value in values for key in value)
    return {key: sum(value.get(key, 0) for value in values) for key in keys}
