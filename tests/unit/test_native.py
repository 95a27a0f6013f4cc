"""The compiled walk: what it is built from, and what it does not do after an error."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from funcsnoop.analyze import native
from funcsnoop.analyze.engine import walked
from funcsnoop.analyze.pruning import Pruning
from funcsnoop.analyze.question import Partition, Question
from funcsnoop.analyze.selection import Selection
from funcsnoop.errors import TraceError

from .traces import Recording

ROOT = Path(__file__).parents[2]


def test_every_source_of_the_walk_is_named_in_the_build() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["ext-modules"][0]
    there = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "analyze/walk").iterdir())
    assert sorted(build["sources"] + build["depends"]) == there


def test_a_walk_takes_nothing_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads for it is some batches ahead then."""
    recording = Recording()
    for time in range(20):
        recording.entry("f", time, 100)
    events, about = recording.events(), recording.about()
    about["functions"] = about["functions"][1:]
    library, calls = native.library(), []
    match = library.walk_match

    def counted(walk: Any, batch: int) -> int:
        calls.append(batch)
        return int(match(walk, batch))

    monkeypatch.setattr(library, "walk_match", counted)

    def parts(wanted: list[str], pruning: Pruning) -> Iterator[tuple[int, pa.Table]]:
        for first in range(20):
            yield first, events.select(wanted).slice(first, 1)

    with pytest.raises(TraceError, match="function"):
        walked(parts, about, Partition("", workers=1), Question(Selection(), (), (), 1 << 28))
    assert len(calls) == 1
