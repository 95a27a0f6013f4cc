"""The system's clocks, as a recording sees them at its two ends.

Events have times of CLOCK_MONOTONIC, which nobody can set; durations and limits are measured by it as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from ..schemas.metadata import ClockSnapshot

#: Clocks that are steered (NTP) go apart by less.
_APART_SECONDS: Final = 0.5


def clock_snapshot() -> ClockSnapshot:
    """The three clocks, read together as nearly as can be."""
    return {
        "monotonic_ns": time.clock_gettime_ns(time.CLOCK_MONOTONIC),
        "boottime_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        "realtime_ns": time.clock_gettime_ns(time.CLOCK_REALTIME),
    }


def clock_notices(started: ClockSnapshot, ended: ClockSnapshot) -> Iterator[str]:
    """What is to be said where they did not go at one pace."""
    boottime = ended["boottime_ns"] - started["boottime_ns"]
    set_by = (ended["realtime_ns"] - started["realtime_ns"] - boottime) / 1e9
    if abs(set_by) > _APART_SECONDS:
        yield (
            f"the clock was set {'forward' if set_by > 0 else 'back'} by {abs(set_by):,.1f} s meanwhile: "
            "times of day are those of the clock as it was at the start"
        )
    slept = (boottime - ended["monotonic_ns"] + started["monotonic_ns"]) / 1e9
    if slept > _APART_SECONDS:
        yield f"the machine slept for {slept:,.1f} s meanwhile, which no time or duration counts"
