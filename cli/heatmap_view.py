"""Heat maps: time from left to right, durations from below to above, a cell for each of both."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from .pictures import draw_each, finest, heading
from .units import count, duration

if TYPE_CHECKING:
    import polars as pl

    from ..analyze.heatmap import Heat
    from .canvas import Canvas
    from .choice import Choice

_SHADES = "░▒▓█"
#: Colours of the 256 for the same steps, each a little more than the last on dark and on light.
_COLOURS = ("38;5;67", "38;5;71", "38;5;178", "38;5;160")


def rows_of_heatmap(choice: Choice) -> pl.LazyFrame:
    return choice.trace.heatmap(choice.wanted.focus, choice.calls)


def draw_heatmap(choice: Choice, canvas: Canvas) -> None:
    """A heat map for each function in focus."""
    from ..analyze import heatmap

    about = choice.trace.metadata
    batches = choice.trace.call_batches(["function", "start", "duration_ns"], paired=choice.calls)
    found = heatmap.heats(batches, about["started"]["monotonic_ns"])
    began = about["started"]["monotonic_ns"]
    losses = [(w["start_ns"] - began, w["end_ns"] - began) for w in choice.losses()]

    def draw(function: int, name: str, heat: Heat) -> None:
        heading(canvas, name, f"{count(heat.calls)} call{'s' * (heat.calls != 1)} by start and duration")
        _draw(heat, losses, canvas)

    draw_each(choice, found, lambda heat: heat.calls, draw, canvas)


def _draw(heat: Heat, losses: Sequence[tuple[int, int]], canvas: Canvas) -> None:
    from ..analyze.heatmap import BITS
    from ..analyze.loglinear import signed_bounds

    bits, rows = finest(lambda bits: (cell.bucket for cell in heat.cells(bits)), BITS)
    cells = heat.cells(bits)
    first, last = cells[0].slice, cells[-1].slice
    label = 8
    room = max(canvas.picture_width - label - 1, 8)
    per_column = -(-(last - first + 1) // room)
    columns = -(-(last - first + 1) // per_column)
    counts: dict[tuple[int, int], int] = {}
    for cell in cells:
        place = (cell.bucket, (cell.slice - first) // per_column)
        counts[place] = counts.get(place, 0) + cell.calls
    edges = _edges(max(counts.values()))
    for row in reversed(rows):
        if row is None:
            canvas.out.write(f"{'⋮':>{label}}│\n")
            continue
        low, _ = signed_bounds(row, bits)
        line = "".join(
            _run(list(levels), canvas) for _, levels in groupby(_levels(counts, row, columns, edges))
        )
        canvas.out.write(f"{duration(low):>{label}}│{line}".rstrip() + "\n")
    canvas.out.write(" " * label + "└" + "─" * columns + "\n")
    starts = [first * heat.slice_ns, (last + 1) * heat.slice_ns]
    left, right = _moments(*starts)
    between = max(columns - len(left) - len(right), 1)
    right = right if len(left) + between + len(right) <= room else ""
    canvas.out.write(f"{'':{label + 1}}{left}{'':{between}}{right}".rstrip() + "\n")
    width = per_column * heat.slice_ns
    marks = [
        any(end >= starts[0] + i * width and begin < starts[0] + (i + 1) * width for begin, end in losses)
        for i in range(columns)
    ]
    if any(marks):
        line = "".join("!" if mark else " " for mark in marks).rstrip()
        canvas.out.write(f"{'lost':>{label}} {canvas.paint(line, '31')}\n")
    _legend(edges, width, canvas)


def _edges(most: int) -> list[int]:
    """The least number of calls of each shade: steps of equal ratio."""
    edges = [1]
    for step in range(1, len(_SHADES)):
        edge = max(edges[-1] + 1, round(most ** (step / len(_SHADES))))
        if edge <= most:
            edges.append(edge)
    return edges


def _levels(counts: Mapping[tuple[int, int], int], row: int, columns: int, edges: Sequence[int]) -> list[int]:
    """The shade of each cell of a row, -1 where there is no call."""
    return [bisect_right(edges, counts.get((row, column), 0)) - 1 for column in range(columns)]


def _run(levels: Sequence[int], canvas: Canvas) -> str:
    """Cells of one shade."""
    level = levels[0]
    return " " * len(levels) if level < 0 else canvas.paint(_SHADES[level] * len(levels), _COLOURS[level])


def _moments(*moments: int) -> list[str]:
    """Times in seconds, with as many digits as tell them apart."""
    span = max(max(moments) - min(moments), 1) / 10**9
    digits = min(max(2 - math.floor(math.log10(span)), 0), 9)
    return [f"{moment / 10**9:.{digits}f} s" for moment in moments]


def _legend(edges: Sequence[int], width_ns: int, canvas: Canvas) -> None:
    items = []
    for level, edge in enumerate(edges):
        until = edges[level + 1] - 1 if level + 1 < len(edges) else None
        text = count(edge) if until == edge else f"{count(edge)}…" + ("" if until is None else count(until))
        items.append((f"{_SHADES[level]} {text}", _COLOURS[level]))
    each = " ".join(duration(width_ns).split())
    canvas.flow([*items, ("calls", ""), (f"a column is {each}", "")])
