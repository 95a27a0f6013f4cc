"""What a plan becomes when code arrives that may unwind: no return probe is in it any more."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

from .plan import Plan, PlannedFunction, PlannedModule


def without_returns(plan: Plan) -> Plan:
    """`plan` with the exits that its functions have in reserve.

    A function of which only entries will be seen gets a cookie of its own, past those of the plan: in the
    function table it is another row than the one whose calls have exits.
    """
    cookies = itertools.count(len(plan.functions) + 1)

    def anew(function: PlannedFunction) -> PlannedFunction:
        if function.reserve is None:
            return function
        cookie = next(cookies) if function.reserve.exit == "none" else function.cookie
        return function._replace(cookie=cookie, seen=function.reserve, reserve=None)

    return _with(plan, lambda module: map(anew, module.functions))


def added(plan: Plan) -> Plan:
    """Those functions of `without_returns` that have a cookie of their own, in order of their cookies."""
    most = len(plan.functions)
    return _with(without_returns(plan), lambda module: (f for f in module.functions if f.cookie > most))


def rows_before(plan: Plan) -> dict[int, int]:
    """The cookies in `plan` of those functions, by their new ones."""
    both = zip(plan.functions, without_returns(plan).functions, strict=True)
    return {after.cookie: before.cookie for before, after in both if after.cookie != before.cookie}


def _with(plan: Plan, functions: Callable[[PlannedModule], Iterator[PlannedFunction]]) -> Plan:
    modules = (replace(module, functions=tuple(functions(module))) for module in plan.modules)
    return replace(plan, modules=tuple(modules))
