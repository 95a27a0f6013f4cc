"""Where in a function its entry probe sits.

The kernel single-steps most instructions under a probe, at ten times the cost of those it emulates. So the
probe sits at the first emulated one on the straight line by which the function begins, if nothing before it
changes what the probe is to see (prologue.py), and nothing leads onto the line again, where each turn of a
loop would count as a call. Where that cannot be told, it sits at the head of the function: the first
instruction, or the one behind an `endbr64` or a 5-byte NOP, which do nothing. On some kernels a probe on such
a NOP kills forked children.

A return probe has to be where the stack pointer has not moved yet.

A function whose entry is the head of a loop has no site. Jumps from other functions to the entry are tail
calls, which are calls. Indirect jumps (a switch back to the entry) are not seen. Go's functions all are such
loops, through the growth of their stack; there the probe sits behind the check for it, where stack and return
address are still those of the entry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from ..bpf.arch import X86_64
from .beginnings import CLASSES, ENDBR64, NOP5, STEPPED, Candidates, find_candidates
from .elf import HOST_MACHINE, ElfFile
from .exit_sites import Walk
from .functions import Function, FunctionTable
from .instructions import WINDOW, Flags, decode
from .jump_bytes import code_ranges, find_indirect, merged, signed
from .landings import Beginnings, find_landings
from .own_jumps import own_jumps
from .probeable import LONGEST, is_probeable
from .site_classes import SiteClass, is_emulated
from .surroundings import Surroundings

#: Go's check for room on the stack: [lea …(%rsp),%r12] cmp 0x10(%r14),%rsp or %r12; jbe to where it grows.
_GO_CHECK: Final = re.compile(
    rb"(?:\x49\x3b\x66\x10|(?:\x4c\x8d\x64\x24.|\x4c\x8d\xa4\x24....)\x4d\x3b\x66\x10)(?:\x76.|\x0f\x86....)",
    re.DOTALL,
)
#: Where the size is not known, as much is looked at.
_UNKNOWN_SIZE: Final = 4096
#: As much of a file is disassembled to find faster sites.
_MOST_FOR_SPEED: Final = 256 << 10
_MORE_THAN_FILE: Final = 32 << 20

LOOP = "its first instruction is the head of a loop, where every turn would count as a call"
REFUSED = "its first instruction can carry no probe"


class Site(NamedTuple):
    """`skip` is the distance from the entry in bytes; with a `reason` there is no site.

    `moved` is by how many bytes the stack pointer is lower there than at the entry.
    """

    skip: int
    reason: str | None = None
    kind: SiteClass = SiteClass.STEPPED
    moved: int = 0


class Sites(NamedTuple):
    """Where a function's probe sits without and with a return probe; both or none have a reason."""

    alone: Site
    with_return: Site


def never() -> bool:
    return False


def find_sites(
    elf: ElfFile,
    functions: Sequence[Function],
    table: FunctionTable,
    *,
    arguments: int = 6,
    at_entry: bool = False,
    on_nops: Callable[[], bool] = never,
) -> list[Sites]:
    """The sites of each function of `elf`, in order. TargetError when the file cannot be read.

    `table` holds all functions that `elf` is known to have. The probe is to see `arguments` argument
    registers. With `at_entry` it sits at the head. `on_nops` is asked, once there is a 5-byte NOP, whether it
    may sit on that.
    """
    if X86_64.elf_machine != HOST_MACHINE:
        # Other architectures have fixed-size instructions that are probed where they stand.
        return [Sites(Site(0), Site(0))] * len(functions)
    order = np.argsort(signed(f.address for f in functions), kind="stable")
    ordered = [functions[i] for i in order.tolist()]
    search = _Search(elf, ordered, table, find_candidates(elf, ordered, arguments, on_nops))
    if at_entry:
        search.stay(slice(None))
    found = search.sites()
    return [found[i] for i in np.argsort(order).tolist()]


