"""Put the programs on functions, and take them off again.

One link holds a whole module where the kernel has such links; there is one for each process filter.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType

from ..errors import FuncsnoopError, KernelError, PrivilegeError, TargetError
from . import syscall
from .features import Strategy, uprobe_pmu
from .program import Programs


@dataclass(frozen=True)
class Probe:
    """One function's probe: where it sits (file offset), what identifies it, whether it sees exits."""

    site: int
    cookie: int
    exit: bool


class Links:
    """The links of one recording; closing takes every probe out, entries first.

    Entries go first and come last, so that no call is seen to begin whose end is not watched.
    """

    def __init__(self, programs: Programs, strategy: Strategy) -> None:
        self._programs = programs
        self._strategy = strategy
        self._returns: list[int] = []
        self._entries: list[int] = []

    def attach(self, path: str, probes: Sequence[Probe], pid: int | None) -> None:
        """Probe functions of the module that the kernel opens at `path`.

        With `pid` (in the recorder's namespace) only that process gets the breakpoints. Without it
        every process that maps the module does, and the program tells whom to record: then exits
        need a session link, whose entry side can leave a bystander's return address alone. That
        rule is kept here, where nothing gets past it. Raises `FuncsnoopError`.
        """
        both = [probe for probe in probes if probe.exit]
        entry_only = [probe for probe in probes if not probe.exit]
        if both and pid is None and self._strategy is not Strategy.SESSION:
            raise KernelError(
                f"return probes without a process filter need session links, not {self._strategy}",
                "Leave --attach out, name the processes with --pid, or record entries only (--exit none).",
            )
        try:
            match self._strategy:
                case Strategy.SESSION:
                    self._link_multi(self._returns, "generic_session", path, both, pid, session=True)
                    self._link_multi(self._entries, "generic_entry", path, entry_only, pid)
                case Strategy.MULTI:
                    self._link_multi(self._returns, "generic_exit", path, both, pid, on_return=True)
                    self._link_multi(self._entries, "generic_entry", path, probes, pid)
                case Strategy.PERF:
                    self._link_perf(self._returns, "generic_exit", path, both, pid, on_return=True)
                    self._link_perf(self._entries, "generic_entry", path, probes, pid)
        except OSError as error:
            raise _explain(error, path, pid) from None

    def close(self) -> None:
        """Take all probes out. When it returns, no program of ours runs any more."""
        for descriptors in (self._entries, self._returns):
            while descriptors:
                os.close(descriptors.pop())

    def __enter__(self) -> Links:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _link_multi(
        self,
        links: list[int],
        program: str,
        path: str,
        probes: Sequence[Probe],
        pid: int | None,
        *,
        session: bool = False,
        on_return: bool = False,
    ) -> None:
        if not probes:
            return
        attach_type = syscall.ATTACH_UPROBE_SESSION if session else syscall.ATTACH_UPROBE_MULTI
        links.append(
            syscall.link_uprobe_multi(
                self._programs.load(program, attach_type),
                attach_type,
                path,
                [probe.site for probe in probes],
                [probe.cookie for probe in probes],
                pid=pid or 0,
                on_return=on_return,
            )
        )

    def _link_perf(
        self,
        links: list[int],
        program: str,
        path: str,
        probes: Iterable[Probe],
        pid: int | None,
        *,
        on_return: bool = False,
    ) -> None:
        pmu_type, return_bit = uprobe_pmu()
        for probe in probes:
            event = syscall.open_uprobe_event(
                pmu_type, path, probe.site, pid=pid or -1, return_bit=return_bit if on_return else None
            )
            # The link keeps the event alive.
            try:
                links.append(syscall.link_perf_event(self._programs.load(program, 0), event, probe.cookie))
            finally:
                os.close(event)


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
