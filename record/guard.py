"""Traced files that change: read once, their probes sit on instructions that must stay where they are.

A file that is replaced under its name goes on in the processes that run it, and new ones run another. One
that is overwritten in place keeps its breakpoints: on the new code they would break whatever runs it. So a
lease (fcntl(2), F_SETLEASE) holds up who opens a traced file for writing until the probes are out.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from ..errors import FuncsnoopError, TargetError
from .elf import ElfFile, FileVersion
from .plan import PlannedModule

_SHOWN_DIGITS: Final = 12


class _Held(NamedTuple):
    descriptor: int
    leased: bool
    module: PlannedModule


class Guard:
    """Watches the files of these modules until `close`; SIGCHLD tells that there is something to `see`.

    Raises `TargetError` for a file that is another one by now.
    """

    def __init__(self, modules: Sequence[PlannedModule]) -> None:
        self._modules = modules
        self._held: list[_Held] = []
        #: Of which a running process had another version before.
        self._before = [module for module in modules if _is_other(module)]
        try:
            for module in modules:
                self._hold(module)
        except BaseException:
            self.close()
            raise

    def check(self) -> None:
        """Make sure that what was probed by its path is what was read. Raises `TargetError`."""
        for module in self._modules:
            with suppress(FileNotFoundError, ProcessLookupError):  # reached through one that has ended
                _require(module, os.stat(module.attach_path))

    def see(self) -> str | None:
        """The path of a file that is about to be overwritten, or was where there are no leases."""
        for descriptor, leased, module in self._held:
            if leased and fcntl.fcntl(descriptor, fcntl.F_GETLEASE) != fcntl.F_RDLCK:
                return module.path
            if FileVersion.of(os.fstat(descriptor)) != module.version:
                return module.path
        return None

    def notices_before(self) -> Iterator[str]:
        """What is to be said of files that were replaced since a process has loaded them."""
        for module in self._before:
            yield (
                f"{module.path} was replaced on disk since it was loaded: recorded is what runs, "
                f"of build id {_shown(module.build_id)}"
            )

    def notices_after(self) -> Iterator[str]:
        """What is to be said of files that have been replaced meanwhile."""
        for module in self._modules:
            if module in self._before or not _is_other(module):
                continue
            new = "unreadable"
            with suppress(FuncsnoopError), ElfFile.open(module.disk_path) as elf:
                new = _shown(elf.build_id)
            yield (
                f"{module.path} was replaced on disk (build id {_shown(module.build_id)}, now {new}): "
                "calls in the new file are not recorded"
            )

    def close(self) -> None:
        """Let go of the files: who waited to write goes on."""
        while self._held:
            os.close(self._held.pop().descriptor)

    def _hold(self, module: PlannedModule) -> None:
        try:
            descriptor = os.open(module.attach_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return  # probing it says why
        leased = False
        # Not on every file system, nor on another's file without CAP_LEASE: then it is looked at.
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGCHLD)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            leased = True
        self._held.append(_Held(descriptor, leased, module))
        _require(module, os.fstat(descriptor))


def _require(module: PlannedModule, status: os.stat_result) -> None:
    if FileVersion.of(status) != module.version:
        raise TargetError(f"{module.path} was changed while it was read", "Start the recording again.")


def _is_other(module: PlannedModule) -> bool:
    """Whether another file has its path now; not where there is none, or that cannot be told."""
    with suppress(OSError):
        status = os.stat(module.disk_path)
        return (status.st_dev, status.st_ino) != (module.version.device, module.version.inode)
    return False


def _shown(build_id: str | None) -> str:
    return "none" if build_id is None else build_id[:_SHOWN_DIGITS]
