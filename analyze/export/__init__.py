"""Traces as files that other tools open."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from . import chrome, folded, perfetto, pprof, speedscope
from .source import Source, Weight

__all__ = ["FORMATS", "Format", "Source", "Weight"]


class Format(NamedTuple):
    """`write(source, out)`; what the file's name ends in; `binary` formats are not for terminals; who is the
    `reader`.

    Where calls are `drawn` one by one, those without both sides are too, for as long as they are known to
    have run; elsewhere times are summed up, and theirs are left out. Corrected times are summed up everywhere
    but in timelines of all threads, whose `write` raises UsageError.
    """

    write: Callable[[Source, BinaryIO], None]
    suffix: str
    binary: bool
    drawn: bool
    reader: str


FORMATS = {
    "perfetto": Format(perfetto.write, ".pftrace", True, True, "ui.perfetto.dev"),
    # speedscope takes what ends in .chrome.json for something else of Chrome's.
    "chrome": Format(chrome.write, ".json", False, True, "ui.perfetto.dev or chrome://tracing"),
    "speedscope": Format(speedscope.write, ".speedscope.json", False, True, "speedscope"),
    "folded": Format(folded.write, ".folded", False, False, "flamegraph.pl or speedscope"),
    "pprof": Format(pprof.write, ".pb.gz", True, False, "go tool pprof"),
}
