"""What the charts share: axes of time and latency, titles with what is left out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import altair as alt

from ..printable import printable

if TYPE_CHECKING:
    import polars as pl

    from ..analyze.selection import Chosen
    from ..analyze.trace import Trace

#: What the functions here return.
Chart = alt.Chart | alt.LayerChart | alt.FacetChart

WIDTH = 640

_NUMBER = "format(datum.value / {size}, '~r') + ' {unit}'"
#: A duration in the unit that suits it.
_DURATION = (
    " : ".join(
        f"datum.value < {size * 1000} ? {_NUMBER.format(size=size, unit=unit)}"
        for size, unit in ((1, "ns"), (10**3, "µs"), (10**6, "ms"))
    )
    + f" : {_NUMBER.format(size=10**9, unit='s')}"
)


def limits(rows: pl.DataFrame, least: str, greatest: str) -> tuple[float, float]:
    """The least and the greatest latency of two columns, ns; something to draw where there are none."""
    if not len(rows):
        return 1, 1000
    return float(rows[least].to_numpy().min()), float(rows[greatest].to_numpy().max())


def count_axis(most: int) -> alt.Axis:
    """For numbers of calls on a scale on which few are seen beside many."""
    return alt.Axis(title="calls", values=[0, *(10**k for k in range(19) if 10**k <= most)], format=",")


def latency_axis(low: float, high: float, title: str = "duration") -> alt.Axis:
    """An axis from `low` to `high` ns with round numbers: the log axis of Vega would number every tick."""
    decades = math.log10(max(high, 1) / max(low, 1))
    steps = (1, 2, 5) if decades < 2 else (1, 3) if decades < 4 else (1,)
    values = [step * 10**power for power in range(19) for step in steps]
    return alt.Axis(title=title, labelExpr=_DURATION, values=[v for v in values if low <= v <= high])


def log_scale(low: float, high: float) -> alt.Scale:
    return alt.Scale(type="log", domain=[low, high], nice=False)


def title(text: str, trace: Trace, paired: Chosen, *notes: str) -> alt.TitleParams:
    """A title whose subtitle says what is left out of the chart of the calls `paired`."""
    times = [trace.times] if trace.corrected and trace.times else []
    subtitle = [*notes, *times, str(trace.loss_of(paired))]
    return alt.TitleParams(
        printable(text), subtitle=subtitle, anchor="start", offset=18, subtitleColor="gray"
    )


def duration_text(ns: float) -> str:
    """A duration in three digits and the unit that suits it."""
    for size, unit in ((1, "ns"), (10**3, "µs"), (10**6, "ms"), (10**9, "s")):
        if ns / size < 999.5 or unit == "s":
            return f"{ns / size:.3g} {unit}"
    raise AssertionError


def elided(text: str, most: int) -> str:
    """`text` in at most `most` characters; what is too long loses its middle."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return text[:head] + "…" + text[len(text) - (most - 1 - head) :] if most > 5 else ""


def function_names(trace: Trace) -> list[str]:
    """The functions' names by row of the function table, alike ones with their module."""
    table = trace.functions.select("demangled", "file").collect()
    shared = table["demangled"].is_duplicated().to_list()
    return [
        printable(f"{name} ({file})" if alike else name)
        for (name, file), alike in zip(table.iter_rows(), shared, strict=True)
    ]
