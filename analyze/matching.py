"""Which function of one trace is which of another: programs are rebuilt, and cookies given anew."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import polars as pl

#: A row of the function table: its number, and what may be equal in the other trace.
_Row = tuple[int, str, str, str]
K = TypeVar("K", bound=Hashable)


def match(first: pl.LazyFrame, second: pl.LazyFrame) -> dict[int, int]:
    """Rows of the function table `first` to rows of `second`.

    Functions are the same if name, symbol and module are equal, several such in the order of their
    addresses. What is left of a name is the same too if it is one function on each side: a module's name
    holds its version.
    """
    left, right = _rows(first), _rows(second)
    found: dict[int, int] = {}
    theirs = _grouped(right, lambda row: row[1:])
    for key, rows in _grouped(left, lambda row: row[1:]).items():
        found.update(zip((row[0] for row in rows), (row[0] for row in theirs.get(key, [])), strict=False))
    taken = set(found.values())
    rest = _grouped((row for row in right if row[0] not in taken), lambda row: row[1])
    for name, rows in _grouped((row for row in left if row[0] not in found), lambda row: row[1]).items():
        others = rest.get(name, [])
        if len(rows) == len(others) == 1:
            found[rows[0][0]] = others[0][0]
    return found


def _rows(functions: pl.LazyFrame) -> list[_Row]:
    table = functions.sort("file", "address").select("function", "demangled", "symbol", "file").collect()
    return table.rows()


def _grouped(rows: Iterable[_Row], key: Callable[[_Row], K]) -> dict[K, list[_Row]]:
    groups: dict[K, list[_Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups
