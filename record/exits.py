"""Whether a recording sees functions return, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from .hazards import FileHazards

if TYPE_CHECKING:
    from ..schemas.metadata import ExitStrategy

ExitPolicy = Literal["auto", "return", "none"]

_MOST_REASONS: Final = 3
_GO: Final = "return probes crash Go programs"


@dataclass(frozen=True)
class Exits:
    """The strategy of every function that is not Go's, its reason, and what the user should know."""

    strategy: ExitStrategy
    reason: str
    notices: tuple[str, ...] = ()
    go: bool = False

    def of_module(self, go: bool) -> tuple[ExitStrategy, str]:
        return ("none", _GO) if go and self.strategy == "return" else (self.strategy, self.reason)


def choose(policy: ExitPolicy, hazards: FileHazards, everything: bool) -> Exits:
    """Decide for a whole plan; `hazards` are those of all the target's processes together."""
    why = "; ".join(hazards.reasons[:_MOST_REASONS])
    if len(hazards.reasons) > _MOST_REASONS:
        why += f"; and {len(hazards.reasons) - _MOST_REASONS} more reasons"
    if policy == "none":
        return Exits("none", "asked for with --exit none")
    if policy == "return":
        notices = []
        if why or everything:
            danger = why or "with --all-processes, some process surely unwinds its stack"
            notices.append(
                f"return probes although functions may be left without a return ({danger}): "
                "the traced program can abort or go astray"
            )
        if hazards.go:
            notices.append(f"Go functions get entry probes only: {_GO}")
        return Exits("return", "asked for with --exit return", tuple(notices), hazards.go)
    if everything:
        return Exits(
            "none",
            "with --all-processes, some process may unwind",
            (
                "entries only, so no durations and no return values: with --all-processes some process may "
                "unwind its stack, which return probes do not survive (--exit return is the risky choice)",
            ),
        )
    if why:
        return Exits(
            "none",
            f"the process may unwind: {why}",
            (
                f"entries only, so no durations and no return values: the process may unwind its stack "
                f"({why}), which return probes do not survive (--exit return is the fast, risky choice)",
            ),
        )
    notices = []
    if hazards.opens:
        notices.append(
            "the process can load more code (dlopen): choose --exit none if that may throw C++ exceptions, "
            "or leave functions in other ways than by returning"
        )
    return Exits("return", "nothing in the process unwinds", tuple(notices))
