"""Put together what the file says of its recording."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .. import __version__
from ..bpf.features import Strategy
from ..schemas import FORMAT_VERSION
from ..schemas.chain import RECORDING
from ..schemas.metadata import (
    ClockSnapshot,
    Counts,
    FilterInfo,
    FunctionInfo,
    ProbeCost,
    TraceMetadata,
)
from .plan import Plan

if TYPE_CHECKING:
    from .options import Options


def metadata_at_start(
    *,
    plan: Plan,
    functions: list[FunctionInfo],
    costs: list[ProbeCost],
    options: Options,
    strategy: Strategy,
    ring_bytes: int,
    started: ClockSnapshot,
    counts: Counts,
    filters: FilterInfo,
    notices: list[str],
) -> TraceMetadata:
    """The metadata of a recording that begins, to which its end adds what changes meanwhile.

    It holds `functions` and `notices` themselves, which can grow.
    """
    system = os.uname()
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": __version__,
        "host": system.nodename,
        "kernel": system.release,
        "architecture": system.machine,
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "command_line": [_text(argument) for argument in sys.argv],
        "command": None if plan.target.command is None else [_text(a) for a in plan.target.command],
        "exit_status": None,
        "attach": str(strategy),
        "layout": options.layout,
        "args": options.arguments,
        "events": "spans" if options.filters.spans else "sides",
        "filters": filters,
        "ring_bytes": ring_bytes,
        "started": started,
        "ended": started,
        "end_reason": RECORDING,
        "processes": [],
        "threads": [],
        "functions": functions,
        "probe_costs": costs,
        "skipped": list(plan.skipped),
        "notices": notices,
        "counts": counts,
        "loss_windows": [],
    }


def function_table(plan: Plan) -> list[FunctionInfo]:
    """One row for each function that is probed, ordered by cookie."""
    return [
        {
            "cookie": function.cookie,
            "symbol": function.symbol,
            "demangled": function.demangled,
            "module": path,
            "build_id": module.build_id,
            "address": function.address,
            "offset": function.offset,
            "size": function.size,
            "aliases": list(function.aliases),
            "site": function.site,
            "site_class": function.site_class.value,
            "exit": function.exit,
            "exit_reason": function.exit_reason,
        }
        for module in plan.modules
        for path in (_text(module.path),)
        for function in module.functions
    ]


def _text(value: str) -> str:
    """File names and arguments may hold bytes that are no UTF-8; JSON may not."""
    return os.fsencode(value).decode(errors="backslashreplace")
