"""Figures of traces, in two plain functions: `process` makes those of one partition, `merge` adds them up.

Both take and return values that can be pickled, so that whatever starts processes, here or on many
machines, can run them:

    parts = pool.map(process, partitions, repeat(question))
    figures = merge(list(parts))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ..schemas import VALUES, TraceMetadata
from . import native
from .casts import KINDS
from .correction import costs_of
from .figures import KEPT, Columns, Figures, Function, Origin, functions_of, merge, origin_of
from .gather import gather
from .memory import check_fits
from .native import Struct
from .pairing import EVENT_BYTES, NEEDS, pair
from .processes import Thread
from .pruning import Pruning
from .question import Partition, Question
from .reading import TraceFile
from .registers_held import KEPT as KEPT_IN_GROUP
from .registers_held import Register
from .spread import Spread
from .walking import Source, Walks, chosen_by

__all__ = ["figures_of", "merge", "process"]

#: Tables of values have room for 1 << this many, and are filled to three quarters.
_VALUE_BITS = 14
#: Bytes for durations and values that are kept one by one.
_MOST_KEPT = 1 << 29
#: Places in the calling-context tree.
_MOST_PLACES = 1 << 20


def process(
    partition: Partition, question: Question, progress: Callable[[int], None] | None = None
) -> Figures:
    """The figures of a partition. `progress` is told how many more events have been read, all of them twice.

    Raises TraceError.
    """
    return figures_of(TraceFile(partition.path), partition, question, progress)


def figures_of(
    file: TraceFile, partition: Partition, question: Question, progress: Callable[[int], None] | None = None
) -> Figures:
    """The same of a file that is already open."""
    if native.library() is None:
        return _by_numpy(file, partition, question)

    def parts(columns: list[str], pruning: Pruning) -> Iterator[tuple[int, pa.Table]]:
        for first, table in file.parts(columns, pruning):
            yield first, table
            if progress is not None:
                progress(table.num_rows)

    return walked(parts, file.metadata, partition, question)


def walked(source: Source, metadata: TraceMetadata, partition: Partition, question: Question) -> Figures:
    """The figures of the events of `source`, by compiled walks."""
    names = [(function["demangled"], function["symbol"]) for function in metadata["functions"]]
    walks = Walks(
        source,
        metadata,
        partition.workers,
        part=partition.part,
        parts=partition.parts,
        wanted=question.selection,
        columns=question.columns,
        costs=costs_of(metadata, partition.path) if question.correct else None,
    )
    walks.nest(_plan(question, names, partition.workers))
    functions, origin = functions_of(metadata), origin_of(partition.path, metadata)
    return merge([_figures(gathered, threads, functions, origin) for gathered, threads in walks.gathered()])


def _by_numpy(file: TraceFile, partition: Partition, question: Question) -> Figures:
    """The same, all events at once."""
    check_fits(file.name, file.rows, EVENT_BYTES)
    events = pl.from_arrow(file.table(NEEDS))
    assert isinstance(events, pl.DataFrame)
    mine = pl.Series([True]).new_from_index(0, len(events))
    if partition.parts > 1:
        thread = events.select(pl.col("tgid").cast(pl.UInt64) * (1 << 32) + pl.col("pid")).to_series()
        appeared = thread.unique(maintain_order=True)
        mine = thread.is_in(appeared.gather_every(partition.parts, partition.part).implode())

    def values(columns: Sequence[str]) -> pl.LazyFrame:
        frame = pl.from_arrow(file.table(list(columns)))
        assert isinstance(frame, pl.DataFrame)
        return frame.filter(mine).lazy()

    costs = costs_of(file.metadata, partition.path) if question.correct else None
    paired = question.selection.of(pair(events.filter(mine).lazy(), file.metadata, costs))
    return gather(paired, file.metadata, values, question.columns, question.casts, partition.path)


def _plan(question: Question, names: list[tuple[str, str]], workers: int) -> Struct:
    kinds = None
    if question.columns:
        kinds = np.zeros((len(names), native.COLUMNS), np.int8)
        kinds[:, [VALUES.index(column) for column in question.columns]] = 64
        for cast in question.casts:
            if cast.arg in question.columns:
                rows = [row for row, name in enumerate(names) if cast.applies(*name, cast.arg)]
                kinds[rows, VALUES.index(cast.arg)] = _kind(cast.kind)
    return Struct(
        "plan",
        **chosen_by(question.selection, len(names)),
        tally=1,
        kinds=kinds,
        keep_function=KEPT,
        keep_group=KEPT_IN_GROUP,
        keep_bytes=min(question.memory // 4, _MOST_KEPT) // workers,
        value_bits=_VALUE_BITS,
        most_places=_MOST_PLACES,
    )


def _kind(name: str) -> int:
    bits, signed = KINDS[name]
    return 1 if name == "bool" else -bits if signed else bits


def _columns(rows: NDArray[Any], names: tuple[str, ...]) -> Columns:
    return {name: rows[:, place] for place, name in enumerate(names)}


_CALLS = ("calls", "complete", "open", "unwound", "lost", "silent", "self_known", "self_ns")
_FEW = ("calls", "complete", "self_known", "self_ns")


def _figures(
    gathered: dict[str, NDArray[Any]], threads: list[Thread], functions: list[Function], origin: Origin
) -> Figures:
    ways = _columns(gathered["ways"], native.WAY)
    own = _columns(gathered["functions"], native.FUNCTION)
    row_of = np.full(len(functions), -1, np.int64)
    row_of[own["function"]] = np.arange(len(own["function"]))
    whole = ways["cut"] == 0
    by_function = _sums(ways, row_of[ways["function"]], len(own["function"]), _CALLS, "total_function")
    edges = _columns(gathered["edges"], ("caller", "callee"))
    places = _columns(gathered["places"], ("parent", "function"))
    # Own time of what was cut is that of the place it hangs at, which may have none itself.
    by_place = {
        name: values if name in ("self_ns", "self_known") else values * whole for name, values in ways.items()
    }
    of_thread = _columns(gathered["threads"], ("calls", "events", "first_ns", "last_ns", "busy_ns"))
    seen = np.flatnonzero(of_thread["calls"])
    ids = {
        "trace": np.zeros(len(seen), np.int64),
        "tgid": np.array([threads[i].tgid for i in seen], np.int64),
        "pid": np.array([threads[i].pid for i in seen], np.int64),
        "number": np.array([threads[i].number for i in seen], np.int64),
    }
    squares = zip(own["squares_low"].view(np.uint64).tolist(), own["squares_high"].tolist(), strict=True)
    return Figures(
        functions=functions,
        by_function={"function": own["function"]}
        | by_function
        | {"sum_ns": own["sum"], "least": own["least"], "greatest": own["greatest"]},
        edges=edges | _sums(ways, ways["edge"], len(edges["caller"]), _FEW, "total_edge"),
        places=places | _sums(by_place, ways["place"], len(places["parent"]), _FEW, "total_place"),
        threads=ids | {name: values[seen] for name, values in of_thread.items()},
        squares=[high << 64 | low for low, high in squares],
        durations=list(_spreads(gathered, "durations")),
        registers=_registers(gathered),
        traces=[origin],
        cut=int(ways["calls"][~whole].sum()),
    )


def _sums(ways: Columns, group: NDArray[np.int64], count: int, names: tuple[str, ...], total: str) -> Columns:
    """Sums over the ways of each group; `total` becomes `total_ns`."""
    found = {}
    for name in (*names, total):
        sums = np.zeros(count, np.int64)
        np.add.at(sums, group, ways[name])
        found["total_ns" if name == total else name] = sums
    return found


def _spreads(gathered: dict[str, NDArray[Any]], name: str) -> Iterator[Spread]:
    value = bucket = 0
    kept, buckets = gathered[f"{name}_kept"].tolist(), gathered[f"{name}_buckets"].tolist()
    for values, many in zip(kept, buckets, strict=True):
        yield Spread(
            gathered[f"{name}_value"][value : value + values],
            gathered[f"{name}_bucket"][bucket : bucket + many],
            gathered[f"{name}_count"][bucket : bucket + many],
        )
        value, bucket = value + values, bucket + many


def _registers(gathered: dict[str, NDArray[Any]]) -> dict[tuple[int, int], Register]:
    found = {}
    groups = _spreads(gathered, "groups")
    value = bucket = sketch = group = 0
    for row in gathered["registers"].tolist():
        header = dict(zip(native.REGISTER, row, strict=True))
        signed = bool(header["is_signed"])
        values = gathered["value"][value : value + header["values"]]
        if signed:
            values = values.view(np.int64)
        order = np.argsort(values)
        some = gathered["group"][group : group + abs(header["groups"])].tolist()
        by_octave = header["groups"] < 0
        buckets = slice(bucket, bucket + header["value_buckets"])
        ordered = np.argsort(gathered["value_bucket"][buckets])
        found[header["function"], header["column"]] = Register(
            count=header["count"],
            total=_total(header["sum_low"], header["sum_high"], signed),
            least=_value(header["least"], signed),
            greatest=_value(header["greatest"], signed),
            values=values[order],
            counts=gathered["count"][value : value + header["values"]][order],
            groups={_key(key, signed, by_octave): next(groups) for key in some},
            by_octave=by_octave,
            missed=header["missed"],
            sketch=gathered["sketches"][sketch] if header["sketched"] else None,
            spread=Spread(
                bucket=gathered["value_bucket"][buckets][ordered],
                counts=gathered["value_bucket_count"][buckets][ordered],
            ),
        )
        value += header["values"]
        bucket += header["value_buckets"]
        sketch += header["sketched"]
        group += len(some)
    return found


def _total(low: int, high: int, signed: bool) -> int:
    total = (high % (1 << 64)) << 64 | low % (1 << 64)
    return total - (1 << 128) if signed and total >> 127 else total


def _value(ordered: int, signed: bool) -> int:
    """The value that the walk keeps in an order in which the least has no bit set."""
    return ordered % (1 << 64) - (1 << 63 if signed else 0)


def _key(key: int, signed: bool, by_octave: bool) -> int:
    if by_octave:
        return key if key < native.OCTAVES else native.OCTAVES - key
    return key if signed else key % (1 << 64)
