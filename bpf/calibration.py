"""What the probes of a recording cost, measured on a process that does nothing else.

It runs a program that exists in memory only: asked by 16 bytes on its stdin (where a function is, and how
often to call it) it calls, and answers with the same 16 bytes.
"""

from __future__ import annotations

import os
import select
import struct
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from .arch import X86_64
from .features import Strategy
from .layout import ENTRY, SPAN
from .links import Links
from .probes import Leave, Probe
from .program import Programs
from .throwaway import CODE_OFFSET, program_in_memory

#: again: read(0, rsp - 64, 16), else exit(0); r12 = code + offset; rbx = count; call r12 so often;
#: write(1, rsp - 64, 16); jump to again.
_CALLER: Final = bytes.fromhex(
    "31c031ff488d7424c0ba100000000f0583f81075314c8d25e4ffffff4c036424c0488b5c24c841ffd448ffcb75f8"
    "b801000000bf01000000488d7424c0ba100000000f05ebba31ffb83c0000000f05"
)
#: Functions by the class of the instruction that the probe sits on, and where that is.
_FUNCTIONS: Final = {
    "nop5": ("0f1f440000", 0),  # nop
    "emulated": ("555d", 0),  # push rbp; pop rbp
    "stepped": ("4889f8", 0),  # mov rax, rdi
}
_RETURN: Final = b"\xc3"
_ALIGNMENT: Final = 64

_ROUNDS: Final = 5
_FIRST_CALLS: Final = 100
#: A round has as many calls as take about so long, so that the way through two pipes counts little.
_ROUND_NS: Final = 2_000_000
_MOST_CALLS: Final = 5_000
_SECONDS: Final = 5


@dataclass(frozen=True, order=True)
class ProbeKind:
    """`site` is the class of the entry's instruction, `exit` the exit strategy."""

    site: str
    exit: Literal["return", "ret", "none"]


@dataclass(frozen=True)
class ProbeCost:
    """Of one call, in ns: `call_ns` is what it takes longer with probes than without, `inside_ns` as much of
    that as lies between the times of its two events (0 where it has one)."""

    kind: ProbeKind
    call_ns: float
    inside_ns: float


def measure(programs: Programs, strategy: Strategy, kinds: Sequence[ProbeKind]) -> list[ProbeCost]:
    """The cost of each of `kinds`, with these programs and links of this strategy.

    Must run before anything else is recorded: it empties the ring and the counters behind it. Returns nothing
    on architectures for which there is no such program. Raises OSError or FuncsnoopError where it fails.
    """
    if os.uname().machine != X86_64.name or not kinds:
        return []
    with ExitStack() as undo:
        places, code = _code(kinds)
        file = program_in_memory(code)
        undo.callback(os.close, file)
        path = f"/proc/self/fd/{file}"
        process = undo.enter_context(_Caller(path, file))
        counts = [_suitable(process, place) for place in places]
        alone = [_time(process, place, count) for place, count in zip(places, counts, strict=True)]
        programs.follow(process.pid)
        undo.callback(programs.forget, process.pid)
        undo.callback(programs.forget_events)
        links = undo.enter_context(Links(programs, strategy))
        links.attach(path, [_probe(i, kind, places[i]) for i, kind in enumerate(kinds)], process.pid)
        ring = programs.ring()
        undo.callback(ring.close)
        costs = []
        for i, kind in enumerate(kinds):
            count = _suitable(process, places[i])
            ring.take()
            for _ in range(_ROUNDS):
                process.call(places[i], count)
            events = ring.take()
            events = events[events["cookie"] == i + 1]
            costs.append(ProbeCost(kind, max(0.0, _between(events) - alone[i]), _inside(events)))
        return costs


class _Caller:
    """The process, a context."""

    def __init__(self, path: str, file: int) -> None:
        self._process = subprocess.Popen(
            [path],
            pass_fds=[file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self.pid = self._process.pid

    def __enter__(self) -> _Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def call(self, place: int, count: int) -> int:
        """How many ns it took to call the function at `place` so often, and to ask for it."""
        assert self._process.stdin
        assert self._process.stdout
        begin = time.perf_counter_ns()
        self._process.stdin.write(struct.pack("<QQ", place, count))
        if not select.select([self._process.stdout], [], [], _SECONDS)[0]:
            raise TimeoutError("the process that probes are measured on does not answer")
        answer = self._process.stdout.read(16)
        taken = time.perf_counter_ns() - begin
        if len(answer) != 16:
            raise OSError("the process that probes are measured on has ended")
        return taken


def _code(kinds: Sequence[ProbeKind]) -> tuple[list[int], bytes]:
    """The program, and where in its code the function of each kind stands."""
    code, places = _CALLER, []
    for kind in kinds:
        code = code.ljust(-(-len(code) // _ALIGNMENT) * _ALIGNMENT, b"\xcc")
        places.append(len(code))
        code += bytes.fromhex(_FUNCTIONS[kind.site][0]) + _RETURN
    return places, code


def _probe(number: int, kind: ProbeKind, place: int) -> Probe:
    body, site = _FUNCTIONS[kind.site]
    begin = CODE_OFFSET + place
    leaves = (Leave(begin + len(bytes.fromhex(body)), False, None),) if kind.exit == "ret" else ()
    return Probe(begin + site, number + 1, kind.exit == "return", leaves)


def _suitable(process: _Caller, place: int) -> int:
    """How many calls take about `_ROUND_NS`."""
    process.call(place, _FIRST_CALLS)  # its pages, and our caches
    taken = process.call(place, _FIRST_CALLS)
    return min(_MOST_CALLS, max(_FIRST_CALLS, _ROUND_NS * _FIRST_CALLS // taken))


def _time(process: _Caller, place: int, count: int) -> float:
    """ns per call, without what it takes to ask for them.

    Of several rounds the shortest: the others had to share the processor.
    """
    asking = min(process.call(place, 1) for _ in range(_ROUNDS))
    calling = min(process.call(place, count) for _ in range(_ROUNDS))
    return (calling - asking) / (count - 1)


def _between(events: NDArray[Any]) -> float:
    """The median time from an entry to the next; what interrupts a call now and then is not in it."""
    entries = events["timestamp"][(events["type"] == ENTRY) | (events["type"] >= SPAN)]
    return float(np.median(np.diff(entries.astype(np.int64)))) if len(entries) > 1 else 0.0


def _inside(events: NDArray[Any]) -> float:
    """The median time from an entry to its exit; 0 where there are none."""
    spans = events[events["type"] >= SPAN]
    if len(spans):
        return float(np.median(spans["end"].astype(np.int64) - spans["timestamp"]))
    is_entry = events["type"] == ENTRY
    first = np.flatnonzero(is_entry[:-1] & ~is_entry[1:])
    if not len(first):
        return 0.0
    return float(np.median(events["timestamp"][first + 1].astype(np.int64) - events["timestamp"][first]))
