"""The slowest report: single calls, what they were given, who called them, and where their time went."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from ..errors import UsageError
from ..schemas import MAX_ARGS, TraceMetadata
from .ancestry import Ancestry
from .arrays import Ints

#: By what calls can be the slowest.
ORDERS = ("duration_ns", "self_ns")
#: What `describe` needs of each call, and `function`.
NEEDS = [
    *("call_id", "parent_id", "tgid", "pid", "depth", "start", "end", "duration_ns", "self_ns"),
    *(f"arg{i}" for i in range(MAX_ARGS)),
    *("ret_val", "function"),
]


def longest(batches: Iterable[pl.DataFrame], count: int, by: str) -> list[int]:
    """The ids of the `count` calls with most of `by`, one of ORDERS, most first; of equals those that come
    first. `batches` need that and `call_id`. One pass, which keeps no more calls than that.
    """
    best = pl.DataFrame(schema={"call_id": pl.UInt64, by: pl.Int64})
    for batch in batches:
        both = pl.concat([best, batch.select("call_id", by).drop_nulls(by)])
        best = both.sort(by, "call_id", descending=[True, False]).head(count)
    ids: list[int] = best["call_id"].to_list()
    return ids


def threads_of(paired: pl.LazyFrame, ids: Sequence[int]) -> pl.LazyFrame:
    """All calls of the threads that made the calls `ids`; raises UsageError where there is no such call."""
    thread = (pl.col("tgid").cast(pl.UInt64) * (1 << 32)) + pl.col("pid")
    chosen = (
        paired.filter(pl.col("call_id").is_in(list(ids))).select("call_id", thread.alias("key")).collect()
    )
    for call_id in ids:
        if call_id not in chosen["call_id"]:
            raise no_call(call_id, paired.select(pl.len()).collect().item())
    return paired.filter(thread.is_in(chosen["key"].unique().implode()))


def no_call(call_id: int, count: int) -> UsageError:
    """Says that in a trace of `count` calls there is none of that id."""
    return UsageError(
        f"there is no call {call_id}",
        f"`funcsnoop analyze slowest` and `calls` give ids; the trace has {count:,} calls, from 0",
    )


@dataclass
class _Call:
    """A call that is looked at, and what ran inside it so far: by function number of calls and own time."""

    row: dict[str, Any]
    callers: list[int]
    inside: dict[int, list[int]] = field(default_factory=dict)

    def add(self, calls: pl.DataFrame) -> None:
        found = calls.group_by("function").agg(pl.len(), pl.col("self_ns").sum())
        for function, count, self_ns in found.iter_rows():
            sums = self.inside.setdefault(function, [0, 0])
            sums[0] += count
            sums[1] += self_ns


def describe(
    batches: Iterable[pl.DataFrame],
    ids: Sequence[int],
    functions: pl.LazyFrame,
    metadata: TraceMetadata,
    *,
    marked: bool = False,
) -> pl.LazyFrame:
    """`schemas.SLOWEST` of the calls `ids`, in that order; `marked` adds `cookie`, as functions can share a
    name.

    `batches` have NEEDS of whole threads, thread by thread in order of start. One pass.
    """
    wanted = np.sort(np.array(ids, np.int64))
    found: dict[int, _Call] = {}
    running: list[_Call] = []
    ancestry = Ancestry()
    for batch in batches:
        ancestry.add(batch)
        seen = batch["call_id"].cast(pl.Int64).to_numpy()
        thread = (batch["tgid"].cast(pl.UInt64).to_numpy() << np.uint64(32)) | batch["pid"].to_numpy()
        depth = batch["depth"].cast(pl.Int64).to_numpy()
        still = []
        begins = [(call, -1) for call in running]
        for place in np.flatnonzero(np.isin(seen, wanted)).tolist():
            row = batch.row(place, named=True)
            call = _Call(row, ancestry.callers(row["call_id"]))
            found[row["call_id"]] = call
            begins.append((call, place))
        for call, place in begins:
            key = np.uint64(call.row["tgid"] << 32 | call.row["pid"])
            after = end_of(depth, thread != key, place + 1, call.row["depth"])
            call.add(batch[place + 1 : after])
            if after == len(batch):
                still.append(call)
        running = still
    table = _table([found[call_id] for call_id in ids], functions, metadata)
    return table if marked else table.drop("cookie")


def subtree(batches: Iterable[pl.DataFrame], call_id: int) -> Iterator[pl.DataFrame]:
    """A call and all that ran inside it, in order; `batches` have `call_id` and `depth` of its thread."""
    depth: int | None = None
    for batch in batches:
        first = 0
        if depth is None:
            rows = batch.with_row_index("row").filter(pl.col("call_id") == call_id)
            if rows.is_empty():
                continue
            depth = int(rows["depth"][0])
            first = int(rows["row"][0]) + 1
            yield batch[first - 1 : first]
        depths = batch["depth"].cast(pl.Int64).to_numpy()
        after = end_of(depths, np.zeros(len(batch), np.bool_), first, depth)
        if after > first:
            yield batch[first:after]
        if after < len(batch):
            return


def end_of(depth: Ints, elsewhere: Any, first: int, around: int) -> int:
    """Where, from `first` on, calls are no longer inside one of depth `around`, or are `elsewhere`."""
    size = 64
    while first < len(depth):
        # Most calls hold few others: look a little way before looking far.
        part = slice(first, first + size)
        out = np.flatnonzero((depth[part] <= around) | elsewhere[part])
        if len(out):
            return first + int(out[0])
        first += size
        size *= 8
    return len(depth)


def _table(calls: Sequence[_Call], functions: pl.LazyFrame, metadata: TraceMetadata) -> pl.LazyFrame:
    names = functions.select("demangled", "file", "cookie").collect().rows()
    threads = {(t["tgid"], t["pid"]): t["name"] for t in metadata["threads"]}
    registers = [*(f"arg{i}" for i in range(MAX_ARGS)), "ret_val"]
    rows = []
    for call in calls:
        row = {name: call.row[name] for name in ("call_id", "tgid", "pid")}
        row["thread_name"] = threads.get((row["tgid"], row["pid"]))
        row["function"], row["module"], row["cookie"] = names[call.row["function"]]
        row |= {name: call.row[name] for name in ("depth", "start", "end", "duration_ns", "self_ns")}
        row |= {name: call.row[name] for name in registers}
        row["callers"] = [names[function][0] for function in call.callers]
        order = sorted(call.inside.items(), key=lambda item: (-item[1][1], item[0]))
        row["inside"] = [
            {"function": names[f][0], "module": names[f][1], "calls": count, "self_ns": self_ns}
            for f, (count, self_ns) in order
        ]
        rows.append(row)
    inside = {"function": pl.String, "module": pl.String, "calls": pl.UInt64, "self_ns": pl.Int64}
    schema: dict[str, Any] = {
        "call_id": pl.UInt64,
        **dict.fromkeys(("tgid", "pid"), pl.UInt32),
        **dict.fromkeys(("thread_name", "function", "module"), pl.String),
        "depth": pl.UInt32,
        **dict.fromkeys(("start", "end", "duration_ns", "self_ns"), pl.Int64),
        **dict.fromkeys(registers, pl.UInt64),
        "callers": pl.List(pl.String),
        "inside": pl.List(pl.Struct(inside)),
        "cookie": pl.UInt64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").lazy()
