"""The threads that appear in the events, and what the metadata knows of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from ..schemas import TraceMetadata
from .arrays import Addresses, Ints
from .incarnations import Incarnations

_NEVER: Final = (1 << 63) - 1


@dataclass(frozen=True)
class Thread:
    """A thread with events."""

    row: int
    key: int  # as `incarnations` tells it apart
    tgid: int
    pid: int
    number: int  # the how manieth with these, from 0
    process: int  # row in the metadata's processes, -1 if it isn't there
    ended: bool  # it, or its process, ended while the recording ran
    name: str | None


def threads_of(
    keys: Addresses, first_seen: Ints, metadata: TraceMetadata, incarnations: Incarnations
) -> list[Thread]:
    """The threads `keys`, each `tgid << 32 | pid` as `incarnations` has told them apart, whose first events
    were at `first_seen` (monotonic ns)."""
    started, ended_at = metadata["started"], metadata["ended"]["monotonic_ns"]
    to_monotonic = started["monotonic_ns"] - started["boottime_ns"]
    lives: dict[int, list[_Life]] = {}
    for row, process in enumerate(metadata["processes"]):
        start, end = process["start_ns"], process["end_ns"]
        begun = -1 if start is None else start + to_monotonic
        lives.setdefault(process["tgid"], []).append(_Life(_NEVER if end is None else end, begun, row))
    # Past --max-events nothing was recorded, so an end says nothing about a call that was cut off.
    cut = metadata["counts"]["after_limit"] > 0

    threads = []
    for row, (key, first) in enumerate(zip(keys.tolist(), first_seen.tolist(), strict=True)):
        tgid, pid, number = incarnations.split(key)
        life = _process_at(lives.get(tgid, []), first)
        thread = incarnations.row(tgid, pid, number)
        ends = [life.end if life else _NEVER, _NEVER if thread is None else thread["end_ns"]]
        ended = not cut and any(end is not None and end <= ended_at for end in ends)
        name = None if thread is None else thread["name"]
        threads.append(Thread(row, key, tgid, pid, number, life.row if life else -1, ended, name))
    return threads


class _Life(NamedTuple):
    """A process: when it ended and started, and its row in the metadata."""

    end: int
    start: int
    row: int


def _process_at(lives: list[_Life], when: int) -> _Life | None:
    """The process that had the id then. Its end is known to the nanosecond, its start may be 10 ms early."""
    begun = [life for life in lives if life.start <= when]
    candidates = [life for life in begun if life.end >= when]
    if candidates:
        return min(candidates, key=lambda life: (life.end, -life.start))
    # Its process is not among them: the nearest.
    return max(begun, key=_start) if begun else min(lives, key=_start, default=None)


def _start(life: _Life) -> int:
    return life.start
