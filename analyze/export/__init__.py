"""Traces as files that other tools open."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from . import folded, speedscope
from .source import Source, Weight

__all__ = ["FORMATS", "Format", "Source", "Weight"]


class Format(NamedTuple):
    """`write(source, out)`; what the file's name ends in; `binary` formats are not for terminals.

    Where calls are `drawn` one by one, those without both sides are too, for as long as they are known to
    have run; elsewhere times are summed up, and theirs are left out.
    """

    write: Callable[[Source, BinaryIO], None]
    suffix: str
    binary: bool
    drawn: bool


FORMATS = {
    "speedscope": Format(speedscope.write, ".speedscope.json", binary=False, drawn=True),
    "folded": Format(folded.write, ".folded", binary=False, drawn=False),
}
