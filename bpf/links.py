"""Put the programs on functions, and take them off again.

One link holds a whole module where the kernel has such links; there is one for each process filter.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

from ..errors import KernelError
from . import syscall
from .closing import Closing
from .features import Strategy, uprobe_pmu
from .layout import LEAVE_TURN_SHIFT, OWNER_SHIFT, TURN_SHIFT, TURNS, WHOLE_TURN_SHIFT
from .link import Link, Side, attach_type, explain, link_multi
from .probes import Place, Probe, entry_place, leave_place
from .program import Programs
from .under_way import CallUnderWay

#: How often, and how long each time, old links wait for the events that new ones have left to them.
_PATIENCE, _PATIENCE_SECONDS = 100, 0.001
#: The same where they are left to links at the very same places: they come, unless a thread is kept waiting.
_MORE_PATIENCE = 10_000
#: A thread that comes to a place when the new links are not there yet, and goes on when it is no longer the
#: old ones' turn, is seen by neither. It is on its way for a microsecond, or while others run in its place.
_SETTLE_SECONDS = 0.1
#: How often calls that began with the old links are looked for before they are caught.
_LOOKS, _LOOK_SECONDS = 10, 0.01
#: Cookies tell turns modulo 256: so many closings of links may still go on when links are exchanged.
_MOST_CLOSING = TURNS - 3
#: Of a cookie: the function's number.
_FUNCTION = 0xFFFFFFFF


class _Catch(NamedTuple):
    """A link that catches exits of calls of process `pid` that began in that turn."""

    turn: int
    pid: int
    descriptor: int


class Links:
    """The links of one recording; closing takes every probe out.

    Entries come last, so that no call is seen to begin whose end is not watched.
    """

    def __init__(self, programs: Programs, strategy: Strategy) -> None:
        self._programs = programs
        self._strategy = strategy
        #: By the process of their filter; those without one under None.
        self._exits: dict[int | None, list[Link]] = {}
        self._entries: dict[int | None, list[Link]] = {}
        self._catches: list[_Catch] = []
        self._closing = Closing(at_once=strategy is not Strategy.PERF)
        #: Turns of old links that are still being closed.
        self._leaving: list[Closing] = []
        #: An exchange could not be finished, and its old links have to stay.
        self._stuck = False
        self._has_returns = False
        self._kept: list[Link] = []
        self._turn = 0
        #: Of functions with return probes: file, and site.
        self._returns: dict[int, tuple[str, int]] = {}
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
        returns = [Place(probe.site, probe.cookie) for probe in probes if probe.returns]
        if returns and pid is None and self._strategy is not Strategy.SESSION:
            raise KernelError(
                f"return probes without a process filter need session links, not {self._strategy}",
                "Leave --attach out, name the processes with --pid, or choose --exit ret or none.",
            )
        leaves = [leave_place(probe, leave) for probe in probes for leave in probe.leaves]
        both = {probe.site for probe in probes} & {place.site for place in leaves}
        entries = [
            entry_place(probe)
            for probe in probes
            if probe.site not in both and not (probe.returns and self._strategy is Strategy.SESSION)
        ]
        seen_exits = self._exits.setdefault(pid, [])
        seen_entries = self._entries.setdefault(pid, [])
        try:
            file = self._held(path)
            self._has_returns |= bool(returns)
            if self._strategy is Strategy.SESSION:
                self._returns |= {place.cookie: (path, place.site) for place in returns}
                if returns and self._programs.sizes.filters.budget is not None:
                    # For `relink`: later the kernel may not let the recorder load it.
                    self._programs.load("generic_catch", syscall.ATTACH_UPROBE_MULTI)
                self._link(seen_exits, "generic_session", file, returns, pid, Side.BOTH)
            else:
                self._link(seen_exits, "generic_exit", file, returns, pid, Side.RETURN)
            others = [place for place in leaves if place.site not in both]
            self._link(seen_exits, "generic_leave", file, others, pid)
            at_once = [place for place in leaves if place.site in both]
            self._link(seen_entries, "entry_and_leave", file, at_once, pid)
            self._link(seen_entries, "generic_entry", file, entries, pid)
        except OSError as error:
            raise explain(error, path, pid) from None

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
        old, before, after = self._change_turns(make)
        # A thread can stand between a `ret` and the return probe. One that does so for long has gone on by
        # a tail jump, say.
        self._wait_for_old(_PATIENCE)
        self._close([*_all(old, self._kept), *self._take_catches()])
        self._kept = []
        self._programs.set_turn(self._turn)
        return before, after

    @property
    def one_by_one(self) -> bool:
        """Whether each function has links of its own: then `remove` takes probes out, else `relink`."""
        return self._strategy is Strategy.PERF

    @property
    def can_remove(self) -> bool:
        """Whether probes can be taken out of functions with links of their own while others stay: the kernel
        takes out one at a time, and after each waits for as long as calls ask for return probes."""
        return not self._has_returns

    @property
    def catches(self) -> bool:
        """Whether there is something to `release`."""
        return bool(self._catches)

    @property
    def can_relink(self) -> bool:
        """Whether `relink` may be called now: not while too many links of turns before are being closed."""
        self._leaving = [closing for closing in self._leaving if closing.pending]
        return not self._stuck and len(self._leaving) < _MOST_CLOSING

    def relink(self, make: Callable[[], None]) -> None:
        """Exchange all links for those that `make` makes, which have the same probes on fewer functions.
        Those left out must have no calls under way, and get none: nothing else is missed, or seen twice.

        Needs a program that keeps the calls under way. If `make` raises, all stays as it was. `KernelError`
        where old links must stay to the end, beside the new ones.
        """
        old, _, _ = self._change_turns(make, old_exits=True)
        sessions = [link for link in old if link.is_session]
        others = [link for link in old if not link.is_session]
        if not self._wait_for_old(_MORE_PATIENCE):
            raise self._keep(old)
        self._leaving.append(Closing(at_once=True))
        self._leaving[-1].begin(link.descriptor for link in others)
        if sessions:
            # Their calls go on without them.
            try:
                self._catch(self._turn - 1)
            except OSError as error:
                raise self._keep(sessions) from error
            time.sleep(_SETTLE_SECONDS)
            self._programs.set_turn(self._turn, coming=self._turn)
            if not self._wait_for_old(_MORE_PATIENCE):
                raise self._keep(sessions)
            self._closing.begin(link.descriptor for link in sessions)
        self._programs.set_turn(self._turn)

    def release(self, under_way: Iterable[CallUnderWay]) -> None:
        """Let go of what catches the exits of calls that have returned meanwhile."""
        needed = {(call.turn, call.tgid) for call in under_way}
        done = [catch for catch in self._catches if (catch.turn, catch.pid) not in needed]
        self._catches = [catch for catch in self._catches if catch not in done]
        self._closing.begin(catch.descriptor for catch in done)

    def remove(self, functions: Collection[int]) -> None:
        """Take out the probes of these functions, which have links of their own."""
        for links in (*self._exits.values(), *self._entries.values()):
            self._closing.begin(link.descriptor for link in links if link.function in functions)
            links[:] = [link for link in links if link.function not in functions]

    def detach(self, pid: int) -> None:
        """Take out the probes that only process `pid` has."""
        self._close(_all(self._exits.pop(pid, []), self._entries.pop(pid, [])))

    def close(self) -> None:
        """Take all probes out. When it returns, no program of ours runs any more."""
        self._programs.end_turns()
        links = [*_all(*self._exits.values(), *self._entries.values(), self._kept), *self._take_catches()]
        self._exits, self._entries, self._kept = {}, {}, []
        self._close(links)
        for closing in self._leaving:
            closing.finish()
        while self._files:
            os.close(self._files.popitem()[1])

    def __enter__(self) -> Links:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _change_turns(
        self, make: Callable[[], None], *, old_exits: bool = False
    ) -> tuple[list[Link], int, int]:
        """Let the links that `make` makes count, and not those that there are, which are returned; as are
        times before and after that moment. See `Programs.set_turn` for `old_exits`."""
        old = self._exits, self._entries
        self._exits, self._entries = {}, {}
        self._turn += 1
        self._programs.set_turn(self._turn - 1, coming=self._turn)
        try:
            make()
        except BaseException:
            self._close(_all(*self._exits.values(), *self._entries.values()))
            self._exits, self._entries = old
            self._turn -= 1
            self._programs.set_turn(self._turn)
            raise
        if old_exits:
            time.sleep(_SETTLE_SECONDS)
        before = time.monotonic_ns()
        self._programs.set_turn(self._turn, coming=self._turn, old_exits=old_exits)
        after = time.monotonic_ns()
        return [link for table in old for links in table.values() for link in links], before, after

    def _wait_for_old(self, patience: int) -> bool:
        """Give old links time for the events that new ones have left to them; whether they have seen all."""
        for _ in range(patience):
            time.sleep(_PATIENCE_SECONDS)
            if not self._programs.has_passed_over():
                return True
        return False

    def _catch(self, turn: int) -> None:
        """Have the exits seen of calls that began in `turn`, when the session links go that saw them begin.

        Most return at once. For the others there are return probes without a session, which see all exits,
        in the processes of the calls. Raises `OSError`.
        """
        syscall.wait_for_programs()
        for _ in range(_LOOKS):
            calls = {call for call in self._programs.calls_under_way() if call.turn == turn}
            if not calls:
                return
            time.sleep(_LOOK_SECONDS)
        program = self._programs.load("generic_catch", syscall.ATTACH_UPROBE_MULTI)
        places: dict[tuple[int, str], list[Place]] = {}
        for call in calls:
            path, site = self._returns[call.function]
            cookie = call.function | turn << WHOLE_TURN_SHIFT
            places.setdefault((call.tgid, path), []).append(Place(site, cookie))
        for (pid, path), of_file in places.items():
            with suppress(ProcessLookupError):  # its calls will not return any more
                link = link_multi(program, self._held(path), of_file, pid, Side.RETURN)
                self._catches.append(_Catch(turn, pid, link))

    def _keep(self, links: Iterable[Link]) -> KernelError:
        self._kept += links
        self._stuck = True
        return KernelError(
            "events or calls that old probes are to see have not come to an end",
            "Nothing is missing; other functions whose budget is spent cost a trap a call.",
        )

    def _take_catches(self) -> list[int]:
        taken, self._catches = [catch.descriptor for catch in self._catches], []
        return taken

    def _close(self, links: Iterable[int]) -> None:
        self._closing.begin(links)
        self._closing.finish()

    def _held(self, path: str) -> str:
        if path not in self._files:
            self._files[path] = os.open(path, os.O_PATH | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._files[path]}"

    def _link(
        self,
        links: list[Link],
        program: str,
        path: str,
        places: Sequence[Place],
        pid: int | None,
        side: Side = Side.ENTRY,
    ) -> None:
        if not places:
            return
        if self._strategy is Strategy.PERF:
            self._link_perf(links, program, path, places, pid, side)
            return
        both = side is Side.BOTH
        turn = self._turn << WHOLE_TURN_SHIFT if both else self._shown_turn(program)
        loaded = self._programs.load(program, attach_type(side))
        marked = [Place(place.site, place.cookie | turn) for place in places]
        links.append(Link(link_multi(loaded, path, marked, pid or 0, side), is_session=both))

    def _shown_turn(self, program: str) -> int:
        """The turn as a cookie of `program` tells it, which has no room for the whole."""
        at_leaves = program in ("generic_leave", "entry_and_leave")
        return self._turn % TURNS << (LEAVE_TURN_SHIFT if at_leaves else TURN_SHIFT)

    def _link_perf(
        self,
        links: list[Link],
        program: str,
        path: str,
        places: Sequence[Place],
        pid: int | None,
        side: Side,
    ) -> None:
        pmu_type, return_bit = uprobe_pmu()
        more = self._shown_turn(program)
        if side is Side.RETURN:
            more |= (pid or 0) << OWNER_SHIFT
        loaded = self._programs.load(program)
        for place in places:
            event = syscall.open_uprobe_event(
                pmu_type,
                path,
                place.site,
                pid=pid or -1,
                return_bit=return_bit if side is Side.RETURN else None,
            )
            # The link keeps the event alive.
            try:
                link = syscall.link_perf_event(loaded, event, place.cookie | more)
                links.append(Link(link, function=place.cookie & _FUNCTION))
            finally:
                os.close(event)


def _all(*tables: Iterable[Link]) -> list[int]:
    return [link.descriptor for links in tables for link in links]
