"""Keep a plan's probes in its processes: at the start, after an exec, and when code arrives that unwinds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Set
from contextlib import suppress
from typing import Final

from ..bpf.links import Links
from ..bpf.probes import Leave, Probe
from ..errors import FuncsnoopError, TargetError
from ..schemas.metadata import ANY_FRAME, LossWindow
from .new_code import NewCode
from .plan import Plan, PlannedFunction
from .replan import added, rows_before, without_returns


class Attaching:
    """`tgids` are the target's processes. With `filter_in_program` no link has a filter of its own.

    What the user should know is added to `notices`. Raises `FuncsnoopError`s.
    """

    def __init__(
        self,
        plan: Plan,
        links: Links,
        tgids: tuple[int, ...],
        filter_in_program: bool,
        notices: list[str],
    ) -> None:
        self._plan = plan
        self._links = links
        self._tgids = tgids
        self._filter_in_program = filter_in_program
        self._notices = notices
        self._new_code: NewCode | None = None
        #: Functions whose probes are taken out, by cookie.
        self._left_out: Set[int] = set()
        #: Of functions that have got another cookie, the one before.
        self._before: dict[int, int] = {}
        #: Whose exits went unseen because of an exchange.
        self.windows: list[LossWindow] = []

    def begin(self) -> None:
        """Link every module, and make sure that what may be needed later can be had then."""
        self._attach(self._tgids)
        if any(function.reserve for function in self._plan.functions):
            self._new_code = NewCode(self._plan, self._tgids)
            sites = any(function.exit_sites for function in without_returns(self._plan).functions)
            self._links.load(leaves=sites)

    def link_again(self, tgid: int, when: int) -> None:
        """A process whose leader was replaced in an exec then has lost its links."""
        if self._filter_in_program:
            return
        # The old ones have no breakpoints in the new program, but would run at those of the new links.
        self._links.detach(tgid)
        self._attach([tgid])
        gap = (time.monotonic_ns() - when) / 1e6
        self._notices.append(
            f"process {tgid} executed a program from a thread that was not its first: "
            f"{gap:.0f} ms of calls after that are missing"
        )

    def danger(self, pids: Iterable[int]) -> str | None:
        """Why return probes may harm one of `pids` now; None where they do not, or there are none."""
        return None if self._new_code is None else self._new_code.danger(pids)

    def exchange(self, danger: str, started_ns: int) -> None:
        """Take return probes out because of `danger`; `started_ns` is when the recording began."""
        self._new_code = None
        new = len(added(self._plan).functions)
        self._before = rows_before(self._plan)
        self._plan = without_returns(self._plan)
        before, after = self._links.exchange(self._attach_to_the_living)
        self.windows.append(_unseen_exits(before, after))
        unseen = f", those of {new:,} function{'s' * (new > 1)} not at all" if new else ""
        self._notices.append(
            f"after {(after - started_ns) / 1e9:.2f} s return probes were taken out ({danger}): "
            f"since then exits are seen at return instructions{unseen}"
        )

    def leave_out(self, functions: Set[int]) -> bool:
        """Take out the probes of these functions, which have no calls under way and get none. False where
        that cannot be done now."""
        if self._links.one_by_one:
            if not self._links.can_remove:
                return False
            self._left_out = self._left_out | functions
            self._links.remove(functions)
            return True
        if not self._links.can_relink:
            return False
        before = self._left_out
        self._left_out = before | functions
        try:
            self._links.relink(self._attach_to_the_living)
        except FuncsnoopError:
            self._left_out = before
            raise
        return True

    def _attach_to_the_living(self) -> None:
        if self._filter_in_program:
            self._attach(self._tgids)
            return
        for tgid in self._tgids:
            with suppress(TargetError):
                self._attach([tgid])

    def _attach(self, tgids: Iterable[int]) -> None:
        """Link every module, with a filter for each of `tgids` that maps it unless the program filters."""
        for module in self._plan.modules:
            probes = [
                _probe(function)
                for function in module.functions
                if self._before.get(function.cookie, function.cookie) not in self._left_out
            ]
            if not probes:
                continue
            if self._filter_in_program:
                self._links.attach(module.attach_path, probes, None)
                continue
            for tgid in tgids:
                if tgid in (module.pids or self._tgids):
                    self._links.attach(module.attach_path, probes, tgid)


def _probe(function: PlannedFunction) -> Probe:
    leaves = tuple(Leave(site.offset, site.kind == "jump", site.condition) for site in function.exit_sites)
    return Probe(function.site, function.cookie, function.exit == "return", leaves, function.moved)


#: A thread can be interrupted between that a probe counts and that it takes the time.
_LATE_NS: Final = 10_000_000


def _unseen_exits(before: int, after: int) -> LossWindow:
    """Calls that were under way then may have lost their exits: where these are seen no more, and where the
    function had gone on to another one by a tail jump, which only its return probe would have seen return."""
    return {
        "pid": None,
        "tgid": None,
        "start_ns": before,
        "end_ns": after + _LATE_NS,
        "frame": ANY_FRAME,
        "events": 0,
    }
