"""How long, and how much memory, the reports take on traces of millions of events.

    python benchmarks/analyze_scale.py 10 --threads 8 --lost 0.01

writes a synthetic trace of 10 M events (kept for the next run), then runs each report in a process of
its own and prints its time and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from funcsnoop.schemas import EVENTS, METADATA_KEY
from funcsnoop.schemas.metadata import NOTHING_FILTERED

FUNCTIONS = 200
TEMPLATE = 20_000  # events of the call tree that is repeated
REPORTS = ("summary", "latency", "callgraph", "args", "calls", "threads")


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
    rng = np.random.default_rng(1)
    one = template(rng, tails)
    per_thread = events // threads
    repeats = -(-per_thread // len(one["entry"]))
    columns: dict[str, list[np.ndarray]] = {}
    for thread in range(threads):
        rows = {name: np.tile(values, repeats)[:per_thread] for name, values in one.items()}
        rows["frame"] = rows["frame"] + np.uint64(0x7F0000000000 + (thread << 24))
        rows["timestamp"] = 10**12 + np.cumsum(rng.integers(100, 3000, per_thread))
        rows["pid"] = np.full(per_thread, 1000 + thread, np.uint32)
        for name, values in rows.items():
            columns.setdefault(name, []).append(values)
    whole = {name: np.concatenate(values) for name, values in columns.items()}
    order = np.argsort(whole["timestamp"], kind="stable")
    order = order[rng.random(len(order)) >= lost]
    rows = {name: values[order] for name, values in whole.items()}
    count = len(order)
    exits = ~rows["entry"]
    symbols = [f"function_{i}" for i in range(FUNCTIONS)]
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
    arrays = {
        name: values if isinstance(values, pa.Array) else pa.array(values) for name, values in arrays.items()
    }
    table = pa.Table.from_arrays(
        [arrays[name].cast(EVENTS.field(name).type) for name in EVENTS.names], schema=EVENTS
    )
    about = metadata(symbols, threads, events, count, rows["timestamp"])
    pq.write_table(
        table.replace_schema_metadata({METADATA_KEY: json.dumps(about).encode()}),
        path,
        compression="zstd",
        compression_level=1,
        row_group_size=1 << 17,
        write_page_checksum=True,
        use_dictionary=[name for name in EVENTS.names if name != "timestamp"],
        column_encoding={"timestamp": "DELTA_BINARY_PACKED"},
    )


def metadata(
    symbols: list[str], threads: int, produced: int, recorded: int, times: np.ndarray
) -> dict[str, object]:
    first, last = int(times.min()), int(times.max())
    windows = (
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


def run(report: str, trace: Path) -> tuple[float, float]:
    """Seconds and peak MB of a report, as Parquet (the summary as JSON)."""
    form = "json" if report == "summary" else "parquet"
    command = ["analyze", report, str(trace), "--format", form]
    program = "import sys; from funcsnoop.cli import main; sys.argv[0] = 'funcsnoop'; main()"
    started = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", program, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, report
    return time.perf_counter() - started, usage.ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("millions", type=float)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--lost", type=float, default=0.0, help="share of the events to drop")
    parser.add_argument("--reports", default=",".join(REPORTS))
    options = parser.parse_args()
    events = int(options.millions * 1e6)
    trace = Path(tempfile.gettempdir()) / f"funcsnoop-{events}-{options.threads}-{options.lost}.parquet"
    if not trace.exists():
        generate(trace, events, options.threads, options.lost)
    print(f"{trace}: {trace.stat().st_size / events:.1f} bytes an event")
    for report in options.reports.split(","):
        seconds, megabytes = run(report, trace)
        print(f"{report:<10} {seconds:6.2f} s {megabytes:7.0f} MB")


if __name__ == "__main__":
    main()
