"""The threads that appear in the events, and what the metadata knows of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..schemas import TraceMetadata
from .arrays import Addresses, Ints


@dataclass(frozen=True)
class Thread:
    """A thread with events."""

    row: int
    tgid: int
    pid: int
    process: int  # row in the metadata's processes, -1 if it isn't there
    ended: bool  # it, or its process, ended while the recording ran


def threads_of(keys: Addresses, first_seen: Ints, metadata: TraceMetadata) -> list[Thread]:
    """The threads `keys`, each `tgid << 32 | pid`, whose first events were at `first_seen` (monotonic ns)."""
    started, ended_at = metadata["started"], metadata["ended"]["monotonic_ns"]
    to_monotonic = started["monotonic_ns"] - started["boottime_ns"]
    born: dict[int, list[tuple[int, int]]] = {}
    for row, process in enumerate(metadata["processes"]):
        start = process["start_ns"]
        born.setdefault(process["tgid"], []).append((-1 if start is None else start + to_monotonic, row))
    # Past --max-events nothing was recorded, so an end says nothing about a call that was cut off.
    cut = metadata["counts"]["after_limit"] > 0
    thread_ends = {(t["tgid"], t["pid"]): t["end_ns"] for t in metadata["threads"]}

    threads = []
    for row, (key, first) in enumerate(zip(keys.tolist(), first_seen.tolist(), strict=True)):
        tgid, pid = key >> 32, key & 0xFFFFFFFF
        candidates = sorted(born.get(tgid, []))
        # An id can be used again: the process is the last one that had begun by then.
        chosen = next((r for start, r in reversed(candidates) if start <= first), -1)
        if chosen < 0 and candidates:
            chosen = candidates[0][1]
        process_end = metadata["processes"][chosen]["end_ns"] if chosen >= 0 else None
        ends = [thread_ends.get((tgid, pid)), process_end]
        ended = not cut and any(end is not None and end <= ended_at for end in ends)
        threads.append(Thread(row, tgid, pid, chosen, ended))
    return threads
