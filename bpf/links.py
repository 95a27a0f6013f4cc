"""Put the programs on functions, and take them off again.

One link holds a whole module where the kernel has such links; there is one for each process filter.
"""

from __future__ import annotations

import _thread
import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum, auto
from types import TracebackType
from typing import NamedTuple

from ..errors import FuncsnoopError, KernelError, PrivilegeError, TargetError
from . import syscall
from .features import Strategy, uprobe_pmu
from .layout import (
    BY_RETURN,
    CONDITION_SHIFT,
    CONDITIONAL,
    ENTRY_ONLY,
    MOVED_SHIFT,
    MOVED_UNIT,
    OWNER_SHIFT,
    TAIL_JUMP,
    TURN_SHIFT,
)
from .program import Programs

#: How often, and how long each time, old links wait for the events that new ones have left to them.
_PATIENCE, _PATIENCE_SECONDS = 100, 0.001


class _Side(Enum):
    """Where the kernel runs a program of a link."""

    ENTRY = auto()  # at the instruction
    RETURN = auto()  # when the function that is entered there returns
    BOTH = auto()


class _Place(NamedTuple):
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


class Links:
    """The links of one recording; closing takes every probe out.

    Entries come last, so that no call is seen to begin whose end is not watched.
    """

    def __init__(self, programs: Programs, strategy: Strategy) -> None:
        self._programs = programs
        self._strategy = strategy
        #: By the process of their filter; those without one under None.
        self._exits: dict[int | None, list[int]] = {}
        self._entries: dict[int | None, list[int]] = {}
        self._turn = 0
        #: The files that have been probed: later the recorder may not be able to open them again.
        self._files: dict[str, int] = {}

    def attach(self, path: str, probes: Sequence[Probe], pid: int | None) -> None:
        """Probe functions of the module that the kernel opens at `path`.

        With `pid` (in the recorder's namespace) only that process gets the breakpoints. Without it
        every process that maps the module does, and the program tells whom to record: then return
        probes need a session link, whose entry side can leave a bystander's return address alone.

        A return probe takes what is on top of the stack at its site for the return address, and replaces
        it: where the stack pointer has moved, that is something else of the program's.

        Both rules are kept here, where nothing gets past them. Raises `FuncsnoopError`.
        """
        if any(probe.returns and probe.moved for probe in probes):
            raise KernelError(
                f"a return probe in {path} would not sit where the return address is",
                "This is a defect of funcsnoop. Record with --exit ret, or with --exit none.",
            )
        returns = [_Place(probe.site, probe.cookie) for probe in probes if probe.returns]
        if returns and pid is None and self._strategy is not Strategy.SESSION:
            raise KernelError(
                f"return probes without a process filter need session links, not {self._strategy}",
                "Leave --attach out, name the processes with --pid, or choose --exit ret or none.",
            )
        leaves = [_leave(probe, leave) for probe in probes for leave in probe.leaves]
        both = {probe.site for probe in probes} & {place.site for place in leaves}
        entries = [
            _entry(probe)
            for probe in probes
            if probe.site not in both and not (probe.returns and self._strategy is Strategy.SESSION)
        ]
        seen_exits = self._exits.setdefault(pid, [])
        seen_entries = self._entries.setdefault(pid, [])
        try:
            file = self._held(path)
            if self._strategy is Strategy.SESSION:
                self._link(seen_exits, "generic_session", file, returns, pid, _Side.BOTH)
            else:
                self._link(seen_exits, "generic_exit", file, returns, pid, _Side.RETURN)
            others = [place for place in leaves if place.site not in both]
            self._link(seen_exits, "generic_leave", file, others, pid)
            at_once = [place for place in leaves if place.site in both]
            self._link(seen_entries, "entry_and_leave", file, at_once, pid)
            self._link(seen_entries, "generic_entry", file, entries, pid)
        except OSError as error:
            raise _explain(error, path, pid) from None

    def load(self, *, leaves: bool) -> None:
        """Load what `attach` will need without return probes: later the kernel may not let the recorder."""
        kind = 0 if self._strategy is Strategy.PERF else syscall.ATTACH_UPROBE_MULTI
        for program in ("generic_entry", *(("generic_leave", "entry_and_leave") if leaves else ())):
            self._programs.load(program, kind)

    def exchange(self, make: Callable[[], None]) -> tuple[int, int]:
        """Exchange all links for those that `make` makes, at one moment; once only. That moment lies between
        the times that are returned (CLOCK_MONOTONIC, ns).

        What is entered before and left after that is seen at both sides, where the new links see them;
        nothing is seen twice. If `make` raises, all stays as it was.
        """
        old = self._exits, self._entries
        self._exits, self._entries = {}, {}
        self._turn += 1
        self._programs.set_turn(self._turn - 1, coming=self._turn)
        try:
            make()
        except BaseException:
            self._close(self._exits, self._entries)
            self._exits, self._entries = old
            self._turn -= 1
            self._programs.set_turn(self._turn)
            raise
        before = time.monotonic_ns()
        self._programs.set_turn(self._turn, coming=self._turn)
        after = time.monotonic_ns()
        # A thread can stand between a `ret` and the return probe. One that does so for long has gone on by
        # a tail jump, say.
        for _ in range(_PATIENCE):
            time.sleep(_PATIENCE_SECONDS)
            if not self._programs.has_passed_over():
                break
        self._close(*old)
        self._programs.set_turn(self._turn)
        return before, after

    def detach(self, pid: int) -> None:
        """Take out the probes that only process `pid` has."""
        self._close({pid: self._exits.pop(pid, [])}, {pid: self._entries.pop(pid, [])})

    def close(self) -> None:
        """Take all probes out. When it returns, no program of ours runs any more."""
        self._programs.end_turns()
        exits, entries, self._exits, self._entries = self._exits, self._entries, {}, {}
        self._close(exits, entries)
        while self._files:
            os.close(self._files.popitem()[1])

    def __enter__(self) -> Links:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _close(self, *tables: Mapping[int | None, Sequence[int]]) -> None:
        """Close the links of tables by process, each on a thread of its own.

        The kernel (since 6.13) takes a link's breakpoints out and then waits for calls with return probes,
        of any link. One after the other, each would wait for as long as the next ones keep asking for more.
        Perf links it takes out one by one in any case.

        A thread for which there is no memory does not begin, and its link is closed by another.
        `threading` would wait for it for ever.
        """
        links = [link for table in tables for links in table.values() for link in links]
        left = list(range(len(links)))
        closed = [False] * len(links)

        def take_and_close() -> None:
            while left:
                try:
                    index = left.pop()
                except IndexError:
                    return
                os.close(links[index])
                closed[index] = True

        with suppress(RuntimeError, MemoryError):
            for _ in links[1:] if self._strategy is not Strategy.PERF else ():
                _thread.start_new_thread(take_and_close, ())
        take_and_close()
        while not all(closed):
            time.sleep(0.001)

    def _held(self, path: str) -> str:
        if path not in self._files:
            self._files[path] = os.open(path, os.O_PATH | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._files[path]}"

    def _link(
        self,
        links: list[int],
        program: str,
        path: str,
        places: Sequence[_Place],
        pid: int | None,
        side: _Side = _Side.ENTRY,
    ) -> None:
        if not places:
            return
        if self._strategy is Strategy.PERF:
            self._link_perf(links, program, path, places, pid, side)
            return
        both = side is _Side.BOTH
        attach_type = syscall.ATTACH_UPROBE_SESSION if both else syscall.ATTACH_UPROBE_MULTI
        links.append(
            syscall.link_uprobe_multi(
                self._programs.load(program, attach_type),
                attach_type,
                path,
                [place.site for place in places],
                [place.cookie | self._turn << TURN_SHIFT for place in places],
                pid=pid or 0,
                on_return=side is _Side.RETURN,
            )
        )

    def _link_perf(
        self,
        links: list[int],
        program: str,
        path: str,
        places: Sequence[_Place],
        pid: int | None,
        side: _Side,
    ) -> None:
        pmu_type, return_bit = uprobe_pmu()
        more = self._turn << TURN_SHIFT
        if side is _Side.RETURN:
            more |= (pid or 0) << OWNER_SHIFT
        loaded = self._programs.load(program)
        for place in places:
            event = syscall.open_uprobe_event(
                pmu_type,
                path,
                place.site,
                pid=pid or -1,
                return_bit=return_bit if side is _Side.RETURN else None,
            )
            # The link keeps the event alive.
            try:
                links.append(syscall.link_perf_event(loaded, event, place.cookie | more))
            finally:
                os.close(event)


