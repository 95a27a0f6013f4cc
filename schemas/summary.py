"""The object that `analyze summary` prints in machine formats. Times are integers in ns."""

from __future__ import annotations

from typing import Literal, TypedDict

from .metadata import LossWindow


class SummaryProcess(TypedDict):
    tgid: int
    command: list[str]
    executable: str | None


class SummaryFunctions(TypedDict):
    traced: int  # functions with a probe
    called: int  # of those, how many were called
    entry_only: int  # of those traced, how many have no exit probe
    skipped: int  # matched, but not traced


class SummaryFunction(TypedDict):
    """Columns as in the latency report."""

    function: str
    module: str
    calls: int
    total_ns: int | None
    self_ns: int | None
    p50_ns: int | None
    p99_ns: int | None


class SummaryPath(TypedDict):
    path: list[str]  # functions from the root on; recursion is folded
    calls: int
    total_ns: int | None
    self_ns: int | None


class SummaryGroup(TypedDict):
    low: int
    high: int
    calls: int
    p50_ns: int


class SummaryArgument(TypedDict):
    """An argument or return value with which the latency of a function varies."""

    function: str
    arg: str
    ratio: float  # p50_ns of `slow` over p50_ns of `fast`
    fast: SummaryGroup
    slow: SummaryGroup


class SummaryReturn(TypedDict):
    """A function's most frequent return values, read as signed where they look like an error code."""

    function: str
    value: int  # the register; -1 to -4095 where its low 32 or all 64 bits are such a number
    count: int
    share: float  # of the calls that returned, 0 to 1


class SummaryLeftOut(TypedDict):
    """Calls that no latency figure contains."""

    open: int
    unwound: int
    lost: int
    entry_only: int


class SummaryEvents(TypedDict):
    produced: int
    recorded: int
    lost: dict[str, int]  # by cause
    filtered: dict[str, int]  # left out on purpose, by option
    after_limit: int


class SummaryRecording(TypedDict):
    """A recording, and how much came of it."""

    trace: str  # path as given
    tool_version: str
    host: str
    kernel: str
    architecture: str
    command_line: list[str]
    command: list[str] | None
    exit_status: int | None
    end_reason: str
    attach: str
    started_ns: int  # CLOCK_REALTIME, so since 1970
    duration_ns: int
    processes: list[SummaryProcess]
    threads: int  # threads with calls
    calls: int
    events: SummaryEvents
    loss_windows: list[LossWindow]
    notices: list[str]


class SummaryFigures(TypedDict):
    """Where the time went."""

    times: Literal["recorded", "corrected"]  # whether calls' times hold what probes cost
    functions: SummaryFunctions
    top_total: list[SummaryFunction]
    top_self: list[SummaryFunction]
    hot_paths: list[SummaryPath]
    arguments: list[SummaryArgument]
    returns: list[SummaryReturn]
    left_out: SummaryLeftOut


class Summary(SummaryRecording, SummaryFigures):
    """Of one trace."""


class SummaryTraces(TypedDict):
    traces: list[SummaryRecording]


class MergedSummary(SummaryTraces, SummaryFigures):
    """Of several traces as one. What is of one host, or of one of its processes, is in `traces`."""
