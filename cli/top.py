"""`funcsnoop top`: the functions that are called right now, while a recording runs."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from enum import StrEnum
from typing import Annotated

import typer

from ..errors import UsageError
from .held_output import HeldOutput
from .live_table import LiveTable
from .recording_options import (
    AllowNop5,
    AllProcesses,
    AsRoot,
    Attach,
    AttachBy,
    Buffer,
    CommandLine,
    Duration,
    Excluded,
    Exit,
    ExitBy,
    Follow,
    Force,
    Functions,
    Pids,
    SiteAt,
    SitePolicy,
    chosen_target,
)

EPILOG = """\b
Examples:
  funcsnoop top -f 'libsqlite3:sqlite3_*' -- ./app
  funcsnoop top -p 1234 --sort p99
  funcsnoop top -o trace.parquet -p 1234 --duration 10s     keep the trace too
"""


class Sort(StrEnum):
    RATE = "rate"
    CALLS = "calls"
    TIME = "time"
    P50 = "p50"
    P99 = "p99"


def top(
    command: CommandLine = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Keep the trace. [default: nothing is written]"),
    ] = None,
    function: Functions = None,
    exclude: Excluded = None,
    pid: Pids = None,
    all_processes: AllProcesses = False,
    sort: Annotated[
        Sort,
        typer.Option(
            "--sort",
            help="Largest first: calls a second lately, calls, time inside a second, or a percentile.",
        ),
    ] = Sort.RATE,
    interval: Annotated[
        str, typer.Option("--interval", metavar="TIME", help="How often the table is drawn.")
    ] = "1s",
    duration: Duration = None,
    buffer: Buffer = None,
    attach: AttachBy = Attach.AUTO,
    follow: Follow = None,
    exit_: ExitBy = Exit.AUTO,
    site: SiteAt = SitePolicy.AUTO,
    as_root: AsRoot = False,
    allow_nop5: AllowNop5 = False,
    force: Force = False,
) -> None:
    """Watch which functions are called, how often and how long, until Ctrl-C or the command's end.

    The table takes the terminal; what a command writes to that terminal is shown when the table ends.
    """
    if not sys.stderr.isatty():
        raise UsageError(
            "top draws on a terminal, and stderr is none",
            "Record instead, then analyze: funcsnoop record -o trace.parquet ...",
        )
    from ..record import privileges
    from ..record.caller import callers_environment
    from ..record.memory import FROM_THE_START, check_limits, check_ring_bytes

    check_limits(FROM_THE_START)
    environment = None if as_root else callers_environment(os.environ)
    root = privileges.become_invoking_user(as_root=as_root)
    privileges.import_without("numpy", "pyarrow", "pyarrow.parquet", "rich.live")
    from ..record.live import LiveCalls
    from ..record.options import Options
    from ..record.plan import make_plan
    from ..record.recorder import Recorder
    from ..record.replan import added
    from ..schemas import MAX_ARGS
    from .quantities import parse_duration, parse_size
    from .screen import Screen

    every_ns = parse_duration(interval)
    if not every_ns:
        raise UsageError("an interval of 0 is not possible", "Give --interval a time such as 500ms.")
    ring_bytes = None if buffer is None else check_ring_bytes(parse_size(buffer))
    duration_ns = None if duration is None else parse_duration(duration)
    target = chosen_target("top", command, pid, all_processes, environment)
    # The table shows no arguments: where none are kept, a probe may sit where they are gone.
    arguments = MAX_ARGS if output else 0
    plan = make_plan(
        target,
        function or [],
        exclude or [],
        exit_policy=exit_.value,
        arguments=arguments,
        at_entry=site is SitePolicy.ENTRY,
        allow_nop5=allow_nop5,
    )
    screen = Screen(quiet=False, waits=False)
    screen.announce(plan)
    functions = [*plan.functions, *added(plan).functions]
    calls = LiveCalls(len(functions))
    names = ["", *(planned.demangled for planned in functions)]
    with ExitStack() as undo:
        held = undo.enter_context(HeldOutput()) if command else None
        options = Options(
            output=output,
            force=force,
            duration_ns=duration_ns,
            arguments=arguments,
            ring_bytes=ring_bytes,
            follow=follow,
            command_identity=root if as_root else None,
            command_outputs=held.descriptors if held else (None, None),
            strategy=attach.strategy(),
        )
        table = LiveTable(calls, names, sort.value, every_ns, output)
        undo.callback(table.close)
        recorder = undo.enter_context(Recorder(plan, options, table.progress, calls.add))
        result = recorder.run()
    started, ended = result.metadata["started"], result.metadata["ended"]
    sys.stderr.write(table.whole((ended["monotonic_ns"] - started["monotonic_ns"]) / 1e9))
    screen.summary(result, output)
    raise typer.Exit(result.exit_status)
