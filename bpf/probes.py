"""What a function's probes are, and the instructions that they sit on."""

from __future__ import annotations

from typing import NamedTuple

from .layout import BY_RETURN, CONDITION_SHIFT, CONDITIONAL, ENTRY_ONLY, MOVED_SHIFT, MOVED_UNIT, TAIL_JUMP


class Place(NamedTuple):
    """An instruction with a breakpoint, and the cookie that its program sees."""

    site: int
    cookie: int


class Leave(NamedTuple):
    """A probe on an instruction by which a function is left (file offset)."""

    site: int
    tail: bool  # a jump to another function: there is no return value yet
    condition: int | None  # x86 condition code of a conditional jump


class Probe(NamedTuple):
    """One function's probes: where its entry is seen (file offset), what identifies it, how its exits are.

    `returns` asks for a return probe; else `leaves` are the instructions by which it is left, of
    which there are none where exits are not recorded. `moved` tells by how many bytes the function has
    moved the stack pointer down before the site: none where it has a return probe, nor where it can be left.
    """

    site: int
    cookie: int
    returns: bool = False
    leaves: tuple[Leave, ...] = ()
    moved: int = 0


def entry_place(probe: Probe) -> Place:
    """Where the probe sees entries."""
    cookie = probe.cookie | probe.moved // MOVED_UNIT << MOVED_SHIFT
    if probe.returns:
        cookie |= BY_RETURN
    elif not probe.leaves:
        cookie |= ENTRY_ONLY
    return Place(probe.site, cookie)


def leave_place(probe: Probe, leave: Leave) -> Place:
    """Where it sees one kind of exits."""
    cookie = probe.cookie
    if leave.tail:
        cookie |= TAIL_JUMP
    if leave.condition is not None:
        cookie |= CONDITIONAL | leave.condition << CONDITION_SHIFT
    return Place(leave.site, cookie)
