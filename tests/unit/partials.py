"""Recordings written commit by commit, as the recorder does, for tests of files and their recovery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from funcsnoop.bpf.layout import ENTRY, EXIT, event_dtype
from funcsnoop.record.columns import Columns
from funcsnoop.record.writer import TraceWriter

from .traces import Recording

COLUMNS = Columns(["f", "g"])


def rows(first: int, count: int) -> pa.Table:
    """Calls of `f` and `g` in turn: entries have arg0 = first, first + 1 …"""
    events = np.zeros(count, event_dtype("lean", 1))
    numbers = np.arange(first, first + count)
    events["type"] = np.where(numbers % 2 == 0, ENTRY, EXIT)
    events["cookie"] = numbers // 2 % 2 + 1
    events["pid"] = events["tgid"] = 7
    events["timestamp"] = 1000 * numbers
    events["frame"] = 4096
    events["args"][:, 0] = numbers
    # What does not compress makes commits of some size.
    events["ret_val"] = np.random.default_rng(first).integers(0, 2**63, count)
    return pa.Table.from_batches([COLUMNS.convert(events)])


def about(recorded: int, *, ended: bool = False, lost: int = 0, unsaved: int = 0) -> dict[str, Any]:
    counts = {
        "produced": recorded + lost + unsaved,
        "recorded": recorded,
        "lost": {"buffer": lost},
        "filtered": {},
        "after_limit": 0,
    }
    reason = "command-exit" if ended else "recording"
    return Recording(metadata={"counts": counts, "end_reason": reason}).about()


@contextmanager
def recording(path: Path, sizes: list[int], **options: Any) -> Iterator[TraceWriter]:
    """A recording in progress, with a commit of each size."""
    writer = TraceWriter(str(path), **options)
    try:
        writer.begin(about)
        for size in sizes:
            writer.write(rows(writer.rows, size))
        yield writer
    finally:
        writer.close()


def partial(path: Path, sizes: list[int]) -> Path:
    """What a recorder leaves that is killed after commits of these sizes."""
    with recording(path, sizes):
        pass
    return path.with_name(path.name + ".partial")
