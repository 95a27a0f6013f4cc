"""Load the programs of `func_snoop.bpf.c`, fill and read its maps."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import KernelError, PrivilegeError
from . import syscall
from .compile import (
    LOSS_RING_BYTES,
    MAX_LIVE_CALLS,
    MAX_LIVE_THREADS,
    NAME_BYTES,
    Sizes,
    compile_program,
    possible_cpus,
    program_text,
)
from .filters import FilteredCounts
from .layout import (
    BIRTH,
    COUNTS,
    ENDED_THREAD,
    FILTERED,
    LEFT_THREAD,
    LIVE_PLACE,
    LIVE_STACK,
    LOSS,
    PASSED_BYTES,
    SHARED_BUDGET,
    TURN,
    TURN_OLD_EXITS,
    TURN_OVER,
    event_dtype,
    live_call_dtype,
)
from .ring import Ring
from .under_way import CallUnderWay, calls_on_stacks
from .waiting import waiting_entries

#: The programs that see processes and threads, and the tracepoint of each.
TASK_PROGRAMS = {
    "thread_end": "sched_process_exit",
    "task_exec": "sched_process_exec",
    "task_start": "task_newtask",
}


class EventCounts(NamedTuple):
    """produced == lost + what the ring took."""

    produced: int
    lost: int
    unplaced: int  # of those lost, the ones that no loss record tells of
    unfollowed: int  # forked processes that there was no room to follow
    unnoted: int  # ends of threads that there was no room to note


class Missed(NamedTuple):
    """How often the kernel did not run a program that was to run, as it was running on that CPU already."""

    events: int  # a program that sends an event
    tasks: int  # one that sees processes and threads begin and end


class Birth(NamedTuple):
    """A forked process; ids are those of the recorder's pid namespace."""

    tgid: int
    parent: int
    start_ns: int  # CLOCK_BOOTTIME
    root_tgid: int  # in the root pid namespace


@dataclass(frozen=True)
class EndedThread:
    """A thread of a followed process that has ended; ids are those of the recorder's pid namespace."""

    pid: int
    tgid: int
    name: str
    end_ns: int  # CLOCK_MONOTONIC


