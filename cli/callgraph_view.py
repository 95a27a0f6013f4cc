"""The call graph, drawn as a tree; of one function, with its callers above and its callees below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..printable import printable
from .table import Column, write_table
from .units import count, duration

if TYPE_CHECKING:
    import polars as pl

    from .canvas import Canvas
    from .choice import Choice, Wanted

_FLIPPED = str.maketrans("└", "┌")


class Line(NamedTuple):
    """A node of a drawn tree, and the branch that leads to it."""

    branch: str
    name: str
    row: dict[str, Any]


def tree_lines(tree: pl.DataFrame, names: Sequence[str]) -> list[Line]:
    """The nodes of `tree`, as `analyze.callgraph.tree` gives them, from the roots down, siblings in its
    order. `names` are the functions' names by row.
    """
    children: dict[int | None, list[dict[str, Any]]] = {}
    for row in tree.iter_rows(named=True):
        children.setdefault(row["parent"], []).append(row)
    lines: list[Line] = []
    # A stack of its own: paths can be deeper than Python's recursion allows.
    stack = [(row, "", "") for row in reversed(children.get(None, []))]
    while stack:
        row, branch, indent = stack.pop()
        lines.append(Line(branch, printable(names[row["function"]]), row))
        below = children.get(row["node"], [])
        for place, child in reversed(list(enumerate(below))):
            last = place == len(below) - 1
            stack.append((child, indent + ("└─ " if last else "├─ "), indent + ("   " if last else "│  ")))
    return lines


def flipped(lines: Sequence[Line]) -> list[Line]:
    """A drawn tree without its root, upside down: as it stands above the root."""
    return [Line(line.branch.translate(_FLIPPED), line.name, line.row) for line in reversed(lines[1:])]


def draw_callgraph(choice: Choice, canvas: Canvas) -> None:
    """The tree of all calls; with a focus, for each of its functions what called it and what it called."""
    from ..analyze import branches, filters

    names = choice.trace.functions.select("demangled").collect()["demangled"].to_list()
    sample = choice.trace.metadata["filters"]["sample"]
    tree = branches.weighed(choice.trace.tree(choice.calls))
    if choice.wanted.focus is None:
        whole = _weight(tree)
        shown, hidden = _arranged(tree, whole, choice.wanted, names)
        _write([], tree_lines(shown, names), whole, canvas, sample)
        _note(hidden, canvas)
        return
    for number, function in enumerate(filters.matching(choice.trace.functions, [choice.wanted.focus])):
        below = branches.weighed(choice.trace.tree(choice.calls.of_functions([function], beneath=True)))
        above = branches.weighed(branches.callers_of(tree, function))
        whole = _weight(below)
        callees, hidden_callees = _arranged(below, whole, choice.wanted, names)
        callers, hidden_callers = _arranged(above, whole, choice.wanted, names)
        canvas.out.write("\n" if number else "")
        if callees.is_empty():
            canvas.out.write(f"{printable(names[function])} was not called\n")
            continue
        _write(flipped(tree_lines(callers, names)), tree_lines(callees, names), whole, canvas, sample)
        _note(hidden_callees + hidden_callers, canvas)


def cut_of(choice: Choice) -> int:
    """How many calls are at no place of their own in the trees that `draw_callgraph` draws; of several that
    have the same calls in them, as many as in the one that lacks most.
    """
    from ..analyze import filters

    drawn = [choice.calls]
    if choice.wanted.focus is not None:
        rows = filters.matching(choice.trace.functions, [choice.wanted.focus])
        drawn += [choice.calls.of_functions([row], beneath=True) for row in rows]
    return max(choice.trace.answers(calls).cut for calls in drawn)


def edges(choice: Choice) -> pl.LazyFrame:
    """The edges of the graph; with a focus those to and from its functions."""
    import polars as pl

    from ..analyze import filters

    found = choice.trace.callgraph(choice.calls, marked=True)
    if choice.wanted.focus is not None:
        rows = filters.matching(choice.trace.functions, [choice.wanted.focus])
        cookies = choice.trace.functions.select("cookie").collect()["cookie"].gather(rows).to_list()
        found = found.filter(
            pl.col("caller_cookie").is_in(cookies).fill_null(False) | pl.col("callee_cookie").is_in(cookies)
        )
    return found


def _weight(tree: pl.LazyFrame) -> int:
    import polars as pl

    total: int = tree.filter(pl.col("parent").is_null()).select(pl.col("weight_ns").sum()).collect().item()
    return total


def _arranged(
    tree: pl.LazyFrame, whole_ns: int, wanted: Wanted, names: Sequence[str]
) -> tuple[pl.DataFrame, int]:
    """The nodes to show, siblings in their order, and how many others there are."""
    import polars as pl

    from ..analyze import branches

    count = tree.select(pl.len()).collect().item()
    shown = branches.pruned(tree, whole_ns * wanted.min_percent / 100, wanted.depth).with_columns(
        callee=pl.col("function").replace_strict(dict(enumerate(names)), return_dtype=pl.String)
    )
    # The edges have columns that a node has not.
    column = wanted.sort if wanted.sort in ("calls", "self_ns", "callee") else "weight_ns"
    shown = shown.sort(column, "node", descending=[column != "callee", False], nulls_last=True)
    if wanted.top is not None:
        shown = branches.first(shown, wanted.top)
    found = shown.collect()
    return found, count - len(found)


def _note(hidden: int, canvas: Canvas) -> None:
    if hidden:
        canvas.out.write(f"{hidden:,} more path{'s' * (hidden != 1)} not shown\n")


def _write(
    above: Sequence[Line], lines: Sequence[Line], whole_ns: int, canvas: Canvas, sample: int | None
) -> None:
    """Write `lines`, and above them the callers of the first of them. Per cents are of `whole_ns`.

    With `sample` these are one in so many, and there are columns for all.
    """
    rows = [line.row for line in (*above, *lines)]
    shares = [None if row["total_ns"] is None else 100 * row["total_ns"] / max(whole_ns, 1) for row in rows]
    write_table(
        [
            Column(
                "%",
                ["-" if share is None else f"{share:.1f}" for share in shares],
                styles=[_style(share) for share in shares],
            ),
            Column("TOTAL", [duration(row["total_ns"]) for row in rows]),
            # How long the callers themselves took is no part of the time of the function below.
            Column("SELF", ["" for _ in above] + [duration(line.row["self_ns"]) for line in lines], rank=1),
            Column("CALLS", [count(row["calls"]) for row in rows], rank=2),
            *_estimates(rows, sample),
            Column(
                "FUNCTION",
                [line.branch + line.name for line in (*above, *lines)],
                left=True,
                elastic=True,
                styles=[*("" for _ in above), "1" if above else "", *("" for _ in lines[1:])],
            ),
        ],
        canvas.out,
        canvas.width,
        colour=canvas.colour,
    )


def _estimates(rows: Sequence[dict[str, Any]], sample: int | None) -> list[Column]:
    if sample is None:
        return []
    totals = [None if row["total_ns"] is None else row["total_ns"] * sample for row in rows]
    return [
        Column("EST CALLS", [count(row["calls"] * sample) for row in rows], rank=2),
        Column("EST TOTAL", [duration(total) for total in totals], rank=2),
    ]


def _style(share: float | None) -> str:
    """Hot, warm, or hardly worth a look."""
    if share is None or share < 0.5:
        return "2"
    return "31" if share >= 25 else "33" if share >= 5 else ""
