"""How long it takes from the command to the first event, and to put probes in and take them out.

    python benchmarks/start.py [--rounds 5]

Prints the table of docs/performance.md. What else the machine does counts: the load is printed too.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import attaching
import polars as pl

import funcsnoop
from funcsnoop.bpf.features import Strategy

RECORDER = Path(sys.executable).with_name("funcsnoop")
MANY = 30_000


def program(directory: Path) -> Path:
    """One that calls each of its hundred functions once."""
    names = [f"f{i}" for i in range(100)]
    text = "".join(f'__attribute__((noinline)) void {name}(void) {{ __asm__(""); }}\n' for name in names)
    text += f"int main(void) {{ {' '.join(f'{name}();' for name in names)} return 0; }}\n"
    return _compiled(directory / "hundred", text)


def user_of(library: Path, directory: Path) -> Path:
    """One that is linked with libLLVM, and calls it."""
    text = "void *LLVMGetGlobalContext(void);\nint main(void) { return !LLVMGetGlobalContext(); }\n"
    return _compiled(directory / "user", text, str(library.resolve()))


def _compiled(path: Path, text: str, *flags: str) -> Path:
    source = path.with_suffix(".c")
    source.write_text(text)
    subprocess.run(["gcc", "-O1", "-o", path, source, *flags], check=True)
    return path


def first_event(options: Sequence[str], command: Path, directory: Path) -> tuple[int, float, float]:
    """How many functions were traced, seconds from the start of the recorder to its first event, and seconds
    of CPU that the whole recording took."""
    trace = directory / "trace.parquet"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.clock_gettime(time.CLOCK_MONOTONIC)
    arguments = ["record", "-q", "--force", "-o", trace, *options, "--", command]
    # As it is installed: with its byte code.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([RECORDER, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    recorded = funcsnoop.open(trace)
    times = recorded.events.select(pl.col("timestamp").cast(pl.Int64).min()).collect()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return len(recorded.metadata["functions"]), times.item() / 1e9 - begin, cpu


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        hundred = program(directory)
        library = attaching.library()
        user = library and user_of(library, directory)
        for _ in range(rounds):
            add(rows, "", first_event(["-f", "f*"], hundred, directory))
            for how in ("none", "return", "ret") if library and user else ():
                options = ["-f", f"{library}:*", "--exit", how]
                add(rows, f", `--exit {how}`", first_event(options, user, directory))
            if library:
                attach, detach = attaching.attach(Strategy.SESSION, MANY, library)
                rows.setdefault(f"{MANY:,} functions, the link alone", []).append(attach)
                rows.setdefault(f"{MANY:,} functions, taken out", []).append(detach)
    print(f"load {os.getloadavg()[0]:.1f}, {rounds} rounds\n")
    print("| | seconds: median (least to most) |\n| --- | --- |")
    for title, values in rows.items():
        print(f"| {title} | {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}) |")


def add(rows: dict[str, list[float]], how: str, measured: tuple[int, float, float]) -> None:
    count, seconds, cpu = measured
    rows.setdefault(f"{count:,} functions{how}", []).append(seconds)
    rows.setdefault(f"{count:,} functions{how}: CPU", []).append(cpu)


if __name__ == "__main__":
    main()
