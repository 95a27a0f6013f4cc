"""The explain report: what separates the slow calls of a function from its others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from .arrays import Ints
from .association import Condition, best_range, best_value, best_window
from .casts import apply
from .evidence import Evidence
from .heatmap import BITS, Heat
from .loglinear import bucket_of, signed_bounds

#: Of fewer calls, or fewer slow ones, nothing can be said.
ENOUGH = 20
ENOUGH_SLOW = 5
#: Slow are the slowest of so many in a thousand, or those that a gap sets apart: it is tried with each.
SLOWEST = (100, 10, 1)
#: A condition is told if it holds for more of the slow calls than of the others, in shares, by this,
LEAST_SEPARATION = 0.2
#: and if chance gives as much less often, of all conditions that were looked at.
SIGNIFICANCE = 0.01
#: Windows of time begin and end at one of so many moments.
_MOMENTS = 64

CALLER, THREAD, TIME = "caller", "thread", "time"


@dataclass(frozen=True)
class Reason:
    """A condition on `what`, a register, CALLER, THREAD or TIME: that it is from `low` to `high`, both
    included. Of callers these are rows of the function table, -1 for none; moments are CLOCK_MONOTONIC, ns.
    """

    what: str
    low: int
    high: int
    condition: Condition
    p_value: float

    @property
    def key(self) -> tuple[str, int, int]:
        return (TIME, 0, 0) if self.what == TIME else (self.what, self.low, self.high)


@dataclass(frozen=True)
class Explanation:
    """`slow` of a function's complete `calls` took `slow_ns` or longer; what goes with that, best first."""

    calls: int
    slow: int
    slow_ns: int
    reasons: list[Reason]

    @property
    def strength(self) -> float:
        return max((reason.condition.separation for reason in self.reasons), default=0.0)

    def adds_to(self, others: Sequence[Explanation]) -> bool:
        """Whether it says anything that none of the others does. Windows of time are never quite the same."""
        said = {reason.key for other in others for reason in other.reasons}
        return any(reason.key not in said for reason in self.reasons)


