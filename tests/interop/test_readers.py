"""A trace is plain Parquet: pyarrow, Polars, pandas and DuckDB read it with the same types and values."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funcsnoop.schemas import EVENTS, MAX_ARGS, METADATA_KEY

from ..unit.traces import Recording

GREATEST = 2**64 - 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    recording = Recording()
    recording.entry("f", 10, 2**63 + 8, GREATEST, 2).exit("f", 20, 2**63 + 8, GREATEST).entry("g", 30, 900)
    return recording.write(tmp_path / "trace.parquet")


def test_pyarrow(path: Path) -> None:
    table = pq.read_table(path)
    assert table.schema.equals(EVENTS)
    for field in table.schema:
        assert field.metadata[b"description"]
    assert json.loads(table.schema.metadata[METADATA_KEY])["format_version"] == 1
    assert table["arg0"].to_pylist() == [GREATEST, None, None]


def test_polars(path: Path) -> None:
    frame = pl.read_parquet(path)
    wide = dict.fromkeys([*(f"arg{i}" for i in range(MAX_ARGS)), "ret_val"], pl.UInt64)
    types = {
        "type": pl.Categorical,
        "cookie": pl.UInt64,
        "pid": pl.UInt32,
        "tgid": pl.UInt32,
        "timestamp": pl.Int64,
        "name": pl.Categorical,
        "frame": pl.UInt64,
    }
    assert dict(frame.schema) == types | wide
    assert frame["ret_val"].to_list() == [None, GREATEST, None]
    assert frame["type"].to_list() == ["entry", "exit", "entry"]


def test_pandas(path: Path) -> None:
    frame = pd.read_parquet(path, dtype_backend="pyarrow")
    assert frame["arg0"].dtype == pd.ArrowDtype(pa.uint64())
    assert frame["arg0"][0] == GREATEST
    assert frame["timestamp"].tolist() == [10, 20, 30]
    plain = pd.read_parquet(path)
    assert str(plain["type"].dtype) == "category"
    assert plain["frame"].tolist() == [2**63 + 8, 2**63 + 8, 900]


def test_duckdb(path: Path) -> None:
    columns = duckdb.sql(f"describe select * from '{path}'").fetchall()
    types = {name: kind for name, kind, *_ in columns}
    assert (types["pid"], types["timestamp"], types["frame"], types["arg0"], types["name"]) == (
        "UINTEGER",
        "BIGINT",
        "UBIGINT",
        "UBIGINT",
        "VARCHAR",
    )
    rows = duckdb.sql(
        f"select name, count(*), max(arg0) from '{path}' group by name order by name"
    ).fetchall()
    assert rows == [("f", 2, GREATEST), ("g", 1, None)]
