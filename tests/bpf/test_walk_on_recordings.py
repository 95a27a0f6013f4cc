"""The compiled walk makes the same calls of real recordings as NumPy's pairing, its oracle."""

from pathlib import Path

import polars as pl
import pytest

from funcsnoop.analyze import native
from funcsnoop.analyze.pairing import NEEDS, pair
from funcsnoop.analyze.reading import TraceFile

QUERIES = Path(__file__).parents[2] / "examples" / "sqlite_queries.py"
COLUMNS = ["parent_id", "tgid", "pid", "depth", "start", "end", "duration_ns", "self_ns", "status"]


@pytest.mark.parametrize(
    ("options", "lossy"),
    [
        (["--exit", "return", "-f", "libsqlite3.so.0:sqlite3_*"], False),
        (["--exit", "return", "--buffer", "16K", "-f", "libsqlite3.so.0:sqlite3_*"], True),
        (["--exit", "ret", "-f", "libc:*alloc", "-f", "libc:mem*"], False),
    ],
    ids=["return", "with losses", "ret, some at entries only"],
)
def test_the_same_calls(record, options, lossy):
    assert native.library() is not None
    trace = record(options, ["/usr/bin/python3", QUERIES])
    assert bool(trace.metadata["counts"]["lost"]["buffer"]) == lossy
    events = pl.from_arrow(TraceFile(trace.path).table(NEEDS))
    expected = pair(events.lazy(), trace.metadata).collect()
    found = trace.calls().collect()
    assert len(found) > 10_007
    as_text = pl.col("status").cast(pl.String)
    assert found.select(COLUMNS).with_columns(as_text).equals(expected.select(COLUMNS).with_columns(as_text))
