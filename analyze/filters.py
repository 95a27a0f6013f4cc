"""Choose calls: by function, process, thread and time. Filters come after pairing, so that it stays right."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

import polars as pl

from ..errors import UsageError
from ..schemas import TraceMetadata
from .globs import matches, names_of
from .nesting import nearest
from .paths import rows_of


def process_ids(metadata: TraceMetadata, wanted: Sequence[str]) -> list[int]:
    """The processes `wanted`: ids, or globs on the name of the command or executable. Raises UsageError."""
    ids = set()
    for text in wanted:
        named = {
            process["tgid"]
            for process in metadata["processes"]
            if any(
                fnmatchcase(name.rpartition("/")[2], text)
                for name in (*process["command"][:1], process["executable"] or "")
            )
        }
        ids |= _ids(text, named, "process", {p["tgid"] for p in metadata["processes"]})
    return sorted(ids)


def thread_ids(metadata: TraceMetadata, wanted: Sequence[str]) -> list[int]:
    """The threads `wanted`: ids, or globs on the thread's name. Raises UsageError."""
    ids = set()
    for text in wanted:
        named = {
            t["pid"] for t in metadata["threads"] if t["name"] is not None and fnmatchcase(t["name"], text)
        }
        ids |= _ids(text, named, "thread", {t["pid"] for t in metadata["threads"]})
    return sorted(ids)


def _ids(text: str, named: set[int], what: str, known: set[int]) -> set[int]:
    if text.isdecimal() and int(text) in known:
        return named | {int(text)}
    if not named:
        listed = ", ".join(map(str, sorted(known)[:8])) or "none"
        raise UsageError(
            f"no {what} {text!r} in the trace", f"give an id or a name; ids in the trace: {listed}"
        )
    return named


def matching(functions: pl.LazyFrame, patterns: Sequence[str]) -> list[int]:
    """The rows of `functions` whose name one of `patterns` is or matches; raises UsageError for none.

    A name that is equal comes before a glob, as in `record`.
    """
    table = functions.select("function", "demangled", "symbol").collect().rows()
    rows: set[int] = set()
    for pattern in patterns:
        equal = [row for row, *names in table if pattern in names_of(*names)]
        found = equal or [row for row, *names in table if matches(pattern, *names)]
        if not found:
            near = difflib.get_close_matches(pattern, [name for _, name, _ in table], 3, 0.5)
            hint = (
                f"near it: {', '.join(near)}" if near else "`funcsnoop analyze latency` lists the functions"
            )
            raise UsageError(f"no function in the trace matches {pattern!r}", hint)
        rows.update(found)
    return sorted(rows)


def by_function(paired: pl.LazyFrame, rows: Sequence[int], *, beneath: bool = False) -> pl.LazyFrame:
    """Calls of the functions `rows`; with `beneath` also every call inside such a call.

    `beneath` follows callers as far as they are among the calls.
    """
    wanted = pl.col("function").is_in(list(rows))
    if not beneath:
        return paired.filter(wanted)
    calls = paired.collect()
    chosen = calls.select(wanted).to_series().to_numpy()
    ids = calls["call_id"].cast(pl.Int64).to_numpy()
    parent = rows_of(ids, calls["parent_id"].cast(pl.Int64).fill_null(-1).to_numpy())
    inside = nearest(parent, chosen) >= 0
    return calls.lazy().filter(pl.Series(chosen | inside))
