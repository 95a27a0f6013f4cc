"""How long it takes to put probes on many functions, and to take them out."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from funcsnoop.bpf.compile import Sizes
from funcsnoop.bpf.features import Strategy
from funcsnoop.bpf.links import Links
from funcsnoop.bpf.probes import Probe
from funcsnoop.bpf.program import Programs
from funcsnoop.record.plan import make_plan
from funcsnoop.record.target import Target

COUNTS = (10, 300, 3_000, 30_000)
#: A perf link is taken out in a tenth of a second.
MOST_PERF = 10
LIBRARY = "libLLVM-14.so.1"


def library() -> Path | None:
    """A library with more than 30,000 functions, where it is installed."""
    found = sorted(Path("/usr/lib").glob(f"*/{LIBRARY}")) + sorted(Path("/usr/lib").glob("*/libLLVM*.so*"))
    return found[0] if found else None


def attach(strategy: Strategy, count: int, path: Path) -> tuple[float, float]:
    """Seconds to put return probes on `count` functions of `path`, for a process that has it, and to take
    them out; symbols and compiling are not in it."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"import ctypes; ctypes.CDLL({str(path)!r}); print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout
        process.stdout.readline()
        plan = make_plan(Target.for_pids([process.pid]), [f"{path}:*"], [], exit_policy="return")
        (module,) = plan.modules
        probes = [Probe(f.site, f.cookie, f.exit == "return") for f in module.functions[:count]]
        if len(probes) < count:
            raise RuntimeError(f"{path} has only {len(probes)} functions to probe")
        with Programs(Sizes(functions=len(probes))) as programs:
            programs.follow(process.pid)
            links = Links(programs, strategy)
            begin = time.perf_counter()
            links.attach(module.attach_path, probes, process.pid)
            attached = time.perf_counter()
            links.close()
            return attached - begin, time.perf_counter() - attached
    finally:
        process.communicate(b"\n")
