"""Tables of text that fit the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from .canvas import painted
from .units import elide, width_of

#: An elastic column doesn't get narrower than this, unless it says otherwise.
NARROWEST = 16
#: Stands behind the headings where columns are left out for want of room.
MORE = " …"
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
    out, with a mark behind the headings, then elastic ones are elided. Every row is one line; where not
    even the most important columns fit, it is a paragraph with all of them. Styles show only with `colour`.
    """
    fitting = fit(columns, width)
    if fitting and len(fitting[0]) < len(columns) and width and width_of(_heading(*fitting) + MORE) > width:
        fitting = fit(columns, width - len(MORE))
    if fitting is None:
        assert width is not None
        _write_paragraphs(columns, out, width, colour=colour)
        return
    shown, widths = fitting
    out.write(_heading(shown, widths) + (MORE if len(shown) < len(columns) else "") + "\n")
    for place in range(len(shown[0].cells) if shown else 0):
        texts = [elide(column.cells[place], size) for column, size in zip(shown, widths, strict=True)]
        styles = [_style(column, place, colour=colour) for column in shown]
        out.write(_line(shown, widths, texts, styles) + "\n")


def fit(columns: Sequence[Column], width: int | None) -> tuple[list[Column], list[int]] | None:
    """The columns to show, and how wide each is; None where they can't be shown side by side."""
    shown = list(columns)
    natural = {id(column): column.width for column in columns}
    least = {id(c): min(natural[id(c)], c.narrowest) if c.elastic else natural[id(c)] for c in columns}
    if width is None:
        return shown, [natural[id(column)] for column in shown]
    while sum(least[id(c)] + _GAP for c in shown) - _GAP > width:
        droppable = [column for column in shown if column.rank]
        if not droppable:
            return None
        shown.remove(max(droppable, key=lambda column: column.rank))
    spare = width - (sum(least[id(c)] + _GAP for c in shown) - _GAP)
    widths = []
    for column in shown:
        more = min(spare, natural[id(column)] - least[id(column)])
        spare -= more
        widths.append(least[id(column)] + more)
    return shown, widths


def _heading(columns: Sequence[Column], widths: Sequence[int]) -> str:
    titles = [elide(column.title, size) for column, size in zip(columns, widths, strict=True)]
    return _line(columns, widths, titles, [""] * len(columns))


def _line(
    columns: Sequence[Column], widths: Sequence[int], texts: Sequence[str], styles: Sequence[str]
) -> str:
    line = ""
    for column, size, text, style in zip(columns, widths, texts, styles, strict=True):
        padding, styled = " " * (size - width_of(text)), painted(text, style)
        line += (styled + padding if column.left else padding + styled) + " " * _GAP
    return line.rstrip()


def _write_paragraphs(columns: Sequence[Column], out: TextIO, width: int, *, colour: bool) -> None:
    """A row is its names, each on a line, and below them the other columns, as many on a line as fit."""
    names = [column for column in columns if column.elastic]
    for place in range(len(columns[0].cells)):
        for column in names:
            style = _style(column, place, colour=colour)
            out.write(painted(elide(column.cells[place].strip(), width), style) + "\n")
        line = ""
        for column in columns:
            cell = " ".join(column.cells[place].split())
            if column in names or not cell:
                continue
            text = f"{column.title.strip()} {cell}"
            if line and width_of(line) + _GAP + width_of(text) > width:
                _write_wrapped(line, out, width)
                line = ""
            line += " " * _GAP + text
        if line:
            _write_wrapped(line, out, width)


def _write_wrapped(line: str, out: TextIO, width: int) -> None:
    """Numbers are never cut: one that is longer than a line takes more."""
    out.write(textwrap.fill(line, width, subsequent_indent=" " * 2 * _GAP, break_long_words=False) + "\n")


def _style(column: Column, place: int, *, colour: bool) -> str:
    return column.styles[place] if colour and column.styles else ""
