"""Which of a group's calls are its outermost, so that recursion is not counted twice."""

from __future__ import annotations

import numpy as np
import polars as pl

from .arrays import Flags, Ints
from .nesting import outermost


def outermost_of(calls: pl.DataFrame, *group: str) -> Flags:
    """Which complete calls run in no other complete call of their thread and group.

    `calls`, in pairing's order, need `tgid`, `pid`, `entry_row`, `exit_row` and the columns of `group`
    (unsigned, nulls are a value of their own).
    """
    result = np.zeros(len(calls), np.bool_)
    if not len(calls):
        return result
    code: Ints = np.zeros(len(calls), np.int64)
    for name in group:
        values = calls[name].cast(pl.Int64).fill_null(-1).to_numpy() + 1
        code = _compact(code * (int(values.max()) + 1) + values)
    # NumPy sorts 16-bit integers by radix.
    small = int(code.max()) < 1 << 16
    order = np.argsort(code.astype(np.uint16) if small else code, kind="stable")
    thread = (calls["tgid"].cast(pl.UInt64).to_numpy() << np.uint64(32)) | calls["pid"].to_numpy()
    code, thread = code[order], thread[order]
    change = np.zeros(len(order), np.bool_)
    change[1:] = (code[1:] != code[:-1]) | (thread[1:] != thread[:-1])
    # Rows of the file: within a thread they stand in the order of its events.
    entry, exit_ = calls["entry_row"].to_numpy()[order], calls["exit_row"].to_numpy()[order]
    result[order] = outermost(np.cumsum(change), entry, exit_)
    return result


def _compact(code: Ints) -> Ints:
    """The same groups, numbered without gaps where the numbers have grown large."""
    limit = int(code.max()) + 1
    if limit <= 1 << 16:
        return code
    if limit <= 1 << 24:
        used = np.zeros(limit, np.bool_)
        used[code] = True
        numbers: Ints = np.cumsum(used) - 1
        return numbers[code]
    return np.unique(code, return_inverse=True)[1].astype(np.int64)
