"""Tables of text that fit the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from .canvas import painted
from .units import elide, width_of

#: An elastic column doesn't get narrower than this, unless it says otherwise.
NARROWEST = 16
_GAP = 2


@dataclass
class Column:
    """A column of text. `rank` 0 always stays; of the others the highest goes first where room is short.

    `styles` are of the cells, numbers of SGR as `1;31`; none where there are none.
    """

    title: str
    cells: Sequence[str]
    rank: int = 0
    left: bool = False
    elastic: bool = False
    narrowest: int = NARROWEST
    styles: Sequence[str] = ()

    @property
    def width(self) -> int:
        return max([width_of(self.title), *map(width_of, self.cells)])


def write_table(columns: Sequence[Column], out: TextIO, width: int | None, *, colour: bool = False) -> None:
    """Write columns side by side in `width`, None for as wide as they are: less important ones are left
    out, then elastic ones are elided. Every row is one line. Styles show only with `colour`.
    """
    shown, widths = fit(columns, width)
    rows = len(shown[0].cells) if shown else 0
    for place in range(-1, rows):
        line = ""
        for column, size in zip(shown, widths, strict=True):
            text = elide(column.title if place < 0 else column.cells[place], size)
            padding = " " * (size - width_of(text))
            style = column.styles[place] if colour and column.styles and place >= 0 else ""
            styled = painted(text, style)
            line += (styled + padding if column.left else padding + styled) + " " * _GAP
        out.write(line.rstrip() + "\n")


def fit(columns: Sequence[Column], width: int | None) -> tuple[list[Column], list[int]]:
    """The columns to show, and how wide each is."""
    shown = list(columns)
    natural = {id(column): column.width for column in columns}
    least = {id(c): min(natural[id(c)], c.narrowest) if c.elastic else natural[id(c)] for c in columns}
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