def _entry(probe: Probe) -> _Place:
    cookie = probe.cookie | probe.moved // MOVED_UNIT << MOVED_SHIFT
    if probe.returns:
        cookie |= BY_RETURN
    elif not probe.leaves:
        cookie |= ENTRY_ONLY
    return _Place(probe.site, cookie)


def _leave(probe: Probe, leave: Leave) -> _Place:
    cookie = probe.cookie
    if leave.tail:
        cookie |= TAIL_JUMP
    if leave.condition is not None:
        cookie |= CONDITIONAL | leave.condition << CONDITION_SHIFT
    return _Place(leave.site, cookie)


def _explain(error: OSError, path: str, pid: int | None) -> FuncsnoopError:
    match error.errno:
        case errno.EPERM | errno.EACCES:
            return PrivilegeError(
                f"the kernel does not let this user probe {path}",
                "Run as root; perf links need CAP_SYS_ADMIN besides CAP_BPF and CAP_PERFMON.",
            )
        case errno.ESRCH:
            return TargetError(f"process {pid} has gone", "Start it again and give its new id.")
        case errno.EMFILE | errno.ENFILE:
            return KernelError(
                "too many open files for one link per function",
                "Raise `ulimit -n`, or trace fewer functions.",
            )
        case _:
            return KernelError(
                f"the kernel refuses to probe {path}: {error.strerror}",
                "Run `funcsnoop doctor`, or try another way with --attach multi or --attach perf.",
            )
