"""What the probes of a recording add to the times that it measures."""

from __future__ import annotations

from dataclasses import replace

from ..bpf.calibration import ProbeKind, measure
from ..bpf.features import Strategy
from ..bpf.program import Programs
from ..errors import FuncsnoopError
from ..schemas.metadata import ProbeCost
from .plan import Plan


def probe_costs(plan: Plan, programs: Programs, strategy: Strategy, notices: list[str]) -> list[ProbeCost]:
    """The costs of the kinds of probes that `plan` has, measured before any of them is in.

    Where that fails nothing is lost but the means to correct times: a notice says so. Filters that leave
    calls out make a call cost this or that, by whether it is kept: then there are none.
    """
    if replace(programs.sizes.filters, spans=False).any:
        return []
    kinds = {
        ProbeKind(function.site_class.value, seen.exit)
        for function in plan.functions
        for seen in (function.seen, function.reserve)
        if seen is not None
    }
    try:
        measured = measure(programs, strategy, sorted(kinds))
    except (OSError, FuncsnoopError) as error:
        notices.append(f"what probes cost could not be measured, so that times cannot be corrected: {error}")
        return []
    return [
        {
            "site_class": cost.kind.site,
            "exit": cost.kind.exit,
            "call_ns": cost.call_ns,
            "inside_ns": cost.inside_ns,
        }
        for cost in measured
    ]
