"""Single calls: what they were given, who called them, and where their time went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..printable import printable
from .cells import moment
from .signatures import Signatures
from .units import count, duration, elide, elide_name

if TYPE_CHECKING:
    import polars as pl

    from .canvas import Canvas
    from .choice import Choice

#: So many calls, unless asked otherwise.
TOP = 10
#: So many of the functions that ran inside a call are shown.
_INSIDE = 3
_INDENT = 10
#: A terminal of fewer columns has no room for everything in one line.
NARROW = 60


def rows_of_slowest(choice: Choice) -> pl.LazyFrame:
    wanted = choice.wanted
    return choice.trace.slowest(
        wanted.top or TOP, by=wanted.sort or "duration_ns", paired=choice.calls, marked=True
    )


def draw_slowest(choice: Choice, canvas: Canvas) -> None:
    """A paragraph a call."""
    calls = rows_of_slowest(choice).collect()
    if calls.is_empty():
        canvas.out.write("no complete call\n")
        return
    signatures = Signatures(choice, choice.wanted.registers or choice.trace.value_columns)
    for row in calls.iter_rows(named=True):
        write_call(row, signatures, choice, canvas)
        canvas.out.write("\n")
    known = choice.trace.answers(choice.calls).count(
        "self_known" if choice.wanted.sort == "self_ns" else "complete"
    )
    canvas.say(f"slowest {len(calls):,} of {count(known)} complete calls")


def write_call(row: dict[str, Any], signatures: Signatures, choice: Choice, canvas: Canvas) -> None:
    """Who called a call, a row of `schemas.SLOWEST` with its `cookie`, and where inside it the time went."""
    about = choice.trace.metadata
    room = max((canvas.width or 10**6) - _INDENT, 8)
    function = next(i for i, f in enumerate(about["functions"]) if f["cookie"] == row["cookie"])
    took = canvas.paint(f"{duration(row['duration_ns']):>{_INDENT - 2}}", "31")
    values = signatures.arguments(function, row) + signatures.returned(function, row)
    text = elide_name(signatures.name(function), values, room)
    canvas.out.write(f"{took}  {canvas.paint(text, '1')}\n")
    name = "" if row["thread_name"] is None else f" {printable(row['thread_name'])}"
    began = moment(row["start"], about["started"]["monotonic_ns"])
    lines = [f"call {row['call_id']} at {began} s", f"thread {row['pid']}{name}"]
    if canvas.width is None or canvas.width >= NARROW:
        lines = [" in ".join(lines)]
    if row["callers"]:
        lines.append(f"called by {' → '.join(map(printable, row['callers']))}")
    losses = choice.losses(row["tgid"], row["pid"])
    if any(w["end_ns"] >= row["start"] and w["start_ns"] <= row["end"] for w in losses if row["duration_ns"]):
        lines.append("events were lost while it ran: what they were of is missing below")
    for line in [elide(line, room) for line in lines] + _inside(row, room):
        canvas.out.write(f"{'':{_INDENT}}{line}\n")


def _inside(row: dict[str, Any], room: int) -> list[str]:
    """Where the time went, most first; nothing where all of it was the call's own."""
    if not row["inside"]:
        return []
    parts = [
        (item["self_ns"], printable(item["function"]), f" ×{count(item['calls'])}") for item in row["inside"]
    ]
    rest = parts[_INSIDE:]
    parts = [*parts[:_INSIDE], (row["self_ns"], "itself", "")]
    parts.sort(key=lambda part: -(part[0] or 0))
    if rest:
        others = f"{len(rest):,} other function{'s' * (len(rest) != 1)}"
        parts.append((sum(ns for ns, *_ in rest), others, ""))
    whole = max(row["duration_ns"] or 0, 1)
    lines = []
    for ns, name, calls in parts:
        share = "-" if ns is None else f"{100 * ns / whole:.1f}"
        figures = f"{share:>5} %  {duration(ns):>8}  "
        lines.append(figures + elide_name(name, calls, room - len(figures)))
    return lines
