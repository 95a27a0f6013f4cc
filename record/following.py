"""Whether processes that the target forks are recorded too.

A link's own pid filter keeps all other processes free of breakpoints, but lets no child's events through.
Following needs the filter in the program, and then every process that maps a traced file pays for a trap
at each call. So it is on by itself only while no unrelated process maps what is traced.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..bpf.features import Strategy
from ..errors import UsageError
from .plan import Plan


@dataclass(frozen=True)
class Following:
    follow: bool
    reason: str
    #: The program decides whose events count, not the link: see the module's text.
    filter_in_program: bool


def decide(plan: Plan, strategy: Strategy, wanted: bool | None) -> Following:
    """What `--follow` (True), `--no-follow` (False) or neither comes to. Raises `UsageError`."""
    if plan.target.everything:
        return Following(False, "every process is recorded", True)
    # Without a pid filter, only a session link can leave the return addresses of others alone.
    unsafe = strategy is not Strategy.SESSION and any(f.exit == "return" for f in plan.functions)
    shared = [os.path.basename(module.path) for module in plan.modules if module.shared]
    others = f"other processes map {', '.join(shared)}, or that cannot be told"
    if wanted:
        if unsafe:
            raise UsageError(
                f"children cannot be followed with return probes and --attach {strategy}: "
                "every process that maps the files would get them",
                "Add --exit ret, or leave --follow out.",
            )
        cost = f"; {others}: each call there costs a trap" if shared else ""
        return Following(True, f"asked for with --follow{cost}", True)
    if wanted is False:
        return Following(False, "asked for with --no-follow", not shared and not unsafe)
    if shared:
        return Following(False, f"{others}, and each call there would cost a trap (--follow)", False)
    if unsafe:
        return Following(False, f"return probes with --attach {strategy} need a process filter", False)
    return Following(True, "nobody else maps what is traced", True)
