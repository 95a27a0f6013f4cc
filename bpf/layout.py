"""The records of the BPF program as NumPy types."""

from __future__ import annotations

from typing import Any

import numpy as np

from .compile import NAME_BYTES

#: `enum event_type`; TAIL is an exit whose return value is not known, a span is an entry and its exit.
ENTRY, EXIT, TAIL, SPAN, TAIL_SPAN = 0, 1, 2, 3, 4

#: Bits of a cookie above the function's own number, as event.bpf.h tells.
CONDITION_SHIFT = 32
CONDITIONAL = 1 << 36
TAIL_JUMP = 1 << 37
TURN_SHIFT, LEAVE_TURN_SHIFT, TURNS = 32, 38, 256
MOVED_SHIFT, MOVED_UNIT, MOST_MOVED = 40, 8, 0xFFFF * 8
OWNER_SHIFT = 40
WHOLE_TURN_SHIFT = 40
BY_RETURN = 1 << 62
ENTRY_ONLY = 1 << 63

#: Nobody's turn any more: TURN_OVER in the C file.
TURN_OVER = 0xFFFFFFFF
#: In `next`: TURN_OLD_EXITS there.
TURN_OLD_EXITS = 1 << 31

#: In the map `budgets`: SHARED_BUDGET.
SHARED_BUDGET = 1 << 63

#: The kernel puts this before each record of a ring: length with two flag bits, and page offset.
RING_HEADER = np.dtype([("length", "<u4"), ("page_offset", "<u4")])
BUSY = 1 << 31
DISCARDED = 1 << 30

#: `struct snoop_turn`
TURN = np.dtype([("now", "<u4"), ("next", "<u4")])

#: sizeof(struct snoop_passed)
PASSED_BYTES = 12

#: `struct snoop_counts`
COUNTS = np.dtype(
    [(name, "<u8") for name in ("produced", "lost", "unplaced", "unfollowed", "unnoted", "until_wake")]
)

#: `struct snoop_birth`
BIRTH = np.dtype(
    [("start", "<u8"), ("parent", "<u4"), ("tgid", "<u4"), ("root_tgid", "<u4"), ("_padding", "<u4")]
)

#: `struct snoop_loss`
LOSS = np.dtype(
    [("first", "<u8"), ("last", "<u8"), ("frame", "<u8"), ("events", "<u8"), ("pid", "<u4"), ("tgid", "<u4")]
)

#: `struct ended_thread`
ENDED_THREAD = np.dtype([("timestamp", "<u8"), ("pid", "<u4"), ("tgid", "<u4")])

#: `struct left_thread`
LEFT_THREAD = np.dtype([("name", "S16"), ("levels", "<u4")])


#: `struct snoop_filtered`
FILTERED = np.dtype(
    [
        (name, "<u8")
        for name in (
            *("brief", "deep", "unsampled", "over_budget", "unknown"),
            *("untracked", "roots", "sampled_roots"),
        )
    ]
)

#: `struct live_place` and `struct live_stack`
LIVE_PLACE = np.dtype([("pid", "<u4"), ("level", "<u4")])
LIVE_STACK = np.dtype(
    [
        (name, "<u4")
        for name in ("tgid", "level", "sent", "highest", "unsampled", "round", "drawn", "_padding")
    ]
)


def live_call_dtype(arguments: int) -> np.dtype[Any]:
    """`struct live_call` for a number of argument registers."""
    fields: list[tuple[Any, ...]] = [
        ("frame", "<u8"),
        ("start", "<u8"),
        ("function", "<u4"),
        ("seen_by", "<u4"),
    ]
    if arguments:
        fields.append(("args", "<u8", (arguments,)))
    return np.dtype(fields)


def event_dtype(layout: str, arguments: int, spans: bool = False) -> np.dtype[Any]:
    """`struct func_trace_event` for the layout `lean` or `full` and a number of argument registers; with
    `spans` where entries can wait for their exits."""
    fields: list[tuple[Any, ...]] = [
        ("type", "<u4"),
        ("_padding", "<u4"),
        ("cookie", "<u8"),
        ("pid", "<u4"),
        ("tgid", "<u4"),
        ("timestamp", "<u8"),
    ]
    if layout == "full":
        fields.append(("name", f"S{NAME_BYTES}"))
    if arguments:
        fields.append(("args", "<u8", (arguments,)))
    fields += [("ret_val", "<u8"), ("frame", "<u8")]
    if spans:
        fields.append(("end", "<u8"))
    return np.dtype(fields)
