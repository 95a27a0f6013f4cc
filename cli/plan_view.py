"""Show a plan to a person, as `record --dry-run` does."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from typing import TYPE_CHECKING, TextIO

from ..printable import printable

if TYPE_CHECKING:
    from ..record.following import Following
    from ..record.plan import Plan, PlannedFunction, PlannedModule

_HOW = {
    "return": "entries and returns",
    "ret": "entries, return instructions and tail jumps",
    "none": "entries only",
}

#: As many functions of a module are listed; the others are counted.
MOST_LISTED = 40
MOST_NAMED = 3


def render_plan(plan: Plan, file: TextIO, following: Following | None = None) -> None:
    """Write what would be probed, what would not, and why, to `file`."""
    count = len(plan.functions)
    file.write(f"Target     {printable(_target(plan))}\n")
    if plan.executable:
        file.write(f"Executable {printable(plan.executable)}\n")
    file.write(f"Functions  {count:,} in {_count(len(plan.modules), 'module')}\n")
    # Where in a function the obstacle stands is too much here.
    ways = Counter((f.exit, re.sub(r" at \+0x[0-9a-f]+", "", f.exit_reason)) for f in plan.functions)
    for strategy, number in ways.most_common():
        file.write(
            f"Probes     {_HOW[strategy[0]]} for {_count(number, 'function')}: {printable(strategy[1])}\n"
        )
    _slow(plan, file)
    if following and not plan.target.everything:
        what = "recorded too" if following.follow else "not recorded"
        file.write(f"Children   {what}: {printable(following.reason)}\n")
    for module in plan.modules:
        _module(plan, module, file)
    if plan.skipped:
        file.write("\nLeft out\n")
        for reason, number in Counter(skipped["reason"] for skipped in plan.skipped).most_common():
            symbols = [printable(s["symbol"]) for s in plan.skipped if s["reason"] == reason]
            more = ", …" if len(symbols) > 3 else ""
            file.write(f"  {number:,}: {reason} ({', '.join(symbols[:3])}{more})\n")
    for notice in plan.notices:
        file.write(f"\nNotice: {printable(notice)}\n")


def _target(plan: Plan) -> str:
    target = plan.target
    if target.command is not None:
        return shlex.join(target.command)
    if target.everything:
        return "every process"
    return ("process " if len(target.pids) == 1 else "processes ") + ", ".join(map(str, target.pids))


def _module(plan: Plan, module: PlannedModule, file: TextIO) -> None:
    file.write(f"\n{printable(module.path)}\n")
    file.write(f"  build id   {module.build_id or 'none'}\n")
    if module.attach_path != module.path:
        file.write(f"  opened as  {printable(module.attach_path)}\n")
    if module.pids and len(plan.target.pids) > 1:
        file.write(f"  mapped by  {', '.join(map(str, module.pids))}\n")
    if not plan.target.everything:
        shared = "other processes map it, or that cannot be told" if module.shared else "nobody else maps it"
        file.write(f"  shared     {shared}\n")
    file.write(f"  functions  {len(module.functions):,}\n")
    for function in module.functions[:MOST_LISTED]:
        file.write(f"    {_function(function)}\n")
    more = len(module.functions) - MOST_LISTED
    if more > 0:
        file.write(f"    … and {more:,} more\n")


def _slow(plan: Plan, file: TextIO) -> None:
    """Warn of functions on slow sites, and of returns on such, if there are any."""
    from ..record.site_classes import SiteClass, cost

    slow = [f for f in plan.functions if f.site_class is SiteClass.STEPPED]
    if slow:
        dearest = sorted(slow, key=lambda f: -cost(f.site_class, f.exit))
        names = ", ".join(printable(f.demangled) for f in dearest[:MOST_NAMED])
        more = ", …" if len(slow) > MOST_NAMED else ""
        file.write(
            f"Slow       {_count(len(slow), 'function')} on sites that the kernel single-steps, up to "
            f"{cost(dearest[0].site_class, dearest[0].exit):,} ns a call: {names}{more}\n"
        )


def _function(function: PlannedFunction) -> str:
    from ..record.site_classes import cost

    text = (
        f"{function.address:#12x}  {f'+{function.site - function.offset}':>4}  {function.site_class:8}  "
        f"{cost(function.site_class, function.exit):6,} ns  {printable(function.demangled)}"
    )
    if function.aliases:
        text += f"  (also {', '.join(map(printable, function.aliases))})"
    return text


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
