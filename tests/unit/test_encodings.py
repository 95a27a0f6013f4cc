"""Registers are written as they are, or by their differences where they count."""

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funcsnoop.bpf.layout import ENTRY, EXIT, event_dtype
from funcsnoop.record.columns import Columns
from funcsnoop.record.encodings import encodings
from funcsnoop.schemas import EVENTS

ROWS = 9973


def table(rows):
    """arg0 counts up, arg1 is one of seven, arg2 counts down past 0; ret_val is random."""
    events = np.zeros(rows, event_dtype("lean", 3))
    numbers = np.arange(rows)
    events["type"] = np.where(numbers % 2, EXIT, ENTRY)
    events["cookie"] = 1
    events["timestamp"] = 1000 + 3 * numbers
    down = np.uint64(rows) - np.uint64(16) * numbers.astype(np.uint64)
    events["args"] = np.stack([numbers.astype(np.uint64), numbers.astype(np.uint64) % 7, down], axis=1)
    events["ret_val"] = np.random.default_rng(7).integers(0, 2**64 - 1, rows, np.uint64)
    return pa.Table.from_batches([Columns(["f"]).convert(events)], EVENTS)


def test_by_what_counts(tmp_path):
    events = table(ROWS)
    chosen = encodings(events)
    assert chosen["column_encoding"] == dict.fromkeys(["timestamp", "arg0", "arg2"], "DELTA_BINARY_PACKED")
    assert not {"arg1", "ret_val"} & set(chosen["use_dictionary"])
    path = tmp_path / "t.parquet"
    pq.write_table(events, path, **chosen)
    assert pq.read_table(path).equals(events)
    assert pl.read_parquet(path)["ret_val"].to_list() == events["ret_val"].to_pylist()
    sizes = pq.read_metadata(path).row_group(0)
    by_name = {sizes.column(i).path_in_schema: sizes.column(i).total_compressed_size for i in range(14)}
    assert by_name["arg0"] + by_name["arg2"] < ROWS  # of 8 bytes each


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_of_few_rows_or_none(rows, tmp_path):
    events = table(rows)
    chosen = encodings(events)
    assert not set(chosen["use_dictionary"]) & set(chosen["column_encoding"])
    pq.write_table(events, tmp_path / "t.parquet", **chosen)
    assert pq.read_table(tmp_path / "t.parquet").equals(events)
