"""How long it takes from the command to the first event."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attaching
import polars as pl

import funcsnoop

RECORDER = Path(sys.executable).with_name("funcsnoop")


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


def starts(rounds: int) -> Iterator[tuple[str, float]]:
    """(what, seconds) of each run."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        hundred = program(directory)
        library = attaching.library()
        user = library and user_of(library, directory)
        for _ in range(rounds):
            yield from titled("", first_event(["-f", "f*"], hundred, directory))
            for how in ("none", "return", "ret") if library and user else ():
                options = ["-f", f"{library}:*", "--exit", how]
                yield from titled(f", `--exit {how}`", first_event(options, user, directory))


def titled(how: str, measured: tuple[int, float, float]) -> Iterator[tuple[str, float]]:
    count, seconds, cpu = measured
    yield f"{count:,} functions{how}: to the first event", seconds
    yield f"{count:,} functions{how}: CPU time of all", cpu
