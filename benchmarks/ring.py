"""What the recorder takes from the ring to the disk: CPU time for an event, loss, bytes; CPU time when idle.

    .venv/bin/python benchmarks/ring.py [--threads 2] [--events 10000000] [--rounds 3] [-- RECORD OPTION...]

Two threads call a function that does nothing, as fast as they can under the probes. CPU time is that of the
recorder's process from the moment when they begin, until its file is whole.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import funcsnoop

PROGRAM = Path(__file__).parents[1] / "tests" / "programs" / "rate.c"
FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")
IDLE_SECONDS = 5.0


@dataclass(frozen=True)
class Measured:
    cpu_ns_per_event: float  # of the recorder
    target_ns_per_call: float
    events_per_second: float
    lost: int
    bytes_per_event: float
    idle_cpu_percent: float  # of one CPU, while no probe fires


#: What the figures are called.
TITLES = {
    "cpu_ns_per_event": "CPU of the recorder, ns per event",
    "target_ns_per_call": "a call of the traced program, ns",
    "events_per_second": "events per second",
    "lost": "events lost",
    "bytes_per_event": "bytes per event",
    "idle_cpu_percent": "CPU of the recorder while nothing happens, % of one",
}


def measure(threads: int, events: int, options: Sequence[str], place: Path) -> Measured:
    """Record `events` events of `threads` threads."""
    program = place / "ring"
    if not program.exists():
        subprocess.run(["gcc", "-O1", "-pthread", "-o", program, PROGRAM], check=True)
    output = place / "trace.parquet"
    output.unlink(missing_ok=True)
    calls = events // (2 * threads)
    target = subprocess.Popen(
        [program, str(threads), str(calls), "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert target.stdin
    assert target.stdout
    target.stdout.readline()
    command = ["record", "-o", output, "-f", "hot", "--args", "1", *options, "-p", str(target.pid)]
    recorder = subprocess.Popen([FUNCSNOOP, *command], stderr=subprocess.PIPE, text=True)
    assert recorder.stderr
    said = ""
    while "recording, " not in said:
        line = recorder.stderr.readline()
        said += line
        if not line:
            raise RuntimeError(f"the recorder failed: {said}")
    time.sleep(0.5)
    before = _cpu_seconds(recorder.pid)
    time.sleep(IDLE_SECONDS)
    begin = _cpu_seconds(recorder.pid)
    target.stdin.write("\n")
    target.stdin.flush()
    ns_per_call = float(target.stdout.readline().split()[0])
    target.communicate()
    _, status, usage = os.wait4(recorder.pid, 0)
    recorder.returncode = os.waitstatus_to_exitcode(status)
    if recorder.returncode:
        raise RuntimeError(f"the recorder failed: {recorder.stderr.read()}")
    counts = funcsnoop.open(output).metadata["counts"]
    recorded = counts["recorded"] + sum(counts["filtered"].values())
    return Measured(
        cpu_ns_per_event=(usage.ru_utime + usage.ru_stime - begin) * 1e9 / recorded,
        target_ns_per_call=ns_per_call,
        events_per_second=counts["produced"] * 1e9 / (ns_per_call * calls),
        lost=sum(counts["lost"].values()),
        bytes_per_event=output.stat().st_size / max(1, counts["recorded"]),
        idle_cpu_percent=100 * (begin - before) / IDLE_SECONDS,
    )


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("options", nargs="*", help="of funcsnoop record, after --")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        rounds = [
            measure(chosen.threads, chosen.events, chosen.options, Path(directory))
            for _ in range(chosen.rounds)
        ]
    for field in fields(Measured):
        values = sorted(getattr(measured, field.name) for measured in rounds)
        print(f"{field.name:20} {statistics.median(values):14,.1f}  ({values[0]:,.1f} to {values[-1]:,.1f})")


if __name__ == "__main__":
    main()
