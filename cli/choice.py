"""What the command line of `analyze` chose: calls of a trace, and what to make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from ..analyze.casts import Cast
    from ..analyze.loss import Loss
    from ..analyze.trace import Trace
    from ..schemas.metadata import LossWindow


@dataclass(frozen=True)
class Wanted:
    """What the options say of a report, besides which calls it is about."""

    sort: str | None = None
    top: int | None = None
    casts: Sequence[Cast] = ()
    focus: str | None = None
    min_percent: float = 0
    depth: int | None = None
    #: Registers to look at, `arg0` … `ret_val`; none for what the report looks at by itself.
    registers: Sequence[str] = ()
    call_id: int | None = None
    #: Of a diff: by caller and function, and not by function.
    edges: bool = False
    #: Of an explanation: from which duration on calls are slow.
    slow_ns: int | None = None

    @property
    def value(self) -> str:
        """What a histogram is of."""
        return self.registers[0] if self.registers else "duration_ns"

    @property
    def the_call(self) -> int:
        """What the usage made sure of."""
        assert self.call_id is not None
        return self.call_id


def chosen(
    trace: Trace,
    paired: pl.LazyFrame,
    function: Sequence[str] | None,
    process: Sequence[str] | None,
    thread: Sequence[str] | None,
    since: str | None,
    until: str | None,
    *,
    beneath: bool,
) -> pl.LazyFrame:
    """Those of the calls `paired` of `trace` that the options name.

    With `beneath` `function` also names the calls inside such calls.
    """
    from ..analyze import filters
    from .quantities import parse_duration

    if function:
        paired = filters.by_function(paired, filters.matching(trace.functions, function), beneath=beneath)
    if process:
        paired = filters.by_process(paired, trace.metadata, process)
    if thread:
        paired = filters.by_thread(paired, trace.metadata, thread)
    span = [None if text is None else parse_duration(text) for text in (since, until)]
    return filters.by_time(paired, trace.metadata, *span)


@dataclass
class Choice:
    """What the command line chose of a trace."""

    trace: Trace
    paired: pl.LazyFrame
    wanted: Wanted
    #: What a diff compares this with.
    other: Choice | None = None

    @cached_property
    def loss(self) -> Loss:
        """What these calls leave out."""
        from ..analyze.loss import Loss

        return Loss.of(self.trace.metadata, self.paired)

    def left_out(self) -> str:
        """The line that ends a report, or the lines of both traces."""
        if self.other is None:
            return f"{self.loss}\n"
        return f"A {self.loss}\nB {self.other.loss}\n"

    def losses(self, tgid: int | None = None, pid: int | None = None) -> list[LossWindow]:
        """When events were lost, of a thread or that may be its, in order; of all threads without one."""
        mine = [
            window
            for window in self.trace.metadata["loss_windows"]
            if pid is None or window["pid"] is None or (window["tgid"], window["pid"]) == (tgid, pid)
        ]
        return sorted(mine, key=lambda window: window["start_ns"])
