"""Notice code that comes into processes while they are recorded, and may unwind their stacks.

The loader is not asked: code can come in other ways, and each of them shows in `/proc/PID/maps`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Final

from ..bpf.trials import returns_under_seccomp
from ..errors import PrivilegeError, TargetError
from . import processes
from .hazards import HazardScan
from .plan import Plan
from .processes import FileMapping

#: A look at a process with thousands of mappings takes milliseconds: no more than this share of the time.
_SHARE: Final = 0.05


class NewCode:
    """Watches the files that processes map to execute, beside those that `plan` traces.

    `pids` are those that run now. A file of theirs that cannot be read was not there for the plan either;
    one that comes later is taken to unwind.
    """

    def __init__(self, plan: Plan, pids: Iterable[int]) -> None:
        self._scan = HazardScan()
        self._traced = {processes.kernel_identity(module.attach_path) for module in plan.modules}
        #: Probes in a library wait for the next program that a process executes.
        self._libraries = any(module.path != plan.executable for module in plan.modules)
        self._seen: set[tuple[str, int]] = set()
        self._due = 0.0
        for pid in pids:
            for mapping in _code(pid):
                if not os.access(_file(pid, mapping), os.R_OK):
                    self._seen.add(_identity(mapping))

    def danger(self, pids: Iterable[int]) -> str | None:
        """Why a return probe may harm one of the processes now, as it did not before; None if it does not."""
        begin = time.monotonic()
        if begin < self._due:
            return None
        try:
            for pid in pids:
                code = _code(pid)
                if None not in self._traced and self._traced.isdisjoint(map(_identity, code)):
                    continue  # it has executed another program
                for mapping in code:
                    reason = self._reason(pid, mapping)
                    if reason:
                        return reason
        except PrivilegeError:
            return f"process {pid} may not be looked into any more"
        end = time.monotonic()
        self._due = end + (end - begin) / _SHARE
        return None

    def _reason(self, pid: int, mapping: FileMapping) -> str | None:
        if _identity(mapping) in self._seen:
            return None
        self._seen.add(_identity(mapping))
        file = _file(pid, mapping)
        if not os.access(file, os.R_OK):
            return f"{mapping.path} was loaded, which cannot be read"
        found = self._scan.file(file, mapping.path)
        name = os.path.basename(mapping.path)
        if found.reasons:
            return found.reasons[0]
        if found.opens:
            return f"{name} can load code that unwinds (dlopen)"
        if found.executes and self._libraries:
            return f"{name} can execute another program, which may"
        if found.confines and not returns_under_seccomp().works:
            return f"{name} may install a seccomp filter"
        return None


def _code(pid: int) -> list[FileMapping]:
    try:
        return [mapping for mapping in processes.read_maps(pid) if mapping.executable]
    except TargetError:
        return []  # it has gone


def _identity(mapping: FileMapping) -> tuple[str, int]:
    return mapping.device, mapping.inode


def _file(pid: int, mapping: FileMapping) -> str:
    return mapping.link(pid) if mapping.deleted else processes.root(pid) + mapping.path
