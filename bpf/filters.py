"""What the kernel side leaves out, or sends late: macros of `live_calls.bpf.h`, and what its maps tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .layout import ENTRY, LIVE_PLACE, LIVE_STACK, event_dtype, live_call_dtype


@dataclass(frozen=True)
class Filters:
    """Which calls a recording leaves out; None, and False, leave out nothing.

    `spans` sends a call in which no other is seen as one event, once it has returned. The combinations
    that mean something are for the caller to know.
    """

    min_duration_ns: int | None = None
    sample: int | None = None  # of a thread's outermost calls, one in so many
    max_depth: int | None = None
    budget: int | None = None  # calls of each function
    spans: bool = False

    @property
    def waits(self) -> bool:
        """Whether entries wait, so that an event can be a span."""
        return self.spans or self.min_duration_ns is not None

    @property
    def any(self) -> bool:
        return self.waits or any((self.sample, self.max_depth, self.budget))

    def flags(self) -> list[str]:
        flags = ["-DLIVE_CALLS"] if self.any else []
        if self.waits:
            flags.append(f"-DWAIT_NS={self.min_duration_ns or 0}")
        for macro, value in (("SAMPLE", self.sample), ("MAX_DEPTH", self.max_depth), ("BUDGET", self.budget)):
            if value is not None:
                flags.append(f"-D{macro}={value}")
        return flags


NO_FILTERS: Final = Filters()


@dataclass(frozen=True)
class FilteredCounts:
    """Events left out so far, by reason, and lost for want of room to keep their calls."""

    brief: int = 0
    deep: int = 0
    unsampled: int = 0
    over_budget: int = 0
    untracked: int = 0
    roots: int = 0  # outermost calls, where they are sampled
    sampled_roots: int = 0


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
