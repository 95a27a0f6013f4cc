"""`funcsnoop analyze`: reports over traces."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import UsageError
from .printable import printable
from .sink import check_output, sink

if TYPE_CHECKING:
    from .choice import Choice

EPILOG = """\b
Examples:
  funcsnoop analyze                                  a summary of trace.parquet
  funcsnoop analyze latency --sort p99_ns --top 10   the slowest functions
  funcsnoop analyze callgraph --function main        what main called
  funcsnoop analyze args --as 'read:ret_val=i64'     return values as signed numbers
  funcsnoop analyze calls --format parquet -o calls.parquet
"""

#: Here, and not only in `reports`, so that the help needs no other module.
NAMES = ("summary", "latency", "callgraph", "args", "calls", "threads")
FORMATS = ("table", "json", "ndjson", "csv", "parquet", "markdown")

#: Options that mean something to some reports only, and to which.
ONLY_FOR = {
    "--focus": ("callgraph",),
    "--min-percent": ("callgraph",),
    "--depth": ("callgraph",),
    "--as": ("args",),
}


def analyze(
    words: list[str] | None = typer.Argument(
        None,
        metavar="[REPORT] [TRACE]...",
        help=f"REPORT is one of {', '.join(NAMES)} (default summary); TRACE is by default trace.parquet.",
    ),
    function: list[str] | None = typer.Option(
        None, "--function", metavar="GLOB", help="Only calls of these functions; repeatable."
    ),
    process: list[str] | None = typer.Option(
        None, "--process", metavar="ID|GLOB", help="Only these processes, by id or command; repeatable."
    ),
    thread: list[str] | None = typer.Option(
        None, "--thread", metavar="ID|GLOB", help="Only these threads, by id or name; repeatable."
    ),
    since: str | None = typer.Option(
        None,
        "--since",
        metavar="TIME",
        help="Only calls that began this long after the start, as 1.5s or 200ms.",
    ),
    until: str | None = typer.Option(
        None, "--until", metavar="TIME", help="Only calls that began before this long after the start."
    ),
    focus: str | None = typer.Option(
        None, "--focus", metavar="FUNC", help="callgraph: the callers of FUNC above it, its callees below."
    ),
    min_percent: float | None = typer.Option(
        None,
        "--min-percent",
        metavar="P",
        min=0,
        max=100,
        help="callgraph: only branches with P % of the time, or more.",
    ),
    depth: int | None = typer.Option(
        None, "--depth", metavar="N", min=1, help="callgraph: only N calls deep."
    ),
    sort: str | None = typer.Option(None, "--sort", metavar="COLUMN", help="Sort by a column of the report."),
    top: int | None = typer.Option(None, "--top", metavar="N", min=1, help="Only the first N rows."),
    cast: list[str] | None = typer.Option(
        None,
        "--as",
        metavar="FUNC:ARG=TYPE",
        help="Read a register as i8 … i64, u8 … u64, ptr or bool; repeatable.",
    ),
    form: str = typer.Option("table", "--format", metavar="FORMAT", help=f"One of {', '.join(FORMATS)}."),
    output: Path | None = typer.Option(None, "-o", "--output", metavar="FILE", help="Write to FILE."),
    force: bool = typer.Option(False, "--force", help="Replace FILE if it exists."),
) -> None:
    """Print a report about recorded calls."""
    report, paths = _report_and_paths(words or [])
    if form not in FORMATS:
        raise UsageError(f"there is no format {form!r}", f"formats are {', '.join(FORMATS)}")
    if report == "summary":
        if form in ("csv", "parquet"):
            raise UsageError(
                f"the summary is no table, so it cannot be {form}", "use json, or another report"
            )
        if sort is not None:
            raise UsageError("the summary has no columns to sort by", "use another report, such as latency")
    given = {
        "--focus": focus is not None,
        "--min-percent": min_percent is not None,
        "--depth": depth is not None,
        "--as": bool(cast),
    }
    for option, reports in ONLY_FOR.items():
        if given[option] and report not in reports:
            raise UsageError(
                f"{option} means nothing to the report {report}", f"it is for {', '.join(reports)}"
            )
    if form != "table" and (min_percent is not None or depth is not None):
        raise UsageError(
            f"--min-percent and --depth are for the tree, and as {form} it is a list of edges",
            "leave them out, or leave --format out",
        )
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is binary, and this is a terminal", "give a file with -o FILE")
    if output is not None:
        check_output(output, force=force)

    from ..analyze import filters
    from ..analyze.casts import Cast
    from ..analyze.trace import Trace
    from . import present
    from .choice import Choice, Wanted
    from .quantities import parse_duration
    from .reports import REPORTS

    wanted = Wanted(sort, top, [Cast.parse(text) for text in cast or []], focus, min_percent or 0, depth)
    span = [None if text is None else parse_duration(text) for text in (since, until)]
    if report != "summary":
        present.check_sort(sort, REPORTS[report].schema())

    def choose(path: str) -> Choice:
        trace = Trace(path)
        if trace.path.suffix == ".partial" and report != "summary":
            # The last notice says what that means; the summary shows it itself.
            sys.stderr.write(f"funcsnoop: notice: {printable(trace.metadata['notices'][-1])}\n")
        paired = trace.paired
        if function:
            rows = filters.matching(trace.functions, function)
            paired = filters.by_function(paired, rows, beneath=report == "callgraph")
        if process:
            paired = filters.by_process(paired, trace.metadata, process)
        if thread:
            paired = filters.by_thread(paired, trace.metadata, thread)
        return Choice(trace, filters.by_time(paired, trace.metadata, *span), wanted)

    choices = (choose(path) for path in paths)
    with sink(output) as out:
        present.present(report, choices, len(paths), form, wanted, out, output)


def _report_and_paths(words: list[str]) -> tuple[str, list[str]]:
    report = "summary"
    if words and words[0] in NAMES:
        report, *words = words
    if words and not {"/", "."} & set(words[0]) and not os.path.exists(words[0]):
        import difflib

        near = difflib.get_close_matches(words[0], NAMES, 1, 0.6)
        if near:
            raise UsageError(
                f"{words[0]} is neither a report nor a file",
                f"did you mean {near[0]}? Reports: {', '.join(NAMES)}",
            )
    return report, words or ["trace.parquet"]
