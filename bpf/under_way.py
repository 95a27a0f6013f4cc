"""The calls that threads are in, out of the maps of `live_calls.bpf.h`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .layout import BY_RETURN, LIVE_PLACE, LIVE_STACK, WHOLE_TURN_SHIFT

_BY_RETURN = BY_RETURN >> WHOLE_TURN_SHIFT


class CallUnderWay(NamedTuple):
    """`turn` is that of the session link that has seen it begin; None where another probe has."""

    tgid: int
    function: int
    turn: int | None


def calls_on_stacks(
    stacks: Iterable[tuple[bytes, bytes]], calls: Mapping[bytes, bytes], call_dtype: np.dtype[Any]
) -> list[CallUnderWay]:
    """What `stacks` say that is under way, out of `calls`: what is deeper there has been left."""
    found = []
    for key, value in stacks:
        stack = np.frombuffer(value, LIVE_STACK)[0]
        pid = int.from_bytes(key, sys.byteorder)
        for level in range(int(stack["level"])):
            kept = calls.get(np.array((pid, level), LIVE_PLACE).tobytes())
            if kept is None:
                continue  # the thread has ended meanwhile
            call = np.frombuffer(kept, call_dtype)[0]
            seen_by = int(call["seen_by"])
            turn = seen_by & ~_BY_RETURN if seen_by & _BY_RETURN else None
            found.append(CallUnderWay(int(stack["tgid"]), int(call["function"]), turn))
    return found
