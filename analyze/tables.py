"""The metadata's tables as Polars frames."""

from __future__ import annotations

from pathlib import PurePosixPath

import polars as pl

from ..schemas import TraceMetadata


def functions(metadata: TraceMetadata) -> pl.DataFrame:
    """One row a function: `function` (its row number, uint32), the keys of `FunctionInfo`, `file` (the
    name of the module's file).
    """
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "cookie": pl.UInt64,
        "symbol": pl.String,
        "demangled": pl.String,
        "module": pl.String,
        "build_id": pl.String,
        "address": pl.UInt64,
        "offset": pl.UInt64,
        "size": pl.UInt64,
        "aliases": pl.List(pl.String),
        "site": pl.UInt64,
        "site_class": pl.String,
        "exit": pl.String,
        "exit_reason": pl.String,
    }
    rows = metadata["functions"]
    columns = {name: pl.Series(name, [row[name] for row in rows], kind) for name, kind in schema.items()}  # type: ignore[literal-required]
    frame = pl.DataFrame(columns).with_row_index("function")
    files = [PurePosixPath(row["module"]).name or row["module"] for row in rows]
    return frame.with_columns(pl.col("function").cast(pl.UInt32), file=pl.Series(files, dtype=pl.String))


def processes(metadata: TraceMetadata) -> pl.DataFrame:
    """One row a process: `process` (its row number, uint32) and the keys of `ProcessInfo`."""
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "tgid": pl.UInt32,
        "root_tgid": pl.Int64,
        "inner_tgid": pl.Int64,
        "parent_tgid": pl.Int64,
        "start_ns": pl.Int64,
        "command": pl.List(pl.String),
        "executable": pl.String,
        "end_ns": pl.Int64,
    }
    rows = metadata["processes"]
    columns = {name: pl.Series(name, [row[name] for row in rows], kind) for name, kind in schema.items()}  # type: ignore[literal-required]
    frame = pl.DataFrame(columns).with_row_index("process")
    return frame.with_columns(pl.col("process").cast(pl.UInt32))
