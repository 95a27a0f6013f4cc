"""How many functions, and how many calls, have fast sites in libraries that real programs use.

    python benchmarks/sites.py

Records the entries of all functions of each library while a program runs, and prints docs/performance.md's
table: the share on fast sites with the probes at the heads of the functions (`--site entry`), where they are
without return probes, and where they are with them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

import funcsnoop
from funcsnoop.record.plan import PlannedFunction, make_plan
from funcsnoop.record.site_classes import SiteClass
from funcsnoop.record.target import Target

PYTHON = os.path.realpath(sys.executable)
PROGRAMS = Path(__file__).parents[1] / "tests" / "programs"
SQLITE = """
import sqlite3
d = sqlite3.connect(":memory:")
d.execute("create table t(a integer primary key, b text, c real)")
d.executemany("insert into t values(?, ?, ?)", [(i, str(i * 7), i / 3) for i in range(300)])
d.execute("select b, sum(c), count(*) from t where a % 3 = 1 group by a % 7 order by b").fetchall()
"""
CPYTHON = "import json; json.dumps([{'key': str(i)} for i in range(300)])"


def workloads(directory: Path) -> dict[str, tuple[str, list[str]]]:
    """(SPEC, command) by the name of what is traced."""
    streams, certificate = str(directory / "streams"), str(directory / "certificate.pem")
    subprocess.run(["g++", "-O1", "-o", streams, PROGRAMS / "streams.cc"], check=True)
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a"]
    key = ["-keyout", str(directory / "key.pem"), "-out", certificate]
    subprocess.run([*request, *key], check=True, capture_output=True)
    return {
        "libsqlite3, a Python script": ("libsqlite3:*", [PYTHON, "-c", SQLITE]),
        "libcrypto, `openssl verify`": (
            "libcrypto:*",
            ["openssl", "verify", "-CAfile", certificate, certificate],
        ),
        "libstdc++, streams, maps and strings": ("libstdc++:*", [streams]),
        "CPython, a script with `json`": (f"{PYTHON}:*", [PYTHON, "-s", "-c", CPYTHON]),
    }


def shares(spec: str, command: Sequence[str], directory: Path) -> list[str]:
    """The cells of one row."""
    target = Target.for_command(command)
    plans = {
        "entry": make_plan(target, [spec], [], exit_policy="none", at_entry=True),
        "alone": make_plan(target, [spec], [], exit_policy="none"),
        "return": make_plan(target, [spec], [], exit_policy="return"),
    }
    trace = directory / "trace.parquet"
    recorder = Path(sys.executable).with_name("funcsnoop")
    options = ["-q", "--force", "-o", trace, "-f", spec, "--exit", "none", "--args", "0", "--buffer", "64M"]
    subprocess.run([recorder, "record", *options, "--", *command], check=True, stdout=subprocess.DEVNULL)
    events = funcsnoop.open(trace).events.group_by("name").len().collect()
    calls = dict(zip(events["name"].cast(pl.String), events["len"], strict=True))
    total = sum(calls.values())
    cells = [f"{len(plans['alone'].functions):,}"]
    cells += [_share(plan.functions, lambda _: 1) for plan in plans.values()]
    cells.append(f"{total:,}")
    cells += [_share(plan.functions, lambda f: calls.get(f.symbol, 0)) for plan in plans.values()]
    return cells


def recorded(spec: str, command: Sequence[str], directory: Path) -> tuple[int, int, int, int]:
    """Bytes of the file and of its columns, events and losses of a recording with all arguments and return
    values."""
    trace = directory / "all.parquet"
    recorder = Path(sys.executable).with_name("funcsnoop")
    options = ["-q", "--force", "-o", trace, "-f", spec, "--buffer", "64M"]
    subprocess.run([recorder, "record", *options, "--", *command], check=True, stdout=subprocess.DEVNULL)
    counts = funcsnoop.open(trace).metadata["counts"]
    footer = pq.read_metadata(trace)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    columns = sum(group.column(i).total_compressed_size for group in groups for i in range(group.num_columns))
    return trace.stat().st_size, columns, counts["recorded"], sum(counts["lost"].values())


def _share(functions: Sequence[PlannedFunction], weight: Callable[[PlannedFunction], int]) -> str:
    fast = sum(weight(f) for f in functions if f.site_class is not SiteClass.STEPPED)
    return f"{100 * fast / sum(map(weight, functions)):.0f} %"


def main() -> None:
    ways = "first instruction | fast site | with return probe"
    print(f"| | functions | {ways} | calls | {ways} |")
    print(f"| --- |{' ---: |' * 8}")
    with tempfile.TemporaryDirectory() as directory:
        for name, (spec, command) in workloads(Path(directory)).items():
            print(f"| {name} | {' | '.join(shares(spec, command, Path(directory)))} |", flush=True)


if __name__ == "__main__":
    main()
