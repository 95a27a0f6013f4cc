"""Put a report of one or several traces where the user wants it, in the format that the user wants."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from ..errors import UsageError
from ..printable import printable
from .callgraph_view import cut_of
from .canvas import Canvas, canvas_for
from .choice import Choice, Wanted
from .estimates import with_estimates
from .exports import FORMATS, to_json
from .ordering import ordered
from .reports import REPORTS, Report
from .summary_text import write_merged, write_summary
from .table import write_table

if TYPE_CHECKING:
    import polars as pl


def check_sort(report: Report, wanted: Wanted) -> None:
    """Raises UsageError where a report has no such column, or no order for it."""
    import pyarrow as pa

    sortable = report.orders or [f.name for f in report.schema(wanted) if not pa.types.is_list(f.type)]
    if wanted.sort is not None and wanted.sort not in sortable:
        raise UsageError(
            f"there is no column {wanted.sort!r} to sort by", f"columns are {', '.join(sortable)}"
        )


def present(
    report: str,
    choices: Iterable[Choice],
    traces: int,
    form: str,
    wanted: Wanted,
    out: BinaryIO,
    output: Path | None,
) -> None:
    """Write `report` of each of `choices`, `traces` in number, to `out` as `form`.

    What was left out goes below a table, and beside a machine format to standard error.
    """
    text = io.TextIOWrapper(
        out, encoding="utf-8", errors="backslashreplace", write_through=True, newline="\n"
    )
    canvas = canvas_for(text, terminal=output is None and sys.stdout.isatty())
    try:
        if report == "summary":
            _summaries(choices, traces, form, wanted.top, text, out, canvas.width)
        elif form == "table":
            for number, choice in enumerate(choices):
                if traces > 1:
                    about = f"{choice.trace.path}, host {choice.trace.metadata['host']}"
                    canvas.say_lines(("\n" if number else "") + f"==> {printable(about)} <==\n")
                _table(report, choice, canvas)
        else:
            _export(report, choices, traces, form, wanted, out)
        text.flush()
    finally:
        text.detach()


def _summaries(
    choices: Iterable[Choice],
    traces: int,
    form: str,
    top: int | None,
    text: TextIO,
    out: BinaryIO,
    width: int | None,
) -> None:
    from ..analyze.merged import Merged
    from ..analyze.summary import TOP, merged_summary, summary

    found: list[Any] = []
    for number, choice in enumerate(choices):
        trace: Any = choice.trace
        one: Any
        write: Callable[[Any, TextIO, int | None], None]
        if isinstance(trace, Merged):
            one, write = merged_summary(trace, top or TOP), write_merged
        else:
            one, write = summary(trace, choice.calls, top or TOP), write_summary
        if form in ("table", "markdown"):
            if number:
                text.write("\n")
            shown = io.StringIO()
            write(one, shown, width)
            Canvas(shown, width).say_lines(_estimated("summary", form, choice) + choice.left_out())
            text.write(fenced(shown.getvalue()) if form == "markdown" else shown.getvalue())
        else:
            found.append(one)
            _note("summary", form, choice, traces)
    if form == "json":
        whole: Any = found[0] if traces == 1 else found
        out.write(to_json(whole, indent=2).encode() + b"\n")
    elif form == "ndjson":
        for one in found:
            out.write(to_json(one).encode() + b"\n")


def fenced(text: str) -> str:
    """`text` as a code block of Markdown, whatever is in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}\n{text}{fence}\n"


def _table(report: str, choice: Choice, canvas: Canvas) -> None:
    kind = REPORTS[report]
    cut = ""
    if kind.columns is None:
        assert kind.draw is not None
        kind.draw(choice, canvas)
    else:
        most = choice.wanted.top or kind.most
        frame, rows = _first(kind, choice, most)
        if len(frame) < rows:
            cut = f"first {len(frame):,} of {rows:,} rows\n"
            cut = cut if choice.wanted.top else cut[:-1] + " (--top N shows more, --format csv all)\n"
        frame = with_estimates(frame, choice.trace.metadata)
        began = choice.trace.metadata["started"]["monotonic_ns"]
        write_table(kind.columns(frame, began), canvas.out, canvas.width, colour=canvas.colour)
    canvas.say_lines(cut + _estimated(report, "table", choice) + choice.left_out())


