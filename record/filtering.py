"""Filters of a recording: which go together, what they mean for the plan, and what the file says of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..bpf.filters import FilteredCounts, Filters
from ..errors import TargetError, UsageError

if TYPE_CHECKING:
    from ..schemas.metadata import BudgetCut, FilterInfo, SkippedFunction
    from .plan import Plan


def check(filters: Filters, exit_policy: str) -> None:
    """UsageError where these filters, with `--exit`, would not mean anything together."""
    asks_for_exits = {
        "--min-duration": filters.min_duration_ns is not None,
        "--sample": filters.sample is not None,
        "--max-depth": filters.max_depth is not None,
        "--events spans": filters.spans,
    }
    for option, given in asks_for_exits.items():
        if given and exit_policy == "none":
            raise UsageError(
                f"{option} needs exits, and --exit none records none",
                "Leave one of the two out: which call is inside which, and for how long, shows at exits.",
            )
    if filters.budget is not None and filters.min_duration_ns is not None:
        raise UsageError(
            "--budget and --min-duration do not go together",
            "A budget is spent when a function is entered, before anyone knows how long the call takes: "
            "give one of them.",
        )
    if filters.budget is not None and filters.sample is not None:
        raise UsageError(
            "--budget and --sample do not go together",
            "A sample has its outermost calls whole, and a budget cuts into them: give one of them.",
        )


def apply(filters: Filters, plan: Plan) -> Plan:
    """The plan without functions that the filters cannot judge; TargetError where none is left."""
    if filters.min_duration_ns is None:
        return plan
    unseen = [function for function in plan.functions if function.exit == "none"]
    if not unseen:
        return plan
    if len(unseen) == len(plan.functions):
        raise TargetError(
            f"--min-duration cannot judge any function here: {unseen[0].exit_reason}",
            "Their exits cannot be seen: leave --min-duration out.",
        )
    notice = (
        f"{len(unseen)} function{'s' * (len(unseen) != 1)} whose exits cannot be seen "
        f"get{'s' * (len(unseen) == 1)} no probe, as --min-duration cannot judge them: "
        + ", ".join(function.demangled for function in unseen[:3])
        + ("…" if len(unseen) > 3 else "")
    )
    cookies = itertools.count(1)
    modules = []
    skipped: list[SkippedFunction] = []
    for module in plan.modules:
        kept = [f for f in module.functions if f.exit != "none"]
        numbered = tuple(function._replace(cookie=next(cookies)) for function in kept)
        modules.append(replace(module, functions=numbered))
        skipped += [
            {
                "symbol": function.symbol,
                "module": module.path,
                "reason": f"--min-duration cannot judge it: {function.exit_reason}",
            }
            for function in module.functions
            if function.exit == "none"
        ]
    return replace(
        plan,
        modules=tuple(module for module in modules if module.functions),
        skipped=(*plan.skipped, *skipped),
        notices=(*plan.notices, notice),
    )


def describe(filters: Filters, counts: FilteredCounts, cuts: list[BudgetCut]) -> FilterInfo:
    """What the metadata says; it holds `cuts` itself, which can grow."""
    sampled = filters.sample is not None
    return {
        "min_duration_ns": filters.min_duration_ns,
        "max_depth": filters.max_depth,
        "sample": filters.sample,
        "budget": filters.budget,
        "roots": counts.roots if sampled else None,
        "sampled_roots": counts.sampled_roots if sampled else None,
        "budget_cuts": cuts,
    }


def budget_cuts(spent: Iterable[tuple[int, int]]) -> list[BudgetCut]:
    """What the kernel tells of functions whose budget is spent, in order of time."""
    return [{"cookie": cookie, "time_ns": time} for cookie, time in sorted(spent, key=lambda pair: pair[1])]


def filtered_by_option(filters: Filters, counts: FilteredCounts) -> dict[str, int]:
    """Events left out, by the option that did it; of options in use only."""
    by_option = {
        "min-duration": (filters.min_duration_ns, counts.brief),
        "max-depth": (filters.max_depth, counts.deep),
        "sample": (filters.sample, counts.unsampled),
        "budget": (filters.budget, counts.over_budget),
    }
    return {option: events for option, (value, events) in by_option.items() if value is not None}


def lost_by_cause(lost: int, counts: FilteredCounts) -> dict[str, int]:
    """`lost` events by cause: the ring was full, or a filter had no room to keep a call."""
    by_cause = {"buffer": lost - counts.untracked}
    return by_cause | ({"calls": counts.untracked} if counts.untracked else {})
