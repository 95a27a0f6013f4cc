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
from functools import partial
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
    start_traced = partial(_libc.ptrace, _TRACEME, 0, None, None)
    process = subprocess.Popen([program, *arguments], preexec_fn=start_traced)
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
    """`ends` counts the activations that were left where a site is, `problems` what should not be."""

    ends: int = 0
    problems: list[str] = field(default_factory=list)
    reached: set[int] = field(default_factory=set)


#: The exits of a function, address to condition, by its entry; None where they are not told.
Sites = Mapping[int, Mapping[int, int | None] | None]


def check(program: Path, where: Layout, sites: Sites, arguments: Sequence[str] = ()) -> Observed:
    """Run `program` and compare where its functions are left with `sites`.

    `where` may come from another file, which is the same program before it was stripped.
    """
    observed = Observed()
    calls = _calls(program)
    frames: list[tuple[int, int]] = []  # of activations: the function's entry, the stack pointer there
    before: Step | None = None
    entering = True
    for step in run(program, where, arguments):
        if before:
            entering = before.address in calls
            if frames and where.owner(before.address):
                left = not entering and (
                    step is None or step.stack > frames[-1][1] or where.owner(step.address) != frames[-1][0]
                )
                _compare(observed, where, frames[-1], before, left, sites)
                if left:
                    frames.pop()
                    entering = True
        else:
            entering = True
        before = step
        if step is None:
            continue
        # Exceptions, longjmp: no return tells of these.
        while frames and frames[-1][1] < step.stack:
            frames.pop()
        if entering and step.address in where.entries:
            frames.append((step.address, step.stack))
            observed.reached.add(step.address)
    return observed


def _compare(
    observed: Observed, where: Layout, frame: tuple[int, int], at: Step, left: bool, sites: Sites
) -> None:
    entry, stack = frame
    name = f"{where.entries[entry]}+{at.address - entry:#x}"
    if where.owner(at.address) != entry:
        observed.problems.append(f"{name} runs in a frame of another function")
        return
    exits = sites[entry]
    if exits is None:
        return
    condition = exits.get(at.address)
    leaves = at.address in exits and (condition is None or taken(condition, at.flags))
    if left and not leaves:
        observed.problems.append(f"{name} leaves, and is no site")
    if leaves and not left:
        observed.problems.append(f"{name} is a site, and does not leave")
    if left and leaves:
        observed.ends += 1
        if at.stack != stack:
            observed.problems.append(f"{name} leaves with another stack pointer than the entry's")


def taken(condition: int, flags: int) -> bool:
    """Whether an x86 condition holds (Intel SDM volume 1, appendix B)."""
    carry, parity, zero, sign, overflow = (bool(flags >> bit & 1) for bit in (0, 2, 6, 7, 11))
    holds = (
        overflow, carry, zero, carry or zero, sign, parity, sign != overflow, zero or sign != overflow
    )[condition >> 1]  # fmt: skip
    return holds != bool(condition & 1)


def _calls(program: Path) -> set[int]:
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", program], check=True, capture_output=True, text=True
    ).stdout
    return {int(at, 16) for at in re.findall(r"^ *([0-9a-f]+):\t(?:\w+ )*call", listing, re.M)}
