"""Events to calls: pair entries with exits, thread by thread, and find who called whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import TraceError
from ..schemas import TraceMetadata
from . import chains, nesting
from .arrays import Addresses, Bytes, Codes, Flags, Ints
from .processes import Thread, threads_of
from .status import NAMES, NONE, LossWindows, status

#: Threads are worked on together until they hold this many events: enough that NumPy's overhead per
#: operation doesn't count, few enough that the arrays of a step stay near the processor.
BATCH_EVENTS = 1 << 20

#: What `pair` reads of the events.
NEEDS = ["type", "cookie", "pid", "tgid", "timestamp", "frame"]


def pair(events: pl.LazyFrame, metadata: TraceMetadata) -> pl.LazyFrame:
    """
    The calls behind `events`, which need the columns `NEEDS`; within a thread they stand in order.

    Yields one row a call, in order of (tgid, pid, start):

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

    Raises TraceError where the events name a function that the metadata lacks.
    """
    table = events.select(NEEDS).collect().to_arrow()
    is_entry = _is_entry(table)
    function = _function_rows(table, metadata)
    keys = pc.bit_wise_or(
        pc.shift_left(table["tgid"].cast(pa.uint64()), pa.scalar(32, pa.uint64())),
        table["pid"].cast(pa.uint64()),
    )
    code, thread_keys = _encode(keys)
    del keys
    timestamp = _numpy(table["timestamp"])
    frame = _numpy(table["frame"])
    del table

    rank = np.argsort(np.argsort(thread_keys)).astype(np.int32)
    code = rank[code]
    thread_keys.sort()
    sizes = np.bincount(code, minlength=len(thread_keys))
    starts = np.r_[0, np.cumsum(sizes)]
    if len(thread_keys) == 1:
        by_thread = np.arange(len(code))
    else:
        by_thread = np.argsort(code.astype(np.uint16) if len(thread_keys) < 1 << 16 else code, kind="stable")
    first_seen = timestamp[by_thread[starts[:-1]]]
    threads = threads_of(thread_keys, first_seen, metadata)

    exit_traced = np.array([f["exit"] != "none" for f in metadata["functions"]], np.bool_)
    windows = LossWindows(metadata["loss_windows"], metadata["counts"])
    parts, first_call = [], 0
    for low, high in _batches(starts):
        rows = by_thread[starts[low] : starts[high]]
        part = _pair_batch(
            rows,
            code[rows] - np.int32(low),
            frame[rows],
            function[rows],
            is_entry[rows],
            timestamp[rows],
            exit_traced,
            threads[low:high],
            windows,
            first_call,
        )
        first_call += len(part.entry_row)
        parts.append(part)
    del by_thread, code, frame, function, is_entry, timestamp
    return _frame(parts, threads).lazy()


@dataclass
class _Calls:
    """The calls of a batch of threads; -1 and `missing` stand for null."""

    parent: Ints
    outer: Ints
    thread: Codes
    depth: Codes
    function: Codes
    caller: Codes
    start: Ints
    end: Ints
    self_ns: Ints
    self_known: Flags
    entry_row: Ints
    exit_row: Ints
    status: Bytes


def _pair_batch(
    rows: Ints,
    thread: Codes,
    frame: Addresses,
    function: Codes,
    is_entry: Flags,
    timestamp: Ints,
    exit_traced: Flags,
    threads: list[Thread],
    windows: LossWindows,
    first_call: int,
) -> _Calls:
    """Pair the events of whole threads, which stand one after the other."""
    count = len(rows)
    partner = chains.match(thread, frame, function, is_entry, usable=~is_entry | exit_traced[function])
    at = np.flatnonzero(is_entry | (partner < 0))  # each call's first event that was seen
    other = partner[at]
    entered = is_entry[at]
    complete = entered & (other >= 0)
    called = function[at]
    entry_only = ~exit_traced[called]

    # A call without an exit holds others until its frame is seen to be gone, or its thread ends.
    thread_end = np.cumsum(np.bincount(thread, minlength=len(threads)))[thread[at]]
    unfinished = np.flatnonzero(entered & ~complete & ~entry_only)
    left_before = nesting.next_reaching(frame, at[unfinished])
    left = np.zeros(len(at), np.bool_)
    left[unfinished] = left_before < thread_end[unfinished]
    left_by = np.zeros(len(at), np.int64)
    left_by[left] = timestamp[left_before[left[unfinished]]]
    left_before = np.minimum(left_before, thread_end[unfinished])

    whole = np.flatnonzero(complete)
    holding = np.sort(np.r_[at[whole], at[unfinished]])
    depth = nesting.depths(count, holding, other[whole], left_before)[at]
    parent = nesting.parents(depth)
    outer = nesting.nearest(parent, complete)

    start = timestamp[at]
    end = np.where(complete, timestamp[other], start)
    duration = end - start
    self_ns = duration.copy()
    inner = whole[outer[whole] >= 0]
    np.subtract.at(self_ns, outer[inner], duration[inner])
    # Where stacks are switched a call can outlast the call that it seems to run in.
    straddling = inner[other[inner] > other[outer[inner]]]
    self_known = complete.copy()
    self_known[outer[straddling]] = False

    ended = np.array([t.ended for t in threads], np.bool_)[thread[at]]
    return _Calls(
        parent=np.where(parent >= 0, parent + first_call, -1),
        outer=np.where(outer >= 0, outer + first_call, -1),
        thread=np.array([t.row for t in threads], np.int32)[thread[at]],
        depth=depth,
        function=called,
        caller=np.where(parent >= 0, called[parent], -1).astype(np.int32),
        start=start,
        end=end,
        self_ns=self_ns,
        self_known=self_known,
        entry_row=np.where(entered, rows[at], -1),
        exit_row=np.where(complete, rows[other], np.where(entered, -1, rows[at])),
        status=status(complete, entered, entry_only, start, left_by, left, ended, windows),
    )


def _frame(parts: list[_Calls], threads: list[Thread]) -> pl.DataFrame:
    """The batches as one table."""
    joined: dict[str, np.ndarray] = {}
    for field in fields(_Calls):
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

    def column(values: np.ndarray, kind: pa.DataType, valid: Flags | None = None) -> pa.Array:
        typed = values.astype(kind.to_pandas_dtype(), copy=False)
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
        "duration_ns": column(end - start, pa.int64(), both),
        "self_ns": column(joined["self_ns"], pa.int64(), joined["self_known"]),
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


def _batches(starts: Ints) -> Iterator[tuple[int, int]]:
    """Ranges of threads, whose events begin at `starts`, of about `BATCH_EVENTS` each."""
    low = 0
    for high in range(1, len(starts)):
        if starts[high] - starts[low] >= BATCH_EVENTS or high == len(starts) - 1:
            yield low, high
            low = high


def _is_entry(table: pa.Table) -> Flags:
    flags = pc.equal(table["type"].cast(pa.string()), "entry")
    return _numpy(flags)


def _function_rows(table: pa.Table, metadata: TraceMetadata) -> Codes:
    """Each event's row in the metadata's function table."""
    row_of = {function["cookie"]: row for row, function in enumerate(metadata["functions"])}
    code, cookies = _encode(table["cookie"])
    try:
        rows = np.array([row_of[cookie] for cookie in cookies.tolist()], np.int32)
    except KeyError as missing:
        raise TraceError(
            f"the trace has events of a function (cookie {missing}) that its function table lacks",
            "the file is damaged, or was put together from several traces; analyse the original",
        ) from None
    return rows[code] if len(rows) else np.zeros(0, np.int32)


def _encode(column: pa.ChunkedArray) -> tuple[Codes, np.ndarray]:
    """Dictionary-encode a column without nulls: codes, and the values that they stand for."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.to_numpy(), encoded.dictionary.to_numpy(zero_copy_only=False).copy()


def _numpy(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy()
