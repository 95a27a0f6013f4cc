"""Chrome's trace event format, which ui.perfetto.dev, speedscope, chrome://tracing and others open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...schemas import TraceMetadata
from ..arrays import Ints
from . import naming, spans
from .json_list import JsonList
from .source import Source

#: The further lanes of a thread need thread ids: these many above, and so above all that the kernel gives.
LANE_IDS: Final = 1 << 22

#: A power of two, so that a double holds such parts of a µs, for 25 days of recording.
_GRID: Final = 4096

#: A register that holds as much is written in hexadecimal, as in `analyze`.
_LARGE: Final = 1 << 32


def write(source: Source, out: BinaryIO) -> None:
    """A complete event (`X`) a call, its category the module; times in µs since the recording began.

    https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. Values are text, since
    readers in JavaScript would round pointers. What was lost is an instant event where it was, and told in
    `otherData`.
    """
    source.check_moments("chrome")
    metadata = source.metadata
    began = metadata["started"]["monotonic_ns"]
    functions = source.trace.functions.select(name="demangled", cat="file").collect()
    values = source.trace.value_columns
    names = _Names(metadata)
    out.write(b'{"displayTimeUnit":"ns","traceEvents":[')
    events = JsonList(out)
    for loss in _losses(metadata):
        events.add(json.dumps(loss))
    batches = source.batches(*spans.NEEDS, "function", *values)
    for drawn in spans.spans(batches, metadata["ended"]["monotonic_ns"]):
        rows = ~drawn.steps[drawn.steps < 0]
        calls = drawn.calls[rows].with_columns(lane=pl.Series(drawn.lane[rows]))
        for about in names.new(calls):
            events.add(json.dumps(about))
        ts, end = _microseconds(drawn.begin[rows] - began), _microseconds(drawn.end[rows] - began)
        status = calls["status"].cast(pl.String).fill_null("entry-only")
        args = [*(_text(calls[name]) for name in values), status.alias("status")]
        drawn_calls = functions[calls["function"]].with_columns(
            ph=pl.lit("X"),
            ts=pl.Series(ts),
            dur=pl.Series(end - ts),
            pid=calls["tgid"],
            tid=calls["pid"] + calls["lane"] * LANE_IDS,
            args=pl.DataFrame(args).to_struct(),
        )
        lines = drawn_calls.write_ndjson()
        for name in values:
            # No text can hold this: its quotes are escaped.
            lines = lines.replace(f'"{name}":null,', "")
        events.add(lines)
    out.write(b'\n],"otherData":' + json.dumps(_about(source)).encode() + b"}\n")


def _microseconds(ns: Ints) -> NDArray[np.float64]:
    """Times on a grid of 1/4096 µs: near enough for ns, and exact when readers add and subtract them.

    Of two calls that end together the inner one would else outlast the outer one by a rounding error, and
    readers would not find it inside.
    """
    return np.round(ns * (_GRID / 1000)) / _GRID


def _text(values: pl.Series) -> pl.Series:
    """Registers as text: large ones in hexadecimal."""
    large = values.filter(values >= _LARGE).unique()
    text = values.cast(pl.String)
    return text.replace(large.cast(pl.String), pl.Series([hex(value) for value in large], dtype=pl.String))


class _Names:
    """Events that name processes and threads, once each."""

    def __init__(self, metadata: TraceMetadata) -> None:
        self._threads = naming.thread_names(metadata)
        self._processes: dict[int, list[str]] = {}
        for process in metadata["processes"]:
            self._processes.setdefault(process["tgid"], []).append(naming.process_name(process))
        self._known: set[tuple[int, ...]] = set()

    def new(self, calls: pl.DataFrame) -> Iterator[dict[str, Any]]:
        """For what `calls` have that none had before."""
        for tgid, pid, lane in calls.select("tgid", "pid", "lane").unique(maintain_order=True).rows():
            if (tgid,) not in self._known:
                # The format knows a process by its id alone, which others can have had.
                name = ", ".join(dict.fromkeys(filter(None, self._processes.get(tgid, []))))
                yield _named("process_name", name, tgid, tgid)
            if (tgid, pid, lane) not in self._known:
                thread = self._threads.get((tgid, pid), f"thread {pid}")
                yield _named("thread_name", naming.lane_name(thread, lane), tgid, pid + lane * LANE_IDS)
            self._known |= {(tgid,), (tgid, pid, lane)}


def _named(kind: str, name: str, pid: int, tid: int) -> dict[str, Any]:
    return {"name": kind, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}


def _losses(metadata: TraceMetadata) -> Iterator[dict[str, Any]]:
    began = metadata["started"]["monotonic_ns"]
    for window in metadata["loss_windows"]:
        tgid, pid = window["tgid"], window["pid"]
        yield {
            "name": "events lost",
            "ph": "i",
            "s": "g" if pid is None else "t",  # of all, or of the thread
            "ts": max(window["start_ns"] - began, 0) / 1000,
            "pid": tgid or 0,
            "tid": pid or 0,
            "args": {"events": window["events"]},
        }


def _about(source: Source) -> dict[str, Any]:
    """The recording."""
    metadata = source.metadata
    utc = datetime.fromtimestamp(metadata["started"]["realtime_ns"] / 10**9, UTC)
    return {
        "funcsnoop": metadata["tool_version"],
        "command": " ".join(metadata["command_line"]),
        "host": metadata["host"],
        "kernel": metadata["kernel"],
        "loss": source.loss.drawn,
        **({"times": source.times} if source.times else {}),
        "started": utc.isoformat(timespec="milliseconds"),
    }
