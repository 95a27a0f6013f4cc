"""The metadata of a trace: JSON under the key `funcsnoop` of the Parquet file's footer.

Addresses, sizes and counts are integers, times are integers in nanoseconds. Every key is always
present; what is not known is null.
"""

from __future__ import annotations

from typing import Final, Literal, TypedDict

METADATA_KEY: Final = b"funcsnoop"

#: Readers refuse a newer format; a change that an older reader would misread raises it.
FORMAT_VERSION: Final = 1

#: How exits of a function are seen: by a return probe, at its return instructions and tail jumps, not at all.
ExitStrategy = Literal["return", "ret", "none"]


class ClockSnapshot(TypedDict):
    """The three clocks read together, so that event times convert to wall-clock time."""

    monotonic_ns: int
    boottime_ns: int
    realtime_ns: int


class ProcessInfo(TypedDict):
    tgid: int
    root_tgid: int | None  # as the root pid namespace numbers it, where that differs
    inner_tgid: int | None  # as its own, innermost pid namespace numbers it, where that differs
    parent_tgid: int | None  # of a followed child: who forked it
    start_ns: int | None  # CLOCK_BOOTTIME; with tgid it identifies the process
    command: list[str]
    executable: str | None
    end_ns: int | None  # CLOCK_MONOTONIC, null while it ran on


class ThreadInfo(TypedDict):
    pid: int
    tgid: int
    name: str | None
    end_ns: int | None  # CLOCK_MONOTONIC, null while it ran on


class FunctionInfo(TypedDict):
    cookie: int
    symbol: str  # as in the ELF file
    demangled: str  # equal to symbol where nothing is mangled
    module: str  # path, as the traced process sees it
    build_id: str | None  # hex
    address: int  # virtual address in the file
    offset: int  # file offset of the function
    size: int  # bytes; 0 where unknown
    aliases: list[str]  # other symbols at this address
    site: int  # file offset of the probe
    site_class: str  # of the instruction there: nop5, emulated, stepped, by rising cost
    exit: ExitStrategy
    exit_reason: str


class SkippedFunction(TypedDict):
    symbol: str
    module: str
    reason: str


#: A loss window with this frame concerns every call; one with this end is still open.
ANY_FRAME: Final = 2**64 - 1
NO_END: Final = 2**63 - 1


class LossWindow(TypedDict):
    """A thread lost `events` events between these two times (CLOCK_MONOTONIC, inclusive), all of them of
    calls whose frame is `frame` or below: a call with a higher one has lost nothing here.
    """

    pid: int | None  # null: of any thread
    tgid: int | None
    start_ns: int
    end_ns: int
    frame: int
    events: int


def unplaced_loss(start_ns: int, events: int) -> LossWindow:
    """That they were lost since then, nobody knows when and where."""
    return {
        "pid": None,
        "tgid": None,
        "start_ns": start_ns,
        "end_ns": NO_END,
        "frame": ANY_FRAME,
        "events": events,
    }


class BudgetCut(TypedDict):
    """A function that was called more often than the budget allows."""

    cookie: int
    time_ns: int  # of the first call that was left out, CLOCK_MONOTONIC


class FilterInfo(TypedDict):
    """What the recording left out on purpose; null where nothing was."""

    min_duration_ns: int | None  # calls that returned before
    max_depth: int | None  # calls inside so many others
    sample: int | None  # of the outermost calls of a thread one in so many was kept, with all inside it
    budget: int | None  # so many calls of each function were kept
    roots: int | None  # outermost calls, where they were sampled
    sampled_roots: int | None  # those that were kept
    budget_cuts: list[BudgetCut]


#: What a recording without filters says.
NOTHING_FILTERED: Final[FilterInfo] = {
    "min_duration_ns": None,
    "max_depth": None,
    "sample": None,
    "budget": None,
    "roots": None,
    "sampled_roots": None,
    "budget_cuts": [],
}


class ProbeCost(TypedDict):
    """What a call costs more with probes, measured when the recording began; float ns.

    As much of `call_ns` as lies between the call's own two events is `inside_ns`.
    """

    site_class: str
    exit: ExitStrategy
    call_ns: float
    inside_ns: float


class Counts(TypedDict):
    """produced == recorded + sum(lost.values()) + sum(filtered.values()) + after_limit, always."""

    produced: int  # times a probe fired in a traced process
    recorded: int  # rows in the file
    # By cause. buffer: the ring was full. calls: a filter had no room to keep a call. missed: the kernel did
    # not run the program. unsaved: not written, as the disk was full or the recorder was killed. damaged:
    # was in a part of a `.partial` file that is.
    lost: dict[str, int]
    filtered: dict[str, int]  # left out on purpose, by option: min-duration, max-depth, sample, budget
    after_limit: int  # cut off by --max-events


class TraceMetadata(TypedDict):
    format_version: int
    tool_version: str
    host: str
    kernel: str
    architecture: str
    boot_id: str
    command_line: list[str]  # of the recorder
    command: list[str] | None  # what was launched
    exit_status: int | None  # of what was launched: 128+N for signal N
    attach: str  # session, multi or perf
    layout: str  # lean or full
    args: int  # how many argument registers were recorded
    events: str  # sides, or spans: a call without another inside came through the ring as one event
    filters: FilterInfo
    ring_bytes: int
    started: ClockSnapshot
    ended: ClockSnapshot
    # command-exit, target-exit, duration, max-events, max-size, interrupt, overwritten; error: what came
    # until then is here; recording: it goes on; recovered: the recorder was killed.
    end_reason: str
    processes: list[ProcessInfo]
    threads: list[ThreadInfo]
    functions: list[FunctionInfo]
    probe_costs: list[ProbeCost]  # of the kinds of probes of these functions; none where they are not known
    skipped: list[SkippedFunction]
    notices: list[str]
    counts: Counts
    loss_windows: list[LossWindow]
