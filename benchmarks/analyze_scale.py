"""How long, how much processor time and how much memory analysis takes on traces of millions of events.

    python benchmarks/analyze_scale.py 10 30 100 --directory /var/tmp

writes synthetic traces of so many million events (kept in the directory for the next run), and asks each
in a process of its own: `one pass` is latency, callgraph and args from one reading, without a cache; the
others are the reports of the command line.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from funcsnoop.record.writer import TraceWriter
from funcsnoop.schemas import EVENTS, TraceMetadata
from funcsnoop.schemas.metadata import NOTHING_FILTERED

FUNCTIONS = 200
TEMPLATE = 20_000  # events of the call tree that is repeated
STEP = 1 << 17  # events are made so many at a time, and committed
ALL = "one pass"
REPORTS = (ALL, "summary", "latency", "callgraph", "args", "threads")


def template(rng: np.random.Generator, tails: float) -> dict[str, np.ndarray]:
    """The events of a random call tree: mostly leaves, some recursion, a share of `tails` tail calls."""
    entry, function, frame = [], [], []
    stack: list[tuple[int, int]] = []
    while len(entry) < TEMPLATE or stack:
        grow = len(stack) < 40 and rng.random() < 0.5 and len(entry) < TEMPLATE
        if grow or not stack:
            called = int(rng.zipf(1.6)) % FUNCTIONS
            tail = bool(stack) and entry[-1] and rng.random() < tails
            below = stack[-1][1] if stack else 0x10000
            place = below if tail else below - 16 * (1 + called % 7)
            stack.append((called, place))
            entry.append(True)
        else:
            entry.append(False)
            called, place = stack.pop()
        function.append(called)
        frame.append(place)
        if not entry[-1] and stack and stack[-1][1] == place:
            while stack and stack[-1][1] == place:
                called, place = stack.pop()
                entry.append(False)
                function.append(called)
                frame.append(place)
    return {"entry": np.array(entry), "function": np.array(function), "frame": np.array(frame, np.uint64)}


def generate(path: Path, events: int, threads: int, lost: float, tails: float = 0.02) -> None:
    """A trace in which every thread runs the tree again and again; `lost` is the share of events to drop."""
    rng = np.random.default_rng(1)
    one = template(rng, tails)
    per_thread = events // threads
    symbols = [f"function_{i}" for i in range(FUNCTIONS)]
    clocks = np.full(threads, 10**12)
    count = 0

    def about(rows: int) -> TraceMetadata:
        return metadata(symbols, threads, per_thread * threads, rows, 10**12, int(clocks.max()))

    writer = TraceWriter(str(path))
    writer.begin(about)
    for first in range(0, per_thread, STEP // threads):
        steps = np.arange(first, min(first + STEP // threads, per_thread)) % len(one["entry"])
        times = clocks[:, None] + np.cumsum(rng.integers(100, 3000, (threads, len(steps))), axis=1)
        clocks = times[:, -1]
        thread = np.repeat(np.arange(threads), len(steps))
        order = np.argsort(times.reshape(-1), kind="stable")
        order = order[rng.random(len(order)) >= lost]
        step = np.tile(steps, threads)[order]
        rows = {name: values[step] for name, values in one.items()}
        rows["frame"] += np.uint64(0x7F0000000000) + (thread[order].astype(np.uint64) << np.uint64(24))
        rows["timestamp"], rows["pid"] = times.reshape(-1)[order], 1000 + thread[order]
        writer.write(_table(rows, symbols, rng))
        count += len(order)
    writer.finish(about(count))


def _table(rows: dict[str, np.ndarray], symbols: list[str], rng: np.random.Generator) -> pa.Table:
    count = len(rows["entry"])
    exits = ~rows["entry"]
    arrays = {
        "type": pa.DictionaryArray.from_arrays(exits.astype(np.int8), ["entry", "exit"]),
        "cookie": rows["function"].astype(np.uint64) + np.uint64(1),
        "pid": rows["pid"],
        "tgid": np.full(count, 1000, np.uint32),
        "timestamp": rows["timestamp"],
        "name": pa.DictionaryArray.from_arrays(rows["function"].astype(np.int32), symbols),
        "frame": rows["frame"],
        **{f"arg{i}": pa.array(rng.zipf(1.3, count).astype(np.uint64), mask=exits) for i in range(6)},
        "ret_val": pa.array(rng.integers(0, 5, count).astype(np.uint64), mask=~exits),
    }
    columns = (a if isinstance(a, pa.Array) else pa.array(a) for a in (arrays[name] for name in EVENTS.names))
    return pa.Table.from_arrays(
        [column.cast(field.type) for column, field in zip(columns, EVENTS, strict=True)], schema=EVENTS
    )


def metadata(
    symbols: list[str], threads: int, produced: int, recorded: int, first: int, last: int
) -> TraceMetadata:
    windows: list[Any] = (
        []
        if produced == recorded
        else [
            {
                "pid": None,
                "tgid": None,
                "start_ns": first,
                "end_ns": last,
                "frame": 2**64 - 1,
                "events": produced - recorded,
            }
        ]
    )
    return {
        "format_version": 1,
        "tool_version": "0",
        "host": "synthetic",
        "kernel": "0",
        "architecture": "x86_64",
        "boot_id": "0",
        "command_line": [],
        "command": ["synthetic"],
        "exit_status": 0,
        "attach": "session",
        "layout": "lean",
        "args": 6,
        "events": "sides",
        "filters": dict(NOTHING_FILTERED),
        "ring_bytes": 1 << 24,
        "started": {"monotonic_ns": first, "boottime_ns": first, "realtime_ns": 1_700_000_000 * 10**9},
        "ended": {"monotonic_ns": last, "boottime_ns": last, "realtime_ns": 1_700_000_100 * 10**9},
        "end_reason": "command-exit",
        "processes": [
            {
                "tgid": 1000,
                "root_tgid": None,
                "inner_tgid": None,
                "parent_tgid": None,
                "start_ns": first,
                "command": ["synthetic"],
                "executable": None,
                "end_ns": None,
            }
        ],
        "threads": [{"pid": 1000 + i, "tgid": 1000, "name": f"t{i}", "end_ns": None} for i in range(threads)],
        "functions": [
            {
                "cookie": i + 1,
                "symbol": symbol,
                "demangled": symbol,
                "module": "/bin/synthetic",
                "build_id": None,
                "address": i,
                "offset": i,
                "size": 1,
                "aliases": [],
                "site": i,
                "site_class": "emulated",
                "exit": "return",
                "exit_reason": "",
            }
            for i, symbol in enumerate(symbols)
        ],
        "skipped": [],
        "notices": [],
        "probe_costs": [],
        "counts": {
            "produced": produced,
            "recorded": recorded,
            "lost": {"buffer": produced - recorded},
            "filtered": {},
            "after_limit": 0,
        },
        "loss_windows": windows,
    }


#: Before its end each says how much memory it took: wait4 tells of who started it, too.
PEAK = """
import atexit, os, re, sys
fd = int(sys.argv.pop())
said = lambda: os.write(fd, re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1].encode())
atexit.register(said)
"""
ONE_PASS = """
from funcsnoop.analyze.effort import Effort
from funcsnoop.analyze.trace import Trace
trace = Trace(sys.argv[1], Effort(cache=False))
values = trace.arguments().collect()
assert len(trace.latency().collect()) and len(trace.callgraph().collect()) and len(values)
"""
COMMAND = "from funcsnoop.cli import main; sys.argv[0] = 'funcsnoop'; main()"


def run(report: str, trace: Path) -> tuple[float, float, float]:
    """Seconds, seconds of processors, and peak MB of a report, as Parquet (the summary as JSON)."""
    if report == ALL:
        arguments = [ONE_PASS, str(trace)]
    else:
        form = "json" if report == "summary" else "parquet"
        arguments = [COMMAND, "analyze", report, str(trace), "--format", form, "--no-cache"]
    code, *rest = arguments
    told, tells = os.pipe()
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", PEAK + code, *rest, str(tells)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[tells],
    )
    os.close(tells)
    _, status, usage = os.wait4(child.pid, 0)
    taken = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    with open(told) as said:
        peak = said.read()
    assert child.returncode == 0, report
    return taken, usage.ru_utime + usage.ru_stime, int(peak) * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("millions", type=float, nargs="+")
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--lost", type=float, default=0.0, help="share of the events to drop")
    parser.add_argument("--reports", default=",".join(REPORTS))
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    print("million events  bytes/event  report        s     cpu s      MB")
    for millions in options.millions:
        events = int(millions * 1e6)
        trace = options.directory / f"funcsnoop-{events}-{options.threads}-{options.lost}.parquet"
        if not trace.exists():
            generate(trace, events, options.threads, options.lost)
        for report in options.reports.split(","):
            for _ in range(options.runs):
                seconds, processors, megabytes = run(report, trace)
                each = trace.stat().st_size / events
                figures = f"{seconds:6.2f}  {processors:8.2f}  {megabytes:6.0f}"
                print(f"{millions:14g}  {each:11.1f}  {report:<10} {figures}", flush=True)


if __name__ == "__main__":
    main()
