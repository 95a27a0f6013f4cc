"""Who was recorded: processes and threads, as `/proc` shows them while they live."""

from __future__ import annotations

import os
import time
from pathlib import Path

from ..schemas.metadata import ProcessInfo, ThreadInfo

_NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Census:
    """Collects what `/proc` says of each thread that sent an event; ids are this pid namespace's.

    A thread that was gone before it was looked up has no name. `refresh` follows renamed threads
    and notes which have ended.
    """

    def __init__(self) -> None:
        self._processes: dict[int, ProcessInfo] = {}
        self._threads: dict[int, ThreadInfo] = {}

    def add_process(self, tgid: int) -> None:
        """Note a process; its command is what it shows now."""
        if tgid in self._processes:
            return
        directory = Path(f"/proc/{tgid}")
        self._processes[tgid] = {
            "tgid": tgid,
            "root_tgid": None,
            "start_ns": _start_ns(directory),
            "command": _command(directory),
            "executable": _link(directory / "exe"),
            "end_ns": None,
        }

    def add_thread(self, tgid: int, pid: int) -> None:
        """Note a thread that sent an event, and its process."""
        if pid not in self._threads:
            self.add_process(tgid)
            self._threads[pid] = {"pid": pid, "tgid": tgid, "name": _thread_name(tgid, pid), "end_ns": None}

    def refresh(self) -> None:
        """Look at all that have not ended."""
        now = time.monotonic_ns()
        for thread in self._threads.values():
            if thread["end_ns"] is not None:
                continue
            name = _thread_name(thread["tgid"], thread["pid"])
            if name is not None:
                thread["name"] = name
            if not _runs(Path(f"/proc/{thread['tgid']}/task/{thread['pid']}")):
                thread["end_ns"] = now
        for process in self._processes.values():
            if process["end_ns"] is None and not _runs(Path(f"/proc/{process['tgid']}")):
                process["end_ns"] = now

    def set_root_tgid(self, tgid: int, root_tgid: int | None) -> None:
        """Note the process's id in the root pid namespace where it is another one."""
        if root_tgid not in (None, tgid):
            self._processes[tgid]["root_tgid"] = root_tgid

    def processes(self) -> list[ProcessInfo]:
        return list(self._processes.values())

    def threads(self) -> list[ThreadInfo]:
        return list(self._threads.values())


def _thread_name(tgid: int, pid: int) -> str | None:
    try:
        text = Path(f"/proc/{tgid}/task/{pid}/comm").read_bytes()
    except OSError:
        return None
    return text.rstrip(b"\n").decode(errors="backslashreplace")


def _command(directory: Path) -> list[str]:
    try:
        text = (directory / "cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="backslashreplace") for part in text.split(b"\0")[:-1]]


def _link(path: Path) -> str | None:
    try:
        return os.fsencode(path.readlink()).decode(errors="backslashreplace")
    except OSError:
        return None


def _stat_fields(directory: Path) -> list[bytes]:
    """The fields of `stat` from the third (state) on; the second may hold spaces and parentheses."""
    try:
        return (directory / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def _start_ns(directory: Path) -> int | None:
    fields = _stat_fields(directory)
    return int(fields[19]) * _NS_PER_TICK if len(fields) > 19 else None


def _runs(directory: Path) -> bool:
    """Whether it exists and is neither a zombie nor dead."""
    return _stat_fields(directory)[:1] not in ([], [b"Z"], [b"X"])
