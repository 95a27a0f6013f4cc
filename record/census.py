"""Who was recorded: processes and threads, as `/proc` shows them while they live.

Ids come again. What has a row here is one process, one thread: the kernel tells when each thread ends,
and an event that comes later under its id is another's. The process is another one too where its first
thread had ended, unless a thread has taken that one's id in an exec.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..bpf.program import Birth, EndedThread
from ..schemas.metadata import ProcessInfo, ThreadInfo
from . import proc_info
from .proc_info import TICK_NS

#: How long ends of threads without events are kept: their events can still be on the way.
_KEEP_NS: Final = 60_000_000_000

#: tgid and pid
Key = tuple[int, int]


@dataclass
class _Process:
    info: ProcessInfo
    last_end: int | None = None  # of its threads so far
    last_name: str = ""
    first_thread_end: int | None = None
    first_thread_replaced: int = 0
    begun: int = field(default_factory=time.monotonic_ns)  # its row


@dataclass
class _Thread:
    info: ThreadInfo
    process: _Process


class Census:
    """Collects what `/proc` says of each thread that sent an event; ids are this pid namespace's.

    `refresh` follows renamed threads and notes which have ended. A thread's name is the last that it
    had; it is null only if more threads ended between two looks than the kernel side has room for.
    """

    def __init__(self) -> None:
        self._processes: list[ProcessInfo] = []
        self._threads: list[ThreadInfo] = []
        self._lives: dict[int, list[_Process]] = {}  # by tgid, one after the other
        self._living: dict[Key, _Thread] = {}
        self._last_events: dict[Key, int] = {}
        self._ends: dict[Key, list[EndedThread]] = {}  # of threads that have sent nothing, as far as is known
        # The encoder meets threads while the recorder looks after them.
        self._lock = threading.Lock()

    def processes(self) -> list[ProcessInfo]:
        return list(self._processes)

    def threads(self) -> list[ThreadInfo]:
        return list(self._threads)

    def living(self) -> list[int]:
        """Ids of the processes that have not ended."""
        with self._lock:
            return [process.info["tgid"] for process in self._not_ended()]

    def add_process(self, tgid: int) -> None:
        """Note a process; its command is what it shows now."""
        with self._lock:
            self._latest(tgid)

    def add_child(self, birth: Birth) -> None:
        """Note a process that a followed one has forked."""
        born = birth.start_ns - (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns())
        with self._lock:
            process = self._at(birth.tgid, born) or self._begin_process(birth.tgid, born)
            start = process.info["start_ns"]
            if start is None:
                # It had gone when it was looked for: a process of which only an event or its end is known.
                other = process.first_thread_end is not None and process.first_thread_end < born
            elif process.info["parent_tgid"] is None:
                other = start + TICK_NS <= birth.start_ns
            else:
                other = start < birth.start_ns
            if other:
                process = self._begin_process(birth.tgid, born)
            process.info["parent_tgid"] = birth.parent
            process.info["start_ns"] = birth.start_ns
            process.info["root_tgid"] = birth.root_tgid if birth.root_tgid != birth.tgid else None

    def set_root_tgid(self, tgid: int, root_tgid: int | None) -> None:
        """Note the process's id in the root pid namespace where it is another one."""
        with self._lock:
            if root_tgid not in (None, tgid):
                self._latest(tgid).info["root_tgid"] = root_tgid

    def replace_first_thread(self, tgid: int, when: int) -> None:
        """Another thread of the process took the first one's id then, in an exec."""
        with self._lock:
            process = self._latest(tgid)
            process.first_thread_replaced = when
            if (process.first_thread_end or 0) <= when:
                process.first_thread_end = None

    def meet(self, keys: Sequence[Key], firsts: Sequence[int], lasts: Sequence[int]) -> None:
        """Threads have sent events, each between two times (CLOCK_MONOTONIC, inclusive)."""
        with self._lock:
            self._last_events.update(zip(keys, lasts, strict=True))
            for key, first, last in zip(keys, firsts, lasts, strict=True):
                if key not in self._living:
                    self._begin_threads(key, first, last)

    def refresh(self, take_ended: Callable[[], Iterable[EndedThread]]) -> list[int]:
        """Take in which threads have ended, and look at all that have not; ids of processes that are over."""
        with self._lock:
            gone = [process for process in self._not_ended() if not _runs(process)]
            now = time.monotonic_ns()
        # Only now: these are all ends of the processes that have gone.
        ended = take_ended()
        with self._lock:
            for end in sorted(ended, key=lambda end: end.end_ns):
                self._end_thread(end)
            # What was found now to have begun can be over already, too.
            gone += [process for process in self._not_ended() if process.begun >= now and not _runs(process)]
            for process in gone:
                self._end_process(process, now)
            for thread in self._living.values():
                name = proc_info.thread_name(thread.info["tgid"], thread.info["pid"])
                thread.info["name"] = name or thread.info["name"]
            for process in self._not_ended():
                tgid = process.info["tgid"]
                if self._is_shown(process):
                    # It may have executed another program since.
                    process.info["command"] = proc_info.command(tgid) or process.info["command"]
                    process.info["executable"] = proc_info.executable(tgid) or process.info["executable"]
            for key in [key for key, ends in self._ends.items() if ends[-1].end_ns < now - _KEEP_NS]:
                del self._ends[key]
            return [p.info["tgid"] for p in gone if self._lives[p.info["tgid"]][-1] is p]

    def _not_ended(self) -> list[_Process]:
        return [lives[-1] for lives in self._lives.values() if lives[-1].info["end_ns"] is None]

    def _latest(self, tgid: int) -> _Process:
        """The last process with that id, which begins if there is none."""
        return self._lives[tgid][-1] if tgid in self._lives else self._begin_process(tgid, 0)

    def _begin_process(self, tgid: int, now: int) -> _Process:
        lives = self._lives.setdefault(tgid, [])
        if lives:
            self._end_process(lives[-1], now)
        lives.append(_Process(proc_info.process_info(tgid)))
        self._processes.append(lives[-1].info)
        return lives[-1]

    def _end_process(self, process: _Process, now: int) -> None:
        if process.info["end_ns"] is None:
            process.info["end_ns"] = now if process.last_end is None else process.last_end
        if not process.info["command"] and process.last_name:
            process.info["command"] = [process.last_name]

    def _is_shown(self, process: _Process) -> bool:
        """Whether what runs under the process's id can be that process."""
        start, shown = process.info["start_ns"], proc_info.start_ns(process.info["tgid"])
        return shown is not None and (start is None or start - TICK_NS < shown <= start)

    def _begin_threads(self, key: Key, first: int, last: int) -> None:
        """Events have come from under an id that nobody is known to have: of one thread, or several."""
        ends = self._ends.pop(key, [])
        while ends and first <= last:
            end = ends.pop(0)
            if first <= end.end_ns:
                self._begin_thread(key, first)
                self._close(key, end)
                first = end.end_ns + 1
        if ends:
            self._ends[key] = ends
        if first <= last:
            self._begin_thread(key, first)

    def _begin_thread(self, key: Key, first: int) -> None:
        tgid, pid = key
        info: ThreadInfo = {
            "pid": pid,
            "tgid": tgid,
            "name": proc_info.thread_name(tgid, pid),
            "end_ns": None,
        }
        self._threads.append(info)
        self._living[key] = _Thread(info, self._process_of(tgid, pid, first))

    def _process_of(self, tgid: int, pid: int, first: int) -> _Process:
        """The process of a thread whose first event was at `first`; it may begin with it."""
        process = self._at(tgid, first)
        if process is None:
            return self._begin_process(tgid, first)
        if process is not self._lives[tgid][-1]:
            return process
        if process.info["end_ns"] is None:
            if (process.first_thread_end or first) >= first or self._is_shown(process):
                return process
            if pid != tgid and proc_info.start_ns(tgid) is None:
                # Other threads can outlive the first.
                return process
        elif first <= process.info["end_ns"]:
            return process
        return self._begin_process(tgid, first)

    def _end_thread(self, end: EndedThread) -> None:
        key = end.tgid, end.pid
        if key in self._living:
            self._close(key, end)
            if self._last_events[key] > end.end_ns:
                self._begin_thread(key, end.end_ns + 1)
        else:
            self._ends.setdefault(key, []).append(end)
            process = self._at(end.tgid, end.end_ns)
            if process:
                self._note_end(process, end)

    def _at(self, tgid: int, when: int) -> _Process | None:
        """The process that had the id then, as far as is known; the last one if all had ended."""
        lives = self._lives.get(tgid, [])
        known = (process for process in lives if (process.info["end_ns"] or when) >= when)
        return next(known, lives[-1] if lives else None)

    def _close(self, key: Key, end: EndedThread) -> None:
        thread = self._living.pop(key)
        thread.info["name"], thread.info["end_ns"] = end.name, end.end_ns
        self._note_end(thread.process, end)

    def _note_end(self, process: _Process, end: EndedThread) -> None:
        process.last_end, process.last_name = end.end_ns, end.name
        if process.info["end_ns"] is not None:
            process.info["end_ns"] = end.end_ns
            process.info["command"] = process.info["command"] or [end.name]
        if end.pid == end.tgid and end.end_ns > process.first_thread_replaced:
            process.first_thread_end = end.end_ns


def _runs(process: _Process) -> bool:
    return proc_info.runs(process.info["tgid"])
