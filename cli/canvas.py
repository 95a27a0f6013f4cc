"""Where a report is drawn: how wide it is, and whether it takes colour."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

from .units import width_of

#: Pictures take this width where there is no terminal to fill.
USUAL_WIDTH = 80


@dataclass(frozen=True)
class Canvas:
    """Text goes to `out`. `width` is None where nothing limits it, as in a pipe or file."""

    out: TextIO
    width: int | None = None
    colour: bool = False

    @property
    def picture_width(self) -> int:
        return USUAL_WIDTH if self.width is None else self.width

    def paint(self, text: str, style: str) -> str:
        """`text` in a style, the numbers of SGR as `1;31`; as it is where colours are not wanted."""
        return painted(text, style) if self.colour else text

    def say(self, text: str, style: str = "") -> None:
        """Write a sentence, broken between words where it is longer than a line."""
        fits = self.width is None or width_of(text) <= self.width
        lines = [text] if fits else textwrap.wrap(text, max(self.width or 0, 20))
        self.out.writelines(self.paint(line, style) + "\n" for line in lines)

    def say_lines(self, text: str) -> None:
        """Write lines of sentences."""
        for line in text.splitlines():
            self.say(line)

    def flow(self, items: Iterable[tuple[str, str]]) -> None:
        """Write texts, each with a style, one after the other, in as many lines as they need."""
        line, used = "", 0
        for text, style in items:
            size = width_of(text)
            if used and used + 2 + size > self.picture_width:
                self.out.write(line + "\n")
                line, used = "", 0
            line += ("  " if used else "") + self.paint(text, style)
            used += size + (2 if used else 0)
        self.out.write(line + "\n")


def painted(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if style and text else text


def terminal_size(stream: TextIO) -> os.terminal_size:
    """Of the terminal behind `stream`, unless COLUMNS and LINES say otherwise, or else the usual one."""
    columns, lines = USUAL_WIDTH, 24
    # shutil asks standard output alone, which can be a file where messages go to a terminal.
    with suppress(OSError, ValueError):
        found = os.get_terminal_size(stream.fileno())
        columns, lines = found.columns or columns, found.lines or lines
    return shutil.get_terminal_size((columns, lines))


def canvas_for(out: TextIO, *, terminal: bool) -> Canvas:
    """The canvas for a report that goes to standard output, where that is a terminal."""
    if not terminal:
        return Canvas(out)
    # https://no-color.org: set to anything but nothing.
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Canvas(out, terminal_size(out).columns, colour)
