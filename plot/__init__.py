"""Charts of a trace, drawn with Altair: `pip install 'funcsnoop[plot]'`.

    from funcsnoop import plot

    plot.latency(trace, "sqlite3_step")
    plot.heatmap(trace, "sqlite3_step")
    plot.argument(trace, "sqlite3_prepare_v2", "arg2", "i32")
    plot.flame(trace)
    plot.timeline(trace, pid=1234)

Each takes a `Trace`, and `paired`, the calls to draw where these are not all, and returns an Altair chart.
Calls are added up before they go into it: a chart has some thousand rows, whatever the trace. Its subtitle
says what it leaves out.
"""

from __future__ import annotations

from ..errors import FuncsnoopError

try:
    import altair as _altair  # noqa: F401, here so that one message says what is missing
except ImportError:
    raise FuncsnoopError(
        "funcsnoop.plot draws with Altair, which is not installed", "pip install 'funcsnoop[plot]'"
    ) from None

from .argument import argument
from .flame import flame
from .heatmap import heatmap
from .latency import latency
from .timeline import timeline

__all__ = ["argument", "flame", "heatmap", "latency", "timeline"]
