"""What the kernel side leaves out, or sends late: macros of `filters.bpf.h`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


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
    unknown: int = 0  # of the brief ones, exits of calls that took nobody knows how long
    untracked: int = 0
    roots: int = 0  # outermost calls, where they are sampled
    sampled_roots: int = 0