class Case:
    """What is known of the calls of one function."""

    def __init__(self, registers: Sequence[str], origin: int, slow_ns: int | None) -> None:
        self._slow_ns = slow_ns
        self._heat = Heat(origin)
        self._evidence = {what: Evidence() for what in (*registers, CALLER, THREAD)}

    @property
    def calls(self) -> int:
        return self._heat.calls

    def add(self, calls: pl.DataFrame, kind_of: Callable[[str], str | None]) -> None:
        """Add complete calls, registers read as `kind_of` says."""
        durations = calls["duration_ns"].to_numpy()
        if self._slow_ns is not None:
            # What is slow is known: nothing else counts, and the bucket is exact.
            durations = (durations >= self._slow_ns).astype(np.int64)
        self._heat.add(calls["start"].to_numpy(), durations)
        buckets = bucket_of(durations, BITS)
        for what, evidence in self._evidence.items():
            if what == CALLER:
                values = calls["caller"].cast(pl.Int64).fill_null(-1).to_numpy()
            elif what == THREAD:
                values = calls["pid"].cast(pl.Int64).to_numpy()
            else:
                known = calls[what].is_not_null().to_numpy()
                raw = apply(calls[what].fill_null(0).to_numpy(), kind_of(what) or "u64")
                evidence.add(raw[known], buckets[known])
                continue
            evidence.add(values, buckets)

    def explain(self) -> list[Explanation]:
        """For each notion of what is slow that something explains the reasons, the best explained first."""
        if self.calls < ENOUGH:
            return []
        _, buckets, counts = self._heat.table()
        if self._slow_ns is None:
            thresholds = _thresholds(np.bincount(buckets, counts).astype(np.int64))
        else:
            thresholds = [1]
        explanations = []
        for threshold in thresholds:
            slow = int(counts[buckets >= threshold].sum())
            if not ENOUGH_SLOW <= slow < self.calls:
                continue
            slow_ns = signed_bounds(threshold, BITS)[0] if self._slow_ns is None else self._slow_ns
            reasons = self._reasons(threshold, len(thresholds))
            explanations.append(Explanation(self.calls, slow, slow_ns, reasons))
        explanations.sort(key=lambda one: -one.strength)
        return [one for place, one in enumerate(explanations) if one.adds_to(explanations[:place])]

    def _reasons(self, threshold: int, thresholds: int) -> list[Reason]:
        """What separates calls from this bucket on from the others, best first."""
        found = self._conditions(threshold)
        tried = sum(condition.tried for *_, condition in found) * thresholds
        reasons = []
        for what, low, high, condition in found:
            p_value = min(1.0, condition.p_value * tried)
            if condition.separation >= LEAST_SEPARATION and p_value < SIGNIFICANCE:
                reasons.append(Reason(what, low, high, condition, p_value))
        return sorted(reasons, key=lambda reason: -reason.condition.separation)

    def _conditions(self, threshold: int) -> list[tuple[str, int, int, Condition]]:
        """The best condition on each thing that is known."""
        found = []
        for what, evidence in self._evidence.items():
            groups = evidence.groups(threshold)
            nominal = what in (CALLER, THREAD) or evidence.are_names
            # How great an address is says nothing, and neither does a range of them.
            if len(groups.bounds) < 2 or (nominal and evidence.by_range):
                continue
            # It can be known of some calls only: of slow ones, say, or of fast ones.
            if not groups.slow.any() or (groups.slow == groups.calls).all():
                continue
            best = (best_value if nominal else best_range)(groups.calls, groups.slow)
            found.append((what, groups.bounds[best.first][0], groups.bounds[best.last][1], best))
        starts, calls, slow, width = self._windows(threshold)
        if len(calls) > 1:
            best = best_window(calls, slow)
            found.append((TIME, starts + best.first * width, starts + (best.last + 1) * width - 1, best))
        return found

    def _windows(self, threshold: int) -> tuple[int, Ints, Ints, int]:
        """When the first of equally long windows begins, the calls and slow calls of each, and how long."""
        slices, buckets, counts = self._heat.table()
        first = int(slices[0])
        per_window = -(-(int(slices[-1]) - first + 1) // _MOMENTS)
        place = (slices - first) // per_window
        slow = np.where(buckets >= threshold, counts, 0)
        calls, slow_calls = (np.bincount(place, part).astype(np.int64) for part in (counts, slow))
        start = self._heat.origin + first * self._heat.slice_ns
        return start, calls, slow_calls, per_window * self._heat.slice_ns


def cases_of(
    batches: Iterable[pl.DataFrame],
    registers: Sequence[str],
    kind_of: Callable[[int, str], str | None],
    origin: int,
    slow_ns: int | None = None,
) -> dict[int, Case]:
    """Complete calls by function, in one pass that keeps no calls.

    `batches` need `function`, `caller`, `pid`, `start`, `duration_ns` and `registers`, which are read as
    `kind_of(function, register)`. Calls are slow that took `slow_ns` or longer; without it, it is found out.
    """
    found: dict[int, Case] = {}
    for batch in batches:
        complete = batch.drop_nulls("duration_ns")
        for (function,), part in complete.partition_by("function", as_dict=True).items():
            case = found.setdefault(function, Case(registers, origin, slow_ns))
            case.add(part, lambda register, function=function: kind_of(function, register))  # type: ignore[misc]
    return found


def table(found: dict[int, list[Explanation]], functions: pl.LazyFrame) -> pl.LazyFrame:
    """`schemas.EXPLAIN`: in order of the function table, what is explained best first."""
    names = functions.select("demangled", "file").collect().rows()
    rows = []
    for function, explanations in sorted(found.items(), key=lambda item: item[0]):
        for explanation in explanations:
            head = (*names[function], explanation.calls, explanation.slow, explanation.slow_ns)
            for reason in explanation.reasons:
                condition = reason.condition
                called = reason.what == CALLER
                caller = names[reason.low][0] if called and reason.low >= 0 else None
                bounds = [None if called else Decimal(limit) for limit in (reason.low, reason.high)]
                figures = (condition.calls, condition.slow, condition.explained, condition.separation)
                rows.append((*head, reason.what, *bounds, caller, *figures, reason.p_value))
    value = pl.Decimal(20, 0)
    schema: dict[str, Any] = {"function": pl.String, "module": pl.String}
    schema |= {"calls": pl.UInt64, "slow": pl.UInt64, "slow_ns": pl.Int64, "what": pl.String}
    schema |= {"low": value, "high": value, "caller": pl.String}
    schema |= {"matching_calls": pl.UInt64, "matching_slow": pl.UInt64}
    schema |= {"explained": pl.Float64, "separation": pl.Float64, "p_value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").lazy()


def _thresholds(counts: Ints) -> list[int]:
    """The buckets from which on calls may be called slow; `counts` are of each bucket."""
    total = int(counts.sum())
    from_here = np.cumsum(counts[::-1])[::-1]
    used = np.flatnonzero(counts)
    found: list[int] = []
    for per_mille in SLOWEST:
        found += np.flatnonzero(from_here <= total * per_mille / 1000)[:1].tolist()
    gap: int | None = 0
    for _ in range(2):  # what is slow, and what is slow among that
        gap = None if gap is None else _gap(counts, gap)
        found += [] if gap is None else [gap]
    # From the shortest call on that is longer: the same calls, and a figure that says more.
    return list(dict.fromkeys(int(used[np.searchsorted(used, bucket)]) for bucket in found))


def _gap(counts: Ints, first: int) -> int | None:
    """Where durations from the bucket `first` on part best into two kinds, the slower one not the greater,
    by N. Otsu's method (IEEE Trans. SMC 9, 1979) on a scale of powers of two.
    """
    place = np.arange(len(counts)) - first
    weights = np.where(place >= 0, counts, 0)
    from_here = np.cumsum(weights[::-1])[::-1]
    sums = np.cumsum((weights * place)[::-1])[::-1]
    total = int(weights.sum())
    cuts = np.flatnonzero((from_here >= ENOUGH_SLOW) & (from_here <= total / 2) & (place > 0))
    if not len(cuts):
        return None
    slow = from_here[cuts].astype(np.float64)
    apart = sums[cuts] / slow - (sums[first] - sums[cuts]) / (total - slow)
    return int(cuts[np.argmax(slow * (total - slow) * apart**2)])
