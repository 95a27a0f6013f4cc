"""Columns whose values repeat get a dictionary, others are written by their differences."""

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from funcsnoop.bpf.layout import ENTRY, EXIT, event_dtype
from funcsnoop.record.columns import Columns
from funcsnoop.record.encodings import encodings
from funcsnoop.schemas import EVENTS

ROWS = 9973


def table(rows):
    """arg0 counts, arg1 is one of seven, ret_val is random; entries and exits take turns."""
    events = np.zeros(rows, event_dtype("lean", 2))
    numbers = np.arange(rows)
    events["type"] = np.where(numbers % 2, EXIT, ENTRY)
    events["cookie"] = 1
    events["timestamp"] = 1000 + 3 * numbers
    events["args"] = np.stack([numbers, numbers % 7], axis=1)
    events["ret_val"] = np.random.default_rng(7).integers(0, 2**64 - 1, rows, np.uint64)
    return pa.Table.from_batches([Columns(["f"]).convert(events)], EVENTS)


def test_by_what_repeats(tmp_path):
    events = table(ROWS)
    chosen = encodings(events)
    assert chosen["column_encoding"] == dict.fromkeys(["timestamp", "arg0", "ret_val"], "DELTA_BINARY_PACKED")
    assert set(chosen["use_dictionary"]) == set(EVENTS.names) - {"timestamp", "arg0", "ret_val"}
    path = tmp_path / "t.parquet"
    pq.write_table(events, path, **chosen)
    assert pq.read_table(path).equals(events)
    assert pl.read_parquet(path)["ret_val"].to_list() == events["ret_val"].to_pylist()


def test_of_few_rows_or_none():
    for rows in (0, 1, 2, 3):
        chosen = encodings(table(rows))
        assert set(chosen["use_dictionary"]) | set(chosen["column_encoding"]) == set(EVENTS.names)
