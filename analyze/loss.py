"""What a trace, or a report, leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..schemas import TraceMetadata
from ..schemas.metadata import FilterInfo, LossWindow
from .answers import Answers


@dataclass(frozen=True)
class Loss:
    """What is missing: events of the whole recording, and calls without both sides.

    The calls are those that a report was asked for; the events are always those of the recording.
    """

    produced: int
    recorded: int
    lost: dict[str, int]  # events, by cause
    filtered: dict[str, int]  # events that were left out on purpose, by option
    filter_notes: dict[str, str]  # what else is to be said of these options
    after_limit: int
    windows: list[LossWindow]
    open: int
    unwound: int
    lost_calls: int
    entry_only: int

    @classmethod
    def of(cls, metadata: TraceMetadata, answers: Answers) -> Loss:
        """What `answers` count besides complete calls."""
        found: dict[str | None, int] = {name: answers.count(name) for name in ("open", "unwound", "lost")}
        return cls.counted(metadata, found | {None: answers.count("silent")})

    @classmethod
    def counted(cls, metadata: TraceMetadata, found: Mapping[str | None, int]) -> Loss:
        """Where there are `found[status]` calls of each status."""
        counts = metadata["counts"]
        return cls(
            produced=counts["produced"],
            recorded=counts["recorded"],
            lost=dict(counts["lost"]),
            filtered=dict(counts["filtered"]),
            filter_notes=_filter_notes(metadata["filters"]),
            after_limit=counts["after_limit"],
            windows=metadata["loss_windows"],
            open=found.get("open", 0),
            unwound=found.get("unwound", 0),
            lost_calls=found.get("lost", 0),
            entry_only=found.get(None, 0),
        )

    def _repr_html_(self) -> str:
        from .shown import loss_html

        return loss_html(self)

    def __str__(self) -> str:
        """One line, as it ends every report: `left out: 3 open, 1 unwound; no events lost`."""
        calls = f"{self.entry_only:,} call{'s' * (self.entry_only != 1)}"
        entry_only = f" ({calls} entry-only)" if self.entry_only else ""
        return f"left out: {self.calls or 'nothing'}{entry_only}; {self.events}"

    @property
    def drawn(self) -> str:
        """The same where such calls are not left out, but drawn as far as they are known."""
        entry_only = f"{self.entry_only:,} entry-only" if self.entry_only else ""
        calls = ", ".join(part for part in (self.calls, entry_only) if part)
        return f"drawn as far as known: {calls}; {self.events}" if calls else str(self)

    @property
    def calls(self) -> str:
        """`3 open, 1 unwound`; empty where all calls have both sides."""
        parts = [(self.lost_calls, "lost"), (self.open, "open"), (self.unwound, "unwound")]
        return ", ".join(f"{count:,} {what}" for count, what in parts if count)

    @property
    def events(self) -> str:
        """`7 of 9,000 events lost (0.08%)`, `no events lost`; and those past the limit."""
        lost = sum(self.lost.values())
        share = f" ({lost / self.produced:.2%})" if lost and self.produced else ""
        events = f"{lost:,} of {self.produced:,} events lost{share}" if lost else "no events lost"
        for option, count in self.filtered.items():
            events += f", {count:,} left out by --{option}{self.filter_notes.get(option, '')}"
        limit = f", {self.after_limit:,} past the limit" if self.after_limit else ""
        return f"{events}{limit}"


def _filter_notes(filters: FilterInfo) -> dict[str, str]:
    notes = {}
    if filters["min_duration_ns"] is not None:
        notes["min-duration"] = f" {filters['min_duration_ns'] / 1000:,g}us"
    if filters["max_depth"] is not None:
        notes["max-depth"] = f" {filters['max_depth']}"
    if filters["sample"] is not None:
        notes["sample"] = (
            f" 1/{filters['sample']} ({filters['sampled_roots']:,} of {filters['roots']:,} outermost calls "
            f"recorded: multiply by {filters['sample']})"
        )
    if filters["budget"] is not None:
        cuts = len(filters["budget_cuts"])
        notes["budget"] = f" {filters['budget']:,} ({cuts:,} function{'s' * (cuts != 1)} called more often)"
    return notes
