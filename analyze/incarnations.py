"""Tell apart the threads that had one id one after the other.

The recorder knows when each thread ended, and has a row for each. Where an id came again, its events are
told apart by these times; for pairing each such thread gets an id of its own: which one it is, in bits that
no kernel uses for ids (they are less than 2^22: PID_MAX_LIMIT of include/linux/threads.h).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..schemas import TraceMetadata
from ..schemas.metadata import ThreadInfo
from .arrays import Addresses, Ints

_ID_BITS: Final = 22
_ID: Final = (1 << _ID_BITS) - 1
_SPARE: Final = (1 << 32 - _ID_BITS) - 1
_NEVER: Final = np.iinfo(np.int64).max


class Incarnations:
    """The threads of a trace whose ids came again."""

    def __init__(self, metadata: TraceMetadata) -> None:
        rows: dict[int, list[ThreadInfo]] = {}
        for thread in metadata["threads"]:
            rows.setdefault(thread["tgid"] << 32 | thread["pid"], []).append(thread)
        for found in rows.values():
            found.sort(key=_end)
        self._rows = rows
        again = sorted(key for key, found in rows.items() if len(found) > 1 and not key & ~_key(_ID, _ID))
        self._again = np.array(again, np.uint64)
        self._ends = [np.array([_end(row) for row in rows[key][:-1]], np.int64) for key in again]

    def told_apart(self, events: pa.Table) -> pa.Table:
        """`events` with other `tgid` and `pid` where a thread was not the first with these."""
        if not len(self._again):
            return events
        tgid, pid = events["tgid"].to_numpy(), events["pid"].to_numpy()
        number = self.numbers(tgid, pid, events["timestamp"].to_numpy())
        for name, ids, bits in (("tgid", tgid, number // (_SPARE + 1)), ("pid", pid, number & _SPARE)):
            other = pa.array(ids | bits.astype(np.uint32) << np.uint32(_ID_BITS))
            events = events.set_column(events.column_names.index(name), name, other)
        return events

    def numbers(self, tgid: NDArray[Any], pid: NDArray[Any], times: Ints) -> Ints:
        """The how manieth thread with its id each is, from 0, that did something at these times."""
        number = np.zeros(len(times), np.int64)
        if not len(self._again):
            return number
        keys = tgid.astype(np.uint64) << np.uint64(32) | pid
        place = np.minimum(np.searchsorted(self._again, keys), len(self._again) - 1)
        rows = np.flatnonzero(self._again[place] == keys)
        rows = rows[np.argsort(place[rows], kind="stable")]
        for part in np.split(rows, np.flatnonzero(np.diff(place[rows])) + 1):
            if len(part):
                number[part] = np.searchsorted(self._ends[place[part[0]]], times[part])
        return number

    def order(self, keys: Addresses) -> Ints:
        """How to sort `keys`, each `tgid << 32 | pid` as told apart: by (tgid, pid), then by time."""
        parts = [self.split(key) for key in keys.tolist()]
        order: Ints = np.array(sorted(range(len(parts)), key=parts.__getitem__), np.int64)
        return order

    def split(self, key: int) -> tuple[int, int, int]:
        """tgid, pid and number of a thread as told apart."""
        plain = key & _key(_ID, _ID)
        number = (key >> 32 + _ID_BITS) * (_SPARE + 1) + ((key & 0xFFFFFFFF) >> _ID_BITS)
        if number and 0 < number < len(self._rows.get(plain, ())):
            return plain >> 32, plain & 0xFFFFFFFF, number
        return key >> 32, key & 0xFFFFFFFF, 0

    def keys(self, tgid: int, pid: int, start: int, end: int) -> Iterator[int]:
        """The threads with these ids that lived between two times, as told apart."""
        ids = np.full(2, tgid, np.uint32), np.full(2, pid, np.uint32)
        first, last = self.numbers(*ids, np.array([start, end], np.int64)).tolist()
        for number in range(first, last + 1):
            high, low = divmod(number, _SPARE + 1)
            yield _key(tgid | high << _ID_BITS, pid | low << _ID_BITS)

    def all_of(self, ids: frozenset[int] | None) -> frozenset[int] | None:
        """`ids`, of processes or of threads, and what they are where threads are told apart."""
        if ids is None or not len(self._again):
            return ids
        most = max(len(ends) for ends in self._ends)
        bits = range(1, min(most, _SPARE) + 1)
        return ids | {one | high << _ID_BITS for one in ids for high in bits}

    def row(self, tgid: int, pid: int, number: int) -> ThreadInfo | None:
        """What the metadata says of a thread."""
        found = self._rows.get(_key(tgid, pid), ())
        return found[number] if number < len(found) else None


def _key(tgid: int, pid: int) -> int:
    return tgid << 32 | pid


def _end(thread: ThreadInfo) -> int:
    return _NEVER if thread["end_ns"] is None else thread["end_ns"]