class Programs:
    """The compiled C file: its maps exist, its programs are loaded when asked for.

    Raises `KernelError` where bcc is missing or does not compile it, `PrivilegeError` where the
    kernel lets this user load nothing.
    """

    def __init__(self, sizes: Sizes, module: Any = None) -> None:
        """`module` is what `compile_program` has made for `sizes`, if that is done."""
        self.sizes = sizes
        self._loaded: dict[tuple[str, int], int] = {}
        self._module = compile_program(program_text(), sizes.flags()) if module is None else module

    def load(self, name: str, attach_type: int = 0, program_type: int = syscall.PROG_TYPE_KPROBE) -> int:
        """File descriptor of the program `name`, loaded for `attach_type` (0 for perf events)."""
        key = (name, attach_type)
        if key not in self._loaded:
            try:
                self._loaded[key] = syscall.load_program(
                    name, self._module.dump_func(name.encode()), attach_type, program_type
                )
            except syscall.VerifierError as error:
                if error.errno == 1:
                    raise PrivilegeError(
                        "the kernel does not let this user load BPF programs",
                        "Run as root, or give CAP_BPF and CAP_PERFMON.",
                    ) from None
                last = error.log.strip().splitlines()[-1:] or [os.strerror(error.errno or 0)]
                raise KernelError(
                    f"the kernel refuses the program {name}: {last[0]}",
                    "Run `funcsnoop doctor` to see what this kernel can do.",
                ) from None
        return self._loaded[key]

    def follow(self, tgid: int) -> None:
        """Let events of this process (its id in the recorder's pid namespace) through."""
        syscall.update_map(self._map("snoop_proc"), tgid.to_bytes(4, sys.byteorder), bytes(4))

    def forget(self, tgid: int) -> None:
        """Let no more events of this process through: it has ended, and its id can be used again."""
        syscall.delete_from_map(self._map("snoop_proc"), tgid.to_bytes(4, sys.byteorder))

    def end_turns(self) -> None:
        """No probe counts from now on, and none asks for a return probe."""
        self.set_turn(TURN_OVER)

    def set_turn(self, now: int, coming: int = 0, *, old_exits: bool = False) -> None:
        """Let the probes count whose cookies name the turn `now`; while links are exchanged, `coming` is that
        of the new ones, before it comes and after. With `old_exits` session links of the turn before still
        count the exits of their calls."""
        value = np.array([(now, coming | (TURN_OLD_EXITS if old_exits else 0))], TURN).tobytes()
        syscall.update_map(self._map("turn"), bytes(4), value)

    def has_passed_over(self) -> bool:
        """Whether a new link has left an event to an old one that has not seen it yet."""
        return syscall.first_key(self._map("passed_over"), PASSED_BYTES) is not None

    def root_tgid(self, tgid: int) -> int | None:
        """The process's id in the root pid namespace, once it has sent an event."""
        try:
            value = syscall.lookup_map(self._map("snoop_proc"), tgid.to_bytes(4, sys.byteorder), 4)
        except FileNotFoundError:
            return None
        return int.from_bytes(value, sys.byteorder) or None

    def name_functions(self, names: Sequence[tuple[int, str]]) -> None:
        """Fill `func_names` with (cookie, symbol), cut to what fits."""
        cookies = np.array([cookie for cookie, _ in names], np.uint64)
        texts = np.array([symbol.encode(errors="replace") for _, symbol in names], f"S{NAME_BYTES - 1}")
        values = texts.astype(f"S{NAME_BYTES}").tobytes()
        syscall.update_map_batch(self._map("func_names"), cookies.tobytes(), values, len(names))

    def counts(self) -> EventCounts:
        """Events produced and lost so far, over all CPUs."""
        raw = syscall.lookup_map(self._map("counts"), bytes(4), possible_cpus() * COUNTS.itemsize)
        table = np.frombuffer(raw, COUNTS)
        return EventCounts(*(int(table[name].sum()) for name in EventCounts._fields))

    def missed(self) -> Missed:
        """How often programs were not run so far."""
        missed = {True: 0, False: 0}
        for (name, _), program in list(self._loaded.items()):
            missed[name in TASK_PROGRAMS] += syscall.recursion_misses(program)
        return Missed(events=missed[False], tasks=missed[True])

    def pending_losses(self) -> NDArray[Any]:
        """Losses of threads that have sent no event since, as records of type `LOSS`; they are taken out."""
        taken = syscall.take_all(self._map("losing"), 8, LOSS.itemsize)
        table = np.frombuffer(b"".join(value for _, value in taken), LOSS)
        return table[table["events"] > 0]

    def forget_events(self) -> None:
        """Begin again: no event was produced, and none lost; probes count. None may be in."""
        self.set_turn(0)
        cpus = possible_cpus()
        syscall.update_map(self._map("counts"), bytes(4), bytes(cpus * COUNTS.itemsize))
        syscall.take_all(self._map("losing"), 8, LOSS.itemsize)
        for ring in (self.ring(), self.loss_ring()):
            ring.take()
            ring.close()

    def watch_tasks(self, *, follow: bool) -> list[int]:
        """Note from now on which threads of followed processes end, and `follow` whom they fork, for which
        the program must have been compiled; the links' file descriptors."""
        kind = syscall.PROG_TYPE_RAW_TRACEPOINT
        return [
            syscall.open_raw_tracepoint(self.load(name, program_type=kind), tracepoint)
            for name, tracepoint in TASK_PROGRAMS.items()
            if name != "task_start" or follow
        ]

    def take_replaced_leaders(self) -> list[tuple[int, int]]:
        """(tgid, time) of processes in which a thread that was not the leader has executed a program."""
        taken = syscall.take_all(self._map("replaced_leaders"), 4, 8)
        return [
            (int.from_bytes(key, sys.byteorder), int.from_bytes(value, sys.byteorder)) for key, value in taken
        ]

    def take_births(self) -> list[Birth]:
        """Processes that are followed since the last look because a followed one forked them, in order."""
        if not self.sizes.follow:
            return []
        taken = syscall.take_all(self._map("births"), BIRTH.itemsize, 1)
        rows = np.sort(np.frombuffer(b"".join(key for key, _ in taken), BIRTH), order="start")
        return [
            Birth(int(row["tgid"]), int(row["parent"]), int(row["start"]), int(row["root_tgid"]))
            for row in rows
        ]

    def take_ended_threads(self) -> list[EndedThread]:
        """Threads that have ended since the last look."""
        taken = syscall.take_all(self._map("ended_threads"), ENDED_THREAD.itemsize, LEFT_THREAD.itemsize)
        threads = np.frombuffer(b"".join(key for key, _ in taken), ENDED_THREAD)
        left = np.frombuffer(b"".join(value for _, value in taken), LEFT_THREAD)
        for pid, levels in zip(threads["pid"].tolist(), left["levels"].tolist(), strict=True):
            if levels:
                self._forget_calls(pid, levels)
        return [
            EndedThread(
                pid=int(thread["pid"]),
                tgid=int(thread["tgid"]),
                name=name.decode(errors="backslashreplace"),
                end_ns=int(thread["timestamp"]),
            )
            for thread, name in zip(threads, left["name"].tolist(), strict=True)
        ]

    def filtered(self) -> FilteredCounts:
        """Events that filters left out so far, over all CPUs."""
        if not self.sizes.filters.any:
            return FilteredCounts()
        raw = syscall.lookup_map(self._map("filtered"), bytes(4), possible_cpus() * FILTERED.itemsize)
        table = np.frombuffer(raw, FILTERED)
        return FilteredCounts(**{name: int(table[name].sum()) for name in FILTERED.names or ()})

    def take_waiting(self, now_ns: int) -> tuple[NDArray[Any], int]:
        """Entries that wait for their exits, of calls that `--min-duration` keeps, and the number of others.

        Ask once, when no probe fires any more. The records are of the ring's type.
        """
        sizes = self.sizes
        if not sizes.filters.waits:
            return np.zeros(0, self._event_dtype()), 0
        calls = live_call_dtype(sizes.arguments).itemsize
        return waiting_entries(
            syscall.take_all(self._map("stacks"), 4, LIVE_STACK.itemsize),
            syscall.take_all(self._map("live_calls"), LIVE_PLACE.itemsize, calls),
            sizes.layout,
            sizes.arguments,
            now_ns - (sizes.filters.min_duration_ns or 0),
        )

    def calls_under_way(self) -> list[CallUnderWay]:
        """The calls that are kept. One that goes on all the while is among them."""
        calls = live_call_dtype(self.sizes.arguments)
        stacks = syscall.read_all(self._map("stacks"), 4, LIVE_STACK.itemsize, MAX_LIVE_THREADS)
        kept = dict(
            syscall.read_all(self._map("live_calls"), LIVE_PLACE.itemsize, calls.itemsize, MAX_LIVE_CALLS)
        )
        return calls_on_stacks(stacks, kept, calls)

    def share_budgets(self, functions: Mapping[int, int]) -> None:
        """Let calls of each function count among those of another one."""
        if self.sizes.filters.budget is not None:
            for function, other in functions.items():
                value = (SHARED_BUDGET | other).to_bytes(8, sys.byteorder)
                syscall.update_map(self._map("budgets"), function.to_bytes(4, sys.byteorder), value)

    def take_spent(self) -> list[tuple[int, int]]:
        """(function, time) of those whose first call over the budget was left out since the last look."""
        if self.sizes.filters.budget is None:
            return []
        taken = syscall.take_all(self._map("spent"), 4, 8)
        return [
            (int.from_bytes(key, sys.byteorder), int.from_bytes(value, sys.byteorder)) for key, value in taken
        ]

    def _forget_calls(self, pid: int, levels: int) -> None:
        """Make room in `live_calls`, which has so many levels of a thread that has ended."""
        try:
            # Where another thread has got the id, it writes over them.
            syscall.lookup_map(self._map("stacks"), pid.to_bytes(4, sys.byteorder), LIVE_STACK.itemsize)
        except FileNotFoundError:
            for level in range(levels):
                place = np.array((pid, level), LIVE_PLACE).tobytes()
                syscall.delete_from_map(self._map("live_calls"), place)

    def loss_ring(self) -> Ring:
        """A view of the ring buffer that holds records of type `LOSS`; one at a time."""
        return Ring(self._map("losses"), LOSS_RING_BYTES, LOSS)

    def ring(self) -> Ring:
        """A view of the ring buffer of events; one at a time."""
        return Ring(self._map("events"), self.sizes.ring_bytes, self._event_dtype())

    def close(self) -> None:
        """Unload; attached links keep what they use until they are closed."""
        for descriptor in self._loaded.values():
            os.close(descriptor)
        self._loaded.clear()
        self._module.cleanup()

    def __enter__(self) -> Programs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _event_dtype(self) -> np.dtype[Any]:
        return event_dtype(self.sizes.layout, self.sizes.arguments, self.sizes.filters.waits)

    def _map(self, name: str) -> int:
        return int(self._module[name.encode()].map_fd)
