"""Figures in both ways: by the compiled walk, and by NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import polars as pl
import pyarrow as pa

from funcsnoop.analyze.casts import Cast
from funcsnoop.analyze.engine import walked
from funcsnoop.analyze.figures import Figures
from funcsnoop.analyze.gather import gather
from funcsnoop.analyze.pairing import pair
from funcsnoop.analyze.pruning import Pruning
from funcsnoop.analyze.question import Partition, Question
from funcsnoop.analyze.selection import Selection

from .traces import Recording

#: figures(recording, columns, casts, selection)
Way = Callable[..., Figures]


def by_walk(
    recording: Recording,
    columns: Sequence[str] = (),
    casts: Sequence[Cast] = (),
    selection: Selection = Selection(),  # noqa: B008
    *,
    rows: int = 7,
    partition: Partition = Partition("", workers=2),  # noqa: B008
    memory: int = 1 << 28,
) -> Figures:
    """The walk gets `rows` events at a time."""
    events = recording.events()

    def parts(wanted: list[str], pruning: Pruning) -> Iterator[tuple[int, pa.Table]]:
        for first in range(0, max(len(events), 1), rows):
            yield first, events.select(wanted).slice(first, rows)

    question = Question(selection, tuple(columns), tuple(casts), memory)
    return walked(parts, recording.about(), partition, question)


def by_numpy(
    recording: Recording,
    columns: Sequence[str] = (),
    casts: Sequence[Cast] = (),
    selection: Selection = Selection(),  # noqa: B008
) -> Figures:
    events, about = recording.frame(), recording.about()

    def values(wanted: Sequence[str]) -> pl.LazyFrame:
        return events.select(wanted)

    return gather(selection.of(pair(events, about)), about, values, columns, casts)


WAYS: dict[str, Way] = {"walk": by_walk, "numpy": by_numpy}
