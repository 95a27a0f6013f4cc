"""Who was recorded: processes and threads, as `/proc` shows them while they live."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from ..bpf.program import Birth, EndedThread
from ..schemas.metadata import ProcessInfo, ThreadInfo

_NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Census:
    """Collects what `/proc` says of each thread that sent an event; ids are this pid namespace's.

    `refresh` follows renamed threads and notes which have ended. A thread's name is the last that it
    had; it is null only if more threads ended between two looks than the kernel side has room for.
    """

    def __init__(self) -> None:
        self._rows: list[ProcessInfo] = []
        self._processes: dict[int, ProcessInfo] = {}  # the latest of each tgid
        self._threads: dict[int, ThreadInfo] = {}
        self._ended: dict[int, EndedThread] = {}  # by pid
        # The encoder meets threads while the recorder looks after them.
        self._lock = threading.Lock()

    def add_process(self, tgid: int) -> None:
        """Note a process; its command is what it shows now."""
        with self._lock:
            self._add_process(tgid)

    def add_child(self, birth: Birth) -> None:
        """Note a process that a followed one has forked."""
        with self._lock:
            known = self._processes.get(birth.tgid)
            if known and known["end_ns"] is not None and (known["start_ns"] or 0) < birth.start_ns:
                # Another process of that id, which has ended since.
                del self._processes[birth.tgid]
            process = self._add_process(birth.tgid)
            process["parent_tgid"] = birth.parent
            process["start_ns"] = birth.start_ns
            process["root_tgid"] = birth.root_tgid if birth.root_tgid != birth.tgid else None

    def _add_process(self, tgid: int) -> ProcessInfo:
        if tgid not in self._processes:
            self._processes[tgid] = _process(tgid)
            self._rows.append(self._processes[tgid])
        return self._processes[tgid]

    def add_thread(self, tgid: int, pid: int) -> None:
        """Note a thread that sent an event, and its process."""
        self.add_process(tgid)
        with self._lock:
            if pid not in self._threads:
                self._threads[pid] = {
                    "pid": pid,
                    "tgid": tgid,
                    "name": _thread_name(tgid, pid),
                    "end_ns": None,
                }

    def refresh(self, ended: Iterable[EndedThread]) -> list[int]:
        """Take in which threads have ended, and look at all that have not; which processes have."""
        over = []
        with self._lock:
            last_ends: dict[int, EndedThread] = {}
            for end in ended:
                self._ended[end.pid] = last_ends[end.tgid] = end
            for thread in self._threads.values():
                last = self._ended.get(thread["pid"])
                if last is not None and last.tgid == thread["tgid"]:
                    thread["name"], thread["end_ns"] = last.name, last.end_ns
                elif thread["end_ns"] is None:
                    thread["name"] = _thread_name(thread["tgid"], thread["pid"]) or thread["name"]
            for tgid, process in self._processes.items():
                if process["end_ns"] is not None:
                    continue
                directory = Path(f"/proc/{tgid}")
                if _runs(directory):
                    # It may have executed another program since.
                    process["command"] = _command(directory) or process["command"]
                    process["executable"] = _link(directory / "exe") or process["executable"]
                    continue
                over.append(tgid)
                end_of_it = last_ends.get(tgid) or self._ended.get(tgid)
                process["end_ns"] = end_of_it.end_ns if end_of_it else time.monotonic_ns()
                if not process["command"] and end_of_it:
                    process["command"] = [end_of_it.name]
        return over

    def set_root_tgid(self, tgid: int, root_tgid: int | None) -> None:
        """Note the process's id in the root pid namespace where it is another one."""
        with self._lock:
            if root_tgid not in (None, tgid):
                self._processes[tgid]["root_tgid"] = root_tgid

    def processes(self) -> list[ProcessInfo]:
        return list(self._rows)

    def threads(self) -> list[ThreadInfo]:
        return list(self._threads.values())


def _process(tgid: int) -> ProcessInfo:
    directory = Path(f"/proc/{tgid}")
    return {
        "tgid": tgid,
        "root_tgid": None,
        "inner_tgid": _inner_tgid(directory, tgid),
        "parent_tgid": None,
        "start_ns": _start_ns(directory),
        "command": _command(directory),
        "executable": _link(directory / "exe"),
        "end_ns": None,
    }


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


def _inner_tgid(directory: Path, tgid: int) -> int | None:
    """Its id in its own pid namespace, which can be below ours, where it is another one."""
    try:
        lines = (directory / "status").read_bytes().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(b"NSpid:"):
            inner = int(line.split()[-1])
            return inner if inner != tgid else None
    return None


def _runs(directory: Path) -> bool:
    """Whether it exists and is neither a zombie nor dead."""
    return _stat_fields(directory)[:1] not in ([], [b"Z"], [b"X"])
