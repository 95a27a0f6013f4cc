"""Run a program one instruction at a time, and tell where each activation of its functions ends.

What leaves a function is told by where control goes, from what the processor does: an independent
check of what a reading of the code says.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_TRACEME, _CONT, _KILL, _STEP, _GETREGS, _SETREGS, _SETOPTIONS = 0, 7, 8, 9, 12, 13, 0x4200
_EXITKILL = 0x100000
_IP, _FLAGS, _SP, _REGISTERS = 16, 18, 19, 27

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


class Step(NamedTuple):
    """One instruction about to run: `address` as in the file, stack pointer and flags before it."""

    address: int
    stack: int
    flags: int


@dataclass
class Layout:
    """Functions of a program by its symbols: `pieces` are (start, end, function), sorted."""

    main: int
    text: tuple[int, int]
    pieces: list[tuple[int, int, int]] = field(default_factory=list)
    entries: dict[int, str] = field(default_factory=dict)

    def owner(self, address: int) -> int:
        """The entry of the function that holds `address`, 0 without."""
        i = bisect_right(self.pieces, (address, 1 << 62)) - 1
        if i < 0:
            return 0
        start, end, function = self.pieces[i]
        return function if start <= address < end else 0


def layout(program: Path) -> Layout:
    """What `nm` and `readelf` say of a program that is not stripped."""
    sections = subprocess.run(
        ["readelf", "-SW", program], check=True, capture_output=True, text=True
    ).stdout  # fmt: skip
    match = re.search(r" \.text +PROGBITS +(\w+) \w+ (\w+)", sections)
    assert match
    text = int(match[1], 16), int(match[1], 16) + int(match[2], 16)
    symbols = subprocess.run(["nm", "-S", program], check=True, capture_output=True, text=True).stdout
    sized = re.findall(r"^(\w+) (\w+) [tTwWuV] (.+)$", symbols, re.M)
    by_name: dict[str, int] = {name: int(address, 16) for address, _, name in sized}
    found = Layout(by_name["main"], text)
    for address, size, name in sized:
        start = int(address, 16)
        owner = re.sub(r"\.cold(\.\d+)?$", "", name)
        if owner == name:
            found.entries[start] = name
        found.pieces.append((start, start + int(size, 16), by_name.get(owner, start)))
    found.pieces.sort()
    return found


def run(program: Path, where: Layout, arguments: Sequence[str] = ()) -> Iterator[Step | None]:
    """Each instruction that runs in the program's own text, from `main` on; None for a stay outside."""
    process = subprocess.Popen([program, *arguments], preexec_fn=lambda: _libc.ptrace(_TRACEME, 0, None, None))
    pid = process.pid
    registers = (ctypes.c_ulonglong * _REGISTERS)()
    start, end = where.text
    try:
        _, status = os.waitpid(pid, 0)
        _libc.ptrace(_SETOPTIONS, pid, None, _EXITKILL)
        base = _base(pid, program)
        memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
        code = os.pread(memory, end - start, base + start)
        traps = b"\xcc" * len(code)
        os.pwrite(memory, b"\xcc", base + where.main)
        passed = 0
        outside = True
        while True:
            _libc.ptrace(_CONT if outside else _STEP, pid, None, passed)
            _, status = os.waitpid(pid, 0)
            if not os.WIFSTOPPED(status):
                process.returncode = os.waitstatus_to_exitcode(status)
                return
            passed = os.WSTOPSIG(status)
            if passed != signal.SIGTRAP:
                continue
            passed = 0
            _libc.ptrace(_GETREGS, pid, None, registers)
            if outside:
                registers[_IP] -= 1
                _libc.ptrace(_SETREGS, pid, None, registers)
                os.pwrite(memory, code, base + start)
            address = registers[_IP] - base
            outside = not start <= address < end
            if outside:
                # Whatever way it comes back, it is seen.
                os.pwrite(memory, traps, base + start)
                yield None
            else:
                yield Step(address, registers[_SP], registers[_FLAGS])
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()


def _base(pid: int, program: Path) -> int:
    if b"EXEC" in subprocess.run(["readelf", "-h", program], check=True, capture_output=True).stdout:
        return 0
    maps = Path(f"/proc/{pid}/maps").read_text()
    return min(int(line.partition("-")[0], 16) for line in maps.splitlines() if line.endswith(str(program)))


@dataclass
class Observed:
    """By function's entry: instructions at which it was left, and those that ran without leaving it."""

    left: dict[int, set[tuple[int, bool]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    activations: int = 0
    steps: int = 0


def taken(condition: int, flags: int) -> bool:
    """Whether an x86 condition holds (Intel SDM volume 1, appendix B)."""
    carry, parity, zero, sign, overflow = (bool(flags >> bit & 1) for bit in (0, 2, 6, 7, 11))
    holds = (
        overflow, carry, zero, carry or zero, sign, parity, sign != overflow, zero or sign != overflow
    )[condition >> 1]  # fmt: skip
    return holds != bool(condition & 1)


def check(
    program: Path, where: Layout, sites: Mapping[int, Mapping[int, int | None] | None]
) -> Observed:
    """Compare a run with `sites`: per function's entry, the conditions by address; None is not checked."""
    observed = Observed()
    frames: list[tuple[int, int]] = []  # (entry, stack pointer there)
    before: Step | None = None
    was_call = True
    for step in run(program, where):
        observed.steps += 1
        if step is None:
            # A call to another module, or a jump to it: what runs there is not seen.
            if frames and before:
                if before.address in _calls(program):
                    continue
                _leave(observed, frames, before, where, sites)
                before = None
            continue
        owner = where.owner(step.address)
        if before and frames:
            entry, stack = frames[-1]
            is_call = before.address in _calls(program)
            if is_call and step.stack == before.stack - 8:
                _stay(observed, frames, before, where, sites)
            elif is_call:  # came back from outside
                _stay(observed, frames, before, where, sites)
            elif owner != entry:
                _leave(observed, frames, before, where, sites)
            else:
                _stay(observed, frames, before, where, sites)
        # Exceptions, longjmp and callbacks: the stack tells whose frames are gone.
        while frames and frames[-1][1] < step.stack:
            frames.pop()
        if step.address == owner and owner in where.entries:
            same = frames and frames[-1] == (owner, step.stack)
            if not same:
                frames.append((owner, step.stack))
                observed.activations += 1
        before = step
    return observed