class _Search:
    """Decides between the candidates of `functions`, one row for each, in the order of signed addresses."""

    def __init__(
        self, elf: ElfFile, functions: Sequence[Function], table: FunctionTable, candidates: Candidates
    ) -> None:
        self.elf, self.table, self.functions = elf, table, functions
        self.heads, self.classes, self.lines, self.moved = candidates
        self.entries = signed(f.address for f in functions)
        sizes = np.fromiter((f.size for f in functions), np.uint64)
        sizes = np.where(sizes, np.minimum(sizes, np.uint64(elf.size)), np.uint64(_UNKNOWN_SIZE))
        self.ends = self.entries + sizes.astype(np.int64)
        self.budget = 4 * elf.size + _MORE_THAN_FILE
        self.budget_for_speed = _MOST_FOR_SPEED
        #: By row, what is not as the columns say.
        self.special: dict[int, Site] = {}

    def sites(self) -> list[Sites]:
        self.stay(self.overlapped())
        self.look_for_jumps()
        self.look_for_tables()
        self.look_for_refused()
        # Few are different: an object for each of these is enough.
        keys, rows = np.unique(
            np.stack((self.heads, self.classes, self.lines, self.moved)), axis=1, return_inverse=True
        )
        choices = [_sites(*key) for key in keys.T.tolist()]
        found = [choices[i] for i in rows.tolist()]
        for row, site in self.special.items():
            found[row] = Sites(site, site)
        return found

    @cached_property
    def around(self) -> Surroundings:
        return Surroundings(self.elf, self.table)

    def stay(self, rows: Flags | slice | int) -> None:
        """Put the probes of these functions at their heads."""
        self.lines[rows] = self.heads[rows]
        self.moved[rows] = 0

    def overlapped(self) -> Flags:
        """Functions inside of which others begin: who calls those would come upon the line."""
        starts = np.sort(signed(f.address for f in self.table.functions))
        following = np.append(starts, 1 << 62)[np.searchsorted(starts, self.entries, side="right")]
        return following < self.ends

    def look_for_jumps(self) -> None:
        """Find out what leads to the entries and the lines."""
        starts, ends = self.entries, self.ends
        if (self.lines > self.heads).any():
            code = np.array(code_ranges(self.elf), np.int64).reshape(-1, 2)
            starts, ends = np.append(starts, code[:, 0]), np.append(ends, code[:, 1])
        beginnings = Beginnings(self.entries, self.ends, self.heads, self.lines)
        found = find_landings(self.elf, merged(starts, ends), beginnings)
        inside: dict[int, set[int]] = {}
        # Most are tail calls, of whose own parts nobody needs to know where there are none.
        far = found.own | (found.distances > self.heads[found.functions])
        if not far.all() and self.around.parts:
            far[:] = True
        for row, distance, place, own, call in zip(*(column[far].tolist() for column in found), strict=True):
            if own and not call:
                inside.setdefault(row, set()).add(distance)
            elif distance > self.heads[row]:
                if self.lines[row] > self.heads[row] and self.is_real(row, distance, place):
                    self.stay(row)
            elif not call and self.in_own_part(row, place) and self.is_real(row, distance, place):
                self.landed(row, {distance})
        for row, distances in inside.items():
            targets = own_jumps(self.code(row)).targets
            self.landed(row, distances if targets is None else distances & targets)

    def code(self, row: int) -> bytes:
        """The code of a function; empty if all that has been asked for is more than the file."""
        function = self.functions[row]
        size = min(function.size or _UNKNOWN_SIZE, self.elf.size - function.offset)
        self.budget -= size
        return self.elf.bytes_at(function.offset, size) if self.budget >= 0 else b""

    def is_real(self, row: int, distance: int, place: int) -> bool:
        """Whether a jump or call from outside of the function is one. True where that cannot be told."""
        return self.around.span(place) is None or self.around.refers(place, int(self.entries[row]) + distance)

    def in_own_part(self, row: int, place: int) -> bool:
        """Whether a symbol says that `place` is in a part of the function that was moved away."""
        parts = (part for name in self.functions[row].names for part in self.around.parts.get(name, ()))
        return any(start <= place < start + size for start, size in parts)

    def landed(self, row: int, distances: set[int]) -> None:
        """Jumps of the function lead to `distances` behind its entry."""
        at_head = bool(distances) and min(distances) <= self.heads[row]
        code = self.code(row) if at_head else b""
        if 0 in distances:
            # A Go function starts again when its stack has grown. Behind the check it is once in each call.
            check = _GO_CHECK.match(code)
            if check and not (own_jumps(code).targets or set()) & {*range(1, check.end() + 1)}:
                self.special[row] = Site(check.end(), None, _class_at(code, check.end()))
            else:
                self.special[row] = Site(0, LOOP)
        elif at_head:
            # Never on a 5-byte NOP, which the entry of a function is that has no endbr64 before it.
            self.special[row] = Site(0, LOOP if code.startswith(NOP5) else None)
        elif distances:
            self.stay(row)

    def look_for_tables(self) -> None:
        """Jumps through registers and memory: find out where such lead onto the line of their function."""
        rows = np.flatnonzero(self.lines > self.heads)
        starts, ends = self.entries[rows], self.ends[rows]
        places = find_indirect(self.elf, merged(starts, ends))
        owner = np.searchsorted(starts, places, side="right") - 1
        owner = np.unique(owner[(owner >= 0) & (places < ends[owner])])
        for row in sorted(rows[owner].tolist(), key=lambda row: self.functions[row].size):
            self.budget_for_speed -= self.functions[row].size
            if self.budget_for_speed < 0 or (own_jumps(self.code(row)).anywhere and self.aims_at_line(row)):
                self.stay(row)

    def aims_at_line(self, row: int) -> bool:
        function = self.functions[row]
        start, end = function.address + 1, function.address + int(self.lines[row]) + 1
        return Walk(function, self.around).aims_at(start, end)

    def look_for_refused(self) -> None:
        """Find heads that can carry no probe. Emulated instructions can."""
        needed = (self.lines == self.heads) | (self.moved > 0)
        for row in np.flatnonzero((self.classes == STEPPED) & needed).tolist():
            function, head = self.functions[row], int(self.heads[row])
            if row not in self.special and not self.can_carry(function, head):
                has_endbr = head >= len(ENDBR64) and self.elf.bytes_at(function.offset, 4) == ENDBR64
                self.special[row] = Site(0) if has_endbr else Site(0, REFUSED)

    def can_carry(self, function: Function, skip: int) -> bool:
        """Whether the function's instruction there takes a probe."""
        offset = function.offset + skip
        room = min((function.size or _UNKNOWN_SIZE) - skip, self.elf.size - offset)
        return is_probeable(self.elf.bytes_at(offset, min(LONGEST, room)))


def _sites(head: int, class_: int, line: int, moved: int) -> Sites:
    at_head = Site(head, None, CLASSES[class_])
    if line == head:
        return Sites(at_head, at_head)
    on_line = Site(line, None, SiteClass.EMULATED, moved)
    return Sites(on_line, at_head if moved else on_line)


def _class_at(code: bytes, skip: int) -> SiteClass:
    window = np.frombuffer(code[skip : skip + WINDOW].ljust(WINDOW, b"\0"), np.uint8)
    emulated = is_emulated(decode(window, np.zeros(1, np.int64)))[0]
    return SiteClass.EMULATED if emulated else SiteClass.STEPPED
