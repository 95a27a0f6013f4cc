"""`funcsnoop report`: a trace as one HTML page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from ..errors import UsageError
from ..printable import printable
from .choice_options import Casts, Correct, FunctionsWithin, Processes, Replace, Since, Threads, Until
from .sink import claim_output, sink
from .units import count

EPILOG = """\b
Examples:
  funcsnoop report                                   trace.parquet as trace.html
  funcsnoop report big.parquet --since 10s --until 12s -o two-seconds.html
  funcsnoop report --function handle_request         these calls, and what ran inside them
  funcsnoop report --as 'read:ret_val=i64'           return values as signed numbers
"""


def report(
    trace: str = typer.Argument("trace.parquet", metavar="[TRACE]", help="The trace.", show_default=True),
    output: Path | None = typer.Option(
        None,
        "-o",
        "--output",
        metavar="FILE",
        help="Where the page goes. [default: TRACE, with .html in place of .parquet]",
    ),
    function: FunctionsWithin = None,
    process: Processes = None,
    thread: Threads = None,
    since: Since = None,
    until: Until = None,
    cast: Casts = None,
    correct: Correct = False,
    force: Replace = False,
) -> None:
    """Write a trace as one HTML page: flame graph, functions, latencies, arguments, threads."""
    page = output or Path(trace.removesuffix(".partial").removesuffix(".parquet") + ".html")
    claim_output(page, force=force)

    from ..analyze.casts import Cast
    from ..analyze.trace import Trace
    from ..report.page import Report
    from .choice import chosen
    from .quantities import show_bytes

    casts = [Cast.parse(text) for text in cast or []]
    opened = Trace(trace, correct=correct)
    if opened.path.suffix == ".partial":
        sys.stderr.write(f"funcsnoop: notice: {printable(opened.metadata['notices'][-1])}\n")
    given = {"function": function, "process": process, "thread": thread, "since": since, "until": until}
    selection = [
        f"{name} {value}"
        for name, values in given.items()
        for value in ([values] if isinstance(values, str) else values or [])
    ]
    with _status() as told:
        told("calls")
        calls = chosen(opened, function, process, thread, since, until, beneath=True)
        made = Report(opened, calls, selection, casts, told)
    if selection and not made.calls:
        raise UsageError(
            f"no call of {trace} is chosen",
            "choose with fewer of --function, --process, --thread, --since, --until; "
            "or see with `funcsnoop analyze` what was recorded",
        )
    with sink(page) as out:
        out.write(made.html.encode())
    size = show_bytes(page.stat().st_size)
    times = f"{opened.times}\n" if opened.times else ""
    sys.stderr.write(
        f"funcsnoop: {count(made.calls)} calls -> {printable(str(page))} ({size}); {made.loss}\n{times}"
    )


@contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """On a terminal a line with what is worked on; what this yields is told that."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        yield lambda step: status.update(f"reading {step}")
