"""`funcsnoop export`: a trace as a file that another tool opens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from ..errors import UsageError
from ..printable import printable
from .choice_options import Correct, FunctionsWithin, Processes, Replace, Since, Threads, Until
from .completion import one_of
from .progress import progress_bar
from .sink import claim_output, sink

if TYPE_CHECKING:
    from ..analyze.export import Weight

EPILOG = """\b
Examples:
  funcsnoop export --to perfetto                     trace.pftrace, for ui.perfetto.dev
  funcsnoop export slow.parquet --to speedscope      slow.speedscope.json
  funcsnoop export --to folded -o - | flamegraph.pl --countname ns >flame.svg
  funcsnoop export --to pprof --function main && go tool pprof -http : trace.pb.gz
"""

#: Here, and not only in `analyze.export`, so that the help needs no other module.
NAMES = ("perfetto", "chrome", "speedscope", "folded", "pprof")
WEIGHTS = ("time", "calls")
WEIGHTED = ("folded", "pprof")


def export(
    path: str = typer.Argument("trace.parquet", metavar="[TRACE]", show_default=True),
    to: str = typer.Option(
        ...,
        "--to",
        metavar="FORMAT",
        help=f"One of {', '.join(NAMES)}.",
        autocompletion=one_of(NAMES),
    ),
    output: str | None = typer.Option(
        None,
        "-o",
        "--output",
        metavar="FILE",
        help="Write to FILE, - for standard output; without it beside TRACE, under a name like its own.",
    ),
    force: Replace = False,
    weight: str | None = typer.Option(
        None,
        "--weight",
        metavar="WEIGHT",
        help=f"What a stack weighs, {' or '.join(WEIGHTS)}: for {' and '.join(WEIGHTED)}.",
        autocompletion=one_of(WEIGHTS),
    ),
    function: FunctionsWithin = None,
    process: Processes = None,
    thread: Threads = None,
    since: Since = None,
    until: Until = None,
    correct: Correct = False,
) -> None:
    """Write a trace as a file that another tool opens."""
    if to not in NAMES:
        raise UsageError(f"there is no format {to!r}", f"formats are {', '.join(NAMES)}")
    if weight is not None and weight not in WEIGHTS:
        raise UsageError(f"there is no weight {weight!r}", f"weights are {', '.join(WEIGHTS)}")
    if weight is not None and to not in WEIGHTED:
        raise UsageError(f"--weight means nothing to {to}", f"it is for {' and '.join(WEIGHTED)}")
    if correct and to == "folded" and weight == "calls":
        raise UsageError("numbers of calls cannot be corrected", "leave --correct or --weight calls out")

    from ..analyze.effort import Effort
    from ..analyze.export import FORMATS, Source
    from ..analyze.trace import Trace
    from .choice import chosen
    from .quantities import show_bytes

    form = FORMATS[to]
    if output == "-":
        target = None
        if form.binary and sys.stdout.isatty():
            raise UsageError(f"{to} is binary, and this is a terminal", "give a file with -o FILE")
    else:
        target = Path(output) if output is not None else _beside(Path(path), form.suffix)
        claim_output(target, force=force)

    with progress_bar("pairing") as pairing, progress_bar("exporting") as exporting:
        trace = Trace(path, Effort(progress=pairing), correct=correct)
        if trace.path.suffix == ".partial":
            sys.stderr.write(f"funcsnoop: notice: {printable(trace.metadata['notices'][-1])}\n")
        selection = chosen(trace, function, process, thread, since, until, beneath=True)
        source = Source(trace, selection, cast("Weight", weight or "time"), exporting)
        with sink(target) as out:
            form.write(source, out)
            if not source.found:
                raise UsageError(
                    f"no call of {trace.path} is chosen",
                    "choose with fewer of --function, --process, --thread, --since, --until; "
                    "or see with `funcsnoop analyze` what was recorded",
                )
    calls = f"funcsnoop: {source.found.total():,} calls"
    if target is not None:
        size = show_bytes(target.stat().st_size)
        calls += f" -> {printable(str(target))} ({size}), for {form.reader}"
    # What is corrected is summed up, whatever the format.
    loss = source.loss.drawn if form.drawn and not correct else str(source.loss)
    times = [trace.times] if trace.times and (to, weight) != ("folded", "calls") else []
    for line in (calls, *(f"funcsnoop: notice: {note}" for note in source.notes), *times, loss):
        sys.stderr.write(f"{line}\n")


def _beside(path: Path, suffix: str) -> Path:
    """`trace.parquet` becomes `trace.folded`, and so does `trace.parquet.partial`."""
    name = path.name.removesuffix(".partial").removesuffix(".parquet")
    return path.with_name(name + suffix)