def _first(kind: Report, choice: Choice, most: int | None) -> tuple[pl.DataFrame, int]:
    """The first rows of a report, and how many there are."""
    import polars as pl

    if kind.frames is None or choice.wanted.sort is not None or most is None:
        whole = ordered(kind.rows(choice), choice.wanted.sort).collect()
        return (whole if most is None else whole.head(most)), len(whole)
    parts, left = [], most
    for frame in kind.frames(choice):
        parts.append(frame.head(left))
        left -= len(parts[-1])
        if left <= 0:
            break
    found = pl.concat(parts) if parts else kind.rows(choice).head(0).collect()
    return found, choice.trace.answers(choice.calls).count("calls")


def _export(
    report: str,
    choices: Iterable[Choice],
    traces: int,
    form: str,
    wanted: Wanted,
    out: BinaryIO,
) -> None:
    import polars as pl
    import pyarrow as pa

    kind = REPORTS[report]
    schema = kind.schema(wanted)
    names = schema.names
    if traces > 1:
        ours = (pa.field(name, pa.string(), False) for name in ("trace", "host"))
        schema = pa.schema([*ours, *schema])

    def frames() -> Iterator[pl.DataFrame]:
        for choice in choices:
            for frame in _frames(kind, choice):
                found = frame.select(names)
                if traces > 1:
                    found = found.select(
                        pl.lit(str(choice.trace.path)).alias("trace"),
                        pl.lit(choice.trace.metadata["host"]).alias("host"),
                        *names,
                    )
                yield found
            _note(report, form, choice, traces)

    FORMATS[form].write(frames(), schema, out)


def _frames(kind: Report, choice: Choice) -> Iterator[pl.DataFrame]:
    """The rows of a report, in frames where it has such and they need not be sorted."""
    left = choice.wanted.top
    if kind.frames is None or choice.wanted.sort is not None:
        whole = ordered(kind.rows(choice), choice.wanted.sort).collect()
        yield whole if left is None else whole.head(left)
        return
    for frame in kind.frames(choice):
        yield frame if left is None else frame.head(left)
        if left is not None:
            left -= len(frame)
            if left <= 0:
                return


def _note(report: str, form: str, choice: Choice, traces: int) -> None:
    name = f"{printable(str(choice.trace.path))}: " if traces > 1 else ""
    for line in (_estimated(report, form, choice) + choice.left_out()).splitlines(keepends=True):
        sys.stderr.write(name + line)


def _estimated(report: str, form: str, choice: Choice) -> str:
    """Lines about what there were too many calls, values or paths to find out exactly."""
    trace = choice.trace
    if report in ("summary", "latency"):
        functions, _ = trace.answers(choice.calls).inexact
        of = f"{functions:,} function{'s' * (functions != 1)}"
        rough = f"estimated: percentiles of {of}, within 0.4 %\n" if functions else ""
        return rough + (_cut(trace.answers(choice.calls).cut) if report == "summary" else "")
    if report == "callgraph":
        # As edges nothing is cut.
        return _cut(cut_of(choice)) if form == "table" else ""
    if report == "args":
        _, rows = trace.answers(choice.calls, trace.value_columns, choice.wanted.casts).inexact
        of = f"{rows:,} row{'s' * (rows != 1)}"
        exact = "percentiles within 0.4 %, numbers of different values within 3 %"
        return f"estimated: figures of {of}; {exact}\n" if rows else ""
    return ""


def _cut(calls: int) -> str:
    """A line about calls whose path the tree had no room for."""
    if not calls:
        return ""
    of = f"{calls:,} call{'s' * (calls != 1)}"
    return f"paths cut: the tree had no room for those of {of}, whose time is their callers' own there\n"
