"""A trace, opened: its events, and every table that follows from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from ..schemas import CALLS, VALUES, TraceMetadata
from . import (
    call_rows,
    calls,
    native,
    slowest,
    tables,
)
from .answers import Answers
from .call_reports import CallReports
from .call_rows import CallRows
from .casts import Cast, parse_all
from .correction import costs_of, times_shown
from .effort import Effort
from .engine import figures_of
from .figure_reports import FigureReports
from .gather import gather
from .kept import Kept
from .memory import check_fits
from .pairing import EVENT_BYTES, NEEDS, pair
from .pruning import Pruning
from .question import Partition, Question
from .reading import TraceFile
from .selection import Chosen, Selection
from .shown import trace_html
from .walking import Source

if TYPE_CHECKING:
    from ..report.page import Report


class Trace(FigureReports, CallReports):
    """A recorded trace.

    `Trace(path)` reads the metadata only; tables are read and computed when they are first needed. All
    of them are LazyFrames; their columns are those of `funcsnoop.schemas`. Raises `TraceError` where
    `path` is not a trace, or is damaged, which may show only when its events are read.
    """

    def __init__(
        self, path: str | os.PathLike[str], effort: Effort | None = None, *, correct: bool = False
    ) -> None:
        """`effort`: what to spend on answers, by default all processors and half of the free memory.

        With `correct` durations are without what probes cost; raises UsageError where that is not known.
        """
        self._file = TraceFile(path)
        self._costs = costs_of(self._file.metadata, str(path)) if correct else None
        self._effort = effort or Effort()

    def __repr__(self) -> str:
        return f"Trace({str(self.path)!r})"

    def _repr_html_(self) -> str:
        return trace_html(str(self.path), self.metadata)

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def metadata(self) -> TraceMetadata:
        """What the recorder wrote about the recording, see `funcsnoop.schemas.TraceMetadata`."""
        return self._file.metadata

    @property
    def rows(self) -> int:
        """How many events the file holds."""
        return self._file.rows

    @property
    def corrected(self) -> bool:
        """Whether durations are without what probes cost."""
        return self._costs is not None

    @property
    def times(self) -> str | None:
        """One line: whether times are as recorded, or corrected; None where they could not be corrected."""
        return times_shown(self.metadata, self._costs)

    @property
    def events(self) -> pl.LazyFrame:
        """The events as in `schemas.EVENTS`, in file order, and `time`, Datetime("ns", "UTC").

        `time` is `timestamp` moved by the difference between CLOCK_REALTIME and CLOCK_MONOTONIC when
        the recording started, so it neither jumps nor drifts if the clock was set meanwhile.
        """
        started = self.metadata["started"]
        shift = started["realtime_ns"] - started["monotonic_ns"]
        # Null where a time is out of range: such a clock can only be in a file that is not to be trusted.
        moved = pl.col("timestamp").cast(pl.Int128) + pl.lit(shift, pl.Int128)
        time = moved.cast(pl.Int64, strict=False).cast(pl.Datetime("ns", "UTC"))
        return self._file.scan().with_columns(time.alias("time"))

    @cached_property
    def paired(self) -> pl.LazyFrame:
        """The calls without names and arguments, as `paired.table` describes them; computed once."""
        check_fits(self._file.name, self.rows, EVENT_BYTES)
        if native.library() is not None:
            return call_rows.pair(self._source(2), self.metadata, self._effort.jobs, self._costs).lazy()
        events = pl.from_arrow(self._file.table(NEEDS))
        assert isinstance(events, pl.DataFrame)
        return pair(events.lazy(), self.metadata, self._costs)

    def chosen(self, paired: Chosen | None = None) -> pl.LazyFrame:
        """The calls that `paired` stands for, of those in the property `paired`."""
        if isinstance(paired, pl.LazyFrame):
            return paired
        return self.paired if paired is None else paired.of(self.paired)

    def answers(
        self, paired: Chosen | None = None, columns: Sequence[str] = (), casts: Sequence[Cast] = ()
    ) -> Answers:
        """What every report but those of single calls comes from; with what the registers `columns` held,
        read as `casts` say. Those of a selection are kept.
        """
        if isinstance(paired, pl.LazyFrame):
            return Answers.of(gather(paired, self.metadata, self.values, columns, casts), casts)
        selection = Selection() if paired is None else paired
        read = tuple(casts) if columns else ()
        question = Question(selection, tuple(columns), read, self._effort.memory, self.corrected)
        answers = self._kept.find(question)
        if answers is None:
            partition = Partition(str(self.path), workers=self._effort.jobs)
            answers = Answers.of(figures_of(self._file, partition, question, self._progress(2)), casts)
            self._effort.progress(1, 1)
            self._kept.keep(question, answers)
        return answers

    @cached_property
    def _kept(self) -> Kept:
        return Kept(self._file, self._effort)

    def _progress(self, passes: int) -> Callable[[int], None]:
        done = 0

        def add(rows: int) -> None:
            nonlocal done
            done += rows
            self._effort.progress(done, passes * self.rows)

        return add

    def _source(self, passes: int) -> Source:
        """The events, for so many passes."""
        progress = self._progress(passes)

        def parts(columns: list[str], pruning: Pruning) -> Iterator[tuple[int, pa.Table]]:
            for first, table in self._file.parts(columns, pruning):
                yield first, table
                progress(table.num_rows)

        return parts

    @property
    def functions(self) -> pl.LazyFrame:
        """The function table: a row for each function with a probe, `function` its number."""
        return tables.functions(self.metadata).lazy()

    @property
    def processes(self) -> pl.LazyFrame:
        """The process table: a row for each process, `process` its number."""
        return tables.processes(self.metadata).lazy()

    def values(self, columns: Sequence[str]) -> pl.LazyFrame:
        """Recorded values (`arg0` …, `ret_val`) of all events, uint64, in file order."""
        frame = pl.from_arrow(self._file.table(list(columns)))
        assert isinstance(frame, pl.DataFrame)
        return frame.lazy()

    def calls(self, paired: Chosen | None = None) -> pl.LazyFrame:
        """Every call, `schemas.CALLS`, in order of thread and start."""
        frames = list(self.call_batches(CALLS.names, paired=paired))
        if not frames:
            empty = pl.from_arrow(CALLS.empty_table())
            assert isinstance(empty, pl.DataFrame)
            return empty.lazy()
        return pl.concat(frames).lazy()

    def call_batches(
        self, columns: Sequence[str] | None = None, *, rows: int = 1 << 18, paired: Chosen | None = None
    ) -> Iterator[pl.DataFrame]:
        """Every call in frames of at most `rows` rows, in order of (tgid, pid, start), thread by thread.

        `columns` are names of `schemas.CALLS`, and `function` and `caller` (null at a root), uint32, rows in
        `functions`; by default those of `CALLS`, and `function`.
        """
        wanted = [*CALLS.names, "function"] if columns is None else list(columns)
        if isinstance(paired, pl.LazyFrame) or native.library() is None:
            values = self.values([name for name in wanted if name in VALUES])
            return calls.batches(self.chosen(paired), self.functions, values, wanted, rows)
        return self._call_rows(wanted, paired or Selection()).frames(rows)

    def _call_rows(self, columns: Sequence[str], selection: Selection) -> CallRows:
        source, effort = self._source(2), self._effort
        found = CallRows(source, self.metadata, columns, selection, effort.jobs, effort.memory, self._costs)
        effort.progress(1, 1)
        return found

    def around(
        self, call_ids: Sequence[int], columns: Sequence[str], *, inside: bool = False
    ) -> Iterator[pl.DataFrame]:
        """All calls of the threads that made the calls `call_ids`; with `inside` only from these on.

        Raises UsageError where there is no such call.
        """
        if native.library() is None:
            paired = slowest.threads_of(self.paired, call_ids)
            paired = paired.filter(pl.col("call_id") >= min(call_ids)) if inside else paired
            yield from self.call_batches(columns, paired=paired)
            return
        calls = self._call_rows(columns, Selection())
        for call_id in call_ids:
            if call_id >= len(calls):
                raise slowest.no_call(call_id, len(calls))
        for first, end in sorted({calls.thread_of(call_id) for call_id in call_ids}):
            yield from calls.frames(1 << 18, max(first, min(call_ids)) if inside else first, end)

    def report(
        self,
        paired: Chosen | None = None,
        casts: Sequence[Cast | str] | Mapping[str, str] = (),
    ) -> Report:
        """The trace as one HTML page, which a notebook shows, and `.save(path)` writes.

        `paired` are the calls to show, all by default; `casts` are as in `arguments`.
        """
        # The report needs us; only who asks for one needs it.
        from ..report.page import Report

        return Report(self, paired, (), parse_all(casts))
