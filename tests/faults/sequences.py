"""A target that calls step(0), step(1) …: what is recorded of it has holes nowhere, and one end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl

from funcsnoop.analyze.partial import open_partial
from funcsnoop.errors import FuncsnoopError

FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")
STATUS = 7
#: A ring that holds seconds of events, so that none are lost while the machine does something else.
OPTIONS = ("-q", "-f", "step", "--exit", "return", "--args", "1", "--buffer", "256M")


class Target:
    """`sequence`, which waits for `go`."""

    def __init__(self, program: Path, calls: int) -> None:
        self.calls = calls
        self._process = subprocess.Popen(
            [program, str(calls), str(STATUS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self.pid = self._process.pid

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It stands still inside, wherever it is, unless it has ended."""
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: state(self.pid) in ("T", "Z"))
        yield
        os.kill(self.pid, signal.SIGCONT)

    def ends_as_if_alone(self) -> None:
        output, _ = self._process.communicate(timeout=60)
        assert (output, self._process.returncode) == (f"{self.calls * (self.calls + 1) // 2}\n", STATUS)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def sequence(program: Path, calls: int) -> Iterator[Target]:
    target = Target(program, calls)
    try:
        yield target
    finally:
        target.kill()


@contextmanager
def recorder(target: Target, output: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [FUNCSNOOP, "record", *OPTIONS, *options, "-o", output, "-p", str(target.pid)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def has_breakpoints(pid: int) -> bool:
    """Whether the probes are in this process."""
    return changed_code(pid) > 0


def changed_code(pid: int) -> int:
    """How many bytes of its executable's code a process has otherwise than the file: breakpoints."""
    changed = 0
    executable = os.readlink(f"/proc/{pid}/exe")
    with open(f"/proc/{pid}/mem", "rb") as memory, open(f"/proc/{pid}/exe", "rb") as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, mode, offset, _, _, *path = line.split(maxsplit=5)
            if "x" not in mode or path != [executable]:
                continue
            start, end = (int(address, 16) for address in span.split("-"))
            memory.seek(start)
            file.seek(int(offset, 16))
            # What is mapped behind the file's end is zeros.
            there, here = memory.read(end - start), file.read(end - start).ljust(end - start, b"\0")
            changed += sum(a != b for a, b in zip(there, here, strict=True))
    return changed


def state(pid: int) -> str | None:
    """As in /proc/PID/stat; None if there is no such process."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return None


def committed(partial: Path) -> int:
    """Events that are committed in it; 0 if there is no such file yet, or no commit."""
    with suppress(FuncsnoopError, OSError):
        return open_partial(partial).rows
    return 0


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.002)


def check_sequence(trace: Path) -> int:
    """That the events of `trace` are entry and exit of step(0), step(1) …; how many there are."""
    events = pl.read_parquet(trace).with_columns(pl.col("type").cast(pl.String))
    entries = events.filter(pl.col("type") == "entry")["arg0"]
    exits = events.filter(pl.col("type") == "exit")["ret_val"]
    assert events["type"].gather_every(2).eq("entry").all()
    assert events["type"].gather_every(2, 1).eq("exit").all()
    assert entries.equals(pl.Series("arg0", range(len(entries)), pl.UInt64))
    assert exits.equals(pl.Series("ret_val", range(1, len(exits) + 1), pl.UInt64))
    return len(events)
