"""The table of paired calls: numbers only, without names and arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from .arrays import Bytes, Codes, Flags, Ints
from .processes import Thread
from .status import NAMES, NONE


@dataclass
class Calls:
    """Columns of calls; -1 stands for null. `parent` and `outer` are rows here, `thread` is a thread's."""

    parent: Ints
    outer: Ints
    thread: Codes
    depth: Codes
    function: Codes
    caller: Codes
    start: Ints
    end: Ints
    duration: Ints
    self_ns: Ints
    self_known: Flags
    entry_row: Ints
    exit_row: Ints
    status: Bytes


def table(parts: list[Calls], threads: Sequence[Thread]) -> pl.DataFrame:
    """The calls of `parts`, which are of threads one after the other, and are taken apart.

    One row a call, in order of (tgid, pid, start):

    | column | type | |
    | --- | --- | --- |
    | `call_id`, `parent_id` | uint64 | row of the call and of its caller (null at a root) |
    | `process` | uint32 | row in the metadata's processes; null if it isn't there |
    | `tgid`, `pid`, `depth` | uint32 | |
    | `function`, `caller` | uint32 | rows in the metadata's functions; `caller` null at a root |
    | `start`, `end`, `duration_ns`, `self_ns` | int64 | ns, null where a side is missing |
    | `entry_row`, `exit_row` | int64 | rows of `events`, null where a side is missing |
    | `status` | categorical | a key of `STATUS`; null for entry-only functions without an exit |
    | `outer_id` | uint64 | call_id of the nearest complete call around it, null if there is none |
    """
    first_call = 0
    for part in parts:
        part.parent[part.parent >= 0] += first_call
        part.outer[part.outer >= 0] += first_call
        first_call += len(part.thread)
    joined: dict[str, NDArray[Any]] = {}
    for field in fields(Calls):
        arrays = [getattr(part, field.name) for part in parts]
        joined[field.name] = np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
        for part in parts:
            delattr(part, field.name)
    count = len(joined["thread"])
    known = {side: joined[f"{side}_row"] >= 0 for side in ("entry", "exit")}
    thread = joined.pop("thread")
    process = np.array([t.process for t in threads], np.int64)
    tgid = np.array([t.tgid for t in threads], np.uint32)
    pid = np.array([t.pid for t in threads], np.uint32)

    def column(values: NDArray[Any], kind: pa.DataType, valid: Flags | None = None) -> pa.Array[Any]:
        typed = values.astype(str(kind), copy=False)  # Arrow's own conversion would import pandas
        return pa.array(typed, type=kind, mask=None if valid is None else ~valid)

    start, end = joined.pop("start"), joined.pop("end")
    both = known["entry"] & known["exit"]
    columns = {
        "call_id": column(np.arange(count), pa.uint64()),
        "parent_id": column(joined["parent"], pa.uint64(), joined["parent"] >= 0),
        "process": column(process[thread], pa.uint32(), process[thread] >= 0),
        "tgid": column(tgid[thread], pa.uint32()),
        "pid": column(pid[thread], pa.uint32()),
        "depth": column(joined["depth"], pa.uint32()),
        "function": column(joined["function"], pa.uint32()),
        "caller": column(joined["caller"], pa.uint32(), joined["caller"] >= 0),
        "start": column(start, pa.int64(), known["entry"]),
        "end": column(end, pa.int64(), known["exit"]),
        "duration_ns": column(joined["duration"], pa.int64(), both),
        "self_ns": column(joined["self_ns"], pa.int64(), joined["self_known"].astype(np.bool_)),
        "entry_row": column(joined["entry_row"], pa.int64(), known["entry"]),
        "exit_row": column(joined["exit_row"], pa.int64(), known["exit"]),
        "status": pa.DictionaryArray.from_arrays(
            column(joined["status"], pa.int8(), joined["status"] != NONE), pa.array(NAMES)
        ),
        "outer_id": column(joined["outer"], pa.uint64(), joined["outer"] >= 0),
    }
    joined.clear()
    frame = pl.from_arrow(pa.table(columns))
    assert isinstance(frame, pl.DataFrame)
    return frame
