"""Everything that docs/performance.md says of cost, measured side by side in one go.

    make bench ARGS="--rounds 5 --json bench.json --markdown tables.md --plot growth.svg"

In each round every way is run once, one after the other: what else the machine does meets all of them.
Figures are minimum, median and maximum over the rounds.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import analysing
import analyze_scale
import attaching
import numpy as np
import peers
import ring
import sites
import start
from analyze_scale import ALL, generate, template

from funcsnoop.bpf.features import Strategy

#: Of a kind of figures: what is measured, by name.
Samples = dict[str, list[float]]
#: Of the traces that are analysed.
THREADS = 8
PARTS = ("calls", "start", "drain", "disk", "attach", "analysis", "large")


def calls(rounds: int, number: int) -> Iterator[tuple[str, str, peers.Measured]]:
    """(kind of prologue, tool, figures) of each run; what is not installed is left out, and said."""
    missing = {t.needs: t for t in peers.TOOLS if t.needs and not installed(t.needs)}
    for name, tool in missing.items():
        say(f"{name} is not installed (Debian package {tool.package}): left out")
    for current in range(rounds):
        for kind in ("push", "nop", "endbr64", "mov"):
            for tool in peers.TOOLS:
                if tool.needs in missing or kind not in tool.kinds:
                    continue
                say(f"round {current + 1} of {rounds}: {tool.title}, {kind}")
                with tempfile.TemporaryDirectory() as place:
                    yield kind, tool.title, tool.run(kind, number, Path(place))


def attaches(rounds: int) -> Samples:
    """Seconds to attach and detach, by strategy and number of functions."""
    samples: Samples = {}
    path = attaching.library()
    if path is None:
        say(f"{attaching.LIBRARY} is not installed (Debian package libllvm14): attaching is left out")
        return samples
    for current in range(rounds):
        for strategy in Strategy:
            for count in attaching.COUNTS:
                if strategy is Strategy.PERF and count > attaching.MOST_PERF:
                    continue
                say(f"round {current + 1} of {rounds}: {strategy} links on {count:,} functions")
                attached, detached = attaching.attach(strategy, count, path)
                samples.setdefault(f"{strategy}, {count:,}: attach", []).append(attached)
                samples.setdefault(f"{strategy}, {count:,}: detach", []).append(detached)
    return samples


def analyses(rounds: int, events: Iterable[int]) -> Samples:
    """Seconds for the same table, by way and number of events. Raises where two ways disagree."""
    samples: Samples = {}
    tree = len(template(np.random.default_rng(1), 0.0)["entry"])
    with tempfile.TemporaryDirectory() as place:
        for number in events:
            path = Path(place) / f"{number}.parquet"
            # Whole trees, of calls that all return.
            trees = max(1, round(number / THREADS / tree))
            generate(path, trees * THREADS * tree, THREADS, lost=0.0, tails=0.0)
            for current in range(rounds):
                answers = {}
                for way in analysing.WAYS:
                    say(f"round {current + 1} of {rounds}: {way}, {number:,} events")
                    taken, answers[way] = analysing.timed(way, path)
                    samples.setdefault(f"{way}, {number:,}", []).append(taken)
                first = answers.pop("funcsnoop")
                wrong = [way for way, answer in answers.items() if answer != first]
                if wrong:
                    raise RuntimeError(f"{', '.join(wrong)}: another answer than funcsnoop's")
            path.unlink()
    return samples


def starts(rounds: int) -> Samples:
    """Seconds from the command to the first event."""
    if attaching.library() is None:
        say(f"{attaching.LIBRARY} is not installed (Debian package libllvm14): large starts are left out")
    samples: Samples = {}
    for what, seconds in start.starts(rounds):
        say(f"{what}: {seconds:.2f} s")
        samples.setdefault(what, []).append(seconds)
    return samples


def drains(rounds: int, events: int) -> Samples:
    """What the recorder takes from the ring to the disk, of as many events as two threads can make."""
    samples: Samples = {}
    for current in range(rounds):
        say(f"round {current + 1} of {rounds}: {events:,} events of two busy threads")
        with tempfile.TemporaryDirectory() as place:
            measured = ring.measure(2, events, [], Path(place))
        for field, title in ring.TITLES.items():
            samples.setdefault(title, []).append(getattr(measured, field))
    return samples


def sizes(rounds: int) -> Samples:
    """Bytes per event of real programs' traces, with all arguments."""
    samples: Samples = {}
    with tempfile.TemporaryDirectory() as place:
        for name, (spec, command) in sites.workloads(Path(place)).items():
            for current in range(rounds):
                say(f"round {current + 1} of {rounds}: {name}")
                size, columns, events, lost = sites.recorded(spec, command, Path(place))
                samples.setdefault(name, []).append(size / events)
                samples.setdefault(f"{name}: the columns alone", []).append(columns / events)
                if lost:
                    raise RuntimeError(f"{name}: {lost} events lost")
    return samples


