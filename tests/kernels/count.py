"""Has this kernel the strategies that it is to have, and does the best of them count exactly?

usage: count.py STRATEGY... (best first)
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import funcsnoop
from funcsnoop.bpf.features import Strategy, check

PROGRAMS = Path(__file__).parents[1] / "programs"
CALLS = {"leaf": 10_007 + 3 * 101 * 5, "factorial": 7 * 23, "six": 97, "middle": 3 * 101}

expected = sys.argv[1:]
found = {str(strategy): check(strategy) for strategy in Strategy}
assert [name for name, feature in found.items() if feature.works] == expected, found

with tempfile.TemporaryDirectory() as directory:
    program, output = Path(directory, "calls"), Path(directory, "trace.parquet")
    flags = ["-O1", "-fno-optimize-sibling-calls", "-pthread"]
    subprocess.run(["gcc", *flags, "-o", program, PROGRAMS / "calls.c"], check=True)
    names = [f"-f{name}" for name in CALLS]
    recorder = Path(sys.executable).with_name("funcsnoop")
    for exits in ("return", "ret"):
        options = ["--force", "-o", output, "--exit", exits, *names]
        done = subprocess.run([recorder, "record", *options, "--", program])
        assert done.returncode == 3, done
        trace = funcsnoop.open(output)
        assert trace.metadata["attach"] == expected[0], trace.metadata["attach"]
        counts = dict(trace.latency().collect().select("function", "calls").iter_rows())
        assert counts == CALLS, counts
        print(f"exact with {expected[0]}, --exit {exits}: {counts}", flush=True)
