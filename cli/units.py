"""Numbers and names as a terminal shows them."""

from __future__ import annotations

import unicodedata

_UNITS = ((1, "ns"), (10**3, "µs"), (10**6, "ms"), (10**9, "s"))


def duration(ns: float | None) -> str:
    """A time in three digits and the unit that suits it, the units aligned: `12.3 µs`, `1.00  s`."""
    if ns is None:
        return "-"
    if abs(ns) < 1000 and ns == int(ns):
        return f"{int(ns)} ns"
    for size, unit in _UNITS:
        scaled = ns / size
        # What rounds up to 1000 belongs to the next unit.
        if abs(scaled) < 999.5 or unit == "s":
            break
    digits = 0 if abs(scaled) >= 99.95 else 1 if abs(scaled) >= 9.995 else 2
    return f"{scaled:,.{digits}f} {unit:>2}"


def count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def elide(text: str, width: int) -> str:
    """`text` in at most `width` columns; what is too long loses its middle, as both ends tell more.

    Indentation goes first.
    """
    if width_of(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    name = text.lstrip(" ")
    if name != text and 0 < width_of(name) <= width:
        spare = width - width_of(name)
        return f"{' ' * (spare - 1)}{'…' if spare else ''}{name}"
    text = name
    room = width - 1
    head = room // 2
    start, end = _cut(text, head), _cut(text[::-1], room - head)[::-1]
    return f"{start}…{end}"


def elide_name(name: str, rest: str, width: int) -> str:
    """`name` and `rest` in at most `width` columns: the name loses its middle, if enough of it is left."""
    room = width - width_of(rest)
    return elide(name, room) + rest if room >= 16 else elide(name + rest, width)


def width_of(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def _cut(text: str, width: int) -> str:
    taken = 0
    for position, character in enumerate(text):
        taken += width_of(character)
        if taken > width:
            return text[:position]
    return text
