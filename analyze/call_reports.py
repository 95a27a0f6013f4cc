"""The reports of a trace that look at its calls one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from ..schemas import CALLS, TraceMetadata
from . import filters, heatmap, hist, slowest
from .casts import Cast, kinds_of, parse_all
from .diff import Side, diff, durations_of
from .explain import Case, cases_of
from .explain import table as explanations
from .selection import Chosen, Selection, of_functions


class CallReports(ABC):
    """Each makes one pass over the calls, or two, and keeps what does not grow with their number.

    What they come from is a trace's: see `Trace`.
    """

    @property
    @abstractmethod
    def metadata(self) -> TraceMetadata: ...

    @property
    @abstractmethod
    def functions(self) -> pl.LazyFrame: ...

    @property
    @abstractmethod
    def value_columns(self) -> list[str]: ...

    @abstractmethod
    def call_batches(
        self, columns: Sequence[str] | None = None, *, rows: int = 1 << 18, paired: Chosen | None = None
    ) -> Iterator[pl.DataFrame]: ...

    @abstractmethod
    def around(
        self, call_ids: Sequence[int], columns: Sequence[str], *, inside: bool = False
    ) -> Iterator[pl.DataFrame]: ...

    @abstractmethod
    def latency(self, paired: Chosen | None = None, *, marked: bool = False) -> pl.LazyFrame: ...

    @abstractmethod
    def callgraph(self, paired: Chosen | None = None, *, marked: bool = False) -> pl.LazyFrame: ...

    def hist(
        self,
        focus: str | Sequence[str] | None = None,
        value: str = "duration_ns",
        casts: Sequence[Cast | str] | Mapping[str, str] = (),
        paired: Chosen | None = None,
    ) -> pl.LazyFrame:
        """How the durations of the functions `focus` are distributed, or the values of `arg0` … `ret_val`,
        `schemas.HIST`. `casts` are as in `arguments`.
        """
        kinds = kinds_of(parse_all(casts), self.functions)
        found = hist.tallies(
            self.call_batches(["function", value], paired=self.of(focus, paired)), value, kinds
        )
        return hist.table(found, value, self.functions)

    def heatmap(self, focus: str | Sequence[str] | None = None, paired: Chosen | None = None) -> pl.LazyFrame:
        """How long calls of the functions `focus` took at which time, `schemas.HEATMAP`."""
        batches = self.call_batches(["function", "start", "duration_ns"], paired=self.of(focus, paired))
        return heatmap.table(heatmap.heats(batches, self.metadata["started"]["monotonic_ns"]), self.functions)

    def slowest(
        self,
        count: int = 10,
        focus: str | Sequence[str] | None = None,
        by: str = "duration_ns",
        paired: Chosen | None = None,
        *,
        marked: bool = False,
    ) -> pl.LazyFrame:
        """The `count` slowest complete calls, of the functions `focus`, with their callers and where their
        time went, `schemas.SLOWEST`. `by` is `duration_ns`, or `self_ns` for the time in the function itself.
        """
        batches = self.call_batches(["call_id", by], paired=self.of(focus, paired))
        return self.details(slowest.longest(batches, count, by), marked=marked)

    def details(self, call_ids: Sequence[int], *, marked: bool = False) -> pl.LazyFrame:
        """Single calls, as `slowest` shows them, in the order of `call_ids`. `marked` adds `cookie`.

        Raises UsageError where there is no such call.
        """
        batches = self.around(call_ids, slowest.NEEDS)
        return slowest.describe(batches, call_ids, self.functions, self.metadata, marked=marked)

    def subtree(self, call_id: int) -> pl.LazyFrame:
        """A call and all that ran inside it, `schemas.CALLS`, in order of start.

        Raises UsageError where there is no such call.
        """
        return pl.concat(self.subtree_batches(call_id, CALLS.names)).lazy()

    def subtree_batches(self, call_id: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """The same in frames of bounded size; `columns` as of `call_batches`, with `call_id` and `depth`."""
        return slowest.subtree(self.around([call_id], columns, inside=True), call_id)

    def explain(
        self,
        focus: str | Sequence[str] | None = None,
        casts: Sequence[Cast | str] | Mapping[str, str] = (),
        slow_ns: int | None = None,
        paired: Chosen | None = None,
    ) -> pl.LazyFrame:
        """What separates slow calls of the functions `focus` from the others, `schemas.EXPLAIN`: an argument,
        the return value, the caller, the thread, or a window of time. No row for a function of which nothing
        does. `casts` are as in `arguments`; calls are slow from `slow_ns` on, which is chosen if it is None.
        """
        cases = self.cases(focus, casts, slow_ns, paired)
        return explanations({function: case.explain() for function, case in cases.items()}, self.functions)

    def cases(
        self,
        focus: str | Sequence[str] | None = None,
        casts: Sequence[Cast | str] | Mapping[str, str] = (),
        slow_ns: int | None = None,
        paired: Chosen | None = None,
    ) -> dict[int, Case]:
        """What `explain` looks at, by row of the function table."""
        kinds = kinds_of(parse_all(casts), self.functions)
        registers = self.value_columns
        columns = ["function", "caller", "pid", "start", "duration_ns", *registers]
        batches = self.call_batches(columns, paired=self.of(focus, paired))
        return cases_of(batches, registers, kinds, self.metadata["started"]["monotonic_ns"], slow_ns)

    def diff(
        self,
        other: CallReports,
        *,
        edges: bool = False,
        paired: Chosen | None = None,
        other_paired: Chosen | None = None,
    ) -> pl.LazyFrame:
        """What changed from this trace to `other`, by function, `schemas.DIFF`; or by caller and function,
        `schemas.DIFF_EDGES`.
        """
        sides = self._side(paired, edges), other._side(other_paired, edges)
        return diff(*sides, edges=edges)

    def _side(self, paired: Chosen | None, edges: bool) -> Side:
        columns = ["function", "duration_ns", *(["caller"] if edges else [])]
        durations = durations_of(self.call_batches(columns, paired=paired), edges=edges)
        figures = self.callgraph(paired, marked=True) if edges else self.latency(paired, marked=True)
        return Side(self.functions, figures, durations)

    def of(self, focus: str | Sequence[str] | None, paired: Chosen | None = None) -> Chosen:
        """The calls, as `paired` has them, of the functions `focus`: names, or globs; None for all.

        Raises UsageError where a name matches no function.
        """
        if focus is None:
            return Selection() if paired is None else paired
        return of_functions(
            paired, filters.matching(self.functions, [focus] if isinstance(focus, str) else focus)
        )
