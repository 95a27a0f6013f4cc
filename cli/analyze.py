"""`funcsnoop analyze`: reports over traces."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import UsageError
from ..printable import printable
from .choice_options import Casts, Correct, Processes, Replace, Since, Threads, Until
from .completion import first_of, one_of
from .sink import claim_output, sink
from .usage import FORMATS, NAMES, check_usage

if TYPE_CHECKING:
    from ..analyze.effort import Effort
    from .choice import Choice

EPILOG = """\b
Examples:
  funcsnoop analyze                                  a summary of trace.parquet
  funcsnoop analyze latency --sort p99_ns --top 10   the slowest functions
  funcsnoop analyze callgraph --function main        what main called
  funcsnoop analyze hist --focus sqlite3_step        how its durations are distributed
  funcsnoop analyze slowest --focus sqlite3_step     which calls were slow, and where their time went
  funcsnoop analyze explain --focus sqlite3_step     what its slow calls have in common
  funcsnoop analyze diff before.parquet after.parquet
  funcsnoop analyze args --as 'read:ret_val=i64'     return values as signed numbers
  funcsnoop analyze calls --format parquet -o calls.parquet
"""


def analyze(
    words: list[str] | None = typer.Argument(
        None,
        metavar="[REPORT] [TRACE]...",
        help=f"REPORT is one of {', '.join(NAMES)} (default summary); TRACE is by default trace.parquet.",
        autocompletion=first_of(NAMES),
    ),
    function: list[str] | None = typer.Option(
        None, "--function", metavar="GLOB", help="Only calls of these functions; repeatable."
    ),
    process: Processes = None,
    thread: Threads = None,
    since: Since = None,
    until: Until = None,
    focus: str | None = typer.Option(
        None, "--focus", metavar="FUNC", help="callgraph, hist, heatmap, slowest, explain: what to look at."
    ),
    arg: list[int] | None = typer.Option(
        None,
        "--arg",
        metavar="N",
        min=0,
        max=5,
        help="hist: of an argument, and not of the durations. slowest, path, replay: show it; repeatable.",
    ),
    ret: bool = typer.Option(False, "--ret", help="The same for the return value."),
    call_id: int | None = typer.Option(
        None, "--id", metavar="ID", min=0, help="path: the call, as slowest and calls number it."
    ),
    slow: str | None = typer.Option(
        None, "--slow", metavar="TIME", help="explain: calls are slow that took so long, as 1ms."
    ),
    edges: bool = typer.Option(False, "--callgraph", help="diff: by caller and function."),
    min_percent: float | None = typer.Option(
        None,
        "--min-percent",
        metavar="P",
        min=0,
        max=100,
        help="callgraph: only branches with P % of the time, or more.",
    ),
    depth: int | None = typer.Option(
        None, "--depth", metavar="N", min=1, help="callgraph, path, replay: only N calls deep."
    ),
    sort: str | None = typer.Option(None, "--sort", metavar="COLUMN", help="Sort by a column of the report."),
    top: int | None = typer.Option(None, "--top", metavar="N", min=1, help="Only the first N rows."),
    cast: Casts = None,
    correct: Correct = False,
    form: str = typer.Option(
        "table",
        "--format",
        metavar="FORMAT",
        help=f"One of {', '.join(FORMATS)}.",
        autocompletion=one_of(FORMATS),
    ),
    merge: bool = typer.Option(
        False,
        "--merge",
        help="summary, latency, callgraph, args, threads: of several traces as if they were one.",
    ),
    jobs: int | None = typer.Option(
        None, "--jobs", metavar="N", min=1, help="Use N processors. [default: all]"
    ),
    memory: str | None = typer.Option(
        None,
        "--memory",
        metavar="SIZE",
        help="Use about SIZE of memory, as 4G. [default: half of what is free]",
    ),
    no_cache: bool = typer.Option(
        False, "--no-cache", help="Neither use nor keep answers in .funcsnoop-cache beside the trace."
    ),
    output: Path | None = typer.Option(None, "-o", "--output", metavar="FILE", help="Write to FILE."),
    force: Replace = False,
) -> None:
    """Print a report about recorded calls."""
    report, words = _report_and_words(words or [])
    paths = _traces(words)
    given = {
        "--function": bool(function),
        "--process": bool(process),
        "--thread": bool(thread),
        "--since": since is not None,
        "--until": until is not None,
        "--focus": focus is not None,
        "--min-percent": min_percent is not None,
        "--depth": depth is not None,
        "--arg": bool(arg),
        "--id": call_id is not None,
        "--callgraph": edges,
        "--slow": slow is not None,
        "--ret": ret,
        "--as": bool(cast),
        "--sort": sort is not None,
        "--top": top is not None,
        "--merge": merge,
    }
    check_usage(report, form, given)
    if report == "diff" and len(paths) != 2:
        raise UsageError(
            f"the report diff compares two traces, and not {len(paths)}",
            "`funcsnoop analyze diff BEFORE.parquet AFTER.parquet`",
        )
    if report == "hist" and len(arg or []) + ret > 1:
        raise UsageError("--arg and --ret are pictures of their own", "give one of them")
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UsageError("Parquet is binary, and this is a terminal", "give a file with -o FILE")
    if output is not None:
        claim_output(output, force=force)

    from ..analyze import filters
    from ..analyze.casts import Cast
    from ..analyze.trace import Trace
    from . import present
    from .choice import Choice, Wanted, chosen, merged
    from .effort import effort_of
    from .progress import progress_bar
    from .quantities import parse_duration
    from .reports import REPORTS

    wanted = Wanted(
        sort,
        top,
        [Cast.parse(text) for text in cast or []],
        focus,
        min_percent or 0,
        depth,
        registers=[*(f"arg{n}" for n in dict.fromkeys(arg or [])), *(["ret_val"] if ret else [])],
        call_id=call_id,
        edges=edges,
        slow_ns=None if slow is None else parse_duration(slow),
        apart=report == "threads" and merge and len(paths) > 1,
    )
    if report != "summary":
        present.check_sort(REPORTS[report], wanted)

    def choose(path: str, effort: Effort) -> Choice:
        trace = Trace(path, effort, correct=correct)
        if trace.path.suffix == ".partial" and report != "summary":
            # The last notice says what that means; the summary shows it itself.
            sys.stderr.write(f"funcsnoop: notice: {printable(trace.metadata['notices'][-1])}\n")
        for name in wanted.registers:
            if name not in trace.value_columns:
                raise UsageError(
                    f"{printable(path)} has no {name}: {trace.metadata['args']} arguments were recorded",
                    "record more with --args, or give a lower number",
                )
        beneath = report == "callgraph"
        calls = chosen(trace, function, process, thread, since, until, beneath=beneath)
        if focus is not None and report != "callgraph":
            calls = calls.of_functions(filters.matching(trace.functions, [focus]))
        return Choice(trace, calls, wanted)

    with progress_bar("analyzing") as progress:
        effort = effort_of(jobs, memory, progress, cache=not no_cache)
        choices: Iterator[Choice] = (choose(path, effort) for path in paths)
        if report == "diff":
            first, second = choices
            choices, paths = iter([replace(first, other=second)]), paths[:1]
        elif merge and len(paths) > 1:
            choices, paths = iter([merged(list(choices), effort)]), paths[:1]
        with sink(output) as out:
            present.present(report, choices, len(paths), form, wanted, out, output)


def _traces(words: list[str]) -> list[str]:
    """The traces that are meant: a word that names no file may be a glob, which the shell has left as it
    is.
    """
    if not words:
        return ["trace.parquet"]
    import glob

    paths = []
    for word in words:
        found = [word]
        if glob.has_magic(word) and not os.path.lexists(word):
            found = sorted(glob.glob(word, recursive=True))
            if not found:
                raise UsageError(f"no file matches {word}", "give a trace that is there")
        paths += found
    return paths


def _report_and_words(words: list[str]) -> tuple[str, list[str]]:
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
    return report, words
