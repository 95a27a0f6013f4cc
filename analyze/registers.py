"""Guess from its value what a register holds, where nothing says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .arrays import Flags
from .casts import Values

#: The lowest address of what is mapped: programs that are not position-independent begin here.
LOWEST = 0x400000
#: What is allocated, and most of what stands in structures, is aligned to this.
_ALIGNMENT = 8


def is_pointer(value: int) -> bool:
    """Whether a number looks like the address of an object."""
    return LOWEST <= value < 1 << 57 and value % _ALIGNMENT == 0


def look_like_pointers(values: Values) -> Flags:
    """`is_pointer` of many."""
    pattern = values.view(np.uint64)
    found: Flags = (pattern >= LOWEST) & (pattern < 1 << 57) & (pattern % np.uint64(_ALIGNMENT) == 0)
    return found


def are_pointers(row: Mapping[str, Any]) -> bool:
    """Whether all values of a row of the args report look like addresses, or null pointers.

    Only the most frequent values are there to check the alignment of.
    """
    if row["max"] is None or row["max"] < LOWEST or any(0 < group["low"] < LOWEST for group in row["groups"]):
        # A group that begins below may end above, if it is a power of two; LOWEST begins one.
        return False
    frequent = [int(item["value"]) for item in row["top"]]
    return row["min"] >= 0 and all(value == 0 or is_pointer(value) for value in frequent)


def as_error(register: int) -> int:
    """A register as a negative number, where it is a small one in 32 or 64 bits, as errors are."""
    for bits in (32, 64):
        if (1 << bits) - 4095 <= register < 1 << bits:
            return register - (1 << bits)
    return register
