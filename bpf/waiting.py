"""Entries that wait for the ends of their calls, out of the maps of `live_calls.bpf.h`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layout import ENTRY, LIVE_PLACE, LIVE_STACK, event_dtype, live_call_dtype


def waiting_entries(
    stacks: Sequence[tuple[bytes, bytes]],
    calls: Sequence[tuple[bytes, bytes]],
    layout: str,
    arguments: int,
    before_ns: int,
) -> tuple[NDArray[Any], int]:
    """Entries that still wait: those of calls that began before `before_ns`, and how many others there are.

    `stacks` and `calls` are the elements of the maps of these names. Events come as records of
    `event_dtype`, each thread's outermost first.
    """
    kept = dict(calls)
    call_dtype = live_call_dtype(arguments)
    events: list[NDArray[Any]] = []
    others = 0
    for key, value in stacks:
        stack = np.frombuffer(value, LIVE_STACK)[0]
        pid = int.from_bytes(key, "little")
        for level in range(int(stack["sent"]), int(stack["level"])):
            call = np.frombuffer(kept[np.array((pid, level), LIVE_PLACE).tobytes()], call_dtype)[0]
            if call["start"] > before_ns:
                others += 1
                continue
            event = np.zeros(1, event_dtype(layout, arguments, spans=True))
            event["type"] = ENTRY
            event["cookie"] = call["function"]
            event["pid"], event["tgid"] = pid, stack["tgid"]
            event["timestamp"], event["frame"] = call["start"], call["frame"]
            if arguments:
                event["args"] = call["args"]
            events.append(event)
    return np.concatenate([np.zeros(0, event_dtype(layout, arguments, spans=True)), *events]), others
