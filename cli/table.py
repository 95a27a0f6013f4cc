"""Tables of text that fit the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from .units import elide, width_of

#: An elastic column doesn't get narrower than this.
NARROWEST = 16
_GAP = 2


@dataclass
class Column:
    """A column of text. `rank` 0 always stays; of the others the highest goes first where room is short."""

    title: str
    cells: Sequence[str]
    rank: int = 0
    left: bool = False
    elastic: bool = False

    @property
    def width(self) -> int:
        return max([width_of(self.title), *map(width_of, self.cells)])


def write_table(columns: Sequence[Column], out: TextIO, width: int | None) -> None:
    """Write columns side by side in `width`, None for as wide as they are: less important ones are left
    out, then elastic ones are elided. Every row is one line.
    """
    shown, widths = fit(columns, width)
    titles = [column.title for column in shown]
    for cells in [titles, *zip(*(column.cells for column in shown), strict=True)]:
        parts = []
        for column, size, cell in zip(shown, widths, cells, strict=True):
            text = elide(cell, size)
            padding = " " * (size - width_of(text))
            parts.append(text + padding if column.left else padding + text)
        out.write((" " * _GAP).join(parts).rstrip() + "\n")


def fit(columns: Sequence[Column], width: int | None) -> tuple[list[Column], list[int]]:
    """The columns to show, and how wide each is."""
    shown = list(columns)
    natural = {id(column): column.width for column in columns}
    least = {id(c): min(natural[id(c)], NARROWEST) if c.elastic else natural[id(c)] for c in columns}
    if width is None:
        return shown, [natural[id(column)] for column in shown]
    while sum(least[id(c)] + _GAP for c in shown) - _GAP > width:
        droppable = [column for column in shown if column.rank]
        if not droppable:
            break
        shown.remove(max(droppable, key=lambda column: column.rank))
    spare = width - (sum(least[id(c)] + _GAP for c in shown) - _GAP)
    widths = []
    for column in shown:
        more = min(max(spare, 0), natural[id(column)] - least[id(column)])
        spare -= more
        widths.append(least[id(column)] + more)
    return shown, widths