def large(rounds: int, millions: Iterable[float]) -> dict[str, Samples]:
    """Seconds, seconds of CPU, and memory of latency, callgraph and args of large traces, by their events."""
    samples: dict[str, Samples] = {}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        for number in millions:
            path = Path(place) / "large.parquet"
            say(f"writing {number:g} million events")
            generate(path, int(number * 1e6), THREADS, lost=0.0)
            for current in range(rounds):
                say(f"round {current + 1} of {rounds}: {number:g} million events")
                for title, value in zip(("s", "CPU s", "MB"), analyze_scale.run(ALL, path), strict=True):
                    samples.setdefault(f"{number:g} million", {}).setdefault(title, []).append(value)
            path.unlink()
    return samples


def spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def installed(name: str) -> bool:
    return any(os.access(Path(place) / name, os.X_OK) for place in os.environ["PATH"].split(":"))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine()
    )  # fmt: skip
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=100_000, help="calls of each traced program")
    parser.add_argument(
        "--events", default="300000,1000000,3000000", help="sizes of the traces to analyse, about"
    )
    parser.add_argument("--drained", type=int, default=10_000_000, help="events of the recorder's trial")
    parser.add_argument("--large", default="10,30,100", help="sizes of large traces, in millions")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run, of %(default)s")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path, help="where the tables go; else to stdout")
    parser.add_argument("--plot", type=Path, help="an SVG of how the analysis grows")
    options = parser.parse_args()
    # Two tools on the kernel's one table of uprobe events, at the same time, can bring a kernel down.
    lock = (Path(tempfile.gettempdir()) / "funcsnoop-bench.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("another benchmark runs: wait for its end")
    from tables import growth_plot, tables

    parts = options.only.split(",")
    result: dict[str, Any] = {"machine": machine(), "rounds": options.rounds, "calls_per_run": options.calls}
    if "calls" in parts:
        runs: dict[str, dict[str, list[peers.Measured]]] = {}
        for kind, tool, measured in calls(options.rounds, options.calls):
            runs.setdefault(kind, {}).setdefault(tool, []).append(measured)
        result["calls"] = {
            kind: {tool: summary(measured, by_tool) for tool, measured in by_tool.items()}
            for kind, by_tool in runs.items()
        }
    measures = {
        "start": lambda: starts(options.rounds),
        "drain": lambda: drains(options.rounds, options.drained),
        "disk": lambda: sizes(options.rounds),
        "attach": lambda: attaches(options.rounds),
        "analysis": lambda: analyses(options.rounds, map(int, options.events.split(","))),
    }
    for part, measure in measures.items():
        if part in parts:
            result[part] = {name: spread(values) for name, values in measure().items()}
    if "large" in parts:
        found = large(options.rounds, map(float, options.large.split(",")))
        result["large"] = {
            name: {title: spread(values) for title, values in samples.items()}
            for name, samples in found.items()
        }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(tables(result))
    else:
        print(tables(result))
    if options.plot:
        options.plot.write_text(growth_plot(result["analysis"]))


def summary(runs: list[peers.Measured], by_tool: dict[str, list[peers.Measured]]) -> dict[str, Any]:
    """Cost of a call; its ratio, run by run, to that of `funcsnoop record`; and what was kept."""
    alone = by_tool["untraced"]
    cost = [run.ns_per_call - base.ns_per_call for run, base in zip(runs, alone, strict=True)]
    ours = by_tool["funcsnoop record"]
    ratio = [run.ns_per_call / other.ns_per_call for run, other in zip(runs, ours, strict=True)]
    result: dict[str, Any] = {
        "ns_per_call": spread([run.ns_per_call for run in runs]),
        "added_ns": spread(cost),
        "ratio_to_record": spread(ratio),
    }
    kept = [run for run in runs if run.events]
    if kept:
        result["bytes_per_event"] = spread([run.size / run.events for run in kept])
        result["lost"] = max(run.lost for run in kept)
    return result


if __name__ == "__main__":
    main()
