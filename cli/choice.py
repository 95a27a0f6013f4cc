"""What the command line of `analyze` chose: calls of a trace, and what to make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ..analyze.casts import Cast
    from ..analyze.effort import Effort
    from ..analyze.loss import Loss
    from ..analyze.selection import Selection
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
    #: Of threads: of several traces together, each with its trace and host.
    apart: bool = False

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
    function: Sequence[str] | None,
    process: Sequence[str] | None,
    thread: Sequence[str] | None,
    since: str | None,
    until: str | None,
    *,
    beneath: bool,
) -> Selection:
    """The calls of `trace` that the options name. With `beneath` `function` also names what runs inside."""
    from ..analyze import filters
    from ..analyze.selection import Selection
    from .quantities import parse_duration

    found = Selection()
    if function:
        found = found.of_functions(filters.matching(trace.functions, function), beneath=beneath)
    if process:
        found = found.of_processes(filters.process_ids(trace.metadata, process))
    if thread:
        found = found.of_threads(filters.thread_ids(trace.metadata, thread))
    began = trace.metadata["started"]["monotonic_ns"]
    span = [None if text is None else began + parse_duration(text) for text in (since, until)]
    return found.between(*span)


def merged(choices: Sequence[Choice], effort: Effort) -> Choice:
    """The calls chosen of several traces as if these were one."""
    from ..analyze.merged import Merged
    from ..analyze.selection import Selection

    together = Merged([(choice.trace, choice.calls) for choice in choices], effort)
    # It has what reports of figures and the summary need, and no others can be merged.
    return replace(choices[0], trace=cast("Trace", together), calls=Selection())


@dataclass
class Choice:
    """What the command line chose of a trace."""

    trace: Trace
    calls: Selection
    wanted: Wanted
    #: What a diff compares this with.
    other: Choice | None = None

    @cached_property
    def loss(self) -> Loss:
        """What these calls leave out."""
        return self.trace.loss_of(self.calls)

    def left_out(self) -> str:
        """The lines that end a report: which times it shows, and what it leaves out, a diff of each side."""
        if self.other is None:
            times = [self.trace.times]
            losses = [str(self.loss)]
        else:
            times = [self.trace.times, self.other.trace.times]
            if times[0] != times[1]:
                times = [f"{side} {line}" for side, line in zip("AB", times, strict=True) if line]
            losses = [f"A {self.loss}", f"B {self.other.loss}"]
        return "".join(f"{line}\n" for line in [*dict.fromkeys(times), *losses] if line)

    def losses(self, tgid: int | None = None, pid: int | None = None) -> list[LossWindow]:
        """When events were lost, of a thread or that may be its, in order; of all threads without one."""
        mine = [
            window
            for window in self.trace.metadata["loss_windows"]
            if pid is None or window["pid"] is None or (window["tgid"], window["pid"]) == (tgid, pid)
        ]
        return sorted(mine, key=lambda window: window["start_ns"])
