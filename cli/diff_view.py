"""What changed between two traces, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..printable import printable
from .ordering import ordered
from .table import Column, write_table
from .units import count, duration, elide_name

if TYPE_CHECKING:
    import polars as pl

    from ..analyze.trace import Trace
    from .canvas import Canvas
    from .choice import Choice

_STYLES = {"slower": "31", "faster": "32"}
#: What makes durations of the same code differ, and how it is called.
_CIRCUMSTANCES = {
    "host": "host",
    "kernel": "kernel",
    "architecture": "architecture",
    "attach": "way to attach",
    "args": "number of recorded arguments",
}


def rows_of_diff(choice: Choice) -> pl.LazyFrame:
    assert choice.other is not None
    return choice.trace.diff(
        choice.other.trace, edges=choice.wanted.edges, paired=choice.calls, other_paired=choice.other.calls
    )


def draw_diff(choice: Choice, canvas: Canvas) -> None:
    """What is compared, the differences, and what to think of them."""
    assert choice.other is not None
    traces = choice.trace, choice.other.trace
    for letter, trace in zip("AB", traces, strict=True):
        canvas.out.write(elide_name(*_about(letter, trace), canvas.width or 10**6) + "\n")
    frame = ordered(rows_of_diff(choice), choice.wanted.sort).collect()
    for warning in _warnings(*traces):
        canvas.say(warning, "33")
    if frame.is_empty():
        canvas.out.write("no calls in either trace\n")
        return
    what = "caller and function" if choice.wanted.edges else "function"
    if frame["change"].is_in(["only_a", "only_b"]).all():
        canvas.say(f"the traces have no {what} in common")
    shown = frame if choice.wanted.top is None else frame.head(choice.wanted.top)
    canvas.out.write("\n")
    write_table(_columns(shown, edges=choice.wanted.edges), canvas.out, canvas.width, colour=canvas.colour)
    if len(shown) < len(frame):
        canvas.out.write(f"first {len(shown):,} of {len(frame):,} rows\n")
    canvas.out.write("\n")
    _conclude(frame, canvas)


def _about(letter: str, trace: Trace) -> tuple[str, str]:
    about = trace.metadata
    seconds = (about["ended"]["monotonic_ns"] - about["started"]["monotonic_ns"]) / 10**9
    recorded = f"{about['counts']['recorded']:,} events in {seconds:,.2f} s"
    return f"{letter}  {printable(str(trace.path))}", f": {recorded}"


def _warnings(first: Trace, second: Trace) -> list[str]:
    """What else makes durations differ."""
    one: dict[str, Any] = {**first.metadata}
    two: dict[str, Any] = {**second.metadata}
    found = [
        f"the {what} differs: {printable(str(one[key]))} in A, {printable(str(two[key]))} in B"
        for key, what in _CIRCUMSTANCES.items()
        if one[key] != two[key]
    ]
    exits = [{(f["demangled"], f["exit"]) for f in about["functions"]} for about in (one, two)]
    names = [{name for name, _ in side} for side in exits]
    if exits[0] ^ exits[1] and any(name in names[0] & names[1] for name, _ in exits[0] ^ exits[1]):
        found.append("exits of some functions are seen in other ways, which take other times")
    return found


def _columns(frame: pl.DataFrame, *, edges: bool) -> list[Column]:
    rows = frame.to_dicts()
    changes = [row["change"] or "?" for row in rows]
    if edges:
        names = [
            f"{'(root)' if row['caller'] is None else row['caller']} → {row['function']}" for row in rows
        ]
    else:
        names = [row["function"] for row in rows]
    times = [
        Column(
            f"{title} {side.upper() if side != 'diff' else '±'}",
            [
                _signed(row[f"{name}_diff"]) if side == "diff" else duration(row[f"{name}_{side}"])
                for row in rows
            ],
            rank=rank,
        )
        for title, name, ranks in (
            ("TOTAL", "total_ns", (9, 10, 3)),
            ("SELF", "self_ns", (15, 16, 14)),
            ("P99", "p99_ns", (11, 12, 13)),
        )
        for side, rank in zip(("a", "b", "diff"), ranks, strict=True)
    ]
    return [
        Column(
            "CHANGE",
            [change.replace("_a", " in A").replace("_b", " in B").replace("_", " ") for change in changes],
            left=True,
            styles=[_STYLES.get(change, "2" if change in ("same", "?") else "1") for change in changes],
        ),
        Column(
            "MOVED",
            [f"{100 * abs(row['moved']):.0f} %" if row["change"] in _STYLES else "" for row in rows],
            rank=2,
        ),
        Column("P50 A", [duration(row["p50_ns_a"]) for row in rows], rank=5),
        Column("P50 B", [duration(row["p50_ns_b"]) for row in rows], rank=6),
        Column("±", [_ratio(row["p50_ns_a"], row["p50_ns_b"]) for row in rows], rank=1),
        *times[:3],
        Column("CALLS A", [count(row["calls_a"]) for row in rows], rank=7),
        Column("CALLS B", [count(row["calls_b"]) for row in rows], rank=8),
        Column("±", [f"{row['calls_diff']:+,}" if row["calls_diff"] else "0" for row in rows], rank=4),
        *times[3:],
        Column("FUNCTION", [printable(name) for name in names], left=True, elastic=True),
    ]


def _signed(ns: int | None) -> str:
    if not ns:
        return duration(ns)
    return ("+" if ns > 0 else "-") + duration(abs(ns))


def _ratio(before: int | None, after: int | None) -> str:
    """A change in per cent, as a factor where it is large."""
    if not before or after is None:
        return "-"
    if after >= 10 * before:
        return f"×{after / before:,.0f}"
    return f"{100 * (after / before - 1):+.1f} %"


def _conclude(frame: pl.DataFrame, canvas: Canvas) -> None:
    """How many changes are more than chance, and how much the machine may have to do with it."""
    import polars as pl

    counts = dict(frame["change"].value_counts().rows())
    tested = frame.filter(pl.col("p_value").is_not_null())
    slower, faster = counts.get("slower", 0), counts.get("faster", 0)
    text = f"{slower:,} slower and {faster:,} faster, of {len(tested):,} with enough calls to tell"
    canvas.say(text, "1" if slower or faster else "")
    ratio = (
        tested.filter(pl.col("p50_ns_a") > 0)
        .select((pl.col("p50_ns_b") / pl.col("p50_ns_a")).median())
        .item()
    )
    if ratio is not None:
        canvas.say(f"the typical median changed by {100 * (ratio - 1):+.1f} %")
