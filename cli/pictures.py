"""Pictures of functions, one below the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from ..printable import printable
from .units import elide, width_of

if TYPE_CHECKING:
    from .canvas import Canvas
    from .choice import Choice

#: A picture has at most this many rows, unless its values span more powers of two.
ROWS = 24
#: So many empty rows in a row, or more, are folded into one.
FOLD = 3
#: More functions than this are not drawn.
MOST = 8

T = TypeVar("T")


def draw_each(
    choice: Choice,
    found: Mapping[int, T],
    calls_of: Callable[[T], int],
    draw: Callable[[int, str, T], None],
    canvas: Canvas,
    *,
    without: str = "no complete call",
) -> None:
    """Draw what was `found` of each function in focus with `draw(function, name, what)`, the busiest first.

    Functions of which nothing was found are listed behind the words `without`.
    """
    from ..analyze import filters

    functions = choice.trace.functions
    names = functions.select("demangled").collect()["demangled"].to_list()
    assert choice.wanted.focus is not None
    asked = filters.matching(functions, [choice.wanted.focus])
    busiest = sorted((f for f in asked if f in found), key=lambda f: -calls_of(found[f]))
    for number, function in enumerate(busiest[:MOST]):
        canvas.out.write("\n" if number else "")
        draw(function, printable(names[function]), found[function])
    if len(busiest) > MOST:
        canvas.out.write(f"\n{len(busiest) - MOST:,} more functions match, with fewer calls\n")
    missing = [printable(names[f]) for f in asked if f not in found]
    if missing:
        width = canvas.width or 10**6
        canvas.out.write(elide(f"{without}: {', '.join(missing)}", width) + "\n")


def heading(canvas: Canvas, name: str, rest: str) -> None:
    """`name: rest` in one line: where there is little room, the name loses its middle."""
    width = canvas.picture_width
    title = elide(name, max(width - len(rest) - 2, 8))
    canvas.out.write(canvas.paint(title, "1") + elide(f": {rest}", max(width - width_of(title), 8)) + "\n")


def folded(rows: Iterable[int]) -> list[int | None]:
    """From the least of `rows` to the greatest; long runs of others in between are one None."""
    shown: list[int | None] = []
    for row in sorted(set(rows)):
        last = shown[-1] if shown else None
        missing = 0 if last is None else row - last - 1
        shown += [None] if missing >= FOLD else range(row - missing, row)
        shown.append(row)
    return shown


def finest(rows_of: Callable[[int], Iterable[int]], bits: int) -> tuple[int, list[int | None]]:
    """How fine rows can be, `bits` bits or fewer, to fit in ROWS of them, and which rows those are."""
    for fewer in range(bits, -1, -1):
        shown = folded(rows_of(fewer))
        if len(shown) <= ROWS:
            break
    return fewer, shown
