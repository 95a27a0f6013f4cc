"""How a column carries its own documentation."""

from __future__ import annotations

import pyarrow as pa


def column(
    name: str, kind: pa.DataType, description: str, *, unit: str = "", nullable: bool = False
) -> pa.Field:
    """An Arrow field whose metadata holds `description` and, where there is one, `unit`.

    Parquet keeps both, so that a notebook can show them: `schema.field("frame").metadata`.
    """
    metadata = {"description": description} | ({"unit": unit} if unit else {})
    return pa.field(name, kind, nullable=nullable, metadata=metadata)
