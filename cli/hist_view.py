"""Histograms, drawn as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cells import span_text, value_text
from .pictures import ROWS, draw_each, finest, heading
from .table import Column, write_table
from .units import count, duration

if TYPE_CHECKING:
    import polars as pl

    from ..analyze.tally import Span, Tally
    from .canvas import Canvas
    from .choice import Choice

#: A bar of full length is not shorter than this, however narrow the terminal.
_SHORTEST = 4

MARKS = {"p50": 500, "p90": 900, "p99": 990, "p99.9": 999}
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def rows_of_hist(choice: Choice) -> pl.LazyFrame:
    wanted = choice.wanted
    return choice.trace.hist(wanted.focus, wanted.value, wanted.casts, choice.calls)


def draw_hist(choice: Choice, canvas: Canvas) -> None:
    """A histogram for each function in focus, its percentiles marked."""
    from ..analyze import hist
    from ..analyze.casts import kinds_of

    trace, value = choice.trace, choice.wanted.value
    kinds = kinds_of(choice.wanted.casts, trace.functions)
    found = hist.tallies(trace.call_batches(["function", value], paired=choice.calls), value, kinds)

    def draw(function: int, name: str, tally: Tally) -> None:
        timed = value == hist.DURATION
        what = "durations" if timed else value
        heading(canvas, name, f"{what} of {count(tally.calls)} call{'s' * (tally.calls != 1)}")
        _draw(tally, timed, kinds(function, value) or _guess(tally), canvas)

    timed = value == hist.DURATION
    without = "no complete call" if timed else f"no call with {value}"
    draw_each(choice, found, lambda tally: tally.calls, draw, canvas, without=without)


def _draw(tally: Tally, timed: bool, kind: str | None, canvas: Canvas) -> None:
    width = canvas.picture_width
    # Which of some addresses is in the middle says nothing.
    percentiles = {} if kind == "ptr" else MARKS
    marks = {name: tally.percentile(per_mille) for name, per_mille in percentiles.items()}
    figures = {"min": tally.least, **marks, "max": tally.greatest}
    texts = [
        f"{name} {' '.join(duration(v).split()) if timed else value_text(v, kind)}"
        for name, v in figures.items()
    ]
    canvas.flow((text, "") for text in texts)
    shown = _rows(tally, each=not timed)
    longest = max(span.calls for span in shown if span is not None)
    columns = [
        Column("FROM", ["⋮" if s is None else duration(s.low) for s in shown])
        if timed
        else Column("VALUE", ["⋮" if s is None else span_text(s.low, s.high, kind) for s in shown]),
        Column("CALLS", ["" if s is None else count(s.calls) for s in shown]),
        Column(
            "",
            [
                "" if s is None else " ".join(name for name, v in marks.items() if s.low <= v <= s.high)
                for s in shown
            ],
            rank=1,
            left=True,
        ),
    ]
    room = width - sum(column.width + 2 for column in columns)
    bars = ["" if s is None else bar(s.calls / longest, max(room, _SHORTEST)) for s in shown]
    columns.append(Column("", bars, left=True, styles=["36"] * len(bars)))
    write_table(columns, canvas.out, canvas.width, colour=canvas.colour)


def _rows(tally: Tally, *, each: bool) -> list[Span | None]:
    """The rows to show, ascending; None for empty ones that are folded. With `each` values that are few have
    a row each.
    """
    from ..analyze.loglinear import BITS, signed_bounds
    from ..analyze.tally import Span

    values = tally.values() if each else None
    if values is not None and len(values) <= ROWS:
        return list(values)
    bits, rows = finest(lambda bits: tally.coarse(bits).keys.tolist(), BITS)
    found = tally.coarse(bits)
    calls = dict(zip(found.keys.tolist(), found.counts.tolist(), strict=True))
    return [None if row is None else Span(*signed_bounds(row, bits), calls.get(row, 0)) for row in rows]


def bar(share: float, width: int) -> str:
    """A bar of `share` of `width` columns, in eighths; what is not nothing shows."""
    eighths = max(round(share * width * 8), 1 if share > 0 else 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _guess(tally: Tally) -> str | None:
    """`ptr` where all values of a raw register look like addresses, or null pointers."""
    from ..analyze.registers import is_pointer

    values = tally.values()
    if values is None or not tally.greatest:
        return None
    return "ptr" if all(span.low == 0 or is_pointer(span.low) for span in values) else None
