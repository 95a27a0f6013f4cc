"""The reports of `funcsnoop analyze`: which table each prints, and how it looks in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .printable import printable
from .table import Column
from .units import count, duration

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from ..analyze.casts import Cast
    from ..analyze.loss import Loss
    from ..analyze.trace import Trace


@dataclass
class Choice:
    """What the command line chose of a trace."""

    trace: Trace
    paired: pl.LazyFrame
    casts: Sequence[Cast] = field(default=())

    @cached_property
    def loss(self) -> Loss:
        """What these calls leave out."""
        from ..analyze.loss import Loss

        return Loss.of(self.trace.metadata, self.paired)


@dataclass(frozen=True)
class Report:
    """A report that is a table: its rows, and the text columns that show them, given when it all began."""

    help: str
    schema: Callable[[], pa.Schema]
    rows: Callable[[Choice], pl.LazyFrame]
    columns: Callable[[pl.DataFrame, int], list[Column]]
    #: More rows than this are cut, with a note, where a table is for reading.
    most: int | None = None


#: With more groups than this, a table shows only the two that differ most.
MANY_GROUPS = 3

#: Numbers sort from the greatest down, but for these, which number or date things.
ASCENDING = {
    "call_id",
    "parent_id",
    "process",
    "tgid",
    "pid",
    "depth",
    "cookie",
    "start",
    "end",
    "first_ns",
    "last_ns",
}


def _schema(name: str) -> Callable[[], pa.Schema]:
    def load() -> pa.Schema:
        from .. import schemas

        found: pa.Schema = getattr(schemas, name)
        return found

    return load


def _texts(frame: pl.DataFrame, name: str) -> list[str]:
    return ["-" if text is None else printable(str(text)) for text in frame[name].to_list()]


def _times(frame: pl.DataFrame, name: str) -> list[str]:
    return [duration(value) for value in frame[name].to_list()]


def _moments(frame: pl.DataFrame, name: str, began: int) -> list[str]:
    """Seconds since the recording started."""
    return ["-" if t is None else f"{(t - began) / 10**9:.6f}" for t in frame[name].to_list()]


def _counts(frame: pl.DataFrame, name: str) -> list[str]:
    return [count(value) for value in frame[name].to_list()]


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
        Column("FUNCTION", _texts(frame, "function"), left=True, elastic=True),
        Column("MODULE", _texts(frame, "module"), rank=7, left=True),
        Column("CALLS", _counts(frame, "calls")),
        *(Column(name.upper(), _times(frame, f"{name}_ns"), rank=rank) for name, rank in ranks.items()),
        *(
            Column(name.upper(), _counts(frame, name), rank=13)
            for name in ("open", "unwound", "lost")
            if frame[name].sum()
        ),
    ]


def _callgraph(frame: pl.DataFrame, began: int) -> list[Column]:
    return [
        Column("CALLER", _texts(frame, "caller"), left=True, elastic=True),
        Column("CALLEE", _texts(frame, "callee"), left=True, elastic=True),
        Column("CALLS", _counts(frame, "calls")),
        Column("TOTAL", _times(frame, "total_ns")),
        Column("SELF", _times(frame, "self_ns"), rank=1),
    ]


def _args(frame: pl.DataFrame, began: int) -> list[Column]:
    from ..analyze.registers import are_pointers

    types = frame["type"].to_list()
    rows = frame.to_dicts()
    kinds = ["ptr" if row["type"] is None and are_pointers(row) else row["type"] for row in rows]
    return [
        Column("FUNCTION", _texts(frame, "function"), left=True, elastic=True),
        Column("ARG", _texts(frame, "arg"), left=True),
        Column("TYPE", ["raw" if kind is None else kind for kind in types], left=True),
        Column("COUNT", _counts(frame, "count")),
        Column("DISTINCT", _counts(frame, "distinct"), rank=4),
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


def value_text(value: Any, kind: str | None) -> str:
    """A value as its type reads: pointers and large raw registers in hexadecimal."""
    if value is None:
        return "-"
    number = int(value)
    if kind == "bool":
        return "true" if number else "false"
    if kind == "ptr" or (kind is None and number >= 1 << 32):
        return hex(number)
    return str(number)


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


def span_text(low: Any, high: Any, kind: str | None) -> str:
    """A group of values."""
    if low == high:
        return value_text(low, kind)
    if int(low) >= 1 << 16 and int(low) & (int(low) - 1) == 0:
        exponent = int(low).bit_length() - 1
        return f"2^{exponent}…2^{exponent + 1}"
    return f"{value_text(low, kind)}…{value_text(high, kind)}"


def _calls(frame: pl.DataFrame, began: int) -> list[Column]:
    arguments = [name for name in frame.columns if name.startswith("arg") and frame[name].count()]
    named = [
        "  " * min(depth, 40) + name
        for name, depth in zip(_texts(frame, "name"), frame["depth"].to_list(), strict=True)
    ]
    return [
        Column("PID", [str(pid) for pid in frame["pid"].to_list()]),
        Column("START (s)", _moments(frame, "start", began), rank=2),
        Column("DURATION", _times(frame, "duration_ns")),
        Column("SELF", _times(frame, "self_ns"), rank=5),
        Column("STATUS", _texts(frame, "status"), rank=3, left=True),
        Column("FUNCTION", named, left=True, elastic=True),
        *(
            Column(name.upper(), [value_text(v, None) for v in frame[name].to_list()], rank=6 + place)
            for place, name in enumerate(arguments)
        ),
        Column("RETURNED", [value_text(v, None) for v in frame["ret_val"].to_list()], rank=4),
    ]


def _threads(frame: pl.DataFrame, began: int) -> list[Column]:
    return [
        Column("TGID", [str(i) for i in frame["tgid"].to_list()]),
        Column("PID", [str(i) for i in frame["pid"].to_list()]),
        Column("NAME", _texts(frame, "thread_name"), left=True, elastic=True),
        Column("EVENTS", _counts(frame, "events"), rank=2),
        Column("CALLS", _counts(frame, "calls")),
        Column("BUSY", _times(frame, "busy_ns")),
        Column("FIRST (s)", _moments(frame, "first_ns", began), rank=3),
        Column("LAST (s)", _moments(frame, "last_ns", began), rank=4),
    ]


def _marked_arguments(choice: Choice) -> pl.LazyFrame:
    return choice.trace.arguments(choice.casts, choice.paired, marked=True)


REPORTS = {
    "latency": Report(
        "how often and how long each function ran",
        _schema("LATENCY"),
        lambda choice: choice.trace.latency(choice.paired),
        _latency,
    ),
    "callgraph": Report(
        "who called whom",
        _schema("CALLGRAPH"),
        lambda choice: choice.trace.callgraph(choice.paired),
        _callgraph,
    ),
    "args": Report(
        "arguments and return values, and how latency goes with them",
        _schema("ARGS"),
        _marked_arguments,
        _args,
    ),
    "calls": Report(
        "every call",
        _schema("CALLS"),
        lambda choice: choice.trace.calls(choice.paired),
        _calls,
        most=1000,
    ),
    "threads": Report(
        "the threads, and how busy each was",
        _schema("THREADS"),
        lambda choice: choice.trace.threads(choice.paired),
        _threads,
    ),
}
