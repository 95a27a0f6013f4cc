"""The reports of `funcsnoop analyze`: which table each prints, and how it looks in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .callgraph_view import draw_callgraph, edges
from .cells import counts, moment, moments, span_text, texts, times, value_text
from .diff_view import draw_diff, rows_of_diff
from .estimates import estimates
from .explain_view import draw_explain, rows_of_explain
from .heatmap_view import draw_heatmap, rows_of_heatmap
from .hist_view import draw_hist, rows_of_hist
from .replay_view import draw_path, draw_replay, path_frames, rows_of_path
from .slowest_view import draw_slowest, rows_of_slowest
from .table import Column
from .units import duration

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from .canvas import Canvas
    from .choice import Choice, Wanted


@dataclass(frozen=True)
class Report:
    """A report: the rows of its table, and how they look in a terminal.

    That is `columns` of text, given the moment when it all began, or else whatever `draw` makes of them.
    """

    help: str
    schema: Callable[[Wanted], pa.Schema]
    rows: Callable[[Choice], pl.LazyFrame]
    #: The same rows in frames of bounded size, where they can be many.
    frames: Callable[[Choice], Iterator[pl.DataFrame]] | None = None
    columns: Callable[[pl.DataFrame, int], list[Column]] | None = None
    draw: Callable[[Choice, Canvas], None] | None = None
    #: Columns that it can be sorted by; None for all.
    orders: tuple[str, ...] | None = None
    #: More rows than this are cut, with a note, where a table is for reading.
    most: int | None = None


#: With more groups than this, a table shows only the two that differ most.
MANY_GROUPS = 3


def _schema(name: str) -> Callable[[Wanted], pa.Schema]:
    def load(wanted: Wanted) -> pa.Schema:
        from .. import schemas

        # By caller and function a row has more columns, and so have threads of several traces.
        kind = "_EDGES" if wanted.edges else "_APART" if wanted.apart else ""
        found: pa.Schema = getattr(schemas, name + kind)
        return found

    return load


def _latency(frame: pl.DataFrame, began: int) -> list[Column]:
    ranks = {
        "total": 0,
        "self": 4,
        "mean": 6,
        "stddev": 12,
        "min": 9,
        "p50": 1,
        "p90": 8,
        "p95": 11,
        "p99": 2,
    }
    ranks |= {"p999": 10, "max": 5}
    return [
        Column("FUNCTION", texts(frame, "function"), left=True, elastic=True),
        Column("MODULE", texts(frame, "module"), rank=7, left=True),
        Column("CALLS", counts(frame, "calls")),
        *estimates(frame),
        *(Column(name.upper(), times(frame, f"{name}_ns"), rank=rank) for name, rank in ranks.items()),
        *(
            Column(name.upper(), counts(frame, name), rank=13)
            for name in ("open", "unwound", "lost")
            if frame[name].sum()
        ),
    ]


def _args(frame: pl.DataFrame, began: int) -> list[Column]:
    from ..analyze.registers import are_pointers

    types = frame["type"].to_list()
    rows = frame.to_dicts()
    kinds = ["ptr" if row["type"] is None and are_pointers(row) else row["type"] for row in rows]
    return [
        Column("FUNCTION", texts(frame, "function"), left=True, elastic=True),
        Column("ARG", texts(frame, "arg"), left=True),
        Column("TYPE", ["raw" if kind is None else kind for kind in types], left=True),
        Column("COUNT", counts(frame, "count")),
        Column("DISTINCT", counts(frame, "distinct"), rank=4),
        *(
            Column(
                name.upper(),
                [value_text(value, kind) for value, kind in zip(frame[name].to_list(), kinds, strict=True)],
                rank=rank,
            )
            for name, rank in (("min", 5), ("p50", 1), ("max", 6))
        ),
        Column(
            "TOP VALUES",
            [_top(*pair) for pair in zip(frame["top"].to_list(), kinds, strict=True)],
            rank=3,
            left=True,
        ),
        Column(
            "P50 BY VALUE",
            [_groups(*pair) for pair in zip(frame["groups"].to_list(), kinds, strict=True)],
            rank=2,
            left=True,
        ),
    ]


def _top(top: list[dict[str, Any]], kind: str | None) -> str:
    return " ".join(f"{value_text(item['value'], kind)}×{item['count']}" for item in top[:3])


def _groups(groups: list[dict[str, Any]], kind: str | None) -> str:
    """Medians by value; where there are many values those of the fastest and of the slowest."""
    if kind == "ptr" and any(group["low"] != group["high"] for group in groups):
        return "-"  # how large a pointer is says nothing
    if len(groups) <= MANY_GROUPS:
        return ", ".join(_group(group, kind) for group in groups)
    fast, *_, slow = sorted(groups, key=lambda group: group["p50_ns"])
    return f"{_group(fast, kind)} to {_group(slow, kind)}"


def _group(group: dict[str, Any], kind: str | None) -> str:
    return f"{span_text(group['low'], group['high'], kind)}: {' '.join(duration(group['p50_ns']).split())}"


def _calls(frame: pl.DataFrame, began: int) -> list[Column]:
    arguments = [name for name in frame.columns if name.startswith("arg") and frame[name].count()]
    named = [
        "  " * min(depth, 40) + name
        for name, depth in zip(texts(frame, "name"), frame["depth"].to_list(), strict=True)
    ]
    return [
        Column("PID", [str(pid) for pid in frame["pid"].to_list()]),
        Column("START (s)", moments(frame, "start", began), rank=2),
        Column("DURATION", times(frame, "duration_ns")),
        Column("SELF", times(frame, "self_ns"), rank=5),
        Column("STATUS", texts(frame, "status"), rank=3, left=True),
        Column("FUNCTION", named, left=True, elastic=True),
        *(
            Column(name.upper(), [value_text(v, None) for v in frame[name].to_list()], rank=6 + place)
            for place, name in enumerate(arguments)
        ),
        Column("RETURNED", [value_text(v, None) for v in frame["ret_val"].to_list()], rank=4),
    ]


def _threads(frame: pl.DataFrame, began: int) -> list[Column]:
    apart = [name for name in ("host", "trace") if name in frame.columns]
    # Of several traces each has a beginning, and a clock, of its own.
    begins = frame["began_ns"].to_list() if apart else [began] * len(frame)

    def seconds(name: str) -> list[str]:
        return [moment(t, start) for t, start in zip(frame[name].to_list(), begins, strict=True)]

    return [
        *(Column(name.upper(), texts(frame, name), left=True, elastic=name == "trace") for name in apart),
        Column("TGID", [str(i) for i in frame["tgid"].to_list()]),
        Column("PID", [str(i) for i in frame["pid"].to_list()]),
        Column("NAME", texts(frame, "thread_name"), left=True, elastic=True),
        Column("EVENTS", counts(frame, "events"), rank=2),
        Column("CALLS", counts(frame, "calls")),
        Column("BUSY", times(frame, "busy_ns")),
        Column("FIRST (s)", seconds("first_ns"), rank=3),
        Column("LAST (s)", seconds("last_ns"), rank=4),
    ]


def _marked_arguments(choice: Choice) -> pl.LazyFrame:
    return choice.trace.arguments(choice.wanted.casts, choice.calls, marked=True)


def _call_frames(choice: Choice) -> Iterator[pl.DataFrame]:
    from ..schemas import CALLS

    return choice.trace.call_batches(CALLS.names, paired=choice.calls)


REPORTS = {
    "latency": Report(
        "how often and how long each function ran",
        _schema("LATENCY"),
        lambda choice: choice.trace.latency(choice.calls),
        columns=_latency,
    ),
    "callgraph": Report(
        "who called whom",
        _schema("CALLGRAPH"),
        edges,
        draw=draw_callgraph,
    ),
    "hist": Report(
        "how the durations of a function are distributed, or its arguments",
        _schema("HIST"),
        rows_of_hist,
        draw=draw_hist,
    ),
    "heatmap": Report(
        "how long the calls of a function took at which time",
        _schema("HEATMAP"),
        rows_of_heatmap,
        draw=draw_heatmap,
    ),
    "slowest": Report(
        "the slowest calls, who called them, and where their time went",
        _schema("SLOWEST"),
        rows_of_slowest,
        draw=draw_slowest,
        orders=("duration_ns", "self_ns"),
    ),
    "path": Report(
        "one call, and all that ran inside it",
        _schema("CALLS"),
        rows_of_path,
        frames=path_frames,
        draw=draw_path,
    ),
    "replay": Report(
        "a thread's calls one after the other, indented",
        _schema("CALLS"),
        lambda choice: choice.trace.calls(choice.calls),
        frames=_call_frames,
        draw=draw_replay,
    ),
    "diff": Report(
        "what changed between two traces",
        _schema("DIFF"),
        rows_of_diff,
        draw=draw_diff,
    ),
    "explain": Report(
        "what the slow calls of a function have in common",
        _schema("EXPLAIN"),
        rows_of_explain,
        draw=draw_explain,
    ),
    "args": Report(
        "arguments and return values, and how latency goes with them",
        _schema("ARGS"),
        _marked_arguments,
        columns=_args,
    ),
    "calls": Report(
        "every call",
        _schema("CALLS"),
        lambda choice: choice.trace.calls(choice.calls),
        frames=_call_frames,
        columns=_calls,
        most=1000,
    ),
    "threads": Report(
        "the threads, and how busy each was",
        _schema("THREADS"),
        lambda choice: choice.trace.threads(choice.calls),
        columns=_threads,
    ),
}
