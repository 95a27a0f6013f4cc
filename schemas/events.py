"""The events table: one row for each time a probe fired. This is what a trace file holds."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from .fields import column

#: How many argument columns the table has; a recording may fill fewer.
MAX_ARGS: Final = 6

#: The columns that hold registers.
VALUES: Final = (*(f"arg{i}" for i in range(MAX_ARGS)), "ret_val")

ENTRY: Final = "entry"
EXIT: Final = "exit"

EVENTS: Final = pa.schema(
    [
        column("type", pa.dictionary(pa.int8(), pa.string()), "`entry` or `exit`"),
        column("cookie", pa.uint64(), "function id, key into the function table of the metadata"),
        column("pid", pa.uint32(), "thread id, in the recorder's pid namespace"),
        column("tgid", pa.uint32(), "process id, in the recorder's pid namespace"),
        column("timestamp", pa.int64(), "when the probe fired, CLOCK_MONOTONIC", unit="ns"),
        column("name", pa.dictionary(pa.int32(), pa.string()), "symbol as in the ELF file"),
        column(
            "frame",
            pa.uint64(),
            "stack pointer at the function's entry; equal at entry and exit of one call",
        ),
        *(
            column(
                f"arg{i}",
                pa.uint64(),
                f"argument register {i}, raw; null on exits and past what was asked for",
                nullable=True,
            )
            for i in range(MAX_ARGS)
        ),
        column("ret_val", pa.uint64(), "return register, raw; null on entries", nullable=True),
    ]
)
