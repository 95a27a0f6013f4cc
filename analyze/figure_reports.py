"""The reports that come from figures: of a trace, or of several together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import polars as pl

from ..schemas import VALUES, TraceMetadata
from . import threads
from .answers import Answers
from .casts import Cast, check_used, parse_all
from .loss import Loss
from .selection import Chosen


class FigureReports(ABC):
    """All of these are made of the same answers, so that the second costs nothing."""

    @property
    @abstractmethod
    def metadata(self) -> TraceMetadata: ...

    @property
    @abstractmethod
    def functions(self) -> pl.LazyFrame: ...

    @abstractmethod
    def answers(
        self, paired: Chosen | None = None, columns: Sequence[str] = (), casts: Sequence[Cast] = ()
    ) -> Answers:
        """What the reports come from; with what the registers `columns` held, read as `casts` say."""

    @property
    def value_columns(self) -> list[str]:
        """The arguments that were recorded, and `ret_val`."""
        count = max(self.metadata["args"], 0)
        return [*VALUES[:-1][:count], VALUES[-1]]

    @property
    def loss(self) -> Loss:
        """What is missing from the trace: events produced, recorded and lost, and calls left out."""
        return self.loss_of(None)

    def loss_of(self, paired: Chosen | None) -> Loss:
        """The same, and of calls those that are left out of `paired`."""
        return Loss.of(self.metadata, self.answers(paired))

    def latency(self, paired: Chosen | None = None, *, marked: bool = False) -> pl.LazyFrame:
        """How long each function took, `schemas.LATENCY`, by falling `total_ns`.

        `marked` adds the column `cookie`: functions can share a name.
        """
        found = self.answers(paired).latency
        return (found if marked else found.drop("cookie")).lazy()

    def callgraph(self, paired: Chosen | None = None, *, marked: bool = False) -> pl.LazyFrame:
        """Who called whom, `schemas.CALLGRAPH`, by falling `total_ns`.

        `marked` adds the columns `caller_cookie` and `callee_cookie`.
        """
        found = self.answers(paired).edges
        return (found if marked else found.drop("caller_cookie", "callee_cookie")).lazy()

    def tree(self, paired: Chosen | None = None) -> pl.LazyFrame:
        """The calls by the path of functions that led to them, see `callgraph.tree`; `function` is a row of
        `functions`.
        """
        return self.answers(paired).tree.lazy()

    def arguments(
        self,
        casts: Sequence[Cast | str] | Mapping[str, str] = (),
        paired: Chosen | None = None,
        *,
        marked: bool = False,
    ) -> pl.LazyFrame:
        """The values of arguments and return values, `schemas.ARGS`.

        `casts` read registers as the types that they hold, `["FUNC:arg0=i32"]` or
        `{"FUNC:arg0": "i32"}`, FUNC a glob; without one a register is an unsigned 64-bit integer.
        `marked` adds the columns `type`: what a value was cast to, null for a raw register; and `cookie`.
        Raises UsageError for a cast that applies to nothing.
        """
        parsed = parse_all(casts)
        check_used(parsed, self.functions.select("demangled", "symbol").collect().rows())
        found = self.answers(paired, self.value_columns, parsed).arguments
        return (found if marked else found.drop("type", "cookie")).lazy()

    def threads(self, paired: Chosen | None = None) -> pl.LazyFrame:
        """The threads with events, `schemas.THREADS`, by falling `busy_ns`."""
        return threads.threads(self.answers(paired).threads, self.metadata)
