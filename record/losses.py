"""Where events are missing: from the kernel's loss records to the windows in the metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..bpf.layout import LOSS
from ..schemas.metadata import ANY_FRAME, NO_END, LossWindow

#: A footer with more would be slow to read; windows of a thread are then merged, which says less, not more.
MOST_WINDOWS: Final = 20_000


def loss_windows(
    records: Sequence[NDArray[Any]], unplaced: int, most: int = MOST_WINDOWS
) -> list[LossWindow]:
    """Windows by thread and time, at most about `most`, from records of type `bpf.layout.LOSS`.

    `unplaced` events were lost without a record: they can be of any thread and time.
    """
    losses = np.concatenate([np.empty(0, LOSS), *records])
    losses = losses[np.lexsort((losses["first"], losses["pid"]))]
    while len(losses) > max(most, len(np.unique(losses["pid"]))):
        losses = _merge_neighbours(losses)
    windows: list[LossWindow] = [
        {
            "pid": int(row["pid"]),
            "tgid": int(row["tgid"]),
            "start_ns": int(row["first"]),
            "end_ns": int(row["last"]),
            "frame": int(row["frame"]),
            "events": int(row["events"]),
        }
        for row in losses
    ]
    if unplaced:
        windows.append(
            {
                "pid": None,
                "tgid": None,
                "start_ns": 0,
                "end_ns": NO_END,
                "frame": ANY_FRAME,
                "events": unplaced,
            }
        )
    return windows


def _merge_neighbours(losses: NDArray[Any]) -> NDArray[Any]:
    """Each two windows of a thread that follow each other become one."""
    same = losses["pid"][1:] == losses["pid"][:-1]
    first_of_thread = np.flatnonzero(np.concatenate(([True], ~same)))
    place = np.arange(len(losses)) - np.repeat(first_of_thread, np.diff([*first_of_thread, len(losses)]))
    starts = np.flatnonzero(place % 2 == 0)
    merged = losses[starts].copy()
    merged["last"] = np.maximum.reduceat(losses["last"], starts)
    merged["frame"] = np.maximum.reduceat(losses["frame"], starts)
    merged["events"] = np.add.reduceat(losses["events"], starts)
    return merged
