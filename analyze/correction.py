"""Times without what probes have cost.

From a call's duration goes the part of its own probes' cost that lies between its two events, and the whole
cost of every call that began inside it. That is a clock for each thread, which stands still while a probe
works: a duration is the difference of two of its readings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import UsageError
from ..printable import printable
from ..schemas import TraceMetadata
from .arrays import Codes, Flags, Ints


@dataclass(frozen=True)
class Costs:
    """Of a call, ns, by row of the function table: before its entry and after its exit, and between them."""

    outside: Ints
    inside: Ints
    #: How many functions have probes of a kind that was not measured; nothing is taken off for them.
    unknown: int

    def clock(self, timestamp: Ints, is_entry: Flags, function: Codes) -> Ints:
        """The clock at events which stand thread by thread, each in its own order.

        It starts anywhere: only differences within a thread mean something.
        """
        inside = np.where(is_entry, self.inside[function], 0)
        so_far = np.cumsum(np.where(is_entry, self.outside[function], 0) + inside)
        # The part inside comes after the event's own time.
        clock: Ints = timestamp - (so_far - inside)
        return clock


def costs_of(metadata: TraceMetadata, path: str = "the trace") -> Costs:
    """What the probes of a recording cost. Raises UsageError where that was not measured."""
    known = {(cost["site_class"], cost["exit"]): cost for cost in metadata["probe_costs"]}
    if not known:
        raise UsageError(
            f"{printable(path)} does not say what its probes cost, so that times cannot be corrected",
            "leave --correct out, or record again without filters such as --min-duration: with these, costs "
            "vary and are not measured",
        )
    rows = [known.get((function["site_class"], function["exit"])) for function in metadata["functions"]]
    call = np.array([0 if cost is None else _whole(cost["call_ns"]) for cost in rows], np.int64)
    inside = np.array([0 if cost is None else _whole(cost["inside_ns"]) for cost in rows], np.int64)
    inside = np.minimum(inside, call)
    return Costs(call - inside, inside, rows.count(None))


def _whole(cost: float) -> int:
    """Integers, which add up to the same in any order. A file that is not to be trusted can say anything."""
    return round(min(max(cost, 0.0), 1e9)) if cost == cost else 0


def times_shown(metadata: TraceMetadata, costs: Costs | None) -> str | None:
    """One line: which times reports show. None where they can only be as recorded, for want of costs."""
    if costs is None:
        return "times: as recorded, with the cost of probes inside" if metadata["probe_costs"] else None
    call = costs.outside + costs.inside
    known = [f"{cost / 1e3:.2g}" for cost in np.unique(call[call > 0])]
    span = f": {' to '.join(dict.fromkeys((known[0], known[-1])))} us a call taken off" if known else ""
    unknown = ""
    if costs.unknown:
        unknown = f"; nothing for {costs.unknown:,} function{'s' * (costs.unknown != 1)} without known cost"
    return f"times: corrected for probes{span}, measured when the recording began{unknown}"
