"""`funcsnoop record`: parse what is asked for, run a recording, say how it goes."""

from __future__ import annotations

import os
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UsageError
from .printable import printable

if TYPE_CHECKING:
    from ..record.plan import Plan
    from ..record.recorder import Progress, Result


class Layout(StrEnum):
    LEAN = "lean"
    FULL = "full"


class Attach(StrEnum):
    AUTO = "auto"
    SESSION = "session"
    MULTI = "multi"
    PERF = "perf"


class Exit(StrEnum):
    AUTO = "auto"
    RETURN = "return"
    RET = "ret"
    NONE = "none"


EPILOG = """\b
Examples:
  funcsnoop record -- ./server --port 8080      every function of the program
  funcsnoop record -f 'parse_*' -x 'parse_int' -- ./server
  funcsnoop record -p 1234 -f 'libssl:SSL_*' --duration 10s
  funcsnoop record --dry-run -f 'libsqlite3:/^sqlite3_(step|open)/' -- ./app
"""


def record(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND ARG", help="Start this and record it to its end."),
    ] = None,
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Where the trace goes.")
    ] = "trace.parquet",
    function: Annotated[
        list[str] | None,
        typer.Option(
            "-f",
            "--function",
            metavar="SPEC",
            help="Functions to record, as [MODULE:]PATTERN: a glob or /regex/, in a file or a library. "
            "Repeatable; without it, every function of the executable.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("-x", "--exclude", metavar="SPEC", help="Functions to leave out. Repeatable."),
    ] = None,
    pid: Annotated[
        list[int] | None,
        typer.Option("-p", "--pid", metavar="PID", help="Record this running process. Repeatable."),
    ] = None,
    all_processes: Annotated[
        bool,
        typer.Option("--all-processes", help="Record whatever process runs the functions."),
    ] = False,
    duration: Annotated[
        str | None,
        typer.Option(
            "--duration", metavar="TIME", help="Take the probes out after this time: 10s, 500ms, 2m."
        ),
    ] = None,
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
    buffer: Annotated[
        str | None,
        typer.Option(
            "--buffer",
            metavar="SIZE",
            help="Ring buffer, a power of two. [default: 16M, less if memory is small]",
        ),
    ] = None,
    layout: Annotated[
        Layout,
        typer.Option("--layout", help="Event layout in the ring: full carries the name in each event."),
    ] = Layout.LEAN,
    attach: Annotated[
        Attach,
        typer.Option("--attach", help="How probes are attached; auto takes the best that the kernel has."),
    ] = Attach.AUTO,
    follow: Annotated[
        bool | None,
        typer.Option(
            "--follow/--no-follow",
            help="Record forked children too. By itself on while no other process maps what is traced; "
            "elsewhere each of their calls would cost a trap.",
        ),
    ] = None,
    exit_: Annotated[
        Exit,
        typer.Option(
            "--exit",
            help="How exits are seen. auto: return where nothing in the process can unwind its stack, else "
            "ret. return: return probes, fast; an exception or longjmp through a traced function then breaks "
            "the program. ret: probes on return instructions, safe. none: entries only.",
        ),
    ] = Exit.AUTO,
    as_root: Annotated[
        bool,
        typer.Option(
            "--as-root", help="Under sudo, run the command as root, not as the user who called sudo."
        ),
    ] = False,
    allow_nop5: Annotated[
        bool,
        typer.Option(
            "--allow-nop5",
            help="Probe functions on the 5-byte NOP that they begin with, which is faster. On some kernels "
            "children that the program forks then die; without this option it is done where they live.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be probed, and stop.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing output.")] = False,
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

    environment = None if as_root else privileges.users_environment(os.environ)
    root = privileges.become_invoking_user(as_root=as_root)
    # A dry run does without PyArrow, and without bcc.
    privileges.import_without("numpy", *(() if dry_run else ("pyarrow", "pyarrow.parquet")))
    from ..record.memory import check_ring_bytes
    from ..record.plan import make_plan
    from ..record.target import Target
    from .quantities import parse_duration, parse_size

    if sum((bool(command), bool(pid), all_processes)) != 1:
        raise UsageError(
            "say what to record: either a command, or --pid, or --all-processes",
            "For example: funcsnoop record -- ls -l   (see funcsnoop record --help)",
        )
    ring_bytes = None if buffer is None else check_ring_bytes(parse_size(buffer))
    duration_ns = None if duration is None else parse_duration(duration)
    if command:
        target = Target.for_command(command, environment)
    elif pid:
        target = Target.for_pids(pid)
    else:
        target = Target.for_everything()
    plan = make_plan(target, function or [], exclude or [], exit_policy=exit_.value, allow_nop5=allow_nop5)
    if dry_run:
        from ..bpf.features import Strategy
        from ..record.following import decide
        from .plan_view import render_plan

        # What the kernel can do is not tried out here, which would need privilege.
        strategy = Strategy.SESSION if attach is Attach.AUTO else Strategy(attach.value)
        render_plan(plan, sys.stdout, decide(plan, strategy, follow))
        return

    from ..bpf.features import Strategy
    from ..record.recorder import Options, Recorder

    options = Options(
        output=output,
        force=force,
        duration_ns=duration_ns,
        max_events=max_events,
        max_size=None if max_size is None else parse_size(max_size),
        sync=sync,
        arguments=args,
        ring_bytes=ring_bytes,
        layout=layout.value,
        follow=follow,
        command_identity=root if as_root else None,
        strategy=None if attach is Attach.AUTO else Strategy(attach.value),
    )
    screen = _Screen(quiet, waits=not command)
    screen.announce(plan)
    with Recorder(plan, options, screen.progress) as recorder:
        result = recorder.run()
    screen.summary(result, output)
    raise typer.Exit(result.exit_status)


class _Screen:
    """What a recording says on stderr: notices, a live line on a terminal, and a summary."""

    _EVERY_SECONDS = 0.25

    def __init__(self, quiet: bool, waits: bool) -> None:
        self._quiet = quiet
        self._waits = waits and not quiet
        self._live = not quiet and sys.stderr.isatty()
        self._shown = 0.0
        self._last: Progress | None = None

    def announce(self, plan: Plan) -> None:
        if not self._quiet:
            for notice in plan.notices:
                self._say(f"notice: {printable(notice)}")

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._waits:
            # The probes are in: who wants to can start what calls the functions.
            self._say("recording, Ctrl-C ends it")
            self._waits = False
        if not self._live or now - self._shown < self._EVERY_SECONDS:
            return
        from .quantities import show_bytes

        rate = 0.0
        if self._last and progress.seconds > self._last.seconds:
            rate = (progress.events - self._last.events) / (progress.seconds - self._last.seconds)
        self._shown, self._last = now, progress
        sys.stderr.write(
            f"\r\x1b[K{progress.seconds:6.1f} s  {progress.events:,} events  {rate:,.0f}/s  "
            f"{progress.lost:,} lost  {show_bytes(progress.file_bytes)}"
        )
        sys.stderr.flush()

    def summary(self, result: Result, output: str) -> None:
        if self._live and self._last:
            sys.stderr.write("\r\x1b[K")
        counts = result.metadata["counts"]
        lost = sum(counts["lost"].values())
        if self._quiet and not lost:
            return
        from .quantities import show_bytes

        seconds = (
            result.metadata["ended"]["monotonic_ns"] - result.metadata["started"]["monotonic_ns"]
        ) / 1e9
        recorded = counts["recorded"]
        per_event = f", {result.file_bytes / recorded:.1f} bytes per event" if recorded >= 1000 else ""
        functions = len(result.metadata["functions"])
        self._say(
            f"{recorded:,} event{'s' * (recorded != 1)} of {functions:,} function{'s' * (functions != 1)} "
            f"in {seconds:.2f} s, "
            f"{lost:,} lost -> {output} ({show_bytes(result.file_bytes)}{per_event})"
        )
        if counts["after_limit"]:
            self._say(f"{counts['after_limit']:,} more events came before --max-events took the probes out")
        if lost:
            share = 100 * lost / max(1, counts["produced"])
            self._say(
                f"{share:.2g} % of the events were lost: record fewer functions, or give a larger --buffer "
                f"than {result.metadata['ring_bytes'] >> 10}K"
            )
        if not recorded:
            self._say("no traced function was called")

    def _say(self, text: str) -> None:
        sys.stderr.write(f"funcsnoop: {text}\n")
