"""The calls table: what pairing entries with exits yields."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from .events import MAX_ARGS
from .fields import column

#: What is known of a call's two sides; null where only entries were recorded for the function.
STATUS: Final = {
    "complete": "both sides were recorded",
    "open": "it was running when the recording began or ended",
    "unwound": "it was left without a return: longjmp, exception, exec, thread or process exit, "
    "or more nested returns than the kernel follows (64)",
    "lost": "one side fell to a full buffer, or may have: events were lost while it ran",
}

CALLS: Final = pa.schema(
    [
        column("call_id", pa.uint64(), "number of the call, unique in the trace"),
        column("parent_id", pa.uint64(), "call_id of the caller; null at a root", nullable=True),
        column(
            "process",
            pa.uint32(),
            "row of the process in the metadata's process table; null if it isn't there",
            nullable=True,
        ),
        column("tgid", pa.uint32(), "process id"),
        column("pid", pa.uint32(), "thread id"),
        column("depth", pa.uint32(), "number of callers up to a root, from 0"),
        column("cookie", pa.uint64(), "function id"),
        column("name", pa.dictionary(pa.int32(), pa.string()), "function, demangled"),
        column("module", pa.dictionary(pa.int32(), pa.string()), "file name of the ELF file"),
        column("start", pa.int64(), "entry, CLOCK_MONOTONIC; null if not seen", unit="ns", nullable=True),
        column("end", pa.int64(), "exit, CLOCK_MONOTONIC; null if not seen", unit="ns", nullable=True),
        column(
            "duration_ns", pa.int64(), "end - start; null where a side is missing", unit="ns", nullable=True
        ),
        column(
            "self_ns",
            pa.int64(),
            "duration less the complete calls directly inside it, or inside its incomplete children; "
            "null where a side is missing, or a call inside it outlasts it",
            unit="ns",
            nullable=True,
        ),
        *(
            column(f"arg{i}", pa.uint64(), f"argument register {i}, raw", nullable=True)
            for i in range(MAX_ARGS)
        ),
        column("ret_val", pa.uint64(), "return register, raw", nullable=True),
        column(
            "status",
            pa.dictionary(pa.int8(), pa.string()),
            "complete, open, unwound or lost; null where only entries are recorded for the function",
            nullable=True,
        ),
    ]
)
