"""Where the time went by path of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import numpy as np
import polars as pl

from ..analyze.flame import Flame, Tree
from .parts import WIDTH, Chart, duration_text, elided, function_names, title

if TYPE_CHECKING:
    from ..analyze.selection import Chosen
    from ..analyze.trace import Trace

#: So many frames are drawn, and none that is narrower than half a pixel.
MOST = 2000
LEAST_SHARE = 0.5 / WIDTH
#: Width of a letter, pixels.
_LETTER = 6.3


def flame(trace: Trace, *, paired: Chosen | None = None) -> Chart:
    """The time inside recorded functions by path of calls, from the caller down, recursion folded.

    Drag and scroll to look closer. Paths that took less than half a pixel's share are not drawn; the
    subtitle says how much that is.
    """
    chosen = trace.of(None, paired)
    names = function_names(trace)
    adding = Flame(len(names))
    needs = ["function", "depth", "call_id", "parent_id", "self_ns"]
    for batch in trace.call_batches(needs, paired=chosen):
        adding.add(batch)
    tree = adding.tree(MOST, LEAST_SHARE)
    left = _places(tree)
    share = tree.total / max(tree.time, 1)
    called = [names[function] for function in tree.function.tolist()]
    rows = pl.DataFrame(
        {
            "function": called,
            "from": left,
            "to": left + share,
            "level": tree.level,
            "below": tree.level + 1,
            "time": [duration_text(ns) for ns in tree.total.tolist()],
            "self": [duration_text(ns) for ns in tree.own.tolist()],
            "share": share,
            "calls": tree.calls,
            "label": [
                elided(name, int(width * WIDTH / _LETTER) - 1)
                for name, width in zip(called, share.tolist(), strict=True)
            ],
        },
        schema_overrides={"function": pl.String, "label": pl.String, "time": pl.String, "self": pl.String},
    ).filter(pl.col("share") > 0)
    levels = int(tree.level.max()) + 1 if len(tree.level) else 1
    hidden = int(tree.hidden.sum()) + tree.hidden_ns
    note = f"{duration_text(tree.time)} in recorded functions"
    if hidden:
        note += f"; not drawn: small paths, together {duration_text(hidden)} ({hidden / tree.time:.2%})"
    y = alt.Y("level:Q", axis=None, scale=alt.Scale(domain=[levels, 0], nice=False, reverse=False))
    x = alt.X("from:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False))
    base = alt.Chart(rows)
    frames = base.mark_rect(stroke="white", strokeWidth=0.5).encode(
        x=x,
        x2="to:Q",
        y=y,
        y2="below:Q",
        color=alt.Color("function:N", legend=None, scale=alt.Scale(range=_COLOURS)),
        tooltip=[
            "function:N",
            "time:N",
            "self:N",
            alt.Tooltip("share:Q", format=".2%"),
            alt.Tooltip("calls:Q", format=","),
        ],
    )
    labels = (
        base.transform_filter("datum.label != ''")
        .transform_calculate(middle="datum.level + 0.5")
        .mark_text(align="left", dx=4, color="#1a1206", font="monospace", fontSize=10, clip=True)
        .encode(x=x, y=alt.Y("middle:Q", axis=None), text="label:N")
    )
    zoom = alt.selection_interval(bind="scales", encodings=["x"])
    heading = title("Flame graph", trace, chosen, note)
    return alt.layer(frames.add_params(zoom), labels).properties(
        width=WIDTH, height=18 * levels, title=heading
    )


_COLOURS = ["#f0843a", "#f6b13c", "#ee6a4c", "#f4c94f", "#e9963f", "#f29b76", "#e8b04a", "#f07a5d"]


def _places(tree: Tree) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Where frames begin, 0 to 1: children side by side inside their parent, most time first."""
    begin = np.zeros(len(tree.parent))
    share = tree.total / max(tree.time, 1)
    free: dict[int, float] = {}
    # Level by level, so that a parent has its place before its children.
    for place in np.lexsort((-tree.total, tree.level)).tolist():
        parent = int(tree.parent[place])
        begin[place] = free.get(parent, 0.0 if parent < 0 else float(begin[parent]))
        free[parent] = float(begin[place] + share[place])
    return begin
