"""What reports say of chosen calls: small tables, made of figures, that can be kept in a file."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.ipc

from . import arguments, callgraph, latency
from .casts import Cast
from .figures import Figures


@dataclass
class Answers:
    """`latency`, `edges` and `arguments` have the columns of `marked` reports. `functions` counts by
    `function`, a row of the function table: `calls`, `complete`, `open`, `unwound`, `lost`, `silent`,
    `self_known`, `sum_ns`; `threads` is as in `Figures`, and `tree` as `callgraph.tree` makes it.

    `inexact`: of how many functions the percentiles, and of how many registers something is estimated;
    `cut`: calls for whose paths the tree had no room.
    """

    functions: pl.DataFrame
    latency: pl.DataFrame
    edges: pl.DataFrame
    tree: pl.DataFrame
    threads: pl.DataFrame
    arguments: pl.DataFrame
    inexact: tuple[int, int]
    cut: int

    @classmethod
    def of(cls, figures: Figures, casts: Sequence[Cast] = ()) -> Answers:
        """`casts` are those that the figures were made with."""
        counts = (
            "function",
            "calls",
            "complete",
            "open",
            "unwound",
            "lost",
            "silent",
            "self_known",
            "sum_ns",
        )
        return cls(
            functions=pl.DataFrame({name: figures.by_function[name] for name in counts}),
            latency=latency.latency(figures, marked=True).collect(),
            edges=callgraph.edges(figures, marked=True).collect(),
            tree=callgraph.tree(figures).collect(),
            threads=pl.DataFrame(figures.threads),
            arguments=arguments.arguments(figures, casts, marked=True).collect(),
            inexact=figures.rough,
            cut=figures.cut,
        )

    def count(self, name: str) -> int:
        """The sum of a column of `functions`."""
        return int(self.functions[name].sum())

    def to_bytes(self) -> bytes:
        out = io.BytesIO()
        known = json.dumps({"inexact": self.inexact, "cut": self.cut}).encode()
        out.write(len(known).to_bytes(8, "little") + known)
        for name in _TABLES:
            table = getattr(self, name).to_arrow()
            with pa.ipc.new_stream(out, table.schema) as stream:
                stream.write_table(table)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Answers:
        """What `to_bytes` made. Of anything else it raises what PyArrow does, or `ValueError`."""
        size = int.from_bytes(raw[:8], "little")
        known = json.loads(raw[8 : 8 + size])
        source = pa.BufferReader(raw[8 + size :])
        tables: dict[str, Any] = {}
        for name in _TABLES:
            with pa.ipc.open_stream(source) as stream:
                tables[name] = pl.from_arrow(stream.read_all())
        return cls(**tables, inexact=tuple(known["inexact"]), cut=known["cut"])


_TABLES = tuple(field.name for field in fields(Answers) if field.type == "pl.DataFrame")
