"""What a walk finds out about calls: figures that add up, of parts of a trace or of many traces.

Every report but that of the calls themselves comes from these. `engine.process` makes them, of one part;
`merge` makes one of several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from ..schemas import TraceMetadata
from .arrays import Ints
from .registers_held import Register
from .spread import Spread

#: A column of a table; those that add up are sums over calls.
Columns = dict[str, Ints]

#: Durations of a function are kept one by one up to so many.
KEPT = 1 << 22


class Function(NamedTuple):
    """What a function is called, and what tells it from others in traces of the same program."""

    symbol: str
    demangled: str
    module: str
    cookie: int
    entry_only: bool
    twin: int  # the how many-th of this symbol in its module

    @property
    def file(self) -> str:
        """The module without its path."""
        return PurePosixPath(self.module).name or self.module


class Origin(NamedTuple):
    """Which recording figures are of. A path alone says little: each host can have one of that name, and the
    ids of threads come again on another host, and on the same one when it has booted, or later.
    """

    path: str
    host: str
    boot_id: str
    started_ns: int  # CLOCK_REALTIME


def origin_of(path: str, metadata: TraceMetadata) -> Origin:
    return Origin(path, metadata["host"], metadata["boot_id"], metadata["started"]["realtime_ns"])


def functions_of(metadata: TraceMetadata) -> list[Function]:
    """The functions of a trace, in order of its function table."""
    seen: dict[tuple[str, str], int] = {}
    found = []
    for function in metadata["functions"]:
        key = (function["symbol"], function["module"])
        seen[key] = seen.get(key, -1) + 1
        found.append(
            Function(
                function["symbol"],
                function["demangled"],
                function["module"],
                function["cookie"],
                function["exit"] == "none",
                seen[key],
            )
        )
    return found


@dataclass
class Figures:
    """Tables of columns, one row each for what their first columns name; `function`, `caller` and `callee`
    are places in `functions`, `parent` a row of `places` that comes before, -1 without. All sums are of
    chosen calls; totals and `busy_ns` of complete ones, of nested ones only the outermost.

    - `by_function`: `function`; `calls`, `complete`, `open`, `unwound`, `lost`, `silent` (without a status),
      `self_known`, `self_ns`, `total_ns`, `sum_ns` (of durations), `least`, `greatest` (of them)
    - `edges`: `caller`, `callee`; `calls`, `complete`, `self_known`, `self_ns`, `total_ns`
    - `places` of the calling-context tree, parents first: `parent`, `function`; the same
    - `threads`: `trace` (a place in `traces`), `tgid`, `pid`, `number` (the how manieth with these, from 0);
      `calls`, `events`, `first_ns`, `last_ns`, `busy_ns`
    """

    functions: list[Function]
    by_function: Columns
    edges: Columns
    places: Columns
    threads: Columns
    #: By row of `by_function`: the sum of squares of durations, and how they are distributed.
    squares: list[int]
    durations: list[Spread]
    #: By (function, register), 0 … 5 for arguments, 6 for what was returned.
    registers: dict[tuple[int, int], Register] = field(default_factory=dict)
    traces: list[Origin] = field(default_factory=list)
    #: Calls whose place the tree had no room for: their own time is their caller's there.
    cut: int = 0

    def count(self, name: str) -> int:
        """A sum over all functions."""
        return int(self.by_function[name].sum())

    @property
    def rough(self) -> tuple[int, int]:
        """Of how many functions the percentiles, and of how many registers any figure, is not exact."""
        registers = sum(not register.exact for register in self.registers.values())
        return sum(not spread.exact for spread in self.durations), registers


def together(tables: Sequence[Sequence[Function]]) -> tuple[list[Function], list[Ints]]:
    """The functions of all `tables`, those of one symbol and module once; and for each table the places of
    its functions among them.
    """
    known: dict[tuple[str, str, int], int] = {}
    found: list[Function] = []
    rows: list[Ints] = []
    for table in tables:
        for function in table:
            if known.setdefault((function.symbol, function.module, function.twin), len(found)) == len(found):
                found.append(function)
        places = [known[function.symbol, function.module, function.twin] for function in table]
        rows.append(np.array(places, np.int64))
    if len({function.cookie for function in found}) < len(found):
        # Each trace numbers its functions by itself.
        found = [function._replace(cookie=number) for number, function in enumerate(found, 1)]
    return found, rows


def merge(parts: Sequence[Figures]) -> Figures:
    """The figures of all `parts` together: functions of one symbol and module are one function."""
    if len(parts) == 1:
        return parts[0]
    functions, rows_of = together([part.functions for part in parts])
    traces: list[Origin] = []
    tables: dict[str, list[Columns]] = {"by_function": [], "edges": [], "threads": [], "places": []}
    places: dict[tuple[int, int], int] = {}
    squares: dict[int, int] = {}
    durations: dict[int, list[Spread]] = {}
    registers: dict[tuple[int, int], list[Register]] = {}
    for part, own in zip(parts, rows_of, strict=True):
        row_of = np.append(own, -1)  # the last one for -1
        trace_of = np.array([_place(traces, trace) for trace in part.traces], np.int64)
        tables["by_function"].append(_renamed(part.by_function, row_of, "function"))
        tables["edges"].append(_renamed(part.edges, row_of, "caller", "callee"))
        tables["threads"].append(_renamed(part.threads, trace_of, "trace"))
        tables["places"].append(part.places | {"place": _places(part.places, row_of, places)})
        rows = row_of[part.by_function["function"]].tolist()
        for row, square, spread in zip(rows, part.squares, part.durations, strict=True):
            squares[row] = squares.get(row, 0) + square
            durations.setdefault(row, []).append(spread)
        for (row, column), register in part.registers.items():
            registers.setdefault((int(row_of[row]), column), []).append(register)
    by_function = _summed(tables["by_function"], "function")
    by_place = _summed(tables["places"], "place")
    del by_place["place"]
    order = by_function["function"].tolist()
    return Figures(
        functions=functions,
        by_function=by_function,
        edges=_summed(tables["edges"], "caller", "callee"),
        places=by_place
        | {
            "parent": np.array([parent for parent, _ in places], np.int64),
            "function": np.array([function for _, function in places], np.int64),
        },
        threads=_summed(tables["threads"], "trace", "tgid", "pid", "number"),
        squares=[squares[row] for row in order],
        durations=[Spread.merged(durations[row], KEPT) for row in order],
        registers={key: Register.merged(some) for key, some in registers.items()},
        traces=traces,
        cut=sum(part.cut for part in parts),
    )


def _place(items: list[Origin], item: Origin) -> int:
    if item not in items:
        items.append(item)
    return items.index(item)


def _renamed(table: Columns, row_of: Ints, *names: str) -> Columns:
    return table | {name: row_of[table[name]] for name in names}


def _places(table: Columns, row_of: Ints, known: dict[tuple[int, int], int]) -> Ints:
    """The number in `known` of each place, by its parent's and its function; what is new is added."""
    found: list[int] = []
    parents, functions = table["parent"].tolist(), row_of[table["function"]].tolist()
    for parent, function in zip(parents, functions, strict=True):
        key = (-1 if parent < 0 else found[parent], function)
        found.append(known.setdefault(key, len(known)))
    return np.array(found, np.int64)


_LEAST = {"least": np.minimum, "first_ns": np.minimum}
_GREATEST = {"greatest": np.maximum, "last_ns": np.maximum}


def _summed(tables: Sequence[Columns], *keys: str) -> Columns:
    """One row for each combination of the columns `keys`, ascending."""
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    found, row = np.unique(np.stack([joined[key] for key in keys]), axis=1, return_inverse=True)
    result = dict(zip(keys, found, strict=True))
    row = row.reshape(-1)
    for name, values in joined.items():
        if name in keys:
            continue
        reduce = (_LEAST | _GREATEST).get(name)
        if reduce is None:
            total = np.zeros(found.shape[1], np.int64)
            np.add.at(total, row, values)
        else:
            limits = np.iinfo(np.int64)
            total = np.full(found.shape[1], limits.max if name in _LEAST else limits.min, np.int64)
            reduce.at(total, row, values)
        result[name] = total
    return result
