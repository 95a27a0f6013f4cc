"""The data of the page: tables and counts, cut to what fits, with what was left out said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..analyze.selection import of_functions
from ..analyze.slices import Slices
from . import budget, rows
from .facts import facts, losses
from .gather import NEEDS, gather

if TYPE_CHECKING:
    from ..analyze.casts import Cast
    from ..analyze.selection import Chosen
    from ..analyze.trace import Trace

#: Columns of the heat maps and of the threads' lanes.
HEAT_SLICES, LANE_SLICES = 96, 240
#: This many functions, those with the most time, are looked at for heat maps and arguments.
LOOKED_AT = 200
#: This many threads, the busiest, have a lane.
LANES = 48


def contents(
    trace: Trace,
    paired: Chosen | None,
    selection: Sequence[str] = (),
    casts: Sequence[Cast] = (),
    told: Callable[[str], None] = lambda step: None,
) -> dict[str, Any]:
    """The page's data as plain lists, dictionaries, numbers and text, times in ns from the first event.

    `paired` are the calls chosen of `trace`, by what `selection` says. `told` hears what comes next: this
    takes a while where calls are many.
    """
    table = trace.functions.select("function", "cookie", "demangled", "module", "exit").collect()
    values = None
    if len(table) <= LOOKED_AT:
        # What is asked first finds all else on the way.
        told("latencies, arguments")
        values = trace.arguments(casts, paired, marked=True).collect()
    told("latencies")
    latency = trace.latency(paired, marked=True).collect()
    number = dict(zip(table["cookie"].to_list(), table["function"].to_list(), strict=True))
    order = [number[cookie] for cookie in latency["cookie"].to_list()]
    told("threads")
    threads = trace.threads(paired).collect()
    start, end = threads["first_ns"].min(), threads["last_ns"].max()
    assert start is None or isinstance(start, int)
    assert end is None or isinstance(end, int)
    heat_span = Slices(start or 0, end or 0, HEAT_SLICES)
    lane_span = Slices(start or 0, end or 0, LANE_SLICES)
    lanes = threads.head(LANES)
    told("flame graph, histograms")
    gathered = gather(
        trace.call_batches(NEEDS, paired=paired),
        len(table),
        order[:LOOKED_AT],
        heat_span,
        list(lanes.select("tgid", "pid").iter_rows()),
        lane_span,
    )
    modules = table["module"].gather(order).unique(maintain_order=True).to_list()
    histograms = dict(rows.by_function(gathered.histogram, "bucket", "calls"))
    named = budget.fitting((budget.cut(module, 300) for module in modules), budget.MODULES)
    listed = rows.function_rows(latency, table, order, modules[: len(named)], histograms)
    kept = budget.fitting(listed, budget.FUNCTIONS)
    place = {function: position for position, function in enumerate(order[: len(kept)])}
    names = rows.further_names(gathered.tree, table, place)
    heat = budget.fitting(rows.heat(gathered.heat, order, place), budget.HEAT)
    told("callers")
    graph = trace.callgraph(paired, marked=True).collect()
    kept_edges = budget.fitting(rows.edges(graph, number, place), budget.EDGES)
    if values is None:
        told("arguments")
        values = trace.arguments(casts, of_functions(paired, order[:LOOKED_AT]), marked=True).collect()
    arguments = list(rows.arguments(values, number, place))
    kept_arguments = budget.fitting(arguments, budget.ARGUMENTS)
    loss = trace.loss_of(paired)
    began = trace.metadata["started"]["monotonic_ns"]
    return {
        "facts": facts(trace.metadata, str(trace.path), _times(trace), list(selection)),
        "loss": losses(loss, lane_span),
        "offset": lane_span.start - began if start is not None else 0,
        "length": lane_span.end - lane_span.start,
        "calls": sum(latency["calls"].to_list()),
        "called": len(latency),
        "names": [row[0] for row in kept] + names,
        "modules": named,
        "statistics": list(rows.STATISTICS),
        "functions": [row[1:] for row in kept],
        "functions_left_out": rows.left_out(latency[len(kept) :]),
        "bounds": rows.bounds(gathered.histogram),
        "flame": rows.flame(gathered.tree, place | rows.numbered(gathered.tree, place, len(names))),
        "heat": heat,
        "heat_slices": HEAT_SLICES,
        "edges": kept_edges,
        "edges_left_out": len(graph) - len(kept_edges),
        "arguments": kept_arguments,
        "arguments_of": min(len(order), LOOKED_AT),
        "arguments_left_out": len(arguments) - len(kept_arguments),
        "lane_slices": LANE_SLICES,
        "threads": rows.threads(lanes, gathered.lanes.busy.tolist(), lane_span),
        "threads_left_out": len(threads) - len(lanes),
    }


def _times(trace: Trace) -> str:
    """What durations on the page are; where threads are drawn over time, that is as recorded in any case."""
    if trace.corrected and trace.times:
        return trace.times.removeprefix("times: ") + "; threads over time are as recorded"
    return "as recorded, with the cost of probes inside"
