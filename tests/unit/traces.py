"""Synthetic traces: hand-written events, and metadata to go with them, as a recorder would write them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from funcsnoop.schemas import EVENTS, FORMAT_VERSION, MAX_ARGS, METADATA_KEY
from funcsnoop.schemas.metadata import NOTHING_FILTERED

#: The recording starts at this time, monotonic; the machine booted 5 s of sleep before that says.
STARTED = {"monotonic_ns": 1_000, "boottime_ns": 5_000_001_000, "realtime_ns": 1_700_000_000_000_000_000}
ENDED = {"monotonic_ns": 900_000, "boottime_ns": 5_000_900_000, "realtime_ns": 1_700_000_000_000_899_000}


def function(cookie: int, symbol: str, **fields: Any) -> dict[str, Any]:
    """An entry of the function table."""
    return {
        "cookie": cookie,
        "symbol": symbol,
        "demangled": symbol,
        "module": "/usr/lib/libdemo.so.1",
        "build_id": "00c0ffee",
        "address": 0x1000 + cookie,
        "offset": 0x1000 + cookie,
        "size": 64,
        "aliases": [],
        "site": 0x1004 + cookie,
        "site_class": "emulated",
        "exit": "return",
        "exit_reason": "nothing in the process unwinds",
    } | fields


@dataclass
class Recording:
    """Builds a trace event by event.

    `frame` defaults to one that is deeper by 16 for each call open on the thread, as a compiler would
    give it; `cookie` of a function is its place in `functions`, from 1.
    """

    functions: list[str | dict[str, Any]] = field(default_factory=lambda: ["f", "g", "h"])
    metadata: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def entry(self, name: str, t: int, frame: int, *args: int, pid: int = 7, tgid: int = 7) -> Recording:
        values = {f"arg{i}": arg for i, arg in enumerate(args)}
        return self._add("entry", name, t, frame, pid, tgid, values)

    def exit(
        self, name: str, t: int, frame: int, ret_val: int | None = 0, *, pid: int = 7, tgid: int = 7
    ) -> Recording:
        return self._add("exit", name, t, frame, pid, tgid, {"ret_val": ret_val})

    def _add(
        self, kind: str, name: str, t: int, frame: int, pid: int, tgid: int, values: dict[str, Any]
    ) -> Recording:
        table = {f["symbol"]: f for f in self.table()}
        row = {"type": kind, "cookie": table[name]["cookie"], "pid": pid, "tgid": tgid, "timestamp": t}
        self.rows.append(row | {"name": name, "frame": frame} | values)
        return self

    def table(self) -> list[dict[str, Any]]:
        return [
            function(cookie, f) if isinstance(f, str) else f for cookie, f in enumerate(self.functions, 1)
        ]

    def about(self) -> dict[str, Any]:
        """The metadata: of a short recording without loss, but for what `metadata` says otherwise."""
        ids = sorted({(row["tgid"], row["pid"]) for row in self.rows})
        processes = [
            {
                "tgid": tgid,
                "root_tgid": None,
                "inner_tgid": None,
                "parent_tgid": None,
                "start_ns": 5_000_000_500,
                "command": ["./demo", "--fast"],
                "executable": "/usr/bin/demo",
                "end_ns": None,
            }
            for tgid in sorted({tgid for tgid, _ in ids})
        ]
        threads = [{"pid": pid, "tgid": tgid, "name": f"worker-{pid}", "end_ns": None} for tgid, pid in ids]
        lost = sum(self.metadata.get("counts", {}).get("lost", {}).values())
        counts = {"produced": len(self.rows) + lost, "recorded": len(self.rows), "lost": {"buffer": lost}}
        return {
            "format_version": FORMAT_VERSION,
            "tool_version": "0.1.0",
            "host": "testhost",
            "kernel": "6.18.0",
            "architecture": "x86_64",
            "boot_id": "2f0c6c3e-0000-4000-8000-000000000001",
            "command_line": ["funcsnoop", "record", "--", "./demo", "--fast"],
            "command": ["./demo", "--fast"],
            "exit_status": 0,
            "attach": "session",
            "layout": "lean",
            "args": MAX_ARGS,
            "events": "sides",
            "filters": NOTHING_FILTERED,
            "ring_bytes": 16 << 20,
            "started": STARTED,
            "ended": ENDED,
            "end_reason": "command-exit",
            "processes": processes,
            "threads": threads,
            "functions": self.table(),
            "skipped": [],
            "notices": [],
            "counts": counts | {"filtered": {}, "after_limit": 0},
            "probe_costs": [],
            "loss_windows": [],
        } | self.metadata

    def events(self) -> pa.Table:
        columns = {name: [row.get(name) for row in self.rows] for name in EVENTS.names}
        arrays = []
        for column in EVENTS:
            plain = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
            arrays.append(pa.array(columns[column.name], plain).cast(column.type))
        return pa.Table.from_arrays(arrays, schema=EVENTS)

    def frame(self) -> pl.LazyFrame:
        frame = pl.from_arrow(self.events())
        assert isinstance(frame, pl.DataFrame)
        return frame.lazy()

    def write(self, path: Path) -> Path:
        return write(path, self.events(), self.about())


def write(path: Path, events: pa.Table, metadata: Any) -> Path:
    """Write a trace as the recorder does: encodings, checksums, small row groups."""
    raw = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    table = events.replace_schema_metadata({METADATA_KEY: raw})
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=1,
        row_group_size=1 << 17,
        write_page_checksum=True,
        use_dictionary=[name for name in EVENTS.names if name != "timestamp"],
        column_encoding={"timestamp": "DELTA_BINARY_PACKED"},
    )
    return path
