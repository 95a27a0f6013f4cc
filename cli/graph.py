"""The call graph, drawn as a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from .printable import printable
from .table import Column, write_table
from .units import count, duration

if TYPE_CHECKING:
    import polars as pl


def write_tree(tree: pl.DataFrame, names: Sequence[str], out: TextIO, width: int | None) -> None:
    """Draw `tree`, a calling-context tree as `analyze.calltree.call_tree` gives it, siblings in its order.

    `names` are the functions' names by row. Deep trees bend no line: what doesn't fit is elided.
    """
    children: dict[int | None, list[dict[str, int]]] = {}
    for row in tree.iter_rows(named=True):
        children.setdefault(row["parent"], []).append(row)
    lines: list[tuple[str, dict[str, int]]] = []
    # A stack of its own: paths can be deeper than Python's recursion allows.
    stack = [(row, "", "") for row in reversed(children.get(None, []))]
    while stack:
        row, branch, indent = stack.pop()
        lines.append((branch + printable(names[row["function"]]), row))
        below = children.get(row["node"], [])
        for place, child in reversed(list(enumerate(below))):
            last = place == len(below) - 1
            stack.append((child, indent + ("└─ " if last else "├─ "), indent + ("   " if last else "│  ")))
    write_table(
        [
            Column("TOTAL", [duration(row["total_ns"]) for _, row in lines]),
            Column("SELF", [duration(row["self_ns"]) for _, row in lines]),
            Column("CALLS", [count(row["calls"]) for _, row in lines]),
            Column("FUNCTION", [text for text, _ in lines], left=True, elastic=True),
        ],
        out,
        width,
    )
