"""Calls as rows, by the compiled walk: it writes each call to its place in arrays while the calls come by.

Which place that is is known when the first pass is over. The arrays can therefore be files, for more calls
than memory holds.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import TraceError
from ..schemas import VALUES, TraceMetadata
from . import tables
from .arrays import Flags, Ints
from .correction import Costs
from .native import Struct
from .paired import Calls, table
from .selection import Selection
from .status import NAMES, NONE
from .walking import Source, Walks, chosen_by

#: The arrays of the walk, but for those of registers: `value0` and `valid0`, and so on.
_KINDS: Final[dict[str, Any]] = {
    **dict.fromkeys(
        ("parent", "outer", "start", "end", "duration", "self_ns", "entry_row", "exit_row"), np.int64
    ),
    **dict.fromkeys(("depth", "function", "caller"), np.int32),
    "status": np.int8,
    **dict.fromkeys(("self_known", "sides", "chosen"), np.uint8),
}

#: What columns of calls are made of; `call_id` and those that tell the thread come from elsewhere.
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "parent_id": ("parent",),
    "depth": ("depth",),
    **dict.fromkeys(("cookie", "name", "module", "function"), ("function",)),
    "caller": ("caller",),
    "start": ("start", "sides"),
    "end": ("end", "sides"),
    "duration_ns": ("duration", "sides"),
    "self_ns": ("self_ns", "self_known"),
    "status": ("status",),
    **{name: (f"value{place}", f"valid{place}") for place, name in enumerate(VALUES)},
}


def pair(source: Source, metadata: TraceMetadata, workers: int, costs: Costs | None = None) -> pl.DataFrame:
    """The calls behind the events, as `paired.table` describes them, without `costs`. Raises TraceError."""
    walks = Walks(source, metadata, workers, costs=costs)
    total = int(walks.calls_of_thread.sum())
    threads = np.arange(len(walks.threads), dtype=np.int32)
    arrays = {name: np.empty(total, kind) for name, kind in _KINDS.items() if name not in ("sides", "chosen")}
    plan = Struct("plan", **chosen_by(Selection(), len(metadata["functions"])))
    walks.nest(plan, Struct("rows", **arrays))
    arrays["self_known"] = arrays["self_known"].view(np.bool_)
    calls = Calls(thread=np.repeat(threads, walks.calls_of_thread), **arrays)
    arrays.clear()
    return table([calls], walks.threads)


class CallRows:
    """The calls `selection` of a trace, with `columns` of `schemas.CALLS`, or `function` or `caller`.

    Durations are without `costs`. What takes more than `memory` bytes is in a file that nobody else sees.
    Raises TraceError.
    """

    def __init__(
        self,
        source: Source,
        metadata: TraceMetadata,
        columns: Sequence[str],
        selection: Selection,
        workers: int,
        memory: int,
        costs: Costs | None = None,
    ) -> None:
        self._columns = list(columns)
        self._names = tables.functions(metadata).select(
            "cookie", pl.col("demangled", "file").cast(pl.Categorical)
        )
        registers = [name for name in VALUES if name in columns]
        # The number of each call counts those of all threads.
        walks = Walks(
            source,
            metadata,
            workers,
            counted=Selection(),
            wanted=selection,
            columns=registers,
            costs=costs,
        )
        self._first_call = np.r_[0, np.cumsum(walks.calls_of_thread)].astype(np.int64)
        self._threads: dict[str, NDArray[Any]] = {
            "process": np.array([thread.process for thread in walks.threads], np.int64),
            "tgid": np.array([thread.tgid for thread in walks.threads], np.uint32),
            "pid": np.array([thread.pid for thread in walks.threads], np.uint32),
        }
        self._has_thread = np.array(
            [selection.has_thread(thread.tgid, thread.pid) for thread in walks.threads], np.bool_
        )
        needed = {name for column in columns for name in _NEEDS.get(column, ())}
        if selection.layers or selection.since is not None or selection.until is not None:
            needed.add("chosen")
        self._arrays = _room(sorted(needed), int(self._first_call[-1]), memory)
        walks.nest(Struct("plan", **chosen_by(selection, len(self._names))), Struct("rows", **self._arrays))

    def frames(self, rows: int, first: int = 0, end: int | None = None) -> Iterator[pl.DataFrame]:
        """Those of the calls from the id `first` to before `end` in frames of at most `rows` rows."""
        end = len(self) if end is None else end
        for low, high in pairwise([*range(first, end, rows), end]):
            ids = np.arange(low, high)
            thread = np.searchsorted(self._first_call, ids, side="right") - 1
            kept = self._has_thread[thread]
            if "chosen" in self._arrays:
                kept &= self._arrays["chosen"][low:high].view(np.bool_)
            if kept.all():
                yield self._frame(slice(low, high), ids, thread)
            elif kept.any():
                yield self._frame(ids[kept], ids[kept], thread[kept])

    def __len__(self) -> int:
        """How many calls there are, chosen or not."""
        return int(self._first_call[-1])

    def thread_of(self, call_id: int) -> tuple[int, int]:
        """The first id of the calls of the thread that made this one, and where they end."""
        thread = int(np.searchsorted(self._first_call, call_id, side="right")) - 1
        return int(self._first_call[thread]), int(self._first_call[thread + 1])

    def _frame(self, place: slice | Ints, ids: Ints, thread: Ints) -> pl.DataFrame:
        part = {name: array[place] for name, array in self._arrays.items()}
        columns = {name: self._column(name, part, ids, thread) for name in self._columns}
        plain = {name: value for name, value in columns.items() if isinstance(value, pa.Array)}
        frame = pl.from_arrow(pa.table(plain)) if plain else pl.DataFrame()
        assert isinstance(frame, pl.DataFrame)
        looked_up = {name: value for name, value in columns.items() if isinstance(value, pl.Series)}
        return frame.with_columns(**looked_up).select(self._columns)

    def _column(
        self, name: str, part: dict[str, NDArray[Any]], ids: Ints, thread: Ints
    ) -> pa.Array[Any] | pl.Series:
        match name:
            case "call_id":
                return _column(ids, pa.uint64())
            case "process":
                process = self._threads["process"][thread]
                return _column(process, pa.uint32(), process >= 0)
            case "tgid" | "pid":
                return _column(self._threads[name][thread], pa.uint32())
            case "cookie" | "name" | "module":
                source = {"cookie": "cookie", "name": "demangled", "module": "file"}[name]
                return self._names[source].gather(part["function"])
            case "parent_id" | "caller":
                values = part["parent" if name == "parent_id" else name]
                return _column(values, pa.uint64() if name == "parent_id" else pa.uint32(), values >= 0)
            case "depth" | "function":
                return _column(part[name], pa.uint32())
            case "start" | "end":
                return _column(part[name], pa.int64(), (part["sides"] & (1 if name == "start" else 2)) != 0)
            case "duration_ns":
                return _column(part["duration"], pa.int64(), part["sides"] == 3)
            case "self_ns":
                return _column(part["self_ns"], pa.int64(), part["self_known"] != 0)
            case "status":
                codes = _column(part["status"], pa.int8(), part["status"] != NONE)
                return pa.DictionaryArray.from_arrays(codes, pa.array(NAMES))
        values, valid = (part[array] for array in _NEEDS[name])
        return _column(values, pa.uint64(), valid != 0)


def _column(values: NDArray[Any], kind: pa.DataType, valid: Flags | None = None) -> pa.Array[Any]:
    typed = values.astype(str(kind), copy=False)  # Arrow's own conversion would import pandas
    return pa.array(typed, type=kind, mask=None if valid is None else ~valid)


def _room(names: Sequence[str], count: int, memory: int) -> dict[str, NDArray[Any]]:
    """Arrays for so many calls, in memory or in a file."""
    kinds = {name: np.dtype(_kind(name)) for name in names}
    size = count * sum(kind.itemsize for kind in kinds.values())
    if size <= memory:
        # What the walk doesn't come to is not chosen.
        return {
            name: (np.zeros if name == "chosen" else np.empty)(count, kind) for name, kind in kinds.items()
        }
    block = _file(size)
    arrays, at = {}, 0  # the file is full of zeros
    for name, kind in sorted(kinds.items(), key=lambda item: -item[1].itemsize):
        arrays[name] = np.frombuffer(block, kind, count, at)
        at += count * kind.itemsize
    return arrays


def _kind(name: str) -> Any:
    return _KINDS.get(name, np.uint64 if name.startswith("value") else np.uint8)


def _file(size: int) -> mmap.mmap:
    """A file without a name. Its blocks are all there: where the disk is full, writing could only crash."""
    # /tmp is in memory on many systems.
    directory = os.environ.get("TMPDIR") or ("/var/tmp" if os.path.isdir("/var/tmp") else None)
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            os.posix_fallocate(file.fileno(), 0, size)
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise TraceError(
            f"the calls take {size / 1e9:,.1f} GB, more than --memory allows, and a file of that size cannot "
            f"be made: {error.strerror}",
            "name a directory with more room in TMPDIR, or allow more --memory",
        ) from None
