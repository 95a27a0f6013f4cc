"""`funcsnoop record`: parse what is asked for, run a recording, say how it goes."""

from __future__ import annotations

import gc
import os
import sys
from enum import StrEnum
from typing import Annotated, Final

import typer

from .recording_options import (
    AllowNop5,
    AllProcesses,
    AsRoot,
    Attach,
    AttachBy,
    Budget,
    Buffer,
    CommandLine,
    Duration,
    Events,
    EventsBy,
    Excluded,
    Exit,
    ExitBy,
    Follow,
    Force,
    Functions,
    MaxDepth,
    MinDuration,
    Pids,
    Sample,
    SiteAt,
    SitePolicy,
    chosen_target,
)
from .screen import Screen


class Layout(StrEnum):
    LEAN = "lean"
    FULL = "full"


#: As many functions most modules do not have; room for them takes 8 MB.
_MANY_FUNCTIONS: Final = 1 << 16

EPILOG = """\b
Examples:
  funcsnoop record -- ./server --port 8080      every function of the program
  funcsnoop record -f 'parse_*' -x 'parse_int' -- ./server
  funcsnoop record -p 1234 -f 'libssl:SSL_*' --duration 10s
  funcsnoop record --dry-run -f 'libsqlite3:/^sqlite3_(step|open)/' -- ./app
"""


def record(
    command: CommandLine = None,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Where the trace goes.")
    ] = "trace.parquet",
    function: Functions = None,
    exclude: Excluded = None,
    pid: Pids = None,
    all_processes: AllProcesses = False,
    duration: Duration = None,
    max_events: Annotated[
        int | None,
        typer.Option("--max-events", metavar="N", min=1, help="Take the probes out after N events."),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            "--max-size", metavar="SIZE", help="Take the probes out when the file has this size: 500M, 2G."
        ),
    ] = None,
    args: Annotated[
        int, typer.Option("--args", metavar="N", min=0, max=6, help="Argument registers to record.")
    ] = 6,
    min_duration: MinDuration = None,
    max_depth: MaxDepth = None,
    sample: Sample = None,
    budget: Budget = None,
    events: EventsBy = Events.SIDES,
    buffer: Buffer = None,
    layout: Annotated[
        Layout,
        typer.Option("--layout", help="Event layout in the ring: full carries the name in each event."),
    ] = Layout.LEAN,
    attach: AttachBy = Attach.AUTO,
    follow: Follow = None,
    exit_: ExitBy = Exit.AUTO,
    site: SiteAt = SitePolicy.AUTO,
    as_root: AsRoot = False,
    allow_nop5: AllowNop5 = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be probed, and stop.")] = False,
    force: Force = False,
    sync: Annotated[
        bool,
        typer.Option("--sync", help="Wait for the disk at each commit, so that it survives a power failure."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Say nothing unless something is wrong.")
    ] = False,
) -> None:
    """Record every call of chosen functions, in a command or in running processes.

    Messages go to stderr; stdout belongs to the command, whose exit status is kept.
    """
    from ..record import privileges
    from ..record.caller import callers_environment
    from ..record.memory import (
        FROM_THE_START,
        check_limits,
        check_ring_bytes,
        default_ring_bytes,
    )

    environment = dict(os.environ) if as_root else callers_environment(os.environ)
    root = privileges.become_invoking_user(as_root=as_root)
    if not dry_run:
        check_limits(FROM_THE_START)
    from ..bpf.filters import Filters
    from ..record import filtering
    from ..record.compiling import Compiling
    from ..record.options import Options, sizes
    from .quantities import parse_duration, parse_share, parse_size

    target = chosen_target("record", command, pid, all_processes, environment)
    filters = Filters(
        min_duration_ns=None if min_duration is None else parse_duration(min_duration),
        sample=None if sample is None else parse_share(sample),
        max_depth=max_depth,
        budget=budget,
        spans=events is Events.SPANS,
    )
    filtering.check(filters, exit_.value)
    options = Options(
        output=output,
        force=force,
        duration_ns=None if duration is None else parse_duration(duration),
        max_events=max_events,
        max_size=None if max_size is None else parse_size(max_size),
        sync=sync,
        arguments=args,
        ring_bytes=default_ring_bytes() if buffer is None else check_ring_bytes(parse_size(buffer)),
        layout=layout.value,
        filters=filters,
        follow=follow,
        command_identity=root if as_root else None,
        strategy=attach.strategy(),
    )
    # Now: while the compiler runs, stderr is no terminal.
    screen = Screen(quiet, waits=not command)
    # What a plan is made of stays: to look through it for what can be thrown away takes a sixth of the time.
    gc.disable()
    with Compiling() as compiling:
        # A dry run does without PyArrow, and without bcc.
        if not dry_run:
            everything = any(text.rpartition(":")[2].strip("*") == "" for text in function or ["*"])
            guess = _MANY_FUNCTIONS if everything else 0
            compiling.begin(
                sizes(options, everything=target.everything, processes=len(target.pids), functions=guess)
            )
        privileges.import_without("numpy", *(() if dry_run else ("pyarrow", "pyarrow.parquet")))
        from ..record.plan import make_plan

        plan = make_plan(
            target,
            function or [],
            exclude or [],
            exit_policy=exit_.value,
            arguments=args,
            at_entry=site is SitePolicy.ENTRY,
            allow_nop5=allow_nop5,
            on_chosen=compiling.expect,
        )
        plan = filtering.apply(filters, plan)
        if dry_run:
            from ..bpf.features import Strategy
            from ..record.following import decide
            from .plan_view import render_plan

            # What the kernel can do is not tried out here, which would need privilege.
            render_plan(plan, sys.stdout, decide(plan, attach.strategy() or Strategy.SESSION, follow))
            return

        from ..record.recorder import Recorder

        if plan.notices:
            compiling.wait()
            screen.announce(plan)
        with Recorder(plan, options, screen.progress, compiling=compiling) as recorder:
            result = recorder.run()
    screen.summary(result, output)
    raise typer.Exit(result.exit_status)
