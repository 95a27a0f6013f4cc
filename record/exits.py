"""Whether a recording sees functions return, in which way, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from .hazards import FileHazards

if TYPE_CHECKING:
    from ..schemas.metadata import ExitStrategy

ExitPolicy = Literal["auto", "return", "ret", "none"]

_MOST_REASONS: Final = 3
_GO: Final = "a Go function's stack moves, and return probes crash Go"


@dataclass(frozen=True)
class Exits:
    """The strategy of every function that is not Go's, its reason, and what the user should know.

    Where it is `ret`, functions whose exits cannot all be found are recorded at their entries only.
    """

    strategy: ExitStrategy
    reason: str
    notices: tuple[str, ...] = ()

    def of_module(self, go: bool) -> tuple[ExitStrategy, str]:
        return ("none", _GO) if go and self.strategy != "none" else (self.strategy, self.reason)


def choose(policy: ExitPolicy, hazards: FileHazards, everything: bool) -> Exits:
    """Decide for a whole plan; `hazards` are those of all the target's processes together."""
    why = "; ".join(hazards.reasons[:_MOST_REASONS])
    if len(hazards.reasons) > _MOST_REASONS:
        why += f"; and {len(hazards.reasons) - _MOST_REASONS} more reasons"
    go = (f"Go functions get entry probes only: {_GO}",) if hazards.go else ()
    match policy:
        case "none":
            return Exits("none", "asked for with --exit none")
        case "ret":
            return Exits("ret", "asked for with --exit ret", go)
        case "return":
            return Exits("return", "asked for with --exit return", (*_risk(why, everything), *go))
    if everything:
        return Exits("ret", "with --all-processes, some process may unwind", go)
    if why:
        notice = (
            f"exits are seen at the functions' return instructions, since the process may unwind its stack "
            f"({why}): safe, and slower than --exit return, the fast, risky choice"
        )
        return Exits("ret", f"the process may unwind: {why}", (notice, *go))
    if hazards.opens:
        notice = (
            "exits are seen at the functions' return instructions, since the process can load more code "
            "(dlopen), which may unwind its stack: safe, and slower than --exit return, which is right where "
            "no such code is loaded"
        )
        return Exits("ret", "the process can load code that unwinds (dlopen)", (notice,))
    return Exits("return", "nothing in the process unwinds")


def _risk(why: str, everything: bool) -> tuple[str, ...]:
    danger = why or ("with --all-processes, some process surely unwinds its stack" if everything else "")
    if not danger:
        return ()
    return (
        f"return probes although functions may be left without a return ({danger}): "
        "the traced program can abort or go astray",
    )
