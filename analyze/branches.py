"""Calling-context trees as people look at them: seen from one function, and without small branches."""

from __future__ import annotations

import polars as pl

_COLUMNS = ("node", "parent", "function", "calls", "total_ns", "self_ns", "level")


def callers_of(tree: pl.LazyFrame, function: int) -> pl.LazyFrame:
    """The paths that led to `function`, turned round: it is the root, and below it stand its callers, theirs
    below them. Columns as of `callgraph.tree`, of which `tree` is; the figures of a node are those of
    `function` when it was called that way.
    """
    nodes = tree.collect()
    parents, functions = nodes["parent"].to_list(), nodes["function"].to_list()
    rows: list[dict[str, int | None]] = []
    known: dict[tuple[int | None, int], int] = {}
    for place in nodes.filter(pl.col("function") == function).iter_rows(named=True):
        above: int | None = place["node"]
        under: int | None = None
        while above is not None:
            key = (under, functions[above])
            if key not in known:
                known[key] = len(rows)
                level = 0 if under is None else int(rows[under]["level"] or 0) + 1
                values = (len(rows), under, functions[above], 0, None, None, level)
                rows.append(dict(zip(_COLUMNS, values, strict=True)))
            under = known[key]
            row = rows[under]
            row["calls"] = (row["calls"] or 0) + place["calls"]
            for name in ("total_ns", "self_ns"):
                if place[name] is not None:
                    row[name] = (row[name] or 0) + place[name]
            above = parents[above]
    return pl.DataFrame(rows, schema=nodes.schema).lazy()


def weighed(tree: pl.LazyFrame) -> pl.LazyFrame:
    """`tree` with `weight_ns`, int64: `total_ns`, or where no call is complete what its branches weigh."""
    nodes = tree.collect()
    weight = [total or 0 for total in nodes["total_ns"].to_list()]
    below = [0] * len(nodes)
    unknown = nodes["total_ns"].is_null().to_list()
    parents = nodes["parent"].to_list()
    for node in reversed(range(len(nodes))):
        if unknown[node]:
            weight[node] = below[node]
        if parents[node] is not None:
            below[parents[node]] += weight[node]
    return nodes.lazy().with_columns(weight_ns=pl.Series(weight, dtype=pl.Int64))


def pruned(weighed: pl.LazyFrame, least_ns: float, depth: int | None) -> pl.LazyFrame:
    """Without nodes that weigh less than `least_ns`, and those `depth` or more below a root, and all below
    such.
    """
    nodes = weighed.collect()
    keep = (nodes["weight_ns"] >= least_ns) & (nodes["level"] < (len(nodes) if depth is None else depth))
    kept = keep.to_list()
    for node, parent in enumerate(nodes["parent"].to_list()):
        kept[node] = kept[node] and (parent is None or kept[parent])
    return nodes.lazy().filter(pl.Series(kept, dtype=pl.Boolean))


def first(nodes: pl.LazyFrame, count: int) -> pl.LazyFrame:
    """The first `count` nodes in the order that they have, and the way to each of them: a node without its
    callers would be no tree.
    """
    frame = nodes.collect()
    parents = dict(zip(frame["node"].to_list(), frame["parent"].to_list(), strict=True))
    kept: set[int] = set()
    for node in frame["node"].head(count).to_list():
        while node is not None and node not in kept:
            kept.add(node)
            node = parents[node]
    return frame.lazy().filter(pl.col("node").is_in(sorted(kept)))
