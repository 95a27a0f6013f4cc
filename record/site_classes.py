"""What a probe costs by the instruction that it sits on.

The kernel emulates a few instructions under a probe, those of `branch_setup_xol_ops` and `push_setup_xol_ops`
in arch/x86/kernel/uprobes.c, and executes all others out of line, with a single step and a second trap. From
6.18 on it turns a probe on a 5-byte NOP into a call.
"""

from __future__ import annotations

import os
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from .instructions import ONE_BYTE, TWO_BYTES, Decoded, Flags

if TYPE_CHECKING:
    from ..schemas.metadata import ExitStrategy


class SiteClass(StrEnum):
    """The kinds of sites, fastest first."""

    NOP5 = "nop5"  # a 5-byte NOP, where the kernel turns the probe into a call
    EMULATED = "emulated"
    STEPPED = "stepped"  # everything else


class Cost(NamedTuple):
    """What the probes of a function add to a call, in ns."""

    entry: int  # entries only
    with_return: int  # and a return probe
    with_ret: int  # and a probe on the return instruction


#: As bpf/calibration.py measures them on an x86-64 virtual machine with kernel 6.18. They tell the classes
#: apart; what it is elsewhere, only a measurement there tells.
COSTS: Final = {
    SiteClass.NOP5: Cost(650, 1_300, 10_000),
    SiteClass.EMULATED: Cost(850, 1_550, 10_000),
    SiteClass.STEPPED: Cost(9_300, 10_200, 18_700),
}


def cost(site_class: SiteClass, exits: ExitStrategy) -> int:
    """The predicted cost of a call, in ns."""
    costs = COSTS[site_class]
    return {"none": costs.entry, "return": costs.with_return, "ret": costs.with_ret}[exits]


def nops_are_fast() -> bool:
    """Whether this kernel has something better for a 5-byte NOP than a single step."""
    numbers = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (6, 18)


def is_emulated(i: Decoded) -> Flags:
    """Which instructions the kernel emulates: `push`, `nop`, and the direct calls and jumps.

    What it emulates only in newer versions, longer NOPs, is not among them.
    """
    one, two = (i.length > 0) & (i.map == ONE_BYTE), (i.length > 0) & (i.map == TWO_BYTES)
    plain = i.prefixes == 0
    push = one & (i.opcode & 0xF8 == 0x50) & plain & ((i.rex == 0) | (i.rex == 0x41))
    # With REX.B it is an exchange with r8.
    nop = (
        one
        & (i.opcode == 0x90)
        & (i.rex & 1 == 0)
        & (plain | (i.prefixes == 1) & (i.size16 | (i.repeat == 0xF3)))
    )
    bound = plain | (i.prefixes == 1) & (i.repeat == 0xF2)
    near = (i.opcode == 0xE8) | (i.opcode == 0xE9) | (i.opcode == 0xEB) | (i.opcode & 0xF0 == 0x70)
    found: Flags = push | nop | bound & (one & near | two & (i.opcode & 0xF0 == 0x80))
    return found
