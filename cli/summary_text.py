"""The summary, as text and as Markdown."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TextIO

from ..analyze.registers import as_error, is_pointer
from ..printable import printable
from .canvas import Canvas
from .cells import span_text, value_text
from .table import Column, write_table
from .units import count, duration, elide, width_of

if TYPE_CHECKING:
    from ..schemas.summary import (
        MergedSummary,
        Summary,
        SummaryFigures,
        SummaryFunction,
        SummaryFunctions,
        SummaryGroup,
        SummaryRecording,
    )


def write_summary(summary: Summary, out: TextIO, width: int | None) -> None:
    """Write `summary` for a reader: facts, top functions, hot paths, arguments."""
    _facts(facts(summary), out, width)
    _figures(summary, summary["notices"], out, width)


def write_merged(summary: MergedSummary, out: TextIO, width: int | None) -> None:
    """The same of several traces; what is of one of them stands in its line."""
    traces = summary["traces"]
    hosts = {trace["host"] for trace in traces}
    threads = sum(trace["threads"] for trace in traces)
    lost = sum(sum(trace["events"]["lost"].values()) for trace in traces)
    recorded = sum(trace["events"]["recorded"] for trace in traces)
    calls = sum(trace["calls"] for trace in traces)
    _facts(
        [
            ("traces", f"{len(traces):,}, of {len(hosts):,} host{'s' * (len(hosts) != 1)}"),
            ("functions", _traced(summary["functions"])),
            ("events", f"{recorded:,} recorded, {lost:,} lost"),
            ("calls", _calls(calls, threads)),
        ],
        out,
        width,
    )
    out.write("\nTraces\n")
    write_table(
        [
            Column("  HOST", [f"  {printable(trace['host'])}" for trace in traces], left=True),
            Column("TRACE", [printable(trace["trace"]) for trace in traces], left=True, elastic=True),
            Column("STARTED (UTC)", [_started(trace) for trace in traces], rank=3, left=True),
            Column("FOR", [duration(trace["duration_ns"]) for trace in traces], rank=2),
            Column("LOST", [count(sum(t["events"]["lost"].values())) for t in traces], rank=1),
            Column("CALLS", [count(trace["calls"]) for trace in traces]),
            Column("PROCESSES", [_processes(trace) for trace in traces], left=True, elastic=True),
        ],
        out,
        width,
    )
    notices = [f"{trace['trace']}: {notice}" for trace in traces for notice in trace["notices"]]
    _figures(summary, notices, out, width)


def _facts(rows: Sequence[tuple[str, str]], out: TextIO, width: int | None) -> None:
    for name, value in rows:
        out.write(_fact(name, value, width))


def _figures(summary: SummaryFigures, notices: Sequence[str], out: TextIO, width: int | None) -> None:
    for title, functions, by in (
        ("Functions by total time", summary["top_total"], "TOTAL"),
        ("Functions by self time", summary["top_self"], "SELF"),
    ):
        if functions:
            Canvas(out, width).say_lines(f"\n{title}\n")
            _functions(functions, by, out, width)
    if summary["hot_paths"]:
        Canvas(out, width).say_lines("\nHottest paths, by the self time of the last function\n")
        write_table(
            [
                Column("  SELF", [duration(path["self_ns"]) for path in summary["hot_paths"]]),
                Column("TOTAL", [duration(path["total_ns"]) for path in summary["hot_paths"]], rank=1),
                Column("CALLS", [count(path["calls"]) for path in summary["hot_paths"]]),
                Column(
                    "PATH",
                    [" → ".join(map(printable, path["path"])) for path in summary["hot_paths"]],
                    left=True,
                    elastic=True,
                ),
            ],
            out,
            width,
        )
    for title, columns in (
        ("Latency that goes with an argument (raw registers)", _arguments(summary)),
        ("Return values (raw registers)", _returns(summary)),
    ):
        if columns[0].cells:
            Canvas(out, width).say_lines(f"\n{title}\n")
            write_table(columns, out, width)
    if notices:
        out.write("\nNotices\n")
        for notice in notices:
            out.write(wrapped(printable(notice), width))
    out.write("\n")


def facts(summary: Summary) -> list[tuple[str, str]]:
    """What was recorded, when, where and how much, as (name, text)."""
    events = summary["events"]
    command = summary["command"]
    status = summary["exit_status"]
    ended = summary["end_reason"] + (f", exit status {status}" if status is not None else "")
    lost = sum(events["lost"].values())
    flow = f"{events['recorded']:,} recorded, {lost:,} lost"
    if summary["loss_windows"]:
        flow += f" in {len(summary['loss_windows']):,} windows"
    if filtered := sum(events["filtered"].values()):
        flow += f", {filtered:,} left out on purpose"
    if events["after_limit"]:
        flow += f", {events['after_limit']:,} past the limit"
    rows = [("trace", printable(summary["trace"]))]
    if command is not None:
        rows.append(("command", printable(shlex.join(command))))
    else:
        rows.append(("processes", _processes(summary)))
    return [
        *rows,
        (
            "recorded",
            f"{_started(summary)} UTC for {' '.join(duration(summary['duration_ns']).split())}, "
            f"by funcsnoop {printable(summary['tool_version'])} ({printable(summary['attach'])})",
        ),
        ("host", printable(f"{summary['host']}, Linux {summary['kernel']}, {summary['architecture']}")),
        ("ended", printable(ended)),
        ("functions", _traced(summary["functions"])),
        ("events", flow),
        ("calls", _calls(summary["calls"], summary["threads"])),
    ]


def _started(recording: SummaryRecording) -> str:
    return f"{datetime.fromtimestamp(recording['started_ns'] // 10**9, UTC):%Y-%m-%d %H:%M:%S}"


def _processes(recording: SummaryRecording) -> str:
    processes = recording["processes"]
    listed = [f"{p['tgid']} {shlex.join(p['command'])}" for p in processes[:3]]
    more = f" and {len(processes) - 3} more" if len(processes) > 3 else ""
    return printable(", ".join(listed)) + more


def _traced(functions: SummaryFunctions) -> str:
    what = f"{functions['called']:,} of {functions['traced']:,} traced functions called"
    if functions["entry_only"]:
        what += f", {functions['entry_only']:,} entry-only"
    if functions["skipped"]:
        what += f", {functions['skipped']:,} skipped"
    return what


def _calls(calls: int, threads: int) -> str:
    return f"{calls:,} in {threads:,} thread{'s' * (threads != 1)}"


def _functions(functions: Sequence[SummaryFunction], by: str, out: TextIO, width: int | None) -> None:
    times: dict[str, Callable[[SummaryFunction], int | None]] = {
        "TOTAL": lambda f: f["total_ns"],
        "SELF": lambda f: f["self_ns"],
        "P50": lambda f: f["p50_ns"],
        "P99": lambda f: f["p99_ns"],
    }
    order = [by, *(name for name in times if name != by)]
    write_table(
        [
            *(
                Column(
                    f"  {name}" if place == 0 else name,
                    [duration(times[name](f)) for f in functions],
                    rank=place,
                )
                for place, name in enumerate(order)
            ),
            Column("CALLS", [count(f["calls"]) for f in functions]),
            Column("FUNCTION", [printable(f["function"]) for f in functions], left=True, elastic=True),
            Column("MODULE", [printable(f["module"]) for f in functions], rank=5, left=True),
        ],
        out,
        width,
    )


def _arguments(summary: SummaryFigures) -> list[Column]:
    items = summary["arguments"]

    def side(name: Literal["slow", "fast"], rank: int) -> list[Column]:
        groups = [item[name] for item in items]
        return [
            Column("  SLOW" if name == "slow" else "FAST", [duration(group["p50_ns"]) for group in groups]),
            Column("AT", [_span(item["arg"], item[name]) for item in items], left=True),
            Column("CALLS", [count(group["calls"]) for group in groups], rank=rank),
        ]

    return [
        *side("slow", 1),
        *side("fast", 2),
        Column("OF", [item["arg"] for item in items], left=True),
        Column("FUNCTION", [printable(item["function"]) for item in items], left=True, elastic=True),
    ]


def _span(arg: str, group: SummaryGroup) -> str:
    low, high = group["low"], group["high"]
    if arg == "ret_val" and low == high:
        low = high = as_error(low)
    return span_text(low, high, kind_of(low))


def _returns(summary: SummaryFigures) -> list[Column]:
    items = summary["returns"]
    return [
        Column("   CALLS", [count(item["count"]) for item in items]),
        Column("SHARE", [f"{item['share']:.1%}" for item in items]),
        Column("VALUE", [value_text(item["value"], kind_of(item["value"])) for item in items]),
        Column("FUNCTION", [printable(item["function"]) for item in items], left=True, elastic=True),
    ]


def kind_of(value: int) -> str | None:
    """How to show a register of which only this value is known."""
    return "ptr" if is_pointer(value) else None


def wrapped(text: str, width: int | None) -> str:
    """`text` with an indent, broken between words."""
    if width is None:
        return f"  {text}\n"
    return textwrap.fill(text, max(width, 20), initial_indent="  ", subsequent_indent="    ") + "\n"


def _fact(name: str, value: str, width: int | None) -> str:
    """What the user gave loses its middle where room is short; what was found out goes on below."""
    line = f"{name:<10} {value}".rstrip()
    if width is None or width_of(line) <= width:
        return line + "\n"
    if name in ("trace", "command", "processes"):
        return elide(line, width) + "\n"
    return textwrap.fill(line, max(width, 20), subsequent_indent=" " * 11) + "\n"
