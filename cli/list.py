"""`funcsnoop list`: the functions of a module that can be traced, with their sites."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO

import typer

from ..printable import printable

if TYPE_CHECKING:
    from ..record.listing import ListedFunction, Listing


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


EPILOG: Final = """\b
Examples:
  funcsnoop list libsqlite3 'sqlite3_prep*'
  funcsnoop list ./server '/^(parse|eval)_/' --format csv
  funcsnoop list -p 1234 libssl
"""


def list_(
    module: Annotated[
        str, typer.Argument(metavar="MODULE", help="A file, a library (libc, libssl.so.3) or a command.")
    ],
    pattern: Annotated[
        str, typer.Argument(metavar="[PATTERN]", help="A name, a glob or /regex/.", show_default=False)
    ] = "*",
    pid: Annotated[
        int | None,
        typer.Option("-p", "--pid", metavar="PID", help="Find the library as this process has it."),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """List the functions that can be traced, with the places of their probes. Needs no privilege."""
    from ..record.listing import list_functions
    from ..record.spec import parse_pattern
    from ..record.target import Target

    target = Target.for_everything() if pid is None else Target.for_pids([pid])
    listing = list_functions(target, module, parse_pattern(pattern))
    if format_ is Format.TABLE:
        _table(listing, sys.stdout)
        _summary(listing, sys.stdout)
        return
    rows = [_row(listing, function) for function in listing.functions]
    _WRITERS[format_](rows, sys.stdout)
    _summary(listing, sys.stderr)


def _row(listing: Listing, function: ListedFunction) -> dict[str, Any]:
    return {"module": listing.path, **function._asdict(), "aliases": list(function.aliases)}


def _json(rows: Sequence[dict[str, Any]], file: TextIO) -> None:
    file.write("[" + ",\n ".join(json.dumps(row) for row in rows) + "]\n")


def _ndjson(rows: Sequence[dict[str, Any]], file: TextIO) -> None:
    file.writelines(json.dumps(row) + "\n" for row in rows)


def _csv(rows: Sequence[dict[str, Any]], file: TextIO) -> None:
    from ..record.listing import ListedFunction

    writer = csv.DictWriter(file, ["module", *ListedFunction._fields], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        shown = row | {"aliases": " ".join(row["aliases"])}
        writer.writerow({key: printable(v) if isinstance(v, str) else v for key, v in shown.items()})


_WRITERS: Final = {Format.JSON: _json, Format.NDJSON: _ndjson, Format.CSV: _csv}


def _table(listing: Listing, file: TextIO) -> None:
    """One line for each function, never cut: made for grep as much as for the eye."""
    if not listing.functions:
        return
    lines = [("ADDRESS", "SIZE", "SITE", "CLASS", "ENTRY", "RETURN", "FUNCTION")]
    for function in listing.functions:
        lines.append(  # noqa: PERF401 - so many columns read better as lines
            (
                f"{function.address:#x}",
                str(function.size or "?"),
                f"+{function.site - function.offset}",
                function.site_class,
                f"{function.entry_ns:,}",
                f"{function.return_ns:,}",
                _names(function),
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(6)]
    for *fields, names in lines:
        aligned = [f"{text:{'<' if i == 3 else '>'}{widths[i]}}" for i, text in enumerate(fields)]
        file.write(f"{'  '.join(aligned)}  {names}\n")


def _names(function: ListedFunction) -> str:
    text = printable(function.demangled)
    if function.demangled != function.symbol:
        text += f"  [{printable(function.symbol)}]"
    if function.aliases:
        text += f"  (also {', '.join(map(printable, function.aliases))})"
    return text


def _summary(listing: Listing, file: TextIO) -> None:
    count = len(listing.functions)
    file.write(f"{count:,} function{'' if count == 1 else 's'} of {printable(listing.path)} can be traced\n")
    slow = [function for function in listing.functions if function.site_class == "stepped"]
    if slow:
        each = f"about {slow[0].entry_ns / 1000:.0f} µs for each call"
        file.write(f"slow: {len(slow):,} on sites that the kernel single-steps, {each}\n")
    for reason, number in listing.left_out.items():
        file.write(f"left out: {number:,} ({reason})\n")
